"""Tables for unwinding the stack, as a C linker leaves them: a section comes in, what is wrong with it goes out.

Go's own linker writes none (Go unwinds by its own table of functions); programs linked by the C linker, with cgo, have
them. dyld hands them to libunwind, which reads them in a crash, when it is too late to complain. Sources: LLVM's
<mach-o/compact_unwind_encoding.h>, and the Linux Standard Base's chapter on .eh_frame. The rows of DWARF instructions
are not interpreted.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise

from gobuild.verify.image import MachO, Section
from gobuild.verify.view import Malformed, View

SIZE_LIMIT = 1 << 24
REGULAR, COMPRESSED = 2, 3
PERSONALITIES = 3
"""An encoding has two bits for the number of its personality, and zero means none."""

OBJECT_ENTRY = 32
"""Bytes of an entry in an object file's __compact_unwind (64-bit)."""

NAMES = ("__eh_frame", "__unwind_info", "__compact_unwind")


def problems(view: View, image: MachO) -> Iterator[str]:
    """Everything that is wrong with a file's tables for unwinding, one sentence each."""
    readers = {"__eh_frame": _frames, "__unwind_info": _info, "__compact_unwind": _compact}
    for name, reader in readers.items():
        section = image.section(name)
        if section is None:
            continue
        try:
            if section.size > SIZE_LIMIT:
                raise Malformed(f"{section.size} bytes")
            reader(view.copy(section.offset, section.size, name), image, section)
        except (Malformed, struct.error) as error:
            yield f"{name}: {error}"


def _frames(data: bytes, _image: MachO, _section: Section) -> None:
    """Records one behind another: a CIE with a version known, or an FDE that points back to one."""
    shared: set[int] = set()
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        if length == 0:
            if any(data[at:]):
                raise Malformed(f"bytes behind its end at {at:#x}")
            return
        start = at + 4
        if length == 0xFFFFFFFF:
            (length,) = struct.unpack_from("<Q", data, start)
            start += 8
        if length < 8 or start + length > len(data):
            raise Malformed(f"the record at {at:#x} ends beyond it")
        (back,) = struct.unpack_from("<I", data, start)
        if back == 0:
            if data[start + 4] not in (1, 3) or data.find(b"\0", start + 5, start + length) < 0:
                raise Malformed(f"the record at {at:#x} is of an unknown version")
            shared.add(at)
        elif start - back not in shared:
            raise Malformed(f"the record at {at:#x} belongs to none")
        at = start + length


def _compact(data: bytes, _image: MachO, _section: Section) -> None:
    """An object file's table, which the linker should have turned into __unwind_info."""
    if len(data) % OBJECT_ENTRY:
        raise Malformed(f"{len(data)} bytes are no whole number of entries")


def _info(data: bytes, image: MachO, _section: Section) -> None:
    """The header, the index, and the pages of the second level that it points to."""
    version, *fields = struct.unpack_from("<7I", data)
    common, commons, personality, personalities, index, count = fields
    if version != 1:
        raise Malformed(f"version {version}")
    if personalities > PERSONALITIES or not count:
        raise Malformed(f"{personalities} personalities, {count} entries in the index")
    for what, offset, number, width in (
        ("common encodings", common, commons, 4),
        ("personalities", personality, personalities, 4),
        ("the index", index, count, 12),
    ):
        if offset < 28 or offset % 4 or offset + number * width > len(data):
            raise Malformed(f"{what} leave it")
    entries = [struct.unpack_from("<3I", data, index + 12 * at) for at in range(count)]
    text = image.segment("__TEXT")
    code = image.section("__text")
    if not text or not code:
        raise Malformed("there is no __text that it could be about")
    low = code.address - text.address
    high = low + code.size
    if any(two[0] < one[0] for one, two in pairwise(entries)) or entries[-1][1]:
        raise Malformed("the index is out of order")
    for one, two in pairwise(entries):
        if not low <= one[0] <= two[0] <= text.memory:
            raise Malformed(f"an entry for {one[0]:#x}, which is not in __text")
        if (two[2] - one[2]) % 8 or one[2] > two[2] or two[2] > len(data):
            raise Malformed("the index of language-specific data is out of order")
        if one[1]:
            _page(data, one[1], one[0], (low, high), commons)


def _page(data: bytes, at: int, base: int, code: tuple[int, int], commons: int) -> None:
    """A page of the second level: its functions in order, and each with an encoding that is there."""
    (kind,) = struct.unpack_from("<I", data, at)
    last = base
    if kind == REGULAR:
        place, count = struct.unpack_from("<2H", data, at + 4)
        functions = [struct.unpack_from("<2I", data, at + place + 8 * index)[0] for index in range(count)]
    elif kind == COMPRESSED:
        place, count, encodings, own = struct.unpack_from("<4H", data, at + 4)
        if at + encodings + 4 * own > len(data):
            raise Malformed("a page's encodings leave it")
        words = [struct.unpack_from("<I", data, at + place + 4 * index)[0] for index in range(count)]
        if any(word >> 24 >= commons + own for word in words):
            raise Malformed("a function's encoding is not there")
        functions = [base + (word & 0xFFFFFF) for word in words]
    else:
        raise Malformed(f"a page of kind {kind}")
    for function in functions:
        if not code[0] <= function < code[1] or function < last:
            raise Malformed(f"a function at {function:#x}, which is out of order or not in __text")
        last = function
