"""The parts of a published tree beside archives, attestations and pages: index, module proxy with its log, and tap."""

from collections.abc import Callable
from pathlib import Path

from gobuild.core.errors import PublishError
from gobuild.core.goversion import Target
from gobuild.publish import homebrew
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.download_index import write_downloads
from gobuild.publish.paths import module_version
from gobuild.publish.proxy import write_proxy
from gobuild.publish.sumdb.database import database_folder, database_names, update_database
from gobuild.publish.sumdb.note import NoteSigner

TreePart = Callable[[Catalogue, Path], None]
"""Writes its part of the staged tree."""


def standard_parts(
    *,
    key: NoteSigner | None,
    author: str,
    drop: frozenset[Target] = frozenset(),
    bottles: bool = True,
    note: Callable[[str], None],
) -> tuple[TreePart, ...]:
    """All parts, in their order.

    Args:
        key: the checksum database's; None where the tree shall have none.
        author: who commits to the tap, "NAME <MAIL>".
        drop: platforms that formulae may leave behind.
        bottles: whether the tap has bottles.
        note: told what is under way.
    """

    def tap(catalogue: Catalogue, tree: Path) -> None:
        note(f"the tap {homebrew.tap_folder(catalogue.name)}{', and bottles' if bottles else ''}")
        homebrew.write_tap(catalogue, tree, author=author, bottles=bottles, drop=drop, note=note)

    def modules(catalogue: Catalogue, tree: Path) -> None:
        note("the proxy")
        write_proxy(catalogue, tree)
        if key is not None:
            note(f"the checksum database {key.name}")
        _continue_log(catalogue, tree, key)

    return (write_downloads, modules, tap)


def _continue_log(catalogue: Catalogue, tree: Path, key: NoteSigner | None) -> None:
    """Goes on with the tree's checksum database. One that stops would refuse its users every later release."""
    there = database_names(tree)
    if key is not None:
        if there and key.name not in there:
            raise PublishError(f"the tree has the checksum database {there[0]}, not {key.name}", "its own --sumdb-key")
        update_database(catalogue, tree, key=key)
        return
    for name in there:
        logged = tree / database_folder(name) / "lookup" / "golang.org"
        new = [each for each in map(module_version, catalogue.builds) if not (logged / f"toolchain@{each}").exists()]
        if new:
            raise PublishError(
                f"{new[0]} is not in the tree's checksum database {name}, so nobody could download it",
                "--sumdb-key with the database's key",
            )
