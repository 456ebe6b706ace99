"""SARIF 2.1.0 (OASIS), for code scanning.

A result is a check that failed. What a policy lets fail is a warning, and where the policy turned the check off the
result is suppressed with the policy's reason, so that a viewer shows it as dismissed. Passed checks are left out,
since viewers show every result as an alert; what was skipped is a notification of the run.
"""

import hashlib
import json
import re
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from gobuild.core.model import Check, Report, Severity, Verdict
from gobuild.verify.checks import check_sentence

LEVELS = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.OFF: "note"}


def render_sarif(report: Report, of: str, *, task: str = "verify", code: int | None = None, rules_at: str = "") -> str:
    """The report as a log with one run.

    Args:
        report: the checks.
        of: what was looked at.
        task: gobuild's task.
        code: its exit code, where it is not verify's.
        rules_at: where there is a page for each check, the address in front of its name, which is then its rule's id.
    """
    wrong = [check for check in report.checks if check.verdict is Verdict.FAILED]
    rules = list(dict.fromkeys(check.name for check in wrong))
    driver = {"name": "gobuild", "version": version("gobuild"), "rules": [_rule(each, rules_at) for each in rules]}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"gobuild {task}/", "description": {"text": f"gobuild {task} {of}"}},
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": (0 if report.ok else 8) if code is None else code,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": f"{each.subject}: {each.name}: skipped: {each.seen}"}}
                    for each in report.checks
                    if each.verdict is Verdict.SKIPPED
                ],
            }
        ],
        "results": [_result(check, rules.index(check.name), rules_at) for check in wrong],
        "columnKind": "unicodeCodePoints",
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "check"


def _rule(name: str, rules_at: str) -> dict[str, Any]:
    return {
        "id": name if rules_at else _slug(name),
        "name": name,
        "shortDescription": {"text": name},
        "fullDescription": {"text": f"{check_sentence(name)}."},
        "defaultConfiguration": {"level": "error"},
        **({"helpUri": f"{rules_at}{name}"} if rules_at else {}),
    }


def _result(check: Check, index: int, rules_at: str) -> dict[str, Any]:
    expected = f"; expected: {check.expected}" if check.expected else ""
    allowed = f" (allowed by policy: {check.reason})" if check.allowed else ""
    # A binary has no lines; viewers that sort alerts by place want one.
    file = {"uri": quote(check.subject), "uriBaseId": "VERIFIED"}
    place = {"artifactLocation": file, "region": {"startLine": 1}}
    result = {
        "ruleId": check.name if rules_at else _slug(check.name),
        "ruleIndex": index,
        "kind": "fail",
        "level": LEVELS[check.severity],
        "message": {"text": f"{check.subject}: {check.name}: {check.seen}{expected}{allowed}"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"gobuild/v1": hashlib.sha256(f"{check.subject}\n{check.name}".encode()).hexdigest()},
    }
    if check.severity is Severity.OFF:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": check.reason}]
    return result
