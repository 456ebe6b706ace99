"""Where a hunk belongs in a file: at one place that nothing speaks against, or nowhere.

Its old text has to stand there, every line of it. More is asked, because a text may have a twin, and where upstream
changed the right place the twin is the only one left:

- Under its own function or type: the heading that diff writes behind the second "@@" is the line above the place.
- A hunk that moved has no rival: no second place, under the same heading, that looks like the right one, damaged.
- A hunk with no context behind it belongs to the end of the file, one of line 1 with less in front than behind to its
  start, and one of line 1 without any is the whole file, as git has it (apply.c, match_beginning and match_end); none
  belongs in front of the hunk before it.

All lines are counted from 0, but for those that a hunk states.
"""

from collections.abc import Iterator, Sequence

from gobuild.patch.diff.conflict import hunk_misfit
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.source_text import SourceText

_MERGE = "patches.import --from VERSION, one that it applies to: then git merges it, and the result is looked at"

_NEAR = 8
"""How many lines upstream may have put into a damaged place for it to be taken for one."""


def hunk_positions(text: SourceText, hunks: Sequence[Hunk], *, anchored: bool = True) -> list[int]:
    """The lines where the hunks' old texts stand; with `anchored`, one without context at the file's start or end.

    Raises:
        Misfit: a hunk stands nowhere, or in several places, or where it does not belong; or it is there already.
    """
    found: list[int] = []
    end, moved = 0, None
    for hunk in hunks:
        at = _position(text, hunk, end, anchored=anchored, moved=moved)
        end, moved = at + len(hunk.old), at - hunk.old_line
        found.append(at)
    return found


def left_over(text: SourceText, hunk: Hunk, at: int) -> bool:
    """Whether lines that a hunk takes out still stand by `at`, where its new text stands as if it had been applied."""
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


def _position(text: SourceText, hunk: Hunk, begin: int, *, anchored: bool, moved: int | None) -> int:
    """The line of one hunk, from `begin` on; `moved` is where the one in front was found, less its stated line."""
    stated = hunk.old_line - 1
    end = _anchor(text, hunk) if anchored else None
    places = _fitting(text, hunk, begin, end)
    named = _own_name(text, hunk)
    here = places if named else [at for at in places if text.under(hunk.heading, at)]
    if not here:
        stands = f"line {places[0] + 1}, under {text.heading(places[0]).decode(errors='replace')!r}"
        why = f"belongs under {hunk.heading.decode()!r}, and its text stands at {stands}"
        raise hunk_misfit(text, hunk, places[0], why, _MERGE)
    if moved is not None and (along := hunk.old_line + moved) in here:
        return along  # as far from its stated line as the hunk in front of it: both moved by the same lines
    bound = named or end is not None
    told = _heading_tells(text, hunk, here[0], known=stated in here, alone=len(places) == 1)
    if text.code and not bound and not told:
        why = f"has moved or its file has, and {hunk.heading.decode() or 'nothing'!r} does not tell its function"
        raise hunk_misfit(text, hunk, here[0], why, _MERGE)
    if stated in here and (text.same_file is not False or not text.code):
        return stated
    if len(here) > 1 and stated not in here:
        lines = ", ".join(str(at + 1) for at in here)
        why = f"fits in {len(here)} places (lines {lines}), and line {hunk.old_line} is none of them"
        raise hunk_misfit(text, hunk, min(max(stated, 0), len(text.lines)), why)
    at = stated if stated in here else here[0]
    if not bound and (rival := next(_rivals(text, hunk, at), None)) is not None:
        why = f"may belong to line {rival + 1}, which has changed, or to line {at + 1}, where its text stands"
        raise hunk_misfit(text, hunk, rival, why, _MERGE)
    return at


def _fitting(text: SourceText, hunk: Hunk, begin: int, end: int | None) -> list[int]:
    """The places, at least one, where a hunk's old text stands behind the hunk in front of it, and at its anchor."""
    every = text.occurrences(hunk.old) if hunk.old or text.lines else [0]
    if not every:
        raise hunk_misfit(text, hunk, _nearest(text.lines, hunk), "does not apply")
    places = [at for at in every if not _done(text, hunk, at)]
    if not places:
        why = f"cannot be taken: what it adds stands there already, at line {every[0] + 1}"
        raise hunk_misfit(text, hunk, every[0], why)
    if not (places := [at for at in places if at >= begin]):
        raise hunk_misfit(text, hunk, every[0], "belongs before the hunk in front of it")
    whole = end is not None and hunk.old_line <= 1 and not hunk.leading and not hunk.trailing
    if end is not None and (end not in places or (whole and end)):
        where = "end" if end else "start"
        why = f"belongs to the {where} of the file, as it has no context beyond, and its text stands elsewhere"
        raise hunk_misfit(text, hunk, end, why)
    return places if end is None else [end]


def _heading_tells(text: SourceText, hunk: Hunk, at: int, *, known: bool, alone: bool) -> bool:
    """Whether a hunk's heading tells the place, as far as that is needed.

    It is needed less where the text stands at the stated line (`known`), or nowhere else (`alone`).
    """
    near = alone and text.together(at, hunk.old_line - 1)
    if not hunk.heading:
        return known or near
    if text.is_vague(hunk.heading, at):
        return known and text.same_file is not False
    return known or near or text.has_once(hunk.heading)


def _anchor(text: SourceText, hunk: Hunk) -> int | None:
    """The only line that a hunk at an end of the file may stand at; None for a hunk that is at neither."""
    if not hunk.trailing:
        last = hunk.old[: hunk.leading][-1:]
        if text.code and text.names_once(last):
            return None  # right behind the line that begins a function: there is no other place like it
        return max(len(text.lines) - len(hunk.old), 0)
    return 0 if hunk.old_line <= 1 and hunk.leading < hunk.trailing else None


def _own_name(text: SourceText, hunk: Hunk) -> bool:
    """Whether a hunk names the declaration it belongs to in its own lines, by one that stands once in the file."""
    front = hunk.old[: hunk.leading]
    between = any(line.startswith((b"}", b")")) for line in front)
    named = hunk.old if between else hunk.old[: hunk.leading + 1]
    return text.code and text.names_once(named)


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
