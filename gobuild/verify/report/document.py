"""gobuild's own JSON, as `schema.json` describes it."""

import json
from importlib.metadata import version
from typing import Any

from gobuild.core.model import Report, Verdict
from gobuild.verify.checks import check_family, check_sentence

SCHEMA = 1
"""It changes when a key changes its meaning, or goes."""


def report_document(report: Report, of: str) -> dict[str, Any]:
    """The report as plain values."""
    named = {check_family(check.name) for check in report.checks}
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
            | ({"problems": [each.id for each in check.problems]} if check.problems else {})
            for check in report.checks
        ],
        "says": {name: check_sentence(name) for name in sorted(named)},
    }


def counts(report: Report) -> dict[str, int]:
    """How many checks ended how; a failure that a policy allows counts as "allowed" alone."""
    there = {str(verdict): sum(check.verdict is verdict for check in report.checks) for verdict in Verdict}
    return there | {str(Verdict.FAILED): len(report.failed), "allowed": len(report.allowed)}


def render_json(report: Report, of: str) -> str:
    """The document as it is written."""
    return json.dumps(report_document(report, of), indent=2, ensure_ascii=False) + "\n"
