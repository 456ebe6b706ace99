"""Both sides of a hunk that does not fit: data for status, and a few lines of text for an error."""

from collections.abc import Sequence

from gobuild.core.errors import PatchError
from gobuild.core.model import Conflict

AROUND = 3
"""Lines that an error shows before and after the first one that differs; the `Conflict` has them all."""


class Misfit(PatchError):
    """A file or hunk of a diff that does not fit the source, with both sides."""

    def __init__(self, message: str, hint: str, conflict: Conflict) -> None:
        self.conflict = conflict
        super().__init__(message, hint)


def conflict_at(
    lines: Sequence[bytes], wanted: Sequence[bytes], at: int, *, file: str, hunk: int, header: str
) -> Conflict:
    """What a hunk wants beside what there is.

    Args:
        lines: the file's lines, each with its line end.
        wanted: the hunk's.
        at: the line of the file, from 0, at which the two are compared.
        file: its path.
        hunk: the hunk's number.
        header: the hunk's "@@" line.

    Returns:
        The two.
    """
    there = lines[at : at + len(wanted)]
    return Conflict(
        file=file,
        hunk=hunk,
        header=header,
        expected=tuple(_numbered(wanted, there, at)),
        found=tuple(_numbered(there, wanted, at)),
    )


def render_conflict(conflict: Conflict) -> str:
    """Both sides as text, around the first line that differs; "" where no line differs."""
    expected, found = conflict.expected, conflict.found
    if not expected or expected == found:
        return ""
    first = differing(conflict)
    start = expected[0][0]
    width = len(str(start + first + AROUND))
    text = ""
    for title, side in (("expected", expected), ("found", found)):
        near = list(side[max(first - AROUND, 0) : first + AROUND + 1])
        if len(side) <= first:
            near.append((start + first, "(the end of the file)"))
        text += f"\n    {title}:"
        for number, line in near:
            mark = ">" if number == start + first else " "
            text += f"\n    {mark} {number:>{width}}  {line}".rstrip()
    return text


def differing(conflict: Conflict) -> int:
    """The first line, from 0, in which the two sides differ."""
    pairs = zip(conflict.expected, conflict.found, strict=False)
    shared = min(len(conflict.expected), len(conflict.found))
    return next((at for at, (one, two) in enumerate(pairs) if one != two), shared)


def _numbered(side: Sequence[bytes], other: Sequence[bytes], at: int) -> list[tuple[int, str]]:
    return [
        (at + count + 1, _visible(line, other[count] if count < len(other) else None))
        for count, line in enumerate(side)
    ]


def _visible(line: bytes, other: bytes | None) -> str:
    """A line for people: with its invisible characters where two lines differ in these only."""
    text = line.decode(errors="replace")
    if other is not None and other != line and other.decode(errors="replace").split() == text.split():
        return repr(text)
    return text.rstrip("\r\n")
