"""Bottles: laid out as brew's own, the same bytes twice, and never changed once they are there."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from tap_fixtures import DARWIN, LINUX, MTIME, built
from toy_manifest import structured, toy_manifest

from gobuild.core import files
from gobuild.core.errors import PackageError, UnsafeArchive
from gobuild.core.goversion import TARGETS, Target
from gobuild.core.manifest import Manifest
from gobuild.publish.builds import Build
from gobuild.publish.homebrew import Download
from gobuild.publish.homebrew.bottle import MACS, bottle_tag, make_bottle, pins_toolchain
from gobuild.publish.homebrew.formula import Bottle, Recipe, render_formula
from gobuild.verify import expect

STAMP = "go1.22.10-acme1.p3f9c2a1"
KEG = "go-acme@1.22/1.22.10-acme1.p3f9c2a1"


def _recipe(offer: Build, formula: str = "go-acme@1.22") -> Recipe:
    sha256 = offer.archive("toolchain").sha256
    download = Download(target=offer.target, url="https://dl.example.com/a.tar.gz", sha256=sha256)
    return Recipe(formula=formula, version=offer.version, stamp=offer.stamp, downloads=(download,), pinned=True)


def _make(offer: Build, folder: Path, formula: str = "go-acme@1.22") -> Bottle:
    tag = bottle_tag(offer.target, offer.manifest)
    return make_bottle(offer.archive("toolchain").path, _recipe(offer, formula), offer.target, tag, folder)


@pytest.fixture
def offer(tmp_path: Path) -> Build:
    return built(tmp_path / "dist", STAMP, LINUX)


@pytest.fixture
def archive(offer: Build) -> Path:
    return offer.archive("toolchain").path


def test_a_bottle_is_what_install_would_have_made(offer: Build, tmp_path: Path) -> None:
    poured = _make(offer, tmp_path / "bottles")
    path = tmp_path / "bottles/go-acme@1.22-1.22.10-acme1.p3f9c2a1.x86_64_linux.bottle.tar.gz"
    assert poured.sha256 == files.sha256(path)
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
    poured = _make(offer, tmp_path, "go-acme")
    with tarfile.open(tmp_path / f"go-acme-1.22.10-acme1.p3f9c2a1.{poured.tag}.bottle.tar.gz") as tar:
        links = {member.name.rpartition("/")[2] for member in tar if member.issym()}
    assert links == {"go-acme", STAMP}


def test_the_same_twice_and_never_again(tmp_path: Path) -> None:
    offer = built(tmp_path / "dist", STAMP, DARWIN)
    one, other = _make(offer, tmp_path / "a"), _make(offer, tmp_path / "b")
    assert one == other and one.tag == "arm64_big_sur"
    (path,) = (tmp_path / "a").iterdir()
    assert gzip.decompress(path.read_bytes())[:4] == b"go-a"
    before = path.stat()
    _make(offer, tmp_path / "a")
    assert path.stat() == before


@pytest.mark.parametrize(
    ("target", "seen", "expected"),
    [
        ("darwin/arm64", "macOS 11.0, SDK 11.0", "arm64_big_sur"),
        ("darwin/amd64", "macOS 12.0, SDK 12.0", "monterey"),
        ("darwin/arm64", "macOS 13.0, SDK 26.2", "arm64_ventura"),
        ("linux/arm64", "", "arm64_linux"),
    ],
)
def test_tags(target: str, seen: str, expected: str) -> None:
    assert bottle_tag(Target.parse(target), _seen(target, seen)) == expected


def _seen(target: str | Target, seen: str) -> Manifest:
    told = toy_manifest(STAMP, target)
    told["checks"][1]["seen"] = seen
    return structured(told)


ROWS = [(target, facts["minos"]) for _since, target, facts in expect.ROWS if "minos" in facts]


@pytest.mark.parametrize(("target", "minos"), ROWS)
def test_every_macos_that_verify_knows_has_a_tag(target: str, minos: str) -> None:
    """darwin/amd64 of Go 1.21 and 1.22 asks for 10.13, of which Homebrew 7 knows no tag: its oldest serves."""
    targets = [each for each in TARGETS if str(each).startswith(target) and each.goos == "darwin"]
    assert targets
    for each in targets:
        found = bottle_tag(each, _seen(each, f"macOS {minos}, SDK {minos}"))
        assert found.removeprefix("arm64_") == MACS[max(11, int(minos.partition(".")[0]))]


def test_the_rows_are_verifys_own() -> None:
    assert ("darwin/amd64", "10.13") in ROWS


@pytest.mark.parametrize(
    ("seen", "said"), [("macOS 99.0, SDK 99.0", "needs macOS 99, for which"), ("nothing", "does not say which macOS")]
)
def test_a_macos_without_a_word_is_refused(seen: str, said: str) -> None:
    with pytest.raises(PackageError, match=said):
        bottle_tag(DARWIN, _seen(DARWIN, seen))


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
