"""Go's table of functions, the one symbol table that `-s` leaves: a section's bytes come in, functions go out.

Format: src/internal/abi/symtab.go and src/debug/gosym/pclntab.go, the layout of Go 1.20 and later (magic 0xfffffff1),
little-endian with 8-byte words. Text addresses are offsets from the text section's start, which the caller knows:
since Go 1.26 the table does not hold it.
"""

import struct
from dataclasses import dataclass

from gobuild.binary.view import Malformed

MAGIC = 0xFFFFFFF1
LIMIT = 1 << 20
"""Functions that a program may have; the largest of a Go toolchain has 24,000."""

VARINT = 5
"""Bytes of a number in a table of values: it has 32 bits (runtime.readvarint)."""

_FUNC = struct.Struct("<IiiIIIIIIiBBBB")
"""runtime._func up to nfuncdata (src/runtime/runtime2.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function.

    Attributes:
        name: as the linker has it: "runtime.mallocgc".
        start, end: its addresses; up to `end` there may be padding.
        info: where its _func stands in the table, for `Table.files`.
    """

    name: str
    start: int
    end: int
    info: int


class Table:
    """A pclntab.

    Args:
        data: the section's bytes.
        text: the address of the text section's start (runtime.text).

    Raises:
        Malformed: it is no such table, or an offset leaves it.
    """

    def __init__(self, data: bytes, *, text: int) -> None:
        self.data = data
        try:
            magic, zero, self.quantum, pointer = struct.unpack_from("<IHBB", data)
            if (magic, zero, pointer) != (MAGIC, 0, 8):
                raise Malformed(f"no table of functions of Go 1.20 or later: it begins with {data[:8].hex()}")
            count, self.file_count, _, self.names, self.units, self.file_names, self.values, self.functab = (
                struct.unpack_from("<8Q", data, 8)
            )
            if count > LIMIT:
                raise Malformed(f"a table of {count} functions")
            pairs = struct.unpack_from(f"<{2 * count + 1}I", data, self.functab)
            self.functions = tuple(
                Function(
                    name=self._string(self.names + _FUNC.unpack_from(data, self.functab + pairs[2 * index + 1])[1]),
                    start=text + pairs[2 * index],
                    end=text + pairs[2 * index + 2],
                    info=self.functab + pairs[2 * index + 1],
                )
                for index in range(count)
            )
        except (struct.error, ValueError, OverflowError) as error:
            raise Malformed(f"a damaged table of functions: {error}") from error

    def files(self, function: Function) -> tuple[str, ...]:
        """The source files that a function's instructions come from, those of inlined functions too.

        With -trimpath a file of Go's own is told without "src/": "runtime/mfinal.go".

        Raises:
            Malformed: an offset leaves the table.
        """
        try:
            fields = _FUNC.unpack_from(self.data, function.info)
            at, unit, value = self.values + fields[5], fields[8], -1
            found: list[str] = []
            if unit == 0xFFFFFFFF:  # what the linker itself makes, such as go:buildid, is of no file
                return ()
            while True:
                delta, at = self._varint(at)
                if delta == 0 and found:
                    return tuple(dict.fromkeys(found))
                value += (delta >> 1) ^ -(delta & 1)
                _, at = self._varint(at)
                (place,) = struct.unpack_from("<I", self.data, self.units + 4 * (unit + value))
                found.append("" if place == 0xFFFFFFFF else self._string(self.file_names + place))
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise Malformed(f"a damaged table of functions: {error}") from error

    def _string(self, at: int) -> str:
        return self.data[at : self.data.index(b"\0", at)].decode("utf-8", "replace")

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for index in range(VARINT):
            byte = self.data[at + index]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value, at + index + 1
        raise ValueError(f"a number of more than {VARINT} bytes")
