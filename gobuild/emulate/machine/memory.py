"""The guest's address space, in windows, each of which is one range of the host's.

So Python reads and writes it as a memoryview, files are mapped by the host, untouched pages cost nothing, and fork
copies all of it. The engine sees what is accessible, as few regions as there can be: each costs it time.
"""

import ctypes
import os
import struct
from bisect import bisect_right
from dataclasses import dataclass

from gobuild.emulate.darwin.errno import EACCES, EFAULT, EINVAL, ENAMETOOLONG, ENOMEM, DarwinError
from gobuild.emulate.machine.engine import Engine

PAGE = 0x4000
SPACE = 1 << 47
"""Addresses below it can be had, as on macOS: since Go 1.26 the heap begins anywhere."""

WINDOW = 1 << 38
"""What is reserved on the host at once; nothing lies in two windows."""

WINDOWS_LIMIT = 64

ANYWHERE = 0x300000000
"""Where addresses that nobody asked for begin, above the program and the stubs."""

READ, WRITE, EXECUTE = 1, 2, 4
PROT_ALL = READ | WRITE | EXECUTE
"""The bits of a protection that xnu looks at, in a segment as in mmap and mprotect; it ignores others."""

_PROT_NONE, _PROT_RW = 0, 3
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS, _NORESERVE = 0x1, 0x2, 0x10, 0x20, 0x4000
_MADV_DONTNEED = 4
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


@dataclass(slots=True)
class Area:
    """A range with one protection; 0 for a reservation, which the engine does not know."""

    start: int
    end: int
    protection: int


@dataclass(frozen=True, slots=True)
class _Window:
    base: int  # the host's address
    view: memoryview


def round_up(number: int, unit: int = PAGE) -> int:
    """The next multiple, 16 KiB pages where nothing else is said."""
    return (number + unit - 1) // unit * unit


class Memory:
    """An address space.

    Attributes:
        used: bytes that are accessible, untouched ones included.
    """

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine, self._limit = engine, limit
        self.used = 0
        self._areas: list[Area] = []
        self._starts: list[int] = []
        self._windows: dict[int, _Window] = {}

    def close(self) -> None:
        """Gives the whole range back to the host."""
        for window in self._windows.values():
            window.view.release()
            _libc.munmap(window.base, WINDOW)
        self._windows = {}

    def _host(self, address: int) -> int:
        """The host's address of a guest's."""
        number = address // WINDOW
        window = self._windows.get(number)
        if window is None:
            if len(self._windows) >= WINDOWS_LIMIT:
                raise DarwinError(ENOMEM)
            base = _host_map(None, WINDOW, _PROT_NONE, _PRIVATE | _ANONYMOUS | _NORESERVE)
            view = memoryview((ctypes.c_char * WINDOW).from_address(base)).cast("B")
            window = self._windows[number] = _Window(base, view)
        return window.base + address % WINDOW

    # Areas

    def map(
        self, address: int, size: int, protection: int, *, fixed: bool = False, descriptor: int = -1, offset: int = 0,
        shared: bool = False,
    ) -> int:  # fmt: skip
        """Maps zeros, or a file of the host, and returns the address; a fixed one replaces what is there."""
        size, protection = round_up(size), protection & PROT_ALL
        if size <= 0 or (address % PAGE and fixed):
            raise DarwinError(EINVAL)
        if protection & WRITE and protection & EXECUTE:
            raise DarwinError(EACCES)
        if not fixed:
            address = self._free(address // PAGE * PAGE, size)
        if not _lies_in_window(address, size) or (protection and self.used + size > self._limit):
            raise DarwinError(ENOMEM)
        self._detach(address, address + size)
        self._back(address, size, protection, descriptor, offset, shared)
        self._attach(Area(address, address + size, protection))
        return address

    def _back(self, address: int, size: int, protection: int, descriptor: int, offset: int, shared: bool) -> None:
        """Puts host memory there. The engine enforces the protection, so the host's own lets Python write."""
        host = self._host(address)
        if descriptor < 0:
            _host_map(host, size, _PROT_RW if protection else _PROT_NONE, _PRIVATE | _ANONYMOUS | _NORESERVE | _FIXED)
        elif shared:
            allowed = protection & (READ | WRITE)
            _host_map(host, size, allowed, _SHARED | _FIXED, descriptor, offset)
        else:
            _host_map(host, size, _PROT_RW, _PRIVATE | _NORESERVE | _FIXED, descriptor, offset)

    def unmap(self, address: int, size: int) -> None:
        """Takes a range away; what is not there stays so."""
        if address % PAGE or size <= 0 or not _lies_in_window(address, size):
            raise DarwinError(EINVAL)
        size = round_up(size)
        self._detach(address, address + size)
        _host_map(self._host(address), size, _PROT_NONE, _PRIVATE | _ANONYMOUS | _NORESERVE | _FIXED)

    def protect(self, address: int, size: int, protection: int) -> None:
        """Changes the protection of a range that is there."""
        if address % PAGE:
            raise DarwinError(EINVAL)
        protection &= PROT_ALL
        if protection & WRITE and protection & EXECUTE:
            raise DarwinError(EACCES)
        end = address + round_up(size)
        if self._covered(address, end) is None:
            raise DarwinError(ENOMEM)
        opened = [area for area in self._touching(address, end) if not area.protection]
        if protection and self.used + sum(area.end - area.start for area in opened) > self._limit:
            raise DarwinError(ENOMEM)
        for area in self._detach(address, end):
            if not area.protection and protection:
                size = area.end - area.start
                _host_map(self._host(area.start), size, _PROT_RW, _PRIVATE | _ANONYMOUS | _NORESERVE | _FIXED)
        self._attach(Area(address, end, protection))

    def discard(self, address: int, size: int) -> None:
        """The pages may be zero when they are read next, and cost nothing until then."""
        if self._covered(address, address + size) is not None:
            start, end = round_up(address), (address + size) // PAGE * PAGE
            if start < end:
                _libc.madvise(self._host(start), end - start, _MADV_DONTNEED)

    def is_reserved(self, address: int) -> bool:
        """Whether an address is taken, accessible or not."""
        return bool(self._touching(address, address + 1))

    def _free(self, wanted: int, size: int) -> int:
        """The wanted address where that range is free, or the first free range."""
        if _lies_in_window(wanted, size) and not self._touching(wanted, wanted + size):
            return wanted
        at = ANYWHERE
        for area in self._areas:
            if area.end <= at:
                continue
            if area.start - at >= size:
                break
            at = area.end
        return at

    def _touching(self, start: int, end: int) -> list[Area]:
        first = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        for area in self._areas[first:]:
            if area.start >= end:
                break
            if area.end > start:
                found.append(area)
        return found

    def _covered(self, start: int, end: int) -> list[Area] | None:
        """The areas that cover a range without a gap."""
        areas = self._touching(start, end)
        at = start
        for area in areas:
            if area.start > at:
                return None
            at = area.end
        return areas if at >= end else None

    def _detach(self, start: int, end: int) -> list[Area]:
        """Takes a range out of the areas and the engine; returns what was there."""
        taken = []
        for area in self._touching(start, end):
            self._drop(area)
            for left, right in ((area.start, min(area.end, start)), (max(area.start, end), area.end)):
                if left < right:
                    self._put(Area(left, right, area.protection))
            taken.append(Area(max(area.start, start), min(area.end, end), area.protection))
        return taken

    def _attach(self, area: Area) -> None:
        """Adds a range, as one with its neighbours of the same protection."""
        for other in self._touching(area.start - 1, area.end + 1):
            if other.protection == area.protection and other.start // WINDOW == area.start // WINDOW:
                self._drop(other)
                area = Area(min(area.start, other.start), max(area.end, other.end), area.protection)
        self._put(area)

    def _put(self, area: Area) -> None:
        index = bisect_right(self._starts, area.start)
        self._areas.insert(index, area)
        self._starts.insert(index, area.start)
        if area.protection:
            size = area.end - area.start
            self.used += size
            self._engine.map(area.start, size, area.protection, self._host(area.start))

    def _drop(self, area: Area) -> None:
        index = self._areas.index(area)
        del self._areas[index], self._starts[index]
        if area.protection:
            self.used -= area.end - area.start
            self._engine.unmap(area.start, area.end - area.start)

    # Contents

    def slice(self, address: int, size: int, protection: int = READ) -> memoryview:
        """The bytes of a range, not copied; EFAULT where it is not accessible so."""
        if size:
            areas = self._covered(address, address + size) if _lies_in_window(address, size) else None
            if not areas or any(not area.protection & protection for area in areas):
                raise DarwinError(EFAULT)
        if not size:
            return memoryview(bytearray())
        at = address % WINDOW
        return self._windows[address // WINDOW].view[at : at + size]

    def read(self, address: int, size: int) -> bytes:
        """A copy of a range."""
        return bytes(self.slice(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Fills a range."""
        self.slice(address, len(data), WRITE)[:] = data

    def unpack(self, form: struct.Struct, address: int) -> tuple[int, ...]:
        """A struct."""
        return form.unpack(self.slice(address, form.size))

    def pack(self, form: struct.Struct, address: int, *values: int) -> None:
        """Writes a struct."""
        self.write(address, form.pack(*values))

    def u32(self, address: int) -> int:
        """A number of 32 bits."""
        return int.from_bytes(self.slice(address, 4), "little")

    def u64(self, address: int) -> int:
        """A number of 64 bits."""
        return int.from_bytes(self.slice(address, 8), "little")

    def put_u32(self, address: int, value: int) -> None:
        """Writes 32 bits."""
        self.write(address, (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def put_u64(self, address: int, value: int) -> None:
        """Writes 64 bits."""
        self.write(address, (value & (1 << 64) - 1).to_bytes(8, "little"))

    def c_string(self, address: int, limit: int = 4096) -> bytes:
        """A text up to its NUL."""
        found = bytearray()
        while len(found) < limit:
            block = bytes(self.slice(address, min(PAGE - address % PAGE, limit - len(found))))
            head, nul, _ = block.partition(b"\0")
            found += head
            if nul:
                return bytes(found)
            address += len(block)
        raise DarwinError(ENAMETOOLONG)


def _lies_in_window(address: int, size: int) -> bool:
    return 0 < address <= SPACE - size and address // WINDOW == (address + size - 1) // WINDOW


def _host_map(
    address: int | None, size: int, protection: int, flags: int, descriptor: int = -1, offset: int = 0
) -> int:
    found = _libc.mmap(address, size, protection, flags, descriptor, offset)
    if found == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)
