"""The downloads: archives with digests, and their index as go.dev/dl writes it, for tools that install Go from there.

dl/index.html has the same JSON as dl/index.json: then any static server answers `dl/?mode=json&include=all` as go.dev
does. dl/plain/ lists the newest of each release under the release's own number, for setup-go's `1.22`, and
dl/versions.git the stamps as git tags, where mise looks for versions.
"""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.goversion import GoVersion
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import DOWNLOADS, copy_to_tree, publishable_stamp
from gobuild.publish.proxy import parse_info

PLAIN = DOWNLOADS / "plain"
TAGS = DOWNLOADS / "versions.git"

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name for a tree without files: what the tags are of."""

Entry = dict[str, Any]


def write_downloads(catalogue: Catalogue, tree: Path) -> None:
    """Writes dl/ of a staged tree: archives are added to it as by `copy_to_tree`, and only the indexes written anew."""
    for build in catalogue.builds:
        for archive in build.archives:
            if archive.kind in ("toolchain", "source"):
                path = copy_to_tree(build, archive, tree)
                digest = path.with_name(f"{path.name}.sha256")
                if not digest.exists():
                    # As go.dev serves it, the digits alone: mise and asdf take the whole file for the digest.
                    files.write(digest, archive.sha256)
    releases = catalogue.releases
    entries = [index_entry(builds) for builds in releases.values()]
    for folder, listed in ((DOWNLOADS, entries), (PLAIN, plain_index(entries, catalogue))):
        text = index_json(listed)
        for name in ("index.json", "index.html"):
            files.write(tree / folder / name, text)
    if newest := next((builds for builds in releases.values() if builds[0].version.stable), None):
        info = newest[0].archive("module", ".info").path.read_bytes()
        files.write(tree / DOWNLOADS / "VERSION", version_text(newest[0], info))
    _tags(releases, tree / TAGS)


def _tags(stamps: Iterable[str], folder: Path) -> None:
    """A git repository for `git ls-remote` and the dumb HTTP protocol (gitprotocol-http): tags, and the empty tree."""
    files.write(folder / "HEAD", "ref: refs/heads/main\n")
    files.write(folder / "info" / "refs", "".join(f"{line}\n" for line in tag_refs(stamps)))
    thing = folder / "objects" / EMPTY_TREE[:2] / EMPTY_TREE[2:]
    if not thing.exists():
        files.write(thing, zlib.compress(b"tree 0\0"))


def tag_refs(stamps: Iterable[str]) -> list[str]:
    """The lines of info/refs: a tag for each stamp."""
    return [f"{EMPTY_TREE}\trefs/tags/{stamp}" for stamp in sorted(stamps)]


def index_entry(builds: tuple[Build, ...]) -> Entry:
    """The builds of one stamp in go.dev's schema (golang.org/x/website/internal/dl)."""
    stamp = publishable_stamp(builds[0])
    found: dict[str, Entry] = {}
    for build in builds:
        for archive in build.archives:
            if archive.kind in ("toolchain", "source"):
                source = archive.kind == "source"
                found[archive.path.name] = {
                    "filename": archive.path.name,
                    "os": "" if source else build.target.goos,
                    "arch": "" if source else build.target.goarch,
                    "version": stamp,
                    "sha256": archive.sha256,
                    "size": archive.size,
                    "kind": "source" if source else "archive",
                }
    # go.dev lists the source first.
    listed = sorted(found.values(), key=lambda each: (each["kind"] != "source", each["filename"]))
    return {"version": stamp, "stable": builds[0].version.stable, "files": listed}


def plain_index(entries: list[Entry], catalogue: Catalogue) -> list[Entry]:
    """The same under upstream's version numbers: for each release and platform, the first in the catalogue's order.

    Only the version of an entry is plain. Its files keep their names and their stamps, a folder up.
    """
    versions = {build.stamp: build.version for build in catalogue.builds}
    releases: dict[GoVersion, dict[tuple[str, str], Entry]] = {}
    for each in entries:
        chosen = releases.setdefault(versions[each["version"]], {})
        for file in each["files"]:
            chosen.setdefault((file["os"], file["arch"]), file | {"filename": f"../{file['filename']}"})
    return [
        {"version": version.tag, "stable": version.stable, "files": list(chosen.values())}
        for version, chosen in releases.items()
    ]


def index_json(entries: list[Entry]) -> str:
    """The index as text. It is served as HTML too, and has nothing in it that HTML reads (as Go's encoding/json)."""
    text = json.dumps(entries, indent=1)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def version_text(build: Build, info: bytes) -> str:
    """A version as go.dev/VERSION?m=text tells it: a line with the name, and one with the time by `parse_info`."""
    return f"{build.stamp}\ntime {parse_info(build, info)}\n"
