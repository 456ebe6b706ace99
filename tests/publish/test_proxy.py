"""The static module proxy: what stands in it, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from publish_toys import catalogue, flip, toy_build

from gobuild.core import archives, files
from gobuild.core.errors import PublishError, VerifyError
from gobuild.core.goversion import Target
from gobuild.publish import proxy

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
        assert not (versions / f"{line}.zip").samefile(tmp_path / "dist" / f"{line}.zip")  # a build may still write it


def test_other_bytes_under_a_published_name_are_refused(tmp_path: Path) -> None:
    proxy.write_proxy(catalogue(toy_build(tmp_path / "one")), tmp_path / "tree")
    with pytest.raises(PublishError, match="published already, with other bytes"):
        proxy.write_proxy(catalogue(toy_build(tmp_path / "two", word="other")), tmp_path / "tree")


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        ("go1.99.1-../../x", "not go1.99.1-SUFFIX"),
        ("go1.99.1-Acme", "not go1.99.1-SUFFIX"),
        ("go1.99.1-acme rc1", "not go1.99.1-SUFFIX"),
        ("go1.99.1-rc1", "not go1.99.1-SUFFIX"),
        ("go1.99.1-acme.01", "semver"),
        ("go1.99.1-007", "semver"),
        *((stamp, "cannot be published") for stamp in ("go1.99.1", "go1.99.2-acme1", "acme1")),
    ],
)
def test_a_stamp_that_some_client_stumbles_over_is_refused(tmp_path: Path, stamp: str, message: str) -> None:
    offer = toy_build(tmp_path / "dist")
    hostile = replace(offer, manifest=replace(offer.manifest, stamp=stamp))
    with pytest.raises(PublishError, match=message):
        proxy.write_proxy(replace(catalogue(offer), builds=(hostile,)), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("suffix", [".mod", ".info"])
def test_a_mod_or_info_of_something_else_is_refused(tmp_path: Path, suffix: str) -> None:
    offer = toy_build(tmp_path / "dist")
    flip(offer.archive("module", suffix).path, 5)
    with pytest.raises(PublishError, match=r"the \.(mod|info) of v0\.0\.1-go1\.99\.1-acme1\..* is damaged"):
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
