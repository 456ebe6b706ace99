"""New bytes go into finished archives entry by entry, and nothing else in them changes."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any

import pytest
from needs import needs

from gobuild.core.errors import PackageError
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.package import replace_entries, unpack_executables

TARGET = Target(goos="darwin", goarch="arm64")
TIME = 1732739240
MACHO = b"\xcf\xfa\xed\xfe"
FILES = {
    "LICENSE": b"Copyright (c) 2009 The Go Authors.\n",
    "bin/go": MACHO + bytes(1000),
    "bin/gofmt": MACHO + b"gofmt",
    "pkg/tool/darwin_arm64/compile": MACHO + bytes(100_000),
    "pkg/tool/darwin_arm64/README": b"no program\n",
    "src/debug/macho/testdata/gcc-amd64-darwin-exec": MACHO + b"test data",
}
NEW = {"bin/go": b"a signed go, of another size", "pkg/tool/darwin_arm64/compile": b"x" * 200_000}
MODULE = "golang.org/toolchain@v0.0.1-go1.22.10-acme1.darwin-arm64/"


def as_go(data: bytes) -> bytes:
    """A gzip stream with the header that Go writes."""
    packed = gzip.compress(data, mtime=0)
    return packed[:9] + b"\xff" + packed[10:]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """As distpack writes it: ustar, sorted, one time, and gzip's header without a name."""
    path = tmp_path / "go1.22.10-acme1.darwin-arm64.tar.gz"
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as pack:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"go/{name}")
            member.size, member.mtime, member.mode = len(content), TIME, 0o755 if "bin" in name else 0o644
            pack.addfile(member, io.BytesIO(content))
    path.write_bytes(as_go(plain.getvalue()))
    return path


class Unseekable(io.RawIOBase):
    """A file without a way back: so zipfile writes data descriptors, as Go's archive/zip does."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.raw.write(data)


@pytest.fixture(params=["streamed", "seekable", "stored"])
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "v0.0.1-go1.22.10-acme1.darwin-arm64.zip"
    kind = zipfile.ZIP_STORED if request.param == "stored" else zipfile.ZIP_DEFLATED
    with path.open("wb") as raw:
        into: Any = Unseekable(raw) if request.param == "streamed" else raw
        with zipfile.ZipFile(into, "w", kind) as pack:
            for name, content in FILES.items():
                info = zipfile.ZipInfo(MODULE + name, (2024, 11, 27, 20, 27, 20))
                info.compress_type, info.external_attr = kind, (0o100644 << 16)
                pack.writestr(info, content)
    return path


@pytest.fixture
def new(tmp_path: Path) -> dict[str, Path]:
    return _placed(NEW, tmp_path)


def _placed(contents: dict[str, bytes], folder: Path) -> dict[str, Path]:
    made = {name: folder / name.replace("/", "-") for name in contents}
    for name, path in made.items():
        path.write_bytes(contents[name])
    return made


def _tar_entries(path: Path) -> list[tuple[Any, ...]]:
    with tarfile.open(path) as pack:
        return [
            (each.name, each.mode, each.mtime, each.type, each.uid, each.uname, pack.extractfile(each).read())  # type: ignore[union-attr]
            for each in pack
        ]


def _zip_entries(path: Path) -> list[tuple[Any, ...]]:
    with zipfile.ZipFile(path) as pack:
        assert pack.testzip() is None
        kept = ("filename", "date_time", "external_attr", "compress_type", "flag_bits", "create_system", "extra")
        return [(*(getattr(each, key) for key in kept), pack.read(each)) for each in pack.infolist()]


def test_the_programs_are_found(tar: Path, tmp_path: Path) -> None:
    found = unpack_executables(tar, TARGET, tmp_path / "out")
    assert sorted(found) == ["bin/go", "bin/gofmt", "pkg/tool/darwin_arm64/compile"]
    assert all(path.read_bytes() == FILES[name] for name, path in found.items())
    with tarfile.open(tar, "w:gz") as pack:
        pack.addfile(tarfile.TarInfo("go/VERSION"))
    with pytest.raises(PackageError, match="holds no program for darwin/arm64"):
        unpack_executables(tar, TARGET, tmp_path / "nothing")


def test_a_tarball_keeps_all_but_the_new_bytes(tar: Path, new: dict[str, Path], tmp_path: Path) -> None:
    to = tmp_path / "new.tar.gz"
    replace_entries(tar, new, to)
    before, after = _tar_entries(tar), _tar_entries(to)
    assert [each[:-1] for each in before] == [each[:-1] for each in after]
    assert {each[0].removeprefix("go/"): each[-1] for each in after} == FILES | NEW
    assert to.read_bytes()[:10] == tar.read_bytes()[:10]
    first = to.read_bytes()
    replace_entries(tar, new, to)
    assert to.read_bytes() == first
    replace_entries(tar, unpack_executables(tar, TARGET, tmp_path / "out"), to)
    assert gzip.decompress(to.read_bytes()) == gzip.decompress(tar.read_bytes())
    needs("tar")
    run(["tar", "-tzf", to], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)


def test_a_module_keeps_all_but_the_new_bytes(module: Path, new: dict[str, Path], tmp_path: Path) -> None:
    to = tmp_path / "new.zip"
    replace_entries(module, new, to)
    before, after = _zip_entries(module), _zip_entries(to)
    assert [each[:-1] for each in before] == [each[:-1] for each in after]
    assert {each[0].removeprefix(MODULE): each[-1] for each in after} == FILES | NEW
    # Whatever is not replaced was copied, not compressed again.
    untouched = _packed(module, MODULE + "bin/gofmt")
    assert untouched == _packed(to, MODULE + "bin/gofmt")


def _packed(path: Path, name: str) -> bytes:
    """An entry as it stands in the file, with its header."""
    with zipfile.ZipFile(path) as pack:
        info = pack.getinfo(name)
    data = path.read_bytes()
    names = sum(struct.unpack_from("<2H", data, info.header_offset + 26))
    return data[info.header_offset : info.header_offset + 30 + names + info.compress_size]


def test_python_s_zlib_again_gives_the_same_module(module: Path, tmp_path: Path) -> None:
    """The module was packed at level 6 here; replaced by its own bytes at level 9, twice, it is the same twice."""
    own = _placed({name: FILES[name] for name in NEW}, tmp_path)
    for to in ("one.zip", "two.zip"):
        replace_entries(module, own, tmp_path / to)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert _zip_entries(tmp_path / "one.zip") == _zip_entries(module)


def test_archives_that_are_not_distpack_s_are_refused(tar: Path, new: dict[str, Path], tmp_path: Path) -> None:
    pax = tmp_path / "pax"
    with tarfile.open(pax, "w:gz", format=tarfile.PAX_FORMAT) as pack:
        pack.addfile(tarfile.TarInfo("go/" + "x" * 300))
    for name, content, says in (
        ("a.tar.gz", pax.read_bytes(), "gzip header"),  # Python puts the name into it
        ("b.tar.gz", as_go(gzip.decompress(pax.read_bytes())), "entry of type b'x'"),
        ("c.tar.gz", tar.read_bytes()[:-200], "no whole archive"),
        ("d.tar.gz", as_go(bytes(1024)), "has no entry bin/go"),
        ("e.zip", b"PK\x05\x06" + bytes(18), "has no entry bin/go"),
        ("f.zip", b"PK", "no whole archive"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PackageError, match=says):
            replace_entries(tmp_path / name, new, tmp_path / "to" / name)
    assert list((tmp_path / "to").iterdir()) == []
