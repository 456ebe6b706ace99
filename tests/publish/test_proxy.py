"""The static module proxy: what stands in it, and what is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from publish_toys import catalogue, flip, toy_build

from gobuild.core import archives, files
from gobuild.core.errors import ChecksumMismatch, PublishError, VerifyError
from gobuild.core.goversion import Target
from gobuild.core.model import Artifact
from gobuild.publish import proxy
from gobuild.publish.builds import Build
from gobuild.publish.paths import path_in_tree

VERSIONS = Path("proxy/golang.org/toolchain/@v")
LINUX = Target.parse("linux/arm64")
DARWIN = Target.parse("darwin/arm64")


def test_every_offer_has_its_three_files_and_a_line_in_the_list(tmp_path: Path) -> None:
    offers = [
        toy_build(tmp_path / "dist", release=release, target=target)
        for release in ("1.22.9", "1.22.10")
        for target in (LINUX, DARWIN)
    ]
    proxy.write_proxy(catalogue(*offers), tmp_path / "tree")
    versions = tmp_path / "tree" / VERSIONS
    assert (versions / "list").read_text().splitlines() == [
        "v0.0.1-go1.22.9-acme1.darwin-arm64",
        "v0.0.1-go1.22.9-acme1.linux-arm64",
        "v0.0.1-go1.22.10-acme1.darwin-arm64",
        "v0.0.1-go1.22.10-acme1.linux-arm64",
    ]
    for line in (versions / "list").read_text().splitlines():
        assert json.loads((versions / f"{line}.info").read_text())["Version"] == line
        assert (versions / f"{line}.mod").read_text() == "module golang.org/toolchain\n"
        assert files.sha256(versions / f"{line}.zip") == files.sha256(tmp_path / "dist" / f"{line}.zip")


def test_a_second_run_leaves_every_file_as_it_is(tmp_path: Path) -> None:
    offered = catalogue(toy_build(tmp_path / "dist"))
    proxy.write_proxy(offered, tmp_path / "tree")
    before = {path: path.stat().st_ino for path in (tmp_path / "tree").rglob("*.*")}
    proxy.write_proxy(offered, tmp_path / "tree")
    assert {path: path.stat().st_ino for path in (tmp_path / "tree").rglob("*.*")} == before


def test_what_is_served_is_no_file_that_a_build_could_still_write(tmp_path: Path) -> None:
    offer = toy_build(tmp_path / "dist")
    proxy.write_proxy(catalogue(offer), tmp_path / "tree")
    archive = offer.archive("module", ".zip")
    placed = tmp_path / "tree" / path_in_tree(offer, archive)
    assert files.sha256(placed) == archive.sha256
    assert not placed.samefile(archive.path)


def test_an_archive_that_is_not_what_was_said_is_never_placed(tmp_path: Path) -> None:
    """Whichever route places it: there is one placer."""
    offer = toy_build(tmp_path / "dist")
    archive = offer.archive("module", ".zip")
    flip(archive.path, -1)
    with pytest.raises(ChecksumMismatch, match="not what its manifest says"):
        proxy.write_proxy(catalogue(offer), tmp_path / "tree")
    assert not (tmp_path / "tree" / path_in_tree(offer, archive)).exists()


def test_other_bytes_under_a_published_name_are_refused(tmp_path: Path) -> None:
    proxy.write_proxy(catalogue(toy_build(tmp_path / "one")), tmp_path / "tree")
    with pytest.raises(PublishError, match="published already, with other bytes"):
        proxy.write_proxy(catalogue(toy_build(tmp_path / "two", word="other")), tmp_path / "tree")


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("../../x", "not go1.99.1-SUFFIX"),
        ("Acme", "not go1.99.1-SUFFIX"),
        ("acme rc1", "not go1.99.1-SUFFIX"),
        ("rc1", "not go1.99.1-SUFFIX"),
        ("acme.01", "semver"),
        ("007", "semver"),
    ],
)
def test_a_stamp_that_some_client_stumbles_over_is_refused(tmp_path: Path, suffix: str, message: str) -> None:
    offer = toy_build(tmp_path / "dist")
    hostile = dataclasses.replace(offer, manifest=dataclasses.replace(offer.manifest, stamp=f"go1.99.1-{suffix}"))
    with pytest.raises(PublishError, match=message):
        proxy.write_proxy(catalogue(hostile), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("stamp", ["go1.99.1", "go1.99.2-acme1", "acme1"])
def test_a_stamp_of_upstreams_or_of_another_release_is_refused(tmp_path: Path, stamp: str) -> None:
    offer = toy_build(tmp_path / "dist")
    hostile = dataclasses.replace(offer, manifest=dataclasses.replace(offer.manifest, stamp=stamp))
    with pytest.raises(PublishError, match="cannot be published"):
        proxy.write_proxy(dataclasses.replace(catalogue(offer), builds=(hostile,)), tmp_path / "tree")


def _with(offer: Build, suffix: str, **changes: object) -> Build:
    def changed(archive: Artifact) -> Artifact:
        return dataclasses.replace(archive, **changes) if archive.path.suffix == suffix else archive  # type: ignore[arg-type]

    return dataclasses.replace(offer, archives=tuple(changed(archive) for archive in offer.archives))


def test_a_file_named_for_something_else_is_refused(tmp_path: Path) -> None:
    offer = toy_build(tmp_path / "dist")
    for odd in ("index.html", "list", f"{offer.stamp}.plan9-386.tar.gz"):
        with pytest.raises(PublishError, match="is no file of"):
            path_in_tree(offer, Artifact(path=tmp_path / odd, kind="toolchain", sha256="0" * 64, size=1))
    with pytest.raises(PublishError, match="is no file of"):
        proxy.write_proxy(catalogue(_with(offer, ".zip", path=tmp_path / "dist" / "x.zip")), tmp_path / "tree")


@pytest.mark.parametrize("suffix", [".mod", ".info"])
def test_a_mod_or_info_of_something_else_is_refused(tmp_path: Path, suffix: str) -> None:
    offer = toy_build(tmp_path / "dist")
    flip(offer.archive("module", suffix).path, 5)
    with pytest.raises(PublishError, match="not of that version"):
        proxy.write_proxy(catalogue(offer), tmp_path / "tree")


def test_the_hash_of_a_zip_is_that_of_its_folder(tmp_path: Path) -> None:
    """files.dirhash is compared with Go's own elsewhere: the same files, laid out by their names in the zip."""
    offer = toy_build(tmp_path / "dist")
    path = offer.archive("module", ".zip").path
    archives.unpack(path, tmp_path / "unpacked")
    assert proxy.zip_hash(path, path.stem) == files.dirhash(tmp_path / "unpacked")


def test_a_zip_of_another_version_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    path = toy_build(tmp_path / "dist").archive("module", ".zip").path
    with pytest.raises(VerifyError, match="not the module of that version"):
        proxy.zip_hash(path, "v0.0.1-go1.99.2-acme1.linux-amd64")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(VerifyError, match="no whole zip"):
        proxy.zip_hash(path, path.stem)
