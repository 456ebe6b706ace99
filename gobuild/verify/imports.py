"""The rules for what dyld binds: where it may write an address, and which library a symbol may be asked of.

Source: dyld's MachOAnalyzer::validBindInfo.
"""

from collections.abc import Iterator

from gobuild.binary.dyld_info import FLAT, SPECIAL, WEAK
from gobuild.binary.macho_types import TWOLEVEL, WRITE, MachO
from gobuild.core.model import Problem
from gobuild.verify import expect
from gobuild.verify.expect import Expectation

DYNAMIC_LOOKUP = 0xFE
"""n_desc's form of FLAT (DYNAMIC_LOOKUP_ORDINAL)."""


def bind_problems(image: MachO) -> Iterator[Problem]:
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
            said = f"of library {ordinal} by the symbol table, and of library {bound} by its binding"
            yield Problem("symbol-table-ordinal", f"{name} is {said}")


def library_problems(image: MachO, expected: Expectation) -> tuple[list[Problem], list[str]]:
    """What is asked of a library that does not export it, and symbols that the table knows of no library.

    The table holds what official Go asks for: a newer line, or a patch, may ask its libraries for more. Of a program
    that is no toolchain's own, that is expected.
    """
    wrong, unknown = list[Problem](), list[str]()
    own = expected.profile.own
    names = [name for _command, name in image.dylibs]
    homes = {symbol: home for home, symbols in expect.exports().items() for symbol in symbols}
    claims = [
        (each.name, names[each.ordinal - 1] if 0 < each.ordinal <= len(names) else SPECIAL.get(each.ordinal))
        for each in image.bindings
    ]
    if not expected.facts.pie and not image.bindings:
        # Go 1.21 for darwin/amd64 leaves it to dyld to look in every library: the one that exports it must be there.
        claims = [(name, homes[name] if homes.get(name) in names else None) for name in image.imports]
    elif unbound := sorted(set(image.imports) - image.bound):
        wrong.append(Problem("unbound-import", f"imported, but never bound: {', '.join(unbound[:5])}"))
    for each in image.bindings if own else ():
        if each.flags or each.table != "bind opcodes":
            wrong.append(Problem("odd-binding", f"{each.name} is bound by {each.table}, flags {each.flags}"))
    for name, claim in claims:
        home = homes.get(name)
        asked = claim.rsplit("/", 1)[-1] if claim else "no library that is linked"
        if claim not in names or home not in (None, claim) or (own and claim not in expect.INSTALL_NAMES):
            problem_id = "flat-lookup" if claim == SPECIAL[FLAT] else "wrong-library"
            also = f", and is in {home.rsplit('/', 1)[-1]}" if home else ""
            wrong.append(Problem(problem_id, f"{name} is asked of {asked}{also}"))
        elif home is None and own:
            unknown.append(f"{name} of {asked}")
    return wrong, unknown
