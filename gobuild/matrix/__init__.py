"""Many builds: lines of Go and targets, some at a time, here or on a cluster.

All jobs are planned before the first begins, so that what could never be built is refused then. Each job is a
`gobuild build` in a process of its own; one that fails keeps no other from being done. What jobs have in common they
find in the cache and the store.
"""

from collections.abc import Sequence
from dataclasses import replace

from gobuild.core.console import Console
from gobuild.matrix.capacity import measure_capacity
from gobuild.matrix.cluster import require_usable, run_there
from gobuild.matrix.jobs import FAILED, STORED, JobResult, MatrixJob, plan_jobs, require_done, run_here

__all__ = ["measure_capacity", "plan_jobs", "require_done", "require_usable", "run_matrix"]


def run_matrix(
    jobs: Sequence[MatrixJob], *, at_once: int, cluster: str = "", console: Console
) -> tuple[JobResult, ...]:
    """Runs the jobs of a plan here, or on the cluster whose scheduler is named; what was built stands in dist/ then."""
    with console.board([job.name for job in jobs]) as note:
        if not cluster:
            return run_here(jobs, at_once=at_once, note=note)
        there = run_there(cluster, jobs, console=console, note=note)
        done = {each.name for each in there if each.ended != FAILED}
        # What stands in the shared store now is placed by a build that finds it there.
        placing = [_placing(job) for job in jobs if job.name in done]
        here = {each.name: each for each in run_here(placing, at_once=at_once, note=note)}
    # One that the store did not have was built again, or failed: then that is how the job ended.
    return tuple(each if here.get(each.name, each).ended in (STORED, each.ended) else here[each.name] for each in there)


def _placing(job: MatrixJob) -> MatrixJob:
    # What both builders made the store answers with for either; asked for both it would have them build again.
    builder = "auto" if job.settings.builder == "both" else job.settings.builder
    settings = replace(job.settings, fresh=False, builder=builder)
    return replace(job, settings=settings, log=job.log.with_name(f"{job.name}.placed.log"))
