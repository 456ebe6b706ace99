"""A database at an address, by https://go.dev/doc/security/vuln/database#api's protocol, and its copy in the cache.

The index is asked each time, a report only where the index has another time for it than the copy's. What does not pass
as a database whole never takes the place of the copy.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import FetchError, GobuildError
from gobuild.core.process import Threads
from gobuild.vulns.database import (
    DATE,
    INDEX,
    VulnerabilityDatabase,
    open_database,
    own_table,
    parse_index,
    refuse,
)
from gobuild.vulns.facts import MODULES

OFFICIAL = "https://vuln.go.dev"

AT_ONCE = 8
"""Requests at a time."""

_FOLDER = "vulns"


def cached_database(url: str, cache: Path, *, source: str) -> VulnerabilityDatabase | None:
    """The copy of a database; None where there is none that can be used. `source` is its name, without credentials."""
    folder = _folder(url, cache)
    if not folder.is_dir():
        return None
    try:
        found = open_database(folder)
    except (GobuildError, OSError):
        return None
    return VulnerabilityDatabase(source=f"the cache's copy of {source}", date=found.date, reports=found.reports)


def newest_known(cache: Path) -> VulnerabilityDatabase:
    """The table of gobuild's own, or the cache's copy of vuln.go.dev where that is newer."""
    own, copied = own_table(), cached_database(OFFICIAL, cache, source=OFFICIAL)
    return copied if copied and copied.date > own.date else own


def refresh(url: str, cache: Path, get: Callable[[str], bytes], *, source: str) -> VulnerabilityDatabase:
    """Brings the copy of a database up to date, by `get`, which returns what is at an address; `source` is its name.

    Raises:
        FetchError: the database does not answer.
        ConfigError: what it answers is no database of Go's vulnerabilities.
    """
    url, folder = url.rstrip("/"), _folder(url, cache)
    try:
        date, modules = get(f"{url}/{DATE}"), get(f"{url}/{INDEX}")
        try:
            modified, indexed = parse_index(date, modules)
        except ValueError as error:
            refuse(source, error)
        lock = folder.with_name(f".{folder.name}.lock")
        with files.exclusive_lock(lock, f"reading {source}", waiting=lambda _: None):
            old = cached_database(url, cache, source=source)
            if old is None or old.date != modified:
                _copy(url, folder, {DATE: date, INDEX: _ours(modules)}, indexed, old, get)
            found = open_database(folder)
    except FetchError as error:
        kept = cached_database(url, cache, source=source)
        hint = f"--offline, which takes the cache's copy of {kept.day}" if kept else "without --db, gobuild's own table"
        raise FetchError(error.reason, hint) from error
    return VulnerabilityDatabase(source=source, date=found.date, reports=found.reports)


def _copy(
    url: str,
    folder: Path,
    index: dict[str, bytes],
    indexed: dict[str, str],
    old: VulnerabilityDatabase | None,
    get: Callable[[str], bytes],
) -> None:
    known = {each.id: each.modified for each in old.reports.values()} if old else {}
    with files.atomic_write(folder) as temporary, Threads(AT_ONCE) as together:
        asked = {
            each: together.submit(get, f"{url}/ID/{each}.json")
            for each, modified in indexed.items()
            if known.get(each) != modified or modified.startswith("0001")
        }
        for name, content in index.items():
            files.write(temporary / name, content)
        try:
            for each in indexed:
                content = asked[each].result() if each in asked else (folder / f"ID/{each}.json").read_bytes()
                files.write(temporary / f"ID/{each}.json", content)
        finally:
            together.shutdown(wait=False, cancel_futures=True)  # after one that failed, nothing more is asked
        open_database(temporary)  # or it is refused, and the old copy stays


def _ours(modules: bytes) -> bytes:
    """The index without the thousands of modules that are not Go itself."""
    return json.dumps([each for each in json.loads(modules) if each["path"] in MODULES]).encode()


def _folder(url: str, cache: Path) -> Path:
    return cache.absolute() / _FOLDER / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
