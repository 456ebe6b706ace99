"""What every signer can do, and what the manifest says of a timestamp server."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

APPLE = "apple"
"""The word for Apple's own timestamp server."""

Note = Callable[[str], None]


class Signer(ABC):
    """Signs programs."""

    __slots__ = ()

    @property
    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What the manifest says of it: `by`, `tool`, and more. Never a secret."""

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The certificates (DER) that verify must trust besides Apple's, for what this one signs."""
        return ()

    @abstractmethod
    def sign(self, path: Path, identifier: str) -> None:
        """Signs a program in its place; raises SignError."""

    def finish(self, _paths: Iterable[Path], _scratch: Path, _note: Note) -> dict[str, str]:
        """Notarizes what is signed, where that was asked for; returns more for the manifest."""
        return {}


def timestamp_server(url: str) -> str:
    """Scheme and host of a URL, for its path and query may hold an account's key; `APPLE` and "none" as they are."""
    if url in ("", APPLE):
        return url or "none"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
