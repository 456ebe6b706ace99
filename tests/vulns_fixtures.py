"""Databases of vulnerabilities in vuln.go.dev's layout: the real facts of gobuild's own table, or reports made here."""

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gobuild.core.goversion import GoVersion
from gobuild.core.manifest import unstructure
from gobuild.pipeline.vulnerabilities import record
from gobuild.vulns.database import TABLE, own_table
from gobuild.vulns.status import Subject, assess

DATE = "2026-09-01T10:00:00Z"

Osv = dict[str, Any]


def real_reports() -> list[Osv]:
    """All reports of gobuild's own table."""
    return list(json.loads(TABLE.read_bytes())["reports"])


def toy_report(name: str = "GO-2099-0001", module: str = "stdlib", **more: Any) -> Osv:
    """A report on net/http up to 1.22.12; `imports`, `events`, and whatever else stands in one."""
    imports = more.pop("imports", [{"path": "net/http", "symbols": ["Client.Do"]}])
    events = more.pop("events", [{"introduced": "0"}, {"fixed": "1.22.12"}])
    entry = {
        "package": {"name": module, "ecosystem": "Go"},
        "ranges": [{"type": "SEMVER", "events": events}],
        "ecosystem_specific": {"imports": imports},
    }
    return {"id": name, "modified": DATE, "aliases": ["CVE-2099-1"], "affected": [entry]} | more


def lay_out(folder: Path, reports: Iterable[Osv], *, date: str = DATE) -> Path:
    """A folder in the layout: index/db.json, index/modules.json, ID/*.json; third parties' modules are in it, too."""
    modules: dict[str, list[dict[str, str]]] = {"stdlib": [], "toolchain": [], "example.org/other": []}
    for name in ("index", "ID"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for each in reports:
        (folder / f"ID/{each['id']}.json").write_text(json.dumps(each))
        for module in {entry["package"]["name"] for entry in each["affected"]}:
            modules.setdefault(module, []).append({"id": each["id"], "modified": each["modified"]})
    (folder / "index/db.json").write_text(json.dumps({"modified": date}))
    listed = [{"path": path, "vulns": vulns} for path, vulns in modules.items()]
    (folder / "index/modules.json").write_text(json.dumps(listed))
    return folder


def pack(folder: Path, to: Path, inside: str = "") -> Path:
    """The same as a ZIP."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.json")):
            archive.write(path, inside + path.relative_to(folder).as_posix())
    return to


def subject(version: str = "1.22.10", target: str = "linux/amd64", **more: Any) -> Subject:
    """A release without patches."""
    goos, _, goarch = target.partition("/")
    words: dict[str, Any] = {"name": f"Go {version}", "version": GoVersion.parse(version), "fixes": {}}
    return Subject(goos=goos, goarch=goarch, **(words | more))


def telling(
    target: str, *, release: str = "1.22.10", fixes: Iterable[str] = (), tested: str = ""
) -> Callable[[Osv], None]:
    """Has a manifest tell of the known vulnerabilities of its release, of which its first patch says it fixes some."""

    def edit(document: Osv) -> None:
        patch = document["patches"][0]
        patch |= {"fixes": list(fixes)} | ({"tested": tested} if tested else {})
        asked = subject(release, target, fixes={patch["name"]: tuple(fixes)} if fixes else {})
        document["vulnerabilities"] = unstructure(record(assess(own_table(), asked)))

    return edit
