"""A go command that macOS killed at its start: the kernel's own words and the crash reports, explained.

Kept of the log are lines that the table of `reasons` knows; of a crash report a few fields, none of memory.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.doctor.macos import reasons
from gobuild.doctor.macos.tools import LIMIT, ask, clean, last_line, output_of, why_skipped
from gobuild.doctor.model import BROKEN, MACOS, Case, Finding, Grade

LOG = "/usr/bin/log"
PREDICATE = (
    '(process == "kernel" AND (sender == "AppleMobileFileIntegrity" OR sender == "AppleSystemPolicy" OR '
    'eventMessage BEGINSWITH "CODE SIGNING" OR eventMessage CONTAINS "code signature")) OR process == "amfid" '
    'OR (process == "syspolicyd" AND eventMessage CONTAINS "blocked")'
)
REPORTS = "Library/Logs/DiagnosticReports"
SECONDS = 10.0
"""For ``log show``, which reads the log from the disk: it runs only where go was killed, or captures are asked for."""

KILLED = (-9, -6, 137, 134)
"""SIGKILL, and SIGABRT by which dyld ends; as a shell would tell them, too."""


def collect(case: Case) -> dict[str, Any]:
    """Runs `go version` once more, and where that was killed asks the log and looks for crash reports."""
    said = ask([case.go, "version"], case=case, seconds=3, env=case.clean)
    part: dict[str, Any] = {"go": said, "path": str(case.go)}
    if case.capture or said.get("code") in KILLED:
        argv = [LOG, "show", "--last", "3m", "--style", "ndjson", "--predicate", PREDICATE]
        shown = ask(argv, case=case, seconds=SECONDS * (3 if case.capture else 1))
        if shown.get("code"):  # macOS refuses it to users who are not administrators
            refused = f"log show was refused (exit code {shown['code']}): {last_line(shown['text'])}"
            shown = {"skipped": refused}
        elif "text" in shown:
            shown["text"] = "\n".join(messages(shown["text"]))
        part |= {"log": shown, "reports": list(_reports(case))}
    return part


def messages(text: str) -> Iterator[str]:
    """The messages of ``log show --style ndjson`` that the table knows: one JSON object a line, the last a summary."""
    for line in text.splitlines():
        with contextlib.suppress(*BROKEN):
            message = json.loads(line)["eventMessage"][:4000]
            if any(each.words.search(message) for each in reasons.REASONS):
                yield clean(message[:2000]).replace("\n", " ")


def _reports(case: Case) -> Iterator[dict[str, Any]]:
    """The newest crash reports of programs with the go command's name."""
    paths: list[tuple[float, Path]] = []
    for root in (case.environment.get("HOME") or "/", "/"):
        with contextlib.suppress(OSError):
            found = (Path(root) / REPORTS).glob(f"{case.go.name}-*.ips")
            paths += [(each.stat().st_mtime, each) for each in found]
    for changed, path in sorted(set(paths), reverse=True)[:3]:
        with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8", errors="replace") as file:
            if time.time() - changed < 600:  # older ones are not of this run
                yield crash(file.read(LIMIT))


def crash(text: str) -> dict[str, Any]:
    """Keeps of a crash report (a line of JSON, then JSON) why the process ended; ValueError where it is none."""
    try:
        body = json.loads(text.partition("\n")[2])
        ended, exception = body.get("termination") or {}, body.get("exception") or {}
        listed = [each for key in ("reasons", "details") for each in (ended.get(key) or [])[:20]]
        return {
            "path": _short(body.get("procPath")),
            "at": _short(body.get("captureTime")),
            "translated": body.get("translated") is True,
            "signal": _short(exception.get("signal")),
            "namespace": _short(ended.get("namespace")),
            "code": ended.get("code") if isinstance(ended.get("code"), int) else None,
            "indicator": _short(ended.get("indicator")),
            "reasons": [_short(each) for each in listed],
        }
    except BROKEN as error:
        raise ValueError("no crash report") from error


def _short(value: object) -> str:
    return clean(value[:1000]) if isinstance(value, str) else ""


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says why the go command was killed, as far as macOS told."""
    go, why = part["go"], why_skipped(part, "log")
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
    for reason, line in {reason.name: (reason, line) for reason, line in told}.values():
        grade = reason.grade if killed or reason.grade is Grade.OK else Grade.WARN
        seen = f"{reason.means}. macOS said: {line} ({reason.source})"
        yield MACOS.finding(f"killed: {reason.name}", grade, seen, reason.cure)
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
