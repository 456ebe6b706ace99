"""Which formula is of which release, and what a tap lacks: a shelf comes in, commits and bottles go out.

A formula for each line of Go, NAME@1.22, keg-only; and NAME for the newest release. The newest line has both: beside
NAME at 1.27 brew's audit wants the alias NAME@1.27 *or* a formula of that name (formula_auditor.rb, audit_file), and
only with the formula does who asked for 1.27 stay with it when 1.28 is there. Release candidates are in no formula,
since Homebrew takes 1.28rc1 for newer than 1.28.0.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.errors import ConfigError
from gobuild.model import GoVersion
from gobuild.publish.homebrew import bottle, order, tap, words
from gobuild.publish.homebrew.formula import OURS, Recipe, downloads, formula_name, served, tap_name, text
from gobuild.publish.homebrew.tap import AUTHOR, Tap
from gobuild.publish.shelf import Offer, Shelf

BOTTLES = "bottles"
DOWNLOADS = "dl"
"""Folders of the published tree, and below its URL."""

Note = Callable[[str], None]

HAPPENED = ("applied", "already upstream")
"""The states of a patch whose effect the toolchain has."""

_UUID_SINCE = GoVersion(major=1, minor=24)
"""The first Go whose linker writes LC_UUID by itself (cmd/link/internal/ld/main.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where what the formulae name is served.

    Attributes:
        archives: the URL of the folder with the archives.
        bottles: the URL of the folder with the bottles.
        page: the page that lists the releases, "" for none.
        tap: the URL to tap, "" where it is not known.
    """

    archives: str
    bottles: str = ""
    page: str = ""
    tap: str = ""

    def __post_init__(self) -> None:
        for url in filter(None, (self.archives, self.bottles, self.page, self.tap)):
            served(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A commit that was made.

    Attributes:
        title: its first line.
        formulae: the names of the formulae it brings.
    """

    title: str
    formulae: tuple[str, ...]


def repository(name: str) -> str:
    """The folder of the tap in the published tree, and below its URL."""
    return f"homebrew-{name}.git"


def write(shelf: Shelf, tree: Path, *, author: str = AUTHOR, bottles: bool = True, note: Note = lambda _: None) -> None:
    """Writes the tap and the bottles of a published tree.

    Args:
        shelf: what is offered.
        tree: the staged tree; it may share files with the one that is served now.
        author: "NAME <MAIL>", who commits.
        bottles: whether to make bottles.
        note: told what is under way, and which release no formula is of.

    Raises:
        ConfigError: a URL or a name that cannot stand in a formula.
        PackageError, UnsafeArchive: an archive of which no bottle can be made.
        CommandError, ToolMissing: git failed, or is missing.
    """
    base = shelf.base_url.rstrip("/")
    place = Place(
        archives=f"{base}/{DOWNLOADS}",
        bottles=f"{base}/{BOTTLES}" if bottles else "",
        page=base if base.startswith("http") else "",
        tap=f"{base}/{repository(shelf.name)}",
    )
    if any(offer.version.stable for offer in shelf.offers):
        there = tap.bare(tree / repository(shelf.name), author=author)
        update(shelf, there, place, bottles=tree / BOTTLES if bottles else None, note=note)


def update(
    shelf: Shelf, there: Tap, place: Place, *, bottles: Path | None = None, note: Note = lambda _: None
) -> tuple[Update, ...]:
    """Brings a tap up to date with what is offered: one commit a release, none where nothing is new.

    Files of others stay, and so do formulae of releases that are no longer offered.

    Args:
        shelf: what is offered.
        there: the tap.
        place: where the archives and bottles are, or will be, served.
        bottles: the folder for bottles, None for none.
        note: told what is under way.

    Returns:
        The commits, oldest first.

    Raises:
        ConfigError: a formula of the same name that gobuild did not write, or as `write`.
    """
    made = []
    for stamp, names in by_release(shelf, note).items():
        recipes = [_recipe(shelf.name, name, shelf.releases[stamp], place) for name in names]
        changes = _changes(recipes, shelf.releases[stamp], there, place, bottles)
        if changes:
            note(f"the tap: {', '.join(names)} is of {stamp}")
            message = words.message(recipes, changes, there)
            changes |= words.readme(shelf.name, changes, there, place.tap)
            there.commit(changes, message)
            made.append(Update(title=message.splitlines()[0], formulae=tuple(names)))
    return tuple(made)


def _changes(
    recipes: list[Recipe], offers: tuple[Offer, ...], there: Tap, place: Place, bottles: Path | None
) -> dict[str, str | None]:
    """The formulae of one release, as far as the tap has them not."""
    changes: dict[str, str | None] = {}
    names = there.names()
    for recipe in recipes:
        path, written = f"Formula/{recipe.formula}.rb", text(_with_bottles(recipe, offers, place, bottles))
        before = there.read(path)
        if before is not None and OURS not in before:
            raise ConfigError(f"the tap has a {path} that gobuild did not write", "another --name, or move it away")
        if before != written:
            changes[path] = written
        if (alias := f"Aliases/{recipe.formula}") in names:
            changes[alias] = None  # `brew readall` refuses an alias that is called as a formula is
    return changes


def by_release(shelf: Shelf, note: Note = lambda _: None) -> dict[str, list[str]]:
    """Which formulae are of which release, oldest release first; a stamp that no formula is of is not there.

    Args:
        shelf: what is offered.
        note: told which releases are passed over.
    """
    stable = [stamp for stamp, offers in shelf.releases.items() if offers[0].version.stable]
    ordered = sorted(stable, key=lambda stamp: (shelf.releases[stamp][0].version.pep440, order.key(stamp[2:])))
    lines = {shelf.releases[stamp][0].version.line: stamp for stamp in ordered}
    chosen: dict[str, list[str]] = {
        stamp: [formula_name(shelf.name, shelf.releases[stamp][0].version)]
        for stamp in ordered
        if stamp in lines.values()
    }
    for stamp in chosen:
        release = shelf.releases[stamp][0].version
        passed = [each for each in ordered if each not in chosen and shelf.releases[each][0].version == release]
        if passed:
            note(
                f"no formula is of {', '.join(passed)}: Homebrew takes {stamp} for newer. Where it is not, give the"
                " suffix a revision that grows: acme1.{id}, acme2.{id}"
            )
    if ordered:
        chosen[ordered[-1]].append(shelf.name)
    return chosen


def _recipe(name: str, formula: str, offers: tuple[Offer, ...], place: Place) -> Recipe:
    first = offers[0]
    patches = first.document["patches"]
    alike = {tuple(_inside(offer)) for offer in offers}
    states = [{patch["name"]: patch["state"] for patch in offer.document["patches"]} for offer in offers]
    settings = {offer.document["profile"].get("cgo_enabled") for offer in offers}
    return Recipe(
        formula=formula,
        version=first.version,
        stamp=first.stamp,
        downloads=tuple(downloads((offer.document for offer in offers), place.archives)),
        pinned=all(bottle.pinned(offer.one("toolchain").path) for offer in offers),
        page=place.page,
        tap=tap_name(name),
        # Where platforms have different patches, a formula cannot ask all of them for the same.
        patches=tuple(_inside(first)) if len(alike) == 1 and patches else None,
        uuid=first.version >= _UUID_SINCE or all(state.get("link-uuid") in HAPPENED for state in states),
        cgo=False if settings == {"0"} else None,
    )


def _inside(offer: Offer) -> Iterable[str]:
    """The patches that the manifest inside the toolchain names (`gobuild.package.manifest.inner`)."""
    return (patch["name"] for patch in offer.document["patches"] if patch["state"] != "not for this version")


def _with_bottles(recipe: Recipe, offers: tuple[Offer, ...], place: Place, folder: Path | None) -> Recipe:
    if folder is None:
        return recipe
    poured = []
    for offer in offers:
        tag = bottle.tag(offer.target, offer.document)
        job = bottle.Job(archive=offer.one("toolchain").path, recipe=recipe, target=offer.target, tag=tag)
        poured.append(bottle.make(job, folder))
    return replace(recipe, bottles=tuple(poured), root_url=place.bottles)
