"""Finished builds for the tests of taps: see `publish_toys`."""

from pathlib import Path
from typing import Any

from publish_toys import put_build

from gobuild.core.goversion import Target
from gobuild.publish.builds import Build, read_build
from gobuild.publish.homebrew import Tap

DARWIN, LINUX = Target.parse("darwin/arm64"), Target.parse("linux/amd64")


def built(dist: Path, stamp: str, target: Target, *, pinned: bool = True, **more: Any) -> Build:
    """Puts a finished build into a folder. `more` are keys of its manifest."""
    put = put_build(dist, stamp=stamp, target=str(target), pinned=pinned, edit=lambda told: told.update(more))
    return read_build(put, archives=dist)


def formula_in(there: Tap, name: str) -> str:
    """A formula of a tap."""
    text = there.read_file(f"Formula/{name}.rb")
    assert text is not None, list(there.entries())
    return text
