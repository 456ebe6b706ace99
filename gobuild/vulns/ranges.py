"""The versions of Go's vulnerability database: semantic versions, their order, and which of them a range holds.

The rules are those of https://semver.org (items 9 and 11) and of golang.org/x/vuln's internal/semver and internal/osv.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from gobuild.core.goversion import GoVersion

BEGINNING = "0"
"""What a range says that begins with the first version of all."""

_NUMBER = r"(0|[1-9]\d*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?", re.ASCII)

_Key = tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...]]


def semver(version: GoVersion) -> str:
    """A release of Go as the database writes it: go1.22rc1 is 1.22.0-rc.1, and go1.20 is 1.20.0."""
    stage = f"-{version.stage}.{version.serial}" if version.stage else ""
    return f"{version.line}.{version.patch or 0}{stage}"


def semver_key(text: str) -> _Key:
    """A key in the order of semantic versions: a pre-release comes before its release, and "0" before all.

    Raises:
        ValueError: it is no semantic version.
    """
    if text == BEGINNING:
        return (-1, 0, 0), False, ()
    match = _SEMVER.fullmatch(text)
    if not match:
        raise ValueError(f"{text!a} is no semantic version")
    parts = match[4].split(".") if match[4] else []
    if any(part.isdecimal() and part != str(int(part)) for part in parts):
        raise ValueError(f"{text!a} has a number that begins with 0")
    # Numbers count as numbers, and come before words: 1.24.0-0 < 1.24.0-rc.2 < 1.24.0-rc.10 < 1.24.0.
    identifiers = tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
    return (int(match[1]), int(match[2]), int(match[3])), not parts, identifiers


def spans(events: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The spans of a range's events ("introduced" or "fixed", version), as (introduced, fixed); "" is not yet fixed.

    Raises:
        ValueError: the events do not take turns, or one has no version.
    """
    ordered = sorted(events, key=lambda event: semver_key(event[1]))
    kinds = [kind for kind, _ in ordered]
    if not ordered or kinds != ["introduced", "fixed"] * (len(kinds) // 2) + ["introduced"] * (len(kinds) % 2):
        raise ValueError(f"its events do not take turns: {', '.join(' '.join(each) for each in ordered) or 'none'}")
    versions = [version for _, version in ordered]
    if any(semver_key(one) == semver_key(two) for one, two in pairwise(versions)):
        raise ValueError(f"a version begins and ends a range: {', '.join(versions)}")
    return tuple(zip(versions[::2], [*versions[1::2], ""], strict=False))


def span_of(version: str, among: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The span that holds a version: from where it was introduced up to, and without, where it is fixed."""
    key = semver_key(version)
    for introduced, fixed in among:
        if semver_key(introduced) <= key and (not fixed or key < semver_key(fixed)):
            return introduced, fixed
    return None
