"""The status of a series as a web page: the matrix's document comes in, HTML goes out.

One file that needs no other: no script, no style sheet, nothing from anywhere. Everything in it that is not the
template's is escaped.
"""

from collections.abc import Mapping
from typing import Any

from gobuild.core.render import render

CELLS = {
    "applied": ("applied", "it fits, and would be applied"),
    "nothing to do": ("nothing", "nothing to do: what it removes is not there"),
    "already upstream": ("upstream", "already upstream: the source has exactly what it would write"),
    "conflict": ("conflict", "it does not fit: a build would stop"),
    "not for this version": ("—", "not for this version: no variant of it is"),
}
"""For each state, what a cell of the matrix says, and what that means."""


def status_page(document: Mapping[str, Any]) -> str:
    """Renders the status of a series.

    Args:
        document: as `gobuild.patch.Matrix.document` makes it.

    Returns:
        A page of HTML.
    """
    return render("status.html.j2", html=True, document=document, cells=CELLS)
