"""Two builds of one source, compared file by file."""

import filecmp
from collections.abc import Iterator
from pathlib import Path

from gobuild.core.model import Toolchain

PACKED = ("api", "doc", "lib", "misc", "pkg/include", "src", "test")
"""The folders of GOROOT that distpack packs whole; of bin and pkg/tool it packs what is the target's."""


def differing_files(one: Toolchain, other: Toolchain) -> tuple[str, ...]:
    """The files that are not the same, of all that ships; "src/x (missing)" where only one toolchain has a file.

    Of the tools, those that both have: make.bash makes some that distpack leaves out (cmd/dist, cmd/distpack), and the
    direct builder does not.
    """
    return tuple(sorted({*_shipped(one, other), *_trees(one.goroot, other.goroot)}))


def _shipped(one: Toolchain, other: Toolchain) -> Iterator[str]:
    for ours, theirs in ((one.bin, other.bin), (one.tools, other.tools)):
        where = ours.relative_to(one.goroot)
        both = sorted(path.name for path in ours.iterdir() if path.is_file() and (theirs / path.name).is_file())
        yield from (f"{where}/{name}" for name in both if not _same(ours / name, theirs / name))


def _trees(one: Path, other: Path) -> Iterator[str]:
    tops = [path.name for path in one.iterdir() if path.is_file()]
    names = {name for root in (one, other) for top in PACKED for name in _below(root, root / top)} | set(tops)
    for name in names:
        if not (one / name).is_file() or not (other / name).is_file():
            yield f"{name} (missing)"
        elif not _same(one / name, other / name):
            yield name


def _below(root: Path, folder: Path) -> Iterator[str]:
    return (str(path.relative_to(root)) for path in folder.rglob("*") if path.is_file())


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)
