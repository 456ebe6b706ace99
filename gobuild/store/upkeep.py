"""A store's upkeep: what stands in it, whether all of it is whole, and what goes when there is too much.

It works on one folder. A shared folder is laid out as a local store and is kept the same way, by whoever owns it; what
stands in a bucket is for the bucket's own rules.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.store.entry import Damaged, Entry
from gobuild.store.folder import Folder

_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An entry in the store.

    Attributes:
        entry: the entry.
        used: when it was last used, seconds since 1970.
    """

    entry: Entry
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `verify` found.

    Attributes:
        entries, blobs, size: how many were looked at, and the blobs' bytes.
        damaged: what was wrong, and is gone now.
    """

    entries: int
    blobs: int
    size: int
    damaged: tuple[str, ...]


def entries(folder: Folder) -> list[Held]:
    """All entries, the last used first. What cannot be read is left to `verify`."""
    found = []
    for kind, key, used in folder.names():
        try:
            if entry := folder.read(kind, key):
                found.append(Held(entry=entry, used=used))
        except Damaged:
            continue
    return sorted(found, key=lambda held: held.used, reverse=True)


def size(held: Sequence[Held]) -> int:
    """Bytes of entries' blobs; what two of them share counts once."""
    return sum({blob.sha256: blob.size for each in held for blob in each.entry.files.values()}.values())


def verify(folder: Folder, *, waiting: Callable[[str], None]) -> Checked:
    """Hashes every blob and reads every entry; what is damaged goes, with the entries that name it.

    Args:
        folder: the store.
        waiting: told when others are adding just now, who are waited for.

    Raises:
        OSError: the store cannot be read, or not be written to.
    """
    if not folder.root.is_dir():
        return Checked(entries=0, blobs=0, size=0, damaged=())
    # Hashed while others go on adding: what stands under its name is whole. Only removing is done alone.
    blobs = {path: path.stat().st_size for path in folder.blobs()}
    with ThreadPoolExecutor(_THREADS) as threads:
        bad = [path for path, good in zip(blobs, threads.map(_good, blobs), strict=True) if not good]
    damaged, count = [], 0
    with folder.alone(waiting):
        for path in bad:
            if not _good(path):
                damaged.append(f"blob {path.name[:12]}: its bytes are others")
                files.remove(path)
        there = {path.name: path.stat().st_size for path in folder.blobs()}
        for kind, key, _ in list(folder.names()):
            count += 1
            if reason := _wrong(folder, kind, key, there):
                damaged.append(f"{kind} {key[:12]}: {reason}")
                folder.forget(kind, key)
    return Checked(entries=count, blobs=len(blobs), size=sum(blobs.values()), damaged=tuple(damaged))


def _good(blob: Path) -> bool:
    """Whether a blob is what its name says, or was pruned meanwhile."""
    try:
        return files.sha256(blob) == blob.name
    except FileNotFoundError:
        return True


def _wrong(folder: Folder, kind: str, key: str, there: Mapping[str, int]) -> str:
    """What is wrong with an entry, "" if nothing; `there` has the sizes of the blobs that are."""
    try:
        entry = folder.read(kind, key)
    except Damaged as damage:
        return str(damage)
    wanted = entry.files.values() if entry else ()
    return "" if all(there.get(blob.sha256) == blob.size for blob in wanted) else "a blob of it is not there"


def prune(folder: Folder, limit: int, *, dry: bool = False, waiting: Callable[[str], None]) -> tuple[list[Held], int]:
    """Removes what was not used for the longest time until no more than `limit` bytes are left.

    What a process has got from the store stays readable to it: it holds the files open. Damaged entries, blobs that no
    entry names and debris of killed processes go as well.

    Args:
        folder: the store.
        limit: in bytes.
        dry: only say what would go.
        waiting: told when others are adding just now, who are waited for.

    Returns:
        The entries that went, and the bytes that came free with them and with what no entry named.

    Raises:
        OSError: the store cannot be written to.
    """
    if not folder.root.is_dir():
        return [], 0
    with folder.alone(waiting):
        held, named, stay = entries(folder), dict[str, int](), 0
        for each in held:
            named |= {blob.sha256: blob.size for blob in each.entry.files.values()}
            if sum(named.values()) > limit:
                break
            stay += 1
        kept = {(each.entry.kind, each.entry.key) for each in held[:stay]}
        for kind, key, _ in () if dry else list(folder.names()):
            if (kind, key) not in kept:
                folder.forget(kind, key)
        wanted = {blob.sha256 for each in held[:stay] for blob in each.entry.files.values()}
        return held[stay:], folder.unnamed(wanted, dry=dry)
