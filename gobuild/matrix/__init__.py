"""matrix: lines of Go and targets come in, a build for each goes out: many at a time, here or on a cluster.

All jobs are planned before the first begins, so that what could never be built is refused then. Each job is a
`gobuild build` in a process of its own; one that fails keeps no other from being done. Nothing here knows how a
toolchain is built, and what jobs have in common they find in the cache and the store.
"""

from collections.abc import Sequence
from dataclasses import replace

from gobuild.core.console import Console
from gobuild.core.process import Stoppable
from gobuild.matrix.cluster import run_there, usable
from gobuild.matrix.jobs import FAILED, STORED, Job, Outcome, check, plan
from gobuild.matrix.local import run_here
from gobuild.matrix.room import measure

__all__ = ["FAILED", "Job", "Outcome", "check", "measure", "plan", "run_matrix", "usable"]


def run_matrix(
    jobs: Sequence[Job], *, at_once: int, cluster: str = "", console: Console, run: Stoppable
) -> tuple[Outcome, ...]:
    """Runs the jobs of a plan, here or on a cluster; then everything that was built stands in dist/.

    Args:
        jobs: as `plan` made them.
        at_once: how many at a time on this machine.
        cluster: a scheduler's address; empty for this machine.
        console: shows what each job prints.
        run: starts the children.

    Returns:
        How each job ended, in their order.

    Raises:
        MatrixError: the cluster cannot be used.
    """
    with console.board([job.name for job in jobs]) as note:
        if not cluster:
            return run_here(jobs, at_once=at_once, run=run, note=note)
        there = run_there(cluster, jobs, console=console, note=note)
        done = {each.name for each in there if each.ended != FAILED}
        # What stands in the shared store now is placed by a build that finds it there.
        placing = [_placing(job) for job in jobs if job.name in done]
        here = {each.name: each for each in run_here(placing, at_once=at_once, run=run, note=note)}
    # One that the store did not have was built again, or failed: then that is how the job ended.
    return tuple(each if here.get(each.name, each).ended in (STORED, each.ended) else here[each.name] for each in there)


def _placing(job: Job) -> Job:
    # What both builders made the store answers with for either; asked for both it would have them build again.
    builder = "auto" if job.settings.builder == "both" else job.settings.builder
    settings = replace(job.settings, fresh=False, builder=builder)
    return replace(job, settings=settings, log=job.log.with_name(f"{job.name}.placed.log"))
