"""What the store keeps, as data: entries, the blobs they name, their keys, and their JSON read strictly.

It touches no file. Whatever comes from a store may have been cut short or written by somebody else.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import cattrs

SCHEMA = 1
LARGEST = 4 << 20
"""Bytes of an entry's JSON; a toolchain's manifest with all its checks is a tenth of that."""

KIND = re.compile(r"[a-z]+")
DIGEST = re.compile(r"[0-9a-f]{64}")
_WORD = r"[A-Za-z0-9][A-Za-z0-9._+@-]*"
NAME = re.compile(rf"{_WORD}(/{_WORD})*")
"""A file's name in an entry: no "..", nothing hidden, nothing absolute."""

FOLDER = 0o40755
"""The mode of a blob that is a whole folder, as an uncompressed tar."""

MODES = (0o644, 0o755, FOLDER)


class Damaged(Exception):
    """An entry or a blob is not what it must be. Never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file's content.

    Attributes:
        sha256: 64 hex digits.
        size: in bytes.
        mode: one of `MODES`.
    """

    sha256: str
    size: int
    mode: int = 0o644

    def __post_init__(self) -> None:
        if not DIGEST.fullmatch(self.sha256) or not 0 <= self.size < 1 << 40 or self.mode not in MODES:
            raise ValueError("no blob of ours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands in the store under a kind and a key.

    Attributes:
        kind: "input", "tools" or "toolchain".
        key: 64 hex digits, from `key`.
        files: blobs by name.
        facts: what else is to be kept, as JSON has it.
        made: when it was put in, RFC 3339.
    """

    kind: str
    key: str
    files: Mapping[str, Blob]
    facts: Mapping[str, Any]
    made: str

    def __post_init__(self) -> None:
        if not KIND.fullmatch(self.kind) or not DIGEST.fullmatch(self.key):
            raise ValueError(f"{self.kind!r} {self.key!r} is no kind with a key")
        for name in self.files:
            if not NAME.fullmatch(name) or len(name) > 255:
                raise ValueError(f"{name!r} is no name for a file in the store")
        datetime.fromisoformat(self.made).astimezone(UTC)

    @property
    def size(self) -> int:
        """Bytes of its files; two of the same content count once."""
        return sum({blob.sha256: blob.size for blob in self.files.values()}.values())

    @property
    def what(self) -> str:
        """What it is, for people: its stamp or release and what it is for, or the name of its first file."""
        words = [str(self.facts[name]) for name in ("stamp", "go", "target", "host") if name in self.facts]
        return " ".join(words) or next(iter(self.files), "nothing")

    def text(self) -> bytes:
        """The entry as it is written down."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True).encode()


def key(**parts: Any) -> str:
    """The key of what these parts decide: the SHA-256 of them as canonical JSON.

    Canonical is: keys sorted, no space between, everything beyond ASCII escaped. A tuple is a list; what JSON does not
    know (a path, a NaN) is a TypeError or ValueError. Two calls give one key only if every name and value is the same:
    put in all that decides the bytes, gobuild's version and the word for what is kept among it.

    Args:
        **parts: whatever JSON can say.

    Returns:
        64 hex digits.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def now() -> str:
    """The time, RFC 3339, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(text: bytes, kind: str, key: str) -> Entry:
    """Reads an entry back.

    Args:
        text: its JSON.
        kind: where it was found, which it must say itself.
        key: as `kind`.

    Raises:
        Damaged: it is not an entry, or another's.
    """
    try:
        document = json.loads(text)
        if document.pop("schema") != SCHEMA:
            raise Damaged("its schema is another")
        entry = _CONVERTER.structure(document, Entry)
    except _UNREADABLE as error:
        raise Damaged("it cannot be read") from error
    if (entry.kind, entry.key) != (kind, key):
        raise Damaged("it is another's")
    return entry


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_UNREADABLE = (
    *(ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError),
    cattrs.BaseValidationError,
)
