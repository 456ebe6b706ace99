"""How a Mach-O file's load commands, segments and sections must lie, for the kernel, for dyld, and as Go's linker does.

Sources: XNU's bsd/kern/mach_loader.c, dyld's MachOFile::validStructure, Go's src/cmd/link/internal/ld/macho.go. The
tables hold what all 392 official binaries of Go 1.21 to 1.27 for darwin/arm64 and darwin/amd64 have.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from gobuild.binary.macho_types import ARM64, COMMANDS, EXECUTE, PIE, TWOLEVEL, WRITE, MachO, Section, Segment
from gobuild.binary.view import View
from gobuild.core.model import Problem

DYLD = "/usr/lib/dyld"
DYLDLINK, STACK_EXECUTION = 0x4, 0x20000
FLAGS = PIE | DYLDLINK | TWOLEVEL | STACK_EXECUTION | 0x1 | 0x8000 | 0x10000
"""Of the header. The last three: MH_NOUNDEFS, MH_WEAK_DEFINES, MH_BINDS_TO_WEAK."""

SIGNATURE_COMMAND = 16
"""Bytes of LC_CODE_SIGNATURE."""

READ, EXEC = 1, 4
READ_ONLY = 0x10
"""SG_READ_ONLY: dyld takes the right to write away when it has bound the segment."""

SEGMENTS: Mapping[str, tuple[int, int, int]] = {
    "__PAGEZERO": (0, 0, 0),
    "__TEXT": (READ | EXEC, READ | WRITE | EXEC, 0),
    "__DATA_CONST": (READ | WRITE, READ | WRITE, READ_ONLY),
    "__DATA": (READ | WRITE, READ | WRITE, 0),
    "__DWARF": (0, 0, 0),
    "__LINKEDIT": (READ, READ, 0),
}
"""The segments of Go's linker: initprot, maxprot, flags. Another linker's may have another maxprot, and segments
besides; initprot and flags of those with these names are the same."""

REGULAR, ZEROFILL, POINTERS, STUBS = 0x0, 0x1, 0x6, 0x8
_CONSTANTS = dict.fromkeys(("__rodata", "__typelink", "__itablink", "__gosymtab", "__gopclntab"), REGULAR)
SECTIONS: Mapping[str, Mapping[str, int]] = {
    "__TEXT": {"__text": REGULAR, "__symbol_stub1": STUBS, **_CONSTANTS},
    "__DATA_CONST": {"__got": POINTERS, "__go_func": REGULAR, "__go_type": REGULAR, **_CONSTANTS},
    "__DATA": {
        **dict.fromkeys(("__data", "__noptrdata", "__go_buildinfo", "__go_fipsinfo", "__go_module"), REGULAR),
        **dict.fromkeys(("__nl_symbol_ptr", "__got"), POINTERS),
        **dict.fromkeys(("__bss", "__noptrbss"), ZEROFILL),
    },
}
"""The sections of Go's linker and their types, by segment. One of another type may be run before main
(S_MOD_INIT_FUNC_POINTERS), be taken for a table of functions to replace (S_INTERPOSING), or lose its bytes."""

CODE_ATTRIBUTES = 0x80000400
"""S_ATTR_PURE_INSTRUCTIONS, S_ATTR_SOME_INSTRUCTIONS."""

INDIRECT = {POINTERS: 8, 0x7: 8, STUBS: 0}
"""Types of sections that have an entry in the indirect symbol table for each pointer, of so many bytes, or stub."""

ARM64_PAGE_ZERO = 1 << 32
"""Bytes that __PAGEZERO must have at least for arm64 (XNU: 64-bit programs must not map the low 4 GiB)."""

ADDRESSES = 1 << 46
"""Behind the last byte that a program may ask for: half of its 47 bits, for the other half holds what macOS maps."""

STACK = 1 << 29
"""Bytes of stack that another linker's LC_MAIN may ask for; Go's asks for none."""

_FIRST = dict.fromkeys(("libSystem.B.dylib", "libresolv.9.dylib", "Security"), 1 << 16)
COMPATIBLE = {**_FIRST, "CoreFoundation": 150 << 16}
"""The compatibility versions (1.0.0, 150.0.0) that macOS' libraries have: dyld refuses whoever asks for more. Go's
linker asks for 0.0.0, Apple's for just these."""


def layout_problems(view: View, image: MachO, *, page: int, pie: bool = True, own: bool = True) -> Iterator[Problem]:
    """Everything that is wrong with a file's layout, on a target with pages of so many bytes.

    With `own`, each field must be as Go's linker writes it: of a toolchain's own binary, or a probe.
    """
    yield from _header(image, pie)
    yield from _commands(image, pie)
    for segment in image.segments:
        yield from _segment(segment, view.size, page, own)
        for section in segment.sections:
            yield from _place(section, segment, image.commands_end)
            yield from _kind(section, image, own)
    yield from _memory(image)
    yield from _frame(image, view.size)
    yield from _gap(view, image)
    yield from _entry(image)
    yield from _linkedit(image)
    yield from _libraries(image, own)


def unknown_parts(image: MachO, *, own: bool) -> Iterator[str]:
    """What Go's linker writes in none of the versions measured: load commands; segments and sections where `own`."""
    known = set(COMMANDS.values())
    yield from (f"load command {name}" for name in dict.fromkeys(image.commands) if name not in known)
    for segment in image.segments if own else ():
        if segment.name not in SEGMENTS:
            yield f"segment {segment.name}"
        if segment.name != "__DWARF":
            sections = SECTIONS.get(segment.name, {})
            yield from (f"section {_title(each)}" for each in segment.sections if each.name not in sections)


def _title(section: Section) -> str:
    return f"{section.segname},{section.name}"


def _header(image: MachO, pie: bool) -> Iterator[Problem]:
    if image.filetype != EXECUTE:
        yield Problem("not-an-executable", f"file type {image.filetype} is not an executable's")
    if pie and not image.flags & PIE:
        yield Problem("not-pie", "not position-independent (PIE)")
    if pie and not image.flags & DYLDLINK:
        yield Problem("not-dyldlink", "not for the dynamic linker (DYLDLINK)")
    if image.flags & ~FLAGS:
        yield Problem("unknown-flags", f"flags {image.flags & ~FLAGS:#x}, which no linker sets for a Go program")
    if image.flags & STACK_EXECUTION:
        yield Problem("executable-stack", "asks for an executable stack")


def _commands(image: MachO, pie: bool) -> Iterator[Problem]:
    if ("LC_MAIN" in image.commands) + ("LC_UNIXTHREAD" in image.commands) != 1:
        yield Problem("no-single-entry", "not one entry point")
    for name in ("LC_SYMTAB", "LC_DYSYMTAB"):
        if name not in image.commands:
            yield Problem("no-symbol-table", f"no {name}")
    if image.dylinker != DYLD:
        yield Problem("wrong-dylinker", f"the dynamic linker is {image.dylinker or 'missing'}, not {DYLD}")
    if "LC_DYLD_INFO" in image.commands and "LC_DYLD_INFO_ONLY" in image.commands:
        yield Problem("two-dyld-infos", "both LC_DYLD_INFO and LC_DYLD_INFO_ONLY")
    if image.signature and image.commands[-1] != "LC_CODE_SIGNATURE":
        yield Problem("signature-command-not-last", "LC_CODE_SIGNATURE is not the last load command")
    if pie and not image.table("rebase opcodes"):
        yield Problem("no-rebase-opcodes", "no rebase opcodes: its pointers would be wrong wherever it is loaded")


def _unmapped(segment: Segment) -> bool:
    """Go's linker keeps DWARF in a segment that takes no memory."""
    return segment.name == "__DWARF" and not segment.vmsize


def _segment(segment: Segment, size: int, page: int, own: bool) -> Iterator[Problem]:
    name, initprot, maxprot = segment.name, segment.initprot, segment.maxprot
    if segment.fileoff + segment.filesize > size:
        yield Problem("segment-beyond-file", f"{name} ends beyond the file")
    if segment.filesize > segment.vmsize and not _unmapped(segment):
        yield Problem("segment-memsz", f"{name} has more bytes in the file than in memory")
    if segment.vmaddr + segment.vmsize > ADDRESSES:
        yield Problem("segment-beyond-memory", f"{name} ends beyond the address space of a program")
    if segment.vmaddr % page or segment.fileoff % page:
        yield Problem("segment-misaligned", f"{name} is not aligned to {page} bytes")
    if initprot & WRITE and initprot & EXEC:
        yield Problem("segment-writable-executable", f"{name} is writable and executable")
    if initprot & EXEC and name != "__TEXT":
        yield Problem("executable-data", f"{name} is executable")
    if initprot & ~maxprot or (initprot | maxprot) & ~(READ | WRITE | EXEC):
        yield Problem("impossible-protection", f"{name} has initprot {initprot:#x} and maxprot {maxprot:#x}")
    right, most, flags = SEGMENTS.get(name, (initprot, maxprot, 0))
    if segment.vmsize and (initprot != right or (own and maxprot != most)):
        seen = f"initprot {initprot:#x}, maxprot {maxprot:#x}"
        yield Problem("segment-protection", f"{name} has {seen}, not {right:#x}, {most:#x}")
    if segment.flags != flags and (own or segment.flags):
        yield Problem("segment-flags", f"{name} has flags {segment.flags:#x}, not {flags:#x}")


def _place(section: Section, segment: Segment, commands_end: int) -> Iterator[Problem]:
    name = f"section {_title(section)}"
    if section.segname != segment.name:
        yield Problem("section-of-another-segment", f"{name} stands in {segment.name}")
    if section.nreloc:
        yield Problem("section-relocations", f"{name} has relocations")
    if not _unmapped(segment) and not _within(section.addr, section.size, segment.vmaddr, segment.vmsize):
        yield Problem("section-outside-memory", f"{name} leaves its segment in memory")
    if section.zerofill or not section.size:
        return
    if not _within(section.offset, section.size, segment.fileoff, segment.filesize):
        yield Problem("section-outside-file", f"{name} leaves its segment in the file")
    elif section.offset < commands_end:
        yield Problem("section-over-commands", f"{name} overlaps the load commands")
    if section.offset - segment.fileoff != section.addr - segment.vmaddr and not _unmapped(segment):
        yield Problem("section-displaced", f"{name} is elsewhere in the file than in memory")


def _within(start: int, size: int, outer: int, room: int) -> bool:
    return outer <= start and start + size <= outer + room


def _kind(section: Section, image: MachO, own: bool) -> Iterator[Problem]:
    name = f"section {_title(section)}"
    if own and section.segname != "__DWARF":
        kind = SECTIONS.get(section.segname, {}).get(section.name)
        # One that the table does not know may be plain bytes.
        wrong = section.section_type not in (REGULAR, ZEROFILL) if kind is None else section.section_type != kind
        if wrong or (kind is not None and section.flags & ~0xFF & ~CODE_ATTRIBUTES):
            yield Problem("section-type", f"{name} has type and attributes {section.flags:#x}, not Go's linker's")
    if section.section_type in INDIRECT:
        width = INDIRECT[section.section_type] or section.reserved2
        table = image.table("indirect symbols")
        count = table.size // 4 if table else 0
        if not width or section.size % width or section.reserved1 + section.size // width > count:
            yield Problem("indirect-symbols", f"{name} has entries that are not in the {count} indirect symbols")


def _memory(image: MachO) -> Iterator[Problem]:
    segments = image.segments
    names = [segment.name for segment in segments]
    if len(set(names)) != len(names):
        yield Problem("segment-twice", "two segments of one name")
    mapped = [(each.vmaddr, each.vmsize, each.name) for each in segments if each.vmsize]
    filled = [(each.fileoff, each.filesize, each.name) for each in segments if each.filesize]
    sections = [each for segment in segments if not _unmapped(segment) for each in segment.sections if each.size]
    placed = sorted((each.addr, each.size, _title(each)) for each in sections)
    yield from _overlaps("segments-overlap", "in memory", mapped)
    yield from _overlaps("segments-overlap", "in the file", filled)
    yield from _overlaps("sections-overlap", "in memory", placed)


def _overlaps(problem_id: str, where: str, ranges: list[tuple[int, int, str]]) -> Iterator[Problem]:
    """Neighbours of which the second begins before the first ends; each is a start, a size and a name."""
    for one, two in pairwise(ranges):
        if two[0] < one[0] + one[1]:
            yield Problem(problem_id, f"{one[2]} and {two[2]} overlap {where}, or stand in the wrong order")


def _frame(image: MachO, size: int) -> Iterator[Problem]:
    """The first and the last segments have fixed roles."""
    names = [segment.name for segment in image.segments]
    if names[:2] != ["__PAGEZERO", "__TEXT"] or names[-1:] != ["__LINKEDIT"]:
        yield Problem("segment-order", f"segments {', '.join(names) or 'none'}: not __PAGEZERO, __TEXT ... __LINKEDIT")
        return
    zero, text, last = image.segments[0], image.segments[1], image.segments[-1]
    least = ARM64_PAGE_ZERO if image.cputype == ARM64 else 1
    if zero.vmaddr or zero.filesize or zero.initprot or zero.maxprot or zero.sections or zero.vmsize < least:
        yield Problem("page-zero", f"__PAGEZERO does not keep the first {least:#x} bytes of memory inaccessible")
    if text.fileoff or text.filesize < image.commands_end:
        yield Problem("text-without-header", "__TEXT does not hold the header and the load commands")
    end = last.fileoff + last.filesize
    if end != size:
        yield Problem("linkedit-not-last", f"__LINKEDIT ends at {end:#x}, and the file at {size:#x}")


def _gap(view: View, image: MachO) -> Iterator[Problem]:
    """Between the load commands and the first section only a signer writes."""
    filled = [each.offset for part in image.segments for each in part.sections if each.offset and not each.zerofill]
    first = min([*filled, view.size])
    if first < image.commands_end:
        return  # section-over-commands
    if not view.zero(image.commands_end, first):
        yield Problem("bytes-behind-commands", "bytes between the load commands and the first section")
    if not image.signature and first - image.commands_end < SIGNATURE_COMMAND:
        yield Problem("no-room-for-signature", "no room for a signature's load command")


def _entry(image: MachO) -> Iterator[Problem]:
    text, entry = image.section("__text"), image.entry
    if not text or text.segname != "__TEXT":
        yield Problem("no-text", "no section __TEXT,__text")
    elif entry is None:
        return  # no-single-entry
    elif not text.offset <= entry < text.place.end:
        yield Problem("entry-outside-text", f"the entry point {entry:#x} is not in __text")
    elif image.cputype == ARM64 and entry % 4:
        yield Problem("entry-misaligned", f"the entry point {entry:#x} is between instructions")


def _linkedit(image: MachO) -> Iterator[Problem]:
    last = image.segment("__LINKEDIT")
    ranges = sorted(image.linkedit, key=lambda each: each.offset)
    for each in ranges:
        if last and not _within(each.offset, each.size, last.fileoff, last.filesize):
            yield Problem("table-outside-linkedit", f"{each.what} are not in __LINKEDIT")
    for one, two in pairwise(ranges):
        if two.offset < one.end:
            yield Problem("tables-overlap", f"{one.what} and {two.what} overlap")
    hidden = sorted(image.bound - set(image.imports))
    if hidden:
        yield Problem("hidden-import", f"bound, but not in the symbol table: {', '.join(hidden[:5])}")


def _libraries(image: MachO, own: bool) -> Iterator[Problem]:
    if image.stacksize > (0 if own else STACK):
        yield Problem("stack-size", f"asks for {image.stacksize:#x} bytes of stack")
    for (_command, name), (current, compatible, timestamp) in zip(image.dylibs, image.versions, strict=True):
        short = name.rsplit("/", 1)[-1]
        if own and (current or compatible or timestamp):
            seen = f"{current:#x}, compatible with {compatible:#x}"
            yield Problem("library-version", f"asks for version {seen}, of {short}: Go's linker asks for none")
        elif compatible > COMPATIBLE.get(short, current):
            seen = f"needs {short} compatible with {compatible:#x}"
            yield Problem("library-version", f"{seen}, which macOS does not have")
