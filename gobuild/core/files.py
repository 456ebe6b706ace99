"""Files born whole: digests, temporary names, locks, and room on the disk."""

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

    A line "HEX  NAME" for each file, sorted by name, hashed; symbolic links are hashed by where they point to. Of the
    names, relative to the folder, those of Git's own folder are left out where none are given.
    """
    lines = []
    for name in _names(root) if names is None else names:
        path = f"{root}/{name}"
        linked = os.path.islink(path)  # noqa: PTH114
        digest = hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest() if linked else _sha256(path)
        lines.append((name, digest))
    return hash1(lines)


def hash1(lines: Iterable[tuple[str, str]]) -> str:
    """The "h1:" of files by their names and SHA-256, as dirhash.Hash1 makes it."""
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

    What stood at `path` stays until then, and stays if the block fails; what was half made is removed. The temporary
    path does not exist yet; its folder does.
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


def clone(source: Path, at: Path) -> None:
    """A copy that shares the source's blocks where the file system can (Btrfs, XFS, APFS), else has its own.

    Neither notices what is written into the other afterwards, which a hard link would. Nothing may stand at `at`.
    """
    if sys.platform != "darwin" or not _clonefile(source, at):
        with source.open("rb") as file, at.open("xb") as copy:
            if sys.platform == "linux":
                # It shares blocks by itself where it can; across two kinds of file systems it does nothing.
                with contextlib.suppress(OSError):
                    while os.copy_file_range(file.fileno(), copy.fileno(), 1 << 30):
                        pass
            shutil.copyfileobj(file, copy, _BLOCK)
    at.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IWUSR)


def _clonefile(source: Path, at: Path) -> bool:
    """Calls clonefile(2) of macOS; false where the file system cannot."""
    return bool(ctypes.CDLL(None).clonefile(os.fsencode(source), os.fsencode(at), 0) == 0)


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

    `doing` is what it is for, as in "building go1.22.10-acme1 for darwin/arm64". Where there is `waiting`, the lock is
    waited for, and that is told so once.

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
    """Makes a folder, sees that a file can be made in it, and that there is room for so many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / ".probe") as temporary:
        temporary.touch()
    remove(folder / ".probe")
    require_room(folder, need, doing)


def require_room(folder: Path, need: int, doing: str) -> None:
    """Refuses before work begins what would not fit; the folder need not exist yet."""
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
