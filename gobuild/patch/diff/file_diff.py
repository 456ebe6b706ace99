"""What a diff does to one file, strictly: every line of context must be there, exactly.

There is no fuzz, ever: with fuzz, several insertion points of Go's runtime are found in the wrong function, silently.
A hunk may have moved, under the rules of `gobuild.patch.diff.position`.
"""

import hashlib
from dataclasses import dataclass, replace

from gobuild.core.model import Conflict
from gobuild.patch.diff.binary import BinaryPatch
from gobuild.patch.diff.conflict import ADOPT, REFRESH, Misfit
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.position import hunk_positions
from gobuild.patch.diff.source_text import SourceText, lines_of


def blob_name(content: bytes) -> str:
    """The name git gives a file's content: 40 digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


EMPTY = blob_name(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """What a diff does to one file; all paths are relative to GOROOT.

    Attributes:
        path: the file that it writes or deletes.
        source: the file whose content it begins with, of a rename or a copy; "" for the file itself.
        copies: whether that one stays.
        other: a second name that the diff gives the file; the one that is there is meant.
        executable, was_executable: whether it can be run afterwards, and before; None where the diff does not say.
        blobs: git's names of the content before and after, shortened; "" where the diff does not give them.
        strip: as its `Diff` has it.
        line: where it stands in its .patch file, from 1.
        part: which mail of its .patch file it is of, from 0.
    """

    path: str
    hunks: tuple[Hunk, ...] = ()
    creates: bool = False
    deletes: bool = False
    source: str = ""
    copies: bool = False
    other: str = ""
    executable: bool | None = None
    was_executable: bool | None = None
    binary: BinaryPatch | None = None
    blobs: tuple[str, str] = ("", "")
    strip: int | None = None
    line: int = 1
    part: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """All files that it reads or changes."""
        return tuple(name for name in (self.source, self.path, self.other) if name)

    @property
    def only_mode(self) -> bool:
        """Whether it does nothing but change whether the file can be run."""
        return not (self.hunks or self.binary or self.creates or self.deletes or self.source)

    @property
    def only_lines(self) -> bool:
        """Whether it says no more than `gobuild.patch.diff.render` writes: a file's lines, under its own name."""
        mode = self.executable is not None and not self.creates
        return not (self.source or self.other or self.binary or mode)

    @property
    def changes(self) -> bool:
        """Whether it does anything at all."""
        return not self.only_mode or self.executable not in (None, self.was_executable)

    def reversed(self) -> "FileDiff":
        """The change that undoes this one; that of a copy deletes it."""
        renames = self.source and not self.copies
        return replace(
            self,
            path=self.source if renames else self.path,
            source=self.path if renames else "",
            copies=False,
            hunks=tuple(hunk.reversed() for hunk in self.hunks),
            creates=self.deletes,
            deletes=self.creates or self.copies,
            executable=None if self.creates else self.was_executable,
            was_executable=self.executable,
            binary=self.binary and self.binary.reversed(),
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
        if self.binary:
            return self._binary_applied(self.binary, current or b""), 0
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

    def _binary_applied(self, binary: BinaryPatch, current: bytes) -> bytes | None:
        """A binary patch fits one content alone, whose name it tells, and makes one other (git's apply_binary)."""
        before, after = self.blobs
        if not self.creates and blob_name(current) != before:
            why = f"{self.path} is another file than the one that its binary patch was made for"
            raise self.misfit(f"{why}: git calls that one {before[:12]}", f"make the patch for this version; {ADOPT}")
        made = binary.forward.apply_to(current)
        if made if self.deletes else blob_name(made) != after:
            raise self.misfit(f"{self.path}: its binary patch does not make what its index line says", REFRESH)
        return None if self.deletes else made

    def misfit(self, why: str, hint: str) -> Misfit:
        """The error of a file that does not fit as a whole."""
        return Misfit(why, hint, Conflict(file=self.path))
