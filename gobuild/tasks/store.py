"""The tasks around the store: `store.list`, `store.verify`, `store.prune`. They work on the local level."""

from __future__ import annotations

import re
from collections.abc import Sized
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from gobuild.core.console import Console, amount, counted
from gobuild.core.errors import ConfigError, VerifyError, first_few
from gobuild.core.printable import printable
from gobuild.core.settings import Settings
from gobuild.tasks.words import STORE, settings_of, with_settings

if TYPE_CHECKING:  # a task imports what it runs when it runs
    from gobuild import store as stores

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]i?)?b?)", re.IGNORECASE)

COLUMNS = ("kind", "key", "what", "size", "made", "used")


@with_settings(*STORE, name="list")
def listing(context: Context, **words: object) -> None:
    """Shows what the store holds, the last used first.

    Example: gobuild store.list
    """
    from gobuild import store as stores

    settings, console = settings_of(context, words), Console()
    folder = _folder(settings, console)
    listed = stores.list_entries(folder)
    console.table(f"in {folder.root}", COLUMNS, [_row(*each) for each in listed])
    console.verdict(f"{_entries(listed)}, {amount(sum(entry.size for entry, _ in listed))}")


@with_settings(*STORE)
def verify(context: Context, **words: object) -> None:
    """Checks every file in the store against its digest.

    What is damaged is removed, and the exit code is 8 then.

    Example: gobuild store.verify
    """
    from gobuild import store as stores

    settings, console = settings_of(context, words), Console()
    with console.stage("verify"):
        whole, damaged = stores.verify_store(_folder(settings, console))
    for line in damaged:
        console.warn(f"removed: {line}")
    files = sum(len(entry.files) for entry in whole)
    summary = f"{_entries(whole)}, {counted(files, 'file')}, {amount(sum(entry.size for entry in whole))}"
    if damaged:
        said = (
            f"the store had {counted(len(damaged), 'damaged entry', 'damaged entries')}, removed now (left: {summary})"
        )
        hint = "build again what was in them; damage that comes back is the disk's"
        raise VerifyError("\n  ".join([said, *first_few(damaged)]), hint)
    console.verdict(f"{summary}: all whole")


@with_settings(*STORE)
def prune(
    context: Context,
    *,
    keep: Annotated[str, "how much may stay: 20GB, 500MB, 0"] = "",
    dry_run: Annotated[bool, "only show what would go"] = False,
    **words: object,
) -> None:
    """Removes from the store what was unused for longest.

    It stops when no more is left than --keep says.

    Example: gobuild store.prune --keep 20GB
    """
    from gobuild import store as stores

    settings, console = settings_of(context, words), Console()
    gone, freed = stores.prune_store(_folder(settings, console), parse_size(keep), dry=dry_run)
    if gone:
        console.table("would go" if dry_run else "gone", COLUMNS, [_row(*each) for each in gone])
    console.verdict(f"{_entries(gone)} {'would go' if dry_run else 'removed'}, {amount(freed)}")


def _entries(found: Sized) -> str:
    return counted(len(found), "entry", "entries")


def _folder(settings: Settings, console: Console) -> stores.StoreFolder:
    """The local level; it need not be there yet."""
    from gobuild import store as stores

    folder = stores.open_store(settings, console.warn).folder
    if folder.root.exists() and not folder.root.is_dir():
        raise ConfigError(f"{folder.root} is no folder", "--store with the folder of a store")
    return folder


def parse_size(size: str) -> int:
    """Bytes: "20GB" (10^9 each), "1.5 GiB" (2^30 each), "500M", "0"."""
    match = _SIZE.fullmatch(size.strip())
    if not match:
        raise ConfigError(f"--keep is {size!r}" if size else "--keep is missing", "--keep 20GB, 500MB, or 0")
    return int(float(match[1]) * UNITS[(match[2] or "").lower()])


def _row(entry: stores.StoreEntry, used: float) -> tuple[str, ...]:
    made = datetime.fromisoformat(entry.made).astimezone(UTC).isoformat(sep=" ", timespec="minutes")
    last = datetime.fromtimestamp(used, UTC).isoformat(sep=" ", timespec="minutes")
    return entry.kind, entry.key[:12], printable(entry.label), amount(entry.size), made[:16], last[:16]
