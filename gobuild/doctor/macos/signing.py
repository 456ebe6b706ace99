"""Who signed the go command, and whether this Mac lets it run: codesign, spctl, the quarantine attribute, SIP.

Formats: codesign(1), spctl(8) and csrutil(8) document none; they are read as real output shows them
(tests/data/doctor). The quarantine's flags are those of libquarantine (qtn.h): 0x40 is "the user has agreed".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.core.process import Runner
from gobuild.doctor.macos import asking
from gobuild.doctor.macos.asking import ask, below, found, skipped, why_skipped, words
from gobuild.doctor.macos.reasons import NOTARIZE, SIGN_ANEW
from gobuild.doctor.model import Finding, Grade, Job

CODESIGN, SPCTL, CSRUTIL, XATTR = "/usr/bin/codesign", "/usr/sbin/spctl", "/usr/bin/csrutil", "/usr/bin/xattr"

FIELD = re.compile(r"([A-Za-z][A-Za-z. ]{1,40})=(.{0,500})")
FLAGS = re.compile(r"\bflags=0x[0-9a-f]{1,8}\(([a-z0-9,-]{1,200})\)")
QUARANTINE = re.compile(
    r"(?P<flags>[0-9a-f]{4});(?P<time>[0-9a-f]{0,16});(?P<agent>[^;\n]{0,200});?(?P<uuid>[0-9A-Fa-f-]{0,40})"
)

SECONDS = 5.0
"""For each tool; spctl may ask Apple's servers."""

AGREED = 0x40
NOT_AN_APP = "does not seem to be an app"
"""What spctl says of every valid program that is no app bundle (keybase/client#2706, agent-launch/agent-launcher#5)."""


def collect(job: Job, *, run: Runner) -> dict[str, Any]:
    """Asks Apple's tools about the go command."""
    if not asking.here():
        return dict(asking.NOT_HERE)
    questions: dict[str, list[str | Path]] = {
        "codesign": [CODESIGN, "-dvvv", job.go],
        "verify": [CODESIGN, "--verify", "--strict", "--verbose=2", job.go],
        "status": [SPCTL, "--status"],
        "assess": [SPCTL, "--assess", "--type", "execute", "-vv", job.go],
        "sip": [CSRUTIL, "status"],
        "quarantine": [XATTR, "-p", "com.apple.quarantine", job.go],
    }
    return {name: ask(argv, job=job, run=run, seconds=SECONDS) for name, argv in questions.items()}


def codesigned(text: str) -> dict[str, str]:
    """The fields of ``codesign -dvvv``; of several Authority lines the first, which names the signer."""
    said: dict[str, str] = {}
    for line in text.splitlines():
        if match := FIELD.fullmatch(line):
            said.setdefault(match[1], match[2])
        if match := FLAGS.search(line[:1000]):
            said.setdefault("flags", match[1])
    return said


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says who signed it, whether that is valid, and what Gatekeeper, quarantine and SIP make of it."""
    yield from skipped("signature", part)
    if why_skipped(part):
        return
    for name, judge in JUDGES.items():
        if reason := why_skipped(below(part, name)):
            yield found(NAMES[name], Grade.SKIPPED, reason)
        else:
            yield from judge(part)


def _signer(part: Mapping[str, Any]) -> Iterator[Finding]:
    text = words(part, "codesign")
    said = codesigned(text)
    if "not signed at all" in text:
        advice = (
            "codesign --force --sign - FILE, or gobuild sign: Apple silicon kills what is not signed, Intel does not"
        )
        yield found("signer", Grade.WARN, "not signed", advice)
    elif said.get("Signature") == "adhoc":
        yield found("signer", Grade.OK, f"nobody: ad hoc ({said.get('flags', 'no flags told')})")
    elif "Authority" in said:
        yield found("signer", Grade.OK, f"{said['Authority']}, team {said.get('TeamIdentifier', 'not told')}")
    else:
        yield found("signer", Grade.SKIPPED, f"codesign said nothing that is known: {text[:200] or 'nothing'}")


def _valid(part: Mapping[str, Any]) -> Iterator[Finding]:
    text = words(part, "verify")
    if "valid on disk" in text and "satisfies its Designated Requirement" in text:
        yield found("signature", Grade.OK, "valid on disk, and satisfies its requirement (codesign)")
        return
    if "not signed at all" in text:
        return
    last = (text.strip().splitlines() or ["codesign said nothing"])[-1][:300]
    yield found("signature", Grade.FAIL, last, SIGN_ANEW)


def _gatekeeper(part: Mapping[str, Any]) -> Iterator[Finding]:
    """What spctl says counts for quarantined files alone; and it takes no program for an app."""
    text = words(part, "assess")
    lines = [line.partition(": ")[2] if ": " in line else line for line in text.strip().splitlines()]
    seen = "; ".join(lines[:4]) or "spctl said nothing"
    off = "assessments disabled" in words(part, "status")
    taken = "accepted" in text or NOT_AN_APP in text
    quarantined = QUARANTINE.match(words(part, "quarantine").strip()) is not None
    if off:
        yield found("Gatekeeper", Grade.WARN, f"off on this Mac ({seen})", "sudo spctl --global-enable")
    elif taken or not quarantined:
        says = "" if taken else ": which counts only for quarantined files, and this is none"
        yield found("Gatekeeper", Grade.OK, seen + says)
    else:
        yield found("Gatekeeper", Grade.FAIL, f"{seen}, and the file is quarantined", NOTARIZE)


def _quarantine(part: Mapping[str, Any]) -> Iterator[Finding]:
    text = words(part, "quarantine").strip()
    match = QUARANTINE.match(text)
    if match is None:
        none = "No such xattr" in text
        yield found("quarantine", Grade.OK if none else Grade.SKIPPED, "none" if none else f"not read: {text[:200]!r}")
        return
    agent = match["agent"].replace("\\x20", " ") or "a program without a name"
    seen = f"set by {agent}, flags {match['flags']}"
    if int(match["flags"], 16) & AGREED:
        yield found("quarantine", Grade.OK, f"{seen}: the user has agreed to run it")
    else:
        yield found(
            "quarantine", Grade.WARN, f"{seen}: nobody has agreed yet, so macOS may block its first run", NOTARIZE
        )


def _sip(part: Mapping[str, Any]) -> Iterator[Finding]:
    text = words(part, "sip").strip()
    first = text.partition("\n")[0][:200]
    if not first.startswith("System Integrity Protection status:"):
        yield found("SIP", Grade.SKIPPED, f"csrutil said nothing that is known: {first!r}")
    elif "status: enabled" in first and "Custom" not in text:
        yield found("SIP", Grade.OK, "enabled: dtrace sees no program of the system's")
    else:
        advice = "csrutil enable, from recoveryOS, when the search is over"
        yield found("SIP", Grade.WARN, first, advice)


JUDGES = {"codesign": _signer, "verify": _valid, "assess": _gatekeeper, "quarantine": _quarantine, "sip": _sip}
NAMES = {"codesign": "signer", "verify": "signature", "assess": "Gatekeeper", "quarantine": "quarantine", "sip": "SIP"}
