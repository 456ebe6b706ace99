"""A store in a folder: KIND/KEY/ with an entry's files and its entry.json, born under tmp/ and renamed; no locks.

A reader copies and hashes the copy. An entry that is pruned or replaced meanwhile is one that is not there.
"""

import contextlib
import errno
import itertools
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gobuild.core import files
from gobuild.store.entry import DIGEST, ENTRY, KINDS, LARGEST_JSON, Damaged, StoreEntry, parse_entry

DAY = 24 * 60 * 60
"""Seconds after which what stands in tmp/ is what a killed run has left."""

ATTEMPTS = 20
"""How often a writer makes way for its entry, where others write the same one."""

_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""What rename(2) says of a folder that is to replace one with files, or a file."""


def copy_checked(copy: Callable[[StoreEntry, str, Path], None], entry: StoreEntry, into: Path) -> None:
    """Copies an entry's files into a folder. Raises Damaged where one is missing, or its copy has other bytes."""
    for name, file in entry.files.items():
        try:
            copy(entry, name, into / name)
        except FileNotFoundError as error:
            raise Damaged(f"{name} is gone") from error
        if files.sha256(into / name) != file.sha256:
            raise Damaged(f"{name} has other bytes")
        (into / name).chmod(0o644)


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """A store's root. Nothing is made before the first entry comes in."""

    root: Path

    def entry(self, kind: str, key: str, *, hashed: bool = False) -> StoreEntry | None:
        """An entry, its files hashed or not looked at. Raises Damaged where it is not what it must be."""
        with self._reading(kind, key) as entry:
            if entry and hashed:
                for name, file in entry.files.items():
                    if files.sha256(self._file(entry, name)) != file.sha256:
                        raise Damaged(f"{name} has other bytes")
            return entry
        return None

    def get(self, kind: str, key: str, into: Path) -> StoreEntry | None:
        """An entry, its files copied to a new folder `into`, which is there only if all of them are as they must be."""
        with self._reading(kind, key) as entry:
            if entry:
                with files.atomic_write(into) as temporary:
                    temporary.mkdir()
                    copy_checked(self.copy, entry, temporary)
                with contextlib.suppress(OSError):  # who may only read does not note the use
                    os.utime(self._path(kind, key) / ENTRY)
            return entry
        return None

    def copy(self, entry: StoreEntry, name: str, to: Path) -> None:
        """Copies a file of the right size out. Raises Damaged where it is no plain file, or has another size."""
        files.clone(self._file(entry, name), to)

    def add(self, entry: StoreEntry, sources: Mapping[str, Path]) -> None:
        """Takes an entry; what stood under its key is replaced, or stays where this one cannot be written."""
        at = self._path(entry.kind, entry.key)
        with self._scratch() as made:
            made.mkdir()
            for name, source in sources.items():
                files.clone(source, made / name)
            (made / ENTRY).write_bytes(entry.to_json())
            at.parent.mkdir(exist_ok=True)
            for _ in range(ATTEMPTS):
                try:
                    made.rename(at)
                    break
                except OSError as error:
                    if error.errno not in _IN_THE_WAY:
                        raise
                self.remove(entry.kind, entry.key)
            else:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(at))
        self.sweep()

    def remove(self, kind: str, key: str) -> None:
        """Removes an entry, for everybody at one moment; it is no error if it is not there."""
        with self._scratch() as aside, contextlib.suppress(FileNotFoundError):
            self._path(kind, key).rename(aside)

    def sweep(self) -> None:
        """Removes what killed runs have left in tmp/."""
        for path in (self.root / "tmp").glob("*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < time.time() - DAY:
                    files.remove(path)

    def list_keys(self) -> list[tuple[str, str]]:
        """Kind and key of all that look like entries."""
        found = (path for kind in KINDS for path in sorted((self.root / kind).glob("*")))
        return [(path.parent.name, path.name) for path in found if DIGEST.fullmatch(path.name)]

    def last_use(self, kind: str, key: str) -> float:
        """When an entry was last used, seconds since 1970; 0 for one that is gone."""
        with contextlib.suppress(FileNotFoundError):
            return (self._path(kind, key) / ENTRY).stat().st_mtime
        return 0

    def _path(self, kind: str, key: str) -> Path:
        return self.root / kind / key

    def _file(self, entry: StoreEntry, name: str) -> Path:
        path = self._path(entry.kind, entry.key) / name
        if _plain_size(path) != entry.files[name].size:
            raise Damaged(f"{name} has another size")
        return path

    @contextmanager
    def _reading(self, kind: str, key: str) -> Iterator[StoreEntry | None]:
        """An entry, or None, while its files are read; a block that it was pruned or replaced under is left quietly."""
        at = self._path(kind, key) / ENTRY
        try:
            if _plain_size(at) > LARGEST_JSON:
                raise Damaged("its size cannot be right")
            file = at.open("rb")
        except FileNotFoundError:
            yield None
            return
        except NotADirectoryError as error:
            raise Damaged("it is no folder") from error
        with file:
            try:
                yield parse_entry(file.read(), kind, key)
            except (Damaged, FileNotFoundError) as damage:
                if _still_there(file, at):
                    raise Damaged(str(damage) if isinstance(damage, Damaged) else "a file of it is gone") from damage

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A name in tmp/, for what is on its way here or away."""
        path = self.root / "tmp" / secrets.token_hex(8)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            files.remove(path)


def _plain_size(path: Path) -> int:
    """The size of a plain file; a link or a pipe is Damaged."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise Damaged(f"{path.name} is no plain file")
    return status.st_size


def _still_there(file: BinaryIO, at: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), at.lstat())
    return False


def list_entries(folder: StoreFolder) -> list[tuple[StoreEntry, float]]:
    """All entries with their last use (seconds since 1970), the last used first; those that can be read."""
    found = []
    for kind, key in folder.list_keys():
        with contextlib.suppress(Damaged):
            if entry := folder.entry(kind, key):
                found.append((entry, folder.last_use(kind, key)))
    return sorted(found, key=lambda each: each[1], reverse=True)


def verify_store(folder: StoreFolder) -> tuple[list[StoreEntry], list[str]]:
    """Hashes all files of all entries: those that are whole, and what was wrong with the others, which are gone now."""
    whole, damaged = list[StoreEntry](), list[str]()
    for kind, key in folder.list_keys():
        try:
            if entry := folder.entry(kind, key, hashed=True):
                whole.append(entry)
        except Damaged as damage:
            damaged.append(f"{kind} {key[:12]}: {damage}")
            folder.remove(kind, key)
    return whole, damaged


def prune_store(folder: StoreFolder, limit: int, *, dry: bool = False) -> tuple[list[tuple[StoreEntry, float]], int]:
    """Removes what was not used for the longest time until no more than `limit` bytes are left; what is no entry too.

    Dry, it removes nothing. Returns what went, as `list_entries` does, and the bytes that came free.
    """
    names, listed = folder.list_keys(), list_entries(folder)
    totals = itertools.accumulate(entry.size for entry, _ in listed)
    fit = sum(1 for _ in itertools.takewhile(lambda total: total <= limit, totals))
    kept = {(entry.kind, entry.key) for entry, _ in listed[:fit]}
    freed = 0
    for kind, key in names:
        if (kind, key) not in kept:
            freed += files.size(folder.root / kind / key)
            if not dry:
                folder.remove(kind, key)
    if not dry:
        folder.sweep()
    return listed[fit:], freed
