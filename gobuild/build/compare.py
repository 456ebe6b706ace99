"""Two builds of one source, compared file by file."""

import filecmp

from gobuild.core.model import Toolchain

PACKED = ("api", "doc", "lib", "misc", "pkg/include", "src", "test")
"""The folders of GOROOT that distpack packs whole; of bin and pkg/tool it packs what is the target's."""


def differing_files(one: Toolchain, other: Toolchain) -> tuple[str, ...]:
    """The files that are not the same, of all that ships; "src/x (missing)" where only one toolchain has a file.

    Of the tools, those that both have: make.bash makes some that distpack leaves out (cmd/dist, cmd/distpack), and the
    direct builder does not.
    """
    roots = (one.goroot, other.goroot)
    below = [(root, path) for root in roots for top in PACKED for path in (root / top).rglob("*") if path.is_file()]
    names = {path.relative_to(root).as_posix() for root, path in below}
    names |= {path.name for path in one.goroot.iterdir() if path.is_file()}
    _, differ, missing = filecmp.cmpfiles(*roots, names, shallow=False)
    for ours, theirs in ((one.bin, other.bin), (one.tools, other.tools)):
        both = [path.name for path in ours.iterdir() if path.is_file() and (theirs / path.name).is_file()]
        where = ours.relative_to(one.goroot)
        differ += [f"{where}/{name}" for name in filecmp.cmpfiles(ours, theirs, both, shallow=False)[1]]
    return tuple(sorted([*differ, *(f"{name} (missing)" for name in missing)]))
