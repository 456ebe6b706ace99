"""Go's functions by their addresses in a guest's memory (pclntab), and who called whom, by frame pointers.

Go keeps a chain of frame pointers on arm64 as Apple's convention asks for it: x29 points to the caller's x29, and the
return address stands behind that one (src/runtime/traceback.go, src/cmd/internal/obj/arm64/obj7.go).
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from gobuild.binary import buildid
from gobuild.binary.pclntab import Pclntab, read_pclntab
from gobuild.binary.view import Malformed, Range, View
from gobuild.emulate.darwin.errno import EFAULT, DarwinError
from gobuild.emulate.machine.engine import LR, PC

if TYPE_CHECKING:
    from gobuild.emulate.kernel.process import Process

FP = 29
DEPTH = 48
"""Frames that are looked at; what calls libSystem stands some six deep in Go's own bridges to C."""

SWITCH = "runtime.asmcgocall"
FRAME_WORDS = 16
"""Pairs of words that the frame of a trampoline may have."""

BRIDGES = re.compile(
    r".*_trampoline|.*_tramp|runtime\.(asmcgocall(_no_g)?|asmcgocall_landingpad|libcCall|cgocall|systemstack(_switch)?)"
    r"|runtime\.(syscall\d*|syscall[_A-Z0-9]\w*|mcall|entersyscall|exitsyscall)"
    r"|(syscall|internal/syscall/unix|golang\.org/x/sys/unix|crypto/x509/internal/macos)\."
    r"(raw|Raw)?(s|S)yscall(_syscall)?\w*"
)
"""What stands between a function of Go's and libSystem and says nothing of its own."""


class Symbols:
    """The functions of a process's program; it has none where the program has no table that can be read."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    @cached_property
    def _table(self) -> tuple[Pclntab, int] | None:
        """The table, and the address that its offsets count from: Go's first function holds the build ID."""
        image, memory = self._process.image, self._process.memory
        table, text = image.macho.section("__gopclntab"), image.macho.section("__text")
        if table is None or text is None:
            return None
        try:
            data = memory.read(table.addr + image.slide, table.size)
            place = Range(what="__gopclntab", offset=0, size=table.size)
            found = read_pclntab(View(data=data, size=table.size), place)
            code = memory.read(text.addr + image.slide, min(text.size, 1 << 20))
        except (Malformed, DarwinError):
            return None
        return found, text.addr + image.slide + max(code.find(buildid.PREFIX), 0)

    def name(self, address: int) -> str:
        """The function that an address lies in; empty where none does."""
        if self._table is None:
            return ""
        table, base = self._table
        index = bisect_right(table.starts, address - base) - 1
        if not 0 <= index < table.count:
            return ""
        return table.function_name(index)

    def addresses(self, wanted: re.Pattern[str]) -> Iterator[tuple[str, int]]:
        """The functions whose whole name matches, with where they begin."""
        if self._table:
            table, base = self._table
            for index in range(table.count):
                name = table.function_name(index)
                if wanted.fullmatch(name):
                    yield name, base + table.starts[index]

    def stack(self) -> list[str]:
        """The Go functions that led to where the current thread stands, the innermost first."""
        registers, memory = self._process.engine.x, self._process.memory
        address, frame = registers[LR], registers[FP]
        called, here = frame, self.name(registers[PC])
        found = [here] if here and registers[PC] != address else []
        try:
            for _ in range(DEPTH):
                name = self.name(address - 4)
                if not name:
                    break
                found.append(name)
                if name == SWITCH:
                    frame = self._switched(called) + 8
                    address = memory.u64(frame - 8)
                else:
                    called, frame, address = frame, memory.u64(frame), memory.u64(frame + 8)
        except DarwinError:
            pass
        return found

    def told(self) -> tuple[str, ...]:
        """The same for a message, without bridges to C."""
        found = self.stack()
        return tuple(name for name in found if not BRIDGES.fullmatch(name)) or tuple(found)

    def _switched(self, frame: int) -> int:
        """The stack pointer that asmcgocall had before it went to the system's stack, where its return address stands.

        It keeps two words behind `frame`, the one of what it calls: nothing and the pointer, or the g it came from and
        how far below the top of g's stack (g.stack.hi) the pointer was. They overwrite its own saved frame pointer.
        """
        memory = self._process.memory
        for at in range(frame + 24, frame + 24 + 16 * FRAME_WORDS, 16):
            with suppress(DarwinError):
                g, kept = memory.u64(at), memory.u64(at + 8)
                pointer = memory.u64(g + 8) - kept if g else kept
                if (g or pointer == at + 16) and self.name(memory.u64(pointer) - 4):
                    return pointer
        raise DarwinError(EFAULT)

    def caller(self, stack: list[str], called: str) -> str:
        """The first of a stack that is more than a bridge to the C function `called`, or its namesake in Go."""
        named = [name for name in stack if not BRIDGES.fullmatch(name)]
        others = (name for name in named if name.rpartition(".")[2].lower() != called.lower())
        return next(others, named[0] if named else "")
