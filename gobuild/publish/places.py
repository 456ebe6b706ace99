"""Where each file of an offer stands in the published tree, under which name, and how it gets there.

It refuses what a manifest must not say: a stamp that claims to be upstream's, a file named for something else, bytes
that differ from what stands there already. It knows no route.
"""

import os
import re
import shutil
from pathlib import Path

from gobuild import files
from gobuild.errors import PublishError
from gobuild.publish.shelf import Archive, Offer
from gobuild.settings import SUFFIX

MODULE = "golang.org/toolchain"
"""What the go command asks a proxy for when it looks for a toolchain (cmd/go/internal/toolchain/select.go)."""

DOWNLOADS = Path("dl")
PROXY = Path("proxy")
VERSIONS = PROXY / MODULE / "@v"
"""Relative to the tree."""


def stamp_of(offer: Offer) -> str:
    """The stamp, if every client can read it.

    Raises:
        PublishError: it has no suffix, another release's number, or a suffix that some client stumbles over.
    """
    stamp, tag = offer.stamp, offer.version.tag
    suffix = stamp.removeprefix(f"{tag}-")
    if suffix == stamp or not SUFFIX.fullmatch(suffix) or re.search("rc|beta", suffix):
        raise PublishError(
            f"{stamp!r} cannot be published: it is not {tag}-SUFFIX, which tells it from upstream's",
            "build with --suffix, such as acme1.{id}",
        )
    # semver, rule 9: setup-go then finds nothing in the whole index any more.
    if re.search(r"(^|\.)0\d+(\.|$)", suffix):
        raise PublishError(
            f"{stamp!r} cannot be published: in its suffix a number begins with 0, which semver does not allow",
            "build with another --suffix: acme1, acme.1",
        )
    return stamp


def module_version(offer: Offer) -> str:
    """The version of golang.org/toolchain that an offer is: "v0.0.1-go1.22.10-acme1.p3f9c2a1.linux-amd64".

    Raises:
        PublishError: as `stamp_of`.
    """
    return f"v0.0.1-{stamp_of(offer)}.{offer.target.dashed}"


def place_of(offer: Offer, archive: Archive) -> Path:
    """Where an archive of an offer stands, relative to the tree.

    Raises:
        PublishError: its name is not the one that Go's distpack gives to such a file.
    """
    stamp, name = stamp_of(offer), archive.path.name
    version = module_version(offer)
    expected = {
        f"{stamp}.{offer.target.dashed}.tar.gz": ("toolchain", DOWNLOADS),
        f"{stamp}.src.tar.gz": ("source", DOWNLOADS),
        f"{version}.zip": ("module", VERSIONS),
        f"{version}.mod": ("module", VERSIONS),
        f"{version}.info": ("module", VERSIONS),
    }
    kind, folder = expected.get(name, ("", Path()))
    if kind != archive.kind:
        raise PublishError(f"{name!r} is no file of {stamp} for {offer.target}", "the files that gobuild built")
    return folder / name


def module_file(offer: Offer, suffix: str) -> Archive:
    """The module's .zip, .mod or .info.

    Raises:
        PublishError: the offer has none.
    """
    for archive in offer.archives:
        if archive.kind == "module" and archive.path.suffix == suffix:
            return archive
    raise PublishError(f"{offer.stamp} for {offer.target} has no {suffix} of its module", "build it again")


def place(offer: Offer, archive: Archive, tree: Path) -> Path:
    """Puts an archive into the tree: by a hard link, or a copy where the file system has none.

    What is published never changes: the same bytes again are left as they are.

    Returns:
        Its path.

    Raises:
        PublishError: other bytes were published under that name.
    """
    path = tree / place_of(offer, archive)
    if path.exists():
        if not path.samefile(archive.path) and files.sha256(path) != archive.sha256:
            raise PublishError(
                f"{path.name} is published already, with other bytes", "build with another --suffix: a name is for ever"
            )
        return path
    source = archive.path.resolve()  # a link to a symbolic link would be one itself
    with files.whole(path) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
            temporary.chmod(0o644)
    return path
