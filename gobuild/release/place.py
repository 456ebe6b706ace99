"""Where a published tree stands: a folder or a URL comes in, the bytes of files below it go out, never too many.

It judges nothing of what the files say.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import quote, unquote, urlsplit

from gobuild.core.errors import ConfigError, FetchError
from gobuild.fetch import http

_BLOCK = 1 << 20

DOCUMENT = 16 << 20
"""Bytes of a file that is read into memory: digests, manifests, a bill of materials, a tile."""


class Place(Protocol):
    """A published tree, wherever it stands."""

    @property
    def address(self) -> str:
        """What git can clone from below."""

    @property
    def folder(self) -> Path | None:
        """Where it stands on this machine, None where it does not."""

    def blocks(self, name: str, largest: int) -> Iterator[bytes]:
        """The bytes of a file by its path in the tree.

        Raises:
            FetchError: it is not there, or larger.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A tree on this machine."""

    root: Path

    @property
    def address(self) -> str:
        """See `Place`."""
        return self.root.resolve().as_uri()

    @property
    def folder(self) -> Path | None:
        """See `Place`."""
        return self.root.resolve()

    def blocks(self, name: str, largest: int) -> Iterator[bytes]:
        """See `Place`."""
        root = self.root.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise FetchError(f"{name} leads out of the tree", "a tree as gobuild publishes it")
        try:
            with path.open("rb") as file:
                size = 0
                while block := file.read(_BLOCK):
                    size += len(block)
                    if size > largest:
                        raise FetchError(f"{name} has more than {largest} bytes", "the file as it was published")
                    yield block
        except OSError as error:
            raise FetchError(f"{name}: {error.strerror}", "the tree as it was published") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A tree behind a URL."""

    base: str

    @property
    def address(self) -> str:
        """See `Place`."""
        return self.base

    @property
    def folder(self) -> Path | None:
        """See `Place`."""
        return None

    def blocks(self, name: str, largest: int) -> Iterator[bytes]:
        """See `Place`."""
        return http.stream_bytes(f"{self.base}/{quote(name)}", largest)


def place(where: str) -> Place:
    """A folder, or a URL of http or https.

    Raises:
        ConfigError: it is neither.
    """
    try:
        parts = urlsplit(where)
        web = parts.scheme in ("http", "https")
        if web and (not parts.hostname or parts.port == 0 or parts.query or parts.fragment):
            raise ValueError("no address of a tree")
    except ValueError as error:
        raise ConfigError(f"{where!a} is no URL of a tree: {error}", "https://HOST/PATH") from error
    if web:
        return Web(base=where.rstrip("/"))
    folder = Path(unquote(parts.path) if parts.scheme == "file" else where).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{where} is no folder and no http URL", "the folder or URL that invoke publish was given")
    return Folder(root=folder)


def read(tree: Place, name: str) -> bytes:
    """A whole document.

    Raises:
        FetchError: it is not there, or too large.
    """
    return b"".join(tree.blocks(name, DOCUMENT))


def there(tree: Place, name: str) -> bytes | None:
    """A whole document, None where the tree does not have it. That a server cannot be reached is still an error."""
    try:
        return read(tree, name)
    except FetchError as error:
        if type(error) is FetchError:
            return None
        raise


def digest(tree: Place, name: str, largest: int, keep: IO[bytes] | None = None) -> tuple[str, int]:
    """The SHA-256 and the size of a file, hashed as it comes.

    Args:
        tree: where from.
        name: its path there.
        largest: how many bytes it may have.
        keep: where its bytes go as well.
    """
    hashed, size = hashlib.sha256(), 0
    with contextlib.closing(iter(tree.blocks(name, largest))) as blocks:  # type: ignore[type-var]
        for block in blocks:
            hashed.update(block)
            size += len(block)
            if keep:
                keep.write(block)
    return hashed.hexdigest(), size
