"""What to run and within which limits; the same in the process that asks and in the one that runs."""

from dataclasses import asdict, dataclass, field
from typing import Any

EPOCH = 1_750_000_000
"""Seconds of the wall clock when a guest starts, the same in every run."""


BEGUN = b"{}\n"
"""The first line of a report: the emulator itself has started, with its engine. Each other one is a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a guest may use up; each has an end that is told by its name.

    Attributes:
        memory: bytes that one process may have accessible at once.
        resident: bytes that all processes together may really have touched, the engine's own included.
        seconds: of the host's clock.
        processor: seconds of the host's processors, of all processes together; 0 for no limit.
        output: bytes on standard output and error together, of each process.
    """

    memory: int = 4 << 30
    resident: int = 2 << 30
    seconds: float = 600.0
    processor: float = 0.0
    processes: int = 64
    files: int = 1024
    output: int = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPlan:
    """A folder of the host's, where the guest sees it: "/" for its root."""

    at: str
    host: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run.

    Attributes:
        program: the guest's path.
        env: the whole environment.
        cpus: hw.ncpu.
        macos: the major version.
        epoch: seconds of the wall clock at the start.
        seed: of all that is random.
        slide: what is added to the program's addresses.
        trace: the host's file for a trace; empty for none.
        sockets: the host's folder for the names of the guest's sockets, which `run` makes and removes.
        roots: the certificates that Security trusts, as PEM.
    """

    program: str
    argv: tuple[str, ...]
    mounts: tuple[MountPlan, ...]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    cpus: int = 1
    macos: int = 15
    epoch: int = EPOCH
    seed: int = 1
    slide: int = 0
    trace: str = ""
    sockets: str = ""
    roots: str = ""
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Plan":
        """The other way round."""
        mounts = tuple(MountPlan(**each) for each in plain["mounts"])
        return cls(**{**plain, "argv": tuple(plain["argv"]), "mounts": mounts, "limits": Limits(**plain["limits"])})


STACK_SAID = 8
"""Functions of a stack that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a process of the guest ended, where it was not by its own exit.

    Attributes:
        kind: "refused" (macOS would not start it), "breach" (of the ABI), "unknown-import", "signal", "deadlock",
            "limit" (it used up what it may), or "engine" (a fault of the emulator).
        detail: the sentence.
        stack: the Go functions that it stood in, the innermost first.
    """

    pid: int
    kind: str
    detail: str
    stack: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" in {' < '.join(self.stack[:STACK_SAID])}" if self.stack else ""
        return f"{self.kind}: {self.detail}{where}"
