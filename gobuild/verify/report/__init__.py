"""Reports of verify as JSON (`schema.json` describes it), SARIF 2.1.0 for code scanning, JUnit's XML for CI, HTML.

All say the same: what failed, what a policy lets fail, what was skipped and why. Equal checks give equal bytes: there
is no time in any of them. `of` is what was verified, as the user named it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.model import Report
from gobuild.core.printable import printable
from gobuild.verify.report.document import render_html, render_json
from gobuild.verify.report.junit import render_junit
from gobuild.verify.report.sarif import render_sarif

__all__ = ["KINDS", "kind_of", "printable_report", "render_json", "write_reports"]

KINDS = {".json": render_json, ".sarif": render_sarif, ".xml": render_junit, ".html": render_html}
"""The kinds of report by the end of the file's name."""


def kind_of(path: Path) -> str:
    """The kind of report that a file's name asks for; "x.sarif.json" is SARIF, as code scanning names it."""
    if path.name.endswith(".sarif.json"):
        return ".sarif"
    if path.suffix not in KINDS or path.name == path.suffix:
        raise ConfigError(f"{path} is no name for a report", "a file that ends in " + ", ".join(KINDS))
    if path.is_dir():
        raise ConfigError(f"the report {path} is a folder", "the name of a file in it")
    return path.suffix


def write_reports(report: Report, paths: Sequence[Path], *, of: str) -> None:
    """Writes a report to files, of which the end of each name says what kind it is."""
    harmless = printable_report(report)
    made = [(path, KINDS[kind_of(path)](harmless, printable(of))) for path in paths]
    for path, content in made:
        files.write(path, content)


def printable_report(report: Report) -> Report:
    """The same checks, with nothing in their texts that could do more than be read."""
    return Report(
        checks=tuple(
            replace(
                check,
                subject=printable(check.subject),
                name=printable(check.name),
                seen=printable(check.seen, lines=True),
                expected=printable(check.expected, lines=True),
                reason=printable(check.reason),
            )
            for check in report.checks
        )
    )
