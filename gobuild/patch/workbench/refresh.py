"""Re-anchors diffs: a diff whose hunks have moved gets the lines they are at now; one that applies exactly is left.

In: the patches for a version, in order, and that version's source (only read). Out: new contents for the files of
those that moved; `write` writes them. Not a line of code, context or prose is changed: only the numbers of "@@" lines,
and the blobs' names of "index" lines, and only of files in which a hunk has moved. No git is needed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PatchError, disk_full_is_ours
from gobuild.core.model import State
from gobuild.patch.apply import apply_patch
from gobuild.patch.diff import parse
from gobuild.patch.diff.unified import Diff, FileDiff
from gobuild.patch.series import Patch
from gobuild.patch.tree import Tree
from gobuild.patch.workbench.git_config import blob_name

_HUNK = re.compile(r"@@ -(\d+)((?:,\d+)?) \+(\d+)((?:,\d+)?) @@")
_INDEX = re.compile(r"index ([0-9a-f]+)\.\.([0-9a-f]+)")
_START = re.compile(r"^(?:diff --git |--- [^\n]*\n\+\+\+ )", re.MULTILINE)
"""Where a patch file's prose ends, as `gobuild.patch.diff.parse` finds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """One patch that was looked at.

    Attributes:
        name: the patch's.
        path: its file; None for a structural edit, which has no lines to be anchored at.
        said: what was found, a few words.
        content: the file's new content; None where it stays as it is.
    """

    name: str
    path: Path | None
    said: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Anchor:
    """Where the hunks of a file are: their lines before and after, from 1, and the blobs' names."""

    lines: tuple[tuple[int, int], ...]
    blobs: tuple[str, str]


def refresh_patches(patches: Sequence[Patch], source: Path) -> tuple[Refreshed, ...]:
    """Looks at each patch on a source, in order; writes nothing.

    Args:
        patches: as they would be applied.
        source: the version's plain source.

    Raises:
        PatchError: one of them does not apply: where it belongs, only a merge can tell.
    """
    tree = Tree(source)
    return tuple(_refreshed(patch, tree) for patch in patches)


def write(refreshed: Sequence[Refreshed]) -> None:
    """Writes what has moved, each file whole.

    Raises:
        PatchError: a file cannot be written.
    """
    for one in refreshed:
        if one.path and one.content is not None:
            try:
                with disk_full_is_ours(f"writing {one.path}"):
                    files.write(one.path, one.content)
            except OSError as error:
                raise PatchError(f"{one.path} cannot be written: {error.strerror}", "make it writable") from error


def _refreshed(patch: Patch, tree: Tree) -> Refreshed:
    diff = patch.operation
    before = {file.path: tree.read_file(file.path) or b"" for file in diff.files} if isinstance(diff, Diff) else {}
    try:
        done = apply_patch(patch, tree)
    except PatchError as error:
        hint = "patches.import --from VERSION, one it applies to; then patches.export"
        raise PatchError(error.reason, hint) from error
    if not isinstance(diff, Diff):
        return Refreshed(name=patch.name, path=None, said=f"{done.state}; an edit has no lines to be anchored at")
    path = patch.folder / patch.file
    if done.state is not State.APPLIED:
        return Refreshed(name=patch.name, path=path, said=str(done.state))
    if len({file.path for file in diff.files}) < len(diff.files):
        said = "changes a file more than once: export it from a workbench to have it anchored anew"
        return Refreshed(name=patch.name, path=path, said=said)
    moved = {
        file.path: anchor
        for file in diff.files
        if not file.creates and (anchor := _anchor(file, before[file.path], tree.read_file(file.path) or b""))
    }
    if not moved:
        return Refreshed(name=patch.name, path=path, said="applies where it says")
    content = _rewritten(diff, moved)
    _check(patch, diff, content)
    return Refreshed(name=patch.name, path=path, said=f"re-anchored in {', '.join(moved)}", content=content)


def _anchor(file: FileDiff, before: bytes, after: bytes) -> _Anchor | None:
    """Where a file's hunks are, None where that is where they say."""
    places, grown = [], 0
    for hunk, at in zip(file.hunks, file.places(before), strict=True):
        # A side without lines is numbered by the line in front of it (POSIX, diff -u).
        places.append((at + bool(hunk.old), at + grown + bool(hunk.new)))
        grown += len(hunk.new) - len(hunk.old)
    if all(place[0] == hunk.old_line for place, hunk in zip(places, file.hunks, strict=True)):
        return None
    return _Anchor(tuple(places), (blob_name(before), "0" * 40 if file.deletes else blob_name(after)))


def _rewritten(diff: Diff, moved: dict[str, _Anchor]) -> bytes:
    """The patch's text with other numbers. A hunk's lines are passed over by its counts: they may look like heads."""
    text = diff.content.decode()
    start = _START.search(text)
    at = start.start() if start else 0
    starts = "diff --git " if text.startswith("diff --git ", at) else "--- "
    result: list[str] = []
    file, hunk, old, new = -1, 0, 0, 0
    for line in text[at:].split("\n"):
        if old > 0 or new > 0:
            old -= line[:1] in ("", " ", "-")
            new -= line[:1] in ("", " ", "+")
        elif line.startswith(starts):
            file, hunk = file + 1, 0
        elif (match := _HUNK.match(line)) and file >= 0:
            old, new = (int(count[1:]) if count else 1 for count in (match[2], match[4]))
            if anchor := moved.get(diff.files[file].path):
                first, second = anchor.lines[hunk]
                line = f"@@ -{first}{match[2]} +{second}{match[4]} @@{line[match.end() :]}"  # noqa: PLW2901
            hunk += 1
        elif (match := _INDEX.match(line)) and file >= 0 and (anchor := moved.get(diff.files[file].path)):
            names = (name[: len(was)] for name, was in zip(anchor.blobs, (match[1], match[2]), strict=True))
            line = "index " + "..".join(names) + line[match.end() :]  # noqa: PLW2901
        result.append(line)
    return (text[:at] + "\n".join(result)).encode()


def _check(patch: Patch, diff: Diff, content: bytes) -> None:
    """What was rewritten says the same as before, in other places.

    Raises:
        PatchError: it does not.
    """

    def told(which: Diff) -> list[object]:
        return [(f.path, f.creates, f.deletes, [(h.old, h.new) for h in f.hunks]) for f in which.files]

    for strip in (None, 1, 0):
        try:
            if told(parse.parse_diff(content, strip=strip)) == told(diff):
                return
        except PatchError:
            continue
    raise PatchError(f"{patch.file} cannot be re-anchored", "export it from a workbench instead")
