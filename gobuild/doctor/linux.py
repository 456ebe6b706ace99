"""A hang on Linux, before it is ended: what /proc tells of every process of the group (proc(5)).

The kernel's stack of a thread is readable for root alone, and is told where it can be read.
"""

import contextlib
from pathlib import Path
from typing import Any

from gobuild.core.process import Runner
from gobuild.doctor.model import Job

MOST = 64
"""Processes of a group, and threads of a process, that are looked at."""


def capture(pid: int, job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (every capture is called so)
    """Looks at the group that `pid` leads."""
    group = [path for path in Path("/proc").glob("[0-9]*") if _group(path) == pid]
    return {"processes": [_process(path) for path in group[:MOST]]}


def _group(path: Path) -> int:
    # The name may hold blanks and brackets; after its closing bracket come state, parent and group.
    fields = _text(path / "stat").rpartition(")")[2].split()
    return int(fields[2]) if len(fields) > 2 else -1


def _process(path: Path) -> dict[str, Any]:
    status = dict(line.split(":\t", 1) for line in _text(path / "status").splitlines() if ":\t" in line)
    with contextlib.suppress(OSError):
        threads = sorted((path / "task").iterdir(), key=lambda each: each.name)[:MOST]
        return {
            "pid": int(path.name),
            "name": status.get("Name", "?"),
            "state": status.get("State", "?"),
            "memory": status.get("VmRSS", "?"),
            "command": _text(path / "cmdline").replace("\0", " ").strip(),
            "threads": [_thread(each) for each in threads],
        }
    return {"pid": int(path.name), "name": status.get("Name", "gone"), "threads": []}


def _thread(path: Path) -> dict[str, str]:
    fields = _text(path / "stat").rpartition(")")[2].split()
    wchan = _text(path / "wchan").strip()
    return {
        "id": path.name,
        "state": fields[0] if fields else "?",
        "wchan": "" if wchan == "0" else wchan,
        "syscall": _text(path / "syscall").strip(),
        "stack": _text(path / "stack").strip(),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
