"""What is offered: finished builds, newest first. Every way of publishing reads a `Shelf` and nothing else of a build.

It reads no file; who fills it has checked the archives against their manifests.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gobuild.model import GoVersion, Target

_Thing = TypeVar("_Thing")


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
        document: its outer manifest (`gobuild.package.manifest`).
        archives: its files, as the manifest names them.
    """

    document: Mapping[str, Any]
    archives: tuple[Archive, ...]

    @property
    def stamp(self) -> str:
        """What the toolchain calls itself: "go1.22.10-acme1.p3f9c2a1"."""
        return str(self.document["stamp"])

    @property
    def version(self) -> GoVersion:
        """The Go release it was made from."""
        return GoVersion.parse(self.document["release"])

    @property
    def target(self) -> Target:
        """What it runs on."""
        return Target.parse(self.document["build"]["target"])

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
        offers: newest Go first, of one Go the highest stamp first (numbers in it as numbers), then by target; one for
            each stamp and target.
    """

    name: str
    base_url: str
    offers: tuple[Offer, ...]

    @property
    def releases(self) -> dict[str, tuple[Offer, ...]]:
        """The offers of each stamp, newest stamp first."""
        stamps = dict.fromkeys(offer.stamp for offer in self.offers)
        return {stamp: tuple(offer for offer in self.offers if offer.stamp == stamp) for stamp in stamps}


def newest_first(things: Iterable[_Thing], offer: Callable[[_Thing], Offer]) -> tuple[_Thing, ...]:
    """The order that `Shelf` promises.

    Args:
        things: offers, or what holds one each.
        offer: from a thing to its offer.
    """
    by_target = sorted(things, key=lambda thing: str(offer(thing).target))
    return tuple(sorted(by_target, key=lambda thing: _age(offer(thing)), reverse=True))


def _age(offer: Offer) -> tuple[GoVersion, tuple[tuple[bool, int, str], ...]]:
    """A release and its stamp with its numbers as numbers: acme2 before acme10, as brew orders versions."""
    parts = re.findall(r"\d+|\D+", offer.stamp)
    return offer.version, tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
