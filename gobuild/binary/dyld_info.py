"""LC_DYLD_INFO's opcodes, run as dyld runs them: which symbols it binds, and which pointers it rebases.

Sources: Apple's <mach-o/loader.h> (BIND_OPCODE_*, REBASE_OPCODE_*) and dyld's MachOAnalyzer; Go's writer is
machoDyldInfo in src/cmd/link/internal/ld/macho.go. Chained fixups (LC_DYLD_CHAINED_FIXUPS), which Go's own linker does
not write, are not read.
"""

from collections.abc import Iterator

from gobuild.binary.macho_types import Binding, MachO
from gobuild.binary.view import Malformed, Range, View

OPCODES_LIMIT = 1 << 24
"""Bytes of opcodes; Go 1.27.3's cmd/go, the largest measured, has 331,000 to rebase and 2,600 to bind."""

BINDINGS_LIMIT = 1 << 17
REBASES_LIMIT = 1 << 20
"""One opcode can mean any number of pointers, each of which costs memory. A Go program of 60 MB has 500,000."""

POINTER = 1
"""BIND_TYPE_POINTER and REBASE_TYPE_POINTER: the only kind there is in 64-bit files."""

MEMORY = 0xFFFFFFFFFFFFFFFF
TABLES = ("bind opcodes", "weak bind opcodes", "lazy bind opcodes")
SELF, MAIN, FLAT, WEAK = 0, -1, -2, -3
WEAK_IMPORT = 1
"""A flag of a binding, BIND_SYMBOL_FLAGS_WEAK_IMPORT: the symbol may be missing."""
SPECIAL = {SELF: "the program itself", MAIN: "the main program", FLAT: "any library", WEAK: "any library, coalesced"}
"""Ordinals that name no library (BIND_SPECIAL_DYLIB_...)."""


def read_bindings(view: View, image: MachO) -> tuple[Binding, ...]:
    """Every symbol that dyld binds, in order."""
    found: list[Binding] = []
    for table in image.linkedit:
        if table.what in TABLES:
            for binding in _Bind(view, table).run():
                found.append(binding)
                if len(found) > BINDINGS_LIMIT:
                    raise Malformed(f"more than {BINDINGS_LIMIT} bindings")
    return tuple(found)


def read_rebases(view: View, image: MachO) -> frozenset[int]:
    """The addresses of all pointers that dyld moves with the image."""
    table = image.table("rebase opcodes")
    return frozenset(_Rebase(view, table).run(image)) if table else frozenset()


class _Opcodes:
    """The state that both kinds of opcodes change: how far they are read, and a place in a segment."""

    def __init__(self, view: View, table: Range) -> None:
        if table.size > OPCODES_LIMIT:
            raise Malformed(f"{table.size} bytes of {table.what}")
        view.require(table.offset, table.size, table.what)
        self.view, self.table, self.at = view, table, table.offset
        self.segment: int | None = None
        self.offset = 0

    def opcodes(self) -> Iterator[tuple[int, int]]:
        """Each opcode with its immediate, up to the end; of lazy bindings each one has an end of its own."""
        while self.at < self.table.end:
            byte = self.view.data[self.at]
            self.at += 1
            if byte:
                yield byte & 0xF0, byte & 0x0F
            elif not self.table.what.startswith("lazy"):
                if not self.view.zero(self.at, self.table.end):
                    raise Malformed(f"{self.table.what} go on behind their end")
                return

    def number(self) -> int:
        """Reads an operand."""
        value, self.at = self.view.uleb128(self.at, self.table.end, self.table.what)
        return value

    def move(self, distance: int) -> None:
        """Adds to the place, as dyld does: a negative distance is a very large one."""
        self.offset = (self.offset + distance) & MEMORY

    def unknown(self, opcode: int, low: int) -> Malformed:
        """What to raise for an opcode that is none of these."""
        return Malformed(f"{self.table.what} hold {opcode | low:#x}, which Go's linker does not write")


class _Bind(_Opcodes):
    """BIND_OPCODE_*."""

    def __init__(self, view: View, table: Range) -> None:
        super().__init__(view, table)
        self.ordinal: int | None = WEAK if table.what.startswith("weak") else None
        self.name = ""
        self.flags = self.kind = 0

    def run(self) -> Iterator[Binding]:
        """Every binding, in order."""
        for opcode, low in self.opcodes():
            count, skip = 1, 0
            if opcode == 0xA0:  # DO_BIND_ADD_ADDR_ULEB
                skip = self.number()
            elif opcode == 0xB0:  # DO_BIND_ADD_ADDR_IMM_SCALED
                skip = 8 * low
            elif opcode == 0xC0:  # DO_BIND_ULEB_TIMES_SKIPPING_ULEB
                count, skip = self.number(), self.number()
            elif opcode != 0x90:  # DO_BIND
                self._set(opcode, low)
                continue
            for _ in range(count):
                yield self._binding()
                self.move(8 + skip)

    def _set(self, opcode: int, low: int) -> None:
        if opcode == 0x10:  # SET_DYLIB_ORDINAL_IMM
            self.ordinal = low
        elif opcode == 0x20:  # SET_DYLIB_ORDINAL_ULEB
            self.ordinal = self.number()
        elif opcode == 0x30:  # SET_DYLIB_SPECIAL_IMM
            self.ordinal = low - 16 if low else SELF
        elif opcode == 0x40:  # SET_SYMBOL_TRAILING_FLAGS_IMM
            self.flags = low
            self.name = self.view.c_string(self.at, self.table.end, "a bound symbol's name")
            self.at += len(self.name.encode()) + 1
        elif opcode == 0x50:  # SET_TYPE_IMM
            self.kind = low
        elif opcode == 0x70:  # SET_SEGMENT_AND_OFFSET_ULEB
            self.segment, self.offset = low, self.number()
        elif opcode == 0x80:  # ADD_ADDR_ULEB
            self.move(self.number())
        else:
            # SET_ADDEND_SLEB (0x60), which no import needs, and THREADED (0xD0), which is arm64e's.
            raise self.unknown(opcode, low)

    def _binding(self) -> Binding:
        what = self.table.what
        if self.segment is None or not self.name or self.ordinal is None:
            raise Malformed(f"{what} bind before they say what, where or from which library")
        if self.kind != POINTER and not what.startswith("lazy"):
            raise Malformed(f"{what} of type {self.kind}, not pointers")
        return Binding(what, self.name, self.ordinal, self.segment, self.offset, self.flags)


class _Rebase(_Opcodes):
    """REBASE_OPCODE_*."""

    def run(self, image: MachO) -> list[int]:
        """The address of every pointer."""
        found: list[int] = []
        for opcode, low in self.opcodes():
            count, skip = 1, 0
            if opcode == 0x50:  # DO_REBASE_IMM_TIMES
                count = low
            elif opcode == 0x60:  # DO_REBASE_ULEB_TIMES
                count = self.number()
            elif opcode == 0x70:  # DO_REBASE_ADD_ADDR_ULEB
                skip = self.number()
            elif opcode == 0x80:  # DO_REBASE_ULEB_TIMES_SKIPPING_ULEB
                count, skip = self.number(), self.number()
            else:
                self._set(opcode, low)
                continue
            if len(found) + count > REBASES_LIMIT:
                raise Malformed(f"more than {REBASES_LIMIT} pointers to rebase")
            if count:
                found += self._pointers(image, count, 8 + skip)
        return found

    def _set(self, opcode: int, low: int) -> None:
        if opcode == 0x20:  # SET_SEGMENT_AND_OFFSET_ULEB
            self.segment, self.offset = low, self.number()
        elif opcode == 0x30:  # ADD_ADDR_ULEB
            self.move(self.number())
        elif opcode == 0x40:  # ADD_ADDR_IMM_SCALED
            self.move(8 * low)
        elif (opcode, low) != (0x10, POINTER):  # SET_TYPE_IMM
            raise self.unknown(opcode, low)

    def _pointers(self, image: MachO, count: int, step: int) -> range:
        segment = (
            image.segments[self.segment] if self.segment is not None and self.segment < len(image.segments) else None
        )
        last = self.offset + (count - 1) * step
        if segment is None or last + 8 > segment.vmsize:
            raise Malformed(f"a pointer to rebase at {last:#x} of segment {self.segment}, which is not there")
        start = segment.vmaddr + self.offset
        self.move(count * step)
        return range(start, start + count * step, step)
