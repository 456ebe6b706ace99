"""The doctor's types: what one check found, the whole diagnosis, and the job that collecting evidence is.

They hold data and rules of their own making; nothing here runs or reads anything.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gobuild.core.settings import Settings


class Grade(StrEnum):
    """How a check ended, from good to bad; skipped is no judgement."""

    OK = "OK"
    SKIPPED = "SKIPPED"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        group: "start latency", "environment", "toolchain", "binary" or "macOS".
        name: what was checked: "GOEXPERIMENT".
        grade: how it ended.
        seen: what was seen, or for SKIPPED the reason.
        advice: what to do; a WARN or a FAIL must have it.

    Raises:
        ValueError: nothing was seen, or a WARN or FAIL advises nothing.
    """

    group: str
    name: str
    grade: Grade
    seen: str
    advice: str = ""

    def __post_init__(self) -> None:
        if not self.seen or (self.grade in (Grade.WARN, Grade.FAIL) and not self.advice):
            raise ValueError(f"{self.group}: {self.name}: a {self.grade} says what was seen, and what to do")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that the doctor says of one go.

    Attributes:
        subject: the go that was looked at, the home folder written as ~.
        when: when the evidence was collected, RFC 3339, UTC.
        host: the system it was collected on: "Linux 6.1.0 x86_64".
        findings: in the order of the topics.
        evidence: what `collect` returned, secrets redacted: plain data, by topic.
    """

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
class Job:
    """What evidence is collected of, and within what bounds. Every topic's `collect` gets it.

    Attributes:
        go: the go command, an absolute path.
        root: the GOROOT above it; None where there is none.
        environment: the user's own environment, whole. Only `gobuild.doctor.redact` decides what of it is told.
        clean: an environment with nothing in it but what a go command needs, its caches below `scratch`.
        cwd: the user's current folder: read, never written.
        scratch: a temporary folder, the only place where anything is written.
        deadline: of `time.monotonic`; no process may go on after it.
        settings: where caches, manifests and the release index are.
        against: the archive that the toolchain came from, where the user named it.
        capture: whether the user asked for captures, which may need root and may take longer.
        offline: whether the network is left alone.
        captured: what was captured of each hang, in order: what `gobuild.doctor.topics.CAPTURES` returned, and under
            "environment" in which one it hung. Not empty where anything hung.
    """

    go: Path
    root: Path | None
    environment: Mapping[str, str] = field(repr=False)
    clean: Mapping[str, str]
    cwd: Path
    scratch: Path
    deadline: float
    settings: Settings = field(repr=False)
    against: Path | None = None
    capture: bool = False
    offline: bool = False
    captured: list[dict[str, Any]] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds until the deadline; never below zero."""
        return max(0.0, self.deadline - time.monotonic())
