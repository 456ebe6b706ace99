"""The second level, which a team shares: a folder on a network, or whatever fsspec speaks (S3, GCS, SFTP ...).

In come entries to keep and keys to look up; whatever it answers is checked by its digest. Nothing that it does fails a
build: it is told of, and left alone for the rest of the run. It holds no credentials: the backends of fsspec read them
from the environment, and no message repeats what a backend says, in which they could stand.
"""

import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import urlsplit

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.store.entry import LARGEST, Blob, Damaged, Entry, read
from gobuild.store.folder import Folder

PATIENCE = 20.0
"""Seconds that any request may take."""

SLOWEST = 1_000_000
"""Bytes a second below which it is no help: for so long a transfer may take beyond `PATIENCE`."""

Open = Callable[[Blob], BinaryIO]
"""A blob's own file, open."""

T = TypeVar("T")


class Level(Protocol):
    """What a second level can do: a `Folder`, or a `Bucket`."""

    def read(self, kind: str, key: str) -> Entry | None:
        """An entry, or None."""

    def fetch(self, blob: Blob, at: Path) -> None:
        """Copies a blob out, checked."""

    def holds(self, entry: Entry) -> bool:
        """Whether an entry stands there, by its name."""

    def send(self, entry: Entry, open: Open, *, anew: bool) -> None:
        """Takes an entry: the blobs first."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """A second level, asked with patience and distrust.

    Attributes:
        level: what does it.
        name: its address, for messages.
        say: told when it does not do it.
    """

    level: Level
    name: str
    say: Callable[[str], None]
    _off: set[str] = field(default_factory=set)
    _damaged: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, where: str, say: Callable[[str], None]) -> "Shared":
        """The level at an address. Connects to nothing yet.

        Raises:
            ConfigError: the address holds credentials, or nothing here can read it.
        """
        if "://" not in where:
            return cls(level=Folder(Path(where).expanduser().absolute()), name=where, say=say)
        parts = urlsplit(where)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                "the shared store's URL holds more than a place, credentials perhaps",
                "s3://BUCKET/FOLDER; credentials belong into the variables that the backend reads, such as AWS_PROFILE",
            )
        if parts.scheme == "file":
            return cls(level=Folder(Path(parts.path)), name=where, say=say)
        return cls(level=Bucket.at(where), name=where, say=say)

    def read(self, kind: str, key: str) -> Entry | None:
        """An entry that stands there; what is none is as good as not there."""
        return self._try("read", 0, kind + key, lambda: self.level.read(kind, key))

    def fetch(self, entry: Entry, blob: Blob, at: Path) -> bool:
        """Brings a blob of an entry, checked; tells whether it did."""

        def work() -> bool:
            self.level.fetch(blob, at)
            return True

        return bool(self._try("read", blob.size, entry.kind + entry.key, work))

    def put(self, entry: Entry, open: Open) -> None:
        """Sends an entry there."""
        name = entry.kind + entry.key
        anew = name in self._damaged
        self._try("written", entry.size, name, lambda: self.level.send(entry, open, anew=anew))

    def offer(self, entry: Entry, open: Open) -> None:
        """Sends an entry there if it lacks it: it was made when nobody shared, or nobody answered."""
        if self._try("read", 0, "", lambda: self.level.holds(entry)) is False:
            self.put(entry, open)

    def _try(self, doing: str, size: int, name: str, work: Callable[[], T]) -> T | None:
        """What the level says; None where it fails."""
        if doing in self._off:
            return None
        try:
            return within(PATIENCE + size / SLOWEST, work)
        except Damaged as damage:
            self._damaged.add(name)
            self.say(f"the shared store {self.name} holds a damaged entry ({damage}): not used")
        except Exception as error:  # whatever a backend may raise
            # Who may not write may still read; who does not answer is not waited for twice.
            self._off |= {doing} if isinstance(error, PermissionError) else {"read", "written"}
            self.say(f"the shared store {self.name} cannot be {doing} ({why(error)}): going on without that")
        return None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A second level behind fsspec, laid out as a `Folder` is.

    Attributes:
        system: the fsspec file system.
        root: the place in it.
    """

    system: Any
    root: str

    @classmethod
    def at(cls, url: str) -> "Bucket":
        """The place that a URL names.

        Raises:
            ConfigError: fsspec, or its backend for such a URL, is not installed; or there is none.
        """
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

    def read(self, kind: str, key: str) -> Entry | None:
        """An entry; None where there is none.

        Raises:
            Damaged: it is none.
        """
        at = f"{self.root}/entries/{kind}/{key}.json"
        try:
            if not 0 < (self._size(at) or 0) <= LARGEST:
                raise Damaged("its size cannot be right")
            return read(self.system.cat_file(at), kind, key)
        except FileNotFoundError:
            return None

    def fetch(self, blob: Blob, at: Path) -> None:
        """Copies a blob out, checked.

        Raises:
            Damaged: it is not there, or holds other bytes.
        """
        try:
            if self._size(self._blob(blob)) != blob.size:
                raise Damaged(f"blob {blob.sha256[:12]} has another size")
            self.system.get_file(self._blob(blob), str(at))
        except FileNotFoundError as error:
            raise Damaged(f"blob {blob.sha256[:12]} is gone") from error
        if files.sha256(at) != blob.sha256:
            raise Damaged(f"blob {blob.sha256[:12]} has other bytes")

    def holds(self, entry: Entry) -> bool:
        """Whether an entry stands there, by its name."""
        try:
            return self._size(f"{self.root}/entries/{entry.kind}/{entry.key}.json") > 0
        except FileNotFoundError:
            return False

    def send(self, entry: Entry, open: Open, *, anew: bool) -> None:
        """Takes an entry: the blobs that it lacks by name and size first, or `anew` all of them; the entry last."""
        for blob in entry.files.values():
            if anew or not self._has(blob):
                self.system.put_file(str(open(blob).name), self._blob(blob))
        # From a file: fsspec's put_file makes the folders above where a backend has such; pipe_file does not.
        with tempfile.NamedTemporaryFile(prefix="gobuild-") as file:
            file.write(entry.text())
            file.flush()
            self.system.put_file(file.name, f"{self.root}/entries/{entry.kind}/{entry.key}.json")

    def _has(self, blob: Blob) -> bool:
        try:
            return self._size(self._blob(blob)) == blob.size
        except FileNotFoundError:
            return False

    def _size(self, at: str) -> int:
        return int(self.system.info(at)["size"] or 0)

    def _blob(self, blob: Blob) -> str:
        return f"{self.root}/blobs/sha256/{blob.sha256[:2]}/{blob.sha256}"


PACKAGES = {"s3": "it has s3fs", "gs": "and pip install gcsfs", "gcs": "and pip install gcsfs"}
"""What fsspec wants for a scheme."""

_WHY: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no answer in time"),
    (PermissionError, "access denied"),
    (FileNotFoundError, "no such bucket or folder"),
)


def why(error: BaseException) -> str:
    """The reason in a few words: the error's kind, never its text."""
    return next((words for kind, words in _WHY if isinstance(error, kind)), type(error).__name__)


def within(seconds: float, work: Callable[[], T]) -> T:
    """What a function returns, if it does in time; else it is left to itself, in a thread that holds nobody up.

    Raises:
        TimeoutError: it does not. Whatever else it raises passes.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)
