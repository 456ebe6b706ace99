"""A published tree in a folder or behind a URL: the bytes of its files, never too many. It judges nothing of them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from gobuild.core.errors import ConfigError, FetchError
from gobuild.fetch import http

_BLOCK = 1 << 20

LARGEST_DOCUMENT = 16 << 20
"""Bytes of a file that is read into memory: digests, manifests, a bill of materials, a tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A published tree: its URL, below which git can clone, and where it stands on this machine, if it does."""

    address: str
    folder: Path | None = None

    def blocks(self, path: str, largest: int) -> Iterator[bytes]:
        """The bytes of a file; raises FetchError where it is not there, or has more than `largest` bytes."""
        if self.folder:
            return _file_blocks(self.folder, path, largest)
        return http.stream_bytes(f"{self.address}/{quote(path)}", largest)

    def read_file(self, path: str) -> bytes:
        """A whole document; raises FetchError where it is not there, or too large."""
        return b"".join(self.blocks(path, LARGEST_DOCUMENT))

    def read_if_present(self, path: str) -> bytes | None:
        """A whole document, None where the tree does not have it. That a server cannot be reached is still an error."""
        try:
            return self.read_file(path)
        except FetchError as error:
            if type(error) is FetchError:
                return None
            raise

    def hash_file(self, path: str, largest: int, keep: IO[bytes] | None = None) -> tuple[str, int]:
        """The SHA-256 and the size of a file, hashed as it comes; `keep` is given its bytes as well."""
        hashed, size = hashlib.sha256(), 0
        for block in self.blocks(path, largest):
            hashed.update(block)
            size += len(block)
            if keep:
                keep.write(block)
        return hashed.hexdigest(), size


def _file_blocks(folder: Path, name: str, largest: int) -> Iterator[bytes]:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
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


def open_mirror(where: str) -> Mirror:
    """Opens a folder, or a URL of http or https."""
    try:
        parts = urlsplit(where)
        web = parts.scheme in ("http", "https")
        if web and (not parts.hostname or parts.port == 0 or parts.query or parts.fragment):
            raise ValueError("no address of a tree")
    except ValueError as error:
        raise ConfigError(f"{where!a} is no URL of a tree: {error}", "https://HOST/PATH") from error
    if web:
        return Mirror(address=where.rstrip("/"))
    folder = Path(unquote(parts.path) if parts.scheme == "file" else where).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{where} is no folder and no http URL", "the folder or URL that invoke publish was given")
    return Mirror(address=folder.resolve().as_uri(), folder=folder.resolve())
