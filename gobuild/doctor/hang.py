"""Looks at a hang before it is ended: what /proc tells of every process of the group (proc(5)), and Go's own dump.

The kernel's stack of a thread is readable for root alone. On macOS it is `macos.hang` that looks.
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
from gobuild.doctor.switching import read_text

MOST = 64
"""Processes of a group, and threads of a process, that are looked at."""

GOROUTINE = re.compile(
    r"^goroutine [1-9]\d*(?: gp=\S+ m=\S+(?: mp=\S+)?)? \[(?P<state>[^\]\n]{1,80})\]:$", re.MULTILINE
)
FRAME = re.compile(r"^(?P<name>[\w./*()\[\]-]{1,200})\(", re.MULTILINE)


def capture(pid: int, case: Case) -> dict[str, Any]:
    """Looks at a process that hangs, and at the group that it leads; for at most two seconds without `case.capture`."""
    try:
        if sys.platform == "linux":
            # In stat the name may hold blanks and brackets; after its closing bracket come state, parent and group.
            group = [each for each in Path("/proc").glob("[0-9]*") if _stat(each)[2:3] == [str(pid)]]
            return {"processes": [_process(path) for path in group[:MOST]]}
        return macos.capture(pid, case) if sys.platform == "darwin" else {}
    except (GobuildError, OSError) as error:
        return {"error": getattr(error, "reason", None) or str(error)}


def _process(path: Path) -> dict[str, Any]:
    status = dict(line.split(":\t", 1) for line in read_text(path / "status").splitlines() if ":\t" in line)
    threads: list[Path] = []
    with contextlib.suppress(OSError):  # it has ended meanwhile
        threads = sorted((path / "task").iterdir())[:MOST]
    return {
        "pid": int(path.name),
        "name": status.get("Name", "gone"),
        "state": status.get("State", "?"),
        "memory": status.get("VmRSS", "?"),
        "command": read_text(path / "cmdline").replace("\0", " ").strip(),
        "threads": [
            {"id": each.name, "state": (_stat(each) or ["?"])[0]}
            | {name: read_text(each / name).strip() for name in ("wchan", "syscall", "stack")}
            for each in threads
        ],
    }


def _stat(path: Path) -> list[str]:
    return read_text(path / "stat").rpartition(")")[2].split()


def describe(captured: Mapping[str, Any], dump: str) -> str:
    """What was seen of a hang, for people; captures of macOS have a topic of their own."""
    told = []
    for process in captured.get("processes", ()):
        threads = ", ".join(
            f"{each['state']} in {each['wchan'].removeprefix('0') or 'user code'}" for each in process["threads"][:8]
        )
        told.append(f"process {process['name']} ({len(process['threads'])} threads: {threads})")
    if goroutine := GOROUTINE.search(dump):
        frames = FRAME.findall(dump, goroutine.end(), goroutine.end() + 8000)[:8]
        told.append(f"its first goroutine waits in [{goroutine['state']}]: {' < '.join(frames)}")
    elif dump:
        told.append("it answered SIGQUIT, and not as Go programs do: the file is a wrapper, or no Go program")
    else:
        told.append("no answer to SIGQUIT, on which a Go program writes its stacks")
    return "; ".join(told)
