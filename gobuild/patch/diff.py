"""A unified diff as data, applied strictly: every line of context must be there, exactly.

In: a `Diff` (`gobuild.patch.unified` reads one) and a `Tree`. Out: changes noted in the tree. There is no fuzz, ever:
with fuzz, several insertion points of Go's runtime are found in the wrong function, silently. A hunk may have moved,
but only if its old text stands in the file exactly once; a text that stands there several times must stand at the line
the hunk says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gobuild.errors import PatchError
from gobuild.model import Conflict, State
from gobuild.patch.conflict import Misfit, shown, sides
from gobuild.patch.tree import Change, Tree

_REFRESH = "refresh the patch for this version, or narrow its `go` in series.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One place of a file: what stands there, and what shall stand there.

    Attributes:
        header: its "@@ -1,2 +3,4 @@" line.
        number: which one of its file, from 1.
        old_line, new_line: the stated lines, from 1.
        old, new: the lines, each with its line end as far as it has one.
    """

    header: str
    number: int
    old_line: int
    new_line: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]

    def reversed(self) -> "Hunk":
        """The hunk that undoes this one."""
        return Hunk(
            header=self.header,
            number=self.number,
            old_line=self.new_line,
            new_line=self.old_line,
            old=self.new,
            new=self.old,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """What a diff does to one file.

    Attributes:
        path: relative to GOROOT.
        hunks: in the order of the file.
        creates, deletes: whether the file is not there before, or after.
        executable: for a new file.
    """

    path: str
    hunks: tuple[Hunk, ...]
    creates: bool = False
    deletes: bool = False
    executable: bool | None = None

    def reversed(self) -> "FileDiff":
        """The change that undoes this one."""
        return FileDiff(
            path=self.path,
            hunks=tuple(hunk.reversed() for hunk in self.hunks),
            creates=self.deletes,
            deletes=self.creates,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A unified diff: an operation on a tree.

    Attributes:
        description: the prose that stands before it.
        files: what it does, file by file.
        content: the .patch file's bytes; its digest is the patch's.
    """

    description: str
    files: tuple[FileDiff, ...]
    content: bytes

    def apply(self, tree: Tree) -> Change:
        """Notes the diff's changes in a tree, all of them or none.

        Returns:
            What was changed; `State.ALREADY_UPSTREAM` where every file stands as the diff would leave it.

        Raises:
            PatchError: a file or a hunk does not fit.
        """
        try:
            results = [_apply(file, tree) for file in self.files]
        except PatchError:
            if not self._undoes(tree):
                raise
            places = ", ".join(file.path for file in self.files)
            return Change(
                state=State.ALREADY_UPSTREAM,
                evidence=f"every line this patch would write stands in the source, where it would write it: {places}",
            )
        for file, (content, _) in zip(self.files, results, strict=True):
            if content is None:
                tree.delete(file.path)
            else:
                tree.write(file.path, content, executable=file.executable)
        return Change(
            state=State.APPLIED,
            evidence="; ".join(said for _, said in results),
            files=tuple(sorted(file.path for file in self.files)),
        )

    def _undoes(self, tree: Tree) -> bool:
        try:
            for file in self.files:
                _apply(file.reversed(), tree)
        except PatchError:
            return False
        return True


def _apply(file: FileDiff, tree: Tree) -> tuple[bytes | None, str]:
    """The file's new content (None: it goes), and a few words on it."""
    current = tree.read(file.path)
    whole = Conflict(file=file.path)
    if file.creates:
        if current is not None:
            raise Misfit(
                f"adds {file.path}, which is there already", "look at the source: has it the patch already?", whole
            )
        return b"".join(line for hunk in file.hunks for line in hunk.new), f"added {file.path}"
    if current is None:
        raise Misfit(f"changes {file.path}, which this source does not have", _REFRESH, whole)
    lines = lines_of(current)
    result: list[bytes] = []
    end, moved = 0, 0
    for hunk in file.hunks:
        at = position(lines, hunk, file.path)
        if at < end:
            raise _misfit(lines, hunk, file.path, at, "belongs before the hunk in front of it")
        moved += at != hunk.old_line - 1
        result += [*lines[end:at], *hunk.new]
        end = at + len(hunk.old)
    result += lines[end:]
    if any(not line.endswith(b"\n") for line in result[:-1]):
        raise Misfit(f"{file.path}: a line without a newline would not be the last", _REFRESH, whole)
    if file.deletes:
        if result:
            raise Misfit(f"deletes {file.path}, which has lines that the diff does not know", _REFRESH, whole)
        return None, f"deleted {file.path}"
    many = f"{len(file.hunks)} hunk" + "s" * (len(file.hunks) > 1)
    return b"".join(result), f"{many} in {file.path}" + (f" ({moved} moved)" if moved else "")


def _misfit(lines: Sequence[bytes], hunk: Hunk, path: str, at: int, why: str) -> Misfit:
    """The error of a hunk, with both sides as they stand at a line, from 0."""
    both = sides(lines, hunk.old, at, file=path, hunk=hunk.number, header=hunk.header)
    return Misfit(f"{path}: hunk {hunk.number} ({hunk.header}) {why}{shown(both)}", _REFRESH, both)


def lines_of(content: bytes) -> list[bytes]:
    """A file's lines, each with its newline; the last may have none."""
    *whole, rest = content.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def position(lines: Sequence[bytes], hunk: Hunk, path: str) -> int:
    """The line, from 0, where the hunk's old text stands.

    Raises:
        Misfit: nowhere; or in several places, none of them the stated one; or its new text stands there already.
    """
    places = _occurrences(lines, hunk.old)
    if places and (open_ := [at for at in places if not _done(lines, hunk, at)]) != places:
        if not open_:
            why = f"cannot be taken: what it adds stands there already, at line {places[0] + 1}"
            raise _misfit(lines, hunk, path, places[0], why)
        places = open_
    stated = hunk.old_line - 1
    if stated in places:
        return stated
    if len(places) == 1:
        return places[0]
    if places:
        named = ", ".join(str(at + 1) for at in places)
        why = f"fits in {len(places)} places (lines {named}), and line {hunk.old_line} is none of them"
        raise _misfit(lines, hunk, path, min(max(stated, 0), len(lines)), why)
    raise _misfit(lines, hunk, path, _nearest(lines, hunk), "does not apply")


def _occurrences(lines: Sequence[bytes], text: Sequence[bytes]) -> list[int]:
    if not text:
        return []
    size = len(text)
    starts = (at for at, line in enumerate(lines[: max(len(lines) - size + 1, 0)]) if line == text[0])
    return [at for at in starts if tuple(lines[at : at + size]) == tuple(text)]


def _done(lines: Sequence[bytes], hunk: Hunk, at: int) -> bool:
    """Whether the old text at this place is a part of the new one: a hunk that only adds would add twice."""
    grown = len(hunk.new) - len(hunk.old)
    return grown > 0 and any(at - grown <= start <= at for start in _occurrences(lines, hunk.new))


def _nearest(lines: Sequence[bytes], hunk: Hunk) -> int:
    """The place where most lines of the old text stand; of equals, the one nearest to the stated line."""

    def same(at: int) -> int:
        return sum(line == wanted for line, wanted in zip(lines[at : at + len(hunk.old)], hunk.old, strict=False))

    stated = min(max(hunk.old_line - 1, 0), len(lines))
    return max(range(len(lines) + 1), key=lambda at: (same(at), -abs(at - stated)))
