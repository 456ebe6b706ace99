"""Where a hunk belongs in a file: at one place that nothing speaks against, or nowhere.

In: the file's lines and the hunks on it. Out: the line of each. Its old text has to stand there, every line of it. More
is asked, because a text may have a twin, and where upstream changed the right place the twin is the only one left:

- Under its own function or type: the heading that diff writes behind the second "@@" is the line above the place.
- A hunk that moved has no rival: no second place, under the same heading, that looks like the right one, damaged.
- A hunk with no context behind it belongs to the end of the file, one of line 1 with less in front than behind to its
  start, as git has it (apply.c, match_beginning and match_end); none belongs in front of the hunk before it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gobuild.patch.diff.conflict import Misfit, conflict_at, render_conflict

REFRESH = "refresh the patch for this version, or narrow its `go` in series.toml"
_MERGE = "patches.import --from VERSION, one that it applies to: then git merges it, and the result is looked at"

_HEADING = re.compile(rb"[A-Za-z_$]")
"""How a line begins that diff takes for a heading (git's default, and diff -p's)."""
_NAMED = re.compile(
    rb"func\s+(?:\(\s*(?:\w+\s+)?\*?\s*(?P<of>\w+)[^)]*\)\s*)?(?P<func>\w+)"
    rb"|(?P<kind>type|var|const)\s+(?P<name>\w+)|TEXT\s+(?P<text>[^\s(<]+)"
)
_TOKEN = re.compile(rb"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`""", re.DOTALL)
"""What of Go's source is no code: comments, strings, runes, raw strings (the Go specification, Lexical elements)."""
_CUT = 39
"""A heading as long as this may have been cut off: GNU diff keeps 40 characters of it, git 80."""
_NEAR = 8
"""How many lines upstream may have put into a damaged place for it to be taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One place of a file: what stands there, and what shall stand there.

    Attributes:
        header: its "@@ -1,2 +3,4 @@" line.
        heading: what follows the second "@@": the line that diff takes for the function's; empty where it gives none.
        number: which one of its file, from 1.
        old_line, new_line: the stated lines, from 1.
        old, new: the lines, each with its line end as far as it has one.
        marks: what each of the hunk's lines is: " ", "-" or "+".
    """

    header: str
    heading: bytes
    number: int
    old_line: int
    new_line: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]
    marks: str

    @property
    def leading(self) -> int:
        """How many lines of context stand in front of the first change."""
        return len(self.marks) - len(self.marks.lstrip(" "))

    @property
    def trailing(self) -> int:
        """How many lines of context stand behind the last change."""
        return len(self.marks) - len(self.marks.rstrip(" "))

    @property
    def removed(self) -> tuple[tuple[bytes, ...], ...]:
        """The lines that go, by runs that stand together."""
        sides_ = self.marks.replace("+", "")
        return tuple(self.old[match.start() : match.end()] for match in re.finditer("-+", sides_))

    def reversed(self) -> "Hunk":
        """The hunk that undoes this one."""
        return Hunk(
            header=self.header,
            heading=self.heading,
            number=self.number,
            old_line=self.new_line,
            new_line=self.old_line,
            old=self.new,
            new=self.old,
            marks=self.marks.translate(str.maketrans("+-", "-+")),
        )


def positions(
    lines: Sequence[bytes], hunks: Sequence[Hunk], path: str, *, anchored: bool = True, same_file: bool | None = None
) -> list[int]:
    """The lines, from 0, where the hunks' old texts stand.

    Args:
        lines: the file's.
        hunks: in the order of the file.
        path: the file's.
        anchored: whether a hunk without context belongs to the file's start or end.
        same_file: whether this is the very file that the diff was made for; None where the diff does not tell.

    Raises:
        Misfit: a hunk stands nowhere, or in several places, or where it does not belong; or it is there already.
    """
    text = SourceText(lines, path, same_file)
    found: list[int] = []
    end = 0
    for hunk in hunks:
        beside = found[-1] - hunks[len(found) - 1].old_line if found else None
        found.append(_position(text, hunk, end, anchored=anchored, beside=beside))
        end = found[-1] + len(hunk.old)
    return found


class SourceText:
    """A file's lines, and the heading that each stands under."""

    def __init__(self, lines: Sequence[bytes], path: str, same_file: bool | None = None) -> None:
        self.lines, self.path, self.same_file = lines, path, same_file
        self.code = path.endswith((".go", ".s"))
        self._raw = _raw_lines(lines) if path.endswith(".go") else frozenset()
        self._above = [-1]
        for at, line in enumerate(lines):
            self._above.append(at if _HEADING.match(line) else self._above[-1])

    def heading(self, at: int) -> bytes:
        """The heading that a line, from 0, stands under."""
        above = self._above[min(at, len(self.lines))]
        return self.lines[above].strip() if above >= 0 else b""

    def vague(self, heading: bytes, at: int) -> bool:
        """Whether a heading is one that a twin may have as well: a label, a line of a raw string, a name cut off."""
        above = self._above[min(at, len(self.lines))]
        named = _NAMED.match(heading)
        cut = named is not None and named.end() == len(heading) >= _CUT
        return cut or heading.endswith(b":") or above in self._raw

    def quoted(self, line: bytes) -> bool:
        """Whether a line of the file is one of a raw string."""
        return self.lines.index(line) in self._raw

    def once(self, heading: bytes) -> bool:
        """Whether a heading stands in the file once."""
        same = (line for line in self.lines if _HEADING.match(line) and _same(heading, line.strip()))
        return bool(heading) and len(list(same)) == 1

    def alike(self, one: int, two: int) -> bool:
        """Whether two lines stand under the very same heading."""
        return self._above[min(one, len(self.lines))] == self._above[min(max(two, 0), len(self.lines))]

    def under(self, heading: bytes, at: int) -> bool:
        """Whether a line stands under a heading; under any where there is none to be compared."""
        return not heading or not self.code or _same(heading, self.heading(at))

    def occurrences(self, text: Sequence[bytes]) -> list[int]:
        """Where lines stand together."""
        size = len(text)
        if not size:
            return []
        starts = (at for at, line in enumerate(self.lines[: max(len(self.lines) - size + 1, 0)]) if line == text[0])
        return [at for at in starts if tuple(self.lines[at : at + size]) == tuple(text)]


def _raw_lines(lines: Sequence[bytes]) -> frozenset[int]:
    """The lines, from 0, of a Go file that begin inside a raw string."""
    found: set[int] = set()
    line = at = 0
    whole = b"".join(lines)
    for token in _TOKEN.finditer(whole):
        line += whole.count(b"\n", at, token.start())
        at = token.start()
        if token[0].startswith(b"`"):
            found.update(range(line + 1, line + 1 + token[0].count(b"\n")))
    return frozenset(found)


def left_over(text: SourceText, hunk: Hunk, at: int) -> bool:
    """Whether lines that a hunk takes out still stand by the place that looks as if it had been applied there.

    Args:
        text: the file.
        hunk: as the patch has it.
        at: the line where its new text was found.
    """
    before = hunk.old[: hunk.leading][-1:]
    behind = hunk.old[len(hunk.old) - hunk.trailing :][:1]
    only_removes = "+" not in hunk.marks
    for run in hunk.removed:
        for place in text.occurrences(run):
            if (at <= place and place + len(run) <= at + len(hunk.new)) or not text.under(hunk.heading, place):
                continue
            beside = tuple(text.lines[max(place - 1, 0) : place]), tuple(text.lines[place + len(run) :][:1])
            if only_removes or beside[0] == before or beside[1] == behind:
                return True
    return False


def _same(heading: bytes, line: bytes) -> bool:
    """Whether a line is the one that a heading was made of: the same name, whatever else its signature says."""
    if len(heading) >= _CUT and line.startswith(heading):
        return True
    one, two = _NAMED.match(heading), _NAMED.match(line)
    return one.groups() == two.groups() if one and two else line == heading


def _position(text: SourceText, hunk: Hunk, begin: int, *, anchored: bool, beside: int | None) -> int:
    """The line of one hunk.

    Args:
        text: the file.
        hunk: what is looked for.
        begin: the first line behind the hunk in front of it.
        anchored: as in `positions`.
        beside: where the hunk in front of it was found, less its stated line; None for the first.
    """
    stated = hunk.old_line - 1
    end = _anchor(text, hunk) if anchored else None
    places = _fitting(text, hunk, begin, end)
    named = _own_name(text, hunk)
    here = places if named else [at for at in places if text.under(hunk.heading, at)]
    if not here:
        stands = f"line {places[0] + 1}, under {text.heading(places[0]).decode(errors='replace')!r}"
        why = f"belongs under {hunk.heading.decode()!r}, and its text stands at {stands}"
        raise _misfit(text, hunk, places[0], why, _MERGE)
    if beside is not None and (along := hunk.old_line + beside) in here:
        return along  # as far from its stated line as the hunk in front of it: both moved by the same lines
    bound = named or end is not None
    if (
        not bound
        and text.code
        and not _heading_tells(text, hunk, here[0], known=stated in here, alone=len(places) == 1)
    ):
        why = f"has moved or its file has, and {hunk.heading.decode() or 'nothing'!r} does not tell its function"
        raise _misfit(text, hunk, here[0], why, _MERGE)
    if stated in here and (text.same_file is not False or not text.code):
        return stated
    if len(here) > 1 and stated not in here:
        lines = ", ".join(str(at + 1) for at in here)
        why = f"fits in {len(here)} places (lines {lines}), and line {hunk.old_line} is none of them"
        raise _misfit(text, hunk, min(max(stated, 0), len(text.lines)), why)
    at = stated if stated in here else here[0]
    if not bound and (rival := next(_rivals(text, hunk, at), None)) is not None:
        why = f"may belong to line {rival + 1}, which has changed, or to line {at + 1}, where its text stands"
        raise _misfit(text, hunk, rival, why, _MERGE)
    return at


def _fitting(text: SourceText, hunk: Hunk, begin: int, end: int | None) -> list[int]:
    """The places, at least one, where a hunk's old text stands behind the hunk in front of it, and at its anchor."""
    every = text.occurrences(hunk.old)
    if not every:
        raise _misfit(text, hunk, _nearest(text.lines, hunk), "does not apply")
    places = [at for at in every if not _done(text, hunk, at)]
    if not places:
        why = f"cannot be taken: what it adds stands there already, at line {every[0] + 1}"
        raise _misfit(text, hunk, every[0], why)
    if not (places := [at for at in places if at >= begin]):
        raise _misfit(text, hunk, every[0], "belongs before the hunk in front of it")
    if end is not None and end not in places:
        where = "end" if end else "start"
        why = f"belongs to the {where} of the file, as it has no context beyond, and its text stands elsewhere"
        raise _misfit(text, hunk, end, why)
    return places if end is None else [end]


def _heading_tells(text: SourceText, hunk: Hunk, at: int, *, known: bool, alone: bool) -> bool:
    """Whether a hunk's heading tells the place, as far as that is needed.

    Args:
        text: the file.
        hunk: what is looked for.
        at: where it would be.
        known: whether its text stands at the stated line.
        alone: whether its text stands nowhere else.
    """
    near = alone and text.alike(at, hunk.old_line - 1)
    if not hunk.heading:
        return known or near
    if text.vague(hunk.heading, at):
        return known and text.same_file is not False
    return known or near or text.once(hunk.heading)


def _anchor(text: SourceText, hunk: Hunk) -> int | None:
    """The only line that a hunk at an end of the file may stand at; None for a hunk that is at neither."""
    if not hunk.trailing:
        last = hunk.old[: hunk.leading][-1:]
        if text.code and last and _NAMED.match(last[0]) and text.lines.count(last[0]) == 1:
            return None  # right behind the line that begins a function: there is no other place like it
        return max(len(text.lines) - len(hunk.old), 0)
    return 0 if hunk.old_line <= 1 and hunk.leading < hunk.trailing else None


def _own_name(text: SourceText, hunk: Hunk) -> bool:
    """Whether a hunk names the declaration it belongs to in its own lines, by one that stands once in the file."""
    if not text.code:
        return False

    def once(lines: Sequence[bytes]) -> bool:
        return any(_NAMED.match(line) and text.lines.count(line) == 1 and not text.quoted(line) for line in lines)

    between = any(line.startswith((b"}", b")")) for line in hunk.old[: hunk.leading])
    return once(hunk.old[: hunk.leading + 1]) or (between and once(hunk.old))


def _rivals(text: SourceText, hunk: Hunk, at: int) -> Iterator[int]:
    """Places under the same heading that could be the right one, changed by upstream: begun or ended as it is."""
    size = len(hunk.old)
    need = max(1, min(size - 1, hunk.leading + hunk.trailing, size - size // 3))
    reach = size + len(hunk.new) + _NEAR
    heads = {place: count for place, count in _runs(text.lines, hunk.old) if place != at}
    tails = {
        len(text.lines) - place: count
        for place, count in _runs(text.lines[::-1], hunk.old[::-1])
        if len(text.lines) - place != at + size
    }
    for place, count in heads.items():
        behind = [tail for end, tail in tails.items() if place + count <= end - tail and end <= place + reach]
        if text.under(hunk.heading, place) and count + max(behind, default=0) >= need:
            yield place
    for end, count in tails.items():
        if text.under(hunk.heading, end - count) and count >= need:
            yield max(end - size, 0)


def _runs(lines: Sequence[bytes], wanted: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where the first of the wanted lines stand, and how many of them."""
    for at, line in enumerate(lines):
        if line == wanted[0]:
            count = 1
            while count < len(wanted) and at + count < len(lines) and lines[at + count] == wanted[count]:
                count += 1
            yield at, count


def _done(text: SourceText, hunk: Hunk, at: int) -> bool:
    """Whether the old text at this place is a part of the new one: a hunk that only adds would add twice."""
    grown = len(hunk.new) - len(hunk.old)
    return grown > 0 and any(at - grown <= start <= at for start in text.occurrences(hunk.new))


def _nearest(lines: Sequence[bytes], hunk: Hunk) -> int:
    """The place where most lines of the old text stand; of equals, the one nearest to the stated line."""

    def same(at: int) -> int:
        return sum(line == wanted for line, wanted in zip(lines[at : at + len(hunk.old)], hunk.old, strict=False))

    stated = min(max(hunk.old_line - 1, 0), len(lines))
    return max(range(len(lines) + 1), key=lambda at: (same(at), -abs(at - stated)))


def _misfit(text: SourceText, hunk: Hunk, at: int, why: str, hint: str = REFRESH) -> Misfit:
    """The error of a hunk, with both sides as they stand at a line, from 0."""
    both = conflict_at(text.lines, hunk.old, at, file=text.path, hunk=hunk.number, header=hunk.header)
    return Misfit(f"{text.path}: hunk {hunk.number} ({hunk.header}) {why}{render_conflict(both)}", hint, both)
