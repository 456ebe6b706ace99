"""patch: a source becomes a patched source, with every patch of its series in it and VERSION stamped.

All patches are applied in memory first; if one fails, not a byte is written. No program is started: neither git nor
patch need be there.
"""

from collections.abc import Sequence
from pathlib import Path

from gobuild.core.model import Outcome, PatchedSource, Source
from gobuild.core.settings import Settings
from gobuild.patch.apply import apply_patch
from gobuild.patch.manifest import load_folder, load_stock
from gobuild.patch.series import Patch, Series
from gobuild.patch.status import Matrix, PatchRow, status
from gobuild.patch.tree import Tree
from gobuild.patch.version import stamp, write_version

__all__ = [
    "Matrix",
    "Patch",
    "PatchRow",
    "Series",
    "load_folder",
    "load_series",
    "patch",
    "series_of",
    "stamp",
    "status",
]

NO_SERIES = Series(folder=Path("none"), patches=())


def series_of(settings: Settings, *, strict: bool = True) -> Series:
    """The series that the settings mean; `strict` is as for `load_folder`."""
    if settings.series in ("stock", "none"):
        return load_stock(settings.left_out) if settings.series == "stock" else NO_SERIES
    folder = Path(settings.series).expanduser()
    return load_folder(folder, extends=settings.extends, without=settings.left_out, strict=strict)


def load_series(name: str) -> Series:
    """A series by its name, "stock" or "none", or by a folder's path."""
    if name == "none":
        return NO_SERIES
    return load_stock() if name == "stock" else load_folder(Path(name).expanduser())


def patch(
    source: Source,
    patches: Sequence[Patch],
    *,
    stamp: str,
    absent: Sequence[Outcome] = (),
    series: Series = NO_SERIES,
) -> PatchedSource:
    """Applies patches to a source, a private copy, in place and in order, and stamps its VERSION.

    `patches` are as `Series.select` gives them; `absent`, said of those without a variant, as `Series.absent` does;
    `series` is the one that they are of.

    Raises:
        PatchError: a patch does not fit; it names the patch, the file and the hunk, and nothing is changed.
    """
    tree = Tree(source.root)
    outcomes = tuple(apply_patch(one, tree, before=patches[:count]) for count, one in enumerate(patches))
    write_version(tree, stamp)
    tree.commit()
    return PatchedSource(
        source=source,
        outcomes=(*outcomes, *absent),
        stamp=stamp,
        extends=series.extends,
        without=series.without,
        environment=dict(series.environment),
    )
