"""The store's second level, which a team shares: the same layout in a folder, or behind fsspec (S3, GCS, SFTP ...).

Nothing that it does fails a build: it is told of, and left alone for the rest of the run. Credentials are read by the
backends of fsspec; no message repeats what a backend says, in which they could stand.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.store.entry import ENTRY, LARGEST_JSON, Damaged, StoreEntry, parse_entry
from gobuild.store.folder import StoreFolder, copy_checked

PATIENCE = 20.0
"""Seconds that any request may take."""

SLOWEST = 1_000_000
"""Bytes a second below which it is no help: for so long a transfer may take beyond `PATIENCE`."""

PACKAGES = {"s3": "it has s3fs", "gs": "and pip install gcsfs", "gcs": "and pip install gcsfs"}
"""What fsspec wants for a scheme."""

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class SharedStore:
    """A second level, known by its address, asked with patience and distrust; `say` is told what it does not do."""

    level: "StoreFolder | Bucket"
    name: str
    say: Callable[[str], None]
    _off: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, where: str, say: Callable[[str], None]) -> "SharedStore":
        """The level at an address. Connects to nothing yet."""
        if "://" not in where:
            return cls(level=StoreFolder(Path(where).expanduser().absolute()), name=where, say=say)
        parts = urlsplit(where)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                "the shared store's URL holds more than a place, credentials perhaps",
                "s3://BUCKET/FOLDER; credentials belong into the variables that the backend reads, such as AWS_PROFILE",
            )
        level = StoreFolder(Path(parts.path)) if parts.scheme == "file" else Bucket.at(where)
        return cls(level=level, name=where, say=say)

    def get(self, kind: str, key: str, into: Path) -> StoreEntry | None:
        """An entry, its files copied to a new folder `into` and checked; None where it has none, or does not answer."""
        if "read" in self._off:
            return None
        with self._going_on_without("read"):
            entry = within(PATIENCE, lambda: self.level.entry(kind, key))
            if entry:
                with files.atomic_write(into) as temporary:
                    temporary.mkdir()
                    within(PATIENCE + entry.size / SLOWEST, lambda: copy_checked(self.level.copy, entry, temporary))
            return entry
        return None

    def add(self, entry: StoreEntry, sources: Mapping[str, Path]) -> None:
        """Sends an entry there; what stood under its key is replaced."""
        if "written" not in self._off:
            with self._going_on_without("written"):
                within(PATIENCE + entry.size / SLOWEST, lambda: self.level.add(entry, sources))

    def offer(self, entry: StoreEntry, sources: Mapping[str, Path]) -> None:
        """Sends an entry there if it lacks it: it was made when nobody shared, or nobody answered."""
        if self._off:
            return
        with self._going_on_without("read"):
            there = None
            with suppress(Damaged):
                there = within(PATIENCE, lambda: self.level.entry(entry.kind, entry.key))
            if there is None:
                self.add(entry, sources)

    @contextmanager
    def _going_on_without(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Damaged as damage:
            self.say(f"the shared store {self.name} holds a damaged entry ({damage}): not used")
        except Exception as error:  # whatever a backend may raise
            # Who may not write may still read; who does not answer is not waited for twice.
            self._off |= {doing} if isinstance(error, PermissionError) else {"read", "written"}
            self.say(f"the shared store {self.name} cannot be {doing} ({reason_of(error)}): going on without that")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A folder of a file system of fsspec's, laid out as a `StoreFolder`; an entry's entry.json is written last."""

    system: Any
    root: str

    @classmethod
    def at(cls, url: str) -> "Bucket":
        """The place that a URL names."""
        scheme = urlsplit(url).scheme
        try:
            import fsspec  # noqa: PLC0415  (an extra: whoever shares nothing does without)

            system, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise ConfigError(
                f"what reads {scheme}:// is not installed", f"pip install 'gobuild[store]'; {PACKAGES.get(scheme, '')}"
            ) from error
        except ValueError as error:
            raise ConfigError(
                f"no shared store can stand at a {scheme}:// address", "a folder, s3://..., gs://..."
            ) from error
        return cls(system, str(root).rstrip("/"))

    def entry(self, kind: str, key: str) -> StoreEntry | None:
        """As `StoreFolder.entry`."""
        at = f"{self.root}/{kind}/{key}/{ENTRY}"
        try:
            if not 0 < self._size(at) <= LARGEST_JSON:
                raise Damaged("its size cannot be right")
            return parse_entry(self.system.cat_file(at), kind, key)
        except FileNotFoundError:
            return None

    def copy(self, entry: StoreEntry, name: str, to: Path) -> None:
        """As `StoreFolder.copy`."""
        if self._size(self._file(entry, name)) != entry.files[name].size:
            raise Damaged(f"{name} has another size")
        self.system.get_file(self._file(entry, name), str(to))

    def add(self, entry: StoreEntry, sources: Mapping[str, Path]) -> None:
        """As `StoreFolder.add`."""
        for name, source in sources.items():
            self.system.put_file(str(source), self._file(entry, name))
        # From a file: fsspec's put_file makes the folders above where a backend has such; pipe_file does not.
        with tempfile.NamedTemporaryFile(prefix="gobuild-") as file:
            file.write(entry.to_json())
            file.flush()
            self.system.put_file(file.name, self._file(entry, ENTRY))

    def _size(self, at: str) -> int:
        return int(self.system.info(at)["size"] or 0)

    def _file(self, entry: StoreEntry, name: str) -> str:
        return f"{self.root}/{entry.kind}/{entry.key}/{name}"


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no answer in time"),
    (PermissionError, "access denied"),
    (FileNotFoundError, "no such bucket or folder"),
)


def reason_of(error: Exception) -> str:
    """Why something failed, in a few words: the error's kind, never its text."""
    known = next((words for kind, words in _REASONS if isinstance(error, kind)), "")
    if not known and isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return known or type(error).__name__


def within(seconds: float, work: Callable[[], T]) -> T:
    """What a function returns or raises in time; else TimeoutError, and it is left to itself, in a daemon thread."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)
