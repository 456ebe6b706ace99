"""One process, measured from outside: words come in, its wall and CPU time and what else the machine did go out."""

import contextlib
import os
import platform
import re
import resource
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gobuild.core.process import Result, Runner

PASSED = ("INVOKE_GOBUILD_CACHE", "INVOKE_GOBUILD_INDEX_URL", "INVOKE_GOBUILD_OFFLINE")
"""What a measured process hears of the caller's settings: where inputs come from, which decides no time here."""


PACE = 0.5
"""Seconds between two looks at the memory. A look takes some 5 ms: one in a hundred of a core, for every case alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took, with all that it started and waited for.

    Attributes:
        wall: seconds.
        cpu: seconds, user and system.
        memory: bytes, the most that all had at once; resident, shared pages counted for each, looked at every `PACE`.
        others: CPU time that other processes used meanwhile, as a share of all that the machine has.
        stolen: the same of what the hypervisor gave to others; None where the system does not say.
    """

    wall: float
    cpu: float
    memory: int
    others: float
    stolen: float | None


def timed(argv: Sequence[str | Path], *, folder: Path, run: Runner, log: Path | None = None) -> tuple[Cost, Result]:
    """Runs a process to its end, and nothing beside it.

    Args:
        argv: the words.
        folder: where it runs.
        run: starts it.
        log: a file that gets its output.

    Raises:
        CommandError: it failed.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("INVOKE_") or name in PASSED}
    # `python -m bench.alone` is found by it; gobuild itself is installed.
    variables |= {"PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "160"}
    before, own, began = psutil.cpu_times(), _children(), time.monotonic()
    with _watched() as memory:
        result = run(argv, env=variables, cwd=folder, log=log)
    wall, cpu, after = time.monotonic() - began, _children() - own, psutil.cpu_times()
    there = wall * (os.cpu_count() or 1)
    stolen = (after.steal - before.steal) / there if hasattr(after, "steal") else None
    others = max(0.0, (_busy(after) - _busy(before) - cpu) / there)
    return Cost(wall=wall, cpu=cpu, memory=max(memory, default=0), others=others, stolen=stolen), result


@contextlib.contextmanager
def _watched() -> Iterator[list[int]]:
    """Collects the memory of all processes below this one, in bytes, until the block ends."""
    seen, ended, here = list[int](), threading.Event(), psutil.Process()

    def look() -> None:
        while not ended.wait(PACE):
            total = 0
            for each in here.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                    total += each.memory_info().rss
            seen.append(total)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def _children() -> float:
    """CPU seconds of every process waited for so far, by us or by one that we waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy(times: Any) -> float:
    """CPU seconds that somebody used. What a virtual machine of ours used counts as user time already (proc(5))."""
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def machine() -> Mapping[str, Any]:
    """What was measured on, for a reader elsewhere."""
    model = platform.processor() or platform.machine()
    if (cpu := Path("/proc/cpuinfo")).is_file() and (named := re.search(r"model name\s*: (.+)", cpu.read_text())):
        model = named[1]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }
