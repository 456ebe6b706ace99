"""All routes of a published tree, in their order: what each writes, and what the pages say of it."""

from collections.abc import Callable
from pathlib import Path

from gobuild.core.errors import PublishError
from gobuild.core.model import Target
from gobuild.publish import dl, homebrew, proxy
from gobuild.publish.catalogue import Shelf
from gobuild.publish.install import routes as go_routes
from gobuild.publish.pages import Plain, Way, Ways
from gobuild.publish.paths import module_version
from gobuild.publish.site import Route
from gobuild.publish.sumdb import database
from gobuild.publish.sumdb.note import Signer, Verifier

Note = Callable[[str], None]


def routes(
    *, key: Signer | None, author: str, drop: frozenset[Target] = frozenset(), bottles: bool = True, note: Note
) -> tuple[Route, ...]:
    """What writes a tree.

    Args:
        key: the checksum database's; None where the tree shall have none.
        author: who commits to the tap, "NAME <MAIL>".
        drop: platforms that formulae may leave behind.
        bottles: whether the tap has bottles.
        note: told what is under way.
    """

    def tap(shelf: Shelf, tree: Path) -> None:
        note(f"the tap {homebrew.repository(shelf.name)}{', and bottles' if bottles else ''}")
        homebrew.write(shelf, tree, author=author, bottles=bottles, drop=drop, note=note)

    def modules(shelf: Shelf, tree: Path) -> None:
        note("the proxy")
        proxy.write(shelf, tree)
        _log(shelf, tree, key, note)

    return (dl.write, modules, tap)


def _log(shelf: Shelf, tree: Path, key: Signer | None, note: Note) -> None:
    """Goes on with the tree's checksum database. One that stops would refuse its users every later release."""
    there = database.names(tree)
    if key is not None:
        if there and key.name not in there:
            raise PublishError(f"the tree has the checksum database {there[0]}, not {key.name}", "its own --sumdb-key")
        note(f"the checksum database {key.name}")
        database.write(shelf, tree, key=key)
        return
    for name in there:
        logged = tree / database.folder_of(name) / "lookup" / "golang.org"
        new = [each for each in map(module_version, shelf.offers) if not (logged / f"toolchain@{each}").exists()]
        if new:
            raise PublishError(
                f"{new[0]} is not in the tree's checksum database {name}, so nobody could download it",
                "--sumdb-key with the database's key",
            )


def ways(database: Verifier | None) -> Ways:
    """The ways to install a release, as the pages tell them, in the order in which most people want them."""

    def of(shelf: Shelf, stamp: str, tree: Path) -> tuple[Way, ...]:
        return (*_homebrew(shelf, stamp, tree), *go_routes(shelf, stamp, database=database))

    return of


def _homebrew(shelf: Shelf, stamp: str, tree: Path) -> tuple[Plain, ...]:
    version = shelf.releases[stamp][0].version
    tap, formula = homebrew.tap_name(shelf.name), homebrew.formula_name(shelf.name, version)
    there = tree / homebrew.repository(shelf.name)
    text = homebrew.at(there).read(f"Formula/{formula}.rb") if there.is_dir() else None
    if homebrew.version_in(text or "") != stamp.removeprefix("go"):
        return ()  # the formula of its line installs another one
    url = f"{shelf.base_url}/{homebrew.repository(shelf.name)}"
    return (
        Plain(
            title="Homebrew",
            words="The tap has an address of its own, so it is tapped by its URL, once. Homebrew 6 and 7 load somebody"
            " else's tap only where it is trusted, and know this one by its URL: trust it first.",
            lines=(f"brew trust {url}", f"brew tap {tap} {url}", f"brew install {tap}/{formula}"),
        ),
        Plain(
            title="Homebrew, in a Brewfile",
            words="For `brew bundle`.",
            lines=(f'tap "{tap}", "{url}", trusted: true', f'brew "{tap}/{formula}"'),
        ),
    )
