"""What others install from: a static tree with a tap, a module proxy, an index, pages and attestations."""

from gobuild.publish.homebrew import Download, downloads, formula, formula_name

__all__ = ["Download", "downloads", "formula", "formula_name"]
