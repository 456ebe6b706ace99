"""The task for many builds: lines of Go and targets, here or on a cluster."""

from typing import Annotated

from invoke.context import Context

from gobuild.core.console import Console, clock, counted
from gobuild.core.errors import ConfigError
from gobuild.tasks.words import settings_of, split_words, with_settings


@with_settings()
def matrix(
    context: Context,
    *,
    go: Annotated[str, "which Go, with commas: 1.22,1.26,1.27"] = "",
    target: Annotated[str, "for what, with commas: darwin/arm64,linux/amd64"] = "",
    jobs: Annotated[int, "how many builds at a time; by default as many as cores, memory and disk allow"] = 0,
    cluster: Annotated[str, "a Dask scheduler, tcp://HOST:8786: build on its workers (needs --shared-store)"] = "",
    **words: object,
) -> None:
    """Builds many versions of Go for many targets.

    It goes on past a build that fails.

    Example: gobuild matrix --go 1.26,1.27 --target darwin/arm64,linux/amd64
    """
    from gobuild import matrix as matrices
    from gobuild.pipeline.session import Session

    settings = settings_of(context, words)
    lines, targets = split_words(go) or (settings.go,), split_words(target) or (settings.target,)
    if jobs < 0:
        raise ConfigError(f"--jobs {jobs} is no number of builds", "--jobs 2, or leave it out")
    if cluster:
        matrices.require_usable(cluster, settings)
    console, capacity = Console(), matrices.measure_capacity(settings.work)
    session, at_once = Session(settings=settings, console=console), jobs or capacity.builds
    with console.stage("resolve"):
        planned = matrices.plan_jobs(session, lines, targets)
    console.table(f"{len(planned)} jobs", ("job", "log"), [(job.name, str(job.log)) for job in planned])
    where = f"on the workers of {cluster}" if cluster else f"{at_once} at a time: {capacity.summary}"
    console.say(f"{where}; archives go to {settings.dist.absolute()}")
    results = matrices.run_matrix(planned, at_once=at_once, cluster=cluster, console=console)
    ended = [(each.name, each.ended, clock(each.seconds), each.worker or "here", str(each.log)) for each in results]
    console.table("jobs", ("job", "ended", "wall", "where", "log"), ended)
    matrices.require_done(results)
    made = str(settings.dist.absolute())
    console.verdict(
        f"{counted(len(results), 'build')} done", made, then="gobuild publish --to site --base-url https://…"
    )
