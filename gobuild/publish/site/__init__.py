"""The tree: finished builds come in, and join those that a static tree offers already; every route is written anew.

    archives -> dl/, proxy/    routes -> tap, proxy, checksum database, index    papers -> releases/STAMP/    pages

All of it happens in a generation of its own (`site.generations`), which is served at once or not at all.
It builds nothing and trusts no manifest: `gobuild.publish.builds` reads them, and every byte is hashed on its way.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError, PublishError
from gobuild.publish import pages
from gobuild.publish.builds import ENDING, Found, find, read
from gobuild.publish.catalogue import Offer, Shelf, newest_first
from gobuild.publish.homebrew.formula import served as in_a_formula
from gobuild.publish.paths import place, place_of, whole
from gobuild.publish.site import generations, incoming
from gobuild.publish.site.incoming import NOTHING_MORE, Rules
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.supply import attestations
from gobuild.publish.supply.signing import Signer

ROOM = 16 << 20
"""Bytes that a generation may take beside archives: pages, papers, and folders, which hard links do not share."""

ABOUT = "tree.json"
"""What a tree has, for `gobuild.release`. It is not signed: whoever reads it checks what it leads to."""

Route = Callable[[Shelf, Path], None]
"""Writes its part of the staged tree: see `Shelf`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of it.

    Attributes:
        site: where the tree is served from.
        shelf: all that it offers now.
        added: the builds that joined.
        known: those that were there before, with the same bytes.
        unsigned: the stamps without a signature.
        changed: whether anything is different.
    """

    site: Path
    shelf: Shelf
    added: tuple[Offer, ...]
    known: tuple[Offer, ...]
    unsigned: tuple[str, ...]
    changed: bool


def publish(  # noqa: PLR0913
    sources: Sequence[Path],
    site: Path,
    *,
    name: str,
    base_url: str,
    signer: Signer | None = None,
    resign: bool = False,
    routes: Sequence[Route] = (),
    ways: pages.Ways = pages.by_hand,
    sumdb: str = "",
    rules: Rules = NOTHING_MORE,
    note: Callable[[str], None] = lambda _text: None,
) -> Published:
    """Adds finished builds to a tree, and writes everything that tells of them.

    Args:
        sources: folders, each with a finished build or more. None are needed to write a tree's pages and routes anew.
        site: where the tree is served from; made where there is none.
        name: what the distribution is called.
        base_url: where the tree will be served; "" for the tree's own file:// address.
        signer: who signs the releases that change, and those that are not signed yet.
        resign: whether to sign all the others anew as well: a new key takes an old one's place.
        routes: the ways of publishing, in order; each writes its part.
        ways: the ways to install that the pages tell of.
        sumdb: the public key of the checksum database that a route writes, "" for none.
        rules: what the tree may have beside what `signer` signed.
        note: told what is under way.

    Raises:
        ConfigError: a folder or a setting that cannot be used.
        PublishError: the tree has what nobody signed, and somebody would sign it now; its checksum database would
            fork; a manifest that cannot be used; a stamp that is offered already, with other bytes; a release
            that was signed, and nobody to sign it now that a build joins it.
        ChecksumMismatch: an archive is not what its manifest says; a file of the tree is not what was signed.
        VerifyError: a tap or a database of the tree has what it must not have.
        DiskFull, OSError: the tree is as it was.
    """
    site = site.expanduser().absolute()
    base_url = base_url.rstrip("/") or site.as_uri()
    _usable(base_url, signer, resign=resign)
    offered = _unique(found for source in sources for found in _found(source))
    with generations.change(site, waiting=note) as made:
        tree = made.tree
        incoming.newest(tree, made.others)
        note("what the tree has")
        there = {found.key: found for found in _known(tree, signer, rules, sumdb)}
        if not offered and not there:
            raise ConfigError("there is no finished build to publish", _FROM)
        placed = _join(offered, there, tree, signed=signer is not None, note=note)
        everything = newest_first((*there.values(), *placed), lambda found: found.offer, before=_in_order(tree))
        shelf = Shelf(name=name, base_url=base_url, offers=tuple(found.offer for found in everything))
        for route in routes:
            route(shelf, tree)
        # After the routes: what they have made of a release is in its digests.
        joined = {found.offer.stamp for found in placed}
        for stamp in shelf.releases:
            release = tuple(found for found in everything if found.offer.stamp == stamp)
            if stamp not in joined:
                if not _wants_papers(tree, stamp, signer, resign=resign):
                    continue
                note(f"the papers of {stamp}, which was published before")
            attestations.write(tree, name, release, base_url=base_url, signer=signer)
        note("the pages")
        pages.write(shelf, tree, ways=ways)
        files.write(tree / ABOUT, _about(shelf, tree, sumdb))
        unsigned = tuple(stamp for stamp in shelf.releases if not attestations.signed(tree, stamp))
    return Published(
        site=site,
        shelf=_moved(shelf, site),
        added=tuple(found.offer for found in placed),
        known=tuple(found.offer for found in offered if found.key in there),
        unsigned=unsigned,
        changed=made.changed,
    )


_FROM = f"--from with a folder that holds *{ENDING}: dist"


def _usable(base_url: str, signer: Signer | None, *, resign: bool) -> None:
    """Refuses before anything is made what some route would refuse half-way."""
    in_a_formula(base_url)
    if resign and signer is None:
        raise ConfigError("nobody can sign the releases anew", "--sign-key, or --gpg-user, beside --resign")


def _found(source: Path) -> tuple[Found, ...]:
    """The builds of a folder that somebody named: there must be one."""
    found = tuple(find(source))
    if not found:
        raise ConfigError(f"there is no finished build in {source}", _FROM)
    return found


def _wants_papers(tree: Path, stamp: str, signer: Signer | None, *, resign: bool) -> bool:
    """Whether papers are to be written anew though no build joins: for a first signature, another key, new bottles.

    Raises:
        PublishError: the release is signed, a route has made bottles that the signature does not cover, such as those
            of another --name, and nobody can sign them.
    """
    signed = attestations.signed(tree, stamp)
    if not attestations.covered(tree, stamp):
        if signed and signer is None:
            raise PublishError(
                f"{stamp} is signed, and bottles that join it need a new signature", "--sign-key, or --gpg-user"
            )
        return True
    return signer is not None and (resign or not signed)


def _join(
    offered: Sequence[Found],
    there: Mapping[tuple[str, str], Found],
    tree: Path,
    *,
    signed: bool,
    note: Callable[[str], None],
) -> tuple[Found, ...]:
    """Refuses all that must not join before a byte is copied; then places the archives of what does."""
    new = tuple(found for found in offered if _joins(found, there))
    _agree((*there.values(), *new))
    for stamp in dict.fromkeys(found.offer.stamp for found in new):
        if not signed and attestations.signed(tree, stamp):
            raise PublishError(
                f"{stamp} is signed, and a build that joins it needs a new signature", "--sign-key, or --gpg-user"
            )
    sizes = sum(archive.size for found in new for archive in found.offer.archives)
    # The routes make archives of their own, no larger together: bottles.
    files.require_room(tree, 2 * sizes + ROOM, f"publishing to {tree.parent}")
    return tuple(_place(found, tree, note) for found in new)


def _about(shelf: Shelf, tree: Path, sumdb: str) -> str:
    """What a receiver cannot find out over HTTP, where no folder can be listed."""
    taps = sorted(path.name for path in tree.glob("homebrew-*.git"))
    about = {"schema": 1, "name": shelf.name, "stamps": list(shelf.releases), "taps": taps, "sumdb": sumdb}
    return json.dumps(about, indent=2) + "\n"


def _in_order(tree: Path) -> tuple[str, ...]:
    """The stamps that a tree offers, newest first, as it says itself; it says more of none than which came later."""
    try:
        return tuple(map(str, json.loads((tree / ABOUT).read_text(encoding="utf-8"))["stamps"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ()


def sound(site: Path) -> None:
    """Refuses a tree by what stands in it, before a key is read.

    Raises:
        ConfigError, PublishError, VerifyError: there is no place for a tree; as `incoming.plain`.
    """
    tree = generations.served(site.expanduser().absolute())
    if tree is not None:
        incoming.plain(tree)


def remembered(site: Path) -> str:
    """The public key of the checksum database that a tree has, "" where it has none.

    Raises:
        ConfigError: there is no place for a tree (`generations.served`).
        PublishError: what the tree says of itself is damaged.
    """
    tree = generations.served(site)
    if tree is None or not any(tree.iterdir()):  # nothing was published yet
        return ""
    try:
        return str(json.loads((tree / ABOUT).read_text(encoding="utf-8"))["sumdb"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise PublishError(f"{site / ABOUT} is damaged", "an older generation of the tree") from error


def _known(tree: Path, signer: Signer | None, rules: Rules, sumdb: str) -> tuple[Found, ...]:
    """What a tree offers, once all of it is what somebody trusted has signed, or is named (`incoming`)."""
    incoming.plain(tree)
    incoming.releases(tree, (signer.trust(), *rules.signed_by) if signer else (), rules.named)
    offered = _offered(tree)
    offers = [found.offer for found in offered]
    if signer:
        incoming.archives(tree, (offer for offer in offers if offer.stamp not in rules.named))
        # What is named is held against its manifest, which whoever named it takes for theirs.
        for archive in (each for offer in offers if offer.stamp in rules.named for each in offer.archives):
            whole(archive)
    elif rules.logs:
        incoming.logged(tree, offers, Verifier.parse(sumdb), rules.named)
    return offered


def _offered(tree: Path) -> tuple[Found, ...]:
    """What a tree offers; its archives were hashed when they came, and must have kept their sizes."""
    offered = tuple(
        _within(read(path, archives=tree), tree)
        for path in sorted(tree.glob(f"releases/*/*{ENDING}"))
        if path.is_file() and not path.is_symlink()
    )
    for path in tree.glob(f"releases/*/*{ENDING}"):
        if not path.name.startswith(f"{path.parent.name}."):
            raise PublishError(f"{path.name} stands in the folder of {path.parent.name}", "put it where it was")
    for found in offered:
        for archive in found.offer.archives:
            if not archive.path.is_file() or archive.path.stat().st_size != archive.size:
                raise PublishError(
                    f"the tree offers {archive.path.name}, and does not have it whole",
                    "put the file back, or an older generation of the tree",
                )
    return offered


def _within(found: Found, tree: Path) -> Found:
    """The same build by the paths that its archives have in a tree."""
    offer = found.offer
    archives = tuple(replace(each, path=tree / place_of(offer, each)) for each in offer.archives)
    return replace(found, offer=replace(offer, archives=archives))


def _unique(found: Iterable[Found]) -> tuple[Found, ...]:
    """Each build once: the same one may stand in two folders."""
    kept: dict[tuple[str, str], Found] = {}
    for each in found:
        first = kept.setdefault(each.key, each)
        _same(each, first, "stands in two of the folders")
    return tuple(kept.values())


def _joins(found: Found, there: Mapping[tuple[str, str], Found]) -> bool:
    """Whether a build is new to the tree. The same bytes again are not; other bytes are refused."""
    if found.key not in there:
        return True
    _same(found, there[found.key], "is published already")
    return False


def _same(one: Found, other: Found, where: str) -> None:
    digests = [{archive.path.name: archive.sha256 for archive in each.offer.archives} for each in (one, other)]
    for name in digests[0]:
        if digests[0][name] != digests[1][name]:
            raise PublishError(
                f"{one.offer.stamp} for {one.offer.target} {where}, with other bytes in {name}",
                "what was published never changes: build with another suffix, or one with {id}",
            )


def _agree(builds: Iterable[Found]) -> None:
    """One name, one content: the targets of a stamp share its source archive, or cannot stand in one dl/."""
    digests: dict[str, str] = {}
    for found in builds:
        for archive in found.offer.archives:
            if digests.setdefault(archive.path.name, archive.sha256) != archive.sha256:
                raise PublishError(
                    f"{archive.path.name} is offered with other bytes by another target of {found.offer.stamp}",
                    "a suffix with {id}, which tells the two apart",
                )


def _place(found: Found, tree: Path, note: Callable[[str], None]) -> Found:
    """Puts a build's archives to where they are served from."""
    offer = found.offer
    placed = tuple(replace(archive, path=place(offer, archive, tree, note)) for archive in offer.archives)
    return replace(found, offer=replace(offer, archives=placed))


def _moved(shelf: Shelf, site: Path) -> Shelf:
    """The same shelf by the paths under which it is served."""
    inside = {found.key: found.offer for found in _offered(site)}
    return replace(shelf, offers=tuple(inside[offer.stamp, str(offer.target)] for offer in shelf.offers))
