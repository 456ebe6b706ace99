"""How far a toolchain is behind: its version and a release index come in, what is newer goes out.

Go's own rule (https://go.dev/doc/devel/release#policy): a release gets fixes until there are two newer major ones;
1.22 until 1.24. The index is asked, or the cache's copy is read, or gobuild's own table; whichever it is, is told.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gobuild import fetch
from gobuild.core.errors import ConfigError, GobuildError
from gobuild.core.model import GoVersion
from gobuild.core.process import Runner
from gobuild.doctor.limits import OutOfTime, within
from gobuild.doctor.model import Finding, Grade, Job
from gobuild.fetch import http, index
from gobuild.verify import expect, tree
from gobuild.verify.whole import build_information

GROUP = "toolchain"

ASK = 3.0
"""Seconds for the index."""

SERVED = 2
"""Newest lines that get fixes."""


def collect(job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (every topic is called so)
    """Asks for the newest release of every line; writes nothing into the cache."""
    stamp = tree.version(job.root) if job.root else ""
    if not stamp:
        info = build_information(job.go) if job.go.is_file() else None
        stamp = info.version if info else ""
    settings, missed = job.settings, "offline, as asked" if job.offline else ""
    if not job.offline:
        try:
            found = within(
                min(ASK, job.left - 0.5),
                lambda: index.fetch(settings.index_url, origin="go.dev", cache=job.scratch / "index"),
            )
            return _document(stamp, f"{http.plain(settings.index_url)}, asked now", (each.version for each in found))
        except OutOfTime:
            missed = f"no answer within {ASK:g} s"
        except GobuildError as error:
            missed = error.reason
        except OSError as error:  # requests' own, for a REQUESTS_CA_BUNDLE that names no file
            missed = str(error)
    kept = index.kept(settings.index_url, origin="go.dev", cache=settings.cache)
    if kept:
        asked = str(json.loads((settings.cache / "index.json").read_bytes()).get("asked", "a time not recorded"))
        return _document(
            stamp, f"the cache's copy of the index, of {asked} ({missed})", (each.version for each in kept)
        )
    where = f"gobuild's own table, which does not know what came out since gobuild did ({missed})"
    return _document(stamp, where, fetch.known_versions())


def _document(stamp: str, source: str, versions: Iterable[GoVersion]) -> dict[str, Any]:
    newest: dict[str, GoVersion] = {}
    for version in versions:
        if version.stable and version > newest.get(version.line, GoVersion(major=0, minor=0)):
            newest[version.line] = version
    ordered = sorted(newest.values(), reverse=True)
    return {"stamp": stamp, "source": source, "newest": [str(version) for version in ordered]}


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Judges."""
    mine = expect.release_of(part["stamp"])
    try:
        newest = [GoVersion.parse(each) for each in part["newest"]]
    except ConfigError:
        newest = []
    if mine is None or not newest:
        seen = f"{part['stamp'] or 'this go'} is no release of Go" if newest else "no list of releases was to be had"
        yield _finding("patch release", Grade.SKIPPED, seen)
        return
    source = f"by {part['source']}"
    of_line = next((each for each in newest if each.line == mine.line), None)
    if of_line is None or of_line <= mine:
        yield _finding("patch release", Grade.OK, f"{mine} is the newest of {mine.line}, {source}")
    else:
        count = (of_line.patch or 0) - (mine.patch or 0)
        behind = f"{count} patch release{'s' * (count > 1)} behind" if mine.stable else "older than"
        seen = f"{mine} is {behind} {of_line}, {source}"
        yield _finding("patch release", Grade.WARN, seen, f"build {of_line}: --go {of_line}")
    served = [each.line for each in newest[:SERVED]]
    if mine.line in served or mine > newest[0]:
        yield _finding("gets fixes", Grade.OK, f"{mine.line} is one of the {SERVED} newest lines, {source}")
    else:
        seen = f"{mine.line} gets no fixes any more: Go serves {' and '.join(served)}, {source}"
        yield _finding(
            "gets fixes", Grade.WARN, seen, f"move to {served[0]}, or port security fixes as patches yourself"
        )


def _finding(name: str, grade: Grade, seen: str, advice: str = "") -> Finding:
    return Finding(group=GROUP, name=name, grade=grade, seen=seen, advice=advice)
