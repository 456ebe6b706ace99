"""What is told of a run: each call of an imported function, each phase of the start, and the end, as lines of JSON.

`timeline` makes something to look at of them. An event has the keys below; numbers are the guest's own, so that two
runs of one plan write the same bytes.

    {"event": "start", "pid", "program", "arguments"}
    {"event": "phase", "pid", "thread", "instructions", "name": a Go function}
    {"event": "call", "number", "pid", "thread", "at": nanoseconds, "instructions", "name", "group", "arguments",
     "result", "errno", "caller", "stack": Go functions, the innermost first}
    {"event": "end", "pid", "code", "kind", "detail", "stack"}
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gobuild.emulate.abi import Function
from gobuild.emulate.darwin import errno, fcntl
from gobuild.emulate.darwin.errno import DarwinError
from gobuild.emulate.machine.engine import LR
from gobuild.emulate.symbols import Symbols

if TYPE_CHECKING:
    from gobuild.emulate.kernel.process import Process, Program
    from gobuild.emulate.kernel.threads import Ended

INIT = re.compile(r"((?:[^()\[\]]+/)?[^./()\[\]]+)\.init(\.\d+)?")
"""The functions that a package is initialised by: the one of its variables, and its own, numbered."""

FINALIZERS = re.compile(r"runtime\.(runfinq|runFinalizers)")
"""What the goroutine of finalizers runs, since Go 1.25 by the second name (src/runtime/mfinal.go)."""

CALLED = "runtime.reflectcall"
FINALIZER = "first finalizer"

WATCHED = re.compile(rf"runtime\.(osinit|schedinit|main|reflectcall)|main\.main|{INIT.pattern}")

STACK_TOLD, TEXT_TOLD = 16, 96
"""Functions of a stack, and bytes of what is read or written, that an event tells."""

CONTENTS = {"read": 1, "pread": 1, "write": 1, "pwrite": 1}
"""Which parameter of a call points to as many bytes as it returns."""

OPEN_FLAGS = {getattr(fcntl, name): name for name in dir(fcntl) if name.startswith("O_") and getattr(fcntl, name) > 3}
PROTECTION = {1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC"}
MAP_FLAGS = {0x1: "MAP_SHARED", 0x2: "MAP_PRIVATE", 0x10: "MAP_FIXED", 0x1000: "MAP_ANON"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A finished call.

    Attributes:
        number: counts the calls of a process from 1.
        caller: the address it returns to.
        at: nanoseconds of the guest's clock.
        errno: Darwin's number, where it failed; else 0.
    """

    number: int
    pid: int
    thread: int
    function: Function
    arguments: tuple[Any, ...]
    result: Any
    errno: int
    caller: int
    at: int


class Observer(Protocol):
    """Whoever wants to know."""

    def loaded(self, program: "Program") -> None:
        """A program is in memory and about to start."""

    def call(self, call: Call) -> None:
        """A call is finished."""


class Tracer:
    """Writes the events of one process."""

    def __init__(self, process: "Process", write: Callable[[str], object]) -> None:
        self._process, self._write = process, write
        self.symbols = Symbols(process)
        self._reached: set[str] = set()

    def loaded(self, program: "Program") -> None:
        """Marks where the program's phases begin."""
        self.symbols, self._reached = Symbols(self._process), set()
        self._tell("start", program=program.path, arguments=[_text(each) for each in program.argv[1:]])
        for name, address in self.symbols.addresses(WATCHED):
            self._process.engine.watch(address, lambda name=name: self._phase(name))  # type: ignore[misc]

    def _phase(self, name: str) -> None:
        if name == CALLED:
            if not FINALIZERS.fullmatch(self.symbols.name(self._process.engine.register(LR) - 4)):
                return
            name = FINALIZER
        if name in self._reached:
            return  # a function called by the other ABI first runs through a wrapper of its name
        self._reached.add(name)
        thread = self._process.current
        self._tell("phase", thread=thread.number if thread else 0, instructions=self._instructions, name=name)

    @property
    def _instructions(self) -> int:
        return self._process.engine.instructions

    def call(self, call: Call) -> None:
        """Tells of a call."""
        stack = self.symbols.stack()
        pairs = list(zip(call.function.parameters, call.arguments, strict=False))
        arguments = {parameter.name: _told(value, parameter.name, parameter.kind) for parameter, value in pairs}
        self._decode(call, arguments)
        self._tell(
            "call",
            number=call.number,
            thread=call.thread,
            at=call.at,
            instructions=self._instructions,
            name=call.function.name,
            group=call.function.header,
            arguments=arguments,
            result=None if call.result is None else _told(call.result, "", call.function.result.kind),
            errno=errno.NAMES.get(call.errno, str(call.errno)) if call.errno else "",
            caller=self.symbols.caller(stack, call.function.name),
            stack=stack[:STACK_TOLD],
        )

    def _decode(self, call: Call, arguments: dict[str, Any]) -> None:
        """Adds what pointers of some calls point to."""
        name, memory = call.function.name, self._process.memory
        try:
            if name == "sysctl":
                numbers = [memory.u32(call.arguments[0] + 4 * index) for index in range(min(call.arguments[1], 8))]
                arguments["name"] = numbers
            elif name in CONTENTS and not call.errno:
                place = CONTENTS[name]
                content = memory.read(call.arguments[place], min(call.result, TEXT_TOLD))
                arguments[call.function.parameters[place].name] = _content(content, call.result)
        except (DarwinError, IndexError):
            pass  # a pointer that leads nowhere is told as it is

    def ended(self, ended: "Ended", stack: Sequence[str]) -> None:
        """Tells of the end."""
        self._tell("end", code=ended.code, kind=ended.kind, detail=ended.detail, stack=stack[:STACK_TOLD])

    def _tell(self, event: str, **values: Any) -> None:
        self._write(json.dumps({"event": event, "pid": self._process.pid, **values}, ensure_ascii=False) + "\n")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _content(head: bytes, size: int) -> str:
    """The text that was read or written, as far as it is told; of other bytes, how many there are."""
    try:
        text = head.decode("utf-8", "strict" if size <= len(head) else "ignore")
    except UnicodeDecodeError:
        text = "\0"
    if not all(each.isprintable() or each in "\t\r\n" for each in text):
        return f"<{size} bytes>"
    return text + "…" * (size > len(head))


def _flags(value: int, names: dict[int, str], none: str) -> str:
    listed = [name for bit, name in names.items() if value & bit]
    rest = value & ~sum(names)
    return "|".join([*listed, *([f"{rest:#x}"] if rest else [])]) or none


def _told(value: Any, name: str, kind: str) -> Any:
    """A value as JSON: texts and numbers as such, addresses in hexadecimal, well-known flags by name."""
    if isinstance(value, bytes):
        return _text(value)
    if name == "oflag":
        access = {0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR"}.get(value & 3, "3")
        return "|".join(filter(None, (access, _flags(value & ~3, OPEN_FLAGS, ""))))
    if name == "prot":
        return _flags(value, PROTECTION, "PROT_NONE")
    if name == "flags" and kind == "integer":
        return _flags(value, MAP_FLAGS, "0")
    return f"{value:#x}" if kind in ("pointer", "string") and isinstance(value, int) else value
