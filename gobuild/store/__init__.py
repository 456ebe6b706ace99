"""The store: host tools and finished toolchains by what decides their bytes, so that nothing is built twice.

A local folder, and behind it, where one is named, a second level that a team shares. It knows nothing of Go.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.settings import Settings
from gobuild.store.entry import Damaged, StoredFile, StoreEntry, entry_key
from gobuild.store.folder import StoreFolder, list_entries, prune_store, verify_store
from gobuild.store.shared import SharedStore

__all__ = [
    "Store",
    "StoreEntry",
    "StoreFolder",
    "entry_key",
    "list_entries",
    "open_store",
    "prune_store",
    "verify_store",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Both levels; `say` is told of what is damaged, and what could not be stored."""

    folder: StoreFolder
    shared: SharedStore | None
    say: Callable[[str], None]

    @classmethod
    def open(cls, root: Path, *, shared: str = "", say: Callable[[str], None]) -> "Store":
        """A store by its folder and the address of its second level. Touches nothing yet."""
        second = SharedStore.at(shared, say) if shared else None
        return cls(folder=StoreFolder(root.absolute()), shared=second, say=say)

    def get(self, kind: str, key: str, into: Path) -> StoreEntry | None:
        """What stands under a key, its files copied to a new folder `into` and their digests checked; None for a miss.

        Wherever anything is wrong it is a miss, and told. What the second level alone has is kept here as well.
        """
        entry = self._local(kind, key, into)
        if entry and self.shared:
            self.shared.offer(entry, {name: into / name for name in entry.files})
        elif self.shared and (entry := self.shared.get(kind, key, into)):
            with self._going_on("not stored"):
                self.folder.add(entry, {name: into / name for name in entry.files})
        return entry

    def put(self, kind: str, key: str, sources: Mapping[str, Path], facts: Mapping[str, Any]) -> StoreEntry | None:
        """Stores plain files by name, and facts as JSON has them, in both levels; what stood under the key is replaced.

        Returns None where they could not be stored, which was told: no reason for a build to fail.
        """
        with self._going_on("not stored"):
            stored = {
                name: StoredFile(sha256=files.sha256(path), size=path.stat().st_size) for name, path in sources.items()
            }
            made = datetime.now(UTC).isoformat(timespec="seconds")
            entry = StoreEntry(kind=kind, key=key, files=stored, facts=facts, made=made)
            self.folder.add(entry, sources)
            if self.shared:
                self.shared.add(entry, sources)
            return entry
        return None

    def _local(self, kind: str, key: str, into: Path) -> StoreEntry | None:
        try:
            with self._going_on("not taken from the store"):
                return self.folder.get(kind, key, into)
        except Damaged as damage:
            self.say(f"the store's {kind} {key[:12]} is damaged ({damage}): not used")
            with self._going_on("not removed"):
                self.folder.remove(kind, key)
        return None

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Tells what the local level did not do, and lets it be."""
        try:
            yield
        except OSError as error:
            self.say(f"{what}: {error.strerror or error} ({self.folder.root})")


def open_store(settings: Settings, say: Callable[[str], None]) -> Store:
    """The store that the settings mean, with its second level unless nothing may be asked. Touches nothing yet."""
    root = Path(settings.store).expanduser() if settings.store else settings.cache / "store"
    return Store.open(root, shared="" if settings.offline else settings.shared_store, say=say)
