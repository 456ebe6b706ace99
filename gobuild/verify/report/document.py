"""gobuild's own JSON: a report comes in, the document that `schema.json` describes goes out."""

import json
from importlib.metadata import version
from typing import Any

from gobuild.core.model import Report, Verdict
from gobuild.verify import checklist

SCHEMA = 1
"""It changes when a key changes its meaning, or goes."""


def document(report: Report, of: str) -> dict[str, Any]:
    """The report as plain values.

    Args:
        report: what was checked.
        of: what was verified, as the user named it.
    """
    named = {checklist.of(check.name) or check.name for check in report.checks}
    return {
        "schema": SCHEMA,
        "tool": {"name": "gobuild", "version": version("gobuild")},
        "of": of,
        "ok": report.ok,
        "counts": counts(report),
        "checks": [
            {
                "subject": check.subject,
                "name": check.name,
                "verdict": str(check.verdict),
                "seen": check.seen,
                "expected": check.expected,
                "severity": str(check.severity),
                "reason": check.reason,
            }
            for check in report.checks
        ],
        "says": {name: checklist.says(name) for name in sorted(named)},
    }


def counts(report: Report) -> dict[str, int]:
    """How many checks ended how; a failure that a policy allows counts as "allowed" alone."""
    there = {str(verdict): sum(check.verdict is verdict for check in report.checks) for verdict in Verdict}
    return there | {str(Verdict.FAILED): len(report.failed), "allowed": len(report.allowed)}


def text(report: Report, of: str) -> str:
    """The document as it is written."""
    return json.dumps(document(report, of), indent=2, ensure_ascii=False) + "\n"
