"""Versions in Go's order, targets in Go's words."""

import pytest

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Check, Report, Verdict


def test_versions_stand_in_gos_order() -> None:
    ordered = "1.21rc2 1.21.0 1.21.13 1.22beta1 1.22rc1 1.22rc2 1.22.0 1.22.9 1.22.10 1.28rc1"
    backwards = [GoVersion.parse(text) for text in reversed(ordered.split())]
    assert " ".join(map(str, sorted(backwards))) == ordered


@pytest.mark.parametrize("text", ["go1.22.10", "1.22.10", " 1.22.10\n"])
def test_a_version_has_one_name(text: str) -> None:
    version = GoVersion.parse(text)
    assert (version.tag, version.line, version.stable) == ("go1.22.10", "1.22", True)


@pytest.mark.parametrize(
    "text", ["", "1", "v1.22", "1.22.10-acme1", "1.22.x", "1.22.1rc1", "1.22.10; rm", "latest", "1.22\n1.23"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no version of Go"):
        GoVersion.parse(text)


def test_targets() -> None:
    target = Target.parse("darwin/arm64")
    assert (str(target), target.dashed, target.underscored) == ("darwin/arm64", "darwin-arm64", "darwin_arm64")
    with pytest.raises(ConfigError, match="darwin/arm64, darwin/amd64, linux/amd64, linux/arm64"):
        Target.parse("windows/386")


def test_a_report_in_which_nothing_was_checked_is_not_ok() -> None:
    skipped = Check(subject="bin/go", name="codesign", verdict=Verdict.SKIPPED, seen="not on PATH")
    passed = Check(subject="bin/go", name="format", verdict=Verdict.OK, seen="Mach-O arm64")
    failed = Check(subject="bin/go", name="UUID", verdict=Verdict.FAILED, seen="none", expected="one")
    assert not Report(checks=()).ok
    assert not Report(checks=(skipped,)).ok
    assert Report(checks=(skipped, passed)).ok
    assert not Report(checks=(passed, failed)).ok
