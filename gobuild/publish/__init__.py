"""publish: what is in dist/ comes in; what others install from goes out."""

from gobuild.publish.homebrew import Download, downloads, formula, formula_name

__all__ = ["Download", "downloads", "formula", "formula_name"]
