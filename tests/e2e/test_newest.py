"""The newest Go, built whole for this machine and run here."""

import json
import os
from pathlib import Path

import pytest
from e2e.builds import Build, captured
from e2e.whole import unpacked

from gobuild.core.goversion import Target

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(newest: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked."""
    return unpacked(newest.one(f"go*.{Target.host().dashed}.tar.gz"), tmp_path_factory.mktemp("newest") / "x")


def test_it_is_the_newest_and_says_so(newest: Build, installed: Path, tmp_path: Path) -> None:
    manifest = json.loads(newest.one("*.gobuild.json").read_text())
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    said = captured(installed / "bin/go", "version", env=variables)
    assert said.stdout == f"go version {manifest['stamp']} {Target.host()}\n"
    states = {patch["name"]: patch["state"] for patch in manifest["patches"]}
    assert states.pop("link-uuid") == "not for this version"
    assert states.pop("mfinal-metal-init") == "nothing to do"
    applied = ["runtime-gpu-guard", "scanner-version", "goenv-local", "osinit-trace", "toolchain-guard"]
    assert states == dict.fromkeys(applied, "applied")
    inside = json.loads((installed / "gobuild.json").read_text())
    assert "link-uuid" not in {patch["name"] for patch in inside["patches"]}


def test_its_probe_ran_here_with_cleanups(newest: Build) -> None:
    """Go has runtime.AddCleanup from 1.24 on."""
    manifest = json.loads(newest.one("*.gobuild.json").read_text())
    (ran,) = (each for each in manifest["checks"] if each["subject"] == "probe" and each["name"] == "run")
    assert ran["verdict"] == "OK"
    assert ran["seen"].endswith(f"https: hello over 127.0.0.1; user: {os.getuid()}; finalizer: ran; cleanup: ran")


def test_its_trace_speaks_only_when_asked(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    captured(installed / "bin/go", "build", "-o", "hello", "main.go", env=variables, cwd=tmp_path)
    for asked, speaks in (({}, False), ({"GOBUILD_TRACE": "1"}, True)):
        said = captured(tmp_path / "hello", env=asked)
        assert ("gobuild-trace: " in said.stderr) is speaks
