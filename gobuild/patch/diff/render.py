"""Writes one file's part of a diff as git writes it, its hunks where they belong in a given content.

Of a hunk only the numbers and the heading behind the second "@@" are made anew: the context that somebody trimmed to
make it fit several versions stays trimmed.
"""

from collections.abc import Iterator

from gobuild.patch.diff.file_diff import FileDiff, blob_name
from gobuild.patch.diff.file_names import NOWHERE
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.source_text import SourceText, lines_of

ABBREVIATION = 12
"""Digits of a blob's name. git's own choice grows with the repository."""

_HEADING_SIZE = 80
"""Bytes that git writes of a heading (xdiff/xemit.c)."""


def render_file(file: FileDiff, before: bytes | None, *, executable: bool) -> bytes:
    """A file's part of a diff, for a content that it fits."""
    after, _ = file.apply_to(before)
    mode = "100755" if executable else "100644"
    names = "..".join(
        "0" * ABBREVIATION if each is None else blob_name(each)[:ABBREVIATION] for each in (before, after)
    )
    old, new = f"a/{file.path}", f"b/{file.path}"
    head = f"diff --git {old} {new}\n"
    head += f"new file mode {mode}\n" * file.creates + f"deleted file mode {mode}\n" * file.deletes
    head += f"index {names}\n" if file.creates or file.deletes else f"index {names} {mode}\n"
    if file.hunks:
        head += f"--- {NOWHERE if file.creates else old}\n+++ {NOWHERE if file.deletes else new}\n"
    return head.encode() + b"".join(_hunks(file, before or b""))


def _hunks(file: FileDiff, before: bytes) -> Iterator[bytes]:
    text = SourceText(lines_of(before), file.path)
    grown = 0
    for hunk, at in zip(file.hunks, file.places(before), strict=True):
        heading = text.heading(at)[:_HEADING_SIZE].decode(errors="ignore").rstrip()
        lines = f"-{_range(at, len(hunk.old))} +{_range(at + grown, len(hunk.new))}"
        yield f"@@ {lines} @@ {heading}".rstrip().encode() + b"\n"
        yield from hunk_lines(hunk)
        grown += len(hunk.new) - len(hunk.old)


def hunk_lines(hunk: Hunk) -> Iterator[bytes]:
    """A hunk's lines as a diff has them, behind its header."""
    old, new = iter(hunk.old), iter(hunk.new)
    for mark in hunk.marks:
        line = next(new) if mark == "+" else next(old)
        if mark == " ":
            next(new)
        yield mark.encode() + (line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n")


def _range(at: int, count: int) -> str:
    """A side's lines, as git counts them: a side without lines is numbered by the line in front of it."""
    start = at + bool(count)
    return str(start) if count == 1 else f"{start},{count}"
