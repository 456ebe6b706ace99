"""Go's table of functions (pclntab), the one symbol table that `-s` leaves: names, addresses and source files.

Format since Go 1.20: src/internal/abi/symtab.go, src/runtime/symtab.go (pcHeader, functab), src/debug/gosym/pclntab.go.
Addresses are offsets from the text's start (runtime.text), which the table does not hold since Go 1.26.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gobuild.binary.view import NAME_LIMIT, Malformed, Range, View

MAGIC = 0xFFFFFFF1
HEADER = struct.Struct("<IHBB8Q")
FUNCTIONS_LIMIT = 1 << 20
"""Functions that a program may have; the largest of a Go toolchain has 24,000."""

FUNC = struct.Struct("<IiiIIIIIIiBBBB")
"""runtime._func up to nfuncdata (src/runtime/runtime2.go): [1] is nameOff, [5] pcfile, [8] cuOffset."""

_HEAD = struct.Struct("<Ii")  # a _func's entryOff and nameOff

NO_UNIT = 0xFFFFFFFF
"""The cuOffset of what the linker itself makes, such as go:buildid, which is of no source file."""

_WHAT = "the table of functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function; `start` and `end` count from the text's start, and `info` is where its _func stands in the file."""

    name: str
    start: int
    end: int
    info: int


@dataclass(frozen=True, slots=True)
class Pclntab:
    """A table of functions, in the order of their addresses."""

    view: View
    quantum: int  # bytes of the machine's smallest instruction
    starts: tuple[int, ...]  # where each function begins, from the text's start; the last one is the end of them all
    infos: tuple[int, ...]  # where the _func of each stands in the file
    name_offsets: tuple[int, ...]  # where the name of each stands in `names`
    names: Range
    units: Range  # the table of each compilation unit's files
    files: Range
    values: Range  # the table of values for each instruction

    @property
    def count(self) -> int:
        """How many functions there are."""
        return len(self.infos)

    def find(self, names: Iterable[str]) -> dict[str, int]:
        """The number of each of these functions that is there."""
        data, start, end = self.view.data, self.names.offset, self.names.end
        places = ((data.find(b"\0" + name.encode() + b"\0", start, end), name) for name in names)
        wanted = {at + 1 - start: name for at, name in places if at >= 0}
        return {wanted[name]: index for index, name in enumerate(self.name_offsets) if name in wanted}

    def packages(self) -> frozenset[str]:
        """The import paths of the packages that its functions are of, those of functions inlined everywhere too."""
        names = self.view.data[self.names.offset : self.names.end].split(b"\0")
        return frozenset(path for name in set(names) if (path := _package_of(name.decode("utf-8", "replace"))))

    def functions(self) -> Iterator[Function]:
        """All of them."""
        for index, (info, name) in enumerate(zip(self.infos, self.name_offsets, strict=True)):
            start, end = self.starts[index : index + 2]
            yield Function(name=self._string(self.names, name), start=start, end=end, info=info)

    def function_name(self, index: int) -> str:
        """The name of one of them, by its number."""
        return self._string(self.names, self.name_offsets[index])

    def source_files(self, function: Function) -> tuple[str, ...]:
        """The source files that a function's instructions come from, those of inlined functions too.

        With -trimpath a file of Go's own is told without "src/": "runtime/mfinal.go".
        """
        fields = self.view.unpack(FUNC.format, function.info, _WHAT)
        at, unit, value = self.values.offset + fields[5], fields[8], -1
        found: list[str] = []
        while unit != NO_UNIT:
            delta, at = self.view.uleb128(at, self.values.end, _WHAT, bits=32)  # runtime.readvarint
            if delta == 0 and found:
                break
            value += (delta >> 1) ^ -(delta & 1)
            _, at = self.view.uleb128(at, self.values.end, _WHAT, bits=32)
            (name,) = self.view.unpack("<I", self.units.offset + 4 * (unit + value), _WHAT)
            found.append("" if name == NO_UNIT else self._string(self.files, name))
        return tuple(dict.fromkeys(found))

    def absolute_files(self) -> Iterator[str]:
        """The source files that are told by their whole paths: -trimpath leaves none."""
        data, start, end = self.view.data, self.files.offset, self.files.end
        at = start if data[start : min(start + 1, end)] == b"/" else data.find(b"\0/", start, end) + 1
        while at:
            yield self._string(self.files, at - start)
            at = data.find(b"\0/", at, end) + 1

    def _string(self, table: Range, offset: int) -> str:
        at = table.offset + offset
        stop = self.view.data.find(b"\0", at, min(table.end, at + NAME_LIMIT)) if 0 <= offset < table.size else -1
        if stop < 0:
            raise Malformed(f"a name at {at:#x} leaves the table of functions")
        return self.view.data[at:stop].decode("utf-8", "replace")


def _package_of(name: str) -> str:
    """The import path in a function's name, "net/http.(*Client).Do"; what the linker and the compiler make has none.

    The standard library's copies of other modules are named as those are: "vendor/golang.org/x/net/idna.New".
    """
    folder, slash, rest = name.partition("[")[0].rpartition("/")
    first, dot, _ = rest.partition(".")
    return (folder + slash + first).removeprefix("vendor/") if dot and ":" not in name else ""


def read_pclntab(view: View, place: Range) -> Pclntab:
    """Reads a section __gopclntab or .gopclntab."""
    view.require(place.offset, place.size, _WHAT)
    if place.size < HEADER.size:
        raise Malformed("the table of functions has no header")
    magic, zero, quantum, pointer, count, _, _, *tables = HEADER.unpack_from(view.data, place.offset)
    if (magic, zero, pointer) != (MAGIC, 0, 8):
        raise Malformed(f"the table of functions begins with {magic:#x}, which no Go since 1.20 writes")
    if not 0 < count <= FUNCTIONS_LIMIT or tables != sorted(tables) or tables[-1] > place.size:
        raise Malformed("the table of functions is out of order")
    names, units, files, values, functab = (
        Range(what=_WHAT, offset=place.offset + start, size=end - start)
        for start, end in zip(tables, [*tables[1:], place.size], strict=True)
    )
    if 8 * count + 4 > functab.size:
        raise Malformed(f"the table of functions says {count} functions in {functab.size} bytes")
    pairs = struct.unpack_from(f"<{2 * count + 1}I", view.data, functab.offset)
    infos = tuple(functab.offset + each for each in pairs[1::2])
    if max(infos) + _HEAD.size > functab.end:
        raise Malformed("a function leaves the table of functions")
    starts, name_offsets = pairs[::2], []
    for start, info in zip(starts, infos, strict=False):
        entry, name = _HEAD.unpack_from(view.data, info)
        if entry != start:
            raise Malformed("a function stands elsewhere by its own word than in the table of functions")
        name_offsets.append(name)
    return Pclntab(view, quantum, starts, infos, tuple(name_offsets), names, units, files, values)
