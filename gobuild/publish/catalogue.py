"""What is offered: finished builds, newest first. Every way of publishing reads a `Shelf` and nothing else of a build.

It reads no file; who fills it has checked the archives against their manifests.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gobuild.core.manifest import Manifest
from gobuild.core.model import GoVersion, Target

_Thing = TypeVar("_Thing")
_Numbers = tuple[tuple[bool, int, str], ...]

_ID = re.compile(r"(^|\.)p[0-9a-f]{7}(?![a-z0-9])")
"""What `{id}` in a suffix became: a digest, which says nothing of what is newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file of a build.

    Attributes:
        path: where it stands now.
        kind: "toolchain", "source" or "module".
        sha256: 64 hex digits.
        size: in bytes.
    """

    path: Path
    kind: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A finished build: one stamp for one target.

    Attributes:
        manifest: what it was made from, and how.
        archives: its files, as the manifest names them.
    """

    manifest: Manifest
    archives: tuple[Archive, ...]

    @property
    def stamp(self) -> str:
        """What the toolchain calls itself: "go1.22.10-acme1.p3f9c2a1"."""
        return self.manifest.stamp

    @property
    def version(self) -> GoVersion:
        """The Go release it was made from."""
        return self.manifest.release

    @property
    def target(self) -> Target:
        """What it runs on."""
        return self.manifest.build.target

    def one(self, kind: str) -> Archive:
        """The only archive of a kind ("module": the .zip)."""
        (found,) = (each for each in self.archives if each.kind == kind and each.path.suffix not in (".mod", ".info"))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All that is offered.

    Attributes:
        name: what the distribution is called, and its formulae: "go-acme".
        base_url: where the tree will be served, without a slash at the end.
        offers: newest Go first, of one Go the highest suffix first (numbers in it as numbers, digests left out), of
            those that differ in the digest alone the latest first; then by target. One for each stamp and target.
    """

    name: str
    base_url: str
    offers: tuple[Offer, ...]

    @property
    def releases(self) -> dict[str, tuple[Offer, ...]]:
        """The offers of each stamp, newest stamp first."""
        stamps = dict.fromkeys(offer.stamp for offer in self.offers)
        return {stamp: tuple(offer for offer in self.offers if offer.stamp == stamp) for stamp in stamps}


def newest_first(
    things: Iterable[_Thing], offer: Callable[[_Thing], Offer], *, before: Sequence[str] = ()
) -> tuple[_Thing, ...]:
    """The order that `Shelf` promises.

    Args:
        things: offers, or what holds one each.
        offer: from a thing to its offer.
        before: the stamps that were offered before, newest first.
    """
    by_target = sorted(things, key=lambda thing: str(offer(thing).target))
    return tuple(sorted(by_target, key=lambda thing: age(offer(thing).stamp, before), reverse=True))


def age(stamp: str, before: Sequence[str] = ()) -> tuple[GoVersion, _Numbers, int, _Numbers]:
    """A key by which the newest stamp is the highest: its Go, the suffix without its digest, when it came.

    Args:
        stamp: a release.
        before: the stamps that were offered before, newest first: of two that differ in the digest alone, what is not
            among them came later.
    """
    tag, _, suffix = stamp.partition("-")
    came = -before.index(stamp) if stamp in before else 1
    # Where two came at once nobody can tell; the digests themselves make it one order for all.
    return GoVersion.parse(tag.removeprefix("go")), _numbers(_ID.sub("", suffix)), came, _numbers(suffix)


def _numbers(text: str) -> _Numbers:
    """A text with its numbers as numbers: acme2 before acme10, as brew orders versions."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
