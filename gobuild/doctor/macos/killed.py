"""A go command that macOS killed at its start: the kernel's own words and the crash reports, explained.

Both are looked for only where `go version` was killed, or captures were asked for: ``log show`` takes seconds. Kept of
the log are lines that the table of `reasons` knows; of a crash report a few fields, none of memory or registers.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.doctor.macos import reasons
from gobuild.doctor.macos.tools import LIMIT, ask, clean, last_line, output_of, why_skipped
from gobuild.doctor.model import MACOS, Case, Finding, Grade

LOG = "/usr/bin/log"
PREDICATE = (
    '(process == "kernel" AND (sender == "AppleMobileFileIntegrity" OR sender == "AppleSystemPolicy" OR '
    'eventMessage BEGINSWITH "CODE SIGNING" OR eventMessage CONTAINS "code signature")) OR process == "amfid" '
    'OR (process == "syspolicyd" AND eventMessage CONTAINS "blocked")'
)
REPORTS = "Library/Logs/DiagnosticReports"
RECENT = 600.0
"""Seconds: older crash reports are not of this run."""

SECONDS = 10.0
"""For ``log show``, which reads the log from the disk."""

KILLED = (-9, -6, 137, 134)
"""SIGKILL, and SIGABRT by which dyld ends; as a shell would tell them, too."""


def collect(case: Case) -> dict[str, Any]:
    """Runs `go version` once more, and where that was killed asks the log and looks for crash reports."""
    said = ask([case.go, "version"], case=case, seconds=3, env=case.clean)
    part: dict[str, Any] = {"go": said, "path": str(case.go)}
    if case.capture or said.get("code") in KILLED:
        argv = [LOG, "show", "--last", "3m", "--style", "ndjson", "--predicate", PREDICATE]
        shown = ask(argv, case=case, seconds=SECONDS * (3 if case.capture else 1))
        part["log"] = _log(shown)
        part["reports"] = list(_reports(case))
    return part


def _log(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What ``log show`` said; macOS refuses it to users who are not administrators."""
    if "text" not in shown:
        return dict(shown)
    if shown["code"]:
        return {"skipped": f"log show was refused (exit code {shown['code']}): {last_line(shown['text'])}"}
    return {**shown, "text": "\n".join(messages(shown["text"]))}


def messages(text: str) -> Iterator[str]:
    """The messages of ``log show --style ndjson`` that the table knows: one JSON object a line, the last a summary."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            message = entry.get("eventMessage") if isinstance(entry, dict) else None
            if isinstance(message, str) and any(each.words.search(message[:4000]) for each in reasons.REASONS):
                yield clean(message[:2000]).replace("\n", " ")


def _reports(case: Case) -> Iterator[dict[str, Any]]:
    """The newest crash reports of programs with the go command's name."""
    home = case.environment.get("HOME", "")
    paths: list[tuple[float, Path]] = []
    for folder in (Path(home) / REPORTS if home else None, Path("/") / REPORTS):
        with contextlib.suppress(OSError):
            paths += [(each.stat().st_mtime, each) for each in folder.glob(f"{case.go.name}-*.ips")] if folder else []
    paths = [each for each in paths if time.time() - each[0] < RECENT]
    for _, path in sorted(paths, reverse=True)[:3]:
        with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8", errors="replace") as file:
            yield crash(file.read(LIMIT))


def crash(text: str) -> dict[str, Any]:
    """Reads a crash report (.ips): a line of JSON, then JSON; and keeps what says why the process ended.

    Raises:
        ValueError: it is none.
    """
    try:
        body = json.loads(text.partition("\n")[2])
    except RecursionError as error:
        raise ValueError("no crash report") from error
    if not isinstance(body, dict):
        raise ValueError("no crash report")
    ended, exception = (each if isinstance(each := body.get(key), dict) else {} for key in ("termination", "exception"))
    lists = [ended.get("reasons"), ended.get("details")]
    return {
        "path": _short(body.get("procPath")),
        "at": _short(body.get("captureTime")),
        "translated": body.get("translated") is True,
        "signal": _short(exception.get("signal")),
        "namespace": _short(ended.get("namespace")),
        "code": ended["code"] if isinstance(ended.get("code"), int) else None,
        "indicator": _short(ended.get("indicator")),
        "reasons": [_short(each) for listed in lists if isinstance(listed, list) for each in listed[:20]],
    }


def _short(value: object) -> str:
    return clean(value[:1000]) if isinstance(value, str) else ""


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says why the go command was killed, as far as macOS told."""
    go = part["go"]
    killed = go.get("code") in KILLED
    if not killed and "log" not in part:
        seen = why_skipped(part, "go") or f"go version was not killed (exit code {go['code']})"
        yield MACOS.ok("killed", seen)
        return
    told = [*reasons.explain(output_of(part, "go"))]
    for report in part["reports"]:
        ended = f"{report['namespace']}, Code {report['code']} {report['indicator']}"
        told += reasons.explain("\n".join([*report["reasons"], ended]))
    told += reasons.explain(_own(output_of(part, "log"), part["path"]))
    for name, (reason, line) in {reason.name: (reason, line) for reason, line in told}.items():
        grade = reason.grade if killed or reason.grade is Grade.OK else Grade.WARN
        seen = f"{reason.means}. macOS said: {line} ({reason.source})"
        yield MACOS.finding(f"killed: {name}", grade, seen, reason.cure)
    why = why_skipped(part, "log")
    if why:
        yield MACOS.skipped("killed: log", why)
    if killed and not any(reason.grade is Grade.FAIL for reason, _ in told):
        asked = "macOS's log could not be read" if why else "macOS told no reason that is known here"
        grep = "log show --last 5m | grep -i -e amfi -e 'code sign' -e syspolicy"
        advice = f"as an administrator: sudo {grep}" if why else f"{grep}; a kill -9 by a user leaves no report"
        yield MACOS.fail("killed", f"go version ended by a signal (code {go['code']}), and {asked}", advice)


def _own(text: str, path: str) -> str:
    """The log's lines that speak of the go command, or do not tell of whom they speak; not those of other programs."""
    name = path.rpartition("/")[2]
    marks = [path, f"[{name}]", f'"{name}"', f"/{name}", "<private>", "signature validation failed"]
    return "\n".join(line for line in text.splitlines() if any(mark in line for mark in marks))
