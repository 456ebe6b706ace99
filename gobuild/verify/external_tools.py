"""Second opinions: what `file`, `otool`, `nm` and `codesign` read in the same files, held against our own reader.

A fact is a name and a text; where the tool and our reader both have it, both must have the same text. A file that our
reader already refused is not asked about. Tried for real on Linux: file 5.44 and LLVM 14's otool and nm. Apple's otool
and codesign were not at hand: their adapters read recorded output (tests/data/tools, each with its source).
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gobuild.binary.elf import Elf
from gobuild.binary.macho_types import ARM64, DYLIBS, EXECUTE, PIE, X86_64, MachO
from gobuild.codesign.superblob import AD_HOC
from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.model import Check, Problem
from gobuild.core.process import Result, Runner, Threads, kill_children_on_failure
from gobuild.verify.checks import CheckId, FileReport

Facts = Mapping[str, str]
MACHINES = {ARM64: "arm64", X86_64: "x86_64"}
ON_MAC = sys.platform == "darwin"

STUB = re.compile(r"xcode-select|xcrun: error")
"""What the stubs /usr/bin/otool and nm say on a Mac without the Command Line Tools. It could not be tried there."""

TIME_LIMIT = 60.0
"""Seconds a tool has for one file; they need a tenth of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTool:
    """A tool, and how to hold it against our reader.

    Attributes:
        name: what the report calls it.
        programs: patterns of program names, the best first, each with the words before the path.
        reads: the kinds of files it is asked about.
        theirs: from a run to the tool's facts; only those it has.
        ours: from a file to the same facts; none where there is nothing to ask.
    """

    name: str
    programs: tuple[tuple[str, tuple[str, ...]], ...]
    reads: tuple[type, ...] = (MachO,)
    theirs: Callable[[Result], Facts]
    ours: Callable[[FileReport], Facts]


def second_opinions(files: Sequence[FileReport], *, path: str, scratch: Path, run: Runner) -> Iterator[Check]:
    """Asks every tool that is there, in the folders of `path`, about every file; `scratch` is the tools' HOME."""
    for tool in TOOLS:
        if readable := [each for each in files if isinstance(each.image, tool.reads) and tool.ours(each)]:
            yield from _ask_about_all(tool, readable, path=path, scratch=scratch, run=run)


def _ask_about_all(
    tool: ExternalTool, files: list[FileReport], *, path: str, scratch: Path, run: Runner
) -> list[Check]:
    """A check for each file that the tool disputes, or one for all of them."""
    everything = FileReport(path=scratch, subject="all")
    words = _find(tool, path)
    if not words:
        programs = " or ".join(pattern.partition("(")[0] for pattern, _ in tool.programs)
        everything.skip(CheckId.SECOND_OPINION, f"no {programs} on PATH", of=tool.name)
        return everything.checks
    env = {"PATH": path, "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C"}

    def ask(each: FileReport) -> list[Check]:
        seen, expected = _ask(tool, each, words, env=env, cwd=scratch, run=run)
        report = FileReport(path=each.path, subject=each.subject)
        if seen:
            problem = Problem("second-opinion", seen)
            report.judge(CheckId.SECOND_OPINION, [problem], seen="", expected=expected, of=tool.name)
        return report.checks

    try:
        # The tools are processes of their own: as many at once as there are processors.
        with Threads(os.cpu_count()) as pool, kill_children_on_failure():
            disputed = list(chain.from_iterable(pool.map(ask, files)))
    except ToolMissing as error:
        everything.skip(CheckId.SECOND_OPINION, error.reason, of=tool.name)
        return everything.checks
    agrees = f"{Path(words[0]).name} agrees on {len(files)} of {len(files)} files"
    everything.judge(CheckId.SECOND_OPINION, [], seen=agrees, expected="", of=tool.name)
    return disputed or everything.checks


def _ask(
    tool: ExternalTool, each: FileReport, words: Sequence[str], *, env: Mapping[str, str], cwd: Path, run: Runner
) -> tuple[str, str]:
    """What the tool says where it disagrees, and what our reader says there; two empty strings where they agree.

    Raises:
        ToolMissing: the program cannot be run, or only stands in for one that is not installed.
    """
    try:
        result = run([*words, each.path.absolute()], env=env, cwd=cwd, timeout=TIME_LIMIT, check=False)
    except CommandError as error:
        return str(error.reason), "an answer"
    ours, theirs = tool.ours(each), tool.theirs(result)
    if not theirs and STUB.search(result.output):
        raise ToolMissing(f"{words[0]} only stands for Xcode's, which is not installed")
    if not theirs:
        return f"exit code {result.code}: {result.tail(3)}", "; ".join(f"{key} {value}" for key, value in ours.items())
    called = Path(words[0]).name
    differing = [key for key, value in theirs.items() if value != ours.get(key, "")]
    return (
        "; ".join(f"{called} reads {key} {theirs[key] or 'none'}" for key in differing),
        "; ".join(f"our reader reads {key} {ours.get(key) or 'none'}" for key in differing),
    )


def _find(tool: ExternalTool, path: str) -> tuple[str, ...]:
    """The first program there is, with its words; of several numbered ones, llvm-nm-14 and -16, the newest."""
    for pattern, words in tool.programs:
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
    return ()


def _machine(image: MachO) -> str:
    """How Apple's and LLVM's tools call the file's machine."""
    name = MACHINES.get(image.cputype, "other")
    return "arm64e" if name == "arm64" and image.cpusubtype == 2 else name


def _file_theirs(result: Result) -> Facts:
    """Reads `Mach-O 64-bit arm64 executable, flags:<|DYLDLINK|PIE>` (Apple's: `Mach-O 64-bit executable arm64`)."""
    text = result.output
    match = re.search(r"\b(?:(ELF|Mach-O) 64-bit)", text)
    arch = re.search(r"\b(arm64e?|aarch64|x86[-_]64)\b", text)
    if result.code or not match or not arch:
        return {}
    facts = {"format": match[1], "machine": {"aarch64": "arm64", "x86-64": "x86_64"}.get(arch[1], arch[1])}
    facts["executable"] = str("executable" in text)
    if "flags:<" in text:
        facts["PIE"] = str("PIE" in text.partition("flags:<")[2])
    if match[1] == "ELF":
        facts["static"] = str("statically linked" in text or "static-pie linked" in text)
    return facts


def _file_ours(each: FileReport) -> Facts:
    if isinstance(each.image, MachO):
        executable, pie = each.image.filetype == EXECUTE, bool(each.image.flags & PIE)
        return {"format": "Mach-O", "machine": _machine(each.image), "executable": str(executable), "PIE": str(pie)}
    if isinstance(each.image, Elf):
        kind = {"EM_AARCH64": "arm64", "EM_X86_64": "x86_64"}.get(each.image.machine, "other")
        static = not each.image.interpreter and not each.image.needed
        executable = each.image.kind in ("ET_EXEC", "ET_DYN")
        return {"format": "ELF", "machine": kind, "executable": str(executable), "static": str(static)}
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


def _otool_ours(each: FileReport) -> Facts:
    image = each.image
    if not isinstance(image, MachO):
        return {}
    return {
        "load commands": " ".join(image.commands),
        "segments": " ".join(f"{segment.name}@{segment.fileoff}+{segment.filesize}" for segment in image.segments),
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


def _nm_ours(each: FileReport) -> Facts:
    names = each.image.imports if isinstance(each.image, MachO) else ()
    return {"undefined symbols": " ".join(sorted(set(names)))}


def _codesign_theirs(result: Result) -> Facts:
    """`codesign --verify` says all by its exit code: 0 valid, 1 not; others are errors of its own."""
    return {"signature": "valid" if result.code == 0 else "not valid"} if result.code in (0, 1) else {}


def _codesign_ours(each: FileReport) -> Facts:
    """Whether our reader finds nothing wrong with the signature."""
    valid = each.signature is not None and not each.signature.problems
    return {"signature": "valid" if valid else "not valid"}


def _details_theirs(result: Result) -> Facts:
    """Reads `codesign --display --verbose=4`: lines of KEY=VALUE, and one with the CodeDirectory's fields."""
    said = dict(re.findall(r"^([A-Za-z][A-Za-z. ]*?)=(.*?)\s*$", result.output, re.MULTILINE))
    directory = re.search(
        r"^CodeDirectory v=([0-9a-f]+) size=(\d+) flags=(0x[0-9a-f]+)\S* hashes=(\d+)\+(\d+) location=embedded",
        result.output,
        re.MULTILINE,
    )
    if result.code or not directory:
        return {}
    thin = re.search(r"Mach-O thin \((\S+?)\)", said.get("Format", ""))
    facts = {
        "identifier": said.get("Identifier", ""),
        "version": directory[1],
        "flags": directory[3],
        "hashes": directory[4],
        "special slots": directory[5],
        "ad hoc": str(said.get("Signature") == "adhoc"),
        "team": said.get("TeamIdentifier", "not set").replace("not set", ""),
    }
    if thin:
        facts["machine"] = thin[1]
    return facts | ({"cdhash": said["CDHash"]} if "CDHash" in said else {})


def _details_ours(each: FileReport) -> Facts:
    """What our reader knows of the CodeDirectory; nothing where it could not be read."""
    image, signature = each.image, each.signature
    if not isinstance(image, MachO) or signature is None or signature.directory is None:
        return {}
    directory = signature.directory
    return {
        "identifier": directory.identifier,
        "version": f"{directory.header.version:x}",
        "flags": f"{directory.header.flags:#x}",
        "hashes": str(directory.header.n_code_slots),
        "special slots": str(directory.header.n_special_slots),
        "ad hoc": str(bool(directory.header.flags & AD_HOC)),
        "team": directory.team,
        "machine": _machine(image),
        "cdhash": directory.cdhash.hex(),
    }


TOOLS = (
    ExternalTool(
        name="file",
        programs=((r"file()", ("--brief",)),),
        reads=(MachO, Elf),
        theirs=_file_theirs,
        ours=_file_ours,
    ),
    ExternalTool(
        name="otool",
        programs=(
            (r"otool()", ("-l",)),
            (r"llvm-otool(?:-(\d+))?", ("-l",)),
            (r"llvm-objdump(?:-(\d+))?", ("--macho", "--private-headers")),
        ),
        theirs=_otool_theirs,
        ours=_otool_ours,
    ),
    ExternalTool(
        name="nm",
        # GNU's nm reads no Mach-O: plain nm counts on macOS only.
        programs=((r"llvm-nm(?:-(\d+))?", ("-u",)), *(((r"nm()", ("-u",)),) if ON_MAC else ())),
        theirs=_nm_theirs,
        ours=_nm_ours,
    ),
    ExternalTool(
        name="codesign",
        programs=((r"codesign()", ("--verify", "--strict")),),
        theirs=_codesign_theirs,
        ours=_codesign_ours,
    ),
    ExternalTool(
        name="codesign, details",
        programs=((r"codesign()", ("--display", "--verbose=4")),),
        theirs=_details_theirs,
        ours=_details_ours,
    ),
)
