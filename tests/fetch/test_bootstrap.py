"""bootstrap: which Go make.bash starts from. The small ones are scripts that speak as `go` does; the real ones, Go."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_origin import ToyOrigin

from gobuild.core.console import Console
from gobuild.core.errors import BootstrapError, Unreachable
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Release, Source
from gobuild.core.process import run
from gobuild.fetch.bootstrap import find_bootstrap, minimum_bootstrap, require_bootstrap

HOST = Target.host()
DOWN = ToyOrigin("down", trouble=Unreachable("it does not answer"))
FIND = Callable[..., Bootstrap]


def release(version: str) -> Release:
    return Release(version=GoVersion.parse(version), origin="go.dev")


def make_go(root: Path, says: str, *, env: str = "") -> Path:
    """A `go` that says what it is told to, and its GOROOT."""
    go = root / "bin/go"
    go.parent.mkdir(parents=True)
    go.write_text(
        "#!/bin/sh\n"
        'test "$GOTOOLCHAIN,$GOENV,$GOFLAGS,$GOROOT" = local,off,, || { echo "unclean"; exit 1; }\n'
        f'case "$1" in version) echo "{says}" ;; env) echo "{env or root}" ;; esac\n'
    )
    go.chmod(0o755)
    return root


@pytest.fixture
def look(console: Console, monkeypatch: pytest.MonkeyPatch) -> FIND:
    for key in ("GOFLAGS", "GOROOT", "GOTOOLCHAIN"):
        monkeypatch.setenv(key, "the caller's")

    def look(version: str, *path: Path, explicit: Path | str = "", origins: Any = ()) -> Bootstrap:
        monkeypatch.setenv("PATH", os.pathsep.join([*map(str, path), "/usr/bin", "/bin"]))
        return find_bootstrap(
            release(version), host=HOST, explicit=str(explicit), origins=origins, run=run, console=console
        )

    return look


@pytest.mark.parametrize(
    ("version", "least"),
    [
        ("1.21.13", "1.17.13"),
        ("1.22.10", "1.20.6"),
        ("1.23rc1", "1.20.6"),
        ("1.24.3", "1.22.6"),
        ("1.25.5", "1.22.6"),
        ("1.26.0", "1.24.6"),
        ("1.27.3", "1.24.6"),
        ("1.28rc1", "1.26.6"),
    ],
)
def test_the_least_that_will_do(version: str, least: str) -> None:
    assert str(minimum_bootstrap(GoVersion.parse(version))) == least


def test_make_bash_is_the_authority(tmp_path: Path, go_wheel: Path) -> None:
    assert str(minimum_bootstrap(GoVersion.parse("1.99.0"), go_wheel)) == "1.20.6"
    (tmp_path / "src").mkdir()
    (tmp_path / "src/make.bash").write_text("set -e\n\nbootgo=1.31.4\n")
    assert str(minimum_bootstrap(GoVersion.parse("1.22.10"), tmp_path)) == "1.31.4"
    assert str(minimum_bootstrap(GoVersion.parse("1.22.10"), tmp_path / "none")) == "1.20.6"


def test_the_one_named(look: FIND, tmp_path: Path) -> None:
    root = make_go(tmp_path / "go", "go version go1.20.6 linux/amd64")
    found = look("1.22.10", explicit=root)
    assert (found.goroot, str(found.version), found.origin) == (root, "1.20.6", "--bootstrap")
    assert found.digest.startswith("sha256:")


def test_the_one_named_will_not_do(look: FIND, tmp_path: Path) -> None:
    old = make_go(tmp_path / "old", "go version go1.21.13 linux/amd64")
    with pytest.raises(
        BootstrapError, match=r"cannot build Go 1\.24\.3: it is Go 1\.21\.13, and 1\.22\.6 is the least"
    ):
        look("1.24.3", explicit=old, origins=(ToyOrigin("go.dev", "1.24.3"),))
    with pytest.raises(BootstrapError, match="no bin/go"):
        look("1.22.10", explicit=tmp_path)
    root = make_go(tmp_path / "odd", "gofmt version 3")
    with pytest.raises(BootstrapError, match="`go version` says 'gofmt version 3'"):
        look("1.22.10", explicit=root)
    (root / "bin/go").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(BootstrapError, match="does not run"):
        look("1.22.10", explicit=root)
    (root / "bin/go").chmod(0o644)
    with pytest.raises(BootstrapError, match="does not run"):
        look("1.22.10", explicit=root)


def test_path_in_order_passing_over_what_will_not_do(look: FIND, tmp_path: Path, stream: io.StringIO) -> None:
    old = make_go(tmp_path / "old", "go version go1.19.13 linux/amd64")
    broken = make_go(tmp_path / "broken", "x")
    (broken / "bin/go").write_text("#!/bin/sh\necho it is broken\nexit 1\n")
    lost = make_go(tmp_path / "lost", "go version go1.23.1 linux/amd64", env=str(tmp_path / "nowhere"))
    good = make_go(tmp_path / "good", "go version go1.22.10-acme1 linux/amd64")
    newer = make_go(tmp_path / "newer", "go version go1.27.3 linux/amd64")
    links = tmp_path / "links"
    links.mkdir()
    (links / "go").symlink_to(old / "bin/go")
    path = (tmp_path / "none", links, *(root / "bin" for root in (old, broken, lost, good, newer)))
    found = look("1.22.10", *path)
    assert (found.goroot, str(found.version), found.origin) == (good, "1.22.10", "PATH")
    said = stream.getvalue().splitlines()
    assert [line.split()[2] for line in said] == [f"{go}:" for go in (links / "go", broken / "bin/go", lost / "bin/go")]
    assert "it is Go 1.19.13, and 1.20.6 is the least that will do" in said[0]
    assert "exit code 1" in said[1]
    assert "no GOROOT" in said[2]


def test_development_versions(look: FIND, tmp_path: Path) -> None:
    root = make_go(tmp_path / "go", "go version devel go1.24-78d89b7 Tue Dec 1 linux/amd64")
    assert str(look("1.24.3", root / "bin").version) == "1.24"


@pytest.mark.parametrize(
    ("version", "has", "taken"),
    [
        ("1.22.10", "1.21.13 1.22.9 1.22.10 1.22.12 1.27.3", "1.22.10"),
        ("1.22.11", "1.21.13 1.22.9 1.22.10 1.22.12 1.23.4 1.27.3", "1.22.12"),
        ("1.22rc1", "1.21.13 1.22.2 1.22rc2 1.23.4", "1.22.2"),
        ("1.22.11", "1.21.13 1.23.1 1.23.4 1.23rc1 1.24.1", "1.23.4"),
        ("1.28rc1", "1.24.11 1.26.6 1.27.3 1.27rc2", "1.27.3"),
    ],
)
def test_the_official_one(version: str, has: str, taken: str, look: FIND) -> None:
    shelf = ToyOrigin("go.dev", has)
    found = look(version, origins=(DOWN, shelf, ToyOrigin("PyPI", "1.27.3")))
    assert (found.origin, shelf.given) == ("go.dev", [taken])


def test_none_at_all(look: FIND) -> None:
    with pytest.raises(BootstrapError) as caught:
        look("1.24.3", origins=(DOWN, ToyOrigin("PyPI", "1.20.14 1.24rc1")))
    assert "it needs 1.22.6 or newer" in caught.value.reason
    assert "down: it does not answer" in caught.value.reason
    assert "PyPI: nothing from Go 1.22.6 on" in caught.value.reason
    assert "--bootstrap" in caught.value.hint


def test_a_real_go_on_path(look: FIND, go_wheel: Path) -> None:
    found = look("1.22.10", go_wheel / "bin")
    assert (found.goroot.resolve(), str(found.version), found.origin) == (go_wheel.resolve(), "1.22.10", "PATH")


def test_a_fork_that_asks_for_a_newer_one(look: FIND, toy_tree: Path, tmp_path: Path) -> None:
    found = look("1.22.10", explicit=make_go(tmp_path / "own", "go version go1.22.10 linux/amd64"))
    source = Source(release=release("1.22.10"), root=toy_tree, kind="local", location="fork", digest="h1:")
    require_bootstrap(found, source)
    (toy_tree / "src/make.bash").write_text("bootgo=1.24.6\n")
    with pytest.raises(BootstrapError, match=r"asks for Go 1\.24\.6, and .* is Go 1\.22\.10"):
        require_bootstrap(found, source)
