"""The invoke tasks: words come in, `Settings` go to one library call, what it returned is shown.

Use them as they are (``from gobuild.tasks import ns`` is a whole tasks.py), or beside your own
(``Collection(my_task, gobuild.tasks)``).
"""

import tempfile
from pathlib import Path

from invoke import Collection, task
from invoke.context import Context

from gobuild import identify as identifying
from gobuild import pipeline
from gobuild.console import Console
from gobuild.model import Target
from gobuild.patch import series as load_series
from gobuild.pipeline import Session
from gobuild.run import run
from gobuild.tasks import patches, show
from gobuild.tasks.words import CONFIGURATION, interruptible, settings_of, with_settings
from gobuild.tasks.workbench import export_patches, import_patches, new_patch, refresh_patches
from gobuild.verify import require, verify_path


def _session(context: Context, words: dict[str, object]) -> Session:
    return Session(settings=settings_of(context, words), console=Console())


@with_settings
def plan(context: Context, **words: object) -> None:
    """Shows what build would do. Asks the release index; touches nothing but the cache."""
    session = _session(context, words)
    with interruptible():
        show.plan(session.console, pipeline.prepare(session).plan)


@with_settings
def build(context: Context, **words: object) -> None:
    """Builds, verifies and packages a patched Go toolchain: the main job."""
    session = _session(context, words)
    with interruptible():
        show.built(session.console, pipeline.build(session))


@with_settings
def package(context: Context, **words: object) -> None:
    """Verifies and packages again what build has built, without building it again."""
    session = _session(context, words)
    with interruptible():
        show.built(session.console, pipeline.repackage(session))


@task(
    help={
        "path": "a GOROOT, a toolchain archive (.tar.gz, or the module's .zip), or one executable",
        "target": "the GOOS/GOARCH it must be for; by default it is taken from the files",
        "json": "print the report as JSON",
    },
    auto_shortflags=False,
)
def verify(_context: Context, path: str, target: str = "", json: bool = False) -> None:
    """Checks every executable of a toolchain, wherever it came from."""
    console = Console()
    wanted = Target.parse(target) if target else None
    with interruptible(), tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        report = verify_path(Path(path), run=run, scratch=Path(scratch), target=wanted)
    if json:
        show.as_json(report)
    else:
        show.report(console, report)
    require(report)


@task(
    help={
        "path": "an executable (a toolchain's, or any program that it built), a GOROOT, or an archive",
        "dist": "a folder with manifests (*.gobuild.json)",
        "series": "a series whose digests to try, besides the stock one",
        "json": "print what is known as JSON",
    },
    auto_shortflags=False,
    positional=["path"],
)
def identify(
    context: Context, path: str, dist: str | None = None, series: str | None = None, json: bool = False
) -> None:
    """Names the Go release, the suffix and the patches of a toolchain, or of a program it built."""
    settings = settings_of(context, {"dist": dist, "series": series})
    likely = [load_series(name) for name in dict.fromkeys((settings.series, "stock"))]
    with interruptible():
        found = identifying.identify(Path(path), dist=settings.dist, series=likely)
    if json:
        show.document(found.document())
    else:
        show.identity(Console(), found)


@with_settings
def clean(context: Context, **words: object) -> None:
    """Removes what was built in the work folder. Downloads and dist/ stay."""
    session = _session(context, words)
    with interruptible():
        for removed in pipeline.clean(session.settings.work):
            session.console.say(f"removed {removed}")


ns = Collection("gobuild", plan, build, verify, package, identify, clean)
ns.add_collection(Collection("patches", patches.status, import_patches, export_patches, refresh_patches, new_patch))
ns.configure(CONFIGURATION)
