"""One build of many: what it is, the command and environment of its child, and how it ended; and many, run here."""

import functools
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

from gobuild.codesign.signers import choose_signer
from gobuild.core import files
from gobuild.core.console import Note, clock
from gobuild.core.errors import GobuildError, MatrixError
from gobuild.core.process import run
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
    """A build to be done, by the name "go1.22.10-acme1.darwin-arm64": two words for the same release are one job.

    `settings` is what `gobuild build` is told, of an exact release; `log` gets all of its output.
    """

    name: str
    settings: Settings
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended."""

    name: str
    ended: str  # `BUILT`, `STORED` or `FAILED`
    seconds: float  # wall time, without the time it waited for its turn
    log: Path
    reason: str = ""  # why it failed: what `gobuild build` said
    worker: str = ""  # which worker of a cluster did it; empty for this machine

    @property
    def summary(self) -> str:
        """It in a line."""
        words = (self.ended, f"in {clock(self.seconds)}", f"on {self.worker}" if self.worker else "", self.reason)
        return " ".join(filter(None, words))


def plan_jobs(session: Session, lines: Iterable[str], targets: Iterable[str]) -> tuple[MatrixJob, ...]:
    """All jobs of a matrix, each once, in the order of the words, which are those of the settings go and target.

    The first that could never be built is refused as `prepare` does: nothing has begun then.
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
    """Raises MatrixError where a job failed."""
    failed = [each for each in results if each.ended == FAILED]
    if failed:
        logs = "".join(f"\n  {each.name}: {each.reason}" for each in failed)
        hint = "read " + ", ".join(str(each.log) for each in failed)
        raise MatrixError(f"{len(failed)} of {len(results)} jobs failed:{logs}", hint)


def run_here(jobs: Sequence[MatrixJob], *, at_once: int, note: Note) -> tuple[JobResult, ...]:
    """Runs jobs, a few at a time, to the last one; how each ended, in their order.

    Where the user ends the run, every child has ended and cleaned up before KeyboardInterrupt passes.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(_run_job, job, note, stop) for job in jobs]
        try:
            return tuple(each.result() for each in running)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _run_job(job: MatrixJob, note: Note, stop: threading.Event) -> JobResult:
    began = time.monotonic()
    try:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        files.remove(job.log)
        words, environment = child_command(to_environment(job.settings), os.environ)
        tell = functools.partial(note, job.name)
        result = run(words, env=environment, check=False, cwd=Path.cwd(), log=job.log, on_line=tell, stop=stop)
        ended, reason = parse_result(result.code, result.output)
    except (GobuildError, OSError) as error:
        ended, reason = FAILED, str(error)
    made = JobResult(name=job.name, ended=ended, reason=reason, seconds=time.monotonic() - began, log=job.log)
    note(job.name, made.summary, ended=True)
    return made
