"""Homebrew: finished builds come in; a tap, its formulae and bottles go out. It runs no brew.

Catalogue -> which release each formula is of -> Recipe -> bottles -> formula -> one commit a release
"""

from gobuild.publish.homebrew.check import check
from gobuild.publish.homebrew.choice import by_release
from gobuild.publish.homebrew.formula import (
    Download,
    Poured,
    Recipe,
    class_name,
    downloads,
    formula,
    formula_name,
    ruby,
    tap_name,
    text,
)
from gobuild.publish.homebrew.remote import address
from gobuild.publish.homebrew.tap import AUTHOR, Tap, at, clone
from gobuild.publish.homebrew.update import (
    DOWNLOADS,
    Place,
    Update,
    in_tree,
    recipe,
    repository,
    update,
    with_bottles,
    write,
)
from gobuild.publish.homebrew.words import version_in

__all__ = [
    "AUTHOR",
    "DOWNLOADS",
    "Download",
    "Place",
    "Poured",
    "Recipe",
    "Tap",
    "Update",
    "address",
    "at",
    "by_release",
    "check",
    "class_name",
    "clone",
    "downloads",
    "formula",
    "formula_name",
    "in_tree",
    "recipe",
    "repository",
    "ruby",
    "tap_name",
    "text",
    "update",
    "version_in",
    "with_bottles",
    "write",
]
