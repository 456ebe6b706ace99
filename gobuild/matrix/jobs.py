"""One build of many: what it is, the command and environment of its child, and how it ended."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from gobuild.codesign.signers import choose_signer
from gobuild.core.console import clock
from gobuild.core.errors import MatrixError
from gobuild.core.settings import Settings
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
class MatrixJob:
    """A build to be done, known by its stamp and its target: two words for the same release are one job.

    Attributes:
        name: the stamp and the target, "go1.22.10-acme1.darwin-arm64".
        settings: what `gobuild build` is told; the release is an exact one.
        log: where all of its output goes.
    """

    name: str
    settings: Settings
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
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
    def summary(self) -> str:
        """It in a line."""
        words = (self.ended, f"in {clock(self.seconds)}", f"on {self.worker}" if self.worker else "", self.reason)
        return " ".join(filter(None, words))


def plan_jobs(session: Session, lines: Iterable[str], targets: Iterable[str]) -> tuple[MatrixJob, ...]:
    """All jobs of a matrix, each once, in the order of the words, which are those of the settings go and target.

    Raises:
        GobuildError: as `prepare`, for the first that could never be built: nothing has begun then.
    """
    jobs: dict[str, MatrixJob] = {}
    for settings, prepared in prepare_each(session, lines, targets):
        choose_signer(settings, run=session.run)  # a certificate that cannot be used is refused now
        plan = prepared.plan
        job = MatrixJob(name=plan.job.name, settings=settings, log=plan.job.with_name(f"{plan.job.name}.log"))
        jobs.setdefault(job.name, job)
    return tuple(jobs.values())


def to_environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables that say them to a child. A URL of the index may hold a password: never in argv."""
    values = ((each.name, getattr(settings, each.name)) for each in fields(settings))
    return {VARIABLES + name.upper(): str(value) for name, value in values}


def child_command(variables: Mapping[str, str], around: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The words and the environment of a job's build: a `gobuild` that ends when this process does.

    Its settings are `variables`, as `to_environment` makes them; of what is `around` it gets all but other settings: a
    build needs the proxies and the credentials of the store as well, and hands none of them to make.bash.
    """
    mine = {key: value for key, value in around.items() if not key.startswith(VARIABLES) and key not in LIVELY}
    # -P: nothing of the folder that this was started in is imported.
    words = [sys.executable, "-P", "-m", "gobuild.tasks.child", str(os.getpid()), "build"]
    return words, mine | dict(variables) | {"PYTHONUNBUFFERED": "1"}


def parse_result(code: int, output: str) -> tuple[str, str]:
    """How a job ended, and why it failed, from its child's exit code and output."""
    if code == 0:
        return (BUILT if BUILDING.search(output) else STORED), ""
    said = output.rpartition("error: ")[2] if "error: " in output else output[-REASON:]
    reason = "; ".join(line.strip() for line in said.partition("\n  try: ")[0].splitlines())
    return FAILED, f"{reason[:REASON] or 'no word'} (exit code {code})"


def require_done(results: Sequence[JobResult]) -> None:
    """Refuses a matrix of which a job failed.

    Raises:
        MatrixError: one did.
    """
    failed = [each for each in results if each.ended == FAILED]
    if failed:
        logs = "".join(f"\n  {each.name}: {each.reason}" for each in failed)
        hint = "read " + ", ".join(str(each.log) for each in failed)
        raise MatrixError(f"{len(failed)} of {len(results)} jobs failed:{logs}", hint)
