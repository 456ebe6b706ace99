"""Looks at a hang before it is ended: what /proc tells of every process of the group (proc(5)), and Go's own dump.

The kernel's stack of a thread is readable for root alone, and is told where it can be read. On macOS it is `macos.hang`
that looks.
"""

import contextlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gobuild.core.errors import GobuildError
from gobuild.doctor.macos import hang as macos
from gobuild.doctor.model import Case

MOST = 64
"""Processes of a group, and threads of a process, that are looked at."""

DUMP = 8
"""Frames of a goroutine that are told."""

GOROUTINE = re.compile(
    r"^goroutine [1-9]\d*(?: gp=\S+ m=\S+(?: mp=\S+)?)? \[(?P<state>[^\]\n]{1,80})\]:$", re.MULTILINE
)
FRAME = re.compile(r"^(?P<name>[\w./*()\[\]-]{1,200})\(", re.MULTILINE)


def capture(pid: int, case: Case) -> dict[str, Any]:
    """Looks at a process that hangs, and at the group that it leads; for at most two seconds without `case.capture`."""
    try:
        if sys.platform == "linux":
            group = [path for path in Path("/proc").glob("[0-9]*") if _group(path) == pid]
            return {"processes": [_process(path) for path in group[:MOST]]}
        return macos.capture(pid, case) if sys.platform == "darwin" else {}
    except (GobuildError, OSError) as error:
        return {"error": getattr(error, "reason", None) or str(error)}


def _group(path: Path) -> int:
    # The name may hold blanks and brackets; after its closing bracket come state, parent and group.
    fields = _read_proc(path / "stat").rpartition(")")[2].split()
    return int(fields[2]) if len(fields) > 2 else -1


def _process(path: Path) -> dict[str, Any]:
    status = dict(line.split(":\t", 1) for line in _read_proc(path / "status").splitlines() if ":\t" in line)
    with contextlib.suppress(OSError):
        threads = sorted((path / "task").iterdir(), key=lambda each: each.name)[:MOST]
        return {
            "pid": int(path.name),
            "name": status.get("Name", "?"),
            "state": status.get("State", "?"),
            "memory": status.get("VmRSS", "?"),
            "command": _read_proc(path / "cmdline").replace("\0", " ").strip(),
            "threads": [_thread(each) for each in threads],
        }
    return {"pid": int(path.name), "name": status.get("Name", "gone"), "threads": []}


def _thread(path: Path) -> dict[str, str]:
    fields = _read_proc(path / "stat").rpartition(")")[2].split()
    wchan = _read_proc(path / "wchan").strip()
    return {
        "id": path.name,
        "state": fields[0] if fields else "?",
        "wchan": "" if wchan == "0" else wchan,
        "syscall": _read_proc(path / "syscall").strip(),
        "stack": _read_proc(path / "stack").strip(),
    }


def _read_proc(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def describe(captured: Mapping[str, Any], dump: str) -> str:
    """What was seen of a hang, for people; captures of macOS have a topic of their own."""
    told = []
    for process in captured.get("processes", ()):
        threads = ", ".join(
            f"{thread['state']} in {thread['wchan'] or 'user code'}" for thread in process["threads"][:8]
        )
        told.append(f"process {process['name']} ({len(process['threads'])} threads: {threads})")
    if goroutine := GOROUTINE.search(dump):
        frames = FRAME.findall(dump, goroutine.end(), goroutine.end() + 8000)[:DUMP]
        told.append(f"its first goroutine waits in [{goroutine['state']}]: {' < '.join(frames)}")
    elif dump:
        told.append("it answered SIGQUIT, and not as Go programs do: the file is a wrapper, or no Go program")
    else:
        told.append("no answer to SIGQUIT, on which a Go program writes its stacks")
    return "; ".join(told)
