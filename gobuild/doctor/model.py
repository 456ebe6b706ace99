"""The doctor's types: what one check found, the whole diagnosis, and the case that is examined."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gobuild.core.errors import CommandError
from gobuild.core.process import Result
from gobuild.core.settings import Settings
from gobuild.doctor import watch

BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What is raised where data are not of the form that is expected."""


class Grade(StrEnum):
    """How a check ended, from good to bad; skipped is no judgement."""

    OK = "OK"
    SKIPPED = "SKIPPED"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, for SKIPPED the reason; a WARN or FAIL without advice is a ValueError."""

    group: str
    name: str
    grade: Grade
    seen: str
    advice: str = ""

    def __post_init__(self) -> None:
        if not self.seen or (self.grade in (Grade.WARN, Grade.FAIL) and not self.advice):
            raise ValueError(f"{self.group}: {self.name}: a {self.grade} says what was seen, and what to do")


@dataclass(frozen=True, slots=True)
class Group:
    """A group of findings; makes them."""

    name: str

    def finding(self, name: str, grade: Grade, seen: str, advice: str = "") -> Finding:
        """A finding whose grade was computed."""
        return Finding(group=self.name, name=name, grade=grade, seen=seen, advice=advice)

    def ok(self, name: str, seen: str) -> Finding:
        """Nothing bad was seen."""
        return self.finding(name, Grade.OK, seen)

    def skipped(self, name: str, reason: str) -> Finding:
        """Nothing was looked at."""
        return self.finding(name, Grade.SKIPPED, reason)

    def warn(self, name: str, seen: str, advice: str) -> Finding:
        """What may be bad."""
        return self.finding(name, Grade.WARN, seen, advice)

    def fail(self, name: str, seen: str, advice: str) -> Finding:
        """What is bad."""
        return self.finding(name, Grade.FAIL, seen, advice)


LATENCY = Group("start latency")
ENVIRONMENT = Group("environment")
TOOLCHAIN = Group("toolchain")
BINARY = Group("binary")
MACOS = Group("macOS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that the doctor says of one go, secrets redacted; when and where (`host`) its evidence was collected."""

    subject: str
    when: str
    host: str
    findings: tuple[Finding, ...]
    evidence: Mapping[str, Any]

    @property
    def worst(self) -> Grade:
        """The worst grade; OK where all was skipped, for nothing bad was seen."""
        judged = [each.grade for each in self.findings if each.grade is not Grade.SKIPPED]
        return max(judged, key=list(Grade).index, default=Grade.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The go command that is examined, where and within what bounds."""

    go: Path
    root: Path | None
    # The user's own, whole. Only `gobuild.doctor.redact` decides what of it is told
    environment: Mapping[str, str] = field(repr=False)
    # An environment with nothing in it but what a go command needs, its caches below `scratch`
    clean: Mapping[str, str]
    cwd: Path  # the user's current folder: read, never written
    scratch: Path  # a temporary folder, the only place where anything is written
    deadline: float  # of `time.monotonic`; no process may go on after it, unless `capture` is set
    settings: Settings = field(repr=False)
    against: Path | None = None
    capture: bool = False
    # What was captured of each hang, in order, and under "environment" in which one it hung
    captured: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)  # what the topics before this one collected
    start: Callable[..., Result] = watch.run  # `watch.run`, or what a test puts in its place

    @property
    def left(self) -> float:
        """Seconds until the deadline; never below zero."""
        return max(0.0, self.deadline - time.monotonic())

    def run(self, argv: Sequence[str | Path], *, env: Mapping[str, str], seconds: float) -> Result:
        """Runs a tool in the scratch folder; a CommandError where it ran out of its seconds or the case of its time."""
        limit = seconds if self.capture else min(seconds, self.left)
        if limit <= 0:
            raise CommandError("the doctor's time was up")
        return self.start(argv, env=env, cwd=self.scratch, limit=limit)
