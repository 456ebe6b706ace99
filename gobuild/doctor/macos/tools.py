"""Asks Apple's tools, and reads what they said out of the evidence.

What a tool said is ``{"code": 0, "text": "..."}``; what could not be asked is ``{"skipped": "why"}``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.printable import printable
from gobuild.doctor.model import Case

LIMIT = 1 << 20
"""Characters of a tool's output that are kept and read."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
"""For Apple's tools, which are called by their whole paths and need nothing of the user's."""


def ask(
    argv: Sequence[str | Path], *, case: Case, seconds: float, env: Mapping[str, str] = ENVIRONMENT
) -> dict[str, Any]:
    """Runs a tool, named by its whole path, within a time limit."""
    try:
        result = case.run(argv, env=env, seconds=seconds)
    except (ToolMissing, CommandError) as error:
        return {"skipped": printable(error.reason.partition("\n")[0])}
    return {"code": result.code, "text": clean(result.output)}


def clean(text: str) -> str:
    """A text without control characters, of at most `LIMIT` characters."""
    return printable(text[:LIMIT], lines=True)


def output_of(part: Mapping[str, Any], tool: str) -> str:
    """What a tool said; "" where it was not asked."""
    return str(part.get(tool, {}).get("text", ""))[:LIMIT]


def why_skipped(part: Mapping[str, Any], tool: str) -> str:
    """Why a tool was not asked; "" where it was."""
    return str(part.get(tool, {}).get("skipped", ""))[:500]


def last_line(text: str, nothing: str = "it said nothing") -> str:
    """The last line of what a tool said, for people."""
    return (text.strip().splitlines() or [nothing])[-1][:300]
