"""patch: a source becomes a patched source, with every patch of its series in it, or it stays as it was.

In: a `Source`, and the patches that `Series.select` chose for it. Out: a `PatchedSource` with one `Outcome` a patch,
the tree changed on the disk, VERSION stamped. All patches are applied in memory first; if one fails, not a byte is
written. No program is started: neither git nor patch need be there. What it does not do: fetch, build, or judge the
binaries; that a framework is really gone is for verify to prove.
"""

from collections.abc import Sequence
from pathlib import Path

from gobuild import resources
from gobuild.errors import PatchError
from gobuild.model import Outcome, PatchedSource, Source
from gobuild.patch.manifest import Patch, Series, load
from gobuild.patch.tree import Tree
from gobuild.patch.version import stamp, write_version

__all__ = ["Patch", "Series", "load", "patch", "series", "stamp"]


def series(name: str) -> Series:
    """The series that the setting names.

    Args:
        name: "stock", "none", or a folder's path.

    Raises:
        PatchError: as `load`.
    """
    if name == "none":
        return Series(folder=Path(name), patches=())
    return load(resources.folder("patches") if name == "stock" else Path(name).expanduser())


def patch(source: Source, patches: Sequence[Patch], *, stamp: str) -> PatchedSource:
    """Applies patches to a source, in order, and stamps its VERSION.

    Args:
        source: changed in place.
        patches: as `Series.select` gives them.
        stamp: the first line of VERSION, as `gobuild.patch.stamp` makes it.

    Returns:
        The source with what became of every patch.

    Raises:
        PatchError: a patch does not fit; it names the patch, the file and the hunk, and nothing is changed.
        DiskFull: there is no room, and nothing is changed.
    """
    tree = Tree(source.root)
    outcomes = tuple(_outcome(one, tree) for one in patches)
    write_version(tree, stamp)
    tree.commit()
    return PatchedSource(source=source, outcomes=outcomes, stamp=stamp)


def _outcome(patch: Patch, tree: Tree) -> Outcome:
    try:
        change = patch.operation.apply(tree)
    except PatchError as error:
        file = f" ({patch.file})" if patch.file else ""
        raise PatchError(f"the patch {patch.name}{file} cannot be applied: {error.reason}", error.hint) from error
    return Outcome(
        name=patch.name,
        reason=patch.reason,
        state=change.state,
        evidence=change.evidence,
        files=change.files,
        sha256=patch.sha256,
    )
