"""What a tap lacks: a shelf comes in, commits and bottles go out. Which formula is of which release: `choice`."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError, PackageError
from gobuild.core.model import GoVersion, State, Target
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.homebrew import bottle, order, tap, words
from gobuild.publish.homebrew.choice import Note, by_release
from gobuild.publish.homebrew.formula import OURS, Poured, Recipe, downloads, served, tap_name, tappable, text
from gobuild.publish.homebrew.tap import AUTHOR, Tap

BOTTLES = "bottles"
DOWNLOADS = "dl"
"""Folders of the published tree, and below its URL."""

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
        tap: the URL to tap, "" where its name is enough, or it is not known.
        called: the tap's name, "acme/go-acme"; "" where it is not known.
    """

    archives: str
    bottles: str = ""
    page: str = ""
    tap: str = ""
    called: str = ""

    def __post_init__(self) -> None:
        for url in filter(None, (self.archives, self.bottles, self.page)):
            served(url)
        if self.tap:
            tappable(self.tap)


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


def in_tree(name: str, base_url: str) -> Place:
    """Where a published tree has what the formulae name.

    Args:
        name: the distribution's name.
        base_url: where the tree is served.

    Raises:
        ConfigError: a URL that cannot stand in a formula.
    """
    base = base_url.rstrip("/")
    return Place(
        archives=f"{base}/{DOWNLOADS}",
        bottles=f"{base}/{BOTTLES}",
        page=base if base.startswith("http") else "",
        tap=f"{base}/{repository(name)}",
        called=tap_name(name),
    )


def write(
    shelf: Catalogue,
    tree: Path,
    *,
    author: str = AUTHOR,
    bottles: bool = True,
    drop: frozenset[Target] = frozenset(),
    note: Note = lambda _: None,
) -> None:
    """Writes the tap and the bottles of a published tree.

    Args:
        shelf: what is offered.
        tree: the staged tree; it may share files with the one that is served now.
        author: "NAME <MAIL>", who commits.
        bottles: whether to make bottles; those that are there are served in any case.
        drop: platforms that formulae may leave behind.
        note: told what is under way, and which release no formula is of.

    Raises:
        ConfigError: a URL or a name that cannot stand in a formula.
        PackageError, UnsafeArchive: an archive of which no bottle can be made.
        CommandError, ToolMissing: git failed, or is missing.
    """
    place = in_tree(shelf.name, shelf.base_url)
    if any(offer.version.stable for offer in shelf.builds):
        there = tap.bare(tree / repository(shelf.name), author=author)
        update(shelf, there, place, bottles=tree / BOTTLES, make=bottles, drop=drop, note=note)


def update(
    shelf: Catalogue,
    there: Tap,
    place: Place,
    *,
    bottles: Path | None = None,
    make: bool = True,
    drop: frozenset[Target] = frozenset(),
    note: Note = lambda _: None,
) -> tuple[Update, ...]:
    """Brings a tap up to date with what is offered: one commit a release, none where nothing is new.

    Files of others stay, and so do formulae of releases that are no longer offered.

    Args:
        shelf: what is offered.
        there: the tap.
        place: where the archives and bottles are, or will be, served.
        bottles: the folder for bottles, None for none.
        make: whether to make those that are not there.
        drop: platforms that formulae may leave behind. Else a formula moves on only to what is there for all it serves.
        note: told what is under way.

    Returns:
        The commits, oldest first.

    Raises:
        ConfigError: a formula of the same name that gobuild did not write, or as `write`.
    """
    made = []
    for stamp, names in by_release(shelf, there, drop=drop, note=note).items():
        offers = shelf.releases[stamp]
        pinned = all(bottle.pinned(offer.archive("toolchain").path) for offer in offers)
        recipes = [
            recipe(name, offers, place, pinned=pinned, scheme=_scheme(there.read(f"Formula/{name}.rb") or "", stamp))
            for name in names
        ]
        poured = [_poured(each, offers, place, bottles, make=make) for each in recipes]
        changes = _changes(poured, there)
        if changes:
            note(f"the tap: {', '.join(names)} is of {stamp}")
            message = words.message(recipes, changes, there)
            changes |= words.readme(shelf.name, changes, there, place.tap, place.called)
            there.commit(changes, message)
            made.append(Update(title=message.splitlines()[0], formulae=tuple(names)))
    return tuple(made)


def _scheme(before: str, stamp: str) -> int:
    """The version_scheme with which brew takes a release for newer than what the tap's formula has.

    Without a higher one Homebrew 6.0.18 upgrades from 1.22.10-gobuild.p36efb16 to 1.22.10-gobuild.p9abcdef never:
    `brew outdated` is silent.
    """
    version, was, scheme = stamp.removeprefix("go"), words.version_in(before), words.scheme_in(before)
    return scheme + (was not in ("", version) and order.compare(version, was) <= 0)


def _changes(recipes: list[Recipe], there: Tap) -> dict[str, str | None]:
    """The formulae of one release, as far as the tap has them not."""
    changes: dict[str, str | None] = {}
    names = there.names()
    for each in recipes:
        path, written = f"Formula/{each.formula}.rb", text(each)
        before = there.read(path)
        if before is not None and OURS not in before:
            raise ConfigError(f"the tap has a {path} that gobuild did not write", "another --name, or move it away")
        if before != written:
            changes[path] = written
        if (alias := f"Aliases/{each.formula}") in names:
            changes[alias] = None  # `brew readall` refuses an alias that is called as a formula is
    return changes


def recipe(formula: str, offers: Sequence[Build], place: Place, *, pinned: bool, scheme: int = 0) -> Recipe:
    """What a formula says of one release, without bottles.

    Args:
        formula: its name.
        offers: those of one stamp; no archive is read.
        place: where the files are served.
        pinned: whether the go.env of each says GOTOOLCHAIN=local.
        scheme: the formula's version_scheme.

    Raises:
        ConfigError: a file's name that is no plain name.
    """
    first = offers[0]
    patches = first.manifest.patches
    alike = {tuple(_inside(offer)) for offer in offers}
    states = [{patch.name: patch.state for patch in offer.manifest.patches} for offer in offers]
    settings = {offer.manifest.profile.cgo for offer in offers}
    return Recipe(
        formula=formula,
        version=first.version,
        stamp=first.stamp,
        downloads=tuple(downloads((offer.manifest for offer in offers), place.archives)),
        pinned=pinned,
        scheme=scheme,
        page=place.page,
        tap=place.called,
        tap_url=place.tap,
        # Where platforms have different patches, a formula cannot ask all of them for the same.
        patches=tuple(_inside(first)) if len(alike) == 1 and patches else None,
        uuid=first.version >= _UUID_SINCE or all(state.get("link-uuid") in HAPPENED for state in states),
        cgo=False if settings == {"0"} else None,
    )


def _inside(offer: Build) -> Iterable[str]:
    """The patches that the manifest inside the toolchain names (`gobuild.core.manifest.InnerManifest`)."""
    return (patch.name for patch in offer.manifest.patches if patch.state is not State.NOT_FOR_THIS_VERSION)


def with_bottles(plain: Recipe, offers: Sequence[Build], place: Place, digest: Callable[[str], str]) -> Recipe:
    """What a formula says where there are bottles of it.

    Args:
        plain: the same without.
        offers: those of one stamp; no archive is read.
        place: where the files are served.
        digest: from a bottle's name to its SHA-256, "" where there is none.
    """
    found = []
    for offer in offers:
        with suppress(PackageError):  # without a tag there is none
            tag = bottle.tag(offer.target, offer.manifest)
            if sha256 := digest(bottle.file_name(plain.formula, plain.stamp, tag)):
                found.append(Poured(tag=tag, sha256=sha256))
    return replace(plain, bottles=tuple(found), root_url=place.bottles) if found else plain


def _poured(plain: Recipe, offers: tuple[Build, ...], place: Place, folder: Path | None, *, make: bool) -> Recipe:
    """The same with bottles, which are made where they are not yet.

    Raises:
        PackageError: a manifest that does not say which macOS it needs.
    """
    if folder is None:
        return plain
    for offer in offers if make else ():
        tag = bottle.tag(offer.target, offer.manifest)
        job = bottle.Job(archive=offer.archive("toolchain").path, recipe=plain, target=offer.target, tag=tag)
        bottle.make(job, folder)

    def digest(file: str) -> str:
        return files.sha256(folder / file) if (folder / file).is_file() else ""

    return with_bottles(plain, offers, place, digest)
