"""The tasks around a Homebrew tap: `tap.update` and `tap.check`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from invoke import Collection
from invoke.context import Context

from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, VerifyError, os_errors_as_ours
from gobuild.core.process import run
from gobuild.fetch import http
from gobuild.publish import homebrew
from gobuild.publish.builds import find_builds
from gobuild.publish.catalogue import Catalogue, newest_first
from gobuild.publish.paths import check_archive
from gobuild.tasks import show
from gobuild.tasks.words import HELP_DROP, interruptible, settings_of, targets, with_settings

NAMED = 6
"""Failures that an error names; the table has them all."""


def _catalogue(
    dist: Path, name: str, base_url: str, note: Callable[[str], None], *, before: Sequence[str] = ()
) -> Catalogue:
    """What a folder of finished builds offers; each toolchain is what its manifest says.

    Raises:
        ConfigError: there is none.
        PublishError, ChecksumMismatch: an archive is missing, or is not what its manifest says.
    """
    offers = list(find_builds(dist))
    if not offers:
        raise ConfigError(f"there is no finished build in {dist}", "invoke build, or --dist with a folder of builds")
    for offer in offers:
        archive = offer.archive("toolchain")  # no other of its files comes into a tap
        note(f"hashing {archive.path.name}")
        check_archive(archive)
    return Catalogue(name=name, base_url=base_url, builds=newest_first(offers, before=before))


@with_settings(
    help={
        "to": "the tap: a checkout of it, or a bare repository",
        "base_url": "where the archives (and bottles) are served from",
        "bottles": "make bottles into this folder, to be served beside the archives",
        "author": "who commits: NAME <MAIL>",
        "drop": HELP_DROP,
    },
)
def update(
    context: Context,
    *,
    to: str = "",
    bottles: str = "",
    author: str = homebrew.AUTHOR,
    drop: str = "",
    **words: object,
) -> None:
    """Adds the releases in dist/ to a Homebrew tap, in a commit each; nothing is pushed."""
    settings, console = settings_of(context, words), Console()
    if not to:
        raise ConfigError("which tap?", "--to with a checkout of the tap, or a bare repository")
    left = targets(drop)
    with interruptible(), os_errors_as_ours("updating the tap"):
        there = homebrew.at(Path(to).expanduser(), author=author)
        base = settings.base_url.rstrip("/") or settings.dist.absolute().as_uri()
        folder = Path(bottles).expanduser() if bottles else None
        origin = homebrew.address(there.remote())
        place = homebrew.Place(archives=base, bottles=base if folder else "", tap=origin.url, called=origin.tap)
        if not settings.base_url:
            console.warn(f"the formulae name {base}, which this machine alone can read: give --base-url")
        catalogue = _catalogue(settings.dist, settings.name, base, console.say, before=there.stamps())
        made = homebrew.update(catalogue, there, place, bottles=folder, drop=left, note=console.say)
    for each in made:
        console.say(f"committed: {each.title}", style="bold")
    console.say("git push is yours to do" if made else "nothing new: no commit was made")


@with_settings(help={"offline": "fetch no archive over the network"})
def check(context: Context, path: str, **words: object) -> None:
    """Checks a Homebrew tap as far as that is possible without brew; what is not, is named."""
    settings, console = settings_of(context, words), Console()
    with interruptible(), os_errors_as_ours("checking the tap"):
        there = homebrew.at(Path(path).expanduser())
        report = homebrew.check(there, run=run, blocks=http.stream_bytes, offline=settings.offline, note=console.say)
    show.report(console, report)
    if report.failed:
        lines = [f"{each.subject}: {each.name}: {each.seen}" for each in report.failed[:NAMED]]
        raise VerifyError("\n  ".join([f"{len(report.failed)} of the tap's checks failed", *lines]), "do not push it")


ns = Collection("tap", update, check)
