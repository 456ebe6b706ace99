"""A page of HTML: a report comes in, one file that needs no other goes out."""

from gobuild.core.model import Check, Report
from gobuild.core.render import render
from gobuild.verify import checklist
from gobuild.verify.report.document import counts


def page(report: Report, of: str) -> str:
    """The report as a page.

    Args:
        report: what was checked.
        of: what was verified, as the user named it.
    """
    subjects: dict[str, list[Check]] = {}
    for check in report.checks:
        subjects.setdefault(check.subject, []).append(check)
    names = dict.fromkeys(checklist.of(check.name) or check.name for check in report.checks)
    return render(
        "report.html.j2",
        html=True,
        of=of,
        ok=report.ok,
        counts=counts(report),
        failed=report.failed,
        allowed=report.allowed,
        subjects=list(subjects.items()),
        says={name: checklist.says(name) for name in names},
    )
