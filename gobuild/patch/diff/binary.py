"""git's binary patches: a file's whole content, or a delta against the one before, deflated and in base 85.

The format is git's own: gitformat-pack(5) has the delta, apply.c (parse_binary_hunk) the lines.
"""

import base64
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from gobuild.core.errors import PatchError

HEADING = b"GIT binary patch"
ROOM = 16 << 20
"""Bytes that all binary data of one patch may be, unpacked and applied."""

_KIND = re.compile(rb"(literal|delta) (\d{1,9})")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""How many bytes a line holds: A is 1, z is 52."""
_DAMAGED = "make it again by git format-patch"


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryHunk:
    """One direction of a binary patch: the content itself, or with `delta` a recipe to make it of the one before."""

    delta: bool
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of what it makes."""
        return _number(self.data, _number(self.data, 0)[1])[0] if self.delta else len(self.data)

    def apply_to(self, content: bytes) -> bytes:
        """The content that it makes."""
        return _patched(content, self.data) if self.delta else self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryPatch:
    """A file's binary patch, forward and, as git always writes it, backward."""

    forward: BinaryHunk
    backward: BinaryHunk | None

    def reversed(self) -> "BinaryPatch | None":
        """The patch that undoes this one, None where there is none."""
        return BinaryPatch(forward=self.backward, backward=self.forward) if self.backward else None


def read_binary(lines: Sequence[bytes], at: int, room: int) -> tuple[BinaryPatch, int, int]:
    """Reads a binary patch from behind its heading on; also gives the line behind it, from 0, and the room left.

    Raises:
        PatchError: it is damaged, or larger than `room`.
    """
    forward, at, room = _hunk(lines, at, room)
    backward = None
    if at < len(lines) and _KIND.fullmatch(lines[at]):
        backward, at, room = _hunk(lines, at, room)
    return BinaryPatch(forward=forward, backward=backward), at, room


def _hunk(lines: Sequence[bytes], at: int, room: int) -> tuple[BinaryHunk, int, int]:
    kind = _KIND.fullmatch(lines[at]) if at < len(lines) else None
    if not kind:
        raise PatchError(f"line {at + 1} is neither literal nor delta, which a binary patch begins with", _DAMAGED)
    size = int(kind[2])
    end = at + 1
    while end < len(lines) and lines[end]:
        end += 1
    try:
        if size > room:
            raise PatchError(f"its binary data is larger than {ROOM >> 20} MB", "put large files beside the patches")
        hunk = BinaryHunk(delta=kind[1] == b"delta", data=_inflated(_decoded(lines[at + 1 : end], size), size))
        room -= size + (hunk.size if hunk.delta else 0)
        if room < 0:
            raise PatchError(f"its binary data makes more than {ROOM >> 20} MB", "put large files beside the patches")
    except (ValueError, IndexError, zlib.error) as error:
        raise PatchError(f"line {at + 1}: its binary data is damaged: {error}", _DAMAGED) from error
    except PatchError as error:
        raise PatchError(f"line {at + 1}: {error.reason}", error.hint) from error
    return hunk, end + (end < len(lines)), room


def _decoded(lines: Sequence[bytes], size: int) -> bytes:
    """Base 85 as git writes it: a letter that tells how many bytes a line holds, and four bytes in five characters."""
    if sum(map(len, lines)) > 2 * size + 1024:
        raise ValueError("more than its size")  # before any time is spent on it
    whole = base64.b85decode(b"".join(line[1:] for line in lines))
    parts, at = [], 0
    for line in lines:
        count, there = _LETTERS.index(line[:1]) + 1, (len(line) - 1) * 4 // 5
        if len(line) % 5 != 1 or not there - 4 < count <= there:
            raise ValueError("a line of another length than it says")
        parts.append(whole[at : at + count])
        at += there
    return b"".join(parts)


def _inflated(data: bytes, size: int) -> bytes:
    """Unpacks at most as many bytes as were announced."""
    stream = zlib.decompressobj()
    made = stream.decompress(data, size + 1)
    if len(made) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"it is not the {size} bytes that it says")
    return made


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number in front of a delta, seven bits a byte, the lowest first; and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at
        if shift > 35:
            raise ValueError("a number without an end")


def _patched(source: bytes, delta: bytes) -> bytes:
    """Applies a delta: pieces of the source, and pieces of its own (gitformat-pack(5), "Deltified representation")."""
    try:
        before, at = _number(delta, 0)
        size, at = _number(delta, at)
        if before != len(source):
            raise ValueError(f"it is for {before} bytes, and there are {len(source)}")
        parts: list[bytes] = []
        room = size
        while at < len(delta):
            order = delta[at]
            at += 1
            if order & 0x80:
                start, count, at = _copy(delta, order, at)
                if start + count > len(source):
                    raise ValueError("it copies what is not there")
                part = source[start : start + count]
            else:
                part, at = delta[at : at + order], at + order
                if not order or at > len(delta):
                    raise ValueError("an order that is none")
            room -= len(part)
            if room < 0:
                break
            parts.append(part)
        if room:
            raise ValueError(f"it does not make the {size} bytes that it says")
    except (ValueError, IndexError) as error:
        raise PatchError(f"its binary delta is damaged: {error}", _DAMAGED) from error
    return b"".join(parts)


def _copy(delta: bytes, order: int, at: int) -> tuple[int, int, int]:
    """Which piece an order copies, by its start and size, and where the next order begins."""
    start = count = 0
    for bit in range(7):
        if order >> bit & 1:
            if bit < 4:
                start |= delta[at] << 8 * bit
            else:
                count |= delta[at] << 8 * (bit - 4)
            at += 1
    return start, count or 0x10000, at
