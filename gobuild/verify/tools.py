"""Second opinions: what other programs read in the same files, held against what our own reader says.

`Inspected` files come in, checks go out: one that says a tool agrees on all of them, one for each file on which it
does not, or one SKIPPED where the machine has no such tool. Each tool has one adapter, which turns its output into
the same facts our reader has. A file that our reader already refused is not asked about.

Tried with file 5.44 and LLVM 14 on Linux. Apple's otool, nm and codesign could not be tried; their documented output
is what LLVM's imitate.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.errors import CommandError, ToolMissing
from gobuild.model import Check, Verdict
from gobuild.run import Result, Runner
from gobuild.verify.checks import Inspected
from gobuild.verify.elf import Elf
from gobuild.verify.image import ARM64, DYLIBS, EXECUTE, PIE, X86_64, MachO

Facts = dict[str, str]

STUB = re.compile(r"xcode-select|xcrun: error")
"""What the stubs /usr/bin/otool and nm say on a Mac without the Command Line Tools. It could not be tried there."""

TIME_LIMIT = 60.0
"""Seconds a tool has for one file; they need a tenth of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """A tool's adapter.

    Attributes:
        name: what the report calls it.
        programs: patterns of program names, the best first, each with the words before the path.
        reads: the GOOS whose files it is asked about.
        theirs: from a run to the tool's facts; only those it has.
        ours: from a file to the same facts.
    """

    name: str
    programs: tuple[tuple[str, tuple[str, ...]], ...]
    reads: tuple[str, ...]
    theirs: Callable[[Result], Facts]
    ours: Callable[[Inspected], Facts]


def second_opinions(
    files: Sequence[Inspected],
    *,
    goos: str,
    path: str,
    scratch: Path,
    run: Runner,
) -> Iterator[Check]:
    """Asks every tool that is there about every file.

    Args:
        files: inspected files.
        goos: their operating system.
        path: the folders to look for tools in, as in PATH.
        scratch: a folder for the tools' HOME.
        run: starts the tools.
    """
    readable = [each for each in files if each.image]
    for opinion in OPINIONS:
        if goos in opinion.reads and readable:
            yield from _opinion(opinion, readable, path=path, scratch=scratch, run=run)


def _opinion(opinion: Opinion, files: list[Inspected], *, path: str, scratch: Path, run: Runner) -> list[Check]:
    """One tool on every file: a check for each that it disputes, or one for all of them."""
    name = f"second opinion: {opinion.name}"

    def of_all(verdict: Verdict, seen: str) -> list[Check]:
        return [Check(subject="all", name=name, verdict=verdict, seen=seen)]

    words = _find(opinion, path)
    if words is None:
        programs = " or ".join(_plain(pattern) for pattern, _ in opinion.programs)
        return of_all(Verdict.SKIPPED, f"no {programs} on PATH")
    env = {"PATH": path, "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C"}
    disputed = []
    try:
        for each in files:
            seen, expected = _ask(opinion, each, words, env=env, cwd=scratch, run=run)
            if seen:
                found = Check(subject=each.subject, name=name, verdict=Verdict.FAILED, seen=seen, expected=expected)
                disputed.append(found)
    except ToolMissing as error:
        return of_all(Verdict.SKIPPED, error.reason)
    return disputed or of_all(Verdict.OK, f"{Path(words[0]).name} agrees on {len(files)} of {len(files)} files")


def _ask(
    opinion: Opinion, each: Inspected, words: Sequence[str], *, env: Mapping[str, str], cwd: Path, run: Runner
) -> tuple[str, str]:
    """What the tool says where it disagrees, and what our reader says there; two empty strings where they agree.

    Raises:
        ToolMissing: the program cannot be run, or only stands in for one that is not installed.
    """
    try:
        result = run([*words, each.path.absolute()], env=env, cwd=cwd, timeout=TIME_LIMIT, check=False)
    except CommandError as error:
        return str(error.reason), "an answer"
    ours, theirs = opinion.ours(each), opinion.theirs(result)
    if not theirs and STUB.search(result.output):
        raise ToolMissing(f"{words[0]} only stands for Xcode's, which is not installed")
    if not theirs:
        return f"exit code {result.code}: {result.tail(3)}", "; ".join(f"{key} {value}" for key, value in ours.items())
    differing = [key for key, value in theirs.items() if value != ours.get(key, "")]
    return (
        "; ".join(f"{Path(words[0]).name} reads {key} {theirs[key] or 'none'}" for key in differing),
        "; ".join(f"our reader reads {key} {ours.get(key) or 'none'}" for key in differing),
    )


def _find(opinion: Opinion, path: str) -> tuple[str, ...] | None:
    """The first program there is, with its words; of several numbered ones, llvm-nm-14 and -16, the newest."""
    for pattern, words in opinion.programs:
        found = []
        for folder in filter(None, path.split(os.pathsep)):
            try:
                names = [each.name for each in Path(folder).iterdir()]
            except OSError:  # not there, or not for this user to read
                continue
            matches = (re.fullmatch(pattern, name) for name in names)
            found += [(int(match[1] or 1 << 16), folder, match[0]) for match in matches if match]
        usable = [each for each in found if os.access(Path(each[1], each[2]), os.X_OK)]
        if usable:
            # max keeps the first of equals: PATH's own order.
            _, folder, name = max(usable, key=lambda each: each[0])
            return (str(Path(folder, name)), *words)
    return None


def _plain(pattern: str) -> str:
    return pattern.split("(", 1)[0]


def _file_theirs(result: Result) -> Facts:
    """Reads `Mach-O 64-bit arm64 executable, flags:<|DYLDLINK|PIE>` (Apple's: `Mach-O 64-bit executable arm64`)."""
    text = result.output
    match = re.search(r"\b(?:(ELF|Mach-O) 64-bit)", text)
    arch = re.search(r"\b(arm64e?|aarch64|x86[-_]64)\b", text)
    if result.code or not match or not arch:
        return {}
    facts = {"format": match[1], "machine": {"aarch64": "arm64", "x86_64": "x86-64"}.get(arch[1], arch[1])}
    facts["executable"] = str("executable" in text)
    if "flags:<" in text:
        facts["PIE"] = str("PIE" in text.partition("flags:<")[2])
    if match[1] == "ELF":
        facts["static"] = str("statically linked" in text)
    return facts


def _file_ours(each: Inspected) -> Facts:
    if isinstance(each.image, MachO):
        machine = {ARM64: "arm64", X86_64: "x86-64"}.get(each.image.cputype, "other")
        if machine == "arm64" and each.image.cpusubtype == 2:
            machine = "arm64e"
        executable, pie = each.image.filetype == EXECUTE, bool(each.image.flags & PIE)
        return {"format": "Mach-O", "machine": machine, "executable": str(executable), "PIE": str(pie)}
    if isinstance(each.image, Elf):
        machine = {"EM_AARCH64": "arm64", "EM_X86_64": "x86-64"}.get(each.image.machine, "other")
        static = not each.image.interpreter and not each.image.needed
        executable = each.image.kind in ("ET_EXEC", "ET_DYN")
        return {"format": "ELF", "machine": machine, "executable": str(executable), "static": str(static)}
    return {}


def _otool_theirs(result: Result) -> Facts:
    """Reads `otool -l`: records that begin with "Load command N", lines of a key and a value."""
    commands: list[dict[str, str]] = []
    inside = False
    for line in result.output.splitlines():
        if line.startswith("Load command "):
            commands.append({})
            inside = True
        elif line.startswith("Section"):
            inside = False
        elif inside:
            key, _, value = line.strip().partition(" ")
            commands[-1].setdefault(key, value.strip())
    if result.code or not commands:
        return {}
    first = {command.get("cmd", ""): command for command in reversed(commands)}
    version, signature = first.get("LC_BUILD_VERSION", {}), first.get("LC_CODE_SIGNATURE", {})
    return {
        "load commands": " ".join(command.get("cmd", "?") for command in commands),
        "segments": " ".join(
            f"{command['segname']}@{command['fileoff']}+{command['filesize']}"
            for command in commands
            if command.get("cmd") == "LC_SEGMENT_64"
        ),
        "install names": " ".join(
            re.sub(r" \(offset \d+\)$", "", command.get("name", ""))
            for command in commands
            if command.get("cmd") in DYLIBS
        ),
        "UUID": first.get("LC_UUID", {}).get("uuid", "").replace("-", "").lower(),
        "minos": version.get("minos", ""),
        "SDK": version.get("sdk", ""),
        "signature": f"{signature['dataoff']}+{signature['datasize']}" if signature else "",
    }


def _otool_ours(each: Inspected) -> Facts:
    image = each.image
    if not isinstance(image, MachO):
        return {}
    return {
        "load commands": " ".join(image.commands),
        "segments": " ".join(f"{segment.name}@{segment.offset}+{segment.size}" for segment in image.segments),
        "install names": " ".join(name for _command, name in image.dylibs),
        "UUID": image.uuid,
        "minos": image.minos,
        "SDK": image.sdk,
        "signature": f"{image.signature.offset}+{image.signature.size}" if image.signature else "",
    }


def _nm_theirs(result: Result) -> Facts:
    """Reads `nm -u`: a name a line, some versions with a U before it."""
    names = re.findall(r"^\s*(?:U )?(_\S+)\s*$", result.output, re.MULTILINE)
    return {} if result.code else {"undefined symbols": " ".join(sorted(set(names)))}


def _nm_ours(each: Inspected) -> Facts:
    names = each.image.imports if isinstance(each.image, MachO) else ()
    return {"undefined symbols": " ".join(sorted(set(names)))}


def _codesign_theirs(result: Result) -> Facts:
    """`codesign --verify` says all by its exit code: 0 valid, 1 not; others are errors of its own."""
    return {"signature": "valid" if result.code == 0 else "not valid"} if result.code in (0, 1) else {}


def _codesign_ours(each: Inspected) -> Facts:
    valid = each.signature is not None and not each.signature.problems
    return {"signature": "valid" if valid else "not valid"}


OPINIONS = (
    Opinion(
        name="file",
        programs=((r"file()", ("--brief",)),),
        reads=("darwin", "linux"),
        theirs=_file_theirs,
        ours=_file_ours,
    ),
    Opinion(
        name="otool",
        programs=(
            (r"otool()", ("-l",)),
            (r"llvm-otool(?:-(\d+))?", ("-l",)),
            (r"llvm-objdump(?:-(\d+))?", ("--macho", "--private-headers")),
        ),
        reads=("darwin",),
        theirs=_otool_theirs,
        ours=_otool_ours,
    ),
    Opinion(
        name="nm",
        # GNU's nm reads no Mach-O: plain nm counts on macOS only.
        programs=((r"llvm-nm(?:-(\d+))?", ("-u",)), *(((r"nm()", ("-u",)),) if sys.platform == "darwin" else ())),
        reads=("darwin",),
        theirs=_nm_theirs,
        ours=_nm_ours,
    ),
    Opinion(
        name="codesign",
        programs=((r"codesign()", ("--verify", "--strict")),),
        reads=("darwin",),
        theirs=_codesign_theirs,
        ours=_codesign_ours,
    ),
)
