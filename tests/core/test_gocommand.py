"""The closed environment of the go command."""

from pathlib import Path

import pytest

from gobuild.core import goenv
from gobuild.core.goversion import Target


def test_nothing_of_the_callers_gets_in_and_all_that_is_written_stays_below_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOFLAGS", "GOPROXY", "HOME", "PATH", "GOTOOLCHAIN", "GOAMD64", "HTTPS_PROXY", "GOEXPERIMENT"):
        monkeypatch.setenv(name, "the caller's")
    monkeypatch.chdir(tmp_path)
    made = goenv.closed(Path("here"), goroot=Path("root"))
    assert "the caller's" not in made.values()
    assert not {"HTTPS_PROXY", "GOEXPERIMENT", "GOAMD64"} & set(made)
    places = {name: value for name, value in made.items() if value.startswith(str(tmp_path))}
    assert set(places) == {"HOME", "TMPDIR", "GOPATH", "GOCACHE", "GOROOT"}
    assert all(value.startswith(f"{tmp_path}/here") for name, value in places.items() if name != "GOROOT")
    assert made["GOROOT"] == f"{tmp_path}/root"
    assert (made["GOENV"], made["GOPROXY"], made["GOTOOLCHAIN"], made["GOWORK"]) == ("off", "off", "local", "off")


def test_target_and_cgo_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    own = goenv.closed(tmp_path, goroot=tmp_path, cgo=None)
    assert not {"GOOS", "GOARCH", "CGO_ENABLED"} & set(own)
    cross = goenv.closed(tmp_path, goroot=tmp_path, target=Target(goos="darwin", goarch="arm64"))
    assert (cross["GOOS"], cross["GOARCH"], cross["CGO_ENABLED"]) == ("darwin", "arm64", "0")
