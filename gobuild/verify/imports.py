"""The rules for what dyld binds: where it may write an address, and which library a symbol may be asked of.

Source: dyld's MachOAnalyzer::validBindInfo. Which library exports what is `expect`'s.
"""

from collections.abc import Iterator

from gobuild.binary.dyld_info import FLAT, WEAK
from gobuild.binary.macho_types import TWOLEVEL, WRITE, MachO
from gobuild.core.model import Problem

DYNAMIC_LOOKUP = 0xFE
"""n_desc's form of FLAT (DYNAMIC_LOOKUP_ORDINAL)."""


def problems(image: MachO) -> Iterator[Problem]:
    """What is wrong with where dyld would write, and which library it would ask."""
    writable = {index: segment.vmsize - 8 for index, segment in enumerate(image.segments) if segment.initprot & WRITE}
    taken: set[tuple[int, int]] = set()
    for each in image.bindings:
        place = each.segment, each.offset
        if each.offset > writable.get(each.segment, -1) or each.offset % 8:
            yield Problem("bound-outside-data", f"{each.name} is bound outside the writable segments")
        if place in taken and not each.table.startswith("weak"):
            yield Problem("bound-twice", f"{each.name} is bound where something else is written")
        taken.add(place)
        if each.ordinal > len(image.dylibs) or each.ordinal < WEAK:
            yield Problem("library-ordinal", f"{each.name} is bound to library {each.ordinal} of {len(image.dylibs)}")
    yield from _two_levels(image)


def _two_levels(image: MachO) -> Iterator[Problem]:
    """The symbol table's own claim of a library, in n_desc's upper half, against that of the opcodes.

    Go's own linker leaves it zero, and the header's flag MH_TWOLEVEL unset; dyld obeys the opcodes in any case, other
    tools believe the table.
    """
    claimed = {each.name: each.ordinal for each in image.bindings if each.ordinal != WEAK}
    for name, n_desc in zip(image.imports, image.n_desc, strict=True):
        ordinal = n_desc >> 8
        if not image.flags & TWOLEVEL and not ordinal:
            continue
        bound = claimed.get(name, ordinal)
        absent = len(image.dylibs) < ordinal < DYNAMIC_LOOKUP
        if absent or ordinal != (DYNAMIC_LOOKUP if bound == FLAT else bound):
            yield Problem(
                "symbol-table-ordinal",
                f"{name} is of library {ordinal} by the symbol table, and of library {bound} by its binding",
            )
