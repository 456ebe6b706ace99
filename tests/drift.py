"""Random drift over real Go source: patches, what upstream made of the place, and what ought to come of it.

A `Case` knows its truth by construction: each line of the drifted file knows which line it was.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.diff import parse
from gobuild.patch.diff.file_diff import blob_name
from gobuild.patch.tree import Tree

PACKAGES = (
    "runtime",
    "net/http",
    "cmd/go/internal/load",
    "cmd/go/internal/modload",
    "cmd/link/internal/ld",
    "go/types",
)
DRIFTS = (
    "lines inserted far away",
    "a line inserted beside",
    "a line changed beside",
    "a twin function, a line inserted beside",
    "a twin function, the own one removed",
    "at the file's start or end, something added there",
    "the function moved",
    "the function removed",
    "upstream has the patch",
    "upstream has half of the patch",
)
_HEADING = re.compile(rb"[A-Za-z_$]")

Line = tuple[bytes, int]
"""A line, and its number in the file the patch was made for; -1 for one that upstream wrote."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What a hunk does: `count` lines from `at` on go, `added` come."""

    at: int
    count: int
    added: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One patch and one drifted source."""

    drift: str
    context: int
    path: str
    patch: bytes
    drifted: bytes
    right: bytes | None
    """What the drifted file is when the patch is rightly in it; None where nobody could put it in."""
    upstream: bool
    """Whether it is in it already."""


def cases(goroot: Path, seed: int, many: int) -> Iterator[Case]:
    """Cases, always the same ones of a seed and a GOROOT's source."""
    chance = random.Random(seed)
    files = sorted(path for package in PACKAGES for path in (goroot / "src" / package).glob("*.go"))
    texts = {path: path.read_bytes().splitlines(keepends=True) for path in files}
    made = 0
    while made < many:
        path = chance.choice(files)
        drift = DRIFTS[made % len(DRIFTS)]
        if 30 < len(texts[path]) < 3000 and (case := _case(chance, path.name, texts[path], drift)):
            made += 1
            yield case


def _case(chance: random.Random, name: str, text: list[bytes], drift: str) -> Case | None:
    context = chance.choice((0, 1, 1, 1, 3, 3, 3))
    ends = (0, 1, len(text) - 2, len(text) - 1)
    at = chance.choice(ends) if "start or end" in drift else _place(chance, text, context)
    span = _function(text, at)
    if ("function" in drift) and not span:
        return None
    if "twin" in drift and span:
        twin = _twin(text[slice(*span)])
        before = chance.random() < 0.5
        beside = span[0] if before else span[1]
        text = text[:beside] + twin + text[beside:]
        at += len(twin) if before else 0
        span = _function(text, at)
    edits = [_edit(chance, text, at)]
    if chance.random() < 0.2 or ("half" in drift and edits[0].count < 2):
        other = chance.randrange(len(text))
        if abs(other - at) > 2 * context + 8:
            edits = sorted((*edits, _edit(chance, text, other)), key=lambda one: one.at)
    if any(one.added == tuple(text[one.at : one.at + one.count]) for one in edits):
        return None
    lines = _drifted(chance, drift, [(line, number) for number, line in enumerate(text)], edits, at, span)
    if lines is None:
        return None
    upstream = drift == "upstream has the patch"
    drifted = b"".join(line for line, _ in lines)
    return Case(
        drift=drift,
        context=context,
        path=f"src/{name}",
        patch=_patch(f"src/{name}", text, edits, context),
        drifted=drifted,
        right=drifted if upstream else None if "half" in drift else _right(lines, edits),
        upstream=upstream,
    )


def _place(chance: random.Random, text: list[bytes], context: int) -> int:
    """A line; half of the time one whose surroundings stand in the file more than once."""
    tries = [chance.randrange(2, len(text) - 2) for _ in range(30)]
    if chance.random() < 0.5:
        counts = Counter(tuple(text[at - context : at + context + 1]) for at in range(context, len(text) - context))
        for at in tries:
            if counts[tuple(text[at - context : at + context + 1])] > 1:
                return at
    return tries[0]


def _edit(chance: random.Random, text: Sequence[bytes], at: int) -> Edit:
    count = min(chance.choice((0, 1, 1, 1, 2, 3)), len(text) - at)
    if not count or chance.random() < 0.4:
        changed = tuple(line.rstrip(b"\n") + b" // patched\n" for line in text[at : at + count])
        return Edit(at, count, changed or (b"\tpatched()\n", b"\tmore()\n")[: chance.choice((1, 2))])
    return Edit(at, count, ())


def _function(text: Sequence[bytes], at: int) -> tuple[int, int] | None:
    """The function a line is in, from its first line up to behind its last."""
    start = next((up for up in range(min(at, len(text) - 1), -1, -1) if text[up].startswith((b"func ", b"}"))), None)
    if start is None or not text[start].startswith(b"func ") or not text[start].endswith(b"{\n"):
        return None
    end = next((down for down in range(start, len(text)) if text[down].startswith(b"}")), None)
    return (start, end + 1) if end is not None and start < at < end else None


def _twin(function: list[bytes]) -> list[bytes]:
    head = re.sub(rb"^(func (?:\([^)]*\) )?\w+)", rb"\1Twin", function[0])
    return [head, *function[1:], b"\n"]


def _drifted(  # noqa: PLR0911 - one line for each drift
    chance: random.Random, drift: str, lines: list[Line], edits: list[Edit], at: int, span: tuple[int, int] | None
) -> list[Line] | None:
    """What upstream made of the file."""
    near = max(0, min(at + chance.choice((-3, -2, -1, -1, 0, 0, 1, 1, 2, 3)), len(lines) - 1))
    if drift.startswith("the function") or "own one removed" in drift:
        start, end = span or (0, 0)
        end += lines[end : end + 1] == [(b"\n", end)]
        if any(not start <= one.at < end for one in edits):
            return None
        rest = lines[:start] + lines[end:]
        if "removed" in drift:
            return rest
        tops = [number for number, (line, _) in enumerate(rest) if line.startswith(b"func ")]
        to = chance.choice(tops) if tops else len(rest)
        return rest[:to] + lines[start:end] + rest[to:]
    if "has the patch" in drift:
        return _shifted(chance, _applied(lines, edits), edits)
    if "half" in drift:
        one = edits[0]
        if len(edits) > 1:
            return _shifted(chance, _applied(lines, [one]), edits)
        if one.count < 2:
            return None
        return _shifted(chance, _applied(lines, [Edit(one.at, 1, one.added[:1])]), edits)
    if "start or end" in drift:
        if chance.random() < 0.5:
            return [(b"// A line on top.\n", -1), *lines]
        return [
            *lines,
            (b"\n", -1),
            (b"func more() {\n", -1),
            *((line, -1) for line, _ in lines[-3:] if not _HEADING.match(line)),
        ]
    if "inserted beside" in drift:
        # A second line like the first, where a line is to be put between two: neither would be the wrong place.
        same = lines[near][0] if all(one.count for one in edits) else b"\treturn\n"
        lines = [*lines[:near], (chance.choice((b"\tupstream()\n", b"\n", same)), -1), *lines[near:]]
    elif "changed" in drift:
        if any(one.at <= near < one.at + one.count for one in edits):
            return None
        lines = [*lines[:near], (lines[near][0].rstrip(b"\n") + b" // upstream\n", -1), *lines[near + 1 :]]
    return _shifted(chance, lines, edits) if "far" in drift or chance.random() < 0.5 else lines


def _shifted(chance: random.Random, lines: list[Line], edits: Sequence[Edit]) -> list[Line]:
    """The same with lines that upstream wrote somewhere else in front."""
    to = chance.randrange(0, max(edits[0].at - 4, 1))
    more = chance.choice((1, 2, 3, 5, 10, 40))
    return lines[:to] + [(b"// upstream %d\n" % number, -1) for number in range(more)] + lines[to:]


def _applied(lines: list[Line], edits: Sequence[Edit]) -> list[Line]:
    for one in reversed(edits):
        lines = lines[: one.at] + [(line, -2) for line in one.added] + lines[one.at + one.count :]
    return lines


def _right(lines: Sequence[Line], edits: Sequence[Edit]) -> bytes | None:
    """The drifted file with each edit where its lines are now; None where they no longer stand together."""
    result = [line for line, _ in lines]
    places = {number: place for place, (_, number) in enumerate(lines) if number >= 0}
    for one in sorted(edits, key=lambda one: places.get(one.at, -1), reverse=True):
        # An insertion stands between two lines, which have to be neighbours still.
        wanted = range(one.at, one.at + one.count) if one.count else range(max(one.at - 1, 0), one.at + 1)
        found = [places.get(number, -9) for number in wanted]
        if -9 in found or found != list(range(found[0], found[0] + len(found))):
            return None
        place = found[0] if one.count else found[-1]
        result[place : place + one.count] = one.added
    return b"".join(result)


def _patch(path: str, text: Sequence[bytes], edits: Sequence[Edit], context: int) -> bytes:
    lines = [(line, number) for number, line in enumerate(text)]
    names = [blob_name(b"".join(line for line, _ in side))[:12] for side in (lines, _applied(lines, edits))]
    head = f"diff --git a/{path} b/{path}\nindex {names[0]}..{names[1]} 100644\n"
    result = [f"{head}--- a/{path}\n+++ b/{path}\n".encode()]
    grown = 0
    for one in edits:
        start, end = max(one.at - context, 0), min(one.at + one.count + context, len(text))
        above = next((line for line in reversed(text[:start]) if _HEADING.match(line)), b"").rstrip()
        old, new = end - start, end - start + len(one.added) - one.count
        at = b"@@ -%d,%d +%d,%d @@" % (start + bool(old), old, start + grown + bool(new), new)
        result.append((at + b" " + above[:80]).rstrip() + b"\n")
        result += [b" " + line for line in text[start : one.at]]
        result += [b"-" + line for line in text[one.at : one.at + one.count]]
        result += [b"+" + line for line in one.added]
        result += [b" " + line for line in text[one.at + one.count : end]]
        grown += new - old
    return b"".join(result)


def ours(case: Case, folder: Path) -> tuple[str, str]:
    """What gobuild makes of a case: "right", "refused", "upstream" or "wrong"; and its words."""
    path = folder / case.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.drifted)
    tree = Tree(folder)
    try:
        change = parse.parse_diff(case.patch).apply(tree)
    except PatchError as error:
        return "refused", error.reason
    if change.state is State.ALREADY_UPSTREAM:
        return ("upstream" if case.upstream else "wrong"), change.evidence
    right = not case.upstream and case.right is not None and tree.read_file(case.path) == case.right
    return ("right" if right else "wrong"), change.evidence
