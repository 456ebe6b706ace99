"""The topics, in the order in which they are looked at: two functions each, and the captures of a hang by system."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gobuild.core.process import Runner
from gobuild.doctor import binary, contents, environment, latency, linux, releases, toolchain
from gobuild.doctor.macos import graphics, hang, killed, rosetta, signing
from gobuild.doctor.model import Finding, Job


class Collect(Protocol):
    """Runs and reads; the only half that touches the machine."""

    def __call__(self, job: Job, *, run: Runner) -> dict[str, Any]:
        """Returns plain data that JSON can hold: texts of tools' output, times, digests."""


Diagnose = Callable[[Mapping[str, Any]], Iterator[Finding]]
"""Judges what `Collect` returned, here or on another machine: pure, and ready for parts that are missing or wrong."""


class Capture(Protocol):
    """Looks at a process that hangs, before it is ended."""

    def __call__(self, pid: int, job: Job, *, run: Runner) -> dict[str, Any]:
        """Returns plain data, which goes into `Job.captured`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic.

    Attributes:
        name: the key of its part in the evidence.
        collect, diagnose: its two functions.
        seconds: how much of the whole time it may have, without captures.
    """

    name: str
    collect: Collect
    diagnose: Diagnose
    seconds: float


TOPICS: tuple[Topic, ...] = (
    Topic(name="macOS before", collect=graphics.begin, diagnose=graphics.silent, seconds=4),
    Topic(name="start latency", collect=latency.collect, diagnose=latency.diagnose, seconds=12),
    Topic(name="environment", collect=environment.collect, diagnose=environment.diagnose, seconds=5),
    Topic(name="toolchain", collect=toolchain.collect, diagnose=toolchain.diagnose, seconds=5),
    Topic(name="releases", collect=releases.collect, diagnose=releases.diagnose, seconds=4),
    Topic(name="binary", collect=binary.collect, diagnose=binary.diagnose, seconds=8),
    Topic(name="files", collect=contents.collect, diagnose=contents.diagnose, seconds=15),
    Topic(name="macOS graphics", collect=graphics.collect, diagnose=graphics.diagnose, seconds=1),
    Topic(name="macOS hang", collect=hang.collect, diagnose=hang.diagnose, seconds=1),
    Topic(name="macOS signature", collect=signing.collect, diagnose=signing.diagnose, seconds=5),
    Topic(name="macOS killed", collect=killed.collect, diagnose=killed.diagnose, seconds=8),
    Topic(name="macOS Rosetta", collect=rosetta.collect, diagnose=rosetta.diagnose, seconds=2),
)

CAPTURES: dict[str, Capture] = {"linux": linux.capture, "darwin": hang.capture}
"""By `sys.platform`: "linux", "darwin". Several seconds are fine where `Job.capture` is set, else at most two."""
