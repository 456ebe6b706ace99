"""What a tree offers, newest first: what tap, proxy, index and pages are written from.

Whoever fills a `Catalogue` has checked the archives against their manifests.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gobuild.core.goversion import GoVersion
from gobuild.publish.builds import Build

_Numbers = tuple[tuple[bool, int, str], ...]

_ID = re.compile(r"(^|\.)p[0-9a-f]{7}(?![a-z0-9])")
"""What `{id}` in a suffix became: a digest, which says nothing of what is newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All that is offered."""

    name: str  # what the distribution is called, and its formulae: "go-acme"
    base_url: str  # where the tree will be served, without a slash at the end
    builds: tuple[Build, ...]  # in the order of `newest_first`; one for each stamp and target

    @property
    def releases(self) -> dict[str, tuple[Build, ...]]:
        """The builds of each stamp, newest stamp first."""
        stamps = dict.fromkeys(build.stamp for build in self.builds)
        return {stamp: tuple(build for build in self.builds if build.stamp == stamp) for stamp in stamps}

    @property
    def oldest_first(self) -> list[Build]:
        """The builds by release, stamp and target: an order that does not depend on what was offered before."""
        return sorted(self.builds, key=lambda build: (build.version, build.stamp, build.target.dashed))


def newest_first(builds: Iterable[Build], *, before: Sequence[str] = ()) -> tuple[Build, ...]:
    """Newest Go first, then as `age` says, then by target. `before` are the stamps offered before, newest first."""
    by_target = sorted(builds, key=lambda build: str(build.target))
    return tuple(sorted(by_target, key=lambda build: age(build.stamp, before), reverse=True))


def age(stamp: str, before: Sequence[str] = ()) -> tuple[GoVersion, _Numbers, int, _Numbers]:
    """A key by which the newest stamp is the highest: its Go, the suffix without its digest, when it came.

    Of two that differ in the digest alone, what is not among those offered `before`, newest first, came later.
    """
    tag, _, suffix = stamp.partition("-")
    came = -before.index(stamp) if stamp in before else 1
    # Where two came at once nobody can tell; the digests themselves make it one order for all.
    return GoVersion.parse(tag.removeprefix("go")), _numbers(_ID.sub("", suffix)), came, _numbers(suffix)


def _numbers(text: str) -> _Numbers:
    """A text with its numbers as numbers: acme2 before acme10, as brew orders versions."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
