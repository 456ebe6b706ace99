"""The store: inputs, host tools and finished toolchains by what decides their bytes, so that nothing is made twice.

In come files under a kind and a key; out come the same files, their digests checked. A local folder first; behind it,
where one is named, a second level that a team shares. It decides no key's parts and knows nothing of Go.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gobuild.core import archives, files
from gobuild.store.entry import FOLDER, Blob, Damaged, Entry, key, now
from gobuild.store.folder import Folder, linked
from gobuild.store.shared import Shared
from gobuild.store.upkeep import Checked, Held, entries, prune, size, verify

__all__ = ["Blob", "Checked", "Entry", "Folder", "Held", "Store", "entries", "key", "prune", "size", "verify"]

_THREADS = 4
"""Files hashed at a time; hashlib lets go of Python's lock."""


@dataclass(slots=True, kw_only=True, weakref_slot=True, eq=False)
class Store:
    """A store, opened for one run. Use `open`.

    What `get` and `put` gave stays readable through this object, whoever prunes meanwhile: its files are kept open.

    Attributes:
        folder: the local level.
        shared: the second, or None.
        say: told of what is damaged, and what could not be stored.
    """

    folder: Folder
    shared: Shared | None
    say: Callable[[str], None]
    _open: dict[str, BinaryIO] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, root: Path, *, shared: str = "", say: Callable[[str], None]) -> "Store":
        """Opens a store. Touches nothing yet.

        Args:
            root: its folder.
            shared: the second level: a folder, or a URL that fsspec knows; "" for none.
            say: told of what is damaged, and what could not be stored.

        Raises:
            ConfigError: the URL holds credentials, or nothing here can read it.
        """
        return cls(folder=Folder(root.absolute()), shared=Shared.at(shared, say) if shared else None, say=say)

    def get(self, kind: str, key: str) -> Entry | None:
        """What stands under a key, every file of it there and its digest checked now; None where nothing does.

        What is damaged is dropped, and told of. What the second level alone has comes here first.

        Args:
            kind: "input", "tools" or "toolchain".
            key: from `key`; an input's own digest.
        """
        entry = self._local(kind, key)
        if entry is None:
            return self._through(kind, key) if self.shared else None
        self.folder.used(entry)
        if self.shared:
            self.shared.offer(entry, self._file)
        return entry

    def put(
        self, kind: str, key: str, files: Mapping[str, Path], facts: Mapping[str, Any], *, link: bool = False
    ) -> Entry | None:
        """Stores files under a key, the second level included. What stood there is replaced.

        Args:
            kind: "input", "tools" or "toolchain".
            key: from `key`.
            files: by the names to keep them under; a folder is kept as one blob, a tar.
            facts: what else to keep, as JSON has it.
            link: share the files themselves by hard links; nobody may ever write into them.

        Returns:
            The entry; None where it could not be stored, which was told: no reason for a build to fail.
        """
        try:
            with self.folder.adding():
                blobs = {name: self.folder.keep(path, link=link) for name, path in files.items()}
                entry = Entry(kind=kind, key=key, files=blobs, facts=facts, made=now())
                self.folder.write(entry)
                self._hold(entry)
        except (OSError, Damaged) as error:
            self.say(f"not stored: {_reason(error)} ({self.folder.root})")
            return None
        if self.shared:
            self.shared.put(entry, self._file)
        return entry

    def place(self, entry: Entry, name: str, at: Path) -> None:
        """Puts a file of an entry where it is wanted, whole or not at all; a folder must not stand there yet.

        It is a copy that shares blocks where the file system can (`files.clone`), to be written to at will.

        Args:
            entry: from `get` or `put` of this very object.
            name: which of its files.
            at: where to; a file there is replaced.

        Raises:
            OSError: there is no room, or no right to write.
        """
        blob = entry.files[name]
        with files.atomic_write(at) as temporary:
            files.clone(self._file(blob), temporary)
            if blob.mode != FOLDER:
                temporary.chmod(blob.mode)
                return
            packed = temporary.rename(temporary.with_suffix(".tar.part"))
            try:
                archives.unpack(packed, temporary, limit=blob.size)
            finally:
                files.remove(packed)

    def blob(self, sha256: str) -> Path | None:
        """An input's file in the store, by its digest. To read now: somebody may prune (see `take`)."""
        return self.folder.path(sha256) if self._input(sha256) else None

    def take(self, sha256: str, at: Path) -> bool:
        """Puts an input where it is wanted, by its digest, if the store has it; by a hard link, as `add` does."""
        if (entry := self._input(sha256)) is None:
            return False
        (blob,) = entry.files.values()
        with files.atomic_write(at) as temporary:
            if not linked(self.folder.path(sha256), temporary):
                files.clone(self._file(blob), temporary)
        return True

    def _input(self, sha256: str) -> Entry | None:
        """An input's entry, if what it names is what was asked for."""
        entry = self.get("input", sha256)
        return entry if entry and [blob.sha256 for blob in entry.files.values()] == [sha256] else None

    def add(self, path: Path) -> Blob | None:
        """Stores an input under its own digest, by a hard link where it can: nobody may write into that file."""
        digest = files.sha256(path)
        entry = self.put("input", digest, {path.name: path}, {}, link=True)
        return entry.files[path.name] if entry else None

    def _local(self, kind: str, key: str) -> Entry | None:
        """The entry here, its files checked and kept open."""
        try:
            entry = self.folder.read(kind, key)
            if entry:
                self._hold(entry)
            return entry
        except Damaged as damage:
            self._drop(kind, key, damage)
        except OSError as error:
            self.say(f"the store cannot be read: {_reason(error)} ({self.folder.root})")
        return None

    def _drop(self, kind: str, key: str, damage: Damaged) -> None:
        """Removes what is damaged, if it is so still: somebody may have pruned or replaced it meanwhile."""
        try:
            if self.folder.drop(kind, key):
                self.say(f"the store's {kind} {key[:12]} is damaged ({damage}): dropped")
        except OSError as error:
            self.say(f"the store's {kind} {key[:12]} is damaged ({damage}), and stays: {_reason(error)}")

    def _through(self, kind: str, key: str) -> Entry | None:
        """The second level's entry, once it is here as well."""
        if self.shared is None or (entry := self.shared.read(kind, key)) is None:
            return None
        try:
            with self.folder.adding():
                for blob in entry.files.values():
                    with self.folder.scratch() as temporary:
                        if not self.shared.fetch(entry, blob, temporary):
                            return None
                        self.folder.keep(temporary, link=True)
                self.folder.write(entry)
                self._hold(entry)
        except (OSError, Damaged) as error:
            self.say(f"not stored: {_reason(error)} ({self.folder.root})")
            return None
        return entry

    def _hold(self, entry: Entry) -> None:
        """Checks an entry's blobs side by side, and keeps them open."""
        wanted = {blob.sha256: blob for blob in entry.files.values()}
        with ThreadPoolExecutor(min(_THREADS, len(wanted) or 1)) as threads:
            list(threads.map(self._hold_one, wanted.values()))

    def _hold_one(self, blob: Blob) -> None:
        file, old = self.folder.open(blob), self._open.get(blob.sha256)
        if old and os.path.sameopenfile(old.fileno(), file.fileno()):
            file.close()  # not the old one: another thread may be copying from it
        else:
            self._open[blob.sha256] = file
            weakref.finalize(self, file.close)

    def _file(self, blob: Blob) -> BinaryIO:
        return self._open[blob.sha256]


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower() if error.errno is None else os.strerror(error.errno)
    return str(error)
