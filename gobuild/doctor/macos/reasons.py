"""What macOS says when it kills a program or does not load it, and what that means: a table, and a search in it.

The words are the kernel's (``log show``), dyld's (standard error) and crash reports'. Each row names a report in which
they stand; none could be tried here, for that needs a Mac.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gobuild.doctor.model import Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that macOS says.

    Attributes:
        name: for people, short.
        words: a regular expression over one line; bounded, so that no line makes it slow.
        grade: FAIL where it is why a program ended; WARN where it may be; OK where it says nothing by itself.
        means: one sentence.
        cure: what to do.
        source: a public report, or where it is documented.
    """

    name: str
    words: re.Pattern[str]
    grade: Grade = Grade.FAIL
    means: str
    cure: str
    source: str


SIGN_ANEW = (
    "build or unpack it anew, into a new file: rm first, then cp, never over the old one; "
    "or codesign --force --sign - FILE"
)
NOTARIZE = (
    "remove the quarantine of a file you trust (xattr -d com.apple.quarantine FILE), allow the terminal under "
    "Privacy & Security > Developer Tools, or have it notarized; on a managed Mac ask who manages it"
)


def _row(name: str, words: str, means: str, cure: str, source: str, grade: Grade = Grade.FAIL) -> Reason:
    return Reason(name=name, words=re.compile(words), means=means, cure=cure, source=source, grade=grade)


REASONS = (
    _row(
        "invalid page",
        r"CODE SIGNING: .{0,200}(?:denying page sending SIGKILL|rejecting invalid page)"
        r"|CODESIGNING,? (?:Code )?(?:2|0x2)\b|Invalid Page",
        "a page of the program is not what was signed: the file was changed after it was signed, or written over while "
        "the kernel knew the old one",
        SIGN_ANEW,
        "golang/go#63997, golang/go#42684, golang/go#63584",
    ),
    _row(
        "not signed",
        r"completely unsigned code \(must be at least ad-hoc signed\)|code object is not signed at all",
        "the program has no signature, or none that the kernel can read; on Apple silicon every program must have one",
        "codesign --force --sign - FILE; gobuild sign signs from Linux too",
        "tauri-apps/tauri#15801, Dicklesworthstone/cass_memory_system#43",
    ),
    _row(
        "signature not loaded",
        r"load code signature error \d{1,4} for file",
        "the kernel could not read the program's signature",
        SIGN_ANEW,
        "tauri-apps/tauri#15801",
    ),
    _row(
        "security policy",
        r"ASP: Security policy would not allow process",
        "Gatekeeper's policy does not let the program run, whatever its signature says",
        NOTARIZE,
        "rust-lang/cargo#10060, JustArchiNET/ArchiSteamFarm#2480, entireio/cli#1065",
    ),
    _row(
        "taskgated",
        r"Taskgated Invalid Signature|CODESIGNING,? (?:Code )?(?:1|0x1)\b",
        "the signature was refused at the start: it is damaged, the file was written over, or its entitlements need a "
        "certificate that it has not",
        SIGN_ANEW + "; sign without entitlements where there is no certificate",
        "1jehuang/jcode#1233, openclaw/imsg#291",
    ),
    _row(
        "launch constraint",
        r"Launch Constraint Violation|CODESIGNING,? (?:Code )?(?:4|0x4)\b",
        "the program may be started only by certain others, or from its own place: it is a copy of one of Apple's",
        "do not copy a program of the system's; use it where it stands",
        "a crash report in a public repository (tests/data/doctor/README.md)",
    ),
    _row(
        "broken signature with a team",
        r"Broken signature with Team ID fatal",
        "a Developer ID signature does not satisfy its own requirement",
        "codesign --verify --strict -vv FILE says which; sign it anew",
        "zoharbabin/web-researcher-mcp#204",
    ),
    _row(
        "restricted entitlements",
        r"Code has restricted entitlements|No matching profile found",
        "it was signed with entitlements that need a provisioning profile",
        "sign it without them; Go programs need none",
        "a public repository's notes (tests/data/doctor/README.md)",
    ),
    _row(
        "no certificate",
        r"AMFI: .{0,500}(?:has no CMS blob\?|Unrecoverable CT signature issue)",
        "the signature names no certificate, as with every ad hoc one, the Go linker's too",
        "",
        "cloudwego/cwgo#232",
        Grade.OK,
    ),
    _row(
        "signature refused",
        r"AMFI: (?:code signature validation failed|.{0,500}(?:rejecting signature|not valid))",
        "AMFI does not take a signature, and does not always say of which program",
        SIGN_ANEW,
        "zhlynn/zsign#117, xsscx/srd#18",
        Grade.WARN,
    ),
    _row(
        "no LC_UUID",
        r"missing LC_UUID load command",
        "dyld of macOS 26 starts no program without LC_UUID, and Go before 1.24 writes none",
        "build with gobuild's patch link-uuid or with Go 1.24; for one program go build -ldflags=-B=gobuildid (1.22.9, "
        "1.23.3) or -linkmode=external",
        "golang/go#68678, drogers0/aistat#38, FISCO-BCOS/go-sdk#304",
    ),
    _row(
        "library quarantined",
        r"library load disallowed by system policy",
        "a library is quarantined, which dyld reports as if its signature were wrong",
        "xattr -d com.apple.quarantine LIBRARY, if you trust it; or remove it from DYLD_INSERT_LIBRARIES",
        "notes in several public repositories (tests/data/doctor/README.md)",
    ),
    _row(
        "library signature",
        r"code signature (?:invalid )?in .{0,500}(?:\(errno=|not valid for use in process)",
        "dyld found a library whose signature it does not take: damaged, or of another team than the program's",
        "remove it from DYLD_INSERT_LIBRARIES, or sign it anew",
        "Automattic/simplenote-macos#1132",
    ),
    _row(
        "library missing",
        r"Library not loaded: |Library missing",
        "a library that the program links, or that DYLD_INSERT_LIBRARIES names, is not there",
        "unset DYLD_INSERT_LIBRARIES; gobuild verify FILE names what it links",
        "wibus-wee/InjectGUI#23",
    ),
    _row(
        "symbol missing",
        r"Symbol not found: |Symbol missing",
        "a library has not the symbol that the program wants: it is of another version, or macOS is older than the "
        "release needs",
        "gobuild verify FILE names the libraries, and the oldest macOS that the program is for",
        "llvm/llvm-project#51906, monero-project/monero-gui#4117",
    ),
    _row(
        "wrong architecture",
        r"[Bb]ad CPU type in executable",
        "the program is for another processor, and Rosetta is not there",
        "a toolchain for this machine: gobuild build --target darwin/arm64",
        "errno 86, EBADARCH, sys/errno.h",
    ),
)


def explain(text: str) -> Iterator[tuple[Reason, str]]:
    """Finds what is known in a text of many lines.

    Args:
        text: what a tool, a program's standard error or a crash report said.

    Yields:
        Each reason once, in the order of the lines, with the line. A line has one: the first of the table.
    """
    told: set[str] = set()
    for line in text.splitlines()[:20_000]:
        reason = next((each for each in REASONS if each.words.search(line[:4000])), None)
        if reason and reason.name not in told:
            told.add(reason.name)
            yield reason, line[:600].strip()
