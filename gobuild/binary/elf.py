"""ELF headers and sections, read with pyelftools.

Every count is bounded before pyelftools loops over it, and whatever it makes of a damaged file becomes `Malformed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from gobuild.binary.view import Malformed, Range, View

HEADERS_LIMIT = 256
"""Program headers, section headers and dynamic tags; Go's binaries have about ten, thirty and none."""

C_SECTIONS = frozenset({".init", ".fini", ".init_array", ".fini_array", ".eh_frame", ".comment"})
"""Sections that libc's start-up files and C objects bring into a program, and of which Go's own linker writes none (nor
for -buildmode=pie, which has an interpreter too): src/cmd/link/internal/ld/elf.go, doelf."""

LOAD = ("p_vaddr", "p_memsz", "p_offset", "p_filesz")


@dataclass(frozen=True, slots=True)
class Load:
    """A PT_LOAD segment."""

    writable: bool
    executable: bool
    vaddr: int
    memsz: int
    offset: int
    filesz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """What the headers of an ELF file say.

    Attributes:
        form: "64-bit little-endian".
        machine, kind: as the ELF specification names them: "EM_X86_64", "ET_EXEC".
        entry: the address of the first instruction.
        executable_stack: whether PT_GNU_STACK asks for one, or is missing.
        places: each section that has bytes in the file.
    """

    form: str
    machine: str
    kind: str
    entry: int
    interpreter: bool
    needed: tuple[str, ...]
    loads: tuple[Load, ...]
    executable_stack: bool
    sections: frozenset[str]
    places: Mapping[str, Range]


def read_elf(view: View) -> Elf:
    """Reads a file's headers."""
    if view.data[:4] != b"\x7fELF":
        raise Malformed(f"no ELF file: it begins with {view.data[:4].hex()}")
    stream: Any = BytesIO(view.data) if isinstance(view.data, bytes) else view.data
    stream.seek(0)
    try:
        return _read(ELFFile(stream))
    except (ELFError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        # Tried on thousands of damaged files: pyelftools has its own errors, and lets Python's through as well.
        raise Malformed(f"a damaged ELF file: {error}") from error


def _read(elf: Any) -> Elf:
    if max(elf.num_segments(), elf.num_sections()) > HEADERS_LIMIT:
        raise Malformed("too many headers")
    segments = list(elf.iter_segments())
    sections = {section.name: section for section in elf.iter_sections()}
    dynamic = [segment for segment in segments if isinstance(segment, DynamicSegment)]
    tags: list[Any] = [tag for segment in dynamic for tag in islice(segment.iter_tags(), HEADERS_LIMIT)]
    places = {
        name: Range(what=name, offset=each["sh_offset"], size=each["sh_size"])
        for name, each in sections.items()
        if each["sh_type"] != "SHT_NOBITS"
    }
    stack = next((segment for segment in segments if segment["p_type"] == "PT_GNU_STACK"), None)
    return Elf(
        form=f"{elf.elfclass}-bit {'little' if elf.little_endian else 'big'}-endian",
        machine=str(elf["e_machine"]),
        kind=str(elf["e_type"]),
        entry=elf["e_entry"],
        interpreter=any(segment["p_type"] == "PT_INTERP" for segment in segments),
        needed=tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
        loads=tuple(
            Load(bool(each["p_flags"] & 2), bool(each["p_flags"] & 1), *(each[key] for key in LOAD))
            for each in segments
            if each["p_type"] == "PT_LOAD"
        ),
        executable_stack=stack is None or bool(stack["p_flags"] & 1),
        sections=frozenset(sections),
        places=places,
    )
