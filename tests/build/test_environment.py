"""make.bash's environment is a pure function: nothing of the caller's can be in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gobuild.build.make import environment, make, portable
from gobuild.core.errors import BuildError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import PROFILES, Bootstrap, PatchedSource, Release, Source
from gobuild.core.process import Result

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


def test_what_a_series_gives_the_builder_is_laid_below_our_own(tmp_path: Path) -> None:
    release = Release(version=GoVersion.parse("1.22.10"), origin="PyPI")
    source = Source(release=release, root=tmp_path / "go", kind="wheel", location="", digest="")
    given = {"GOROOT_OVERRIDE": "1", "TZ": "Mars"}
    patched = PatchedSource(source=source, outcomes=(), stamp="go1.22.10-x", environment=given)
    bootstrap = Bootstrap(goroot=tmp_path / "b", version=release.version, origin="PATH", digest="")
    seen: dict[str, str] = {}

    def run(argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, **_: Any) -> Result:
        seen.update(env)
        return Result(argv=(), code=0, output="")

    linux = Target.parse("linux/amd64")
    with pytest.raises(BuildError, match="made no"):
        make(
            patched, linux, host=linux, profile=PROFILES["static"], bootstrap=bootstrap, log=tmp_path / "log",
            scratch=tmp_path, run=run, note=print,
        )  # fmt: skip
    assert (seen["GOROOT_OVERRIDE"], seen["TZ"]) == ("1", "UTC")
