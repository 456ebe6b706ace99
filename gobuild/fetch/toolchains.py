"""Toolchains unpacked in the cache, from an archive or a wheel, and used again as long as they are whole.

Beside the folder ``go`` of each stands a small file with the digest of what it came from and of the tree itself.
"""

import json
from collections.abc import Callable
from pathlib import Path

from gobuild.core import archives, files
from gobuild.core.console import Console
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Bootstrap
from gobuild.fetch import goroot

_MARK = "gobuild-toolchain.json"


def unpacked(
    place: Path,
    get: Callable[[], tuple[Path, str]],
    *,
    version: GoVersion,
    origin: str,
    digest: str = "",
    console: Console,
) -> Bootstrap:
    """A toolchain in the cache, unpacked unless it is there and whole.

    `get` fetches the archive when it is needed, and gives it with its digest, "sha256:HEX"; `digest` is what that must
    be, where it is known.
    """
    doing = f"unpacking Go {version}"
    with files.exclusive_lock(place.with_name(f".{place.name}.lock"), doing, waiting=console.say):
        came_from = _whole(place)
        if not came_from or digest not in ("", came_from):
            if place.exists():
                console.warn(f"the toolchain in {place} is damaged, or another one: it is unpacked again")
            archive, came_from = get()
            with files.atomic_write(place) as temporary:
                root = temporary / "go"
                archives.unpack(archive, root, goroot.below("go", lambda name: name != "__init__.py"))
                goroot.require_version(root, version)
                mark = {"digest": came_from, "tree": files.dirhash(root)}
                (temporary / _MARK).write_text(json.dumps(mark), encoding="utf-8")
    return Bootstrap(goroot=place / "go", version=version, origin=origin, digest=came_from)


def _whole(place: Path) -> str:
    """The digest of what a toolchain came from, if its files are what they were; else ""."""
    try:
        mark = json.loads((place / _MARK).read_bytes())
        return str(mark["digest"]) if files.dirhash(place / "go") == mark["tree"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
