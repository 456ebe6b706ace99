"""Where a run's time goes, measured by the run itself."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gobuild.core.console import Console, Stage
from gobuild.core.process import Result, Runner


@dataclass(slots=True)
class Clock:
    """Times stages, and within them the programs that do the real work."""

    console: Console
    stages: dict[str, float] = field(default_factory=dict)  # wall seconds of each stage, in order
    programs: dict[str, float] = field(default_factory=dict)  # wall seconds of the builder and of distpack
    # CPU seconds of the builder, its children included. distpack's are not told apart from those of verify's probes,
    # which run beside it
    cpu: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """A stage, shown on the console and timed."""
        with self.console.stage(name) as stage:
            yield stage
        self.stages[name] = self.stages.get(name, 0.0) + stage.seconds

    def timed(self, program: str, run: Runner, *, alone: bool = True) -> Runner:
        """A runner whose time counts as that program's; `alone`, the CPU time of all children meanwhile is its own."""

        def call(*words: Any, **how: Any) -> Result:
            began, used = time.monotonic(), _children()
            try:
                return run(*words, **how)
            finally:
                self.programs[program] = self.programs.get(program, 0.0) + time.monotonic() - began
                if alone:
                    self.cpu[program] = self.cpu.get(program, 0.0) + _children() - used

        return call

    @property
    def total(self) -> float:
        """Wall seconds of all stages."""
        return sum(self.stages.values())

    @property
    def around(self) -> float:
        """Wall seconds of everything but the builder and distpack."""
        return self.total - sum(self.programs.values())

    def measured(self) -> dict[str, Any]:
        """For the manifest: seconds, and the peak memory of this process in MiB."""
        return {
            "seconds": {name: round(seconds, 1) for name, seconds in (self.stages | self.programs).items()},
            "cpu_seconds": {name: round(seconds, 1) for name, seconds in self.cpu.items()},
            "around_share": round(self.around / self.total, 4) if self.total else 0.0,
            "peak_memory_mib": peak_memory() >> 20,
        }


def _children() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """The most memory this program ever had, in bytes.

    On Linux /proc tells (proc_pid_status(5), VmHWM, in KiB): getrusage counts as this program's what the one that
    started it had. On macOS getrusage gives bytes.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
