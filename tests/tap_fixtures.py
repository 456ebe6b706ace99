"""Finished builds for the tests of taps: see `publish_toys`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from publish_toys import MTIME, catalogue, put_build, toolchain_files

from gobuild.core.goversion import Target
from gobuild.publish.builds import Build, read_build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.homebrew import Tap

PATCHES = ("mfinal-metal-init", "goenv-local")
__all__ = ["DARWIN", "LINUX", "MTIME", "PATCHES", "built", "formula_in", "shelf_of", "toolchain"]

DARWIN, LINUX = Target.parse("darwin/arm64"), Target.parse("linux/amd64")


def toolchain(stamp: str, target: Target, *, pinned: bool = True) -> dict[str, bytes]:
    """The entries of an archive."""
    files = toolchain_files(stamp, str(target), pinned=pinned, patches=PATCHES)
    return {f"go/{name}": content for name, content in files.items()}


def built(dist: Path, stamp: str, target: Target, *, pinned: bool = True, **more: Any) -> Build:
    """Puts a finished build into a folder. `more` are keys of its manifest."""
    put = put_build(
        dist, stamp=stamp, target=str(target), pinned=pinned, patches=PATCHES, edit=lambda d: d.update(more)
    )
    return read_build(put, archives=dist)


def shelf_of(
    *builds: Build, base_url: str = "https://dl.example.com/go", name: str = "go-acme", before: Sequence[str] = ()
) -> Catalogue:
    """A catalogue, ordered as it should be."""
    return catalogue(*builds, base_url=base_url, name=name, before=before)


def formula_in(there: Tap, name: str) -> str:
    """A formula of a tap."""
    text = there.read_file(f"Formula/{name}.rb")
    assert text is not None, list(there.entries())
    return text
