"""The tasks around a Homebrew tap: `tap.update` and `tap.check`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke import Collection
from invoke.context import Context

from gobuild.core.console import Console, counted
from gobuild.core.errors import ConfigError, VerifyError, first_few
from gobuild.core.model import Verdict
from gobuild.core.process import run
from gobuild.tasks import show
from gobuild.tasks.words import HELP_DEPRECATE, HELP_DETAILS, HELP_DROP, path_of, settings_of, targets, with_settings

if TYPE_CHECKING:  # a task imports what it runs when it runs
    from gobuild.publish.catalogue import Catalogue


def finished_builds(
    dist: Path, name: str, base_url: str, note: Callable[[str], None], *, before: Sequence[str] = ()
) -> Catalogue:
    """The finished builds in a folder; each toolchain is held to its manifest."""
    from gobuild.publish.builds import find_builds
    from gobuild.publish.catalogue import Catalogue, newest_first
    from gobuild.publish.paths import check_archive

    builds = list(find_builds(dist))
    if not builds:
        raise ConfigError(f"there is no finished build in {dist}", "invoke build, or --dist with a folder of builds")
    for build in builds:
        archive = build.archive("toolchain")  # no other of its files comes into a tap
        note(f"hashing {archive.path.name}")
        check_archive(archive)
    return Catalogue(name=name, base_url=base_url, builds=newest_first(builds, before=before))


@with_settings("base_url", "name", "dist", help={"base_url": "where the archives (and bottles) are served from"})
def update(
    context: Context,
    *,
    to: Annotated[str, "the tap: a checkout of it, or a bare repository"] = "",
    bottles: Annotated[str, "make bottles into this folder, to be served beside the archives"] = "",
    author: Annotated[str, "who commits: NAME <MAIL>"] = "",
    drop: Annotated[str, HELP_DROP] = "",
    deprecate: Annotated[bool, HELP_DEPRECATE] = False,
    **words: object,
) -> None:
    """Adds the releases in dist/ to a Homebrew tap.

    Each is a commit; nothing is pushed.

    Example: gobuild tap.update --to homebrew-tap --base-url https://go.acme.example
    """
    from gobuild.publish import homebrew

    settings, console = settings_of(context, words), Console()
    if not to:
        raise ConfigError("which tap?", "--to with a checkout of the tap, or a bare repository")
    left = targets(drop)
    tap = homebrew.open_tap(Path(to).expanduser(), author=author or homebrew.AUTHOR)
    base = settings.base_url.rstrip("/") or settings.dist.absolute().as_uri()
    folder = path_of(bottles)
    name, url = homebrew.tap_remote(tap.remote_url())
    urls = homebrew.TapUrls(archives=base, bottles=base if folder else "", tap=url, tap_name=name)
    if not settings.base_url:
        console.warn(f"the formulae name {base}, which this machine alone can read: give --base-url")
    catalogue = finished_builds(settings.dist, settings.name, base, console.say, before=tap.stamps())
    commits = homebrew.update_tap(
        catalogue, tap, urls, bottles=folder, drop=left, deprecate=deprecate, note=console.say
    )
    for commit in commits:
        console.say(f"committed: {commit}")
    made = f"{counted(len(commits), 'commit')} in {to}" if commits else "nothing new: no commit was made"
    console.verdict(made, then=f"git -C {to} push" if commits else "")


@with_settings("offline", name="check", help={"offline": "fetch no archive over the network"})
def check_tap(
    context: Context,
    path: Annotated[str, "the tap: a checkout of it, or a bare repository"],
    *,
    details: Annotated[bool, HELP_DETAILS] = False,
    **words: object,
) -> None:
    """Checks a Homebrew tap, as far as possible without brew.

    What needs brew itself is named.

    Example: gobuild tap.check homebrew-tap
    """
    from gobuild.fetch import http
    from gobuild.publish import homebrew

    settings, console = settings_of(context, words), Console(details=details)
    with console.stage("check") as at:
        tap = homebrew.open_tap(Path(path).expanduser())
        report = homebrew.check_tap(tap, run=run, blocks=http.stream_bytes, offline=settings.offline, note=at.note)
    show.report(console, report)
    if report.failed:
        lines = first_few(f"{each.subject}: {each.name}: {each.seen}" for each in report.failed)
        raise VerifyError("\n  ".join([f"{len(report.failed)} of the tap's checks failed", *lines]), "do not push it")
    skipped = ", ".join(dict.fromkeys(each.name for each in report.checks if each.verdict is Verdict.SKIPPED))
    console.verdict(f"{path}: {show.counts(report)}", *([f"not checked here: {skipped}"] if skipped else []))


ns = Collection("tap", update, check_tap)
