"""One process measured from outside: its wall and CPU time, its memory, and what else the machine did meanwhile."""

import contextlib
import os
import platform
import re
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from gobuild.core.process import Result, Runner, run

PASSED = {f"INVOKE_GOBUILD_{key.upper()}": key for key in ("cache", "index_url", "offline")}
"""What a measured process hears of the caller's settings: where inputs come from, which decides no time here."""

PACE = 0.5
"""Seconds between two looks at the memory. A look takes some 5 ms: one in a hundred of a core, for every case alike."""


def timed(
    argv: Sequence[str | Path], *, folder: Path, run: Runner = run, log: Path | None = None
) -> tuple[dict[str, Any], Result]:
    """Runs a process to its end, and nothing beside it.

    What it cost, all that it started and waited for included: `wall` and `cpu`, seconds; `memory`, the most bytes that
    all had at once, resident, shared pages counted for each; and as shares of the CPU time that there is, `others`
    (used by other processes) and `stolen` (given to others by the hypervisor; None where the system does not say).
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
    return {"wall": wall, "cpu": cpu, "memory": max(memory, default=0), "others": others, "stolen": stolen}, result


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
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy(times: Any) -> float:
    """CPU seconds that somebody used. What a virtual machine of ours used counts as user time already (proc(5))."""
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def machine() -> dict[str, Any]:
    """What was measured on, for a reader elsewhere."""
    cpu = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", cpu.read_text()) if cpu.is_file() else None
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": named[1] if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def commit() -> str:
    """This checkout's commit, with "-dirty" where files are changed."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = run(words, env=dict(os.environ), cwd=Path(__file__).parent, check=False)
    return done.output.strip() if done.code == 0 else "an unknown commit"
