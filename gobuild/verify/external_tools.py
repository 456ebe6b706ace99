"""Second opinions: what `file`, `otool`, `nm` and `codesign` read in the same files, held against our own reader.

A fact is a name and a text; where the tool and our reader both have it, both must have the same text. A file that our
reader already refused is not asked about. Tried for real on Linux: file 5.44 and LLVM 14's otool and nm. Apple's otool
and codesign were not at hand: their adapters read recorded output (tests/data/tools, each with its source).
"""

import os
import re
import shutil
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
MACHINES = {ARM64: "arm64", X86_64: "x86_64", "EM_AARCH64": "arm64", "EM_X86_64": "x86_64"}

STUB = re.compile(r"xcode-select|xcrun: error")
"""What the stubs /usr/bin/otool and nm say on a Mac without the Command Line Tools. It could not be tried there."""

TIME_LIMIT = 60.0
"""Seconds a tool has for one file; they need a tenth of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTool:
    """A tool, and how to hold it against our reader."""

    name: str  # what the report calls it
    # The best first, each with the words before the path; LLVM's may have a number behind their names
    programs: tuple[tuple[str, ...], ...]
    about: str  # a fact that our reader must know of a file, or the tool is not asked about it
    read: Callable[[Result], Facts]  # from a run to the tool's facts; only those it has


def second_opinions(files: Sequence[FileReport], *, path: str, scratch: Path, run: Runner) -> Iterator[Check]:
    """Asks every tool that is there, in the folders of `path`, about every file; `scratch` is the tools' HOME."""
    known = [(each, our_facts(each)) for each in files]
    for tool in TOOLS:
        if asked := [(each, facts) for each, facts in known if tool.about in facts]:
            yield from _ask_about_all(tool, asked, path=path, scratch=scratch, run=run)


def _ask_about_all(
    tool: ExternalTool, files: list[tuple[FileReport, Facts]], *, path: str, scratch: Path, run: Runner
) -> list[Check]:
    """A check for each file that the tool disputes, or one for all of them."""
    everything = FileReport(subject="all")
    words = _find(tool, path)
    if not words:
        programs = " or ".join(name for name, *_ in tool.programs)
        return everything.skip(CheckId.SECOND_OPINION, f"no {programs} on PATH", of=tool.name).checks
    env = {"PATH": path, "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C"}

    def ask(asked: tuple[FileReport, Facts]) -> list[Check]:
        file, ours = asked
        try:
            result = run([*words, file.path.absolute()], env=env, cwd=scratch, timeout=TIME_LIMIT, check=False)
            seen, expected = _dispute(tool, result, ours)
        except CommandError as error:
            seen, expected = error.reason, "an answer"
        found, problem = FileReport(subject=file.subject), Problem("second-opinion", seen)
        if seen:
            found.judge(CheckId.SECOND_OPINION, [problem], seen="", expected=expected, of=tool.name)
        return found.checks

    try:
        # The tools are processes of their own: as many at once as there are processors.
        with Threads(os.cpu_count()) as pool, kill_children_on_failure():
            disputed = list(chain.from_iterable(pool.map(ask, files)))
    except ToolMissing as error:
        return everything.skip(CheckId.SECOND_OPINION, error.reason, of=tool.name).checks
    agrees = f"{Path(words[0]).name} agrees on {len(files)} of {len(files)} files"
    return disputed or everything.judge(CheckId.SECOND_OPINION, [], seen=agrees, expected="", of=tool.name).checks


def _dispute(tool: ExternalTool, result: Result, ours: Facts) -> tuple[str, str]:
    """What the tool says where it disagrees, and what our reader says there; two empty strings where they agree.

    ToolMissing, where the program only stands in for one that is not installed.
    """
    theirs, program = tool.read(result), Path(result.argv[0])
    if not theirs and STUB.search(result.output):
        raise ToolMissing(f"{program} only stands for Xcode's, which is not installed")
    if not theirs:
        return f"exit code {result.code}: {result.tail(3)}", "an answer"
    differing = [key for key, value in theirs.items() if value != ours.get(key, "")]
    return (
        "; ".join(f"{program.name} reads {key} {theirs[key] or 'none'}" for key in differing),
        "; ".join(f"our reader reads {key} {ours.get(key) or 'none'}" for key in differing),
    )


def _find(tool: ExternalTool, path: str) -> tuple[str, ...]:
    """The first program there is, with its words; of LLVM's numbered ones, llvm-nm-14 and -16, the newest."""
    folders = os.pathsep.join(filter(None, path.split(os.pathsep)))
    for name, *words in tool.programs:
        numbered = [f"{name}-{number}" for number in range(99, 8, -1)] if name.startswith("llvm-") else []
        for each in (name, *numbered):
            if found := shutil.which(each, path=folders):
                return (found, *words)
    return ()


def our_facts(each: FileReport) -> Facts:
    """All that our reader knows of a file and that a tool may be asked; nothing where it could not be read."""
    image, signature = each.image, each.signature
    if isinstance(image, Elf):
        return {
            "format": "ELF",
            "machine": MACHINES.get(image.machine, "other"),
            "executable": str(image.kind in ("ET_EXEC", "ET_DYN")),
            "static": str(not image.interpreter and not image.needed),
        }
    if not isinstance(image, MachO):
        return {}
    machine = MACHINES.get(image.cputype, "other")
    facts = {
        "format": "Mach-O",
        "machine": "arm64e" if machine == "arm64" and image.cpusubtype == 2 else machine,
        "executable": str(image.filetype == EXECUTE),
        "PIE": str(bool(image.flags & PIE)),
        "load commands": " ".join(image.commands),
        "segments": " ".join(f"{segment.name}@{segment.fileoff}+{segment.filesize}" for segment in image.segments),
        "install names": " ".join(name for _command, name in image.dylibs),
        "UUID": image.uuid,
        "minos": image.minos,
        "SDK": image.sdk,
        "place of the signature": f"{image.signature.offset}+{image.signature.size}" if image.signature else "",
        "undefined symbols": " ".join(sorted(set(image.imports))),
        "signature": "valid" if signature and not signature.problems else "not valid",
    }
    if signature and signature.directory:
        directory = signature.directory
        facts |= {
            "identifier": directory.identifier,
            "version": f"{directory.header.version:x}",
            "flags": f"{directory.header.flags:#x}",
            "hashes": str(directory.header.n_code_slots),
            "special slots": str(directory.header.n_special_slots),
            "ad hoc": str(bool(directory.header.flags & AD_HOC)),
            "team": directory.team,
            "cdhash": directory.cdhash.hex(),
        }
    return facts


def read_file(result: Result) -> Facts:
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


def read_otool(result: Result) -> Facts:
    """Reads `otool -l`: records that begin with "Load command N", lines of a key and a value."""
    records = re.split(r"^Load command .*$", result.output, flags=re.MULTILINE)[1:]
    heads = [record.partition("\nSection")[0] for record in records]
    commands = [dict(re.findall(r"^ *(\S+) +(.*?) *$", head, re.MULTILINE)) for head in heads]
    if result.code or not commands:
        return {}
    first = {command.get("cmd", ""): command for command in reversed(commands)}
    version, signature = first.get("LC_BUILD_VERSION", {}), first.get("LC_CODE_SIGNATURE", {})
    segments = [command for command in commands if command.get("cmd") == "LC_SEGMENT_64"]
    names = [command.get("name", "") for command in commands if command.get("cmd") in DYLIBS]
    return {
        "load commands": " ".join(command.get("cmd", "?") for command in commands),
        "segments": " ".join(f"{each['segname']}@{each['fileoff']}+{each['filesize']}" for each in segments),
        "install names": " ".join(re.sub(r" \(offset \d+\)$", "", name) for name in names),
        "UUID": first.get("LC_UUID", {}).get("uuid", "").replace("-", "").lower(),
        "minos": version.get("minos", ""),
        "SDK": version.get("sdk", ""),
        "place of the signature": f"{signature['dataoff']}+{signature['datasize']}" if signature else "",
    }


def read_nm(result: Result) -> Facts:
    """Reads `nm -u`: a name a line, some versions with a U before it."""
    names = re.findall(r"^\s*(?:U )?(_\S+)\s*$", result.output, re.MULTILINE)
    return {} if result.code else {"undefined symbols": " ".join(sorted(set(names)))}


def read_codesign(result: Result) -> Facts:
    """`codesign --verify` says all by its exit code: 0 valid, 1 not; others are errors of its own."""
    return {"signature": "valid" if result.code == 0 else "not valid"} if result.code in (0, 1) else {}


def read_codesign_display(result: Result) -> Facts:
    """Reads `codesign --display --verbose=4`: lines of KEY=VALUE, and one with the CodeDirectory's fields."""
    said = dict(re.findall(r"^([A-Za-z][A-Za-z. ]*?)=(.*?)\s*$", result.output, re.MULTILINE))
    directory = re.search(
        r"^CodeDirectory v=([0-9a-f]+) size=\d+ flags=(0x[0-9a-f]+)\S* hashes=(\d+)\+(\d+) location=embedded",
        result.output,
        re.MULTILINE,
    )
    if result.code or not directory:
        return {}
    thin = re.search(r"Mach-O thin \((\S+?)\)", said.get("Format", ""))
    facts = dict(zip(("version", "flags", "hashes", "special slots"), directory.groups(), strict=True)) | {
        "identifier": said.get("Identifier", ""),
        "ad hoc": str(said.get("Signature") == "adhoc"),
        "team": said.get("TeamIdentifier", "not set").replace("not set", ""),
    }
    if thin:
        facts["machine"] = thin[1]
    return facts | ({"cdhash": said["CDHash"]} if "CDHash" in said else {})


# GNU's nm reads no Mach-O: plain nm counts on macOS only.
_NM = (("llvm-nm", "-u"), *([("nm", "-u")] if sys.platform == "darwin" else []))
_OTOOL = (("otool", "-l"), ("llvm-otool", "-l"), ("llvm-objdump", "--macho", "--private-headers"))
_VERIFY, _DISPLAY = ("codesign", "--verify", "--strict"), ("codesign", "--display", "--verbose=4")
TOOLS = (
    ExternalTool(name="file", programs=(("file", "--brief"),), about="format", read=read_file),
    ExternalTool(name="otool", programs=_OTOOL, about="load commands", read=read_otool),
    ExternalTool(name="nm", programs=_NM, about="undefined symbols", read=read_nm),
    ExternalTool(name="codesign", programs=(_VERIFY,), about="signature", read=read_codesign),
    ExternalTool(name="codesign, details", programs=(_DISPLAY,), about="identifier", read=read_codesign_display),
)
