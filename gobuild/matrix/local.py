"""The jobs of a matrix on this machine: each a child, some at a time."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gobuild.core import files
from gobuild.core.console import Note
from gobuild.core.errors import GobuildError
from gobuild.core.process import run
from gobuild.matrix.jobs import FAILED, JobResult, MatrixJob, child_command, parse_result, to_environment


def run_here(jobs: Sequence[MatrixJob], *, at_once: int, note: Note) -> tuple[JobResult, ...]:
    """Runs jobs, a few at a time, to the last one; how each ended, in their order.

    Raises:
        KeyboardInterrupt: the user ended the run; by then every child has ended and cleaned up.
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
        result = run(
            words,
            env=environment,
            check=False,
            cwd=Path.cwd(),
            log=job.log,
            on_line=lambda line: note(job.name, line),
            stop=stop,
        )
        ended, reason = parse_result(result.code, result.output)
    except (GobuildError, OSError) as error:
        ended, reason = FAILED, str(error)
    made = JobResult(name=job.name, ended=ended, reason=reason, seconds=time.monotonic() - began, log=job.log)
    note(job.name, made.summary, ended=True)
    return made
