"""Bottles: laid out as brew's own, the same bytes twice, and never changed once they are there."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from publish_toys import MTIME
from tap_fixtures import DARWIN, LINUX, built
from toy_manifest import structured, toy_manifest

from gobuild.core.errors import PackageError, UnsafeArchive
from gobuild.core.goversion import Target
from gobuild.core.manifest import Manifest
from gobuild.publish.builds import Build
from gobuild.publish.homebrew import Download, TapUrls
from gobuild.publish.homebrew.bottle import bottle_tag, make_bottle, pins_toolchain
from gobuild.publish.homebrew.formula import Recipe, render_formula
from gobuild.verify import expect

STAMP = "go1.22.10-acme1.p3f9c2a1"
KEG = "go-acme@1.22/1.22.10-acme1.p3f9c2a1"


def _recipe(offer: Build, formula: str = "go-acme@1.22") -> Recipe:
    sha256 = offer.archive("toolchain").sha256
    files = (Download(target=offer.target, url="https://dl.example.com/a.tar.gz", sha256=sha256),)
    return Recipe(
        formula=formula, version=offer.version, stamp=offer.stamp, downloads=files, pinned=True, urls=TapUrls()
    )


def _make(offer: Build, folder: Path, formula: str = "go-acme@1.22") -> Path:
    return make_bottle(offer, _recipe(offer, formula), folder)


@pytest.fixture
def offer(tmp_path: Path) -> Build:
    return built(tmp_path / "dist", STAMP, LINUX)


@pytest.fixture
def archive(offer: Build) -> Path:
    return offer.archive("toolchain").path


def test_a_bottle_is_what_install_would_have_made(offer: Build, tmp_path: Path) -> None:
    path = _make(offer, tmp_path / "bottles")
    assert path == tmp_path / "bottles/go-acme@1.22-1.22.10-acme1.p3f9c2a1.x86_64_linux.bottle.tar.gz"
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar}
        links = {name: member.linkname for name, member in members.items() if member.issym()}
        content = {name: (tar.extractfile(name) or io.BytesIO()).read() for name, m in members.items() if m.isreg()}
    # brew takes the name and the version from the first entry.
    assert next(iter(members)) == KEG
    assert links == {
        f"{KEG}/bin/go": "../libexec/bin/go",
        f"{KEG}/bin/{STAMP}": "../libexec/bin/go",
        f"{KEG}/bin/gofmt": "../libexec/bin/gofmt",
    }
    assert content.keys() == {
        f"{KEG}/{name}"
        for name in (
            *("LICENSE", ".brew/go-acme@1.22.rb", "INSTALL_RECEIPT.json", "libexec/PATENTS", "libexec/VERSION"),
            *("libexec/bin/go", "libexec/bin/gofmt", "libexec/go.env", "libexec/gobuild.json"),
            *("libexec/lib/README", "libexec/pkg/tool/toy/compile"),
            "libexec/src/runtime/proc.go",  # and no testdata of other systems
        )
    }
    assert content[f"{KEG}/.brew/go-acme@1.22.rb"].decode() == render_formula(_recipe(offer))
    assert members[f"{KEG}/libexec/bin/go"].mode == 0o755
    assert {(m.mtime, m.uid, m.uname) for m in members.values()} >= {(MTIME, 0, "")}
    receipt = json.loads(content[f"{KEG}/INSTALL_RECEIPT.json"])
    assert (receipt["changed_files"], receipt["arch"], receipt["built_as_bottle"]) == ([], "x86_64", True)
    assert receipt["source"]["versions"]["stable"] == "1.22.10-acme1.p3f9c2a1"


def test_the_newest_releases_bottle_links_no_go(offer: Build, tmp_path: Path) -> None:
    with tarfile.open(_make(offer, tmp_path, "go-acme")) as tar:
        links = {member.name.rpartition("/")[2] for member in tar if member.issym()}
    assert links == {"go-acme", STAMP}


def test_the_same_twice_and_never_again(tmp_path: Path) -> None:
    offer = built(tmp_path / "dist", STAMP, DARWIN)
    path, other = _make(offer, tmp_path / "a"), _make(offer, tmp_path / "b")
    assert path.read_bytes() == other.read_bytes() and ".arm64_big_sur." in path.name
    assert gzip.decompress(path.read_bytes())[:4] == b"go-a"
    before = path.stat()
    assert _make(offer, tmp_path / "a") == path
    assert path.stat() == before


def _seen(target: str | Target, seen: str) -> Manifest:
    told = toy_manifest(STAMP, target)
    told["checks"][1]["seen"] = seen
    return structured(told)


@pytest.mark.parametrize(
    ("target", "seen", "expected"),
    [
        ("darwin/arm64", "macOS 11.0, SDK 11.0", "arm64_big_sur"),
        ("darwin/amd64", "macOS 12.0, SDK 12.0", "monterey"),
        ("darwin/amd64", "macOS 10.13, SDK 10.15", "big_sur"),  # Homebrew 7 knows no older tag: its oldest serves
        ("darwin/arm64", "macOS 13.0, SDK 26.2", "arm64_ventura"),
        ("linux/arm64", "", "arm64_linux"),
    ],
)
def test_tags(target: str, seen: str, expected: str) -> None:
    assert bottle_tag(_seen(target, seen)) == expected


def test_every_macos_that_verify_knows_has_a_tag() -> None:
    known = {facts["minos"] for _since, _target, facts in expect.ROWS if "minos" in facts}
    assert "10.13" in known
    for minos in known:
        assert bottle_tag(_seen(DARWIN, f"macOS {minos}, SDK {minos}"))


@pytest.mark.parametrize(
    ("seen", "said"),
    [("macOS 99.0, SDK 99.0", "needs macOS 99, whose name"), ("nothing", "does not say which macOS bin/go")],
)
def test_a_macos_without_a_word_is_refused(seen: str, said: str) -> None:
    with pytest.raises(PackageError, match=said):
        bottle_tag(_seen(DARWIN, seen))


@pytest.mark.parametrize("name", ["go/../../etc/passwd", "etc/passwd", "go/link"])
def test_an_archive_that_leaves_its_folder_makes_no_bottle(
    offer: Build, archive: Path, tmp_path: Path, name: str
) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.type = tarfile.SYMTYPE if name.endswith("link") else tarfile.REGTYPE
        info.linkname = "/etc/passwd" if name.endswith("link") else ""
        tar.addfile(info)
    with pytest.raises(UnsafeArchive, match="no Go archive has"):
        _make(offer, tmp_path / "bottles")
    assert not list((tmp_path / "bottles").iterdir())


def test_half_an_archive_makes_no_bottle(offer: Build, archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(UnsafeArchive):
        _make(offer, tmp_path / "bottles")
    with pytest.raises(UnsafeArchive):
        archive.write_bytes(archive.read_bytes()[:100])
        pins_toolchain(archive)
    assert not list((tmp_path / "bottles").iterdir())


def test_an_archive_without_go_makes_no_bottle(offer: Build, archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("go/VERSION"))
    with pytest.raises(PackageError, match="no go/bin/go"):
        _make(offer, tmp_path / "bottles")


@pytest.mark.parametrize("pinned", [True, False])
def test_what_go_env_says(tmp_path: Path, pinned: bool) -> None:
    assert pins_toolchain(built(tmp_path, STAMP, LINUX, pinned=pinned).archive("toolchain").path) is pinned
