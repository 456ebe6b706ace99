"""Both sides of a hunk that does not fit: data for status, and a few lines of text for an error."""

from collections.abc import Sequence

from gobuild.core.errors import PatchError
from gobuild.core.model import Conflict
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.source_text import SourceText

AROUND = 3
"""Lines that an error shows before and after the first one that differs; the `Conflict` has them all."""

REFRESH = "refresh the patch for this version: gobuild patches.import --from VERSION, one that it applies to"

ADOPT = "gobuild patches.adopt makes a clean patch of what git or patch can apply"
"""The way out where another tool reads more freely; what it took is then looked at, and strict from there on."""


class Misfit(PatchError):
    """A file or hunk of a diff that does not fit the source, with both sides."""

    def __init__(self, message: str, hint: str, conflict: Conflict) -> None:
        self.conflict = conflict
        super().__init__(message, hint)


def hunk_misfit(text: SourceText, hunk: Hunk, at: int, why: str, hint: str = REFRESH) -> Misfit:
    """The error of a hunk, with what it wants beside what stands at a line, from 0."""
    there = text.lines[at : at + len(hunk.old)]
    both = Conflict(
        file=text.path,
        hunk=hunk.number,
        header=hunk.header,
        expected=tuple(_numbered(hunk.old, there, at)),
        found=tuple(_numbered(there, hunk.old, at)),
    )
    return Misfit(f"{text.path}: hunk {hunk.number} ({hunk.header}) {why}{_render(both)}", hint, both)


def _render(conflict: Conflict) -> str:
    """Both sides as text, around the first line that differs; "" where no line differs."""
    expected, found = conflict.expected, conflict.found
    if not expected or expected == found:
        return ""
    pairs = enumerate(zip(expected, found, strict=False))
    first = next((at for at, (one, two) in pairs if one != two), min(len(expected), len(found)))
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


def _numbered(side: Sequence[bytes], other: Sequence[bytes], at: int) -> list[tuple[int, str]]:
    others = [*other, *[None] * len(side)]
    return [(at + count + 1, _visible(line, others[count])) for count, line in enumerate(side)]


def _visible(line: bytes, other: bytes | None) -> str:
    """A line for people: with its invisible characters where two lines differ in these only."""
    text = line.decode(errors="replace")
    if other is not None and other != line and other.decode(errors="replace").split() == text.split():
        return repr(text)
    return text.rstrip("\r\n")
