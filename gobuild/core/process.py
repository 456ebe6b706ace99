"""The one door by which processes leave: an argv list, never a shell string, and a whole environment."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from gobuild.core.errors import CommandError, ToolMissing

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL when a process group must end."""

GONE = 2.0
"""Seconds to wait for a killed group to be gone; where nobody reaps orphans (a container without init) it never is."""

_alive: dict["subprocess.Popen[str]", tuple[object, ...]] = {}
"""What `run` has started and not yet seen end, in any thread, and the `kill_children_on_failure` blocks around it."""

_within: ContextVar[tuple[object, ...]] = ContextVar("_within", default=())
"""The blocks of `kill_children_on_failure` around what runs now, the outermost first."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

_starting = threading.Lock()
"""Held from a process's start until it is in `_alive`: whoever ends all of them must not miss the latest."""

KEPT = 10_000
"""Lines of output a `Result` keeps, the last ones. The log, where one is asked for, has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a process: its exit code, negative for the signal that ended it, and both outputs as one text."""

    argv: tuple[str, ...]
    code: int
    output: str

    def tail(self, lines: int = 20) -> str:
        """The last lines of the output, for an error message."""
        return "\n".join(self.output.splitlines()[-lines:])


class Runner(Protocol):
    """How a stage starts a process: `run` itself, or what a test puts in its place."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Result:
        """See `run`."""


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
    check: bool = True,
    stop: threading.Event | None = None,
) -> Result:
    """Runs a program to its end, in a process group of its own, with nothing on its standard input.

    The output is appended to the file `log` as it comes, and `on_line` gets each line, without its newline. Whatever
    interrupts the wait (Ctrl-C, an error in `on_line`, the `timeout` in seconds) ends the whole group first. Once
    another thread sets `stop`, the group is told to end (SIGTERM) and given the time it takes.

    Raises:
        ToolMissing: there is no such program.
        CommandError: it failed and `check` is set, or it ran into the time limit.
    """
    words = tuple(str(word) for word in argv)
    process = _start(words, env, cwd)
    lines: deque[str] = deque(maxlen=KEPT)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end_group(process.pid, signal.SIGKILL)

    alarm = threading.Timer(timeout, expire) if timeout else None
    try:
        if alarm:
            alarm.daemon = True
            alarm.start()
        if stop:
            threading.Thread(target=_heed, args=(process, stop), daemon=True).start()
        # Unbuffered: a full disk is met at the line, and not a second time when the file is closed.
        with log.open("ab", buffering=0) if log else contextlib.nullcontext() as file:
            for line in process.stdout or ():
                lines.append(line)
                if file:
                    _write(file, line)
                if on_line:
                    on_line(line.rstrip("\n"))
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        _alive.pop(process, None)
        if alarm:
            alarm.cancel()
        if process.stdout:
            process.stdout.close()
    result = Result(argv=words, code=code, output="".join(lines))
    if expired.is_set():
        raise CommandError(f"{words[0]} did not end within {timeout:g} s and was stopped\n{result.tail()}")
    if check and code != 0:
        raise CommandError(f"{' '.join(words)}: exit code {code}\n{result.tail()}")
    return result


def _write(log: FileIO, line: str) -> None:
    try:
        log.write(line.encode())
    except OSError as error:
        error.filename = log.name
        raise


def _start(words: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> "subprocess.Popen[str]":
    try:
        with _starting:
            process = subprocess.Popen(
                words,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
            _alive[process] = _within.get()
            return process
    except OSError as error:  # not there, not executable, or a program for another machine (ENOEXEC)
        if not cwd.is_dir():
            raise CommandError(f"cannot run {words[0]} in {cwd}: no such folder") from error
        raise ToolMissing(
            f"cannot run {words[0]}: {error.strerror}", f"install {Path(words[0]).name}, or put it on PATH"
        ) from error


@contextmanager
def kill_children_on_failure() -> Iterator[None]:
    """Ends every process that was started in the block, also by its `Threads`, if the block fails or is interrupted.

    An interrupt reaches the main thread alone; what another thread waits for would go on. What a thread outside of the
    block has started is left alone.
    """
    block = object()
    token = _within.set((*_within.get(), block))
    try:
        yield
    except BaseException:
        with _starting:
            started = [process for process, blocks in _alive.items() if block in blocks]
        for process in started:
            _end_group(process.pid, signal.SIGKILL)
        raise
    finally:
        _within.reset(token)


class Threads(ThreadPoolExecutor):
    """A pool whose threads work within the blocks of `kill_children_on_failure` that the work was handed over in."""

    def submit(self, function: Callable[_P, _T], /, *given: _P.args, **named: _P.kwargs) -> Future[_T]:
        """See `ThreadPoolExecutor.submit`."""
        around = copy_context()
        return super().submit(lambda: around.run(function, *given, **named))


def _heed(process: "subprocess.Popen[str]", stop: threading.Event) -> None:
    """Tells the group to end when that is asked for while its leader lives."""
    while not stop.wait(0.2):
        if process.poll() is not None:
            return
    if process.poll() is None:
        _end_group(process.pid, signal.SIGTERM)


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends the process and all it started: politely first, then not."""
    _end_group(process.pid, signal.SIGTERM)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:  # also when a second Ctrl-C cuts the grace short
        _end_group(process.pid, signal.SIGKILL)
    # The leader may be gone while its children, in the same group, are not; and a killed one takes a moment to go,
    # in which it still writes to the folder that is about to be removed.
    process.wait()
    give_up = time.monotonic() + GONE
    while _group_lives(process.pid) and time.monotonic() < give_up:
        time.sleep(0.02)


def _group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _end_group(pid: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sign)
