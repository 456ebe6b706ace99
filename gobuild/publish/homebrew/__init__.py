"""Homebrew: finished builds come in; a tap, its formulae and bottles go out. It runs no brew.

Shelf -> which release each formula is of -> Recipe -> bottles -> formula -> one commit a release
"""

from gobuild.publish.homebrew.check import check
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
from gobuild.publish.homebrew.tap import AUTHOR, Tap, at
from gobuild.publish.homebrew.update import Place, Update, by_release, repository, update, write

__all__ = [
    "AUTHOR",
    "Download",
    "Place",
    "Poured",
    "Recipe",
    "Tap",
    "Update",
    "at",
    "by_release",
    "check",
    "class_name",
    "downloads",
    "formula",
    "formula_name",
    "repository",
    "ruby",
    "tap_name",
    "text",
    "update",
    "write",
]
