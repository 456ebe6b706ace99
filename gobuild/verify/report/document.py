"""gobuild's own JSON, as `schema.json` describes it, and a page of HTML that needs no other file."""

import json
from importlib.metadata import version

from gobuild.core.model import Check, Report, Verdict
from gobuild.core.render import render
from gobuild.verify.checks import CheckId, check_sentence

SCHEMA = 1
"""It changes when a key changes its meaning, or goes."""

KEYS = ("subject", "name", "verdict", "seen", "expected", "severity", "reason")


def render_json(report: Report, of: str) -> str:
    """The report as gobuild's own JSON."""
    document = {
        "schema": SCHEMA,
        "tool": {"name": "gobuild", "version": version("gobuild")},
        "of": of,
        "ok": report.ok,
        "counts": _counts(report),
        "checks": [
            {key: str(getattr(check, key)) for key in KEYS}
            | ({"problems": [each.id for each in check.problems]} if check.problems else {})
            for check in report.checks
        ],
        "says": dict(sorted(_sentences(report).items())),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _counts(report: Report) -> dict[str, int]:
    """How many checks ended how; a failure that a policy allows counts as "allowed" alone."""
    there = {str(verdict): sum(check.verdict is verdict for check in report.checks) for verdict in Verdict}
    return there | {str(Verdict.FAILED): len(report.failed), "allowed": len(report.allowed)}


def _sentences(report: Report) -> dict[str, str]:
    """What the checks say, by name; those of one family say the same."""
    return {str(CheckId.of(check.name) or check.name): check_sentence(check.name) for check in report.checks}


def render_html(report: Report, of: str) -> str:
    """The report as a page."""
    subjects: dict[str, list[Check]] = {}
    for check in report.checks:
        subjects.setdefault(check.subject, []).append(check)
    return render(
        "report.html.j2",
        html=True,
        of=of,
        ok=report.ok,
        counts=_counts(report),
        failed=report.failed,
        allowed=report.allowed,
        subjects=list(subjects.items()),
        says=_sentences(report),
    )
