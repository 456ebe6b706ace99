"""Examines a go command: collects all evidence, topic by topic, and then judges it.

Nothing is written but below a temporary folder, and no program is started but the go named and Apple's tools.
"""

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gobuild.core.errors import ConfigError, GobuildError
from gobuild.core.settings import Settings
from gobuild.doctor import environment, integrity, latency, redact, toolchain, watch
from gobuild.doctor.macos import hang, ioreg, killed, rosetta, signing
from gobuild.doctor.model import BROKEN, MACOS, Case, Diagnosis, Finding, Group
from gobuild.doctor.watch import OutOfTime, within
from gobuild.verify import tree

TOTAL = 27.0
"""Seconds for all topics together, without captures."""

SLACK = 2.5
"""Seconds in which a topic that has used up its time may still end what it watches, so that nothing is lost."""

CAPTURING = 120.0
"""Seconds more for a topic where captures were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One thing that is looked at: evidence is collected here, and judged here or on another machine."""

    name: str
    # Touches the machine. Returns plain data that JSON can hold, or {"skipped": the reason}
    collect: Callable[[Case], dict[str, Any]]
    diagnose: Callable[[Mapping[str, Any]], Iterator[Finding]]  # judges what `collect` returned; pure
    seconds: float  # how much of the whole time it may have, without captures
    macos: str = ""  # what its finding is called where this is no Mac; "" for a topic of every system

    def skipped(self, reason: str) -> Finding:
        """The one finding of a topic that was not looked at."""
        return MACOS.skipped(self.macos, reason) if self.macos else Group(self.name).skipped("all of it", reason)


TOPICS = (
    Topic(name="start latency", collect=latency.collect, diagnose=latency.diagnose, seconds=12),
    Topic(name="environment", collect=environment.collect, diagnose=environment.diagnose, seconds=5),
    Topic(name="toolchain", collect=toolchain.collect, diagnose=toolchain.diagnose, seconds=5),
    Topic(name="releases", collect=toolchain.collect_releases, diagnose=toolchain.diagnose_releases, seconds=4),
    Topic(name="binary", collect=integrity.collect_checks, diagnose=integrity.diagnose_checks, seconds=8),
    Topic(name="files", collect=integrity.collect_files, diagnose=integrity.diagnose_files, seconds=15),
    Topic(name=ioreg.TOPIC, collect=ioreg.snapshot, diagnose=ioreg.diagnose, seconds=4, macos="accelerators"),
    Topic(name="macOS hang", collect=hang.collect, diagnose=hang.diagnose, seconds=1, macos="hang"),
    Topic(name="macOS signature", collect=signing.collect, diagnose=signing.diagnose, seconds=5, macos="signature"),
    Topic(name="macOS killed", collect=killed.collect, diagnose=killed.diagnose, seconds=8, macos="killed"),
    Topic(name="macOS Rosetta", collect=rosetta.collect, diagnose=rosetta.diagnose, seconds=2, macos="Rosetta"),
)
"""In the order of the report."""


def examine(
    go: Path | None,
    *,
    settings: Settings,
    environment: Mapping[str, str],
    cwd: Path,
    against: Path | None = None,
    capture: bool = False,
) -> Diagnosis:
    """Collects the evidence on a go command, or a GOROOT's, or the one on the environment's PATH, and judges it."""
    command = _command(go, environment)
    if against and not against.is_file():
        raise ConfigError(f"there is no file {against}", "--against with the toolchain's archive")
    when = datetime.now(UTC).isoformat(timespec="seconds")
    # What a process that cannot be ended still holds open is left to the system's own cleaning.
    with tempfile.TemporaryDirectory(prefix="gobuild-doctor-", ignore_cleanup_errors=True) as scratch:
        case = Case(
            go=command,
            root=_root(command),
            environment=environment,
            clean=_clean(Path(scratch)),
            cwd=cwd,
            scratch=Path(scratch),
            deadline=time.monotonic() + TOTAL,
            settings=settings,
            against=against,
            capture=capture,
        )
        try:
            evidence = collect_evidence(case)
        finally:
            watch.end_all()
    home = environment.get("HOME", "")
    hidden = redact.secrets(environment)
    told = redact.redact_all(evidence, hidden=hidden, home=home)
    return Diagnosis(
        subject=redact.redact_text(str(command), hidden=hidden, home=home),
        when=when,
        host=f"{platform.system()} {platform.release()} {platform.machine()}",
        findings=diagnose(told),
        evidence=told,
    )


def _command(go: Path | None, environment: Mapping[str, str]) -> Path:
    if go is None:
        found = shutil.which("go", path=environment.get("PATH", ""))
    else:
        found = str(go / "bin/go" if go.is_dir() else go)
    path = found and Path(os.path.abspath(found))  # noqa: PTH100  (links stay: what the user calls is looked at)
    if not path or not path.is_file():
        hint = "--path with a go command, or the GOROOT it stands in"
        raise ConfigError(f"there is no go command {path or 'on PATH'}", hint)
    return path


def _root(command: Path) -> Path | None:
    """The GOROOT of a command: it stands in bin, or in bin/GOOS_GOARCH where it was cross-built."""

    def find() -> Path | None:
        return next((each for each in command.resolve().parents[1:3] if tree.version(each).startswith("go")), None)

    try:
        return within(2.0, find)
    except (OutOfTime, OSError, RuntimeError):
        return None


def _clean(scratch: Path) -> dict[str, str]:
    """What a go command needs, and nothing that could change what it does; all it may write is below `scratch`."""
    for each in ("home", "tmp", "telemetry"):
        (scratch / each).mkdir()
    (scratch / "telemetry/mode").write_text("off 2024-01-01")
    places = {
        "HOME": "home",
        "TMPDIR": "tmp",
        "GOCACHE": "cache",
        "GOPATH": "gopath",
        "TEST_TELEMETRY_DIR": "telemetry",
    }
    words = {"PATH": os.defpath, "LC_ALL": "C", "GOENV": "off", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    return words | {name: str(scratch / place) for name, place in places.items()}


def collect_evidence(case: Case) -> dict[str, Any]:
    """Collects each topic; what fails or takes too long says so in its place."""
    for topic in sorted(TOPICS, key=lambda each: each.name != ioreg.TOPIC):  # that one before any go runs
        case.evidence[topic.name] = _part(topic, case)
    return case.evidence


def _part(topic: Topic, case: Case) -> dict[str, Any]:
    # Captures take time of their own: the other topics have theirs all the same.
    seconds = topic.seconds + CAPTURING if case.capture else min(topic.seconds, case.left)
    elsewhere = topic.macos and sys.platform != "darwin"
    if elsewhere or not seconds:
        return {"skipped": "needs macOS" if elsewhere else "no time was left"}
    own = replace(case, deadline=time.monotonic() + seconds)
    try:
        return within(seconds + SLACK, lambda: topic.collect(own))
    except OutOfTime:
        return {"skipped": f"it did not end within the {seconds:.1f} s that it had"}
    except GobuildError as error:
        return {"skipped": error.reason}
    except OSError as error:
        return {"skipped": f"{error.filename or 'a file'}: {error.strerror or error}"}
    except BROKEN as error:  # what was met here is unlike all that was foreseen; the other topics are not lost for it
        return {"skipped": f"gobuild itself failed here, please report it: {type(error).__name__}: {error}"}


def diagnose(evidence: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Judges evidence, which may be from another machine; runs and reads nothing."""
    found: list[Finding] = []
    for topic in TOPICS:
        part = evidence.get(topic.name, {"skipped": "there is no evidence of it"})
        try:
            found += [topic.skipped(str(part["skipped"])[:500])] if "skipped" in part else topic.diagnose(part)
        except BROKEN as error:
            raise ConfigError(
                f"the evidence on {topic.name} is not of the doctor's form ({type(error).__name__})",
                "a bundle as gobuild doctor --bundle of this version writes it",
            ) from error
    return tuple(found)
