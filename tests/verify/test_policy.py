"""Policies: what may stand in one, what a rule makes of a check, and what a requirement adds, on real binaries."""

from dataclasses import replace
from pathlib import Path

import pytest
from verify_fixtures import LINUX, compiled, judged, named

from gobuild.core.errors import ConfigError, VerifyError
from gobuild.core.model import Check, Problem, Report, Severity, Verdict
from gobuild.core.process import run
from gobuild.verify import load_policy, require, verify_path
from gobuild.verify.policy import Policy

FAILED = Check(subject="pkg/tool/darwin_arm64/vet", name="LC_UUID", verdict=Verdict.FAILED, seen="none", expected="one")
SKIPPED = Check(subject="all", name="second opinion: codesign", verdict=Verdict.SKIPPED, seen="no codesign on PATH")
FINE = Check(subject="bin/go", name="format", verdict=Verdict.OK, seen="Mach-O")


def policy(folder: Path, text: str) -> Policy:
    (folder / "policy.toml").write_text(f"schema = 1\n{text}", encoding="utf-8")
    return load_policy(str(folder / "policy.toml"))


def rule(folder: Path, check: str, *lines: str) -> Policy:
    return policy(folder, "\n".join(["[[rule]]", f'check = "{check}"', 'reason = "because"', *lines]))


@pytest.mark.parametrize("severity", list(Severity)[1:])
def test_a_loosened_check_stays_failed_and_does_not_count(tmp_path: Path, severity: Severity) -> None:
    rules = rule(tmp_path, "LC_UUID", 'subject = "pkg/*"', f'severity = "{severity}"')
    report = Report(checks=rules.judge([FAILED, FINE]))
    (check,) = report.allowed
    assert (check.verdict, check.severity, check.reason) == (Verdict.FAILED, severity, "because")
    require(report)
    with pytest.raises(VerifyError, match="nothing was checked"):
        require(Report(checks=rules.judge([FAILED])))


def test_a_rule_speaks_of_its_subject_and_check_alone(tmp_path: Path) -> None:
    rules = rule(tmp_path, "LC_UUID", 'subject = "bin/*"', 'severity = "warn"')
    *checks, idle = rules.judge([FAILED, FINE])
    assert checks == [FAILED, FINE]
    assert (idle.verdict, idle.seen) == (Verdict.SKIPPED, "the rule speaks of no check that was made")
    with pytest.raises(VerifyError, match="vet: LC_UUID"):
        require(Report(checks=tuple(checks)))


def test_a_check_may_not_be_skipped(tmp_path: Path) -> None:
    (idle,) = rule(tmp_path, "second opinion: nm", 'skipped = "error"').judge([FINE])[1:]
    assert (idle.verdict, idle.seen) == (Verdict.FAILED, "the rule speaks of no check that was made")
    for name in ("second opinion", "second opinion: codesign"):
        (check, _) = rule(tmp_path, name, 'skipped = "error"').judge([SKIPPED, FINE])
        assert (check.verdict, check.reason) == (Verdict.FAILED, "because")
        with pytest.raises(VerifyError, match="skipped: no codesign on PATH"):
            require(Report(checks=(check,)))


def test_the_last_rule_decides(tmp_path: Path) -> None:
    one = '[[rule]]\ncheck = "LC_UUID"\nseverity = "off"\nreason = "all of them"\n'
    two = '[[rule]]\ncheck = "LC_UUID"\nsubject = "*/vet"\nseverity = "error"\nreason = "not this one"\n'
    (check,) = policy(tmp_path, one + two).judge([FAILED])
    assert (check.severity, check.reason, check.allowed) == (Severity.ERROR, "not this one", False)
    (check,) = policy(tmp_path, two + one).judge([FAILED])
    assert (check.severity, check.reason, check.allowed) == (Severity.OFF, "all of them", True)


TWO = replace(FAILED, name="imports", problems=(Problem("wrong-library", "_a"), Problem("unbound-import", "_b")))


def test_one_problem_may_be_allowed(tmp_path: Path) -> None:
    """The check does not count where every one of its problems is allowed."""
    one = '[[rule]]\ncheck = "imports/wrong-library"\nseverity = "off"\nreason = "ours"\n'
    two = '[[rule]]\ncheck = "imports/unbound-import"\nseverity = "warn"\nreason = "known"\n'
    (check,) = policy(tmp_path, one).judge([TWO])
    assert (check.severity, check.reason) == (Severity.ERROR, "")
    (check,) = policy(tmp_path, one + two).judge([TWO])
    assert (check.severity, check.reason) == (Severity.WARN, "known")
    (check,) = policy(tmp_path, one).judge([replace(TWO, problems=TWO.problems[:1])])
    assert (check.severity, check.reason) == (Severity.OFF, "ours")
    (check, idle) = policy(tmp_path, one).judge([replace(TWO, problems=TWO.problems[1:])])
    assert check.severity is Severity.ERROR
    assert (idle.verdict, idle.name) == (Verdict.SKIPPED, "policy: imports/wrong-library")


GOOD = '[[rule]]\ncheck = "LC_UUID"\nseverity = "warn"\nreason = "x"\n'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (GOOD.replace("LC_UUID", "LC_UID"), "no check is called 'LC_UID'", "did you mean 'LC_UUID'"),
        (GOOD.replace("LC_UUID", "instal name"), "no check is called", "did you mean 'install names'"),
        (GOOD.replace('reason = "x"', 'reason = " "'), "rule 1 gives no reason", "reason ="),
        (GOOD.replace('reason = "x"\n', ""), "rule 1 gives no reason", "reason ="),
        (GOOD.replace("warn", "warning"), "severity is 'warning'", "error, warn, off"),
        (GOOD.replace('severity = "warn"\n', ""), "changes nothing", "severity"),
        (GOOD.replace("severity", "severty"), "unknown key 'severty'", "did you mean 'severity'"),
        (GOOD + 'skipped = "warn"\n', "skipped is 'warn'", "leave it out"),
        (GOOD.replace("LC_UUID", "imports/x") + 'skipped = "error"\n', "skipped is 'error'", "of a whole check"),
        (GOOD + "subject = 3\n", "subject is 3", "a text in quotes"),
        ("rules = []\n", "unknown key 'rules'", "did you mean 'rule'"),
        ("rule = [3]\n", "is no table", "[[rule]]"),
        ('rule = {check = "LC_UUID"}\n', "is no table", "[[rule]]"),
        ('[[require]]\nreason = "x"\n', "asks for nothing", "uuid = true"),
        ('[[require]]\nreason = "x"\nuuid = 1\n', "uuid is 1", "true or false"),
        ('[[require]]\nreason = "x"\ndenied-strings = [""]\n', "denied-strings is ['']", "a list of texts"),
        ('[[require]]\nreason = "x"\ndenied-strings = "a"\n', "denied-strings is 'a'", "a list of texts"),
        ("schema = 2\n", "cannot be read", "TOML"),
        ("[[rule]\n", "cannot be read", "TOML"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(tmp_path, text)
    assert message in caught.value.reason
    assert hint in caught.value.hint


def test_a_policy_of_another_schema_or_none_at_all_is_refused(tmp_path: Path) -> None:
    for schema in ("", "schema = 2", "schema = 1.0", "schema = true", 'schema = "1"'):
        (tmp_path / "other.toml").write_text(f"{schema}\n{GOOD}", encoding="utf-8")
        with pytest.raises(ConfigError, match="has the schema"):
            load_policy(str(tmp_path / "other.toml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(str(tmp_path / "none.toml"))
    assert load_policy("") == Policy()


REQUIRE = """[[require]]
subject = "{subject}"
reason = "ours"
uuid = true
identity = true
team = "EQHXZ8M8AV"
denied-strings = ["no such text in it", "runtime.newproc"]
denied-install-names = ["*/libresolv*"]
"""


def test_requirements_are_checks_of_their_own(tmp_path: Path, go_wheel: Path, darwin_wheel: Path) -> None:
    """The official gofmt is signed by Google's team and links libresolv; a program of our own is signed ad hoc."""
    rules = policy(tmp_path, REQUIRE.format(subject="*"))
    report = verify_path(darwin_wheel / "bin/gofmt", run=run, scratch=tmp_path / "s", policy=rules)
    verdicts = {check.name.removeprefix("policy: "): check for check in report.checks if check.name.startswith("poli")}
    assert {name: str(check.verdict) for name, check in verdicts.items()} == {
        "uuid": "FAILED",
        "identity": "OK",
        "team": "OK",
        "denied strings": "FAILED",
        "denied install names": "FAILED",
    }
    assert verdicts["denied strings"].seen == "runtime.newproc"
    assert verdicts["denied install names"].seen == "/usr/lib/libresolv.9.dylib"
    assert {check.reason for check in verdicts.values()} == {"ours"}
    found = judged(compiled(go_wheel, tmp_path).read_bytes(), tmp_path)
    own = Report(checks=tuple(rules.demands(found)))
    assert named(own, "policy: identity").seen == "ad hoc, by the linker"
    assert named(own, "policy: team").seen == "no team"
    assert list(policy(tmp_path, REQUIRE.format(subject="bin/*")).demands(found)) == []


def test_a_requirement_that_is_asked_of_no_file_has_failed(tmp_path: Path, darwin_wheel: Path) -> None:
    for subject, idle in (("bin/*", True), ("gofmt", False)):
        rules = policy(tmp_path, REQUIRE.format(subject=subject))
        report = verify_path(darwin_wheel / "bin/gofmt", run=run, scratch=tmp_path / "s", policy=rules)
        found = [check for check in report.failed if check.name == "policy: subject"]
        assert [(check.subject, check.reason) for check in found] == ([("bin/*", "ours")] if idle else [])


def test_what_an_elf_file_cannot_have_is_skipped_by_name(tmp_path: Path, go_wheel: Path) -> None:
    program = compiled(go_wheel, tmp_path, LINUX)
    rules = policy(tmp_path, REQUIRE.format(subject="*"))
    report = verify_path(program, run=run, scratch=tmp_path / "s", policy=rules)
    for name in ("uuid", "identity", "team"):
        check = named(report, f"policy: {name}")
        assert (check.verdict, check.seen) == (Verdict.SKIPPED, "an ELF file has none")
    assert named(report, "policy: denied strings").verdict is Verdict.FAILED
