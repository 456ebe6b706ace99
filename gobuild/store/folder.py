"""A store in a folder: blobs by their digest, entries that name them, both born by rename and read with distrust.

    blobs/sha256/ab/HEX       read-only; the name says what is in it
    entries/KIND/KEY.json     written last, so that what it names is there; its mtime is when it was last used
    tmp/                      what is being made; what stands there while nobody holds the lock is debris

Whoever adds holds the lock shared, whoever removes holds it alone; readers hold none: they keep open what they have
checked, and an open file outlives its name. It knows no network and no second level.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gobuild.core import files
from gobuild.store.entry import DIGEST, FOLDER, KIND, LARGEST, Blob, Damaged, Entry, read

LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Folder:
    """A store's root. Nothing is made before the first file comes in."""

    root: Path

    def read(self, kind: str, key: str) -> Entry | None:
        """An entry; None where there is none.

        Raises:
            Damaged: it is none.
            OSError: it cannot be read.
        """
        try:
            with self._entry(kind, key).open("rb") as file:
                return read(file.read(LARGEST), kind, key)
        except FileNotFoundError:
            return None

    def used(self, entry: Entry) -> None:
        """Notes that an entry was used just now; who may not write here does not."""
        with contextlib.suppress(OSError):
            os.utime(self._entry(entry.kind, entry.key))

    def open(self, blob: Blob) -> BinaryIO:
        """A blob's file, whose digest was checked now.

        Raises:
            Damaged: it is not there, or holds other bytes.
        """
        try:
            file = self._blob(blob.sha256).open("rb")
        except FileNotFoundError as error:
            raise Damaged(f"blob {blob.sha256[:12]} is gone") from error
        if (
            os.fstat(file.fileno()).st_size != blob.size
            or hashlib.file_digest(file, "sha256").hexdigest() != blob.sha256
        ):
            file.close()
            raise Damaged(f"blob {blob.sha256[:12]} has other bytes")
        return file

    def fetch(self, blob: Blob, at: Path) -> None:
        """Copies a blob out, checked.

        Raises:
            Damaged: as `open`.
        """
        with self.open(blob) as file:
            files.clone(file, at)

    def holds(self, entry: Entry) -> bool:
        """Whether an entry stands here, by its name."""
        return self._entry(entry.kind, entry.key).is_file()

    @contextmanager
    def adding(self) -> Iterator[None]:
        """While files are added: nothing is removed meanwhile, not even what no entry names yet."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._free() as free:
            if free:
                for path in self._debris():
                    files.remove(path)
        with _flock(self.root / LOCK, fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self, waiting: Callable[[str], None]) -> Iterator[None]:
        """While files are removed: nobody adds.

        Args:
            waiting: told when others are adding just now, who are waited for.
        """
        with self._free() as free:
            if free:
                yield
                return
        waiting(f"waiting: another gobuild is adding to {self.root}")
        with _flock(self.root / LOCK, fcntl.LOCK_EX):
            yield

    def _free(self) -> AbstractContextManager[bool]:
        return _flock(self.root / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def keep(self, source: Path | BinaryIO, *, link: bool = False) -> Blob:
        """Adds a file, or a whole folder as a tar; within `adding`.

        Args:
            source: the file, the folder, or an open file.
            link: share the file itself, by a hard link, where that works: nobody may ever write into it.

        Raises:
            OSError: it cannot be read, or there is no room.
        """
        with self.scratch() as temporary:
            mode = _modes(source)
            if isinstance(source, Path) and mode == FOLDER:
                _pack(source, temporary)
                temporary.chmod(0o444)
            elif not (link and isinstance(source, Path) and linked(source, temporary)):
                files.clone(source, temporary)
                temporary.chmod(0o444)
            blob = Blob(sha256=files.sha256(temporary), size=temporary.stat().st_size, mode=mode)
            try:
                self.open(blob).close()
            except Damaged:  # or not there yet
                at = self._blob(blob.sha256)
                at.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(at)
        return blob

    def write(self, entry: Entry) -> None:
        """Writes an entry, whose blobs are all here; within `adding`."""
        at = self._entry(entry.kind, entry.key)
        at.parent.mkdir(parents=True, exist_ok=True)
        with self.scratch() as temporary:
            temporary.write_bytes(entry.text())
            temporary.replace(at)

    def send(self, entry: Entry, open: Callable[[Blob], BinaryIO], *, anew: bool) -> None:  # noqa: ARG002
        """Takes an entry with its blobs from elsewhere. What stands here is looked at in any case, not only `anew`."""
        with self.adding():
            for blob in entry.files.values():
                self.keep(open(blob))
            self.write(entry)

    def drop(self, kind: str, key: str) -> bool:
        """Removes an entry and the blobs of it that are damaged, if that is so still; tells whether it did.

        Where others are adding it is left to the next who comes.
        """
        with self._free() as free:
            if not free or not (bad := self._bad(kind, key)):
                return False
            for path in bad:
                files.remove(path)
            return True

    def _bad(self, kind: str, key: str) -> list[Path]:
        """The damaged files of an entry, itself among them; none if it is whole."""
        try:
            entry = self.read(kind, key)
        except Damaged:
            return [self._entry(kind, key)]
        bad = []
        for blob in entry.files.values() if entry else ():
            try:
                self.open(blob).close()
            except Damaged:
                bad.append(self._blob(blob.sha256))
        return [*bad, self._entry(kind, key)] if bad else []

    def names(self) -> Iterator[tuple[str, str, float]]:
        """Kind, key and last use (seconds since 1970) of all that look like entries."""
        for path in sorted(self.root.glob("entries/*/*.json")):
            if KIND.fullmatch(path.parent.name) and DIGEST.fullmatch(path.stem):
                with contextlib.suppress(FileNotFoundError):
                    yield path.parent.name, path.stem, path.stat().st_mtime

    def blobs(self) -> Iterator[Path]:
        """All blobs' files."""
        yield from self.root.glob("blobs/sha256/*/*")

    def forget(self, kind: str, key: str) -> None:
        """Removes an entry; within `alone`."""
        self._entry(kind, key).unlink(missing_ok=True)

    def unnamed(self, named: set[str], *, dry: bool) -> int:
        """Removes the blobs that nobody names, and debris; within `alone`. Returns the bytes; if `dry`, only that."""
        left = [path for path in (*self.blobs(), *self._debris()) if path.name not in named]
        freed = sum(path.stat().st_size for path in left)
        for path in () if dry else left:
            files.remove(path)
        return freed

    def _debris(self) -> Iterator[Path]:
        yield from (self.root / "tmp").glob("*")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A name for a file that is on its way here."""
        temporary = self.root / "tmp" / secrets.token_hex(8)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
        finally:
            files.remove(temporary)

    def path(self, sha256: str) -> Path:
        """Where a blob stands, if it does."""
        return self._blob(sha256)

    def _blob(self, sha256: str) -> Path:
        return self.root / "blobs/sha256" / sha256[:2] / sha256

    def _entry(self, kind: str, key: str) -> Path:
        return self.root / "entries" / kind / f"{key}.json"


@contextmanager
def _flock(path: Path, how: int) -> Iterator[bool]:
    """flock(2): the system lets it go when the process dies, however it dies. Yields whether it is held."""
    # "+": NFS, which makes POSIX locks of these, gives no shared lock on a file that is open for writing alone.
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            yield False
            return
        yield True


def linked(source: Path, at: Path) -> bool:
    """Makes a hard link to a file nobody writes into; false where the file system, or its border, does not let us."""
    try:
        os.link(source, at, follow_symlinks=False)
    except OSError:
        return False
    return not at.is_symlink()


def _modes(source: Path | BinaryIO) -> int:
    if not isinstance(source, Path):
        return 0o644
    if source.is_dir():
        return FOLDER
    return 0o755 if os.access(source, os.X_OK) else 0o644


def _pack(folder: Path, at: Path) -> None:
    """A folder's plain files as a tar that depends on their names, bytes and executable bits alone.

    Raises:
        OSError: something else than files and folders is in it, which `archives.unpack` would refuse.
    """
    with tarfile.open(at, "x:", format=tarfile.PAX_FORMAT) as tar:
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
