"""dl/: the archives, their digests, and the index as go.dev writes it."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from needs import needs
from publish_clients import serving
from publish_toys import catalogue, toy_build

from gobuild.core.goversion import Target
from gobuild.fetch import http
from gobuild.publish import download_index
from gobuild.publish.catalogue import Catalogue

LINUX, DARWIN = Target.parse("linux/amd64"), Target.parse("darwin/arm64")


@pytest.fixture
def offered(tmp_path: Path) -> Catalogue:
    dist = tmp_path / "dist"
    return catalogue(
        toy_build(dist, release="1.28rc1"),
        toy_build(dist, release="1.22.10", suffix="acme.2", target=LINUX),
        toy_build(dist, release="1.22.10", suffix="acme.1", target=LINUX),
        toy_build(dist, release="1.22.10", suffix="acme.1", target=DARWIN),
        toy_build(dist, release="1.22.9", suffix="acme.1", target=LINUX),
    )


def test_the_index_lists_what_stands_there(offered: Catalogue, tmp_path: Path) -> None:
    download_index.write_downloads(offered, tmp_path)
    listed = json.loads((tmp_path / "dl/index.json").read_text())
    assert [(each["version"], each["stable"]) for each in listed] == [
        ("go1.28rc1-acme1", False),
        ("go1.22.10-acme.2", True),
        ("go1.22.10-acme.1", True),
        ("go1.22.9-acme.1", True),
    ]
    assert [(file["filename"], file["kind"], file["os"], file["arch"]) for file in listed[2]["files"]] == [
        ("go1.22.10-acme.1.src.tar.gz", "source", "", ""),
        ("go1.22.10-acme.1.darwin-arm64.tar.gz", "archive", "darwin", "arm64"),
        ("go1.22.10-acme.1.linux-amd64.tar.gz", "archive", "linux", "amd64"),
    ]
    for release in listed:
        assert set(release) == {"version", "stable", "files"}
        for file in release["files"]:
            assert set(file) == {"filename", "os", "arch", "version", "sha256", "size", "kind"}  # go.dev's
            content = (tmp_path / "dl" / file["filename"]).read_bytes()
            assert (file["sha256"], file["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
            assert (tmp_path / "dl" / f"{file['filename']}.sha256").read_text() == file["sha256"]
            assert file["version"] == release["version"]
    assert (tmp_path / "dl/VERSION").read_text() == "go1.22.10-acme.2\ntime 2024-11-27T20:27:20Z\n"


def test_plain_numbers_lead_to_the_highest_stamp_of_each_platform(offered: Catalogue, tmp_path: Path) -> None:
    download_index.write_downloads(offered, tmp_path)
    listed = json.loads((tmp_path / "dl/plain/index.json").read_text())
    assert [(each["version"], each["stable"]) for each in listed] == [
        ("go1.28rc1", False),
        ("go1.22.10", True),
        ("go1.22.9", True),
    ]
    assert [file["filename"] for file in listed[1]["files"]] == [
        "../go1.22.10-acme.2.src.tar.gz",
        "../go1.22.10-acme.2.linux-amd64.tar.gz",
        "../go1.22.10-acme.1.darwin-arm64.tar.gz",
    ]
    for release in listed:
        for file in release["files"]:
            assert (tmp_path / "dl/plain" / file["filename"]).is_file()


def test_any_static_server_answers_go_dev_s_question(offered: Catalogue, tmp_path: Path) -> None:
    download_index.write_downloads(offered, tmp_path)
    text = (tmp_path / "dl/index.json").read_text()
    assert (tmp_path / "dl/index.html").read_text() == text
    assert not re.search("[<>&]", text)  # it is served as HTML
    with serving(tmp_path) as served:
        assert http.fetch_document(f"{served.url}/dl/?mode=json&include=all").decode() == text


def test_tags_are_what_git_lists_and_clones(offered: Catalogue, tmp_path: Path) -> None:
    """mise asks `git ls-remote --tags --refs`; the dumb HTTP protocol needs no program on the server."""
    git = needs("git")
    download_index.write_downloads(offered, tmp_path / "tree")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def ask(*words: str) -> list[str]:
        return subprocess.run([git, *words], env=environment, capture_output=True, text=True, check=True).stdout.split()

    with serving(tmp_path / "tree") as served:
        url = f"{served.url}/dl/versions.git"
        listed = ask("ls-remote", "--tags", "--refs", url, "go*")[1::2]
        ask("clone", "--quiet", url, str(tmp_path / "clone"))
    tags = ask("-C", str(tmp_path / "clone"), "tag")
    assert tags == ["go1.22.10-acme.1", "go1.22.10-acme.2", "go1.22.9-acme.1", "go1.28rc1-acme1"]
    assert listed == [f"refs/tags/{tag}" for tag in tags]


def test_a_release_candidate_alone_is_no_newest_version(tmp_path: Path) -> None:
    download_index.write_downloads(catalogue(toy_build(tmp_path / "dist", release="1.28rc1")), tmp_path / "tree")
    assert not (tmp_path / "tree/dl/VERSION").exists()
