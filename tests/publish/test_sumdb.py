"""The checksum database: keys, notes, tiles, and a log that only grows."""

import json
import re
import stat
from pathlib import Path

import pytest
from publish_toys import DATABASE, KEY, catalogue, flip, toy_build

from gobuild.core.errors import ConfigError, PublishError, VerifyError
from gobuild.core.goversion import Target
from gobuild.publish import proxy
from gobuild.publish.builds import Build
from gobuild.publish.sumdb import database, tlog
from gobuild.publish.sumdb.note import NoteSigner, Verifier
from gobuild.publish.sumdb.tlog import Head, Log, Tile


def published(tree: Path, *offers: Build, key: NoteSigner = KEY) -> Head:
    proxy.write_proxy(catalogue(*offers), tree)
    return database.update_database(catalogue(*offers), tree, key=key)


def test_a_key_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "sumdb.key"
    signer = NoteSigner.new("acme.example/sumdb")
    signer.write_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert NoteSigner.read_file(path) == signer
    assert Verifier.parse(str(signer.verifier)) == signer.verifier
    with pytest.raises(ConfigError, match="never overwritten"):
        NoteSigner.new("acme.example/sumdb").write_file(path)
    assert NoteSigner.read_file(path) == signer


def test_no_secret_in_a_repr_or_a_message(tmp_path: Path) -> None:
    secret = KEY.secret().rpartition("+")[2]
    assert secret not in repr(KEY) and repr(KEY.seed) not in repr(KEY)
    for broken in (KEY.secret()[:-6], KEY.secret().replace("acme", "evil"), KEY.secret() + "!", "PRIVATE+KEY+x"):
        path = tmp_path / "key"
        path.write_text(broken)
        with pytest.raises(ConfigError) as caught:
            NoteSigner.read_file(path)
        assert secret[:10] not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("", "acme", "sum.golang.org", "acme.example/", "acme.example/../x", "a b.example", "acme.example+x"),
        *("A.example", "/acme.example", "acme.example//x", "acme.example/.git", "acme.example:80", "x://acme.example"),
    ],
)
def test_a_name_that_go_or_a_folder_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a checksum database's name"):
        NoteSigner.new(name)


def test_the_format_stands_as_go_writes_it(tmp_path: Path) -> None:
    offers = [toy_build(tmp_path / "dist", target=Target.parse(each)) for each in ("darwin/arm64", "linux/amd64")]
    head = published(tmp_path / "tree", *offers)
    folder = tmp_path / "tree" / DATABASE
    version = "v0.0.1-go1.99.1-acme1.linux-amd64"
    number, zip_line, mod_line, *rest = (folder / f"lookup/golang.org/toolchain@{version}").read_text().split("\n")
    assert number == "1"
    assert re.fullmatch(rf"golang\.org/toolchain {re.escape(version)} h1:[A-Za-z0-9+/]{{43}}=", zip_line)
    # What Go's own dirhash makes of that go.mod: https://sum.golang.org has it in every record of golang.org/toolchain.
    assert mod_line == f"golang.org/toolchain {version}/go.mod h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="
    assert rest[0] == "" and "\n".join(rest[1:]).encode() == (folder / "latest").read_bytes()
    assert KEY.verifier.open((folder / "latest").read_bytes()) == head.to_text()
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "latest",
        "supported",
        *(f"tile/8/{level}/000.p/{width}" for level in ("0", "data") for width in (1, 2)),
        *(f"lookup/golang.org/toolchain@v0.0.1-go1.99.1-acme1.{each}" for each in ("darwin-arm64", "linux-amd64")),
    }
    assert database.database_names(tmp_path / "tree") == ("acme.example/sumdb",)


def test_growing_keeps_every_byte_of_before(tmp_path: Path) -> None:
    first, second = toy_build(tmp_path / "dist"), toy_build(tmp_path / "dist", release="1.99.2")
    published(tmp_path / "tree", first)
    folder = tmp_path / "tree" / DATABASE
    before = {path: path.read_bytes() for path in folder.rglob("*/*") if path.is_file()}
    again = (folder / "latest").stat().st_ino
    assert published(tmp_path / "tree", first).size == 1
    assert (folder / "latest").stat().st_ino == again  # nothing new: nothing written
    assert published(tmp_path / "tree", second, first).size == 2
    assert {path: path.read_bytes() for path in before} == before


def test_what_was_logged_with_another_hash_is_refused(tmp_path: Path) -> None:
    published(tmp_path / "tree", toy_build(tmp_path / "one"))
    for path in (tmp_path / "tree/proxy/golang.org").rglob("*.zip"):
        path.unlink()  # somebody makes room in the proxy for other bytes: the log remembers
    before = (tmp_path / "tree" / DATABASE / "latest").read_bytes()
    with pytest.raises(PublishError, match="a log cannot be changed"):
        published(tmp_path / "tree", toy_build(tmp_path / "two", word="other"))
    assert (tmp_path / "tree" / DATABASE / "latest").read_bytes() == before


def test_another_key_cannot_go_on_with_a_log(tmp_path: Path) -> None:
    offer = toy_build(tmp_path / "dist")
    published(tmp_path / "tree", offer)
    with pytest.raises(VerifyError, match="no signature by the key"):
        published(tmp_path / "tree", offer, key=NoteSigner(name=KEY.name, seed=bytes(32)))


def test_every_changed_byte_of_a_database_is_found(tmp_path: Path) -> None:
    offers = [toy_build(tmp_path / "dist", release=f"1.99.{number}") for number in range(3)]
    published(tmp_path / "tree", *offers[:2])
    published(tmp_path / "tree", *offers)
    folder = tmp_path / "tree" / DATABASE

    def check() -> None:
        database.check_database(lambda path: (folder / path).read_bytes(), KEY.verifier)

    check()
    current = [folder / "latest", *folder.glob("lookup/golang.org/*"), *folder.glob("tile/8/*/000.p/3")]
    assert len(current) == 6
    for path in current:
        for at in range(0, path.stat().st_size, 7):
            flip(path, at)
            with pytest.raises(VerifyError):
                check()
            flip(path, at)


def test_a_lookup_with_another_module_s_signed_record_is_found(tmp_path: Path) -> None:
    """Each of its bytes is signed and logged, and go before 1.25.10 and 1.26.3 believes it (golang/go#79070)."""
    published(tmp_path / "tree", toy_build(tmp_path / "dist"), toy_build(tmp_path / "dist", release="1.99.2"))
    folder = tmp_path / "tree" / DATABASE
    one, other = sorted((folder / "lookup/golang.org").iterdir())
    content = other.read_bytes()
    one.unlink()
    one.write_bytes(content)
    with pytest.raises(VerifyError, match=r"the lookup of v0\.0\.1-go1\.99\.1-acme1\..* is not what was logged"):
        database.check_database(lambda path: (folder / path).read_bytes(), KEY.verifier)


def test_a_log_of_many_records_has_gos_tiles() -> None:
    """Sizes around a full tile; `test_sumdb_oracle.py` compares with Go's own code."""
    log = Log([f"record {number}\n".encode() for number in range(700)])
    for size in (1, 2, 3, 255, 256, 257, 511, 512, 700):
        alone = Log(log.records[:size])
        assert alone.head() == log.head(size)
        for tile in tlog.last_tiles(size):
            assert alone.tile(tile) == log.tile(tile)
    assert [tile.path for tile in tlog.tiles(255, 257)] == [
        "tile/8/0/000",
        "tile/8/data/000",
        "tile/8/0/001.p/1",
        "tile/8/data/001.p/1",
        "tile/8/1/000.p/1",
    ]
    assert Tile(level=2, number=1234067, width=8).path == "tile/8/2/x001/x234/067.p/8"


def test_the_root_is_rfc_6962s() -> None:
    """Certificate Transparency's own vectors: the empty leaf, and the tree over two leaves."""
    assert tlog.record_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    pair = tlog.node_hash(tlog.record_hash(b""), tlog.record_hash(b"\0"))
    assert pair.hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


@pytest.mark.parametrize("record", [b"no newline", b"two\n\nparts\n", b"\nblank\n", b"tab\t\n"])
def test_a_text_that_no_log_may_hold_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match="no record"):
        Log([record])


@pytest.mark.parametrize("text", ["", "go.sum database tree\n", "go.sum database tree\n01\nAAAA\n", json.dumps({})])
def test_a_text_that_is_no_tree_head_is_refused(text: str) -> None:
    with pytest.raises(VerifyError, match="no tree head"):
        Head.parse(text)
