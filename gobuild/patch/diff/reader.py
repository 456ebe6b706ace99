"""The grammar of a diff: its lines as files' heads, hunks and binary data, each with its line; none of it is judged.

It reads what git's apply.c reads (find_header, parse_git_diff_header, parse_fragment), by the counts of each hunk.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gobuild.core.errors import PatchError
from gobuild.patch.diff.binary import HEADING, ROOM, BinaryPatch, read_binary
from gobuild.patch.diff.conflict import ADOPT
from gobuild.patch.diff.hunk import Hunk

GIT = b"diff --git "
AGAIN = "make it again by git format-patch"

MOST_PARTS = 50_000
"""Files and hunks of one patch."""

_EXTENDED = re.compile(
    rb"(old mode|new mode|deleted file mode|new file mode|copy from|copy to|rename from|rename to|similarity index"
    rb"|dissimilarity index|index) (.*)",
    re.DOTALL,
)
"""git's extended header (git-diff(1), "generating patch text with -p")."""
_RANGES = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """One file's part of a diff, as it stands there.

    Attributes:
        line, end: its first line and its last, from 1.
        head: the two names behind "diff --git"; None where the diff is not git's.
        extended: git's extended header, by its words: {"rename from": "a"}.
        names: what stands behind "---" and "+++", each with the time behind it; None where they are missing.
        names_line: where the first of them stands, from 1.
        left_out: whether git said that it is a binary file, and left its content out.
    """

    line: int
    end: int
    head: bytes | None = None
    extended: Mapping[str, bytes] = field(default_factory=dict)
    names: tuple[bytes, bytes] | None = None
    names_line: int = 0
    hunks: tuple[Hunk, ...] = ()
    binary: BinaryPatch | None = None
    left_out: bool = False


def first_file(lines: Sequence[bytes], at: int = 0) -> int:
    """The first line, from `at` on, that begins a file's part of a diff; the number of lines where none does."""
    for here in range(at, len(lines)):
        if lines[here].startswith(GIT) or _names(lines, here):
            return here
    return len(lines)


def read_files(lines: Sequence[bytes], notes: list[str]) -> Iterator[RawFile]:
    """The files' parts, in order; what is harmless and yet not as it should be goes into `notes`.

    Raises:
        PatchError: a part is damaged; the message begins with its line.
    """
    room, parts = ROOM, 0
    at = first_file(lines)
    while at < len(lines):
        begin = at
        raw, at, room = _file(lines, at, room, notes)
        parts += 1 + len(raw.hunks)
        if parts > MOST_PARTS:
            raise PatchError(f"has more than {MOST_PARTS:,} files and hunks", "make several patches of it")
        yield raw
        behind, at = at, first_file(lines, at)
        for here in range(behind, at):
            if lines[here].startswith(b"@@ -"):
                raise PatchError(f"line {here + 1}: a hunk stands apart from its file, at line {begin + 1}", ADOPT)


def _names(lines: Sequence[bytes], at: int) -> bool:
    return lines[at].startswith(b"--- ") and at + 1 < len(lines) and lines[at + 1].startswith(b"+++ ")


def _file(lines: Sequence[bytes], at: int, room: int, notes: list[str]) -> tuple[RawFile, int, int]:
    line, head, names, names_line, binary = at + 1, None, None, 0, None
    extended: dict[str, bytes] = {}
    if lines[at].startswith(GIT):
        head = lines[at].removeprefix(GIT)
        extended, at = _extended(lines, at + 1)
    if at < len(lines) and _names(lines, at):
        names, names_line = (lines[at][4:], lines[at + 1][4:]), at + 1
        at += 2
        if at == len(lines) or not lines[at].startswith(b"@@ -"):
            raise PatchError(f"line {at}: no hunk stands behind the names of a file", AGAIN)
    hunks: list[Hunk] = []
    while at < len(lines) and lines[at].startswith(b"@@ -") and len(hunks) <= MOST_PARTS:
        begin = at
        hunk, at = _hunk(lines, at, len(hunks) + 1)
        at = _behind(lines, at, hunk, notes)
        hunks.append(hunk)
        if hunk.old == hunk.new:
            notes.append(f"line {begin + 1}: hunk {hunk.number} ({hunk.header}) changes nothing")
    behind = lines[at] if at < len(lines) else b""
    if not hunks and behind == HEADING:
        binary, at, room = read_binary(lines, at + 1, room)
    raw = RawFile(
        line=line,
        end=at,
        head=head,
        extended=extended,
        names=names,
        names_line=names_line,
        hunks=tuple(hunks),
        binary=binary,
        left_out=not hunks and behind.startswith((b"Binary files ", b"Files ")),
    )
    return raw, at, room


def _extended(lines: Sequence[bytes], at: int) -> tuple[dict[str, bytes], int]:
    """Git's extended header, and the line behind it."""
    found: dict[str, bytes] = {}
    while at < len(lines) and (line := _EXTENDED.fullmatch(lines[at])):
        if (key := line[1].decode()) in found:
            raise PatchError(f"line {at + 1} says {key!r} for the second time", AGAIN)
        found[key] = line[2]
        at += 1
    return found, at


def _hunk(lines: Sequence[bytes], at: int, number: int) -> tuple[Hunk, int]:
    ranges = _RANGES.fullmatch(lines[at])
    if not ranges:
        raise PatchError(f"line {at + 1} is no header of a hunk: {_shown(lines[at])}", AGAIN)
    begin, header = at, lines[at].decode(errors="replace").strip()
    left = [1 if ranges[side] is None else int(ranges[side]) for side in (2, 4)]
    sides: tuple[list[bytes], list[bytes]] = [], []
    marks: list[str] = []
    at += 1
    while left[0] or left[1]:
        line = lines[at] if at < len(lines) else b"@"
        mark = line[:1] or b" "  # some mailers eat the blank of an empty line, which git takes for one
        if mark == b"\\" and marks:
            _unend(sides, marks[-1])
        elif mark in b" +-":
            for side in (0, 1):
                if mark != b"+-"[side : side + 1]:
                    left[side] -= 1
                    sides[side].append(line[1:] + b"\n")
            marks.append(mark.decode())
            if min(left) < 0:
                why = f"hunk {number} ({header}) has more old or new lines than its header counts"
                raise PatchError(f"line {at + 1}: {why}", ADOPT)
        elif line.startswith((b"@", GIT, b"From ")):
            more = f"{left[0]} more old and {left[1]} more new lines"
            why = f"hunk {number} ({header}) ends at line {at + 1}, and its header counts {more}"
            raise PatchError(f"line {begin + 1}: {why}", ADOPT)
        else:
            why = f"is no line of a diff: {_shown(line)}: has it lost the blank in front?"
            raise PatchError(f"line {at + 1} {why}", ADOPT)
        at += 1
    if marks and at < len(lines) and lines[at].startswith(b"\\ "):
        _unend(sides, marks[-1])
        at += 1
    hunk = Hunk(
        header=header,
        heading=ranges[5].strip(),
        number=number,
        old_line=int(ranges[1]),
        new_line=int(ranges[3]),
        old=tuple(sides[0]),
        new=tuple(sides[1]),
        marks="".join(marks),
    )
    return hunk, at


def _unend(sides: tuple[list[bytes], list[bytes]], mark: str) -> None:
    """Takes the line end of the last line, which the file does not have."""
    for side in (0, 1):
        if mark != "+-"[side]:
            sides[side][-1] = sides[side][-1].removesuffix(b"\n")


def _behind(lines: Sequence[bytes], at: int, hunk: Hunk, notes: list[str]) -> int:
    """The line behind a hunk and what may follow its counted lines: blanks, which carry nothing."""
    begin = at
    while at < len(lines) and lines[at][:1] in b" " and not lines[at].strip():
        at += 1
    if any(lines[begin:at]):
        notes.append(f"line {begin + 1}: a blank line behind what hunk {hunk.number} ({hunk.header}) counts")
    after = lines[at] if at < len(lines) else b""
    ends = after.rstrip() == b"--" or (at > begin and after.startswith(b"--"))  # a mail's signature, or its last part's
    if after[:1] and after[:1] in b"+- " and not ends and not _names(lines, at):
        why = f"hunk {hunk.number} ({hunk.header}) goes on behind what its header counts"
        raise PatchError(f"line {at + 1}: {why}", f"a hunk edited by hand needs its counts corrected; {ADOPT}")
    return at


def _shown(line: bytes) -> str:
    return repr(line[:80].decode(errors="replace"))
