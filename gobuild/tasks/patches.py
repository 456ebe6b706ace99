"""The tasks around a series that build nothing: `patches.status`."""

import sys
from pathlib import Path

from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, PatchError, disk_full_is_ours
from gobuild.patch import Matrix
from gobuild.pipeline import sources
from gobuild.pipeline.session import Session
from gobuild.tasks import show
from gobuild.tasks.words import interruptible, settings_of, with_settings

NAMED = 6
"""Conflicts that an error names; the matrix has them all."""


@with_settings(
    help={
        "go": "which versions: 1.21..1.27 (each line's newest), 1.22,1.24, 1.22.10, or all (the default)",
        "json": "print the matrix as JSON",
        "html": "write the matrix as a web page to this file",
    }
)
def status(context: Context, *, json: bool = False, html: str = "", **words: object) -> None:
    """Shows what would become of every patch on every version of Go, and changes nothing."""
    # What `go` says in a configuration file is what to build; how a series stands is asked of all versions.
    settings = settings_of(context, words | {"go": words.get("go") or sources.ALL})
    console = Console(stream=sys.stderr) if json else Console()
    page = Path(html).expanduser() if html else None
    if page and page.is_dir():
        raise ConfigError(f"{page} is a folder", "--html with the name of a file")
    with interruptible():
        matrix = sources.series_status(Session(settings=settings, console=console))
        if page:
            with disk_full_is_ours(f"writing {page}"):
                files.write(page, show.matrix_page(matrix))
            console.say(f"wrote {page}")
    if json:
        show.document(matrix.document())
    else:
        show.matrix(console, matrix)
    require(matrix)


def require(matrix: Matrix) -> None:
    """Lets a matrix pass only if nothing conflicts in it.

    Raises:
        PatchError: it names the conflicts, at most `NAMED`.
    """
    conflicts = matrix.conflicts
    if conflicts:
        named = [f"{outcome.name} on {version}" for version, outcome in conflicts[:NAMED]]
        if len(conflicts) > NAMED:
            named.append(f"{len(conflicts) - NAMED} more")
        count = "1 conflict" if len(conflicts) == 1 else f"{len(conflicts)} conflicts"
        raise PatchError(
            f"{count}: {', '.join(named)}",
            "invoke patches.import opens the conflict in git; or narrow the patch's `go` in series.toml",
        )
