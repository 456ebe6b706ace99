"""dist/ gets a delivery whole, or stays as it was."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest
from toy_manifest import structured, toy_manifest

from gobuild.core.errors import PackageError
from gobuild.core.manifest import Manifest
from gobuild.package import delivery
from gobuild.package.manifest import require_same_archives


def _files(folder: Path, text: str) -> list[Path]:
    folder.mkdir()
    for name in ("a.tar.gz", "b.zip"):
        (folder / name).write_text(f"{name} {text}")
    return sorted(folder.iterdir())


def _deliver(paths: list[Path], dist: Path, text: str, fail: BaseException | None = None) -> None:
    with delivery(dist, print) as made:
        for path in paths:
            made.add(path, "toolchain")
        made.add_text(dist / "m.gobuild.json", text, "manifest")
        if fail:
            raise fail


def _standing(dist: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in dist.iterdir() if path.name != ".gobuild.lock"}


def test_files_arrive_with_their_digests(tmp_path: Path) -> None:
    _deliver(_files(tmp_path / "one", "1"), tmp_path / "dist", "first")
    archives = ("a.tar.gz", "b.zip")
    checksums = (f"{name}.sha256" for name in archives)
    assert set(_standing(tmp_path / "dist")) == {*archives, *checksums, "m.gobuild.json"}
    for name in archives:
        subprocess.run(["sha256sum", "--check", "--strict", f"{name}.sha256"], cwd=tmp_path / "dist", check=True)


@pytest.mark.parametrize("fail", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_delivery_that_fails_changes_nothing(tmp_path: Path, fail: BaseException) -> None:
    _deliver(_files(tmp_path / "one", "1"), tmp_path / "dist", "first")
    before = _standing(tmp_path / "dist")
    with pytest.raises(type(fail)):
        _deliver(_files(tmp_path / "two", "2"), tmp_path / "dist", "second", fail)
    assert _standing(tmp_path / "dist") == before
    _deliver(_files(tmp_path / "three", "3"), tmp_path / "dist", "third")
    assert _standing(tmp_path / "dist")["b.zip"] == "b.zip 3"


def test_what_stands_there_already_is_not_touched(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    _deliver(_files(tmp_path / "one", "1"), dist, "first")
    before, which = _standing(dist), {path.name: path.stat().st_ino for path in dist.iterdir()}
    _deliver(_files(tmp_path / "two", "1"), dist, "first")
    assert {path.name: path.stat().st_ino for path in dist.iterdir()} == which
    # What was damaged, cut, or is a link to elsewhere is not what was delivered.
    (dist / "a.tar.gz").write_text("a.tar.gz x")
    (dist / "b.zip").rename(tmp_path / "elsewhere")
    (dist / "b.zip").symlink_to(tmp_path / "elsewhere")
    (dist / "a.tar.gz.sha256").unlink()
    _deliver(_files(tmp_path / "three", "1"), dist, "first")
    assert _standing(dist) == before and not (dist / "b.zip").is_symlink()
    (dist / ".a.tar.gz.part").write_text("left by a killed run")
    _deliver(_files(tmp_path / "four", "4"), dist, "fourth")
    assert _standing(dist)["a.tar.gz"] == "a.tar.gz 4" and not list(dist.glob(".*.part"))


def test_ctrl_c_while_it_arrives_waits_until_all_of_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist, replace = tmp_path / "dist", Path.replace
    _deliver(_files(tmp_path / "one", "1"), dist, "first")

    def interrupted(self: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _deliver(_files(tmp_path / "two", "2"), dist, "second")
    assert _standing(dist)["m.gobuild.json"] == "second" and _standing(dist)["b.zip"] == "b.zip 2"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_archive_that_another_targets_manifest_names_is_not_overwritten() -> None:
    def told(target: str, content: bytes) -> Manifest:
        return structured(toy_manifest("go1.22.10-x", target, {"go1.22.10-x.src.tar.gz": content}))

    require_same_archives(told("linux/amd64", b"a"), [told("darwin/arm64", b"a")])
    with pytest.raises(PackageError, match="with other content, for darwin/arm64"):
        require_same_archives(told("linux/amd64", b"a"), [told("darwin/arm64", b"b")])
