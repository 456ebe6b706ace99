"""A Go program's sections, functions and pointers by address: a Mach-O file for arm64.

ELF is not read: without relocations nothing tells a pointer from a number there.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gobuild.binary import buildinfo, dyld_info, macho
from gobuild.binary.buildinfo import BuildInfo
from gobuild.binary.macho_types import ARM64, Section
from gobuild.binary.pclntab import Function, Pclntab, read_pclntab
from gobuild.binary.view import Malformed, View

FunctionKey = tuple[str, int]
"""A function's name, and how many of the name came before: some names stand there twice."""

Pair = tuple[int, int]
"""An address in base, and the one that corresponds to it in ours."""

MODULE = 0x260
"""Bytes of runtime.firstmoduledata at most: where everything stands and how long it is (src/runtime/symtab.go)."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program; `data` is the whole file."""

    data: bytes
    sections: tuple[Section, ...]  # by address
    text: Section
    table: Pclntab
    info: BuildInfo
    pointers: frozenset[int]  # the addresses of the words that dyld rebases: all pointers in data, and nothing else
    headers: dict[str, tuple[str, ...]]

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """By address."""
        return tuple(self.table.functions())

    @cached_property
    def named(self) -> dict[FunctionKey, Function]:
        """The functions by key."""
        turns: dict[str, int] = {}
        found = {}
        for function in self.functions:
            turn = turns[function.name] = turns.get(function.name, -1) + 1
            found[function.name, turn] = function
        return found

    @cached_property
    def _keys(self) -> dict[int, FunctionKey]:
        return {function.start: key for key, function in self.named.items()}

    @cached_property
    def _words(self) -> "array[int]":
        words = array("I")
        words.frombytes(self.data[self.text.offset : self.text.offset + self.text.size // 4 * 4])
        return words

    @cached_property
    def module(self) -> int:
        """Where runtime.firstmoduledata stands: its first word points to the table of functions; -1 if nowhere."""
        table = self.section("__gopclntab")
        needle = struct.pack("<Q", table.addr) if table else b""
        for section in self.sections:
            if section.name in ("__noptrdata", "__go_module", "__data") and needle:
                at = self.data.find(needle, section.offset, section.place.end)
                if at >= 0:
                    return section.addr + at - section.offset
        return -1

    @cached_property
    def types(self) -> Section | None:
        """The section with the descriptors of types, where moduledata.types points to.

        That is __go_type since Go 1.27; before, where there is a __typelink, other read-only data with pointers in it
        stands there too (cmd/link/internal/ld/data.go).
        """
        before = (each for each in self.sections if (each.segname, each.name) == ("__DATA_CONST", "__rodata"))
        return self.section("__go_type") or (next(before, None) if self.section("__typelink") else None)

    def address(self, function: Function) -> int:
        """Where a function begins in memory."""
        return self.text.addr + function.start

    def code(self, function: Function) -> "array[int]":
        """A function's instructions without the padding behind them."""
        first, last = function.start // 4, function.end // 4
        while last > first and self._words[last - 1] == 0:
            last -= 1
        return self._words[first:last]

    def section(self, name: str) -> Section | None:
        """The section of that name, if it has bytes in the file."""
        return next((each for each in self.sections if each.name == name and not each.zerofill), None)

    def section_at(self, address: int) -> Section | None:
        """The section that an address is in."""
        index = bisect_right(self._begins, address) - 1
        section = self.sections[index] if index >= 0 else None
        return section if section and address < section.end else None

    @cached_property
    def _begins(self) -> list[int]:
        return [section.addr for section in self.sections]

    def symbol(self, address: int) -> tuple[FunctionKey, int] | None:
        """The function that an address of the text is in: its key, and how far in."""
        within = address - self.text.addr
        index = bisect_right(self.table.starts, within, hi=self.table.count) - 1
        if index < 0 or within >= min(self.text.size, self.table.starts[index + 1]):
            return None
        start = self.table.starts[index]
        return self._keys[start], within - start

    def bytes_at(self, address: int, size: int) -> bytes:
        """The content at an address, as far as its section goes."""
        section = self.section_at(address)
        if section is None or section.zerofill:
            return b""
        at = section.offset + address - section.addr
        return self.data[at : at + min(size, section.end - address)]

    def targets(self) -> Iterator[int]:
        """Where the pointers in data point to."""
        for at in self.pointers:
            word = self.bytes_at(at, 8)
            if len(word) == 8:
                yield struct.unpack("<Q", word)[0]


def load_program(path: Path) -> Program:
    """Reads a program; raises Malformed if it is no Go program for arm64, or a damaged one."""
    data = path.read_bytes()
    view = View(data=data, size=len(data))
    image = macho.read_macho(view)
    if image.cputype != ARM64:
        raise Malformed("functions are compared in Mach-O files for arm64 only, and this is for another machine")
    text, table, info = (image.section(name) for name in ("__text", "__gopclntab", "__go_buildinfo"))
    if not text or not table or not info:
        raise Malformed("no Go program: it lacks code, functions or build information")
    return Program(
        data=data,
        sections=tuple(sorted((each for part in image.segments for each in part.sections), key=lambda each: each.addr)),
        text=text,
        table=read_pclntab(view, table.place),
        info=buildinfo.read_buildinfo(view, info.place),
        pointers=dyld_info.read_rebases(view, image),
        headers={
            "load commands": tuple(sorted(image.commands)),
            "install names": tuple(name for _, name in image.dylibs),
            "minos": (image.minos,),
            "sdk": (image.sdk,),
            "imports": tuple(sorted(image.bound)),
        },
    )
