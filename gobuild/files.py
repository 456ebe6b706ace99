"""Files born whole: digests, temporary names, locks, and archives that can write nowhere but into their folder.

Nothing here knows Go, a stage or the network.
"""

import base64
import contextlib
import ctypes
import hashlib
import os
import secrets
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from filelock import FileLock, Timeout

from gobuild.errors import Busy, DiskFull, UnsafeArchive

_BLOCK = 1 << 20

Select = Callable[[str], str | None]
"""Where an archive's entry goes: its name in, a path relative to the folder out, or None to leave it out."""

Linked = Callable[[str, str], None]
"""Who is told of a symbolic link in an archive: its name, and what it points to."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits."""
    return _sha256(os.fspath(path))


def _sha256(path: str) -> str:
    # Unbuffered, and no Path for each of ten thousand files: a third of a GOROOT's dirhash.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()


def dirhash(root: Path, names: Iterable[str] | None = None) -> str:
    """The hash of a folder's files, "h1:" and base64, as golang.org/x/mod/sumdb/dirhash.Hash1 makes it.

    A line "HEX  NAME" for each file, sorted by name, hashed; symbolic links are hashed by where they point to, and
    Git's own folder is left out.

    Args:
        root: the folder.
        names: the files to take, relative to it; by default all.
    """
    lines = []
    for name in _names(root) if names is None else names:
        path = f"{root}/{name}"
        linked = os.path.islink(path)  # noqa: PTH114
        digest = hashlib.sha256(os.readlink(path).encode()).hexdigest() if linked else _sha256(path)
        lines.append((name, digest))
    summary = hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(lines)).encode())
    return "h1:" + base64.b64encode(summary.digest()).decode()


def _names(root: Path) -> Iterator[str]:
    above = len(f"{root}/")
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        yield from (f"{folder}/{name}"[above:] for name in names)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file or folder made under a temporary name beside `path`, and renamed to it when the block ends well.

    What stood at `path` stays until then, and stays if the block fails; what was half made is removed.

    Yields:
        The temporary path. It does not exist yet; its folder does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            remove(path)
        temporary.replace(path)
    finally:
        remove(temporary)


def write(path: Path, content: str | bytes) -> None:
    """Writes a file at once: a reader sees the old one or the new one."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def clone(source: Path | BinaryIO, at: Path) -> None:
    """A copy that shares the source's blocks where the file system can (Btrfs, XFS, APFS), else has its own.

    Neither notices what is written into the other afterwards, which a hard link would.

    Args:
        source: a file, or one that is open; whose name may be gone by now.
        at: where to; nothing stands there.

    Raises:
        OSError: it cannot be read or written; what was half made is left to the caller.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            clone(file, at)
        return
    mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode) | stat.S_IWUSR
    if sys.platform == "darwin" and _clone_on_apfs(source.fileno(), at):
        at.chmod(mode)
        return
    with at.open("xb") as copy:
        _copy(source.fileno(), copy.fileno())
        os.fchmod(copy.fileno(), mode)


def _clone_on_apfs(source: int, at: Path) -> bool:
    """fclonefileat(2); false where the file system cannot."""
    system, here = ctypes.CDLL(None, use_errno=True), -2  # AT_FDCWD of macOS
    return bool(system.fclonefileat(source, here, os.fsencode(at), 0) == 0)


def _copy(source: int, to: int) -> None:
    """All bytes of one open file into another. copy_file_range(2) shares blocks by itself where it can."""
    done = 0
    if sys.platform == "linux":
        # Not across two file systems of different kinds, and not on every one: then the loop below does the rest.
        with contextlib.suppress(OSError):
            while count := os.copy_file_range(source, to, 1 << 30, done):
                done += count
    while block := os.pread(source, _BLOCK, done):
        done += os.pwrite(to, block, done)


def remove(path: Path) -> None:
    """Removes a file or a whole folder, read-only entries too; it is no error if it is not there."""
    if path.is_dir() and not path.is_symlink():
        if sys.version_info >= (3, 12):
            shutil.rmtree(path, onexc=_force)
        else:
            shutil.rmtree(path, onerror=_force)
    else:
        path.unlink(missing_ok=True)


def _force(function: Callable[[str], object], path: str, _error: object) -> None:
    """Go's module cache is read-only, folders too: open the folder, then try again."""
    for place in (Path(path).parent, Path(path)):
        if place.exists() and not place.is_symlink():
            place.chmod(place.stat().st_mode | stat.S_IRWXU)
    function(path)


@contextmanager
def alone(path: Path, doing: str, *, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the lock file `path`; the system lets it go when the process dies, however it dies.

    Args:
        path: the lock file, made where it is missing and left behind.
        doing: what the lock is for, as in "building go1.22.10-acme1 for darwin/arm64".
        waiting: where it is given, the lock is waited for, and this is told so once.

    Raises:
        Busy: another process holds it, and there is no waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if waiting is None:
            raise Busy(
                f"another gobuild is {doing}",
                "wait until it has ended, or give this one folders of its own by --work",
            ) from error
        waiting(f"waiting: another gobuild is {doing}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def usable(folder: Path, need: int, doing: str) -> None:
    """Makes a folder, sees that a file can be made in it, and that there is room.

    Args:
        folder: where files will go.
        need: how many bytes of them.
        doing: what they are needed for.

    Raises:
        OSError: it cannot be made or written to.
        DiskFull: fewer bytes are free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / ".probe") as temporary:
        temporary.touch()
    remove(folder / ".probe")
    room(folder, need, doing)


def room(folder: Path, need: int, doing: str) -> None:
    """Refuses before work begins what would not fit.

    Args:
        folder: where the bytes will go; it need not exist yet.
        need: how many.
        doing: what they are needed for.

    Raises:
        DiskFull: fewer are free.
    """
    if free(folder) < need:
        raise DiskFull(
            f"{doing} needs about {need >> 20} MiB in {folder}, and {free(folder) >> 20} MiB are free",
            "free some room, or choose other places by --work, --cache and --dist",
        )


def free(folder: Path) -> int:
    """The bytes free where a folder stands, or would stand."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


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
