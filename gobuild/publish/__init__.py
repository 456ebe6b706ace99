"""publish: what is in dist/ comes in; what others install from goes out."""

from gobuild.publish.homebrew import Download, downloads, formula, formula_name
from gobuild.publish.status import CELLS, status_page

__all__ = ["CELLS", "Download", "downloads", "formula", "formula_name", "status_page"]
