"""How many builds fit at a time, by what this process may use; a container's limits (cgroup, both versions) count."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gobuild.core import files
from gobuild.pipeline import ROOM

CORES = 2
"""Cores that one build keeps busy: of two, make.bash and a direct build each kept 1.9 (814 CPU-s in 426 s of wall)."""

MEMORY = 1200 << 20
"""Bytes that one build takes at its worst: 1177 MiB measured, all processes of `go build cmd` of 1.22.10 for
darwin/arm64 on two cores together, of which the compiler at work on one large package had 1064."""

MEMORY_A_CORE = 100 << 20
"""Bytes more for each further core that the go command sees and runs a compiler on. An estimate: with GOMAXPROCS=8 on
those two cores the sum was no larger (944 MiB)."""

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells of itself, and of its control groups."""

LIMITS = {"": ("memory.max", "cpu.max"), "memory": ("memory.limit_in_bytes",), "cpu": ("cpu.cfs_quota_us",)}
"""The files with limits, by controller: none in version 2 (kernel.org, admin-guide/cgroup-v2.rst), else version 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What builds may use: whole cores, at least one; bytes of memory; bytes free where the trees will stand."""

    cores: int
    memory: int
    disk: int

    @property
    def builds(self) -> int:
        """How many builds fit at a time; one always does, or fails by itself and says why."""
        by_memory = self.memory // (MEMORY + MEMORY_A_CORE * max(0, self.cores - CORES))
        return max(1, min(self.cores // CORES, by_memory, self.disk // ROOM))

    @property
    def summary(self) -> str:
        """It for people."""
        return f"{self.cores} cores, {self.memory >> 20} MiB of memory and {self.disk >> 20} MiB of disk"


def measure_capacity(work: Path) -> Capacity:
    """What this process may use now, to build trees in a folder that need not exist yet."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = _available()
    for name, limit in _limits():
        if name.startswith("cpu"):
            cores = min(cores, max(1, int(limit)))
        else:
            memory = min(memory, int(limit))
    return Capacity(cores=cores, memory=memory, disk=files.free(work))


def _available() -> int:
    """Bytes of memory that could be had now; all of the machine's where the system does not say (macOS)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits() -> Iterator[tuple[str, float]]:
    """The limits of the groups that this process is in, and of those around them: a file's name, bytes or cores."""
    try:
        groups = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for controllers, path in (line.split(":", 2)[1:] for line in groups):
        for controller in controllers.split(","):
            top = GROUPS / controller
            # In a container the path may be the host's, and what is mounted the container's own group: hence its top.
            places = [top, *(top / each.lstrip("/") for each in (path, *map(str, PurePosixPath(path).parents)))]
            for place, name in itertools.product(dict.fromkeys(places), LIMITS.get(controller, ())):
                with contextlib.suppress(OSError, ValueError):
                    yield name, _limit(place / name)


def _limit(path: Path) -> float:
    """Bytes, or cores; OSError or ValueError where there is no limit, as "max" says, and -1 in version 1."""
    first, *rest = path.read_text().split()
    if path.name.startswith("memory"):
        return int(first)
    period = rest[0] if rest else path.with_name("cpu.cfs_period_us").read_text()
    if int(first) < 0:
        raise ValueError(first)
    return int(first) / int(period)
