"""Work that may never end, under a time limit: a process that hangs, dies or talks without end, or a call in a thread.

`gobuild.core.process.run` waits for the end of the output, which a child in a session of its own may hold open for
ever. Here nothing is waited for beyond the limit, and what the command left behind is ended: its process group, and on
Linux what has left that, found by a mark in its environment.
"""

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.process import Result

_T = TypeVar("_T")

KEPT = 1 << 18
"""Bytes of output that are kept, the first ones and as many last ones; a goroutine dump has about 10,000."""

MARK = "GOBUILD_DOCTOR"
"""The variable whose value marks what a watched command started."""

SETTLE = 1.0
"""Seconds for a dump after SIGQUIT, and for killed processes to be gone."""

_alive: dict[int, str] = {}
"""The process groups under watch, with their marks, in any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What became of a command."""

    ended: str  # "exit", "signal", "hang" (it ran into the limit), or "not started"
    code: int | None  # its exit code, or the signal's number; None for the other two
    seconds: float
    output: str  # both outputs as one text; for "not started" the system's reason
    dump: str = ""  # what it wrote after SIGQUIT
    left: int = 0  # how many processes it had left behind, which were ended


def watch(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    limit: float,
    on_hang: Callable[[int], None] | None = None,
) -> Watched:
    """Runs a command for at most `limit` seconds; one that hangs is shown to `on_hang`, then asked for a dump."""
    mark = secrets.token_hex(16)
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            [str(word) for word in argv],
            env={**env, MARK: mark},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in a word
        return Watched(ended="not started", code=None, seconds=0.0, output=getattr(error, "strerror", "") or str(error))
    _alive[process.pid] = mark
    said, dumped, left = _Kept(), _Kept(), 0
    try:
        _no_core(process.pid)
        hangs = not _ended(process, said, began + limit)
        seconds = time.monotonic() - began
        if hangs and on_hang:
            on_hang(process.pid)
            _send(os.killpg, process.pid, signal.SIGQUIT)
            _ended(process, dumped, time.monotonic() + SETTLE)
    finally:
        left = _end(process, mark)
        _alive.pop(process.pid, None)
    code = None if hangs else process.returncode
    return Watched(
        ended="hang" if code is None else "signal" if code < 0 else "exit",
        code=code if code is None else abs(code),
        seconds=round(seconds, 4),
        output=said.joined(),
        dump=dumped.joined(),
        left=left - hangs,
    )


def run(argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, limit: float) -> Result:
    """`watch` with the result and the errors of `gobuild.core.process.run`; any exit code is fine."""
    words = tuple(map(str, argv))
    found = watch(words, env=env, cwd=cwd, limit=limit)
    if found.ended == "hang":
        raise CommandError(f"{words[0]} did not end within {found.seconds:.1f} s and was stopped")
    if found.code is None:
        raise ToolMissing(f"cannot run {words[0]}: {found.output}", f"install {Path(words[0]).name}")
    return Result(argv=words, code=found.code if found.ended == "exit" else -found.code, output=found.output)


class OutOfTime(Exception):
    """The work goes on in a thread of its own, which ends with the program; its result is not waited for."""


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Does work that nobody can interrupt in another thread; OutOfTime where it has not ended by then."""
    future: Future[_T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=body, daemon=True).start()
    if not wait([future], max(0.0, seconds)).done:
        raise OutOfTime
    return future.result()


def end_all() -> None:
    """Ends whatever is still under watch: for an interrupt, which reaches the main thread alone."""
    for pid, mark in list(_alive.items()):
        _send(os.killpg, pid)
        for stray in _strays(mark):
            _send(os.kill, stray)


@dataclass(slots=True)
class _Kept:
    """The beginning and the end of an output; in between, whole lines are left out."""

    head: bytes = b""
    tail: bytes = b""
    size: int = 0

    def add(self, block: bytes) -> None:
        self.size += len(block)
        room = max(0, KEPT - len(self.head))
        self.head += block[:room]
        self.tail = (self.tail + block[room:])[-KEPT:]

    def joined(self) -> str:
        head, tail = self.head, self.tail
        if (gone := self.size - len(head) - len(tail)) > 0:
            # At a line's end: redaction would not know half a secret.
            head, tail = head[: head.rfind(b"\n") + 1], tail[tail.find(b"\n") + 1 or len(tail) :]
            head += f"[{gone} bytes and the lines they cut are left out]\n".encode()
        return (head + tail).decode(errors="backslashreplace")


def _ended(process: "subprocess.Popen[bytes]", kept: _Kept, until: float) -> bool:
    """Reads what comes until the process ends, or the time is over; tells which. The pipe may outlive the process."""
    pipe = process.stdout.fileno() if process.stdout else -1
    while (rest := until - time.monotonic()) > 0:
        # While there is something to read, its end (nobody can write any more) wakes us at once.
        ready, _, _ = select.select([pipe], [], [], min(rest, 0.01))
        block = os.read(pipe, 1 << 16) if ready else b""
        kept.add(block)
        if ready and not block:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            return process.returncode is not None
        if not ready and process.poll() is not None:
            return True
    return process.poll() is not None


def _end(process: "subprocess.Popen[bytes]", mark: str) -> int:
    """Ends all that is left of a command, and tells how many processes that were."""
    found: set[int] = set()
    give_up, quiet = time.monotonic() + SETTLE, 0
    # Twice nobody: one look may miss a process that is being forked, or shows no environment while it execs.
    while quiet < 2 and time.monotonic() < give_up:
        living = set(_strays(mark)) - found
        quiet = 0 if living else quiet + 1
        found |= living
        _send(os.killpg, process.pid)
        for pid in living:
            _send(os.kill, pid)
        time.sleep(0.01 if sys.platform == "linux" and quiet < 2 else 0)
    if process.poll() is None and not found:
        found.add(process.pid)  # where no mark can be seen
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that sleeps in the kernel cannot be ended
        process.wait(SETTLE)
    if process.stdout:
        process.stdout.close()
    return len(found)


def _strays(mark: str) -> list[int]:
    """The processes that carry the mark, zombies not counted; Linux tells, other systems do not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _no_core(pid: int) -> None:
    """Lets no core file come of it. One byte, not none: for a pipe core(5) heeds no other limit."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  (not everywhere)

        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (1, 1))


def _send(send: Callable[[int, int], None], pid: int, sign: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(pid, sign)
