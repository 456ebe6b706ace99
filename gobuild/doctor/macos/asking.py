"""Apple's tools are asked here: a program's words come in, plain data goes out; and that data is read again, warily.

What a tool said is ``{"code": 0, "text": "..."}``; what could not be asked is ``{"skipped": "why"}``. The readers take
whatever a bundle of a stranger's may hold in its place.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.printable import printable
from gobuild.core.process import Runner
from gobuild.doctor.model import Finding, Grade, Job

LIMIT = 1 << 20
"""Characters of a tool's output that are kept and read."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
"""For Apple's tools, which are called by their whole paths and need nothing of the user's."""

GROUP = "macOS"

NOT_HERE: dict[str, Any] = {"skipped": "needs macOS"}


def here() -> bool:
    """Whether this is macOS."""
    return sys.platform == "darwin"


def ask(
    argv: Sequence[str | Path],
    *,
    job: Job,
    run: Runner,
    seconds: float,
    env: Mapping[str, str] = ENVIRONMENT,
) -> dict[str, Any]:
    """Runs a tool within a time limit.

    Args:
        argv: the tool by its whole path, and its arguments.
        job: whose deadline and scratch folder count.
        run: starts it.
        seconds: its own time limit; the job's deadline may be nearer, unless captures were asked for.
        env: its whole environment.

    Returns:
        ``code`` and ``text``, control characters made visible; or ``skipped``: not there, or out of time.
    """
    left = seconds if job.capture else min(seconds, job.left)
    if left <= 0:
        return {"skipped": "the doctor's time was up"}
    try:
        result = run(argv, env=env, cwd=job.scratch, timeout=left, check=False)
    except (ToolMissing, CommandError) as error:
        return {"skipped": printable(error.reason.partition("\n")[0])}
    return {"code": result.code, "text": clean(result.output)}


def clean(text: str) -> str:
    """A text without control characters, of at most `LIMIT` characters."""
    return printable(text[:LIMIT], lines=True)


def words(part: object, *names: str) -> str:
    """What a tool said: the text below these keys; "" where there is none, or something else than a text."""
    for name in (*names, "text"):
        part = part.get(name) if isinstance(part, Mapping) else None
    return part[:LIMIT] if isinstance(part, str) else ""


def below(part: object, name: str) -> Mapping[str, Any]:
    """The mapping at a key; an empty one where there is none."""
    found = part.get(name) if isinstance(part, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def why_skipped(part: object) -> str:
    """Why nothing was asked; "" where something was."""
    reason = part.get("skipped") if isinstance(part, Mapping) else "the evidence has nothing of this"
    return printable(reason[:500]) if isinstance(reason, str) else ""


def found(name: str, grade: Grade, seen: str, advice: str = "") -> Finding:
    """A finding of this group."""
    return Finding(group=GROUP, name=name, grade=grade, seen=printable(seen[:2000], lines=True), advice=advice)


def skipped(name: str, part: object) -> Iterator[Finding]:
    """The one finding of a topic that was not looked at; none where it was."""
    if reason := why_skipped(part):
        yield found(name, Grade.SKIPPED, reason)
