"""A unified diff as data, applied strictly: every line of context must be there, exactly.

There is no fuzz, ever: with fuzz, several insertion points of Go's runtime are found in the wrong function, silently.
A hunk may have moved, under the rules of `gobuild.patch.diff.position`.
"""

import hashlib
import re
from dataclasses import dataclass, replace

from gobuild.core.errors import PatchError
from gobuild.core.model import Conflict, State
from gobuild.patch.diff.conflict import REFRESH, Misfit
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.position import hunk_positions, left_over
from gobuild.patch.diff.source_text import SourceText, lines_of
from gobuild.patch.tree import Tree, TreeChange

NOWHERE = "/dev/null"
"""What a diff names in place of a file that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """What a diff does to one file, whose path is relative to GOROOT."""

    path: str
    hunks: tuple[Hunk, ...]
    creates: bool = False
    deletes: bool = False
    executable: bool | None = None  # for a new file; None where the diff does not say
    # Git's names of the file before and after, shortened; empty where the diff does not give them
    blobs: tuple[str, str] = ("", "")

    def reversed(self) -> "FileDiff":
        """The change that undoes this one."""
        return replace(
            self,
            hunks=tuple(hunk.reversed() for hunk in self.hunks),
            creates=self.deletes,
            deletes=self.creates,
            executable=None,
            blobs=self.blobs[::-1],
        )

    def places(self, current: bytes) -> list[int]:
        """The lines, from 0, where its hunks belong in a file."""
        if self.creates:
            return [0] * len(self.hunks)
        name = self.blobs[0]
        same = blob_name(current).startswith(name) if name else None
        return hunk_positions(SourceText(lines_of(current), self.path, same), self.hunks, anchored=not self.deletes)

    def apply_to(self, current: bytes | None) -> tuple[bytes | None, int]:
        """The file's new content, None on either side where there is no such file; and how many hunks have moved.

        Raises:
            Misfit: it does not fit.
        """
        if self.creates and current is not None:
            raise self.misfit(f"adds {self.path}, which is there already", "has the source this patch already?")
        lines = lines_of(current or b"")
        result: list[bytes] = []
        end = moved = 0
        for hunk, at in zip(self.hunks, self.places(current or b""), strict=True):
            moved += not self.creates and at != hunk.old_line - 1
            result += [*lines[end:at], *hunk.new]
            end = at + len(hunk.old)
        result += lines[end:]
        if any(not line.endswith(b"\n") for line in result[:-1]):
            raise self.misfit(f"{self.path}: a line without a newline would not be the last", REFRESH)
        if self.deletes and result:
            raise self.misfit(f"deletes {self.path}, which has lines that the diff does not know", REFRESH)
        return None if self.deletes else b"".join(result), moved

    def misfit(self, why: str, hint: str) -> Misfit:
        """The error of a file that does not fit as a whole."""
        return Misfit(why, hint, Conflict(file=self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A unified diff: an operation on a tree."""

    prose: str  # what stands before it in its file, every byte
    files: tuple[FileDiff, ...]  # in order; a file may come again
    content: bytes  # the bytes of its file; their digest is the patch's
    strip: int | None  # patch(1)'s -p; None where the names have a/ and b/
    folder: str = ""  # what was put in front of its names
    notes: tuple[str, ...] = ()  # harmless sloppiness, each with its line

    @property
    def description(self) -> str:
        """The prose, without the line "Index: FILE" and the rule below it that quilt and Subversion put there."""
        index = r"^Index: .*\n=*\n?"
        return (self.prose if self.strip is None else re.sub(index, "", self.prose, flags=re.MULTILINE)).strip()

    def apply(self, tree: Tree) -> TreeChange:
        """Notes the diff's changes in a tree, all of them or none.

        `State.ALREADY_UPSTREAM` where every file stands as the diff would leave it.
        """
        try:
            with tree.trial():
                said = [_note(file, tree) for file in self.files]
        except PatchError:
            if not self._undoes(tree):
                raise
            places = ", ".join(file.path for file in self.files)
            return TreeChange(
                state=State.ALREADY_UPSTREAM,
                evidence=f"every line this patch would write stands in the source, where it would write it: {places}",
            )
        return TreeChange(
            state=State.APPLIED,
            evidence="; ".join(said),
            files=tuple(sorted({file.path for file in self.files})),
        )

    def _undoes(self, tree: Tree) -> bool:
        try:
            with tree.trial(keep=False):
                return all(_undone(file, tree) for file in reversed(self.files))
        except PatchError:
            return False


def _note(file: FileDiff, tree: Tree) -> str:
    """Notes a file's new content, and says a few words on it."""
    current = tree.read_file(file.path)
    if current is None and not file.creates:
        raise file.misfit(f"changes {file.path}, which this source does not have", _absent(file.path, tree))
    content, moved = file.apply_to(current)
    if content is None:
        tree.delete_file(file.path)
        return f"deleted {file.path}"
    tree.write_file(file.path, content, executable=file.executable)
    if file.creates:
        return f"added {file.path}"
    many = f"{len(file.hunks)} hunk" + "s" * (len(file.hunks) > 1)
    return f"{many} in {file.path}" + (f" ({moved} moved)" if moved else "")


def _undone(file: FileDiff, tree: Tree) -> bool:
    """Whether a file stands as its diff would leave it, and nothing of what the diff takes out stands there as well."""
    back = file.reversed()
    content = tree.read_file(file.path) or b""
    _note(back, tree)
    if file.creates or file.deletes:
        return True
    text = SourceText(lines_of(content), file.path)
    for hunk, at in zip(file.hunks, back.places(content), strict=True):
        # Lines of context stand in many places: without a line of its own, a hunk does not show where it was applied.
        if ("+" not in hunk.marks and at != hunk.new_line - 1) or left_over(text, hunk, at):
            return False
    return True


def _absent(path: str, tree: Tree) -> str:
    """What may help where a source does not have a file."""
    if path.startswith(("test/", "api/", "doc/")) and not tree.list_files(path.split("/", maxsplit=1)[0]):
        return "a wheel has no test, api and doc folders: take a source that has, --source archive or git+URL"
    below = f"src/{path}"
    deeper = [path.split("/", count)[-1] for count in range(1, path.count("/") + 1)]
    if fits := next((one for one in (below, *deeper) if _has(tree, one)), None):
        return f"{fits} is there: its paths are to be relative to GOROOT, with a/ and b/ in front"
    return REFRESH


def _has(tree: Tree, path: str) -> bool:
    try:
        return tree.read_file(path) is not None
    except PatchError:
        return False


def blob_name(content: bytes) -> str:
    """The name git gives a file's content: 40 digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
