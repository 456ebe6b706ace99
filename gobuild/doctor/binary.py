"""The binaries: every check of verify's own readers on the toolchain, or on the go alone where it has no GOROOT.

Two parts of verify are left out: compiling probes takes longer than the doctor may, and other tools (readelf, otool)
are programs nobody asked the doctor to run. ``gobuild verify`` does both.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from gobuild.core.errors import GobuildError, ToolMissing
from gobuild.core.model import Target, Verdict
from gobuild.core.process import Result, Runner
from gobuild.doctor.model import Finding, Grade, Job
from gobuild.doctor.toolchain import is_script
from gobuild.verify import inputs, tree, whole

GROUP = "binary"

LEFT_OUT = "left out, to end in time and to run nothing unasked: gobuild verify does it"

RECIPE = frozenset(("settings", "linking", "build ID", "code"))
"""Checks that fail where somebody builds Go in a way of his own, or a release that gobuild does not know: Debian's Go
1.19 uses cgo, no -trimpath, and strips its programs.
"""

NAMED = 5
"""Files that a finding names."""


def _none(_argv: Sequence[str | Path], **_rest: object) -> Result:
    raise ToolMissing(LEFT_OUT)


def collect(job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (every topic is called so)
    """Verifies; starts nothing."""
    if is_script(job):
        return {"problem": "", "script": True, "checks": []}
    way = whole.Way(host=Target.host(), run=cast(Runner, _none), scratch=job.scratch / "verify")
    try:
        if job.root:
            # A tree that make.bash cross-built has its host's toolchain too: the one that runs here is looked at.
            own = tree.identify(job.go.resolve()) if len(_crossed(job.root)) > 1 else None
            report = whole.report(inputs.folder(job.root, own), way, no_probe=LEFT_OUT)
        else:
            report = whole.single(job.go.resolve(), None, way)
    except (GobuildError, OSError) as error:
        return {"problem": getattr(error, "reason", None) or str(error), "checks": []}
    return {
        "problem": "",
        "by gobuild": bool(job.root and (job.root / "gobuild.json").is_file()),
        "checks": [
            {"subject": each.subject, "name": each.name, "verdict": str(each.verdict), "seen": each.seen[:1000]}
            | ({"expected": each.expected[:1000]} if each.expected else {})
            for each in report.checks
        ],
    }


def _crossed(root: Path) -> list[Path]:
    return list((root / "bin").glob("*_*/go"))


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding for each check that failed, one for each reason to leave some out, and one for all that passed."""
    if part["problem"]:
        advice = "a go command for macOS or Linux of a whole toolchain; if it is one, unpack it anew"
        yield Finding(group=GROUP, name="verify", grade=Grade.FAIL, seen=part["problem"], advice=advice)
        return
    if part.get("script"):
        yield Finding(group=GROUP, name="verify", grade=Grade.SKIPPED, seen="this go is a script")
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for check in part["checks"]:
        verdict = Verdict(check["verdict"])  # one that verify does not know is no pass
        apart = verdict if verdict is not Verdict.SKIPPED else f"SKIPPED: {check['seen']}"
        name = check["name"] if check["verdict"] == Verdict.FAILED else "verify"
        groups.setdefault((name, apart), []).append(check)
    for (name, _), checks in groups.items():
        yield _finding(name, checks, others=not part.get("by gobuild") and ("settings", Verdict.FAILED) in groups)


def _finding(name: str, checks: list[Mapping[str, Any]], *, others: bool) -> Finding:
    """One finding of several checks; `others`: whether neither Go's release team nor gobuild built the toolchain."""
    first = checks[0]
    if first["verdict"] == Verdict.FAILED:
        told = "; ".join(f"{each['subject']}: {each['seen']}" for each in checks[:NAMED])
        more = f"; and {len(checks) - NAMED} more" if len(checks) > NAMED else ""
        if others and (name in RECIPE or all(each["seen"] == "no plain file" for each in checks)):
            advice = (
                "it was not built as Go's releases are, which gobuild verify measures by: no harm where you trust who "
                "built it, a distribution perhaps"
            )
            return Finding(group=GROUP, name=name, grade=Grade.WARN, seen=told + more, advice=advice)
        wanted = first.get("expected") or "a sound file"
        advice = f"expected: {wanted}; do not use it: unpack its archive anew, or build again"
        return Finding(group=GROUP, name=name, grade=Grade.FAIL, seen=told + more, advice=advice)
    if first["verdict"] == Verdict.SKIPPED:
        names = ", ".join(dict.fromkeys(each["name"] for each in checks))
        return Finding(group=GROUP, name=name, grade=Grade.SKIPPED, seen=f"{names}: {first['seen']}")
    files = len({each["subject"] for each in checks})
    return Finding(group=GROUP, name=name, grade=Grade.OK, seen=f"{len(checks)} checks of {files} files passed")
