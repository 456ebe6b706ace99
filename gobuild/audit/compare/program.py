"""A Go program's sections, functions and pointers by address: a Mach-O file for arm64 comes in, a `Program` goes out.

The headers are read by `gobuild.binary.macho`, the pointers from what dyld rebases (`rebase`). It compares nothing.
ELF is not read: without relocations nothing tells a pointer from a number there.
"""

import struct
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gobuild.binary import buildinfo, dyld_info, macho
from gobuild.binary.buildinfo import BuildInfo
from gobuild.binary.macho_types import ARM64, MachO
from gobuild.binary.pclntab import Function, Table
from gobuild.binary.view import Malformed, View
from gobuild.verify import expect

UNTOLD = frozenset({"gopclntab", "go_buildinfo", "go_fipsinfo", "symbol_stub1", "nl_symbol_ptr", "got", "go_module"})
"""Sections that are not compared as data: what they say is compared otherwise (functions, the build information, the
imports), or is a digest or a record of where all else stands."""

MODULE = 0x260
"""Bytes of runtime.firstmoduledata at most: where everything stands and how long it is (src/runtime/symtab.go)."""


TYPES = dict.fromkeys((f"1.{minor}" for minor in range(21, 28)), 37)
"""Which word of runtime.firstmoduledata is `types`, by the line of Go: counted in src/runtime/symtab.go of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A section: its name without "__", where it stands in memory and in the file (`offset`, None for bss)."""

    name: str
    start: int
    size: int
    offset: int | None

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program.

    Attributes:
        data: the file.
        parts: its sections that are loaded, by address.
        table: its functions.
        info: its build information.
        pointers: the addresses of the words that dyld rebases: all pointers in data, and nothing else.
        facts: what its headers say, by name: load commands, libraries, imports.
    """

    data: bytes
    parts: tuple[Part, ...]
    table: Table
    info: BuildInfo
    pointers: frozenset[int]
    facts: dict[str, tuple[str, ...]]

    @cached_property
    def text(self) -> Part:
        """The section of the code."""
        return next(part for part in self.parts if part.name == "text")

    @cached_property
    def words(self) -> "array[int]":
        """The code as instructions."""
        offset = self.text.offset or 0
        words = array("I")
        words.frombytes(self.data[offset : offset + self.text.size // 4 * 4])
        return words

    @cached_property
    def starts(self) -> list[int]:
        """Where the functions begin."""
        return [function.start for function in self.table.functions]

    @cached_property
    def named(self) -> dict[tuple[str, int], Function]:
        """The functions by name, and by how many of the name came before: some names stand there twice."""
        seen: dict[str, int] = {}
        found = {}
        for function in self.table.functions:
            turn = seen[function.name] = seen.get(function.name, -1) + 1
            found[function.name, turn] = function
        return found

    @cached_property
    def keys(self) -> dict[int, tuple[str, int]]:
        """The key of each function in `named`, by where it begins."""
        return {function.start: key for key, function in self.named.items()}

    @cached_property
    def module(self) -> int:
        """Where runtime.firstmoduledata stands: its first word points to the table of functions; -1 if nowhere."""
        table = next((part for part in self.parts if part.name == "gopclntab"), None)
        needle = struct.pack("<Q", table.start) if table else b""
        for part in self.parts:
            if part.name in ("noptrdata", "go_module", "data") and part.offset is not None and needle:
                at = self.data.find(needle, part.offset, part.offset + part.size)
                if at >= 0:
                    return part.start + at - part.offset
        return -1

    @cached_property
    def types(self) -> Part | None:
        """The section with the descriptors of types, by moduledata.types.

        Up to Go 1.26 other read-only data with pointers in it stands there too.
        """
        word = self.bytes_at(self.module + TYPES[_line(self.info)] * 8, 8) if self.module >= 0 else b""
        return self.part(struct.unpack("<Q", word)[0]) if len(word) == 8 else None

    def code(self, function: Function) -> "array[int]":
        """A function's instructions without the padding behind them."""
        first = (function.start - self.text.start) // 4
        last = (function.end - self.text.start) // 4
        words = self.words
        while last > first and words[last - 1] == 0:
            last -= 1
        return words[first:last]

    def part(self, address: int) -> Part | None:
        """The section that an address is in."""
        index = bisect_right(self._begins, address) - 1
        part = self.parts[index] if index >= 0 else None
        return part if part and address < part.end else None

    @cached_property
    def _begins(self) -> list[int]:
        return [part.start for part in self.parts]

    def symbol(self, address: int) -> tuple[str, int, int] | None:
        """The function that an address of the text is in: its key, and how far in."""
        key = self.keys.get(address)
        if key:
            return (*key, 0)
        index = bisect_right(self.starts, address) - 1
        if index < 0 or not self.text.start <= address < self.text.end:
            return None
        function = self.table.functions[index]
        return (*self.keys[function.start], address - function.start) if address < function.end else None

    def bytes_at(self, address: int, size: int) -> bytes:
        """The content at an address, as far as its section goes."""
        part = self.part(address)
        if part is None or part.offset is None:
            return b""
        at = part.offset + address - part.start
        return self.data[at : at + min(size, part.end - address)]


def load(path: Path) -> Program:
    """Reads a program.

    Raises:
        Malformed: it is no Go program for arm64, or a damaged one, or of a Go that `TYPES` does not know.
    """
    data = path.read_bytes()
    view = View(data=data, size=len(data))
    if data.startswith(b"\x7fELF"):
        raise Malformed("functions are compared in Mach-O files for arm64 only, and this is an ELF file")
    image = macho.read_macho(view)
    if image.cputype != ARM64:
        raise Malformed("functions are compared in Mach-O files for arm64 only, and this is for another machine")
    parts, facts = _parts(image), _facts(image)
    known = {part.name: part for part in parts}
    if not {"text", "gopclntab", "go_buildinfo"} <= known.keys():
        raise Malformed("no Go program: it lacks code, functions or build information")
    table, info = known["gopclntab"], known["go_buildinfo"]
    if table.offset is None or info.offset is None:
        raise Malformed("no Go program: its tables have no content")
    start, build = known["text"].start, buildinfo.read_buildinfo(view, info.offset, info.size)
    if _line(build) not in TYPES:
        first, *_, last = TYPES
        raise Malformed(f"functions are compared for Go {first} to {last}, and this was built by {build.version!r}")
    return Program(
        data=data,
        parts=tuple(sorted(parts, key=lambda part: part.start)),
        table=Table(view.copy(table.offset, table.size, "the table of functions"), text=start),
        info=build,
        pointers=dyld_info.read_rebases(view, image),
        facts=facts,
    )


def _line(info: BuildInfo) -> str:
    """The line of Go that built a program; empty for none that is known."""
    release = expect.release_of(info.version.partition(" ")[0])
    return release.line if release else ""


def _parts(image: MachO) -> list[Part]:
    return [
        Part(
            name=each.name.removeprefix("__"),
            start=each.addr,
            size=each.size,
            offset=None if each.zerofill else each.offset,
        )
        for segment in image.segments
        for each in segment.sections
    ]


def _facts(image: MachO) -> dict[str, tuple[str, ...]]:
    return {
        "load commands": tuple(sorted(image.commands)),
        "install names": tuple(name for _, name in image.dylibs),
        "minos": (image.minos,),
        "sdk": (image.sdk,),
        "imports": tuple(sorted(image.bound)),
    }
