"""The tasks around a series: how it stands on every version, to git commits and back, anchored anew, a patch begun.

Where something is to be written, the folder is one that the user named.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke import Collection
from invoke.context import Context

from gobuild.core import files, resources
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, PatchError, first_few
from gobuild.core.goversion import GoVersion
from gobuild.core.settings import Settings
from gobuild.tasks import show
from gobuild.tasks.authoring import open_shell, test_patches
from gobuild.tasks.words import SOURCE, file_to_write, flagged, settings_of, with_settings

if TYPE_CHECKING:  # a task imports what it runs when it runs
    from gobuild.patch.workbench.adopt import Adopted
    from gobuild.patch.workbench.import_series import Imported, PlainSource

SERIES = "the folder of the patch series"


@with_settings(
    *SOURCE, help={"go": "which versions: 1.21..1.27 (each line's newest), 1.22,1.24, 1.22.10, or all (the default)"}
)
def status(
    context: Context,
    *,
    json: Annotated[bool, "print the matrix as JSON"] = False,
    html: Annotated[str, "write the matrix as a web page to this file"] = "",
    **words: object,
) -> None:
    """Tries every patch on every version of Go.

    Reports how each stands; nothing is changed.

    Example: gobuild patches.status --go 1.21..1.27 --series ours
    """
    from gobuild.pipeline import sources
    from gobuild.pipeline.session import Session

    # What `go` says in a configuration file is what to build; how a series stands is asked of all versions.
    settings = settings_of(context, words | {"go": words.get("go") or sources.ALL})
    console = Console(stream=sys.stderr) if json else Console()
    page = file_to_write(html, "--html")
    matrix = sources.series_status(Session(settings=settings, console=console))
    if page:
        files.write(page, show.matrix_page(matrix))
        console.say(f"wrote {page}")
    if json:
        show.document(matrix.to_json())
    else:
        show.matrix(console, matrix)
    bad = []
    if names := [outcome.name for outcome in matrix.unreadable]:
        bad.append(f"{len(names)} unreadable: {', '.join(first_few(names))}")
    if conflicts := [f"{outcome.name} on {version}" for version, outcome in matrix.conflicts]:
        bad.append(f"{len(conflicts)} conflict{'s' * (len(conflicts) > 1)}: {', '.join(first_few(conflicts))}")
    if bad:
        conflicting = {outcome.name for _, outcome in matrix.conflicts}
        narrowed = any(row.patch.entry for row in matrix.rows if row.patch.name in conflicting)
        ways = ["gobuild patches.adopt makes a series of what git can read"] * bool(names)
        ways += ["invoke patches.import opens the conflict in git"] * bool(conflicts)
        raise PatchError("; ".join(bad), "; ".join(ways) + "; or narrow the patch's `go` in series.toml" * narrowed)


@with_settings(*SOURCE, name="import")
def import_patches(
    context: Context,
    *,
    to: Annotated[str, "the folder of the workbench; it must not exist, or be empty"] = "",
    from_: Annotated[str, "a version that the patches do apply to, for git's three-way merge where they do not"] = "",
    **words: object,
) -> None:
    """Makes a git repository of Go's source, a commit a patch.

    Where a patch conflicts, a rebase stands open there.

    Example: gobuild patches.import --go 1.22.10 --series ours --to workbench
    """
    from gobuild.patch import series_of
    from gobuild.patch.workbench.import_series import import_series

    settings, console = settings_of(context, words), Console()
    if not to:
        raise ConfigError("import needs a folder", "--to DIR")
    series = series_of(settings)
    with ExitStack() as stack:
        plain = stack.enter_context(_plain(settings, console))
        imported = import_series(
            series,
            plain,
            Path(to).expanduser().absolute(),
            target=settings.for_target,
            profile=settings.profile,
            known=stack.enter_context(_plain(replace(settings, go=from_), console)) if from_ else None,
        )
    _show_import(console, imported)


@flagged(name="export")
def export_patches(
    _context: Context,
    from_: Annotated[str, "the folder of the workbench, as patches.import made it"] = "",
    series: Annotated[str, f"{SERIES} to write to; by default the one that was imported"] = "",
    variant: Annotated[bool, "leave a changed patch's file, and write a variant for this version beside it"] = False,
    add: Annotated[bool, "add the entries that series.toml lacks, at its end"] = False,
) -> None:
    """Turns the commits of a workbench into patch files.

    Unchanged patches keep their bytes.

    Example: gobuild patches.export --from workbench
    """
    from gobuild.patch.manifest import load_or_new
    from gobuild.patch.workbench import export
    from gobuild.patch.workbench.import_record import ImportRecord

    console = Console()
    if not from_:
        raise ConfigError("export needs a workbench", "--from DIR, the folder that patches.import made")
    folder = Path(from_).expanduser().absolute()
    name = series or ImportRecord.load(folder).series
    if name in ("stock", "none"):
        raise ConfigError(f"nothing can be written to the series {name!r}", "--series DIR, a folder")
    found = export.export_series(folder, load_or_new(Path(name).expanduser().absolute()), variant=variant)
    if found.texts or (add and found.entries):
        _require_own(found.series.folder, named=bool(series))
        export.write_export(found, add=add)
    show.exported(console, found, add=add)


@with_settings(*SOURCE, name="refresh", help={"go": "the version to anchor at: 1.28, 1.28.1", "series": SERIES})
def refresh_patches(context: Context, **words: object) -> None:
    """Refreshes the diffs that apply only with an offset.

    What applies exactly keeps its bytes.

    Example: gobuild patches.refresh --go 1.22.10 --series ours
    """
    from gobuild.patch import series_of
    from gobuild.patch.workbench import refresh

    settings, console = settings_of(context, words), Console()
    series = series_of(settings)
    with _plain(settings, console) as plain:
        chosen = series.candidates(plain.version, settings.for_target, settings.profile)
        found = refresh.refresh_patches(chosen, plain.root)
        for folder in {one.patch.folder for one in found if one.content is not None}:
            _require_own(folder, named=bool(words.get("series")) and settings.series != "stock")
        refresh.write_refreshed(found)
        rows = [(one.patch.name, Path(one.patch.file).name, one.said) for one in found]
        console.table(f"{settings.series} on {plain.version}", ("patch", "file", "what"), rows)


@with_settings(name="adopt", help={"go": "the version that the patches are for: 1.22.10", "series": SERIES})
def adopt_patches(
    context: Context,
    *,
    patches: Annotated[str, "a folder of *.patch files, in name order or as quilt's list has them; a mailbox; a patch"],
    then: Annotated[list[str] | None, "what comes behind it: a folder, mailbox or patch more; may be repeated"] = None,
    to: Annotated[str, "the folder of the workbench, to be kept; by default SERIES.workbench, until all is done"] = "",
    skip: Annotated[bool, "leave outside what does not fit, the one in conflict too, and go on"] = False,
    **words: object,
) -> None:
    """Makes a series of yours of anybody's patches.

    Their form alone is changed, and every change of form is told. What fits nowhere exactly stops it, or with --skip
    stays outside, by name.

    Example: gobuild patches.adopt theirs/patches --go 1.22.10 --series ours
    """
    from gobuild import patch
    from gobuild.patch.manifest import load_or_new
    from gobuild.patch.workbench import adopt, export
    from gobuild.patch.workbench.incoming import incoming

    settings, console = settings_of(context, words), Console()
    if settings.series in ("stock", "none"):
        raise ConfigError("adopting patches needs a series of yours", "--series DIR, a folder; it is made if missing")
    series = load_or_new(Path(settings.series).expanduser().absolute())
    _require_own(series.folder, named=bool(words.get("series")))
    folder = Path(to).expanduser().absolute() if to else series.folder.with_name(f"{series.folder.name}.workbench")
    places = [Path(name).expanduser() for name in (patches, *(then or ()))]
    if series.folder.resolve() in (place.resolve() for place in places):
        raise ConfigError(f"{series.folder} holds the patches themselves", "--series DIR, another folder")
    found = incoming(places)
    with _plain(settings, console) as plain:
        adopted = adopt.adopt_patches(
            found, plain, series, folder, target=settings.for_target, profile=settings.profile, skip=skip
        )
        _show_adopted(console, adopted)
        exported = export.export_series(folder, series)
        export.write_export(exported, add=True)
        show.exported(console, exported, add=True)
        if not to:
            files.remove(folder)
        matrix = patch.status(
            load_or_new(series.folder),
            {plain.version: plain.root},
            target=settings.for_target,
            profile=settings.profile,
            extra=settings.extras,
        )
    show.matrix(console, matrix)
    left = [f"{step.label}: {step.evidence}" for step in adopted.left_out]
    left += [f"{outcome.name} conflicts" for _, outcome in matrix.conflicts]
    if left:
        raise PatchError(f"{len(left)} left outside: {'; '.join(first_few(left))}", "see what each says, above")


@flagged(name="new")
def new_patch(
    context: Context,
    name: Annotated[str, "what the patch is called: lower-case words with hyphens"],
    series: Annotated[str, f"{SERIES}, yours; it is made where it is missing"] = "",
    go: Annotated[str, "the version it begins on: 1.22.10; by default it is for all"] = "",
    bare: Annotated[bool, "a series that is made has no stock patches in front of its own"] = False,
) -> None:
    """Begins a patch: a file, and an entry in series.toml.

    Example: gobuild patches.new bigger-stacks --series ours
    """
    from gobuild.patch.workbench import entries
    from gobuild.patch.workbench.adopt import user_author

    settings, console = settings_of(context, {"series": series or None}), Console()
    if settings.series in ("stock", "none"):
        raise ConfigError("a new patch needs a series of yours", "--series DIR")
    folder = Path(settings.series).expanduser().absolute()
    made = entries.new_patch(
        folder, name, version=GoVersion.parse(go) if go else None, extends=not bare, author=user_author()
    )
    for path in made:
        console.say(f"wrote {path}")
    console.say(f"next: its reason in {made[1].name}; patches.import --series {folder} --to DIR; the commit there")


@contextmanager
def _plain(settings: Settings, console: Console) -> Iterator[PlainSource]:
    """The source of the one version that the settings mean, in the cache."""
    from gobuild.patch.workbench.import_series import PlainSource
    from gobuild.pipeline import sources
    from gobuild.pipeline.session import Session

    with sources.unpacked_sources(Session(settings=settings, console=console)) as found:
        if len(found) != 1:
            raise ConfigError(f"{settings.go!r} is {len(found)} versions", "one, such as 1.22.10")
        ((version, root),) = found.items()
        yield PlainSource(version=version, root=root)


def _require_own(folder: Path, *, named: bool) -> None:
    """Leaves gobuild's own series alone, unless it was named by its path."""
    if not named and folder.resolve() == resources.folder("patches").resolve():
        raise ConfigError(f"the stock series, {folder}, would be changed", "--series DIR, yours or that one")


def _show_import(console: Console, imported: Imported) -> None:
    if rows := [(step.name, step.state, step.evidence) for step in imported.steps]:
        console.table(f"in {imported.folder}", ("patch", "state", "evidence"), rows)
    if imported.stopped:
        raise PatchError(
            f"the patch {imported.stopped} conflicts; the rebase stands open in {imported.folder}, in conflict: "
            f"{', '.join(imported.conflicts)}",
            f"there: git status; edit the files; git add FILE; git rebase --continue; "
            f"then patches.export --from {imported.folder}",
        )
    done = "each patch is a commit: git log base..HEAD" if imported.steps else f"{imported.folder} has the plain source"
    console.say(f"{done}; then patches.export --from {imported.folder}")


def _show_adopted(console: Console, adopted: Adopted) -> None:
    rows = [(step.label, step.state, step.summary) for step in adopted.steps]
    console.table(f"in {adopted.folder}", ("patch", "state", "changed in form; what else to know"), rows)
    if adopted.stopped:
        where = f"in conflict: {', '.join(adopted.conflicts)}" if adopted.conflicts else "nothing of it is applied"
        how = "edit the files; git add FILE" if adopted.conflicts else adopted.hint
        open_there = f"the workbench stands open in {adopted.folder}; {where}"
        raise PatchError(
            f"{adopted.stopped} does not fit: {adopted.reason}\n  {open_there}",
            f"there: {how}; then the same words again, which go on; or with --skip, which leaves such patches out",
        )


ns = Collection(
    "patches",
    status,
    test_patches,
    open_shell,
    import_patches,
    export_patches,
    refresh_patches,
    new_patch,
    adopt_patches,
)
