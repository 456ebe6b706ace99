"""The adapters of other tools: a tool's output comes in, facts go out, and the same facts from our own reader.

A fact is a name and a text; where both have the name, both must have the text. What tools say of a signature stands in
`opinions_signed`. Tried for real on Linux: file 5.44, LLVM
14's otool, nm, lipo and objdump, and apple-platform-py (rcodesign as a library). Apple's otool, lipo and codesign and
the program rcodesign were not at hand: their adapters read recorded output (tests/data/tools, each with its source).
"""

import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from gobuild.binary.elf import Elf
from gobuild.binary.macho_types import ARM64, DYLIBS, EXECUTE, PIE, MachO
from gobuild.binary.view import opened
from gobuild.core.process import Result
from gobuild.verify.checks import Inspected
from gobuild.verify.opinions_signed import (
    LIBRARY,
    Facts,
    codesign_ours,
    codesign_theirs,
    details_ours,
    details_theirs,
    machine,
    rcodesign_theirs,
)

NO_WORDS: tuple[str, ...] = ()
ON_MAC = sys.platform == "darwin"
SAMPLE = 4
"""Instructions that a disassembler is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """A tool's adapter.

    Attributes:
        name: what the report calls it.
        programs: patterns of program names, the best first, each with the words before the path.
        reads: the kinds of files it is asked about.
        theirs: from a run to the tool's facts; only those it has.
        ours: from a file to the same facts; none where there is nothing to ask.
        words: further words that depend on the file.
        module: a Python module, and the program around it, where none of the programs is there.
    """

    name: str
    programs: tuple[tuple[str, tuple[str, ...]], ...]
    reads: tuple[type, ...] = (MachO,)
    theirs: Callable[[Result], Facts]
    ours: Callable[[Inspected], Facts]
    words: Callable[[Inspected], tuple[str, ...]] = lambda _each: NO_WORDS
    module: tuple[str, str] = ("", "")

    @property
    def stand_in(self) -> tuple[str, ...]:
        """The words that run the Python module; none where it is not installed."""
        name, program = self.module
        there = name and importlib.util.find_spec(name) is not None
        return (sys.executable, "-c", program) if there else ()


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


def _file_ours(each: Inspected) -> Facts:
    if isinstance(each.image, MachO):
        executable, pie = each.image.filetype == EXECUTE, bool(each.image.flags & PIE)
        return {"format": "Mach-O", "machine": machine(each.image), "executable": str(executable), "PIE": str(pie)}
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


def _otool_ours(each: Inspected) -> Facts:
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


def _nm_ours(each: Inspected) -> Facts:
    names = each.image.imports if isinstance(each.image, MachO) else ()
    return {"undefined symbols": " ".join(sorted(set(names)))}


def _lipo_theirs(result: Result) -> Facts:
    """Reads `Non-fat file: PATH is architecture: arm64`, or `Architectures in the fat file: PATH are: x86_64 arm64`."""
    thin = re.search(r"^Non-fat file: .* is architecture: (\S+)\s*$", result.output, re.MULTILINE | re.DOTALL)
    fat = re.search(r"^Architectures in the fat file: .* are: (.+?)\s*$", result.output, re.MULTILINE | re.DOTALL)
    if result.code or not (thin or fat):
        return {}
    return {"thin": str(bool(thin)), "machine": thin[1] if thin else fat[1] if fat else ""}


def _lipo_ours(each: Inspected) -> Facts:
    # Our reader takes nothing but thin files.
    return {"thin": "True", "machine": machine(each.image)} if isinstance(each.image, MachO) else {}


def _entry(each: Inspected) -> tuple[int, int] | None:
    """The address and offset where a program begins to work, for arm64: elsewhere instructions have no fixed size.

    From Go 1.26 on the entry point is one branch with zeros behind it: then it is where that leads.
    """
    image = each.image
    text = image.segment("__TEXT") if isinstance(image, MachO) else None
    if not isinstance(image, MachO) or image.cputype != ARM64 or image.entry is None or text is None:
        return None
    with opened(each.path) as view:
        (word,) = view.unpack("<I", image.entry, "the entry")
    offset = image.entry
    if word >> 26 == 0b000101:  # B: 26 bits of a signed distance in instructions
        distance = (word & 0x3FFFFFF) - ((word & 0x2000000) << 1)
        offset += 4 * distance
    within = offset >= 0 and offset + 4 * SAMPLE <= text.filesize
    return (text.vmaddr + offset, offset) if within else None


def _objdump_words(each: Inspected) -> tuple[str, ...]:
    place = _entry(each)
    return (f"--start-address={place[0]}", f"--stop-address={place[0] + 4 * SAMPLE}") if place else ()


def _objdump_theirs(result: Result) -> Facts:
    """Reads lines of an address, the bytes or the word, and the instruction; up to LLVM 15 there are bytes."""
    lines = re.findall(
        r"^ *([0-9a-f]+): +((?:[0-9a-f]{2} ){3}[0-9a-f]{2}|[0-9a-f]{8}) *\t(.+)$", result.output, re.MULTILINE
    )
    if result.code or not lines:
        return {}
    words = [code.replace(" ", "") if " " in code else bytes.fromhex(code)[::-1].hex() for _, code, _ in lines]
    decoded = [text for _, _, text in lines if not re.match(r"<unknown>|\.(?:long|word|byte|inst)\b|udf\b", text)]
    form = re.search(r"file format mach-o[- ](\S+)", result.output, re.IGNORECASE)
    return {
        "start": lines[0][0].lstrip("0"),
        "code there": " ".join(words),
        "instructions there": str(len(decoded)),
        **({"machine": form[1].lower()} if form else {}),
    }


def _objdump_ours(each: Inspected) -> Facts:
    place = _entry(each)
    if place is None or not isinstance(each.image, MachO):
        return {}
    with opened(each.path) as view:
        code = view.copy(place[1], 4 * SAMPLE, "the entry")
    return {
        "start": f"{place[0]:x}",
        "code there": " ".join(code[at : at + 4].hex() for at in range(0, len(code), 4)),
        "instructions there": str(SAMPLE),
        "machine": machine(each.image),
    }


OPINIONS = (
    Opinion(
        name="file",
        programs=((r"file()", ("--brief",)),),
        reads=(MachO, Elf),
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
        theirs=_otool_theirs,
        ours=_otool_ours,
    ),
    Opinion(
        name="nm",
        # GNU's nm reads no Mach-O: plain nm counts on macOS only.
        programs=((r"llvm-nm(?:-(\d+))?", ("-u",)), *(((r"nm()", ("-u",)),) if ON_MAC else ())),
        theirs=_nm_theirs,
        ours=_nm_ours,
    ),
    Opinion(
        name="lipo",
        programs=((r"lipo()", ("-info",)), (r"llvm-lipo(?:-(\d+))?", ("-info",))),
        theirs=_lipo_theirs,
        ours=_lipo_ours,
    ),
    Opinion(
        name="objdump",
        # GNU's objdump reads no Mach-O either.
        programs=((r"llvm-objdump(?:-(\d+))?", ("-d",)), *(((r"objdump()", ("-d",)),) if ON_MAC else ())),
        theirs=_objdump_theirs,
        ours=_objdump_ours,
        words=_objdump_words,
    ),
    Opinion(
        name="codesign",
        programs=((r"codesign()", ("--verify", "--strict")),),
        theirs=codesign_theirs,
        ours=codesign_ours,
    ),
    Opinion(
        name="codesign, details",
        programs=((r"codesign()", ("--display", "--verbose=4")),),
        theirs=details_theirs,
        ours=details_ours,
    ),
    Opinion(
        name="rcodesign",
        programs=((r"rcodesign()", ("print-signature-info",)),),
        # What it says of validity is no oracle (it never binds the CMS to the CodeDirectory); what it reads is.
        theirs=rcodesign_theirs,
        ours=details_ours,
        module=("apple_platform", LIBRARY),
    ),
)
