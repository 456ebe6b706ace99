"""The downloads: archives with digests, and their index as go.dev/dl writes it, for tools that install Go from there.

A shelf comes in. dl/ holds the archives; dl/index.json lists them, and so does dl/index.html, with the same JSON in
it: then any static server answers `dl/?mode=json&include=all` as go.dev does. dl/plain/ lists the newest of each
release under the release's own number, for setup-go's `1.22` (README.md here says why that is another address), and
dl/versions.git lists the stamps as git tags, where mise looks for versions.
"""

import json
import zlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import PublishError
from gobuild.publish.catalogue import Offer, Shelf
from gobuild.publish.paths import DOWNLOADS, module_file, place, stamp_of

PLAIN = DOWNLOADS / "plain"
TAGS = DOWNLOADS / "versions.git"

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name for a tree without files: what the tags are of."""

Entry = dict[str, Any]


def write(shelf: Shelf, tree: Path) -> None:
    """Writes dl/ of a staged tree.

    Args:
        shelf: all that is offered.
        tree: the staged tree; what stands there is added to, and only the indexes are written anew.

    Raises:
        PublishError: a file is not what its name says, or was published before with other bytes.
    """
    for offer in shelf.offers:
        for archive in offer.archives:
            if archive.kind in ("toolchain", "source"):
                path = place(offer, archive, tree)
                digest = path.with_name(f"{path.name}.sha256")
                if not digest.exists():
                    # As go.dev serves it, the digits alone: mise and asdf take the whole file for the digest.
                    files.write(digest, archive.sha256)
    releases = shelf.releases
    entries = [entry(offers) for offers in releases.values()]
    for folder, listed in ((DOWNLOADS, entries), (PLAIN, plain(entries, shelf))):
        text = as_json(listed)
        for name in ("index.json", "index.html"):
            files.write(tree / folder / name, text)
    if newest := next((offers for offers in releases.values() if offers[0].version.stable), None):
        info = module_file(newest[0], ".info").path.read_bytes()
        files.write(tree / DOWNLOADS / "VERSION", version_text(newest[0], info))
    _tags(releases, tree / TAGS)


def _tags(stamps: Iterable[str], folder: Path) -> None:
    """A git repository for `git ls-remote` and the dumb HTTP protocol (gitprotocol-http): tags, and the empty tree."""
    files.write(folder / "HEAD", "ref: refs/heads/main\n")
    files.write(folder / "info" / "refs", "".join(f"{line}\n" for line in refs(stamps)))
    thing = folder / "objects" / EMPTY_TREE[:2] / EMPTY_TREE[2:]
    if not thing.exists():
        files.write(thing, zlib.compress(b"tree 0\0"))


def refs(stamps: Iterable[str]) -> list[str]:
    """The lines of info/refs: a tag for each stamp."""
    return [f"{EMPTY_TREE}\trefs/tags/{stamp}" for stamp in sorted(stamps)]


def entry(offers: tuple[Offer, ...]) -> Entry:
    """One release in go.dev's schema (golang.org/x/website/internal/dl).

    Args:
        offers: those of one stamp.
    """
    stamp = stamp_of(offers[0])
    found: dict[str, Entry] = {}
    for offer in offers:
        for archive in offer.archives:
            if archive.kind in ("toolchain", "source"):
                source = archive.kind == "source"
                found[archive.path.name] = {
                    "filename": archive.path.name,
                    "os": "" if source else offer.target.goos,
                    "arch": "" if source else offer.target.goarch,
                    "version": stamp,
                    "sha256": archive.sha256,
                    "size": archive.size,
                    "kind": "source" if source else "archive",
                }
    # go.dev lists the source first.
    listed = sorted(found.values(), key=lambda each: (each["kind"] != "source", each["filename"]))
    return {"version": stamp, "stable": offers[0].version.stable, "files": listed}


def plain(entries: list[Entry], shelf: Shelf) -> list[Entry]:
    """The same under upstream's version numbers: for each release and platform, the first in the shelf's order.

    Only the version of an entry is plain. Its files keep their names and their stamps, a folder up.

    Args:
        entries: of the index, in its order.
        shelf: what they were made from.
    """
    tags = {offer.stamp: offer.version.tag for offer in shelf.offers}
    releases: dict[str, dict[tuple[str, str], Entry]] = {}
    for each in entries:
        chosen = releases.setdefault(tags[each["version"]], {})
        for file in each["files"]:
            chosen.setdefault((file["os"], file["arch"]), file | {"filename": f"../{file['filename']}"})
    stable = {each.version.tag: each.version.stable for each in shelf.offers}
    return [{"version": tag, "stable": stable[tag], "files": list(chosen.values())} for tag, chosen in releases.items()]


def as_json(entries: list[Entry]) -> str:
    """The index as text. It is served as HTML too, and has nothing in it that HTML reads (as Go's encoding/json)."""
    text = json.dumps(entries, indent=1)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def version_text(offer: Offer, info: bytes) -> str:
    """The newest version as go.dev/VERSION?m=text tells it: a line with the name, and one with its time.

    Args:
        offer: the newest stable one.
        info: its module's .info, which knows the time.
    """
    try:
        time = datetime.fromisoformat(json.loads(info)["Time"])
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(f"the .info of {offer.stamp} is damaged", "build it again") from error
    return f"{stamp_of(offer)}\ntime {time:%Y-%m-%dT%H:%M:%SZ}\n"
