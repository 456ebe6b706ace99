"""What one report of Go's vulnerability database says, without its prose; from OSV's JSON.

The form is https://go.dev/doc/security/vuln/database#schema. Strict where a word lost or changed would make an answer
milder than the report: in what is affected, nothing unknown is passed over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gobuild.core.manifest import shown
from gobuild.vulns.ranges import spans

MODULES = ("stdlib", "toolchain")
"""The modules by which the database means Go itself."""

GOOS = frozenset(
    re.findall(
        r"\w+",
        "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 "
        "windows zos",
    )
)
GOARCH = frozenset(
    re.findall(
        r"\w+",
        "386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ppc "
        "ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm",
    )
)
"""All that Go has ever had names for: src/internal/syslist of Go 1.27."""

ID = re.compile(r"GO-\d{4}-\d{4,}", re.ASCII)

_NAME = re.compile(r"[!-~]+")

_AFFECTED = {
    "package": dict,
    "ranges": list,
    "ecosystem_specific": dict,
    "database_specific": dict,
    "severity": list,
    "versions": list,
}
_PACKAGE = {"name": str, "ecosystem": str, "purl": str}
_RANGE = {"type": str, "events": list}
_LISTS = ("symbols", "goos", "goarch")
_IMPORTS = {"path": str, **dict.fromkeys(_LISTS, list)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerablePackage:
    """A package of Go's that is at fault: its import path, its symbols, and where; empty: all, or everywhere."""

    path: str
    symbols: tuple[str, ...] = ()
    goos: tuple[str, ...] = ()
    goarch: tuple[str, ...] = ()

    def concerns(self, goos: str, goarch: str) -> bool:
        """Whether it is at fault in what runs on this."""
        return (not self.goos or goos in self.goos) and (not self.goarch or goarch in self.goarch)

    @property
    def platforms(self) -> str:
        """Where alone it is at fault, in words."""
        return "/".join(" or ".join(each) for each in (self.goos, self.goarch) if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedModule:
    """What a report says of the standard library or of the toolchain; without `packages`, of all of it."""

    module: str
    spans: tuple[tuple[str, str], ...]  # (introduced, fixed), as `gobuild.vulns.ranges.spans` makes them
    packages: tuple[VulnerablePackage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """A report, as far as it concerns Go itself."""

    id: str
    aliases: tuple[str, ...]
    modified: str
    withdrawn: str  # since when; "" where it holds
    affected: tuple[AffectedModule, ...]
    links: tuple[tuple[str, str], ...]  # (kind, URL); a kind is FIX, REPORT, WEB, ADVISORY or ARTICLE

    @property
    def holds(self) -> bool:
        """Whether it is not withdrawn by now."""
        return not self.withdrawn or parse_time(self.withdrawn) > datetime.now(UTC)

    @property
    def fixes(self) -> tuple[str, ...]:
        """The addresses of its fixes."""
        return tuple(url for kind, url in self.links if kind == "FIX")


def parse_time(text: str) -> datetime:
    """A time of the database, in RFC 3339; a ValueError where it is none."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def parse_report(document: object) -> Vulnerability | None:
    """A report from its JSON; None where it does not concern Go itself.

    Raises:
        ValueError: it is no report of Go's database, or a damaged one; says where.
    """
    if not isinstance(document, dict) or not isinstance(document.get("id"), str) or not ID.fullmatch(document["id"]):
        raise ValueError("it has no id of Go's database, such as GO-2025-3563")
    affected = tuple(_affected(_list(document, "affected", dict)))
    if not affected:
        return None
    times = {key: document.get(key, "") for key in ("modified", "withdrawn")}
    for key, value in times.items():
        if not isinstance(value, str):
            raise ValueError(f"{key} is {shown(str(value))}")
        if value or key in document:
            parse_time(value)
    links = []
    for link in _list(document, "references", dict):
        _require(link, "references", {"type": str, "url": str}, ("type", "url"))
        if not link["url"].startswith(("https://", "http://")) or not _NAME.fullmatch(link["url"]):
            raise ValueError(f"references has the address {shown(link['url'])}")
        links.append((link["type"], link["url"]))
    return Vulnerability(
        id=document["id"], aliases=_words(document, "aliases"), affected=affected, links=tuple(links), **times
    )


def _affected(entries: list[dict[str, Any]]) -> Iterator[AffectedModule]:
    if not entries:
        raise ValueError("affected is empty")
    for entry in entries:
        package: Any = entry.get("package")
        _require(package, "affected.package", _PACKAGE, ("name", "ecosystem"))
        if package["ecosystem"] != "Go":
            raise ValueError(f"affected.package.ecosystem is {shown(package['ecosystem'])}")
        if package["name"] not in MODULES:
            continue
        _require(entry, "affected", _AFFECTED, ("package", "ranges"))
        specific = entry.get("ecosystem_specific", {"imports": []})
        _require(specific, "ecosystem_specific", {"imports": list}, ("imports",))
        packages = tuple(map(_package, _list(specific, "imports", dict)))
        yield AffectedModule(module=package["name"], spans=_spans(entry["ranges"]), packages=packages)


def _spans(ranges: list[Any]) -> tuple[tuple[str, str], ...]:
    if not ranges:
        raise ValueError("affected.ranges is empty")
    found: list[tuple[str, str]] = []
    for each in ranges:
        _require(each, "ranges", _RANGE, _RANGE)
        if each["type"] != "SEMVER":
            raise ValueError(f"ranges.type is {shown(each['type'])}")
        events = [event for one in _list(each, "events", dict) for event in one.items()]
        for kind, version in events:
            if kind not in ("introduced", "fixed") or not isinstance(version, str):
                raise ValueError(f"events has {shown(f'{kind}: {version}')}")
        found += spans(events)
    return tuple(found)


def _package(document: dict[str, Any]) -> VulnerablePackage:
    _require(document, "imports", _IMPORTS, ("path",))
    if not _NAME.fullmatch(document["path"]):
        raise ValueError(f"imports.path is {shown(document['path'])}")
    lists = {key: _words(document, key) for key in _LISTS}
    if unknown := sorted({*lists["goos"]} - GOOS | {*lists["goarch"]} - GOARCH):
        raise ValueError(f"imports has the platform {shown(unknown[0])}")
    return VulnerablePackage(path=document["path"], **lists)


def _require(document: object, where: str, kinds: Mapping[str, type], needed: Any) -> None:
    if not isinstance(document, dict):
        raise ValueError(f"{where} is {shown(str(document))}")
    for key, value in document.items():
        if key not in kinds:
            raise ValueError(f"{where} has the key {shown(key)}, which Go's database does not write")
        if type(value) is not kinds[key]:
            raise ValueError(f"{where}.{key} is {shown(str(value))}")
    for key in needed:
        if key not in document:
            raise ValueError(f"{where} has no key {key}")


def _list(document: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    found = document.get(key, [])
    if not isinstance(found, list) or not all(type(each) is kind for each in found):
        raise ValueError(f"{key} is {shown(str(found))}")
    return found


def _words(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = _list(document, key, str)
    for word in found:
        if not _NAME.fullmatch(word):
            raise ValueError(f"{key} has {shown(word)}")
    return tuple(found)
