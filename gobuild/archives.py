"""Archives that can write nowhere but into their folder: a .tar, .tar.gz, .zip or .whl in, plain files out.

Nothing here knows Go, a stage or the network.
"""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from gobuild.errors import UnsafeArchive
from gobuild.files import whole

_BLOCK = 1 << 20

Select = Callable[[str], str | None]
"""Where an archive's entry goes: its name in, a path relative to the folder out, or None to leave it out."""

Linked = Callable[[str, str], None]
"""Who is told of a symbolic link in an archive: its name, and what it points to."""


def names(archive: Path) -> Iterator[str]:
    """The names of an archive's files, links included, as they stand there: for a look before `unpack`.

    Raises:
        UnsafeArchive: as `unpack`, but for links.
    """
    members = _zip_members(archive) if archive.suffix in (".zip", ".whl") else _tar_members(archive, _no_matter)
    with _damage(archive):
        for name, _, _ in members:
            yield _safe(name, archive)


def _no_matter(_name: str, _target: str) -> None:
    """For a look at names alone."""


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    """What the readers say of a damaged archive, as one error of ours."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        # RuntimeError: an encrypted entry, or (NotImplementedError) a compression that Python does not know.
        raise UnsafeArchive(f"{archive.name} is no whole archive: {error}", "fetch it again") from error


def unpack(archive: Path, into: Path, select: Select = str, *, links: Linked | None = None, limit: int = 0) -> None:
    """Unpacks a .tar, .tar.gz, .zip or .whl so that no entry can leave its folder.

    Only plain files and folders are taken; a link, a device, an absolute path or one with ".." is refused before
    anything outside `into` could be touched. Modes are kept as far as "executable or not".

    Args:
        archive: the file.
        into: a folder, which must not exist; it appears when all of it is there.
        select: which entries to take, and where to; by default all, as named.
        links: told of every symbolic link of a tar, by its name and what it points to, in place of refusing it; the
            link itself is never made.
        limit: the bytes that may come out; 0 for no limit but the disk's.

    Raises:
        UnsafeArchive: an entry that is no plain file or folder below the root, or stands there twice.
        UnsafeArchive: the file is no archive, or a damaged one.
        DiskFull: there is no room.
    """
    # By its name: a tar may hold a zip's end record among its last bytes.
    members = _zip_members(archive) if archive.suffix in (".zip", ".whl") else _tar_members(archive, links)
    taken = 0
    with whole(into) as temporary, _damage(archive):
        temporary.mkdir()
        for name, executable, content in members:
            chosen = select(_safe(name, archive))
            if chosen is not None:
                taken += _place(
                    temporary / _safe(chosen, archive),
                    executable,
                    content,
                    archive,
                    room=limit - taken if limit else None,
                )


def _place(path: Path, executable: bool, content: IO[bytes], archive: Path, *, room: int | None) -> int:
    """Writes one entry and returns its bytes; more than `room` are refused before they are there."""
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while block := content.read(_BLOCK):
                written += len(block)
                if room is not None and written > room:
                    raise UnsafeArchive(
                        f"{archive.name} unpacks to more than it may, at {path.name!r}", "do not use this archive"
                    )
                file.write(block)
    except (FileExistsError, NotADirectoryError) as error:
        raise UnsafeArchive(f"{archive.name} has the entry {path.name!r} twice", "do not use this archive") from error
    path.chmod(0o755 if executable else 0o644)
    return written


def _safe(name: str, archive: Path) -> str:
    path = PurePosixPath(name)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or ":" in path.parts[0]
    ):
        raise UnsafeArchive(f"{archive.name} has an entry that leaves its folder: {name!r}", "do not use this archive")
    return str(path)


def _tar_members(archive: Path, links: Linked | None = None) -> Iterator[tuple[str, bool, IO[bytes]]]:
    # Not as a stream: tarfile's own reader of streams takes one that was cut between two entries for a whole one.
    with tarfile.open(archive, "r:*") as tar:
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
                raise UnsafeArchive(
                    f"{archive.name} has an entry that is no plain file: {member.name!r}",
                    "do not use this archive",
                )
            yield member.name, bool(member.mode & stat.S_IXUSR), content
        while tar.fileobj and tar.fileobj.read(_BLOCK):
            """To its end, where a compressed one has its own digest."""


def _zip_members(archive: Path) -> Iterator[tuple[str, bool, IO[bytes]]]:
    with zipfile.ZipFile(archive) as pack:
        for info in pack.infolist():
            if info.is_dir():
                _safe(info.filename, archive)
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise UnsafeArchive(
                    f"{archive.name} has an entry that is no plain file: {info.filename!r}",
                    "do not use this archive",
                )
            with pack.open(info) as content:
                yield info.filename, bool(mode & stat.S_IXUSR), content
