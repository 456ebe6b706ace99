"""The jobs of a matrix on this machine: each a child, some at a time; outcomes go out, whatever came of them."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gobuild.core import files
from gobuild.core.console import Note
from gobuild.core.errors import GobuildError
from gobuild.core.process import Stoppable
from gobuild.matrix.jobs import FAILED, Job, Outcome, child, judge, told


def run_here(jobs: Sequence[Job], *, at_once: int, run: Stoppable, note: Note) -> tuple[Outcome, ...]:
    """Runs jobs, a few at a time, to the last one.

    Args:
        jobs: in the order in which they begin.
        at_once: how many at a time.
        run: starts the children.
        note: told each line that one prints, and how it ended.

    Returns:
        How each ended, in the order of the jobs.

    Raises:
        KeyboardInterrupt: the user ended the run; by then every child has ended and cleaned up.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(_one, job, run=run, note=note, stop=stop) for job in jobs]
        try:
            return tuple(each.result() for each in running)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _one(job: Job, *, run: Stoppable, note: Note, stop: threading.Event) -> Outcome:
    began = time.monotonic()
    try:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        files.remove(job.log)
        words, environment = child(told(job.settings), os.environ)
        result = run(
            words,
            env=environment,
            check=False,
            cwd=Path.cwd(),
            log=job.log,
            on_line=lambda line: note(job.name, line),
            stop=stop,
        )
        ended, reason = judge(result.code, result.output)
    except (GobuildError, OSError) as error:
        ended, reason = FAILED, str(error)
    made = Outcome(name=job.name, ended=ended, reason=reason, seconds=time.monotonic() - began, log=job.log)
    note(job.name, made.says, ended=True)
    return made
