"""Archives (tar, plain or compressed, and zip) that can write nowhere but into their folder, and plain files alone."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from gobuild.core.errors import UnsafeArchive
from gobuild.core.files import atomic_write

_BLOCK = 1 << 20

Select = Callable[[str], str | None]
"""Where an archive's entry goes: its name in, a path relative to the folder out, or None to leave it out."""

Linked = Callable[[str, str], None]
"""Who is told of a symbolic link in an archive: its name, and what it points to."""


SLACK = 1 << 26
"""Bytes of a tar besides its files' content, headers and padding, that a limit allows for."""

_OPENERS: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""What decompresses a tar, by its first bytes."""

Members = Iterator[tuple[str, bool, IO[bytes]]]


def list_names(archive: Path, *, limit: int = 0) -> Iterator[str]:
    """The names of an archive's files, links included, as they stand there: for a look before `unpack`.

    The limit is as for `unpack`: a compressed tar has to be decompressed to be looked at.
    """
    with damage_refused(archive):
        for name, _, _ in _members(archive, lambda _name, _target: None, limit):
            yield _safe(name, archive)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does. A tar may hold a zip's end record among its last bytes."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


def _members(archive: Path, links: Linked | None, limit: int) -> Members:
    """By its content, whatever it is called."""
    return _zip_members(archive) if is_zip(archive) else _tar_members(archive, links, limit)


_READERS_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError),
    RuntimeError,  # an encrypted entry, or (NotImplementedError) a compression that Python does not know
)
"""What the readers raise for damage; gzip's is an OSError without a number."""


@contextmanager
def damage_refused(archive: Path) -> Iterator[None]:
    """What the readers say of a damaged archive, as one error of ours."""
    try:
        yield
    except _READERS_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's
        raise UnsafeArchive(f"{archive.name} is no whole archive: {error}", "fetch it again") from error


def unpack(archive: Path, into: Path, select: Select = str, *, links: Linked | None = None, limit: int = 0) -> None:
    """Unpacks a tar, plain or compressed, or a zip, whatever it is called, so that no entry can leave its folder.

    Only plain files and folders are taken; a link, a device, an absolute path or one with ".." is refused before
    anything outside `into` could be touched. Modes are kept as far as "executable or not". The folder `into` must not
    exist; it appears when all of it is there. `links` is told of every symbolic link of a tar in place of refusing it;
    the link itself is never made. `limit` bytes may come out, what stands between and behind the files in a tar
    included but for `SLACK`; 0 is no limit but the disk's.

    Raises:
        UnsafeArchive: an entry that is no plain file or folder below the root, or stands there twice; the file is no
            archive, or a damaged one.
    """
    taken = 0
    with atomic_write(into) as temporary, damage_refused(archive):
        temporary.mkdir()
        for name, executable, content in _members(archive, links, limit):
            chosen = select(_safe(name, archive))
            if chosen is not None:
                path, room = temporary / _safe(chosen, archive), limit - taken if limit else None
                taken += _write_member(path, executable, content, archive, room)


def pack(folder: Path, to: Path) -> None:
    """A folder's plain files as a tar that depends on their names, bytes and executable bits alone.

    Something that `unpack` would refuse is an OSError.
    """
    with tarfile.open(to, "w:", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            info = tar.gettarinfo(path, path.relative_to(folder).as_posix())
            if not info.isreg():
                raise OSError(None, "neither a file nor a folder", str(path))
            info.mode, info.mtime = 0o755 if info.mode & 0o100 else 0o644, 0
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            with path.open("rb") as file:
                tar.addfile(info, file)


def _write_member(path: Path, executable: bool, content: IO[bytes], archive: Path, room: int | None) -> int:
    """Writes one entry and returns its bytes; more than `room` are refused before they are there."""
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while block := content.read(_BLOCK):
                written += len(block)
                if room is not None and written > room:
                    raise _unsafe(archive, f"unpacks to more than it may, at {path.name!r}")
                file.write(block)
    except (FileExistsError, NotADirectoryError) as error:
        raise _unsafe(archive, f"has the entry {path.name!r} twice") from error
    path.chmod(0o755 if executable else 0o644)
    return written


def _unsafe(archive: Path, what: str) -> UnsafeArchive:
    return UnsafeArchive(f"{archive.name} {what}", "do not use this archive")


def _safe(name: str, archive: Path) -> str:
    path = PurePosixPath(name)
    odd = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if odd or not path.parts or ":" in path.parts[0]:
        raise _unsafe(archive, f"has an entry that leaves its folder: {name!r}")
    return str(path)


class _Bounded:
    """A file of a tar's bytes, of which no more than a limit are read or passed over."""

    def __init__(self, file: IO[bytes], archive: Path, limit: int) -> None:
        self.file, self.archive, self.last = file, archive, limit + SLACK if limit else 0

    def read(self, size: int = -1) -> bytes:
        """As any file does."""
        self._allow(self.tell() + max(size, 0))
        return self.file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As any file does; forward it is decompressed."""
        self._allow(offset)
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """As any file does."""
        return self.file.tell()

    def _allow(self, end: int) -> None:
        if self.last and end > self.last:
            raise _unsafe(self.archive, "unpacks to more than it may")


@contextmanager
def open_tar(archive: Path, limit: int) -> Iterator[tuple[tarfile.TarFile, _Bounded]]:
    """A tar, plain or compressed, and the file of its bytes, of which no more than a limit and `SLACK` are read."""
    with archive.open("rb") as raw:
        head = raw.peek(6)
        opener = next((each for magic, each in _OPENERS.items() if head.startswith(magic)), None)
        with opener(raw) if opener else nullcontext(raw) as plain:
            file = _Bounded(plain, archive, limit)
            try:
                # Not as a stream: tarfile's own reader of streams takes one cut between two entries for a whole one.
                tar = tarfile.open(fileobj=file, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
            except tarfile.ReadError as error:
                raise UnsafeArchive(
                    f"{archive.name} is no archive: neither a tar, plain or compressed, nor a zip",
                    "fetch it again, or name another: a .tar.gz, .zip or .whl",
                ) from error
            with tar:
                yield tar, file


def _tar_members(archive: Path, links: Linked | None, limit: int) -> Members:
    with open_tar(archive, limit) as (tar, file):
        for member in tar:
            if member.isdir():
                if member.name.strip("./"):
                    _safe(member.name, archive)
                continue
            if member.issym() and links is not None:
                links(_safe(member.name, archive), member.linkname)
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise _unsafe(archive, f"has an entry that is no plain file: {member.name!r}")
            yield member.name, bool(member.mode & stat.S_IXUSR), content
        while file.read(_BLOCK):
            """To its end, where a compressed one has its own digest."""


def _zip_members(archive: Path) -> Members:
    with zipfile.ZipFile(archive) as pack:
        for info in pack.infolist():
            if info.is_dir():
                _safe(info.filename, archive)
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _unsafe(archive, f"has an entry that is no plain file: {info.filename!r}")
            with pack.open(info) as content:
                yield info.filename, bool(mode & stat.S_IXUSR), content
