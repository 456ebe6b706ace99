"""A transparent log in memory: its records, hashes, tiles and tree heads.

The format is golang.org/x/mod/sumdb/tlog's (https://go.dev/design/25530-sumdb, https://research.swtch.com/tlog), and
the hashes are RFC 6962's: the tree of N records is a part of every later one, as a client can check from the tiles.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gobuild.core.errors import VerifyError

HEIGHT = 8
"""Levels of a tile, and so 256 hashes in a full one: the go command asks for no other."""

WIDTH = 1 << HEIGHT


def record_hash(text: bytes) -> bytes:
    """The hash of a record: RFC 6962, section 2.1, a leaf."""
    return hashlib.sha256(b"\0" + text).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two trees side by side: RFC 6962, section 2.1, a node."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is signed: how many records there are, and the hash over all of them, 32 bytes."""

    size: int
    root: bytes

    def to_text(self) -> str:
        """As it is signed."""
        return f"go.sum database tree\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Reads what `to_text` wrote. Lines behind it are for later versions of the format, and passed over."""
        lines = text.split("\n", 3)
        try:
            head = cls(size=int(lines[1]), root=base64.b64decode(lines[2], validate=True))
            if len(head.root) == 32 and text.startswith(head.to_text()):
                return head
        except (IndexError, ValueError):
            pass
        raise VerifyError("a signed note is no tree head", "publish again from an intact tree")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Consecutive hashes of one level, stored as one file."""

    # Counted in tiles: the hashes are of `level * HEIGHT` above the records; -1 holds the records themselves
    level: int
    number: int  # which one of its level
    width: int  # how many hashes; fewer than `WIDTH` in the last one of a level

    @property
    def path(self) -> str:
        """Where it is served: "tile/8/0/x001/234.p/5"."""
        digits = f"{self.number % 1000:03}"
        rest = self.number // 1000
        while rest:
            digits = f"x{rest % 1000:03}/{digits}"
            rest //= 1000
        level = "data" if self.level < 0 else str(self.level)
        return f"tile/{HEIGHT}/{level}/{digits}" + ("" if self.width == WIDTH else f".p/{self.width}")


def tiles(old: int, new: int) -> Iterator[Tile]:
    """The tiles to publish when a log grows from one size to another, as tlog.NewTiles: every width on the way too."""
    level = 0
    while new >> (HEIGHT * level):
        was, now = old >> (HEIGHT * level), new >> (HEIGHT * level)
        for number in range(was >> HEIGHT, (now >> HEIGHT) + 1):
            start = number << HEIGHT
            smallest = WIDTH if now - start >= WIDTH else max(was - start, 1)
            for width in range(smallest, min(now - start, WIDTH) + 1):
                yield Tile(level=level, number=number, width=width)
                if level == 0:
                    yield Tile(level=-1, number=number, width=width)
        level += 1


def last_tiles(size: int) -> Iterator[Tile]:
    """The tiles that hold a whole log of this size, once: full ones, and the widest partial one of each level."""
    yield from {(tile.level, tile.number): tile for tile in tiles(0, size)}.values()


class Log:
    """The records of a log with the hashes above them; it can only be appended to."""

    def __init__(self, records: Sequence[bytes] = ()) -> None:
        self.records: list[bytes] = []
        self._levels: list[list[bytes]] = []
        for record in records:
            self.append(record)

    def append(self, record: bytes) -> int:
        """Adds a record, lines of text of which none is empty and the last one ended; returns its number."""
        blank = record.startswith(b"\n") or b"\n\n" in record
        if blank or not record.endswith(b"\n") or any(byte < 32 and byte != 10 for byte in record):
            raise ValueError(f"no record: {record!r}")
        self.records.append(record)
        carried, level = record_hash(record), 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            row.append(carried)
            if len(row) % 2:
                return len(self.records) - 1
            carried, level = node_hash(row[-2], row[-1]), level + 1

    def head(self, size: int | None = None) -> Head:
        """The head of the whole log, or of its first `size` records."""
        count = len(self.records) if size is None else size
        if count == 0:
            return Head(size=0, root=bytes(32))
        parts, start = [], 0
        for level in reversed(range(count.bit_length())):  # the complete trees it is made of, largest first
            if count >> level & 1:
                parts.append(self._levels[level][start >> level])
                start += 1 << level
        root = parts.pop()
        while parts:
            root = node_hash(parts.pop(), root)
        return Head(size=count, root=root)

    def tile(self, tile: Tile) -> bytes:
        """What stands in a tile."""
        start = tile.number << HEIGHT
        if tile.level < 0:
            chosen = enumerate(self.records[start : start + tile.width], start)
            return b"".join(framed(number, record) for number, record in chosen)
        return b"".join(self._levels[tile.level * HEIGHT][start : start + tile.width])


def framed(number: int, record: bytes) -> bytes:
    """A record as it is served: its number, its lines, a blank line."""
    return f"{number}\n".encode() + record + b"\n"


def unframed(content: bytes, start: int) -> list[bytes]:
    """The records of a data tile; `start` is the number of its first one.

    Raises:
        VerifyError: it is no data tile, or has other numbers.
    """
    *blocks, end = content.split(b"\n\n")
    records = []
    for number, block in enumerate(blocks, start):
        said, _, text = block.partition(b"\n")
        if said != str(number).encode():
            raise VerifyError(f"the checksum database's record {number} is damaged", "the tree as it was published")
        records.append(text + b"\n")
    if end or not records:
        raise VerifyError("a data tile of the checksum database is damaged", "the tree as it was published")
    return records
