"""Which toolchain this is: release, suffix, patches, machine; and how far it is behind. Nothing is run.

Go's own rule (https://go.dev/doc/devel/release#policy): a release gets fixes until there are two newer major ones;
1.22 until 1.24. The index is asked, or the cache's copy is read, or gobuild's own table; whichever it is, is told.
"""

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild import fetch, patch
from gobuild.audit import identify
from gobuild.core.errors import ConfigError, GobuildError
from gobuild.core.goversion import GoVersion
from gobuild.doctor.model import TOOLCHAIN, Case, Finding, Grade
from gobuild.doctor.watch import OutOfTime, within
from gobuild.fetch import http, index
from gobuild.verify import build_information, expect, tree
from gobuild.vulns.support import support_of

ASK = 3.0
"""Seconds for the index."""


def collect(case: Case) -> dict[str, Any]:
    """Identifies the toolchain, and the machines that its programs are for."""
    found: dict[str, Any] = {"identity": {}, "problem": "", "machines": {}, "script": is_script(case)}
    if found["script"]:
        return found
    try:
        series = [patch.series_of(case.settings)]
        identity = identify.identify(case.root or case.go.resolve(), dist=case.settings.dist, series=series)
    except (GobuildError, OSError, RuntimeError) as error:
        return found | {"problem": getattr(error, "reason", None) or str(error)}
    return found | {"identity": identity.document(), "machines": _machines(case.root) if case.root else {}}


def is_script(case: Case) -> bool:
    """Whether the go command is a script in no GOROOT, as asdf's and goenv's are: it starts a go that is not known."""
    try:
        with case.go.open("rb") as file:
            return case.root is None and file.read(2) == b"#!"
    except OSError:
        return False


def _machines(root: Path) -> dict[str, list[str]]:
    """The programs that people and the go command start, by what they run on."""
    found: dict[str, list[str]] = {}
    for path in [*(root / "bin").glob("*"), *(root / "pkg/tool").glob("*/*")]:
        if path.is_file() and tree.executable(path):
            machine = str(tree.identify(path) or "another machine")
            found.setdefault(machine, []).append(path.relative_to(root).as_posix())
    return found


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says which toolchain it is, and whether its programs are for one machine."""
    if part["identity"]:
        yield _identity_finding(part["identity"])
        yield _machine_finding(part["machines"])
        return
    advice = 'where this is a wrapper, name the go behind it: --path "$(go env GOROOT)"'
    if part.get("script"):
        yield TOOLCHAIN.warn("identity", "a script, which may start any go", advice)
    else:
        yield TOOLCHAIN.fail("identity", part["problem"] or "not known", advice)


def _identity_finding(identity: Mapping[str, Any]) -> Finding:
    told, patches = f"{identity['stamp']}: {identity['says']}", identity["patches"]
    if identity["release"] and patches is not None:
        names = Counter(each["state"] or "in the series" for each in patches)
        counts = ", ".join(f"{count} {state}" for state, count in names.items()) or "none"
        return TOOLCHAIN.ok("identity", f"{told}; patches: {counts}")
    if identity["release"] and not identity["suffix"]:
        return TOOLCHAIN.ok("identity", told)
    advice = "give --dist with its manifest, or ask whoever built it for gobuild.json: its patches are not known"
    return TOOLCHAIN.warn("identity", told, advice)


def _machine_finding(machines: Mapping[str, list[str]]) -> Finding:
    if not machines:
        return TOOLCHAIN.skipped("one architecture", "no GOROOT with programs")
    if len(machines) == 1:
        ((machine, names),) = machines.items()
        return TOOLCHAIN.ok("one architecture", f"{len(names)} programs, all for {machine}")
    seen, wrong = [], []
    for machine, names in machines.items():
        seen.append(f"{len(names)} for {machine} ({', '.join(names[:3])} ...)")
        # A cross-built tree has the tools of both, each in the folder named for it.
        folder = f"pkg/tool/{machine.replace('/', '_')}/"
        wrong += [each for each in names if each.startswith("pkg/tool/") and not each.startswith(folder)]
    if wrong:
        seen.append(f"in a folder of another machine: {', '.join(wrong[:3])}")
    advice = "unpack the archive into an empty folder: another toolchain's programs are mixed in (only a tree in which "
    advice += "make.bash cross-built may look so)"
    return TOOLCHAIN.finding("one architecture", Grade.FAIL if wrong else Grade.WARN, "; ".join(seen), advice)


def collect_releases(case: Case) -> dict[str, Any]:
    """Asks for the newest release of every line; writes nothing into the cache."""
    stamp = tree.version(case.root) if case.root else ""
    if not stamp:
        info = build_information(case.go) if case.go.is_file() else None
        stamp = info.stamp if info else ""
    settings, url = case.settings, case.settings.index_url
    try:
        if settings.offline:
            raise ConfigError("offline, as asked")
        ask = functools.partial(index.fetch_index, url, origin="go.dev", cache=case.scratch / "index")
        found = within(min(ASK, case.left - 0.5), ask)
        return _newest(stamp, f"{http.redact_url(url)}, asked now", (each.version for each in found))
    except OutOfTime:
        missed = f"no answer within {ASK:g} s"
    except GobuildError as error:
        missed = error.reason
    except OSError as error:  # requests' own, for a REQUESTS_CA_BUNDLE that names no file
        missed = str(error)
    if kept := index.cached_index(url, origin="go.dev", cache=settings.cache):
        asked = str(json.loads((settings.cache / "index.json").read_bytes()).get("asked", "a time not recorded"))
        return _newest(stamp, f"the cache's copy of the index, of {asked} ({missed})", (each.version for each in kept))
    where = f"gobuild's own table, which does not know what came out since gobuild did ({missed})"
    return _newest(stamp, where, fetch.known_versions())


def _newest(stamp: str, source: str, versions: Iterable[GoVersion]) -> dict[str, Any]:
    newest = {each.line: each for each in sorted(versions) if each.stable}
    ordered = sorted(newest.values(), reverse=True)
    return {"stamp": stamp, "source": source, "newest": [str(version) for version in ordered]}


def diagnose_releases(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says how many patch releases it is behind, and whether its line still gets fixes."""
    mine = expect.release_of(part["stamp"])
    try:
        newest = [GoVersion.parse(each) for each in part["newest"]]
    except ConfigError:
        newest = []
    if mine is None or not newest:
        seen = f"{part['stamp'] or 'this go'} is no release of Go" if newest else "no list of releases was to be had"
        yield TOOLCHAIN.skipped("patch release", seen)
        return
    source = f"by {part['source']}"
    of_line = next((each for each in newest if each.line == mine.line), None)
    if of_line is None or of_line <= mine:
        yield TOOLCHAIN.ok("patch release", f"{mine} is the newest of {mine.line}, {source}")
    else:
        count = (of_line.patch or 0) - (mine.patch or 0)
        behind = f"{count} patch release{'s' * (count > 1)} behind" if mine.stable else "older than"
        seen = f"{mine} is {behind} {of_line}, {source}"
        yield TOOLCHAIN.warn("patch release", seen, f"build {of_line}: --go {of_line}")
    served = [each.line for each in newest[:2]]
    if mine.line in served or mine > newest[0]:
        yield TOOLCHAIN.ok("gets fixes", f"{mine.line} is one of the 2 newest lines, {source}")
    else:
        seen = f"{mine.line} gets no fixes any more: Go serves {' and '.join(served)}, {source}"
        if (support := support_of(mine)) and support.ended:
            seen += f"; it ended when {support.until} came, on {support.ended}"
        yield TOOLCHAIN.warn(
            "gets fixes",
            seen,
            f"move to {served[0]}, or port security fixes as patches yourself: see gobuild vulns --go {mine}",
        )
