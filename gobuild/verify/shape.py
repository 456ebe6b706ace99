"""What makes macOS refuse or kill a program whose layout is sound: a `MachO` comes in, what is wrong goes out.

Rights and flags of the segments, kinds of the sections, the first page, what is asked of the libraries and of the
stack. Two sorts of rules: what XNU and dyld demand of every program, and, for a toolchain's own binaries, that each
field is as Go's linker writes it (src/cmd/link/internal/ld/macho.go): the tables hold what all 392 official binaries of
Go 1.21 to 1.27 for darwin/arm64 and darwin/amd64 have. Nothing here depends on Go's version.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from gobuild.binary.macho_types import (
    ARM64,
    EXEC,
    POINTERS,
    READ,
    READ_ONLY,
    REGULAR,
    STUBS,
    WRITE,
    ZEROFILL,
    MachO,
    Section,
    Segment,
)

RIGHTS: Mapping[str, tuple[int, int, int]] = {
    "__PAGEZERO": (0, 0, 0),
    "__TEXT": (READ | EXEC, READ | WRITE | EXEC, 0),
    "__DATA_CONST": (READ | WRITE, READ | WRITE, READ_ONLY),
    "__DATA": (READ | WRITE, READ | WRITE, 0),
    "__DWARF": (0, 0, 0),
    "__LINKEDIT": (READ, READ, 0),
}
"""The segments of Go's linker: initprot, maxprot, flags. Another linker's may have another maxprot, and segments
besides; initprot and flags of those with these names are the same."""

PAGE_ZERO = {True: 1 << 32, False: 1 << 12}
"""Bytes that __PAGEZERO must have at least, by whether it is arm64: there XNU runs nothing that has less than 4 GiB
(bsd/kern/mach_loader.c: 64-bit programs of the native machine must not map the low 4 GiB). Go's has 4 GiB there and
16 MiB for amd64."""

ADDRESSES = 1 << 46
"""Behind the last byte that a program may ask for; macOS gives it 47 bits of addresses, of which the upper half holds
what the system maps."""

STACK = 1 << 29
"""Bytes of stack that another linker's LC_MAIN may ask for; Go's asks for none."""

CODE_ATTRIBUTES = 0x80000400
"""S_ATTR_PURE_INSTRUCTIONS, S_ATTR_SOME_INSTRUCTIONS."""


SECTIONS: Mapping[str, Mapping[str, int]] = {
    "__TEXT": {
        "__text": REGULAR,
        "__symbol_stub1": STUBS,
        **dict.fromkeys(("__rodata", "__typelink", "__itablink", "__gosymtab", "__gopclntab"), REGULAR),
    },
    "__DATA_CONST": {
        "__got": POINTERS,
        **dict.fromkeys(("__rodata", "__typelink", "__itablink", "__gosymtab", "__gopclntab"), REGULAR),
        **dict.fromkeys(("__go_func", "__go_type"), REGULAR),
    },
    "__DATA": {
        **dict.fromkeys(("__data", "__noptrdata", "__go_buildinfo", "__go_fipsinfo", "__go_module"), REGULAR),
        **dict.fromkeys(("__nl_symbol_ptr", "__got"), POINTERS),
        **dict.fromkeys(("__bss", "__noptrbss"), ZEROFILL),
    },
}
"""The sections of Go's linker and their types, by segment. One of another type may be run before main
(S_MOD_INIT_FUNC_POINTERS), be taken for a table of functions to replace (S_INTERPOSING), or lose its bytes."""

PLAIN = frozenset({REGULAR, ZEROFILL})
"""What a section that the table does not know may be."""

INDIRECT = {POINTERS: 8, 0x7: 8, STUBS: 0}
"""Types of sections that have an entry in the indirect symbol table for each pointer, of so many bytes, or stub."""

COMPATIBLE = {
    "libSystem.B.dylib": 1 << 16,
    "libresolv.9.dylib": 1 << 16,
    "Security": 1 << 16,
    "CoreFoundation": 150 << 16,
}
"""The compatibility versions (1.0.0, 150.0.0) that macOS' libraries have: who asks for more is refused. Go's linker
asks for 0.0.0, Apple's for just these."""


def problems(image: MachO, *, page: int, own: bool, linker: bool) -> Iterator[str]:
    """Everything that is wrong.

    Args:
        image: what the file's headers say.
        page: the target's page size in bytes.
        own: whether it is a toolchain's own binary or a probe.
        linker: whether it must hold what Go's linker writes for a position-independent program.
    """
    for segment in image.segments:
        yield from _segment(segment, own)
        for section in segment.sections:
            yield from _section(section, image, own)
    yield from _addresses(image, page)
    if image.stacksize > (0 if own else STACK):
        yield f"asks for {image.stacksize:#x} bytes of stack"
    for (_command, name), (current, compatible, timestamp) in zip(image.dylibs, image.versions, strict=True):
        short = name.rsplit("/", 1)[-1]
        if own and (current or compatible or timestamp):
            yield f"asks for version {current:#x}, compatible with {compatible:#x}, of {short}: Go's linker for none"
        elif compatible > COMPATIBLE.get(short, current):
            yield f"asks for a version of {short} compatible with {compatible:#x}, which macOS has not"
    if linker and "rebase opcodes" not in {each.what for each in image.linkedit}:
        yield "no rebase opcodes: its pointers would be wrong wherever it is loaded"


def unknown(image: MachO) -> Iterator[str]:
    """The segments and sections that Go's linker writes in none of the versions measured."""
    for segment in image.segments:
        if segment.name not in RIGHTS:
            yield f"segment {segment.name}"
        if segment.name != "__DWARF":
            known = SECTIONS.get(segment.name, {})
            yield from (f"section {segment.name},{each.name}" for each in segment.sections if each.name not in known)


def _segment(segment: Segment, own: bool) -> Iterator[str]:
    name = segment.name
    known = RIGHTS.get(name)
    if known is None:
        if segment.flags:
            yield f"{name} has flags {segment.flags:#x}"
        return
    initprot, maxprot, flags = known
    if segment.vmsize and (segment.initprot != initprot or (own and segment.maxprot != maxprot)):
        yield f"{name} has rights {segment.initprot} of {segment.maxprot}, not {initprot} of {maxprot}"
    if segment.flags != flags and (own or segment.flags):
        yield f"{name} has flags {segment.flags:#x}, not {flags:#x}"


def _section(section: Section, image: MachO, own: bool) -> Iterator[str]:
    name = f"{section.segname},{section.name}"
    if own and section.segname != "__DWARF":
        kind = SECTIONS.get(section.segname, {}).get(section.name)
        if kind is None:
            if section.section_type not in PLAIN:
                yield f"section {name} has type {section.section_type:#x}, which no section of Go's linker has"
        elif section.section_type != kind or section.flags & ~0xFF & ~CODE_ATTRIBUTES:
            yield f"section {name} has type and attributes {section.flags:#x}, and should be of type {kind}"
    if section.section_type in INDIRECT:
        width = INDIRECT[section.section_type] or section.reserved2
        table = next((each.size // 4 for each in image.linkedit if each.what == "indirect symbols"), 0)
        if not width or section.size % width or section.reserved1 + section.size // width > table:
            yield f"section {name} has entries that are not in the table of {table} indirect symbols"


def _addresses(image: MachO, page: int) -> Iterator[str]:
    """One segment behind the other, the first page inaccessible, all of it where a program may be."""
    mapped = [segment for segment in image.segments if segment.vmsize]
    first = mapped[0].vmsize if mapped else 0
    least = PAGE_ZERO[image.cputype == ARM64]
    if first < least:
        yield f"__PAGEZERO has {first:#x} bytes, not {least:#x}"
    for one, two in pairwise(mapped):
        if two.vmaddr - one.vmaddr - one.vmsize >= page:
            yield f"{two.name} begins at {two.vmaddr:#x}, not behind {one.name}"
    if mapped and mapped[-1].vmaddr + mapped[-1].vmsize > ADDRESSES:
        yield f"{mapped[-1].name} ends at {mapped[-1].vmaddr + mapped[-1].vmsize:#x}, where no program may be"
