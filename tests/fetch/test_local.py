"""local: folders and archives of this machine."""

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from gobuild.core import files
from gobuild.core.errors import ConfigError, FetchError, ResolveError, UnsafeArchive
from gobuild.fetch.local import LocalOrigin
from gobuild.resolve import resolve


def local(path: Path, cache: Path, request: str = "1.22") -> LocalOrigin:
    return LocalOrigin(path=path, request=request, cache=cache)


SOURCES = [
    *("LICENSE", "VERSION", "go.env"),
    *("src/internal/goversion/goversion.go", "src/make.bash", "src/runtime/mfinal.go"),
]


def test_a_built_work_tree_is_copied_without_what_was_built(toy_tree: Path, tmp_path: Path) -> None:
    subprocess.run(["bash", "make.bash"], cwd=toy_tree / "src", check=True, capture_output=True)
    for name in (".git/config", "src/go/build/zcgo.go", "pkg/obj/x", "misc/.git"):
        files.write(toy_tree / name, "x")
    (toy_tree / "bin/link").symlink_to("go")
    before = files.dirhash(toy_tree)
    origin = local(toy_tree, tmp_path / "cache")
    catalog = origin.catalog()
    assert catalog.identity == files.dirhash(toy_tree, SOURCES)
    source = origin.source(resolve("1.22.10", catalog), tmp_path / "go")
    assert (source.kind, source.location, source.digest) == ("local", str(toy_tree), catalog.identity)
    assert source.added == ("PATENTS",)
    copied = sorted(path.relative_to(source.root).as_posix() for path in source.root.rglob("*") if path.is_file())
    assert copied == sorted([*SOURCES, "PATENTS"])
    assert os.access(source.root / "src/make.bash", os.X_OK)
    assert files.dirhash(toy_tree) == before


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz", "zip"])
def test_an_archive_with_a_top_folder_of_any_name(form: str, toy_tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / f"acme-go.{form}"
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as pack:
            for name in SOURCES:
                pack.write(toy_tree / name, f"acme-go-1/{name}")
    else:
        mode = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[form]
        with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]  # the mode is one of three
            tar.add(toy_tree, "acme-go-1")
    origin = local(archive, tmp_path / "cache")
    catalog = origin.catalog()
    assert catalog.identity == local(toy_tree, tmp_path / "cache").catalog().identity
    source = origin.source(resolve("1.22", catalog), tmp_path / "go")
    assert (source.location, source.digest) == (str(archive), catalog.identity)
    assert source.added == ("PATENTS",)


def test_an_archive_that_is_none(toy_tree: Path, tmp_path: Path) -> None:
    def tarred(name: str, *tops: str) -> Path:
        with tarfile.open(tmp_path / name, "w") as tar:
            for top in tops:
                tar.add(toy_tree, top)
        return tmp_path / name

    for archive in (tarred("two.tar", "a", "b"), tarred("flat.tar", ".")):
        with pytest.raises(FetchError, match="one top folder"):
            local(archive, tmp_path / "cache").catalog()
    (toy_tree / "src/link").symlink_to("/etc")
    (tmp_path / "text").write_text("no archive")
    for archive in (tarred("link.tar", "go"), tmp_path / "text"):
        with pytest.raises(UnsafeArchive):
            local(archive, tmp_path / "cache").catalog()
    assert [path for path in (tmp_path / "cache/local").iterdir() if path.suffix != ".lock"] == []


def test_what_is_no_source_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder or archive"):
        local(tmp_path / "none", tmp_path / "cache")
    with pytest.raises(ConfigError, match=r"no src/make\.bash"):
        local(tmp_path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("to", ["/etc", "nowhere", "runtime"])
def test_a_link_in_a_tree_is_refused(to: str, toy_tree: Path, tmp_path: Path) -> None:
    (toy_tree / "src/link").symlink_to(to)
    with pytest.raises(FetchError, match="src/link is no plain file"):
        local(toy_tree, tmp_path / "cache").catalog()


def test_the_version_asked_for_must_be_the_trees(toy_tree: Path, tmp_path: Path) -> None:
    origin = local(toy_tree, tmp_path / "cache", "1.23.1")
    with pytest.raises(ResolveError, match=r"local has no Go 1\.23\.1"):
        resolve("1.23.1", origin.catalog())
    (toy_tree / "VERSION").write_text("devel go1.22-78d89b7\n")
    with pytest.raises(ResolveError, match="has no VERSION"):
        origin.catalog()


def test_what_finder_and_macos_tar_add_changes_nothing(toy_tree: Path, tmp_path: Path) -> None:
    plain = local(toy_tree, tmp_path / "cache").catalog().identity
    tarball = tmp_path / "mac.tar.gz"
    for name in (".DS_Store", "src/.DS_Store", "src/._make.bash"):
        (toy_tree / name).write_bytes(b"\0\5\x16\7")
    with tarfile.open(tarball, "w:gz") as tar:
        double = tarfile.TarInfo("._go")
        tar.addfile(double)
        tar.add(toy_tree, "go")
    (toy_tree / "src/._make.bash").unlink()
    assert local(toy_tree, tmp_path / "cache").catalog().identity == plain
    assert local(tarball, tmp_path / "cache").catalog().identity == plain


def test_what_an_editor_left_behind_is_said_in_one_line(toy_tree: Path, tmp_path: Path) -> None:
    said: list[str] = []
    origin = LocalOrigin(path=toy_tree, request="1.22", cache=tmp_path / "cache", warn=said.append)
    origin.catalog()
    assert said == []
    for name in ("a.go.orig", "a.go.rej", "a.go~", ".a.go.swp", "._a.go"):
        (toy_tree / "src" / name).write_text("x")
    origin.catalog()
    (line,) = said
    assert f"{toy_tree} has what editors leave behind, which ships" in line
    assert line.endswith("and 2 more")
