"""Databases of vulnerabilities: gobuild's own table, a file, a folder or a ZIP in vuln.go.dev's layout.

The layout is https://go.dev/doc/security/vuln/database#api's: index/db.json, index/modules.json, ID/GO-….json. A
folder or ZIP without an index is taken for a set of reports, as `govulncheck -db` does.
"""

import errno
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Never

from gobuild.core import resources
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion
from gobuild.core.manifest import load_json, shown
from gobuild.vulns.facts import ID, MODULES, Vulnerability, parse_report, parse_time
from gobuild.vulns.ranges import semver, semver_key

TABLE = resources.PACKAGE / "vulns/go_vulnerabilities.json"
"""Here, and not in data/, whose files are in the store's keys: a newer table makes no toolchain another one."""

DATE = "index/db.json"
INDEX = "index/modules.json"

LARGEST = 32 << 20
"""Bytes of one file; the whole index has a hundredth of that."""

MOST = 50_000
"""Files of a database; vuln.go.dev has some 5,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityDatabase:
    """The reports on Go itself, by their ids, and of when the database is: RFC 3339, or "" where nothing says it."""

    source: str
    date: str
    reports: Mapping[str, Vulnerability]

    @property
    def day(self) -> str:
        """The day that it is of."""
        return self.date[:10] or "an unknown day"

    @property
    def versions(self) -> frozenset[str]:
        """The semantic versions in which something was fixed."""
        affected = [each for report in self.reports.values() for each in report.affected]
        return frozenset(fixed for each in affected for _, fixed in each.spans if fixed)

    def knows(self, version: GoVersion) -> bool:
        """Whether it tells of a release as new as this."""
        return any(semver_key(semver(version)) <= semver_key(each) for each in self.versions)


def refuse(source: str, reason: object) -> Never:
    """Says why a database cannot be used."""
    raise ConfigError(
        f"{shown(source)} cannot be used as a database of Go's vulnerabilities: {reason}",
        "--db with a report, a folder or a ZIP as https://vuln.go.dev has them, or its address; without --db, "
        "gobuild's own table",
    )


@cache
def own_table() -> VulnerabilityDatabase:
    """The table that ships with gobuild."""
    return _parsed(load_json(TABLE.read_bytes()), "gobuild's own table")


def open_database(path: Path) -> VulnerabilityDatabase:
    """Reads a database on this machine: a report, a list of them or a table, a folder, a ZIP.

    Raises:
        ConfigError: it is none, or damaged; the message says where.
    """
    source = str(path)
    try:
        if path.is_dir():
            names = [each.relative_to(path).as_posix() for each in (*path.glob("*.json"), *path.glob("*/*.json"))]
            return _of_files(names, lambda name: _limited(path / name), source)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _zip(archive, source)
        if path.is_file():
            return _parsed(load_json(_limited(path)), source)
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        refuse(source, error)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        refuse(source, "a place in it is named that no file has")  # zipfile goes wherever its directory says
    return refuse(source, "there is no such file or folder")


def _limited(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path.name} is larger than {LARGEST >> 20} MiB")
    return content


def _zip(archive: zipfile.ZipFile, source: str) -> VulnerabilityDatabase:
    sizes = {each.filename: each.file_size for each in archive.infolist()}
    if len(sizes) != len(archive.infolist()) or len(sizes) > MOST or max(sizes.values(), default=0) > LARGEST:
        raise ValueError("it has a name twice, or more than such a database may have")
    # vuln.go.dev's own vulndb.zip has no folder around it; one that somebody packed may have.
    inner = [name.removesuffix(INDEX) for name in sizes if name.endswith(INDEX)]
    root = min(inner, key=len, default="")
    names = [name.removeprefix(root) for name in sizes if name.startswith(root) and name.endswith(".json")]
    return _of_files(names, lambda name: archive.read(root + name), source)


def _of_files(names: Collection[str], read_file: Callable[[str], bytes], source: str) -> VulnerabilityDatabase:
    if INDEX in names or DATE in names:
        if lacking := [each for each in (DATE, INDEX) if each not in names]:
            raise ValueError(f"its index lacks {lacking[0]}")
        date, indexed = parse_index(read_file(DATE), read_file(INDEX))
        missing = [each for each in indexed if f"ID/{each}.json" not in names]
        if missing:
            raise ValueError(f"its index names {missing[0]}, and there is no such report")
        reports = [parse_file(read_file(f"ID/{each}.json"), each, modified) for each, modified in indexed.items()]
        return _database(reports, date, source)
    found = [name for name in names if ID.fullmatch(PurePosixPath(name).stem)]
    if not found:
        raise ValueError("there is no index/modules.json in it, and no GO-….json")
    return _database([parse_file(read_file(name), PurePosixPath(name).stem) for name in found], "", source)


def parse_index(date: bytes, modules: bytes) -> tuple[str, dict[str, str]]:
    """When a database was modified, and the reports on Go itself with the time of each, from its index's two files.

    Raises:
        ValueError: they are no such index.
    """
    try:
        modified = str(load_json(date)["modified"])
        entries = [each for each in load_json(modules) if each["path"] in MODULES]
        if len({each["path"] for each in entries}) != len(entries):
            raise ValueError(f"index/modules.json has {' or '.join(MODULES)} twice")
        found = {str(one["id"]): str(one["modified"]) for each in entries for one in each["vulns"]}
        for time in (modified, *found.values()):
            parse_time(time)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its index is not of the form that vuln.go.dev's has ({type(error).__name__})") from error
    if wrong := [each for each in found if not ID.fullmatch(each)]:
        raise ValueError(f"its index has the id {shown(wrong[0])}")
    if not found:
        raise ValueError(f"its index has no report on {' or '.join(MODULES)}, which is what Go itself is called there")
    return modified, found


def parse_file(content: bytes, wanted: str, modified: str = "") -> Vulnerability | None:
    """A report by the name of its file, of the very time that the index gives for it; see `parse_report`."""
    try:
        found = parse_report(load_json(content))
        if found and found.id != wanted:
            raise ValueError(f"it is {found.id}")
        if modified and found is None:
            raise ValueError(f"it concerns neither {' nor '.join(MODULES)}")
        if modified and found and found.modified != modified:
            raise ValueError(f"it is of {found.modified}, and by the index of {modified}")
    except ValueError as error:
        raise ValueError(f"{wanted}: {error}") from error
    return found


def _parsed(document: Any, source: str) -> VulnerabilityDatabase:
    """A report, a list of them, or a table."""
    date = ""
    if isinstance(document, dict) and "reports" in document:
        date, document = str(document.get("date", "")), document["reports"]
    reports = []
    for each in document if isinstance(document, list) else [document]:
        try:
            reports.append(parse_report(each))
        except ValueError as error:
            name = each.get("id", "a report") if isinstance(each, dict) else "a report"
            raise ValueError(f"{shown(str(name))}: {error}") from error
    return _database(reports, date, source)


def _database(reports: list[Vulnerability | None], date: str, source: str) -> VulnerabilityDatabase:
    found = {each.id: each for each in reports if each}
    if not found:
        raise ValueError(f"no report in it concerns {' or '.join(MODULES)}, which is what Go itself is called there")
    if len(found) != len([each for each in reports if each]):
        raise ValueError("it has a report twice")
    return VulnerabilityDatabase(source=source, date=date or _newest(found), reports=dict(sorted(found.items())))


def _newest(reports: Mapping[str, Vulnerability]) -> str:
    """The time of the last change among the reports; those of a checkout of golang/vulndb all say the year 1."""
    newest = max((each.modified for each in reports.values()), default="")
    return "" if newest.startswith("0001") else newest
