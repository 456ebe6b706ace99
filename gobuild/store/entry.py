"""The store's entries as data: their keys, and their entry.json, which is read with distrust."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import cattrs

KINDS = ("tools", "toolchain")
SCHEMA = 2

LARGEST_JSON = 4 << 20
"""Bytes of an entry.json; a toolchain's manifest with all its checks is a tenth of that."""

LARGEST = 8 << 30
"""Bytes of an entry's files; a toolchain has 160 MB, the host tools 133 MB."""

DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,254}")
ENTRY = "entry.json"


class Damaged(Exception):
    """An entry is not what it must be. Never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of an entry, by its digest (64 hex digits) and its size in bytes."""

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not DIGEST.fullmatch(self.sha256) or self.size < 0:
            raise ValueError("no digest, or no size")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEntry:
    """What stands in the store under a kind and a key: files by their names, and facts as JSON has them.

    `made` is when it was put in (RFC 3339). A part that is not what it must be is a ValueError.
    """

    kind: str
    key: str
    files: Mapping[str, StoredFile]
    facts: Mapping[str, Any]
    made: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not DIGEST.fullmatch(self.key):
            raise ValueError(f"{self.kind!r} {self.key!r} is no kind with a key")
        for name in self.files:
            if not NAME.fullmatch(name) or name == ENTRY:
                raise ValueError(f"{name!r} is no name for a file in the store")
        if self.size > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 30} GiB")
        datetime.fromisoformat(self.made).astimezone(UTC)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files.values())

    @property
    def label(self) -> str:
        """What it is, for people: its stamp or release and what it is for, or the name of its first file."""
        words = [str(self.facts[name]) for name in ("stamp", "go", "target", "host") if name in self.facts]
        return " ".join(words) or next(iter(self.files), "nothing")

    def to_json(self) -> bytes:
        """The bytes of its entry.json."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True).encode()


def entry_key(**parts: Any) -> str:
    """The SHA-256 of JSON with sorted keys, without spaces, in ASCII: 64 hex digits.

    Put in all that decides the bytes. What JSON does not know (a path, a NaN) is a TypeError or ValueError.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_entry(text: bytes, kind: str, key: str) -> StoreEntry:
    """Reads an entry.json, which must say itself under which kind and key it stands; else it is `Damaged`."""
    try:
        document = json.loads(text)
        if document.pop("schema") != SCHEMA:
            raise Damaged("its schema is another")
        entry = _CONVERTER.structure(document, StoreEntry)
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
