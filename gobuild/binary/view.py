"""A file's bytes, read with a bound on every step: whatever lies outside the file or its part is `Malformed`."""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME_LIMIT = 4096
"""Bytes a name may have; the longest that a Go toolchain's files refer to has about a hundred."""

FILE_LIMIT = 1 << 29
"""Bytes a file may have; the largest in a Go toolchain has 25 MB."""

FRAMEWORK = b".framework"
FRAMEWORKS_LIMIT = 64
"""Different names of frameworks that are looked for; a Go toolchain's binaries have two."""


class Malformed(Exception):
    """The file breaks a rule of its format in a way that makes reading on pointless. Every reader may raise it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A part of a file; `what` names it in messages."""

    what: str
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A file in memory, not copied."""

    data: mmap.mmap | bytes
    size: int

    def require(self, offset: int, size: int, what: str) -> None:
        """Raises Malformed for a range that does not lie in the file."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Malformed(f"{what} at {offset:#x}, {size:#x} bytes long, ends beyond the file of {self.size:#x}")

    def unpack(self, form: str, offset: int, what: str) -> tuple[Any, ...]:
        """Numbers at an offset, as `struct` reads them."""
        self.require(offset, struct.calcsize(form), what)
        return struct.unpack_from(form, self.data, offset)

    def copy(self, offset: int, size: int, what: str) -> bytes:
        """The bytes of a small range."""
        self.require(offset, size, what)
        return self.data[offset : offset + size]

    def c_string(self, offset: int, end: int, what: str) -> str:
        """A NUL-terminated name in UTF-8 that ends before `end`, of no more than `NAME_LIMIT` bytes."""
        self.require(offset, end - offset, what)
        stop = self.data.find(b"\0", offset, min(end, offset + NAME_LIMIT + 1))
        if stop < 0:
            raise Malformed(f"{what} at {offset:#x} has no end")
        try:
            return self.data[offset:stop].decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"{what} at {offset:#x} is no UTF-8") from error

    def uleb128(self, offset: int, end: int, what: str, *, bits: int = 64) -> tuple[int, int]:
        """An unsigned LEB128 number of so many bits that ends before `end`, and the offset behind it."""
        self.require(offset, end - offset, what)
        value = 0
        for at, shift in zip(range(offset, end), range(0, bits, 7), strict=False):
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80 and value < 1 << bits:
                return value, at + 1
            if byte < 0x80:
                break
        raise Malformed(f"a number in {what} at {offset:#x} has no end, or more than {bits} bits")

    def zero(self, offset: int, end: int) -> bool:
        """Whether a range holds nothing but zero bytes."""
        self.require(offset, end - offset, "padding")
        block = 1 << 16
        return all(not any(self.data[at : min(at + block, end)]) for at in range(offset, end, block))

    def frameworks(self) -> list[str]:
        """The names of macOS frameworks ("Security.framework") anywhere in the file, each once."""
        found: dict[str, None] = {}
        at = self.data.find(FRAMEWORK)
        while at >= 0 and len(found) < FRAMEWORKS_LIMIT:
            before = self.data[max(0, at - 64) : at]
            name = before[len(before) - len(before.rsplit(b"/", 1)[-1]) :]
            found[name.decode("latin-1") + FRAMEWORK.decode()] = None
            at = self.data.find(FRAMEWORK, at + 1)
        return list(found)

    def holds(self, needle: bytes) -> bool:
        """Whether the bytes stand anywhere in the file."""
        return self.data.find(needle) >= 0


@contextmanager
def opened(path: Path) -> Iterator[View]:
    """Maps a file for the time of the block.

    Raises:
        Malformed: it is empty, or larger than `FILE_LIMIT`.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if not size:
        raise Malformed("an empty file")
    if size > FILE_LIMIT:
        raise Malformed(f"a file of {size} bytes")
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        yield View(data=data, size=size)
