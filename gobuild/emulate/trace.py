"""What is told of a run: each call of an imported function, as an event, to whoever observes the process."""

from dataclasses import dataclass
from typing import Any, Protocol

from gobuild.emulate.abi import Function


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

    def call(self, call: Call) -> None:
        """A call is finished."""


class TextTrace:
    """One line a call."""

    def __init__(self, write: Any) -> None:
        self._write = write

    def call(self, call: Call) -> None:
        """Writes the line."""
        pairs = zip(call.function.parameters, call.arguments, strict=True)
        listed = ", ".join(_told(value, parameter.kind) for parameter, value in pairs)
        failed = f" errno {call.errno}" if call.errno else ""
        result = "" if call.result is None else f" = {_told(call.result, call.function.result.kind)}"
        where = f"{call.number:6} {call.at / 1e9:12.6f} {call.pid}.{call.thread}"
        self._write(f"{where} {call.function.name}({listed}){result}{failed}\n")


def _told(value: Any, kind: str) -> str:
    if isinstance(value, bytes):
        return '"' + value.decode("utf-8", "backslashreplace") + '"'
    return f"{value:#x}" if kind in ("pointer", "string") else str(value)
