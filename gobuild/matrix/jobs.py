"""One build of many: settings, lines of Go and targets come in; jobs, and what a child needs to do one, go out.

A job is known by its stamp and its target: two words for the same release are one job.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from gobuild.core.console import clock
from gobuild.core.errors import MatrixError
from gobuild.core.settings import Settings
from gobuild.pipeline.resign import choose_signer
from gobuild.pipeline.session import Session, prepare_each

BUILDING = re.compile(r"^\[ *[\d.]+ s\] build ", re.MULTILINE)
"""What a log has where a toolchain was built, and has not where the store had it: the stage."""

BUILT, STORED, FAILED = "built", "from the store", "FAILED"
"""How a job can end."""

VARIABLES = "INVOKE_GOBUILD_"
"""What the name of a setting's variable begins with."""

REASON = 300
"""Characters of a failure's reason that a table bears; the log has the rest."""

LIVELY = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which rich takes a pipe for a terminal; a child's output is lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A build to be done.

    Attributes:
        name: the stamp and the target, "go1.22.10-acme1.darwin-arm64".
        settings: what `gobuild build` is told; the release is an exact one.
        log: where all of its output goes.
    """

    name: str
    settings: Settings
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        name: the job's.
        ended: `BUILT`, `STORED` or `FAILED`.
        seconds: wall time, without the time it waited for its turn.
        log: the file with its output.
        reason: why it failed: what `gobuild build` said.
        worker: which worker of a cluster did it; empty for this machine.
    """

    name: str
    ended: str
    seconds: float
    log: Path
    reason: str = ""
    worker: str = ""

    @property
    def says(self) -> str:
        """The outcome in a line."""
        words = (self.ended, f"in {clock(self.seconds)}", f"on {self.worker}" if self.worker else "", self.reason)
        return " ".join(filter(None, words))


def plan(session: Session, lines: Iterable[str], targets: Iterable[str]) -> tuple[Job, ...]:
    """All jobs of a matrix, each once, in the order of the words.

    Args:
        session: says everything but release and target.
        lines: words that the setting go takes.
        targets: words that the setting target takes.

    Raises:
        GobuildError: as `prepare`, for the first that could never be built: nothing has begun then.
    """
    jobs: dict[str, Job] = {}
    for settings, prepared in prepare_each(session, lines, targets):
        choose_signer(settings, run=session.run)  # a certificate that cannot be used is refused now
        plan = prepared.plan
        job = Job(name=plan.job.name, settings=settings, log=plan.job.with_name(f"{plan.job.name}.log"))
        jobs.setdefault(job.name, job)
    return tuple(jobs.values())


def told(settings: Settings) -> dict[str, str]:
    """The settings as the variables that say them to a child. A URL of the index may hold a password: never in argv."""
    values = ((each.name, getattr(settings, each.name)) for each in fields(settings))
    return {VARIABLES + name.upper(): str(value) for name, value in values}


def child(variables: Mapping[str, str], around: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The words and the environment of a job's build: a `gobuild` that ends when this process does.

    Args:
        variables: as `told` makes them.
        around: the environment that gobuild itself runs in. A build is its own work: it needs the proxies and the
            credentials of the store as well, and hands none of them to make.bash.
    """
    mine = {key: value for key, value in around.items() if not key.startswith(VARIABLES) and key not in LIVELY}
    # -P: nothing of the folder that this was started in is imported.
    words = [sys.executable, "-P", "-m", "gobuild.tasks.child", str(os.getpid()), "build"]
    return words, mine | dict(variables) | {"PYTHONUNBUFFERED": "1"}


def judge(code: int, output: str) -> tuple[str, str]:
    """How a job ended, and why it failed, from its child's exit code and output."""
    if code == 0:
        return (BUILT if BUILDING.search(output) else STORED), ""
    said = output.rpartition("error: ")[2] if "error: " in output else output[-REASON:]
    told = "; ".join(line.strip() for line in said.partition("\n  try: ")[0].splitlines())
    return FAILED, f"{told[:REASON] or 'no word'} (exit code {code})"


def check(outcomes: Iterable[Outcome]) -> None:
    """Sees that every job was done.

    Raises:
        MatrixError: one failed.
    """
    outcomes = tuple(outcomes)
    failed = [each for each in outcomes if each.ended == FAILED]
    if failed:
        logs = "".join(f"\n  {each.name}: {each.reason}" for each in failed)
        hint = "read " + ", ".join(str(each.log) for each in failed)
        raise MatrixError(f"{len(failed)} of {len(outcomes)} jobs failed:{logs}", hint)
