"""make.bash's environment is a pure function: nothing of the caller's can be in it."""

from pathlib import Path

import pytest

from gobuild.build.make import environment, portable
from gobuild.core.goversion import Target
from gobuild.core.model import PROFILES

PLACES = {"bash": Path("/opt/x/bash"), "home": Path("/w/home"), "temporary": Path("/w/tmp")}


def test_the_static_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOFLAGS", "GOROOT", "GOEXPERIMENT", "DYLD_INSERT_LIBRARIES", "CC", "GOARM64", "CGO_CFLAGS"):
        monkeypatch.setenv(name, "leak")
    made = environment(Target.parse("darwin/arm64"), profile=PROFILES["static"], bootstrap=Path("/b"), **PLACES)
    assert made == {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/opt/x",
        "HOME": "/w/home",
        "TMPDIR": "/w/tmp",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GOOS": "darwin",
        "GOARCH": "arm64",
        "GOROOT_BOOTSTRAP": "/b",
        "GOTOOLCHAIN": "local",
        "GOENV": "off",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
        "GO_LDFLAGS": "-s -w",
    }


def test_the_upstream_profile_leaves_cgo_and_flags_unset() -> None:
    made = environment(Target.parse("linux/amd64"), profile=PROFILES["upstream"], bootstrap=Path("/b"), **PLACES)
    assert not {"CGO_ENABLED", "GO_LDFLAGS"} & made.keys()


def test_no_folder_of_this_machine_is_written_down() -> None:
    variables = {"HOME": "/w/job/home", "GOROOT_BOOTSTRAP": "/w/job", "PATH": "/usr/bin"}
    written = portable(variables, {"JOB": Path("/w/job"), "HOME": Path("/w/job/home")})
    assert written == {"HOME": "$HOME", "GOROOT_BOOTSTRAP": "$JOB", "PATH": "/usr/bin"}
