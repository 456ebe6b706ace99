"""Which words of a Mach-O file are pointers: LC_DYLD_INFO's rebase opcodes come in, addresses go out.

Source: <mach-o/loader.h>, REBASE_OPCODE_*; Go's writer is machoDyldInfo in src/cmd/link/internal/ld/macho.go.
"""

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Malformed, View

DONE, SET_TYPE, SET_PLACE, ADD, ADD_SCALED, TIMES, MANY, ONE_SKIPPING, MANY_SKIPPING = range(0x00, 0x90, 0x10)
"""The opcodes in the order of <mach-o/loader.h>, from REBASE_OPCODE_DONE on."""

NUMBERS = {SET_TYPE: 0, SET_PLACE: 1, ADD: 1, ADD_SCALED: 0, TIMES: 0, MANY: 1, ONE_SKIPPING: 1, MANY_SKIPPING: 2}
"""How many ULEB128 numbers follow each."""

LIMIT = 1 << 22
"""Pointers that a program may have; the largest of a Go toolchain has some 200,000."""


def pointers(view: View, image: MachO) -> frozenset[int]:
    """The addresses of all words that dyld moves with the image.

    Raises:
        Malformed: an opcode is unknown, or a segment or address leaves its bounds.
    """
    place = next((each for each in image.linkedit if each.what == "rebase opcodes"), None)
    if place is None:
        return frozenset()
    code = view.copy(place.offset, place.size, "the rebase opcodes")
    found: list[int] = []
    at = address = 0
    while at < len(code):
        opcode, low = code[at] & 0xF0, code[at] & 0x0F
        at += 1
        if opcode == DONE:
            break
        if opcode not in NUMBERS or (opcode == SET_TYPE and low != 1):
            raise Malformed(f"a rebase opcode {opcode | low:#x}, which is none for pointers")
        numbers = []
        for _ in range(NUMBERS[opcode]):
            number, at = _uleb(code, at)
            numbers.append(number)
        address, times, step = _move(image, opcode, low, numbers, address)
        if len(found) + times > LIMIT:
            raise Malformed("too many rebases")
        found += range(address, address + times * step, step)
        address += times * step
    return frozenset(found)


def _move(image: MachO, opcode: int, low: int, numbers: list[int], address: int) -> tuple[int, int, int]:
    """What an opcode does: the address it moves to, how many pointers stand there, and the step between them."""
    if opcode == SET_PLACE:
        if low >= len(image.segments):
            raise Malformed("a rebase in a segment that is not there")
        return image.segments[low].vmaddr + numbers[0], 0, 8
    if opcode in (ADD, ADD_SCALED):
        return address + (numbers[0] if numbers else 8 * low), 0, 8
    if opcode in (TIMES, MANY):
        return address, numbers[0] if numbers else low, 8
    if opcode == ONE_SKIPPING:
        return address, 1, 8 + numbers[0]
    if opcode == MANY_SKIPPING:
        return address, numbers[0], 8 + numbers[1]
    return address, 0, 8


def _uleb(code: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(code) or shift > 63:
            raise Malformed("a number of the rebase opcodes has no end")
        byte = code[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
