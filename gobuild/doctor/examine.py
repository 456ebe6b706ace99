"""An examination: a go command comes in, a `Diagnosis` goes out. Evidence first, all of it; then it is judged.

Nothing is written but below a temporary folder, no program is started but the go named and, on macOS, Apple's tools
that `macos` lists; and all of it ends within `TOTAL` seconds unless captures were asked for.
"""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gobuild.core.errors import ConfigError, GobuildError
from gobuild.core.settings import Settings
from gobuild.doctor import redact, watch
from gobuild.doctor.limits import OutOfTime, within
from gobuild.doctor.model import Diagnosis, Finding, Grade, Job
from gobuild.doctor.topics import TOPICS, Topic
from gobuild.verify import tree

TOTAL = 27.0
"""Seconds for all topics together, without captures."""

SLACK = 2.5
"""Seconds in which a topic that has used up its time may still end what it watches, on a busy machine: what it has
measured by then is not lost."""

CAPTURING = 120.0
"""Seconds more for a topic where captures were asked for."""

BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What judging raises for evidence that is not of its form."""


def examine(
    go: Path | None,
    *,
    settings: Settings,
    environment: Mapping[str, str],
    cwd: Path,
    against: Path | None = None,
    capture: bool = False,
) -> Diagnosis:
    """Collects the evidence and judges it.

    Args:
        go: a go command, or a GOROOT; None for the go on the environment's PATH.
        settings: where caches, manifests and the release index are, and whether the network is left alone.
        environment: the user's.
        cwd: the user's current folder.
        against: the archive the toolchain came from, to compare every file with.
        capture: whether to capture hangs with what may need root and more time.

    Raises:
        ConfigError: there is no such go, or no such archive.
    """
    command = _command(go, environment)
    if against and not against.is_file():
        raise ConfigError(f"there is no file {against}", "--against with the toolchain's archive")
    when = datetime.now(UTC).isoformat(timespec="seconds")
    # What a process that cannot be ended still holds open is left to the system's own cleaning.
    with tempfile.TemporaryDirectory(prefix="gobuild-doctor-", ignore_cleanup_errors=True) as scratch:
        job = Job(
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
            offline=settings.offline,
        )
        try:
            evidence = collect(job)
        finally:
            watch.end_all()
    home = environment.get("HOME", "")
    hidden = redact.secrets(environment)
    told = redact.everything(evidence, hidden=hidden, home=home)
    return Diagnosis(
        subject=redact.text(str(command), hidden=hidden, home=home),
        when=when,
        host=f"{platform.system()} {platform.release()} {platform.machine()}",
        findings=diagnose(told),
        evidence=told,
    )


def _command(go: Path | None, environment: Mapping[str, str]) -> Path:
    if go is None:
        found = shutil.which("go", path=environment.get("PATH", ""))
        if not found:
            raise ConfigError("there is no go on PATH", "--path with a go command, or the GOROOT it stands in")
        return Path(os.path.abspath(found))  # noqa: PTH100  (links stay: what the user calls is what is looked at)
    path = Path(os.path.abspath(go / "bin" / "go" if go.is_dir() else go))  # noqa: PTH100
    if not path.is_file():
        raise ConfigError(f"there is no go command {path}", "--path with a go command, or the GOROOT it stands in")
    return path


def _root(command: Path) -> Path | None:
    """The GOROOT of a command: it stands in bin, or in bin/GOOS_GOARCH where it was cross-built."""
    try:
        above = within(2.0, lambda: command.resolve().parents[1:3])
        return within(2.0, lambda: next((each for each in above if tree.version(each).startswith("go")), None))
    except (OutOfTime, OSError, RuntimeError):
        return None


def _clean(scratch: Path) -> dict[str, str]:
    """What a go command needs, and nothing that could change what it does; all it may write is below `scratch`."""
    telemetry = scratch / "telemetry"
    for each in ("home", "tmp", "telemetry"):
        (scratch / each).mkdir()
    (telemetry / "mode").write_text("off 2024-01-01")
    return {
        "PATH": os.defpath,
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "LC_ALL": "C",
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOCACHE": str(scratch / "cache"),
        "GOPATH": str(scratch / "gopath"),
        "TEST_TELEMETRY_DIR": str(telemetry),
    }


def collect(job: Job) -> dict[str, Any]:
    """The evidence, by topic. What fails or takes too long says so in its place."""
    return {topic.name: _part(topic, job) for topic in TOPICS}


def _part(topic: Topic, job: Job) -> dict[str, Any]:
    # Captures take time of their own: the other topics have theirs all the same.
    seconds = topic.seconds + CAPTURING if job.capture else min(topic.seconds, job.left)
    if not seconds:
        return {"unfinished": "no time was left"}
    own = replace(job, deadline=time.monotonic() + seconds)
    try:
        return within(seconds + SLACK, lambda: topic.collect(own, run=watch.runner(own)))
    except OutOfTime:
        return {"unfinished": f"it did not end within the {seconds:.1f} s that it had"}
    except GobuildError as error:
        return {"unfinished": error.reason}
    except OSError as error:
        return {"unfinished": f"{error.filename or 'a file'}: {error.strerror or error}"}
    except BROKEN as error:  # what was met here is unlike all that was foreseen; the other topics are not lost for it
        return {"unfinished": f"gobuild itself failed here, please report it: {type(error).__name__}: {error}"}


def diagnose(evidence: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Judges evidence, here or on another machine: pure.

    Raises:
        ConfigError: it is not of the doctor's form.
    """
    found: list[Finding] = []
    for topic in TOPICS:
        part = evidence.get(topic.name)
        try:
            if part is None or "unfinished" in part:
                reason = part["unfinished"] if part else "there is no evidence of it"
                found.append(Finding(group=topic.name, name="all of it", grade=Grade.SKIPPED, seen=str(reason)))
            else:
                found += topic.diagnose(part)
        except BROKEN as error:
            raise ConfigError(
                f"the evidence on {topic.name} is not of the doctor's form ({type(error).__name__})",
                "a bundle as gobuild doctor --bundle of this version writes it",
            ) from error
    return tuple(found)
