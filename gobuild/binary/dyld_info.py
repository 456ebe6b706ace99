"""What a Mach-O file tells dyld to write into it: the rebase and bind opcodes of LC_DYLD_INFO, run as dyld runs them.

A `MachO` with its load commands and its symbol table comes in; its `bindings` are filled in, and what dyld would refuse
or Go's linker never writes goes out, one sentence each. Sources: Apple's <mach-o/loader.h> for the opcodes, dyld's
MachOAnalyzer::validBindInfo and validRebaseInfo for the rules. It does not know which library exports what: `expect`
and `checks` do. Chained fixups (LC_DYLD_CHAINED_FIXUPS), which Go's own linker does not write, are not read.
"""

import re
from collections.abc import Iterator
from functools import partial

from gobuild.binary.macho_types import TWOLEVEL, WRITE, Binding, MachO, Range
from gobuild.binary.view import Malformed, View

POINTERS_LIMIT = 1 << 20
"""Pointers that opcodes of another linker than Go's may slide; each costs memory, and one opcode can mean any number.
A Go program of 60 MB, linked by Go's linker, has half a million."""

OPCODES_LIMIT = 1 << 24
"""Bytes of opcodes; Go 1.27.3's cmd/go, the largest measured, has 331,000 to rebase and 2,600 to bind."""

BINDINGS_LIMIT = 1 << 17
POINTER = 1
"""BIND_TYPE_POINTER and REBASE_TYPE_POINTER: the only kind there is in 64-bit files."""

DONE, MEMORY = 0x00, 0xFFFFFFFFFFFFFFFF
TABLES = ("bind opcodes", "weak bind opcodes", "lazy bind opcodes")
SELF, MAIN, FLAT, WEAK = 0, -1, -2, -3
SPECIAL = {SELF: "the program itself", MAIN: "the main program", FLAT: "any library", WEAK: "any library, coalesced"}
"""Ordinals that name no library (BIND_SPECIAL_DYLIB_...)."""

DYNAMIC_LOOKUP = 0xFE
"""n_desc's form of FLAT (DYNAMIC_LOOKUP_ORDINAL)."""


def _uleb(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and the offset behind it.

    Raises:
        Malformed: it has no end, or more than 64 bits.
    """
    result = shift = 0
    while at < len(code) and shift < 70:
        byte = code[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if result > MEMORY:
                break
            return result, at
        shift += 7
    raise Malformed("an opcode's number has no end or more than 64 bits")


def read(view: View, image: MachO) -> None:
    """Runs the bind opcodes and fills in `bindings`.

    Raises:
        Malformed: an opcode that dyld does not know, or one that leaves its bounds.
    """
    found: list[Binding] = []
    for entry in image.linkedit:
        if entry.what in TABLES:
            for binding in _Binder(view, image, entry).run():
                found.append(binding)
                if len(found) > BINDINGS_LIMIT:
                    raise Malformed(f"more than {BINDINGS_LIMIT} bindings")
    image.bindings = tuple(found)
    image.bound = frozenset(binding.name for binding in found)


def _code(view: View, entry: Range) -> bytes:
    if entry.size > OPCODES_LIMIT:
        raise Malformed(f"{entry.size} bytes of {entry.what}")
    return view.copy(entry.offset, entry.size, entry.what)


class _Binder:
    """The state that bind opcodes change: library, symbol, place."""

    def __init__(self, view: View, image: MachO, entry: Range) -> None:
        self.view, self.image, self.entry = view, image, entry
        self.code = _code(view, entry)
        self.lazy = entry.what.startswith("lazy")
        self.ordinal: int | None = WEAK if entry.what.startswith("weak") else None
        self.name = ""
        self.flags = self.kind = 0
        self.segment: int | None = None
        self.offset = 0

    def _bound(self) -> Binding:
        if self.segment is None or not self.name or self.ordinal is None:
            raise Malformed(f"{self.entry.what} bind before they say what, where or from which library")
        if self.kind != POINTER and not self.lazy:
            raise Malformed(f"{self.entry.what} of type {self.kind}, not pointers")
        return Binding(
            table=self.entry.what,
            name=self.name,
            ordinal=self.ordinal,
            segment=self.segment,
            offset=self.offset,
            flags=self.flags,
        )

    def run(self) -> Iterator[Binding]:  # noqa: PLR0912  (an interpreter has a branch for each opcode)
        """Every binding, in order."""
        code, at = self.code, 0
        number = partial(_uleb, code)
        while at < len(code):
            opcode, low = code[at] & 0xF0, code[at] & 0x0F
            at += 1
            if opcode == DONE and not low:
                if not self.lazy and any(code[at:]):
                    raise Malformed(f"{self.entry.what} go on behind their end")
            elif opcode == 0x10:
                self.ordinal = low
            elif opcode == 0x20:
                self.ordinal, at = number(at)
            elif opcode == 0x30:
                self.ordinal = low - 16 if low else SELF
            elif opcode == 0x40:
                self.flags = low
                self.name = self.view.c_string(self.entry.offset + at, self.entry.end, "a bound symbol's name")
                at = code.index(b"\0", at) + 1
            elif opcode == 0x50:
                self.kind = low
            elif opcode == 0x70:
                self.segment, (self.offset, at) = low, number(at)
            elif opcode == 0x80:
                skip, at = number(at)
                self.offset = (self.offset + skip) & MEMORY
            elif opcode in (0x90, 0xA0, 0xB0):
                yield self._bound()
                skip = 8 * low if opcode == 0xB0 else 0
                if opcode == 0xA0:
                    skip, at = number(at)
                self.offset = (self.offset + 8 + skip) & MEMORY
            elif opcode == 0xC0:
                count, at = number(at)
                skip, at = number(at)
                if count > BINDINGS_LIMIT:
                    raise Malformed(f"more than {BINDINGS_LIMIT} bindings")
                for _ in range(count):
                    yield self._bound()
                    self.offset = (self.offset + 8 + skip) & MEMORY
            else:
                # 0x60 gives an addend, which no import needs; 0xD0 is arm64e's.
                raise Malformed(f"{self.entry.what} hold {opcode | low:#x}, which Go's linker does not write")


def problems(view: View, image: MachO) -> Iterator[str]:
    """Everything that is wrong with where dyld would write, and which library it would ask.

    Raises:
        Malformed: a rebase opcode that dyld does not know, or one that leaves its bounds.
    """
    entry = next((each for each in image.linkedit if each.what == "rebase opcodes"), None)
    places = _places(image)
    bound = {(each.segment, each.offset) for each in image.bindings}
    slid = _slid(_code(view, entry), places, bound) if entry else set[tuple[int, int]]()
    taken: set[tuple[int, int]] = set()
    for each in image.bindings:
        low, high = places.get(each.segment, (0, -1))
        place = (each.segment, each.offset)
        if not low <= each.offset <= high or each.offset % 8:
            yield f"{each.name} is bound outside the writable segments"
        # A lazy pointer is slid as well: until its first use it leads to the code that binds it.
        doubly = place in slid and not each.table.startswith("lazy")
        if doubly or (place in taken and not each.table.startswith("weak")):
            yield f"{each.name} is bound where something else is written"
        taken.add(place)
        if each.ordinal > len(image.dylibs) or each.ordinal < WEAK:
            yield f"{each.name} is bound to library {each.ordinal} of {len(image.dylibs)}"
    yield from _two_levels(image)


def _places(image: MachO) -> dict[int, tuple[int, int]]:
    """The first and the last offset where a pointer may be written, by the writable segments' numbers."""
    return {
        index: (0, segment.filesize - 8)
        for index, segment in enumerate(image.segments)
        if segment.initprot & WRITE and segment.filesize >= 8
    }


GO_S = re.compile(rb"\x11(?:[\x20-\x2f][\x80-\xff]{0,8}[\x00-\x7f]\x51)*\x00+")
"""What Go's linker writes (machoDyldInfo): the type, then a place and "one pointer" for each, then the end."""

PLACES = re.compile(rb"([\x20-\x2f])[\x80-\xff]?([\x80-\xff]{0,8}[\x00-\x7f])\x51")
"""A place without the lowest seven bits of its number, where that has more: of these there are few."""

PLACE = re.compile(rb"[\x20-\x2f][\x80-\xff]{0,8}[\x00-\x7f]\x51")
"""A place, and "one pointer" there."""


def _slid(code: bytes, places: dict[int, tuple[int, int]], bound: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Runs the rebase opcodes.

    A toolchain has half a million of them; run one by one, they would take half the time of all checks together. So of
    Go's own form, only those are decoded that may be wrong; whatever the file is, all of it is looked at three times.

    Returns:
        Of the places that are bound, at least those that dyld slides: the segment's number, and the offset.
    """
    if not GO_S.fullmatch(code):
        return _run(code, places)
    ends = {segment: last for segment, (_first, last) in places.items()}
    if any(_uleb(high, 0)[0] << 7 | 0x7F > ends.get(start[0] & 0x0F, -1) for start, high in set(PLACES.findall(code))):
        for each in PLACE.finditer(code):
            segment = each[0][0] & 0x0F
            if _uleb(each[0], 1)[0] > ends.get(segment, -1):
                raise Malformed(f"a pointer in segment {segment} is slid, which is not writable or not there")
    written = {bytes([0x20 | segment]) + _written(offset) + b"\x51": (segment, offset) for segment, offset in bound}
    return {written[each[0]] for each in PLACE.finditer(code) if each[0] in written} if written else set()


def _written(number: int) -> bytes:
    """A number as LEB128."""
    parts = [number >> shift & 0x7F | 0x80 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*parts[:-1], parts[-1] & 0x7F])


def _run(  # noqa: PLR0912  (an interpreter has a branch for each opcode)
    code: bytes, places: dict[int, tuple[int, int]]
) -> set[tuple[int, int]]:
    """Runs rebase opcodes of any form, as C linkers write them."""
    done: set[tuple[int, int]] = set()
    at, end = 0, len(code)
    segment, offset, kind, last = -1, 0, 0, -1
    while at < end:
        opcode, low = code[at] & 0xF0, code[at] & 0x0F
        at += 1
        count, skip = 0, 0
        if opcode == 0x20:
            segment = low
            offset, at = _uleb(code, at)
            last = places.get(segment, (0, -1))[1]
        elif opcode == 0x50:
            count = low
        elif opcode == 0x10:
            kind = low
        elif opcode == DONE and not low:
            if any(code[at:]):
                raise Malformed("rebase opcodes go on behind their end")
            break
        elif opcode == 0x30:
            move, at = _uleb(code, at)
            offset = (offset + move) & MEMORY
        elif opcode == 0x40:
            offset = (offset + 8 * low) & MEMORY
        elif opcode in (0x60, 0x70, 0x80):
            count = 1
            if opcode != 0x70:
                count, at = _uleb(code, at)
            if opcode != 0x60:
                skip, at = _uleb(code, at)
        else:
            raise Malformed(f"rebase opcodes hold {opcode | low:#x}")
        if count and (kind != POINTER or count > last // 8 + 1):
            raise Malformed("rebase opcodes that slide no pointers, or leave their segment")
        if len(done) + count > POINTERS_LIMIT:
            raise Malformed(f"rebase opcodes slide more than {POINTERS_LIMIT} pointers")
        for _ in range(count):
            if offset > last:
                raise Malformed(f"a pointer in segment {segment} is slid, which is not writable or not there")
            done.add((segment, offset))
            offset = (offset + 8 + skip) & MEMORY
    return done


def _two_levels(image: MachO) -> Iterator[str]:
    """The symbol table's own claim of a library, in n_desc's upper half, against that of the opcodes.

    Go's own linker leaves it zero, and the header's flag MH_TWOLEVEL unset; dyld obeys the opcodes in any case, other
    tools believe the table.
    """
    claimed = {each.name: each.ordinal for each in image.bindings if each.ordinal != WEAK}
    for name, described in zip(image.imports, image.n_desc, strict=True):
        ordinal = described >> 8
        if not image.flags & TWOLEVEL and not ordinal:
            continue
        bound = claimed.get(name, ordinal)
        if ordinal != (DYNAMIC_LOOKUP if bound == FLAT else bound) or (
            ordinal > len(image.dylibs) and ordinal < DYNAMIC_LOOKUP
        ):
            yield f"{name} is of library {ordinal} by the symbol table, and of library {bound} by its binding"
