"""Publishing: finished builds join those that a static tree offers already, and every part of the tree is written anew.

    archives -> dl/, proxy/    index, proxy, checksum database, tap    attestations -> releases/STAMP/    pages

All of it happens in a generation of its own (`site.generations`), which is served at once or not at all. No manifest
is trusted: `gobuild.publish.builds` reads them, and every byte is hashed on its way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import ConfigError, PublishError
from gobuild.core.manifest import load_json
from gobuild.publish import homebrew
from gobuild.publish.builds import ENDING, Build, find_builds, require_reasons
from gobuild.publish.catalogue import Catalogue, newest_first
from gobuild.publish.download_index import write_downloads
from gobuild.publish.homebrew.urls import download_url
from gobuild.publish.pages import write_pages
from gobuild.publish.paths import copy_to_tree, module_version
from gobuild.publish.proxy import write_proxy
from gobuild.publish.site import incoming
from gobuild.publish.site.generations import next_generation, served_generation
from gobuild.publish.site.incoming import UNSIGNED, SiteSigning, place_in
from gobuild.publish.sumdb.database import database_folder, database_names, update_database
from gobuild.publish.sumdb.note import NoteSigner, Verifier
from gobuild.publish.supply import attestations

__all__ = ["ABOUT", "Published", "SiteSigning", "publish", "refuse_strange_site"]

ROOM = 16 << 20
"""Bytes that a generation may take beside archives: pages, attestations, and folders, which hard links do not share."""

ABOUT = "tree.json"
"""What a tree has, for `gobuild.release`. It is not signed: whoever reads it checks what it leads to."""

_FROM = f"--from with a folder that holds *{ENDING}: dist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of it: all that the tree offers now, the builds that joined, and the stamps that nobody has signed."""

    site: Path
    catalogue: Catalogue
    added: tuple[Build, ...]
    unsigned: tuple[str, ...]
    changed: bool


def refuse_strange_site(site: Path) -> None:
    """Refuses a served tree by what stands in it, before a key is read.

    Raises:
        ConfigError, PublishError, VerifyError: there is no place for a tree; as `incoming.refuse_strange_files`.
    """
    tree = served_generation(site.expanduser().absolute())
    if tree is not None:
        incoming.refuse_strange_files(tree)


def publish(
    sources: Sequence[Path],
    site: Path,
    *,
    name: str,
    base_url: str,
    signing: SiteSigning = UNSIGNED,
    sumdb_key: NoteSigner | None = None,
    tap: homebrew.TapOptions | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> Published:
    """Adds finished builds to a tree, and writes everything that tells of them.

    Without `sources` a tree is written anew; with `base_url` "" it will be served from its own file:// address; without
    `sumdb_key` no build may be logged. `tap` is as for `homebrew.write_tap`.

    Raises:
        ConfigError: a folder or a setting that cannot be used.
        PublishError: a build or the tree is refused: what nobody signed, a fork of the log, other bytes under a name.
        ChecksumMismatch: an archive is not what its manifest says; a file of the tree is not what was signed.
        VerifyError: a tap or a database of the tree has what it must not have.
        DiskFull, OSError: the tree is as it was.
    """
    site = site.expanduser().absolute()
    base_url = base_url.rstrip("/") or site.as_uri()
    download_url(base_url)
    signer = signing.signer
    if signing.resign and signer is None:
        raise ConfigError("nobody can sign the releases anew", "--sign-key, or --gpg-user, beside --resign")
    offered = _builds_in(sources)
    with next_generation(site, waiting=note) as made:
        tree = made.tree
        incoming.refuse_strange_files(tree)
        incoming.refuse_fork(tree, made.others)
        about = _read_about(tree)
        sumdb = str(sumdb_key.verifier) if sumdb_key else str(about.get("sumdb", ""))
        note("what the tree has")
        verified = incoming.verified_builds(tree, signing, sumdb_key.verifier if sumdb_key else None)
        there = {build.key: build for build in verified}
        if not offered and not there:
            raise ConfigError("there is no finished build to publish", _FROM)
        require_reasons(offered)
        joined = _join(offered, there, tree, signed=signer is not None, note=note)
        builds = newest_first((*there.values(), *joined), before=about.get("stamps", ()))
        catalogue = Catalogue(name=name, base_url=base_url, builds=builds)
        write_downloads(catalogue, tree)
        note("the proxy")
        write_proxy(catalogue, tree)
        _continue_log(catalogue, tree, sumdb_key, note)
        tap = tap or homebrew.TapOptions()
        note(f"the tap {homebrew.tap_folder(name)}{', and bottles' if tap.bottles else ''}")
        homebrew.write_tap(catalogue, tree, tap, note=note)
        # After the tap: its bottles are in a release's digests.
        changed = {build.stamp for build in joined}
        for stamp, release in catalogue.releases.items():
            if stamp not in changed:
                if not _needs_attestations(tree, stamp, signing):
                    continue
                note(f"the attestations of {stamp}, which was published before")
            attestations.write_attestations(tree, name, release, base_url=base_url, signer=signer)
        note("the pages")
        write_pages(catalogue, tree, database=Verifier.parse(sumdb) if sumdb else None)
        files.write(tree / ABOUT, _about(catalogue, tree, sumdb))
        unsigned = tuple(stamp for stamp in catalogue.releases if not attestations.is_signed(tree, stamp))
    return Published(
        site=site,
        catalogue=replace(catalogue, builds=tuple(place_in(site, build) for build in builds)),
        added=joined,
        unsigned=unsigned,
        changed=made.changed,
    )


def _builds_in(sources: Sequence[Path]) -> tuple[Build, ...]:
    """The builds of the folders that somebody named, each of which must have one; the same one may stand in two."""
    found: list[Build] = []
    for source in sources:
        here = tuple(find_builds(source))
        if not here:
            raise ConfigError(f"there is no finished build in {source}", _FROM)
        found += here
    return tuple(found)


def _join(
    offered: Sequence[Build],
    there: Mapping[tuple[str, str], Build],
    tree: Path,
    *,
    signed: bool,
    note: Callable[[str], None],
) -> tuple[Build, ...]:
    """Refuses all that must not join before a byte is copied; then places the archives of what does."""
    _refuse_other_bytes(there, offered)
    new = {build.key: build for build in offered if build.key not in there}.values()
    for build in new:
        if not signed and attestations.is_signed(tree, build.stamp):
            raise PublishError(
                f"{build.stamp} is signed, and a build that joins it needs a new signature", "--sign-key, or --gpg-user"
            )
    sizes = sum(archive.size for build in new for archive in build.archives)
    # Twice: the bottles are no larger together.
    files.require_room(tree, 2 * sizes + ROOM, f"publishing to {tree.parent}")
    for build in new:
        for archive in build.archives:
            copy_to_tree(build, archive, tree, note)
    return tuple(place_in(tree, build) for build in new)


def _refuse_other_bytes(there: Mapping[tuple[str, str], Build], offered: Sequence[Build]) -> None:
    """One name, one content: of the same build, and of the source archive that the targets of a stamp share."""
    known: dict[str, tuple[Build, str]] = {}
    for build in (*there.values(), *offered):
        for archive in build.archives:
            other, digest = known.setdefault(archive.path.name, (build, archive.sha256))
            if digest != archive.sha256:
                where = "is published already" if build.key in there else "stands in two of the folders"
                if build.key != other.key:
                    where = f"shares its source with {other.target}"
                raise PublishError(
                    f"{build.stamp} for {build.target} {where}, with other bytes in {archive.path.name}",
                    "what was published never changes: build with another suffix, or one with {id}",
                )


def _needs_attestations(tree: Path, stamp: str, signing: SiteSigning) -> bool:
    """Whether to write them anew though no build joins: for a first signature, another key, new bottles.

    Raises:
        PublishError: the release is signed, there are bottles now that the signature does not cover, such as those of
            another --name, and nobody can sign them.
    """
    signed = attestations.is_signed(tree, stamp)
    if attestations.lists_all_bottles(tree, stamp):
        return signing.signer is not None and (signing.resign or not signed)
    if signed and signing.signer is None:
        raise PublishError(
            f"{stamp} is signed, and bottles that join it need a new signature", "--sign-key, or --gpg-user"
        )
    return True


def _continue_log(catalogue: Catalogue, tree: Path, key: NoteSigner | None, note: Callable[[str], None]) -> None:
    """Goes on with the tree's checksum database. One that stops would refuse its users every later release."""
    there = database_names(tree)
    if key is not None:
        if there and key.name not in there:
            raise PublishError(f"the tree has the checksum database {there[0]}, not {key.name}", "its own --sumdb-key")
        note(f"the checksum database {key.name}")
        update_database(catalogue, tree, key=key)
        return
    for name in there:
        logged = tree / database_folder(name) / "lookup" / "golang.org"
        new = [each for each in map(module_version, catalogue.builds) if not (logged / f"toolchain@{each}").exists()]
        if new:
            raise PublishError(
                f"{new[0]} is not in the tree's checksum database {name}, so nobody could download it",
                "--sumdb-key with the database's key",
            )


def _about(catalogue: Catalogue, tree: Path, sumdb: str) -> str:
    """What a receiver cannot find out over HTTP, where no folder can be listed."""
    taps = sorted(path.name for path in tree.glob("homebrew-*.git"))
    about = {"schema": 1, "name": catalogue.name, "stamps": list(catalogue.releases), "taps": taps, "sumdb": sumdb}
    return json.dumps(about, indent=2) + "\n"


def _read_about(tree: Path) -> dict[str, Any]:
    """What a tree said of itself: its stamps, newest first, and its database's key; {} where nothing was published yet.

    Raises:
        PublishError: it is damaged.
    """
    if not any(tree.iterdir()):
        return {}
    try:
        about = load_json((tree / ABOUT).read_bytes())
        return {"stamps": tuple(map(str, about["stamps"])), "sumdb": str(about["sumdb"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise PublishError(f"{ABOUT} of the tree is damaged", "an older generation of the tree") from error
