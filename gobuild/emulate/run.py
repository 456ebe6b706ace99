"""Starts the process that emulates, watches over it, and ends all that is left of it."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core.errors import ToolMissing
from gobuild.emulate.plan import BEGUN, Plan, Verdict

WATCH = 0.1
"""Seconds between two looks at what the guest uses."""

KILLED = 137
"""The exit code where a limit ended the run: 128 + SIGKILL, as a shell tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run: the program's exit code (128 + n for a signal), its output and the verdicts, if any."""

    code: int
    stdout: bytes = b""
    stderr: bytes = b""
    verdicts: tuple[Verdict, ...] = ()


def require_engine() -> None:
    """Raises ToolMissing where Unicorn is not installed, or this is no Linux."""
    if sys.platform != "linux":
        raise ToolMissing("darwin/arm64 programs are run on Linux alone", "a Linux machine, or the Mac itself")
    if importlib.util.find_spec("unicorn") is None:
        raise ToolMissing("the engine that runs darwin/arm64 programs is not installed", "pip install gobuild[emulate]")


def run(plan: Plan, *, stdin: bytes | None = b"", capture: bool = True) -> Outcome:
    """Runs a program to its end.

    Without `capture` its standard files are this process's own. Nothing of it is left afterwards, whatever happens.
    """
    require_engine()
    with tempfile.TemporaryDirectory(prefix="gobuild-emulate-") as sockets:  # with mode 0700
        return _run(replace(plan, sockets=sockets), stdin=stdin, capture=capture)


def _run(plan: Plan, *, stdin: bytes | None, capture: bool) -> Outcome:
    plan_read, plan_write = os.pipe()
    report_read, report_write = os.pipe()
    os.set_blocking(report_write, False)
    pipe = subprocess.PIPE if capture else None
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "gobuild.emulate.child", str(plan_read), str(report_write), str(os.getpid())],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=(plan_read, report_write),
        start_new_session=True,
    )
    os.close(plan_read)
    os.close(report_write)
    watcher = _Watcher(process.pid, plan)
    try:
        with contextlib.suppress(BrokenPipeError), os.fdopen(plan_write, "w") as file:
            json.dump(plan.to_json(), file)
        watcher.start()
        stdout, stderr = process.communicate(stdin if capture else None)
    finally:
        watcher.stop()
        _kill_group(process.pid)
        process.wait()
        with os.fdopen(report_read, "rb") as report:
            lines = report.readlines()
    verdicts = tuple(_verdict(line) for line in lines if line != BEGUN)
    if watcher.verdict:
        return Outcome(code=KILLED, stdout=stdout or b"", stderr=stderr or b"", verdicts=(*verdicts, watcher.verdict))
    code = process.returncode
    if not lines:
        why = (stderr or b"").decode(errors="replace").strip().rpartition("\n")[2]
        verdicts = (Verdict(pid=0, kind="engine", detail=f"the emulator does not start: {why or f'exit code {code}'}"),)
    elif code < 0 and not verdicts:  # a guest's own signal is an exit code of its process here
        told = f"a fault of the emulator, which {signal.Signals(-code).name} has ended"
        verdicts = (Verdict(pid=0, kind="engine", detail=told),)
    return Outcome(
        code=code if code >= 0 else 128 - code, stdout=stdout or b"", stderr=stderr or b"", verdicts=verdicts
    )


def _verdict(line: bytes) -> Verdict:
    told = json.loads(line)
    return Verdict(**{**told, "stack": tuple(told["stack"])})


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


class _Watcher:
    """Ends a group of processes that takes too long or touches too much memory."""

    def __init__(self, group: int, plan: Plan) -> None:
        self.verdict: Verdict | None = None
        self._group, self._limits = group, plan.limits
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        end = time.monotonic() + self._limits.seconds
        while not self._ended.wait(WATCH):
            if time.monotonic() > end:
                self._end(f"it did not end within {self._limits.seconds:g} s")
                return
            resident, processor = _usage(self._group)
            if resident > self._limits.resident:
                self._end(f"it touched more than {self._limits.resident >> 20} MB of memory")
                return
            if 0 < self._limits.processor < processor:
                self._end(f"it took more than {self._limits.processor:g} s of the processor")
                return

    def _end(self, detail: str) -> None:
        self.verdict = Verdict(pid=0, kind="limit", detail=detail)
        _kill_group(self._group)


def _usage(group: int) -> tuple[int, float]:
    """Bytes of memory that the processes of a group have to themselves, and seconds of the processor, by /proc."""
    total, seconds = 0, 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if os.getpgid(int(folder.name)) == group:
                _, resident, shared, *_ = (folder / "statm").read_text().split()
                total += (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
                times = (folder / "stat").read_text().rpartition(")")[2].split()[11:15]  # own, and of waited children
                seconds += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return total, seconds
