"""The data that two programs' code refers to, compared without a symbol table.

Where the same instruction of the same function refers to address A in one and to B in the other, A corresponds to B;
what stands there is compared up to the next address that anything refers to, and pointers are followed in both. One
address corresponds to one address: a second, other one is a difference.
"""

import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gobuild.audit.compare.program import MODULE, Pair, Program
from gobuild.binary.macho_types import Section

UNCOMPARED = frozenset(
    ["__gopclntab", "__go_buildinfo", "__go_fipsinfo", "__symbol_stub1", "__nl_symbol_ptr", "__got", "__go_module"],
)
"""What these sections say is compared otherwise, or is a digest or a record of where all else stands."""

Token = tuple[str, bytes, bytes]

CODE = "a pointer to code"
"""A difference: a word that leads to a function leads to another in ours, or to none."""

SPAN = 1 << 20
"""Bytes compared of one place at most."""

_WORD = struct.Struct("<Q")
_HALF = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDifference:
    """Data that differs, at an address in base."""

    base: int
    origin: int  # the address in base of the code's reference by which it was reached
    what: str  # "content", `CODE`, or "another place" where a reference goes elsewhere


@dataclass(slots=True, kw_only=True)
class DataComparison:
    """The comparison under way."""

    base: Program
    ours: Program
    # Strings that are known to differ, as (what, base's, ours): a toolchain's stamp, a build ID
    tokens: tuple[Token, ...]
    marks: tuple[set[int], set[int]]  # further addresses that either program refers to: nothing is compared across one
    # What the tokens are that begin strings that differ, or whose lengths differ beside a pointer to them
    known: set[str] = field(default_factory=set)
    differences: list[DataDifference] = field(default_factory=list)  # all others
    _map: dict[int, int] = field(default_factory=dict)
    _back: dict[int, int] = field(default_factory=dict)
    _spans: list[tuple[int, int]] = field(default_factory=list)
    _ends: tuple[list[int], list[int]] = ([], [])

    def run(self, pairs: Iterable[Pair]) -> None:
        """Compares all that can be reached from pairs of addresses that the code refers to."""
        votes = Counter(pairs)
        # The correspondence that most instructions agree on comes first; who says otherwise is the one that differs.
        ordered = [pair for pair, _ in votes.most_common()]
        self._ends = (
            sorted({one for one, _ in ordered} | self.marks[0] | set(self.base.targets())),
            sorted({two for _, two in ordered} | self.marks[1] | set(self.ours.targets())),
        )
        waiting = [(one, two, one) for one, two in reversed(ordered)]
        while waiting:
            one, two, origin = waiting.pop()
            if self._known(one, two, origin):
                continue
            left, right = self.base.section_at(one), self.ours.section_at(two)
            if left is None or right is None or left.name != right.name:
                if (left is None) != (right is None) or (left and right and one != left.end and two != right.end):
                    self._differs(one, origin, "another place")
                continue
            of_module = self.base.module <= one < self.base.module + MODULE
            if left.name in UNCOMPARED or left.zerofill or of_module:
                continue
            waiting += [(a, b, origin) for a, b in self._content(one, two, origin, left, right)]

    @property
    def compared(self) -> int:
        """Bytes of base that were compared, each counted once."""
        total = end = 0
        for start, stop in sorted(self._spans):
            total += max(0, stop - max(start, end))
            end = max(end, stop)
        return total

    def _known(self, one: int, two: int, origin: int) -> bool:
        """Whether the pair is known already; if one of the two corresponds to another, that is noted."""
        if self._map.get(one) == two:
            return True
        if one in self._map or two in self._back:
            self._differs(one, origin, "another place")
            return True
        self._map[one], self._back[two] = two, one
        return False

    def _content(self, one: int, two: int, origin: int, left: Section, right: Section) -> Iterator[Pair]:
        """Compares what stands at a pair; yields the pairs of pointers in it."""
        size = min(self._extent(0, one, left), self._extent(1, two, right))
        a, b = self.base.bytes_at(one, size), self.ours.bytes_at(two, size)
        self._spans.append((one, one + size))
        if token := self._token(one, two):
            self.known.add(token[0])
            return
        at = 0
        while at < size:
            step = 8 if at + 8 <= size and not (one + at) % 8 else 4 if at + 4 <= size and not (one + at) % 4 else 1
            words = a[at : at + step], b[at : at + step]
            pairs, what = self._words(one + at, two + at, *words, left, right)
            if what:
                self._differs(one + at, origin, what)
                return
            yield from pairs
            at += step

    def _words(self, at: int, also: int, x: bytes, y: bytes, left: Section, right: Section) -> tuple[list[Pair], str]:
        """Two words: what is to be compared next, and how they differ, if they do."""
        pointers = at in self.base.pointers, also in self.ours.pointers
        if len(x) == 8 and any(pointers):
            one, two = _WORD.unpack(x)[0], _WORD.unpack(y)[0]
            symbols = self.base.symbol(one), self.ours.symbol(two)
            if not all(pointers) or symbols[0] != symbols[1]:
                return [], CODE if any(symbols) else "content"
            return [] if symbols[0] else [(one, two)], ""
        if x == y:
            return [], ""
        pairs = self._offsets(x, y, left, right)
        if pairs is None and len(x) == 8 and (token := self._length(at, also, x, y)):
            self.known.add(token[0])
            return [], ""
        return pairs or [], "content" if pairs is None else ""

    def _offsets(self, x: bytes, y: bytes, left: Section, right: Section) -> list[Pair] | None:
        """32-bit offsets as types hold them: from the section's start (nameOff, typeOff), or the text's (textOff).

        Source: src/internal/abi/type.go. None where they are no such thing.
        """
        if len(x) % 4 or ("type" not in left.name and left.name != "__rodata"):
            return None
        found: list[Pair] = []
        for (one,), (two,) in zip(_HALF.iter_unpack(x), _HALF.iter_unpack(y), strict=True):
            symbols = self.base.symbol(self.base.text.addr + one), self.ours.symbol(self.ours.text.addr + two)
            of_text = symbols[0] and symbols[0] == symbols[1] and symbols[0][1] == 0
            if one == two or of_text:
                continue
            if not (0 < one < left.size and 0 < two < right.size):
                return None
            found.append((left.addr + one, right.addr + two))
        return found

    def _token(self, one: int, two: int) -> Token | None:
        """The token that stands at a pair of addresses: base's in base, ours in ours."""
        for token in self.tokens:
            _, left, right = token
            if self.base.bytes_at(one, len(left)) == left and self.ours.bytes_at(two, len(right)) == right:
                return token
        return None

    def _length(self, one: int, two: int, x: bytes, y: bytes) -> Token | None:
        """The token whose lengths two words are, behind pointers to it: a string header (unsafe.String's layout)."""
        before = self.base.bytes_at(one - 8, 8), self.ours.bytes_at(two - 8, 8)
        if len(before[0]) != 8 or len(before[1]) != 8:
            return None
        token = self._token(_WORD.unpack(before[0])[0], _WORD.unpack(before[1])[0])
        lengths = _WORD.unpack(x)[0], _WORD.unpack(y)[0]
        return token if token and lengths == (len(token[1]), len(token[2])) else None

    def _extent(self, side: int, at: int, part: Section) -> int:
        marks = self._ends[side]
        index = bisect_right(marks, at)
        return min(part.end, at + SPAN, *marks[index : index + 1]) - at

    def _differs(self, one: int, origin: int, what: str) -> None:
        self.differences.append(DataDifference(base=one, origin=origin, what=what))


def linker_tables(base: Program, ours: Program) -> tuple[list[Pair], dict[str, tuple[int, int]]]:
    """The pairs that the tables of types and of itabs lead to, and the tables' numbers of entries where these differ.

    Source: cmd/link/internal/ld/symtab.go; typelinks are 32-bit offsets from the types' start, itablinks pointers.
    """
    pairs: list[Pair] = []
    lengths: dict[str, tuple[int, int]] = {}
    for name, entry in (("__typelink", _HALF), ("__itablink", _WORD)):
        tables = [_addresses(program, name, entry) for program in (base, ours)]
        if len(tables[0]) == len(tables[1]):
            pairs += zip(*tables, strict=True)
        else:
            lengths[name.removeprefix("__")] = len(tables[0]), len(tables[1])
    return pairs, lengths


def _addresses(program: Program, name: str, entry: struct.Struct) -> list[int]:
    section = program.section(name)
    if section is None:
        return []
    start = program.types.addr if entry is _HALF and program.types else 0
    words = program.bytes_at(section.addr, section.size // entry.size * entry.size)
    return [start + word for (word,) in entry.iter_unpack(words)]
