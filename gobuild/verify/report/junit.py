"""JUnit's XML, for CI: a suite for each file, a case for each check.

The format has no schema; this is what Jenkins, GitLab and their like read. It knows no warning, so a failure that a
policy allows is a skipped case that says so.
"""

import xml.etree.ElementTree as ET
from itertools import groupby
from operator import attrgetter

from gobuild.core.model import Check, Report, Verdict


def render_junit(report: Report, of: str) -> str:
    """The report as JUnit's XML; its texts must hold no control characters, which XML 1.0 cannot carry."""
    root = ET.Element("testsuites", {"name": f"gobuild verify {of}"} | _counts(report.checks))
    for subject, checks in groupby(sorted(report.checks, key=attrgetter("subject")), attrgetter("subject")):
        cases = tuple(checks)
        suite = ET.SubElement(root, "testsuite", {"name": subject} | _counts(cases))
        for check in cases:
            _case(suite, check)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _counts(checks: tuple[Check, ...]) -> dict[str, str]:
    failures = sum(check.verdict is Verdict.FAILED and not check.allowed for check in checks)
    skipped = sum(check.verdict is Verdict.SKIPPED or check.allowed for check in checks)
    return {"tests": str(len(checks)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}


def _case(suite: ET.Element, check: Check) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": check.subject, "name": check.name})
    said = f"{check.seen}; expected: {check.expected}" if check.expected else check.seen
    if check.allowed:
        ET.SubElement(case, "skipped", {"message": f"FAILED, allowed by policy ({check.reason}): {said}"})
    elif check.verdict is Verdict.FAILED:
        ET.SubElement(case, "failure", {"message": said, "type": check.name}).text = said
    elif check.verdict is Verdict.SKIPPED:
        ET.SubElement(case, "skipped", {"message": said})
    else:
        ET.SubElement(case, "system-out").text = said
