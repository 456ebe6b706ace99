"""Where a Mach-O file's parts must lie: a `MachO` comes in, what is wrong with it goes out, one sentence each.

The rules are those that the kernel and dyld rely on (XNU's bsd/kern/mach_loader.c, dyld's MachOFile::validStructure),
and those that every file of Go's own linker keeps. Nothing here depends on Go's version.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from gobuild.binary.macho_types import (
    ARM64,
    COMMANDS,
    DYLDLINK,
    EXEC,
    EXECUTE,
    NO_UNDEFINED,
    PIE,
    STACK_EXECUTION,
    TWOLEVEL,
    WEAK_BOUND,
    WEAK_DEFINED,
    WRITE,
    MachO,
    Section,
    Segment,
)
from gobuild.binary.view import Range, View

DYLD = "/usr/lib/dyld"
FLAGS = PIE | DYLDLINK | TWOLEVEL | STACK_EXECUTION | NO_UNDEFINED | WEAK_DEFINED | WEAK_BOUND
SIGNATURE_COMMAND = 16
"""Bytes of LC_CODE_SIGNATURE."""


def problems(image: MachO, *, size: int, page: int, pie: bool = True) -> list[str]:
    """Everything that is wrong with a file's layout.

    Args:
        image: what the file's headers say.
        size: the file's bytes.
        page: the target's page size in bytes, 16384 for arm64.
        pie: whether it must be position-independent.
    """
    return [
        *_header(image, pie),
        *_commands(image),
        *(problem for segment in image.segments for problem in _segment(segment, size, page)),
        *(problem for segment in image.segments for problem in _sections(segment, image.commands_end)),
        *_overlaps(image.segments),
        *_frame(image, size),
        *_entry(image),
        *_linkedit(image),
        *_names(image),
    ]


def header(view: View, image: MachO) -> Iterator[str]:
    """What is wrong between the load commands and the first section: a signer writes there, and nobody else."""
    filled = [each.offset for part in image.segments for each in part.sections if each.offset and not each.zerofill]
    first = min([*filled, view.size])
    if first < image.commands_end:
        return  # which `problems` tells
    if not view.zero(image.commands_end, first):
        yield "bytes between the load commands and the first section"
    if not image.signature and first - image.commands_end < SIGNATURE_COMMAND:
        yield "no room for a signature's load command"


def _header(image: MachO, pie: bool) -> Iterator[str]:
    if image.filetype != EXECUTE:
        yield f"file type {image.filetype} is not an executable's"
    if pie and not image.flags & PIE:
        yield "not position-independent (PIE)"
    if pie and not image.flags & DYLDLINK:
        yield "not for the dynamic linker (DYLDLINK)"
    if image.flags & ~FLAGS:
        yield f"flags {image.flags & ~FLAGS:#x}, which no linker sets for a Go program"
    if image.flags & STACK_EXECUTION:
        yield "asks for an executable stack"


def unknown(image: MachO) -> Iterator[str]:
    """The load commands that Go's linker writes in none of the versions measured."""
    known = set(COMMANDS.values())
    return (f"load command {name}" for name in dict.fromkeys(image.commands) if name not in known)


def _commands(image: MachO) -> Iterator[str]:
    if ("LC_MAIN" in image.commands) + ("LC_UNIXTHREAD" in image.commands) != 1:
        yield "not one entry point"
    for name in ("LC_SYMTAB", "LC_DYSYMTAB", "LC_BUILD_VERSION"):
        if name not in image.commands:
            yield f"no {name}"
    if image.dylinker != DYLD:
        yield f"the dynamic linker is {image.dylinker or 'missing'}, not {DYLD}"
    if "LC_DYLD_INFO" in image.commands and "LC_DYLD_INFO_ONLY" in image.commands:
        yield "both LC_DYLD_INFO and LC_DYLD_INFO_ONLY"
    if image.signature and image.commands[-1] != "LC_CODE_SIGNATURE":
        yield "LC_CODE_SIGNATURE is not the last load command"


def _unmapped(segment: Segment) -> bool:
    """Go's linker keeps DWARF in a segment that takes no memory."""
    return segment.name == "__DWARF" and not segment.vmsize


def _segment(segment: Segment, size: int, page: int) -> Iterator[str]:
    name = segment.name
    if segment.fileoff + segment.filesize > size:
        yield f"{name} ends beyond the file"
    if segment.filesize > segment.vmsize and not _unmapped(segment):
        yield f"{name} has more bytes in the file than in memory"
    if segment.vmaddr + segment.vmsize > 1 << 64:
        yield f"{name} ends beyond the address space"
    if segment.vmaddr % page or segment.fileoff % page:
        yield f"{name} is not aligned to {page} bytes"
    if segment.initprot & WRITE and segment.initprot & EXEC:
        yield f"{name} is writable and executable"
    if segment.initprot & EXEC and name != "__TEXT":
        yield f"{name} is executable"
    if segment.initprot & ~segment.maxprot:
        yield f"{name} begins with more rights than it may ever have"
    if segment.initprot & ~0x7 or segment.maxprot & ~0x7:
        yield f"{name} has unknown rights"


def _sections(segment: Segment, commands_end: int) -> Iterator[str]:
    filled = sorted((each for each in segment.sections if each.size), key=_address)
    for one, two in pairwise(filled):
        if one.addr + one.size > two.addr:
            yield f"sections {one.name} and {two.name} overlap"
    for section in segment.sections:
        name = f"{section.segname},{section.name}"
        if section.segname != segment.name:
            yield f"section {name} stands in {segment.name}"
        if section.nreloc:
            yield f"section {name} has relocations"
        if not _unmapped(segment) and not _within(section.addr, section.size, segment.vmaddr, segment.vmsize):
            yield f"section {name} leaves its segment in memory"
        if section.zerofill or not section.size:
            continue
        if not _within(section.offset, section.size, segment.fileoff, segment.filesize):
            yield f"section {name} leaves its segment in the file"
        elif section.offset < commands_end:
            yield f"section {name} overlaps the load commands"
        if section.offset - segment.fileoff != section.addr - segment.vmaddr and not _unmapped(segment):
            yield f"section {name} is elsewhere in the file than in memory"


def _within(start: int, size: int, outer: int, room: int) -> bool:
    return outer <= start and start + size <= outer + room


def _address(section: Section) -> int:
    return section.addr


def _overlaps(segments: Sequence[Segment]) -> Iterator[str]:
    names = [segment.name for segment in segments]
    if len(set(names)) != len(names):
        yield "two segments of one name"
    for what, ranges in (
        ("memory", [(each.vmaddr, each.vmaddr + each.vmsize, each.name) for each in segments if each.vmsize]),
        ("the file", [(each.fileoff, each.fileoff + each.filesize, each.name) for each in segments if each.filesize]),
    ):
        for one, two in pairwise(ranges):
            if two[0] < one[1]:
                yield f"{one[2]} and {two[2]} overlap in {what}, or stand in the wrong order"


def _frame(image: MachO, size: int) -> Iterator[str]:
    """The first and the last segments have fixed roles."""
    names = [segment.name for segment in image.segments]
    if names[:2] != ["__PAGEZERO", "__TEXT"] or names[-1:] != ["__LINKEDIT"]:
        yield f"segments {', '.join(names) or 'none'}: not __PAGEZERO, __TEXT ... __LINKEDIT"
        return
    zero, text, last = image.segments[0], image.segments[1], image.segments[-1]
    if zero.vmaddr or zero.filesize or zero.initprot or zero.maxprot or zero.sections or not zero.vmsize:
        yield "__PAGEZERO is no inaccessible first page"
    if text.fileoff or text.filesize < image.commands_end:
        yield "__TEXT does not hold the header and the load commands"
    if last.initprot & (WRITE | EXEC):
        yield "__LINKEDIT is writable or executable"
    if last.fileoff + last.filesize != size:
        yield f"__LINKEDIT ends at {last.fileoff + last.filesize:#x}, and the file at {size:#x}"
    if last.vmsize >= last.filesize + (1 << 14):
        yield "__LINKEDIT is larger in memory than its bytes"


def _entry(image: MachO) -> Iterator[str]:
    text = image.section("__text")
    if not text or text.segname != "__TEXT":
        yield "no section __TEXT,__text"
    elif image.entry is not None and not text.offset <= image.entry < text.offset + text.size:
        yield f"the entry point {image.entry:#x} is not in __text"
    elif image.entry is not None and image.cputype == ARM64 and image.entry % 4:
        yield f"the entry point {image.entry:#x} is between instructions"


def _linkedit(image: MachO) -> Iterator[str]:
    last = image.segment("__LINKEDIT")
    ranges: list[Range] = sorted(image.linkedit, key=lambda each: each.offset)
    for each in ranges:
        if last and not (last.fileoff <= each.offset and each.end <= last.fileoff + last.filesize):
            yield f"{each.what} are not in __LINKEDIT"
    for one, two in pairwise(ranges):
        if two.offset < one.end:
            yield f"{one.what} and {two.what} overlap"


def _names(image: MachO) -> Iterator[str]:
    hidden = sorted(image.bound - set(image.imports))
    if hidden:
        yield f"bound, but not in the symbol table: {', '.join(hidden[:5])}"
