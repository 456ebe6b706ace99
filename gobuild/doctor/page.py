"""The diagnosis for people: as rows of a table, and as a page of HTML that needs no other file."""

import json
from collections import Counter

from gobuild.core.render import render
from gobuild.doctor.model import Diagnosis, Finding

COLUMNS = ("check", "grade", "seen, and what to do")


def groups(found: Diagnosis) -> dict[str, list[Finding]]:
    """The findings by group, in order."""
    sorted_by: dict[str, list[Finding]] = {}
    for each in found.findings:
        sorted_by.setdefault(each.group, []).append(each)
    return sorted_by


def row(finding: Finding) -> tuple[str, str, str]:
    """A finding as a row of `COLUMNS`."""
    advice = f"\n-> {finding.advice}" if finding.advice else ""
    return (finding.name, str(finding.grade), finding.seen + advice)


def page(found: Diagnosis) -> str:
    """The page; every text in it is escaped."""
    return render(
        "doctor.html.j2",
        html=True,
        found=found,
        worst=str(found.worst),
        counts=dict(Counter(str(each.grade) for each in found.findings)),
        groups=list(groups(found).items()),
        evidence={name: json.dumps(part, indent=1, ensure_ascii=False) for name, part in found.evidence.items()},
    )
