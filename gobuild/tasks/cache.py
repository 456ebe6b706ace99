"""The tasks about the cache: what was fetched and unpacked is shown, or removed. The store has tasks of its own."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console, amount, counted
from gobuild.core.errors import Busy
from gobuild.core.printable import printable
from gobuild.tasks.store import parse_size
from gobuild.tasks.words import settings_of, with_settings

KINDS = ("acceptance", "downloads", "git", "local", "sources", "toolchains", "wheels")
"""The cache's folders with things that can be fetched or unpacked again."""

DAY = 24 * 60 * 60
"""Seconds after which a lock file that nobody holds, or what a killed run left, is litter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedThing:
    """A file or folder in the cache, with the files beside it that say something of it: its digest, its tag."""

    kind: str
    path: Path
    beside: tuple[Path, ...]
    size: int
    used: float

    @property
    def row(self) -> tuple[str, ...]:
        """It in a table."""
        used = datetime.fromtimestamp(self.used, UTC).isoformat(sep=" ", timespec="minutes")
        return self.kind, printable(self.path.name), amount(self.size), used[:16]


@with_settings("cache", name="list")
def listing(context: Context, **words: object) -> None:
    """Shows what the cache holds besides the store.

    Example: gobuild cache.list
    """
    settings, console = settings_of(context, words), Console()
    with console.stage("cache"):
        held = entries(settings.cache)
    console.table(f"in {settings.cache}", ("kind", "what", "size", "used"), [each.row for each in held])
    total = amount(sum(each.size for each in held))
    console.verdict(f"{counted(len(held), 'entry', 'entries')}, {total}", then="gobuild store.list shows the store")


@with_settings("cache")
def prune(
    context: Context,
    *,
    keep: Annotated[str, "how much may stay: 20GB, 500MB, 0"] = "",
    dry_run: Annotated[bool, "only show what would go"] = False,
    **words: object,
) -> None:
    """Removes from the cache what was unused for longest.

    It stops when no more is left than --keep says.

    Example: gobuild cache.prune --keep 2GB
    """
    settings, console = settings_of(context, words), Console()
    limit, left = parse_size(keep), 0
    gone = []
    for each in entries(settings.cache):
        left += each.size
        if left <= limit:
            continue
        if dry_run or _removed(each, console):
            gone.append(each)
    if not dry_run:
        _litter(settings.cache)
    if gone:
        title = "would go" if dry_run else "gone"
        console.table(title, ("kind", "what", "size", "used"), [each.row for each in gone])
    freed = amount(sum(each.size for each in gone))
    console.verdict(f"{counted(len(gone), 'entry', 'entries')} {'would go' if dry_run else 'removed'}, {freed}")


def entries(cache: Path) -> list[CachedThing]:
    """What the cache holds, the last used first; a cache that is not there holds nothing."""
    found = []
    for kind in KINDS:
        names = sorted(path for path in _inside(cache / kind) if not path.name.startswith("."))
        for path in names:
            if path.with_suffix("") in names and path.is_file():
                continue  # go1.22.10.whl.sha256: it goes with what it speaks of
            beside = tuple(each for each in names if each.is_file() and each.with_suffix("") == path)
            facts = path.lstat()
            size = sum(files.size(each) for each in (path, *beside))
            used = max(facts.st_atime, facts.st_mtime)
            with contextlib.suppress(OSError):  # looking is no use: the walk has changed a folder's time of access
                os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)
            found.append(CachedThing(kind=kind, path=path, beside=beside, size=size, used=used))
    return sorted(found, key=lambda each: -each.used)


def _inside(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from folder.iterdir()


def _removed(held: CachedThing, console: Console) -> bool:
    """Removes it, unless somebody is at work on it."""
    path = held.path
    try:
        with files.exclusive_lock(path.with_name(f".{path.name}.lock"), f"at work on {path.name}"):
            # Aside first: nobody finds half of it, and the next run sweeps what a killed one leaves.
            aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            path.rename(aside)
            files.remove(aside)
            for each in held.beside:
                files.remove(each)
    except Busy as error:
        console.warn(f"{path.name} stays: {error.reason}")
        return False
    return True


def _litter(cache: Path) -> None:
    """Removes what killed runs left half made, and lock files without a holder."""
    old = time.time() - DAY
    for path in (path for kind in KINDS for path in _inside(cache / kind) if path.name.startswith(".")):
        if path.lstat().st_mtime > old:
            continue
        if path.suffix == ".part":
            files.remove(path)
        elif path.suffix == ".lock":
            with contextlib.suppress(Busy), files.exclusive_lock(path, "at work"):
                files.remove(path)
