"""Anchors diffs anew: one whose hunks have moved is written for the lines they are at now, in the form of an export.

A patch that applies exactly is left as it is, and so is all prose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.apply import apply_patch
from gobuild.patch.diff.render import render_file
from gobuild.patch.diff.unified import Diff
from gobuild.patch.series import Patch
from gobuild.patch.tree import Tree
from gobuild.patch.workbench.canonical import require_p1


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """One patch that was looked at: what was found, and its file's new content, None where that stays as it is."""

    patch: Patch
    said: str
    content: bytes | None = None


def refresh_patches(patches: Sequence[Patch], source: Path) -> tuple[Refreshed, ...]:
    """Looks at each patch on a version's plain source, in order, as they would be applied; writes nothing.

    One that does not apply is an error: where it belongs, only a merge can tell.
    """
    tree = Tree(source)
    return tuple(_refreshed(patch, tree) for patch in patches)


def write_refreshed(refreshed: Sequence[Refreshed]) -> None:
    """Writes what has moved, each file whole."""
    for one in refreshed:
        if one.content is not None:
            files.write(one.patch.folder / one.patch.file, one.content)


def _refreshed(patch: Patch, tree: Tree) -> Refreshed:
    diff = patch.operation
    before = {file.path: tree.read_file(file.path) for file in diff.files} if isinstance(diff, Diff) else {}
    try:
        outcome = apply_patch(patch, tree)
    except PatchError as error:
        hint = "patches.import --from VERSION, one it applies to; then patches.export"
        raise PatchError(error.reason, hint) from error
    if not isinstance(diff, Diff):
        return Refreshed(patch=patch, said=f"{outcome.state}; an edit has no lines to be anchored at")
    if outcome.state is not State.APPLIED:
        return Refreshed(patch=patch, said=str(outcome.state))
    if len(before) < len(diff.files) or not all(file.only_lines for file in diff.files):
        said = "has more than lines, or a file more than once: export it from a workbench to have it anchored anew"
        return Refreshed(patch=patch, said=said)
    moved = [file.path for file in diff.files if file.apply_to(before[file.path])[1]]
    if not moved:
        return Refreshed(patch=patch, said="applies where it says")
    require_p1(patch, diff)
    parts = [render_file(file, before[file.path], executable=tree.is_executable(file.path)) for file in diff.files]
    content = diff.prose.encode() + b"".join(parts)
    return Refreshed(patch=patch, said=f"re-anchored in {', '.join(moved)}", content=content)
