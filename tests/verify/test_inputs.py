"""What verify can be pointed at besides a GOROOT: bottles, kegs, folders of programs; and what must be refused."""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from verify_fixtures import DARWIN, LINUX, archive, by_subject, failed, named

from gobuild.core import files
from gobuild.core.errors import UnsafeArchive, VerifyError
from gobuild.core.model import Report, Verdict
from gobuild.core.process import run
from gobuild.verify import inputs, require, verify_path

KEG = "go-acme@1.22/1.22.10"
SHIPPED = ("VERSION", "bin/go", "bin/gofmt", "pkg/tool/darwin_arm64/buildid")
LINKS = {"bin/go": "../libexec/bin/go", "bin/gofmt": "../libexec/bin/gofmt"}
RECEIPT = json.dumps({"changed_files": [], "source": {"spec": "stable"}})


@pytest.fixture(autouse=True)
def without_other_tools(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Second opinions are tests of their own, and take longer than all of these."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.getbasetemp()))


def look(path: Path, folder: Path) -> Report:
    report = verify_path(path, run=run, scratch=folder / "scratch")
    assert list((folder / "scratch").iterdir()) == []
    return report


def bottle(
    root: Path,
    path: Path,
    *,
    links: dict[str, str] = LINKS,
    more: dict[str, bytes] | None = None,
    receipt: str = RECEIPT,
    keg: str = KEG,
) -> Path:
    """A Homebrew bottle of some files of a toolchain, as brew lays one out."""
    contents = {f"{keg}/libexec/{name}": (root / name).read_bytes() for name in SHIPPED}
    contents |= {f"{keg}/.brew/go-acme@1.22.rb": b"class GoAcmeAT122 < Formula\nend\n"} | (more or {})
    if receipt:
        contents[f"{keg}/{inputs.RECEIPT}"] = receipt.encode()
    # By its bytes a reader knows that this one is not compressed; the tests are faster for it.
    with tarfile.open(path, "w") as tar:
        for name, target in links.items():
            entry = tarfile.TarInfo(f"{keg}/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("keg", [KEG, "go/1.22.10"])
def test_a_bottle_is_read_with_its_links(darwin_wheel: Path, tmp_path: Path, keg: str) -> None:
    """Homebrew's own go/1.22.10/libexec/VERSION begins with go/, as go/VERSION does."""
    path = bottle(darwin_wheel, tmp_path / "go-acme@1.22-1.22.10.arm64_big_sur.bottle.tar.gz", keg=keg)
    report = look(path, tmp_path)
    assert by_subject(report) == {("pkg/tool/darwin_arm64", "tools")}
    check = named(report, "bottle")
    assert (check.subject, check.seen) == (keg, "2 links into it, and a receipt")
    assert {each.subject for each in report.checks if each.name == "signature"} == set(SHIPPED[1:])


@pytest.mark.parametrize(
    ("links", "receipt", "seen"),
    [
        ({"bin/go": "/bin/sh"}, RECEIPT, "points out of the bottle, to /bin/sh"),
        ({"bin/go": "../../../../../bin/sh"}, RECEIPT, "points out of the bottle"),
        ({"bin/go": "../libexec/bin/gone"}, RECEIPT, "points to ../libexec/bin/gone, which is not there"),
        (LINKS, "", "INSTALL_RECEIPT.json: No such file"),
        (LINKS, "[1]", "INSTALL_RECEIPT.json is no JSON object"),
        (LINKS, "{", "INSTALL_RECEIPT.json: "),
    ],
)
def test_a_bottle_that_would_not_work_fails(
    darwin_wheel: Path, tmp_path: Path, links: dict[str, str], receipt: str, seen: str
) -> None:
    report = look(bottle(darwin_wheel, tmp_path / "b.tar.gz", links=links, receipt=receipt), tmp_path)
    assert seen in failed(report)["bottle"]


def test_a_link_cannot_make_room_for_a_file_behind_it(darwin_wheel: Path, tmp_path: Path) -> None:
    """The old trick: a link first, then a file "below" it. The link is never made, so the file stays in its folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    links, more = {"bin/way": str(outside)}, {f"{KEG}/bin/way/caught": b"#!/bin/sh\n"}
    report = look(bottle(darwin_wheel, tmp_path / "b.tar.gz", links=links, more=more), tmp_path)
    assert list(outside.iterdir()) == []
    assert "points out of the bottle" in failed(report)["bottle"]


def test_programs_beside_the_toolchain_are_read_too(hello: bytes, darwin_wheel: Path, tmp_path: Path) -> None:
    """Whatever begins as an executable does, wherever in the archive it stands."""
    broken = bytearray(hello)
    broken[0x5123] ^= 1
    more = {f"{KEG}/bin/own": hello, f"{KEG}/libexec/misc/hidden": bytes(broken)}
    more["other/fat"] = b"\xca\xfe\xba\xbe" * 9
    report = look(bottle(darwin_wheel, tmp_path / "b.tar.gz", more=more), tmp_path)
    assert by_subject(report) == {
        ("pkg/tool/darwin_arm64", "tools"),
        (f"{KEG}/libexec/misc/hidden", "signature"),
        ("other/fat", "format"),
    }
    assert f"{KEG}/bin/own" in {check.subject for check in report.checks if check.name == "signature"}


STRAYS = (
    *("pkg/tool/darwin_arm64/dist", "pkg/tool/darwin_arm64/api", "pkg/tool/linux_amd64/compile"),
    *("pkg/obj/hidden", "pkg/bootstrap/bin/hidden", "bin/darwin_amd64/go", "src/hidden", "test/hidden", "bin/script"),
)


def test_what_distpack_does_not_pack_is_told_of_an_archive(darwin_wheel: Path, tmp_path: Path) -> None:
    """Where make.bash works such files lie about; in an archive each of them would ship."""
    cut = (darwin_wheel / "pkg/tool/darwin_arm64/buildid").read_bytes()[:4096]
    with tarfile.open(archive(darwin_wheel, tmp_path / "go.tar", "go", names=SHIPPED), "a") as tar:
        for name in (*STRAYS, "src/debug/testdata/data", "src/runtime/race/race_darwin.syso"):
            content = b"#!/bin/sh\n" if name == "bin/script" else cut
            entry = tarfile.TarInfo(f"go/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    report = look(tmp_path / "go.tar", tmp_path)
    assert {each.detail for each in named(report, "contents").problems} == set(STRAYS)
    read = {name for name in STRAYS if name.startswith(("bin/", "pkg/"))} - {"bin/script"}
    assert {subject for subject, name in by_subject(report) if name == "format"} == read


def test_a_folder_that_cannot_be_read_is_an_error(
    darwin_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in for the system's answer: root, as whom tests may run, reads everything."""
    for name in SHIPPED:
        files.write(tmp_path / "go" / name, (darwin_wheel / name).read_bytes())
    (tmp_path / "go/pkg/locked").mkdir()
    listed = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(VerifyError, match=r"go/pkg/locked cannot be read: Permission denied"):
        look(tmp_path / "go", tmp_path)


def test_links_are_refused_where_no_bottle_is(darwin_wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(archive(darwin_wheel, tmp_path / "go.tar", "go", names=SHIPPED), "a") as tar:
        entry = tarfile.TarInfo("go/bin/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "go"
        tar.addfile(entry)
    with pytest.raises(UnsafeArchive, match="no plain file: 'go/bin/link'"):
        look(tmp_path / "go.tar", tmp_path)


def test_an_archive_that_swells_is_refused(darwin_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LIMIT", 1 << 22)
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.write(darwin_wheel / "VERSION", "go/VERSION")
        pack.writestr("go/pkg/zeros", bytes(1 << 23))
    with pytest.raises(UnsafeArchive, match="unpacks to more than it may"):
        look(tmp_path / "m.zip", tmp_path)


def test_a_folder_of_programs(hello: bytes, linux: bytes, darwin_wheel: Path, tmp_path: Path) -> None:
    root = tmp_path / "programs"
    gofmt = (darwin_wheel / "bin/gofmt").read_bytes()
    for name, content in {"darwin": hello, "linux/hello": linux, "gofmt": gofmt, "README": b"no program"}.items():
        files.write(root / name, content)
    (root / "link").symlink_to("gofmt")
    (root / "away").symlink_to("/bin/sh")
    (root / "nowhere").symlink_to("gone")
    (root / "circle").symlink_to("circle")
    report = look(root, tmp_path)
    require(report)
    assert {each.subject for each in report.checks if each.name == "format"} == {"darwin", "linux/hello", "gofmt"}
    links = {check.subject: (check.verdict, check.seen) for check in report.checks if check.name == "link"}
    assert links["link"] == (Verdict.OK, "to gofmt")
    assert links["away"] == (Verdict.SKIPPED, "to /bin/sh, which is not in this folder")
    assert links["nowhere"][0] is links["circle"][0] is Verdict.SKIPPED
    report = verify_path(root, run=run, scratch=tmp_path / "scratch", target=DARWIN)
    assert by_subject(report) == {("linux/hello", "format")}


def test_an_installed_keg_is_read_as_its_bottle(darwin_wheel: Path, tmp_path: Path) -> None:
    keg = tmp_path / "Cellar" / KEG
    for name in SHIPPED:
        files.write(keg / "libexec" / name, (darwin_wheel / name).read_bytes())
    (keg / "bin").mkdir()
    (keg / "bin/go").symlink_to("../libexec/bin/go")
    report = look(keg, tmp_path)
    assert by_subject(report) == {("pkg/tool/darwin_arm64", "tools")}
    assert (named(report, "link").verdict, named(report, "link").subject) == (Verdict.OK, "bin/go")


def test_a_link_that_the_user_names_is_followed(darwin_wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "gofmt").symlink_to(darwin_wheel / "bin/gofmt")
    assert failed(look(tmp_path / "gofmt", tmp_path)) == {}


def test_a_program_with_an_archive_behind_it_is_a_program(darwin_wheel: Path, tmp_path: Path) -> None:
    """Whatever hangs on to it: zipfile would read this as an archive."""
    path = tmp_path / "gofmt"
    path.write_bytes((darwin_wheel / "bin/gofmt").read_bytes())
    with zipfile.ZipFile(path, "a") as pack:
        pack.writestr("go/VERSION", "go1.22.10\n")
    assert {"layout", "signature"} <= set(failed(look(path, tmp_path)))


def test_a_damaged_archive_is_refused(darwin_wheel: Path, tmp_path: Path) -> None:
    path = bottle(darwin_wheel, tmp_path / "b.tar.gz")
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(UnsafeArchive, match="no whole archive"):
        look(path, tmp_path)
    assert not (tmp_path / "scratch/unpacked").exists()


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("go1.22.10.darwin-arm64.tar.gz", Verdict.OK),
        ("v0.0.1-go1.22.10.darwin-arm64.zip", Verdict.OK),
        ("go1.22.12-acme.p1.darwin-arm64.tar.gz", Verdict.FAILED),
        ("go1.22.10.linux-amd64.tar.gz", Verdict.FAILED),
        ("v0.0.1-go1.22.10.darwin-amd64.zip", Verdict.FAILED),
        ("toolchain.tar.gz", None),
        ("go1.22.10.darwin-arm64 (1).tar.gz", None),
    ],
)
def test_an_archive_holds_what_its_name_says(
    darwin_wheel: Path, tmp_path: Path, name: str, verdict: Verdict | None
) -> None:
    path = tmp_path / name
    prefix = "golang.org/toolchain@v0.0.1-go1.22.10.darwin-arm64" if name.endswith(".zip") else "go"
    archive(darwin_wheel, path, prefix, names=SHIPPED)
    found = inputs.unpack_toolchain(path, tmp_path / "unpacked", None, host=LINUX)
    assert [(each.verdict, each.seen) for each in found.checks if each.name == "name"] == (
        [(verdict, "go1.22.10.darwin-arm64")] if verdict else []
    )
