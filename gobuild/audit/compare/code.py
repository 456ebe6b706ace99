"""arm64 code of two functions, compared by what it does, not by where things stand.

The streams of instructions are the same if they are so once the targets of branches are named. Encodings: Arm
Architecture Reference Manual for A-profile, C4.1. Go's linker writes an address as ADRP and, right behind it, ADD or a
load or store (cmd/link/internal/arm64/asm.go, R_ADDRARM64 and R_ARM64_PCREL_LDST*).
"""

from array import array
from collections.abc import Iterator

from gobuild.audit.compare.program import Pair, Program
from gobuild.binary.pclntab import Function

BRANCH, BRANCH_MASK = 0x14000000, 0x7C000000
"""B and BL."""

ADR, ADR_MASK = 0x10000000, 0x1F000000
"""ADR and ADRP."""

ADD, ADD_MASK = 0x91000000, 0xFFC00000
ACCESS, ACCESS_MASK = 0x39000000, 0x3B000000
"""Loads and stores with an unsigned offset."""

IMMEDIATE = 0xFFF << 10


def compare_code(base: Program, one: Function, ours: Program, two: Function) -> tuple[str, list[Pair]]:
    """How the code of two functions differs; or, if it does not, the data that the same instructions refer to."""
    a, b = base.code(one), ours.code(two)
    if len(a) != len(b):
        return f"{len(a)} instructions in base, {len(b)} in ours", []
    starts = base.address(one), ours.address(two)
    found: list[Pair] = []
    consumed = -1
    for index, (w, v) in enumerate(zip(a, b, strict=True)):
        if index == consumed:
            continue
        if w & BRANCH_MASK == v & BRANCH_MASK == BRANCH and (w ^ v) >> 31 == 0:
            pair = _branch(w, starts[0] + 4 * index), _branch(v, starts[1] + 4 * index)
        elif w & ADR_MASK == v & ADR_MASK == ADR and (w ^ v) & 0x9000001F == 0:
            (left, following), (right, other) = _address(a, index, starts[0]), _address(b, index, starts[1])
            if following != other:
                break
            consumed = index + 1 if following is not None else consumed
            pair = left, right
        elif w == v:
            continue
        else:
            break
        # The same place of the same function, or data to be compared.
        symbol = base.symbol(pair[0])
        if symbol != ours.symbol(pair[1]):
            break
        if symbol is None:
            found.append(pair)
    else:
        return "", found
    return f"{len(a)} instructions, the first that differs at {4 * index:#x}", []


def _branch(word: int, at: int) -> int:
    offset = word & 0x3FFFFFF
    return at + 4 * (offset - ((offset & 0x2000000) << 1))


def _address(words: "array[int]", index: int, start: int) -> tuple[int, int | None]:
    """The address of ADR, or of ADRP and what follows; and what follows, if it belongs, without its immediate."""
    word = words[index]
    high = (word >> 5) & 0x7FFFF
    value = (high - ((high & 0x40000) << 1)) << 2 | (word >> 29) & 3
    at = start + 4 * index
    if not word >> 31:
        return at + value, None
    page = (at & ~0xFFF) + (value << 12)
    following = words[index + 1] if index + 1 < len(words) else 0
    if (following >> 5) & 31 != word & 31:
        return page, None
    immediate = (following >> 10) & 0xFFF
    if following & ADD_MASK == ADD:
        return page + immediate, following & ~IMMEDIATE
    if following & ACCESS_MASK == ACCESS:
        scale = following >> 30 | (4 if following & 0x04800000 == 0x04800000 else 0)
        return page + (immediate << scale), following & ~IMMEDIATE
    return page, None


def references(program: Program, function: Function) -> Iterator[int]:
    """The addresses of data that a function refers to."""
    words = program.code(function)
    for index, word in enumerate(words):
        if word & ADR_MASK == ADR:
            address, _ = _address(words, index, program.address(function))
            if program.symbol(address) is None:
                yield address
