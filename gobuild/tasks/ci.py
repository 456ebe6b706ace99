"""The tasks for many builds: a matrix of them, here or on a cluster; a workflow for CI, and what it has to build."""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console, clock, counted
from gobuild.core.errors import ConfigError
from gobuild.tasks.words import SOURCE, settings_of, split_words, with_settings

LINES = "stable,oldstable"
TARGETS = "darwin/arm64"


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


@with_settings("Publishing", "Patches", "source")
def workflow(
    context: Context,
    *,
    to: Annotated[str, "the file to write: .github/workflows/gobuild.yml"] = "",
    lines: Annotated[str, "which Go, with commas: stable,oldstable or 1.22,1.27"] = LINES,
    targets: Annotated[str, "for what, with commas"] = TARGETS,
    cron: Annotated[str, "when to ask for new releases"] = "23 5 * * *",
    branch: Annotated[str, "the branch that may publish"] = "main",
    requirement: Annotated[str, "what pip installs: gobuild, as a requirement or a path in the repository"] = "",
    **words: object,
) -> None:
    """Writes a workflow for GitHub Actions.

    It builds, verifies and publishes when Go releases.

    Example: gobuild ci.workflow --to .github/workflows/gobuild.yml --base-url https://go.acme.example
    """
    from gobuild.publish import workflow as workflows

    settings = settings_of(context, words)
    if not to:
        raise ConfigError("--to is missing", "--to .github/workflows/gobuild.yml")
    text = workflows.render_workflow(
        settings,
        lines=split_words(lines),
        targets=split_words(targets),
        cron=cron,
        branch=branch,
        requirement=requirement or f"gobuild=={version('gobuild')}",
    )
    files.write(Path(to).expanduser(), text)
    Console().verdict("wrote the workflow; the repository settings it needs are listed at its top", to)


@with_settings(*SOURCE, "suffix", "policy", "Publishing")
def wanted(
    context: Context,
    *,
    lines: Annotated[str, "which Go, with commas"] = LINES,
    targets: Annotated[str, "for what, with commas"] = TARGETS,
    force: Annotated[bool, "name also what is published"] = False,
    **words: object,
) -> None:
    """Lists builds not yet published at base_url, for CI.

    The list is a line for $GITHUB_OUTPUT.

    Example: gobuild ci.wanted --lines stable,oldstable --base-url https://go.acme.example
    """
    from gobuild.matrix import missing
    from gobuild.pipeline.session import Session

    settings = settings_of(context, words)
    if not settings.base_url:
        raise ConfigError("--base-url is missing", "--base-url https://...")
    session = Session(settings=settings, console=Console(stream=sys.stderr))
    builds = missing.missing_builds(session, split_words(lines), split_words(targets), force=force)
    print(f"builds={json.dumps(builds)}")
