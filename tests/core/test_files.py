"""Files born whole, archives that stay in their folder, locks: on real files, archives and a full disk."""

import base64
import errno
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from gobuild.core import archives, files
from gobuild.core.errors import DiskFull, Refused, UnsafeArchive, os_errors_as_ours


def test_sha256_and_dirhash_are_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.com/m\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.txt").write_text("a\n")
    assert files.sha256(tmp_path / "sub/a.txt") == "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
    # By the recipe of golang.org/x/mod/sumdb/dirhash, with other tools:
    # sha256sum go.mod sub/a.txt | openssl dgst -sha256 -binary | base64
    assert files.dirhash(tmp_path) == "h1:2IpeXGegvazlWodTQLGy8gUQ47+AF+Q56nfXWS0Jv10="


def test_whole_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with files.atomic_write(path) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_remove_does_not_follow_a_link(tmp_path: Path) -> None:
    files.write(tmp_path / "precious/file", "")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    files.remove(tmp_path / "link")
    assert (tmp_path / "precious/file").exists()


def test_what_the_system_refuses_is_ours_and_no_space_is_disk_full() -> None:
    with pytest.raises(DiskFull, match=r"no space left on device: some/file\n.*--work"), os_errors_as_ours("--work"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/file")
    with pytest.raises(Refused, match="Permission denied: it"), os_errors_as_ours():
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "it")


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o755
    return info


@pytest.mark.parametrize(
    "entry",
    [
        _entry("../evil"),
        _entry("go/../../evil"),
        _entry("/tmp/evil"),
        _entry("go\\..\\evil"),
        _entry("C:/evil"),
        _entry("go/link", tarfile.SYMTYPE, "/etc"),
        _entry("go/link", tarfile.SYMTYPE, "inside"),
        _entry("go/link", tarfile.LNKTYPE, "../evil"),
        _entry("go/device", tarfile.CHRTYPE),
        _entry("go/fifo", tarfile.FIFOTYPE),
        _entry("../evil", tarfile.DIRTYPE),
        _entry("."),
    ],
    ids=lambda entry: f"{entry.name}-{entry.type!r}",
)
def test_no_tar_entry_leaves_its_folder(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    archive = _tar(tmp_path / "bad.tar.gz", (_entry("go/VERSION"), b"go1.22.10\n"), (entry, b""))
    with pytest.raises(UnsafeArchive):
        archives.unpack(archive, tmp_path / "into")
    assert [each.name for each in tmp_path.iterdir()] == ["bad.tar.gz"]


def test_a_file_twice_or_under_a_file(tmp_path: Path) -> None:
    for second in ("go/a", "go/a/b"):
        archive = _tar(tmp_path / "bad.tar.gz", (_entry("go/a"), b"1"), (_entry(second), b"2"))
        with pytest.raises(UnsafeArchive, match="twice"):
            archives.unpack(archive, tmp_path / "into")


def _zip(path: Path, name: str, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w") as pack:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        pack.writestr(info, "content")
    return path


@pytest.mark.parametrize(("name", "mode"), [("../evil", 0o100644), ("/evil", 0o100644), ("go/link", 0o120777)])
def test_no_zip_entry_leaves_its_folder(tmp_path: Path, name: str, mode: int) -> None:
    archive = _zip(tmp_path / "bad.whl", name, mode)
    with pytest.raises(UnsafeArchive):
        archives.unpack(archive, tmp_path / "into")
    assert [each.name for each in tmp_path.iterdir()] == ["bad.whl"]


def test_unpack_keeps_modes_and_selects(tmp_path: Path) -> None:
    plain = _entry("go/src/x.go")
    plain.mode = 0o600
    archive = _tar(
        tmp_path / "good.tar.gz", (_entry("go", tarfile.DIRTYPE), b""), (_entry("go/bin/go"), b"x"), (plain, b"y")
    )
    archives.unpack(
        archive, tmp_path / "into", lambda name: name.removeprefix("go/") if "src" in name or "bin" in name else None
    )
    assert (tmp_path / "into/bin/go").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "into/src/x.go").stat().st_mode & 0o777 == 0o644


def test_an_archive_that_was_cut_anywhere_is_seen(tmp_path: Path) -> None:
    entries = [(_entry(f"go/{name}"), os.urandom(1 << 10)) for name in "abc"]
    whole = _tar(tmp_path / "a.tar.gz", *entries).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for size in range(0, len(whole), 7):
        cut.write_bytes(whole[:size])
        with pytest.raises(UnsafeArchive, match="fetch it again"):
            archives.unpack(cut, tmp_path / "into")
    assert {each.name for each in tmp_path.iterdir()} == {"a.tar.gz", "cut.tar.gz"}


def _zeros(path: Path, *, inside: bool) -> Path:
    """80 MiB of zeros in 80 kB: in a file before go/VERSION, or behind the tar's own end."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo("go/big")
        member.size = (80 << 20) if inside else 1
        tar.addfile(member, io.BytesIO(bytes(member.size)))
        tar.addfile(tarfile.TarInfo("go/VERSION"))
    path.write_bytes(gzip.compress(made.getvalue() + bytes(0 if inside else 80 << 20), 1))
    return path


@pytest.mark.parametrize("inside", [True, False])
def test_a_look_and_what_stands_behind_the_end_have_the_limit_too(tmp_path: Path, inside: bool) -> None:
    path = _zeros(tmp_path / "a.tar.gz", inside=inside)
    with pytest.raises(UnsafeArchive, match="unpacks to more than it may"):
        list(archives.list_names(path, limit=1 << 20))
    with pytest.raises(UnsafeArchive, match="unpacks to more than it may"):
        archives.unpack(path, tmp_path / "into", lambda _name: None, limit=1 << 20)
    assert list(archives.list_names(path)) == ["go/big", "go/VERSION"]


def test_an_archive_is_what_it_holds_whatever_it_is_called(tmp_path: Path) -> None:
    _zip(tmp_path / "toolchain.bin", "go/VERSION")
    _tar(tmp_path / "tar.zip", (_entry("go/VERSION"), b"content"))
    for name in ("toolchain.bin", "tar.zip"):
        archives.unpack(tmp_path / name, tmp_path / f"into-{name}")
        assert (tmp_path / f"into-{name}/go/VERSION").read_text() == "content"
    for content in (b"", b"hello", b"\x7fELF" * 500):
        (tmp_path / "text.tar.gz").write_bytes(content)
        with pytest.raises(UnsafeArchive) as caught:
            archives.unpack(tmp_path / "text.tar.gz", tmp_path / "text")
        assert caught.value.reason == "text.tar.gz is no archive: neither a tar, plain or compressed, nor a zip"


def test_remove_takes_a_folder_that_may_not_be_read_or_written(tmp_path: Path) -> None:
    """As root every folder may be: a user of no rights removes it, in a process of its own."""
    place = tmp_path / "shut"
    files.write(place / "inner/file", "x")
    files.write(place / "modcache/file", "x")
    (place / "inner").chmod(0o300)
    (place / "modcache").chmod(0o555)
    tmp_path.chmod(0o777)
    code = f"from pathlib import Path; from gobuild.core import files; files.remove(Path({str(place)!r}))"
    me = os.geteuid()
    if me == 0:
        for each in (place, *place.rglob("*")):
            os.chown(each, 65534, 65534)
        for each in tmp_path.parents[:-2]:
            each.chmod(0o755)
        code = f"import os; os.environ['HOME'] = '/'; from gobuild.core import files; os.setuid(65534); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert not place.exists(), done.stderr
    assert done.returncode == 0


def test_dirhash_takes_links_to_folders_and_names_that_are_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    plain = files.dirhash(tmp_path)
    (tmp_path / "link").symlink_to("folder")
    linked = files.dirhash(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("elsewhere")
    assert len({plain, linked, files.dirhash(tmp_path)}) == 3
    name = os.fsdecode(b"na\xefve")
    (tmp_path / name).write_text("x")
    digest = hashlib.sha256(b"x").hexdigest().encode()
    line = hashlib.sha256(digest + b"  na\xefve\n").digest()
    assert files.dirhash(tmp_path, [name]) == "h1:" + base64.b64encode(line).decode()


def test_a_clone_is_the_same_file_on_its_own(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    source.chmod(0o555)
    files.clone(source, tmp_path / "clone")
    assert (tmp_path / "clone").read_bytes() == source.read_bytes()
    assert (tmp_path / "clone").stat().st_mode & 0o777 == 0o755
    with pytest.raises(FileExistsError):
        files.clone(source, tmp_path / "clone")
    with (tmp_path / "clone").open("r+b") as file:
        file.write(b"changed")
    assert not source.read_bytes().startswith(b"changed")
    files.clone(Path("/proc/self/status") if Path("/proc/self/status").exists() else source, tmp_path / "odd")
    assert (tmp_path / "odd").stat().st_size, "a file whose size the system does not tell"


def test_what_is_packed_depends_on_names_bytes_and_executable_bits_alone(tmp_path: Path) -> None:
    tree = tmp_path / "cache"
    (tree / "ab/empty").mkdir(parents=True)
    for number in range(50):
        (tree / f"ab/{number:03}-d").write_bytes(os.urandom(number))
    (tree / ("long" * 40)).write_bytes(b"long")
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    archives.pack(tree, tmp_path / "one.tar")
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
    archives.pack(tree, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    archives.unpack(tmp_path / "one.tar", tmp_path / "out", limit=(tmp_path / "one.tar").stat().st_size)
    assert files.dirhash(tmp_path / "out") == files.dirhash(tree) and os.access(tmp_path / "out/run", os.X_OK)
    (tree / "link").symlink_to("run")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        archives.pack(tree, tmp_path / "three.tar")
