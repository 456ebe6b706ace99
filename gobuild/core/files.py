"""Files born whole: digests, temporary names, locks, and room on the disk.

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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from gobuild.core.errors import Busy, DiskFull

LOCK = ".gobuild.lock"
"""The file that whoever works in a folder of ours holds, and by which a build of ours is known."""

_BLOCK = 1 << 20


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
        digest = hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest() if linked else _sha256(path)
        lines.append((name, digest))
    summary = hashlib.sha256(os.fsencode("".join(f"{digest}  {name}\n" for name, digest in sorted(lines))))
    return "h1:" + base64.b64encode(summary.digest()).decode()


def _names(root: Path) -> Iterator[str]:
    above = len(f"{root}/")
    for folder, folders, names in os.walk(root):
        linked = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114
        folders[:] = [name for name in folders if name != ".git" and name not in linked]
        yield from (f"{folder}/{name}"[above:] for name in (*names, *linked))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
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
    with atomic_write(path) as temporary:
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


def _force(function: Callable[..., object], path: str, _error: object) -> None:
    """Go's module cache is read-only, folders too: open the folder, then try again."""
    for place in (Path(path).parent, Path(path)):
        if place.exists() and not place.is_symlink():
            place.chmod(place.stat().st_mode | stat.S_IRWXU)
    if function in (os.unlink, os.rmdir):
        function(path)
    else:  # it could not be opened or listed: all of it is still there
        remove(Path(path))


@contextmanager
def exclusive_lock(path: Path, doing: str, *, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
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


def ensure_writable(folder: Path, need: int, doing: str) -> None:
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
    with atomic_write(folder / ".probe") as temporary:
        temporary.touch()
    remove(folder / ".probe")
    require_room(folder, need, doing)


def require_room(folder: Path, need: int, doing: str) -> None:
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


def size(path: Path) -> int:
    """The bytes of a file, or of all files below a folder; 0 where nothing is."""
    if not os.path.lexists(path):
        return 0
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def free(folder: Path) -> int:
    """The bytes free where a folder stands, or would stand."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free
