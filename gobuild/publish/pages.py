"""The pages for people: index.html, and releases/STAMP/index.html for each release.

No page loads anything: style and script stand in it, and its policy (CSP) forbids all else, by their digests. Every
value of a manifest is escaped by the template; links are relative, so that a tree can be read from anywhere.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gobuild.core import files, resources
from gobuild.core.console import amount
from gobuild.core.model import Outcome, State
from gobuild.core.render import render
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.install import install_instructions
from gobuild.publish.paths import path_in_tree
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.supply import attestations, vex
from gobuild.vulns.support import support_of

_KINDS = {"toolchain": "the toolchain for {}", "source": "its source, as patched", "module": "GOTOOLCHAIN's module, {}"}


def write_pages(catalogue: Catalogue, tree: Path, *, database: Verifier | None) -> None:
    """Writes all pages of a staged tree anew. `database` is the key of its checksum database, if it has one."""
    rows = [
        {
            "stamp": stamp,
            "go": str(builds[0].version),
            "targets": [str(build.target) for build in builds],
            "patches": [patch.name for patch, _ in _patches(builds) if patch.state is State.APPLIED],
            "signature": attestations.signature_of(tree, stamp, attestations.SUMS),
        }
        for stamp, builds in catalogue.releases.items()
    ]
    newest = next(iter(catalogue.releases))
    ways = install_instructions(catalogue, newest, tree, database=database)
    files.write(tree / "index.html", _render("index.html.j2", name=catalogue.name, releases=rows, ways=ways))
    for stamp in catalogue.releases:
        page = attestations.release_folder(tree, stamp) / "index.html"
        files.write(page, _release_page(catalogue, stamp, tree, database=database))


def _release_page(catalogue: Catalogue, stamp: str, tree: Path, *, database: Verifier | None) -> str:
    builds = catalogue.releases[stamp]
    patches = _patches(builds)
    newer = [build.manifest.source.newer for build in builds]
    signatures = {each: attestations.signature_of(tree, stamp, each) for each in attestations.SIGNED}
    return _render(
        "release.html.j2",
        name=catalogue.name,
        base_url=catalogue.base_url,
        stamp=stamp,
        go=str(builds[0].version),
        builds=builds,
        newer=next((str(each) for each in newer if each), ""),
        downloads=_downloads(builds),
        ways=install_instructions(catalogue, stamp, tree, database=database),
        signatures=signatures,
        signature=signatures[attestations.SUMS],
        exploitability=[
            each for each in (vex.OPENVEX, vex.CYCLONEDX) if (attestations.release_folder(tree, stamp) / each).is_file()
        ],
        patches=[(patch, ", ".join(targets)) for patch, targets in patches],
        patches_applied=len({patch.name for patch, _ in patches if patch.state is State.APPLIED}),
        differs=_differs(builds),
        verified=[_verified(build) for build in builds],
        support=support_of(builds[0].version),
        databases=_databases(builds),
        vulnerabilities=_vulnerabilities(builds),
    )


def _render(template: str, **values: Any) -> str:
    """Renders a page under a policy that lets only its own style and script in, by their digests (CSP 3)."""
    script = Markup("\n" + (resources.folder("templates") / "copy.js").read_text(encoding="utf-8"))  # noqa: S704  (ours)
    plain = render(template, html=True, script=script, policy="", **values)
    style = re.search(r"<style>(.*?)</style>", plain, re.DOTALL)
    policy = (
        f"default-src 'none'; style-src {_digest(style[1] if style else '')}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return render(template, html=True, script=script, policy=policy, **values)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _downloads(builds: Iterable[Build]) -> list[dict[str, str]]:
    rows = {
        archive.path.name: {
            "name": archive.path.name,
            "href": f"../../{path_in_tree(build, archive)}",
            "what": words.format(build.target),
            "size": amount(archive.size),
            "sha256": archive.sha256,
        }
        for kind, words in _KINDS.items()
        for build in builds
        for archive in build.archives
        if archive.kind == kind
    }
    return list(rows.values())


def _patches(builds: Iterable[Build]) -> list[tuple[Outcome, list[str]]]:
    """Each patch with what became of it, and the targets on which just that did."""
    rows: dict[Outcome, list[str]] = {}
    for build in builds:
        for patch in build.manifest.patches:
            rows.setdefault(patch, []).append(str(build.target))
    return list(rows.items())


def _databases(builds: Iterable[Build]) -> list[str]:
    """The databases of vulnerabilities that the builds were compared with."""
    known = [build.manifest.vulnerabilities for build in builds]
    return list(dict.fromkeys(f"{each.database}, of {each.date[:10]}" for each in known if each))


def _vulnerabilities(builds: Iterable[Build]) -> list[dict[str, Any]]:
    """Each known vulnerability with its states, and the targets on which it is in that."""
    found: dict[str, dict[str, Any]] = {}
    for build in builds:
        for each in build.manifest.vulnerabilities.known if build.manifest.vulnerabilities else ():
            row = found.setdefault(each.id, {"id": each.id, "aliases": ", ".join(each.aliases), "states": {}})
            row["states"].setdefault(f"{each.state} {each.patch}".rstrip(), []).append(str(build.target))
    return [found[name] for name in sorted(found)]


def _differs(builds: Sequence[Build]) -> list[str]:
    changed: dict[str, dict[str, None]] = {}
    for patch, _ in _patches(builds):
        for file in patch.files if patch.state is State.APPLIED else ():
            changed.setdefault(file, {})[patch.name] = None
    lines = [f"{file}: {', '.join(names)}" for file, names in sorted(changed.items())]
    profiles = {(build.manifest.profile.name, build.manifest.profile.says) for build in builds}
    return lines + [f"Profile {name}: {note}." for name, note in sorted(profiles)]


def _verified(build: Build) -> dict[str, Any]:
    """The checks of one target, one row a check, however many files passed it; what did not pass, with its reason."""
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for check in build.manifest.checks:
        verdict = "FAILED, allowed" if check.allowed else str(check.verdict)
        seen = f"{check.seen} (allowed: {check.reason})" if check.allowed else check.seen
        groups.setdefault((check.name, verdict, "" if verdict == "OK" else seen), []).append((check.subject, seen))
    rows = [
        {
            "name": name,
            "verdict": verdict,
            "where": checks[0][0] if len(checks) == 1 else f"{len(checks)} files",
            "seen": checks[0][1],
        }
        for (name, verdict, _), checks in groups.items()
    ]
    counts = Counter(str(check.verdict) for check in build.manifest.checks)
    summary = f"{counts['OK']} checks passed"
    if counts["FAILED"]:
        summary += f", {counts['FAILED']} failed and were allowed by a policy, each with its reason"
    if counts["SKIPPED"]:
        summary += f", {counts['SKIPPED']} skipped, each with its reason"
    return {"name": str(build.target), "checks": rows, "summary": summary}
