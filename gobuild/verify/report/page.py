"""A page of HTML that needs no other file."""

from gobuild.core.model import Check, Report
from gobuild.core.render import render
from gobuild.verify.checks import check_family, check_sentence
from gobuild.verify.report.document import counts


def render_html(report: Report, of: str) -> str:
    """The report as a page."""
    subjects: dict[str, list[Check]] = {}
    for check in report.checks:
        subjects.setdefault(check.subject, []).append(check)
    names = dict.fromkeys(check_family(check.name) for check in report.checks)
    return render(
        "report.html.j2",
        html=True,
        of=of,
        ok=report.ok,
        counts=counts(report),
        failed=report.failed,
        allowed=report.allowed,
        subjects=list(subjects.items()),
        says={name: check_sentence(name) for name in names},
    )
