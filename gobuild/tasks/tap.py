"""The tasks around a Homebrew tap: `tap.update` and `tap.check`."""

from pathlib import Path

from invoke import Collection
from invoke.context import Context

from gobuild.console import Console
from gobuild.errors import ConfigError, VerifyError, the_systems_no_is_ours
from gobuild.publish import homebrew
from gobuild.publish.offers import find
from gobuild.publish.shelf import Shelf
from gobuild.run import run
from gobuild.tasks import show
from gobuild.tasks.words import interruptible, settings_of, with_settings

NAMED = 6
"""Failures that an error names; the table has them all."""


def _shelf(dist: Path, name: str, base_url: str) -> Shelf:
    """What a folder of finished builds offers."""
    offers = [found.offer for found in find(dist)]
    if not offers:
        raise ConfigError(f"there is no finished build in {dist}", "invoke build, or --dist with a folder of builds")
    offers.sort(key=lambda offer: (offer.stamp, str(offer.target)))
    offers.sort(key=lambda offer: offer.version.pep440, reverse=True)
    return Shelf(name=name, base_url=base_url, offers=tuple(offers))


@with_settings(
    help={
        "to": "the tap: a checkout of it, or a bare repository",
        "base_url": "where the archives (and bottles) are served from",
        "bottles": "make bottles into this folder, to be served beside the archives",
        "author": "who commits: NAME <MAIL>",
    }
)
def update(
    context: Context, *, to: str = "", bottles: str = "", author: str = homebrew.AUTHOR, **words: object
) -> None:
    """Adds the releases in dist/ to a Homebrew tap, in a commit each; nothing is pushed."""
    settings, console = settings_of(context, words), Console()
    if not to:
        raise ConfigError("which tap?", "--to with a checkout of the tap, or a bare repository")
    with interruptible(), the_systems_no_is_ours("updating the tap"):
        there = homebrew.at(Path(to).expanduser(), author=author)
        base = settings.base_url.rstrip("/") or settings.dist.absolute().as_uri()
        folder = Path(bottles).expanduser() if bottles else None
        place = homebrew.Place(archives=base, bottles=base if folder else "")
        if not settings.base_url:
            console.warn(f"the formulae name {base}, which this machine alone can read: give --base-url")
        shelf = _shelf(settings.dist, settings.name, base)
        made = homebrew.update(shelf, there, place, bottles=folder, note=console.say)
    for each in made:
        console.say(f"committed: {each.title}", style="bold")
    console.say("git push is yours to do" if made else "nothing new: no commit was made")


@with_settings(help={"offline": "fetch no archive over the network"})
def check(context: Context, path: str, **words: object) -> None:
    """Checks a Homebrew tap as far as that is possible without brew; what is not, is named."""
    settings, console = settings_of(context, words), Console()
    with interruptible(), the_systems_no_is_ours("checking the tap"):
        report = homebrew.check(
            homebrew.at(Path(path).expanduser()), run=run, offline=settings.offline, note=console.say
        )
    show.report(console, report)
    if report.failed:
        lines = [f"{each.subject}: {each.name}: {each.seen}" for each in report.failed[:NAMED]]
        raise VerifyError("\n  ".join([f"{len(report.failed)} of the tap's checks failed", *lines]), "do not push it")


ns = Collection("tap", update, check)
