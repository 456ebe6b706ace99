"""Where each file of a build stands in the published tree, under which name, and how it is copied there.

A stamp that claims to be upstream's is refused, and so are bytes that differ from what stands there already.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, PublishError
from gobuild.core.model import Artifact
from gobuild.core.settings import SUFFIX
from gobuild.publish.builds import Build

MODULE = "golang.org/toolchain"
"""What the go command asks a proxy for when it looks for a toolchain (cmd/go/internal/toolchain/select.go)."""

DOWNLOADS = Path("dl")
PROXY = Path("proxy")
VERSIONS = PROXY / MODULE / "@v"
"""Relative to the tree."""


def publishable_stamp(build: Build) -> str:
    """The stamp, if every client can read it.

    Raises:
        PublishError: it has no suffix, another release's number, or a suffix that some client stumbles over.
    """
    stamp, tag = build.stamp, build.version.tag
    suffix = stamp.removeprefix(f"{tag}-")
    if suffix == stamp or not SUFFIX.fullmatch(suffix) or re.search("rc|beta", suffix):
        raise PublishError(
            f"{stamp!r} cannot be published: it is not {tag}-SUFFIX, which tells it from upstream's",
            "build with --suffix, such as acme.1.{id}",
        )
    # semver, rule 9: setup-go then finds nothing in the whole index any more.
    if re.search(r"(^|\.)0\d+(\.|$)", suffix):
        raise PublishError(
            f"{stamp!r} cannot be published: in its suffix a number begins with 0, which semver does not allow",
            "build with another --suffix: acme1, acme.1",
        )
    return stamp


def module_version(build: Build) -> str:
    """The version of golang.org/toolchain that a build is: "v0.0.1-go1.22.10-acme1.p3f9c2a1.linux-amd64"."""
    return f"v0.0.1-{publishable_stamp(build)}.{build.target.dashed}"


def path_in_tree(build: Build, archive: Artifact) -> Path:
    """Where an archive of a build stands, relative to the tree. Its name is distpack's, as `builds` has checked.

    Raises:
        PublishError: as `publishable_stamp`.
    """
    publishable_stamp(build)
    return (VERSIONS if archive.kind == "module" else DOWNLOADS) / archive.path.name


def copy_to_tree(build: Build, archive: Artifact, tree: Path, note: Callable[[str], None] = lambda _text: None) -> Path:
    """Copies an archive to where it is served from, hashed on its way; what stands there already is never changed.

    Raises:
        PublishError: other bytes were published under that name, or the file is not there.
        ChecksumMismatch: it is not what its manifest says.
    """
    path = tree / path_in_tree(build, archive)
    if path.exists():
        if not path.samefile(archive.path) and files.sha256(path) != archive.sha256:
            raise PublishError(
                f"{path.name} is published already, with other bytes", "build with another --suffix: a name is for ever"
            )
        return path
    note(f"{path.name}, {archive.size} bytes")
    with files.atomic_write(path) as temporary:
        _copy(archive, temporary)
    return path


def check_archive(archive: Artifact) -> None:
    """Refuses an archive that is not what its manifest says, as `copy_to_tree` does."""
    _copy(archive, Path(os.devnull))


def _copy(archive: Artifact, to: Path) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        source = archive.path.open("rb")
    except FileNotFoundError as error:
        raise PublishError(f"{archive.path.name} is not beside its manifest", "build again") from error
    with source, to.open("wb") as file:
        while (block := source.read(1 << 20)) and size <= archive.size:
            digest.update(block)
            size += len(block)
            file.write(block)
    if size != archive.size or digest.hexdigest() != archive.sha256:
        raise ChecksumMismatch(
            f"{archive.path} is not what its manifest says\n  expected sha256 {archive.sha256}, {archive.size} bytes\n"
            f"  found    sha256 {digest.hexdigest()}, {size} bytes",
            "build again; nothing was published",
        )
