"""The receiving side: what was published passes, what was changed does not, and nothing passes without a key."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import needs
from publish_clients import serving
from publish_toys import STAMP, put_build, secret_key

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, ConfigError, FetchError, GobuildError, VerifyError
from gobuild.core.model import Report, Verdict
from gobuild.core.process import run
from gobuild.publish.site import publish
from gobuild.publish.site.parts import standard_parts
from gobuild.publish.sumdb.note import NoteSigner
from gobuild.publish.supply import minisign
from gobuild.publish.supply.signing import GnupgSigner, MinisignSigner, gpg_environment
from gobuild.release import require, verify_release

pytestmark = pytest.mark.usefixtures("git")


SECRET = secret_key(b"12345678", bytes(range(32)))
DATABASE = NoteSigner(name="acme.example/sumdb", seed=bytes(32))
PLACE = f"releases/{STAMP}"
INDEXES = {
    *("dl/index.json", "dl/index.html", "dl/plain/index.json", "dl/plain/index.html", "dl/VERSION"),
    *("dl/versions.git/info/refs", "proxy/golang.org/toolchain/@v/list"),
}
MODULE = f"proxy/golang.org/toolchain/@v/v0.0.1-{STAMP}.linux-amd64"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with one release, every route, signatures and a checksum database; copy what you change."""
    folder = tmp_path_factory.mktemp("published")
    put_build(folder / "dist")
    (folder / "minisign.pub").write_bytes(bytes(SECRET.get_public_key()) + b"\n")
    note: Callable[[str], None] = lambda _: None  # noqa: E731
    publish(
        [folder / "dist"],
        folder / "site",
        name="go-acme",
        base_url="https://go.acme.example",
        signer=MinisignSigner(secret=SECRET),
        parts=standard_parts(key=DATABASE, author="A <a@b.example>", note=note),
        sumdb=str(DATABASE.verifier),
    )
    return folder


@pytest.fixture
def changed(tree: Path, tmp_path: Path) -> Path:
    """A copy of the served tree to change."""
    subprocess.run(["cp", "-r", f"{tree}/site/.", tmp_path / "site"], check=True)
    return tmp_path / "site"


def _verify(where: Path | str, tree: Path, **more: object) -> Report:
    words = {"key": tree / "minisign.pub", "sumdb": str(DATABASE.verifier)} | more
    return verify_release(str(where), run=run, note=lambda _: None, **words)  # type: ignore[arg-type]


def test_what_was_published_passes(tree: Path) -> None:
    report = _verify(tree / "site", tree)
    require(report)
    assert not [check for check in report.checks if check.verdict is not Verdict.OK]
    names = {check.name for check in report.checks}
    papers = {"tree head", "signature", "digest", "manifest", "h1", "coverage", "subjects", "components"}
    assert names >= papers | {"index"}
    assert {check.subject for check in report.checks if check.name == "index"} == INDEXES
    digests = {check.subject.rpartition("/")[2] for check in report.checks if check.name == "digest"}
    assert {f"{STAMP}.linux-amd64.tar.gz", f"{STAMP}.src.tar.gz", "go-acme.rb", "go-acme@1.22.rb"} <= digests
    assert any(name.endswith(".bottle.tar.gz") for name in digests)


@pytest.fixture
def server(tree: Path) -> Iterator[str]:
    with serving(tree / "site") as served:
        yield served.url


def test_it_passes_over_http_as_well(tree: Path, server: str) -> None:
    here, there = _verify(tree / "site", tree), _verify(server, tree)
    require(there)
    assert there == here


def test_a_server_without_the_tree_is_told_of(tree: Path, server: str) -> None:
    with pytest.raises(FetchError, match="HTTP 404"):
        _verify(f"{server}/dl", tree)


def _flip(path: Path) -> None:
    """Changes one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("name", "failing", "code"),
    [
        (f"{PLACE}/SHA256SUMS", "signature", 5),
        (f"{PLACE}/SHA256SUMS.minisig", "signature", 5),
        (f"{PLACE}/sbom.cdx.json", "signature", 5),
        (f"{PLACE}/provenance.intoto.jsonl", "signature", 5),
        (f"{PLACE}/{STAMP}.linux-amd64.gobuild.json", "digest", 5),
        (f"dl/{STAMP}.linux-amd64.tar.gz", "digest", 5),
        (f"dl/{STAMP}.src.tar.gz", "digest", 5),
        (f"{MODULE}.zip", "digest", 5),
        (f"{MODULE}.mod", "digest", 5),
        (f"{MODULE}.info", "digest", 5),
        ("proxy/sumdb/acme.example/sumdb/latest", "tree head", 8),
        ("proxy/sumdb/acme.example/sumdb/tile/8/0/000.p/1", "tree head", 8),
        (f"proxy/sumdb/acme.example/sumdb/lookup/golang.org/toolchain@v0.0.1-{STAMP}.linux-amd64", "tree head", 8),
    ],
)
def test_one_changed_byte_is_found(changed: Path, tree: Path, name: str, failing: str, code: int) -> None:
    _flip(changed / name)
    report = _verify(changed, tree)
    assert failing in {check.name for check in report.failed}
    with pytest.raises(GobuildError) as caught:
        require(report)
    assert caught.value.exit_code == code


def _swap(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, (path, old)
    files.write(path, text.replace(old, new))


EVIL = "go1.22.99-evil"


@pytest.mark.parametrize("only", [False, True])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        *((name, STAMP, EVIL) for name in sorted(INDEXES - {"dl/plain/index.json", "dl/plain/index.html"})),
        *((name, '"sha256": "', '"sha256": "0') for name in sorted(INDEXES) if "/index." in name),
        ("dl/index.json", f'"filename": "{STAMP}.linux', f'"filename": "../evil/{STAMP}.linux'),
        ("dl/plain/index.html", '"filename": "../', '"filename": "https://evil.example/'),
        ("dl/plain/index.json", '"version": "go1.22.10"', '"version": "go1.27.3"'),
        ("dl/index.html", '"arch": "amd64"', '"arch": "arm64"'),
        ("dl/index.json", "[", "<"),
    ],
)
def test_an_index_that_says_what_was_not_signed_is_found(
    changed: Path, tree: Path, name: str, old: str, new: str, only: bool
) -> None:
    """By whom only one release is asked for, too; but which is the newest, nobody can tell who looks at one."""
    _swap(changed / name, old, new)
    report = _verify(changed, tree, **({"stamps": [STAMP]} if only else {}))
    if only and name == "dl/VERSION":
        require(report)
        return
    assert {(check.subject, check.name) for check in report.failed} == {(name, "index")}
    with pytest.raises(VerifyError):
        require(report)


@pytest.mark.parametrize("name", sorted(INDEXES))
def test_an_index_that_is_not_there_is_found(changed: Path, tree: Path, name: str) -> None:
    (changed / name).unlink()
    assert [check.subject for check in _verify(changed, tree).failed] == [name]


def test_an_entry_more_is_found_where_every_release_is_asked_for(changed: Path, tree: Path) -> None:
    for folder in ("dl", "dl/plain"):
        path = changed / folder / "index.json"
        entries = json.loads(path.read_text())
        more = json.loads(json.dumps(entries[0]).replace(STAMP, EVIL).replace('"go1.22.10"', '"go1.22.99"'))
        files.write(path, json.dumps([more, *entries]))
    proxied = changed / "proxy/golang.org/toolchain/@v/list"
    files.write(proxied, proxied.read_text() + f"v0.0.1-{EVIL}.linux-amd64\n")
    assert [EVIL in check.seen for check in _verify(changed, tree).failed] == [True, True, True]
    require(_verify(changed, tree, stamps=[STAMP]))


@pytest.mark.parametrize("which", ["linux-amd64.tar.gz", "src.tar.gz"])
def test_the_digest_beside_an_archive_is_checked(changed: Path, tree: Path, which: str) -> None:
    """mise takes this one's word for it."""
    path = changed / "dl" / f"{STAMP}.{which}.sha256"
    files.write(path, "0" * 64)
    report = _verify(changed, tree)
    assert [(check.subject, check.name) for check in report.failed] == [(f"{STAMP}/dl/{path.name}", "digest")]
    with pytest.raises(ChecksumMismatch):
        require(report)
    path.unlink()
    assert len(_verify(changed, tree).failed) == 1


def test_a_changed_bottle_is_found(changed: Path, tree: Path) -> None:
    (bottle, *_) = (changed / "bottles").iterdir()
    _flip(bottle)
    assert [check.subject for check in _verify(changed, tree).failed] == [f"{STAMP}/{bottle.name}"]


@pytest.mark.parametrize("name", [f"dl/{STAMP}.linux-amd64.tar.gz", f"{PLACE}/SHA256SUMS.minisig", f"{MODULE}.zip"])
def test_a_file_that_is_missing_is_found(changed: Path, tree: Path, name: str) -> None:
    (changed / name).unlink()
    with pytest.raises(ChecksumMismatch):
        require(_verify(changed, tree))


def test_nothing_below_a_bad_signature_is_looked_at(changed: Path, tree: Path) -> None:
    _flip(changed / PLACE / "SHA256SUMS")
    report = _verify(changed, tree)
    assert {check.name for check in report.checks} == {"signature", "tree head"}


def test_papers_of_another_release_do_not_pass(changed: Path, tree: Path, tmp_path: Path) -> None:
    """All of them are signed, and by the right key; but for another stamp."""
    other = "go1.22.10-acme1.p9"
    (changed / "releases" / other).mkdir()
    for path in list((changed / PLACE).iterdir()):
        (changed / "releases" / other / path.name).write_bytes(path.read_bytes())
    report = _verify(changed, tree, stamps=[other])
    assert "files were exchanged" in report.failed[0].seen
    with pytest.raises(ChecksumMismatch):
        require(report)


def test_another_key_does_not_pass(tree: Path, tmp_path: Path) -> None:
    stranger = secret_key(b"12345678", bytes(32)).get_public_key()
    (tmp_path / "other.pub").write_bytes(bytes(stranger) + b"\n")
    with pytest.raises(ChecksumMismatch, match="not of these bytes"):
        require(_verify(tree / "site", tree, key=tmp_path / "other.pub"))


def test_without_a_key_nothing_is_trusted(tree: Path) -> None:
    with pytest.raises(ConfigError, match="without the publisher's public key"):
        _verify(tree / "site", tree, key=None)
    with pytest.raises(ConfigError, match="cannot be read"):
        _verify(tree / "site", tree, key=tree / "nowhere.pub")


def test_without_the_databases_key_its_head_is_not_claimed_to_be_right(tree: Path) -> None:
    report = _verify(tree / "site", tree, sumdb="")
    require(report)
    (skipped,) = [check for check in report.checks if check.verdict is Verdict.SKIPPED]
    assert (skipped.name, skipped.seen) == ("h1", "no --sumdb")


@pytest.mark.parametrize("stamp", ["../../etc", "go1.22.10-acme1/../x", "", "go1.22.10\n"])
def test_a_stamp_that_is_none_is_refused(tree: Path, stamp: str) -> None:
    with pytest.raises(ConfigError, match="is no stamp"):
        _verify(tree / "site", tree, stamps=[stamp])


@pytest.mark.parametrize("about", ["", "[]", "{}", '{"stamps": []}', '{"stamps": ["../.."]}', "[" * 100_000])
def test_a_hostile_list_of_releases_is_refused(changed: Path, tree: Path, about: str) -> None:
    (changed / "tree.json").unlink()
    (changed / "tree.json").write_text(about)
    with pytest.raises(FetchError):
        _verify(changed, tree)


@pytest.mark.parametrize(
    "line", [f"{'0' * 64}  ../../etc/passwd", f"{'0' * 64}  /etc/passwd", "x", f"{'0' * 64}  a\n{'0' * 64}  a"]
)
def test_a_signed_list_with_hostile_names_is_refused(changed: Path, tree: Path, line: str) -> None:
    """Even the right key's signature makes no name a path."""
    sums = changed / PLACE / "SHA256SUMS"
    files.write(sums, line + "\n")
    comment = f"release:{STAMP}\tfile:SHA256SUMS"
    files.write(changed / PLACE / "SHA256SUMS.minisig", minisign.sign(SECRET, sums.read_bytes(), comment))
    assert "form" in {check.name for check in _verify(changed, tree).failed}


def test_a_link_out_of_the_tree_is_not_followed(changed: Path, tree: Path, tmp_path: Path) -> None:
    archive = changed / "dl" / f"{STAMP}.linux-amd64.tar.gz"
    archive.rename(tmp_path / "outside")
    archive.symlink_to(tmp_path / "outside")
    assert "leads out of the tree" in _verify(changed, tree).failed[0].seen


def test_a_file_that_never_ends_is_cut(changed: Path, tree: Path) -> None:
    archive = changed / "dl" / f"{STAMP}.src.tar.gz"
    archive.unlink()
    with archive.open("wb") as file:
        file.truncate(1 << 33)  # eight sparse GiB: reading on would take a minute
    assert "more than" in _verify(changed, tree).failed[0].seen


def test_gpg_signs_and_verifies_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("gpg")
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    make = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "a@b.example", "ed25519", "sign", "never"]
    subprocess.run(make, check=True, capture_output=True)
    public = subprocess.run(["gpg", "--armor", "--export", "a@b.example"], check=True, capture_output=True).stdout
    (tmp_path / "publisher.asc").write_bytes(public)
    put_build(tmp_path / "dist")
    signer = GnupgSigner(user="a@b.example", run=run)
    publish(
        [tmp_path / "dist"],
        tmp_path / "site",
        name="go-acme",
        base_url="",
        signer=signer,
        parts=standard_parts(key=None, author="A <a@b.example>", note=lambda _: None),
    )
    report = _verify(tmp_path / "site", tmp_path, key=tmp_path / "publisher.asc", sumdb="")
    require(report)
    assert report.checks[0].seen.startswith("gpg key ")
    subprocess.run(["cp", "-r", f"{tmp_path}/site/.", tmp_path / "changed"], check=True)
    _flip(tmp_path / "changed" / PLACE / "SHA256SUMS")
    with pytest.raises(ChecksumMismatch, match="gpg says BADSIG"):
        require(_verify(tmp_path / "changed", tmp_path, key=tmp_path / "publisher.asc", sumdb=""))
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False, env=gpg_environment() | {"GNUPGHOME": str(home)})


def test_no_secret_is_in_what_was_published(tree: Path) -> None:
    secrets = (bytes(range(32)), DATABASE.secret().encode(), DATABASE.seed.hex().encode())
    for path in (tree / "site").resolve().rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path
    assert os.environ.get("GOBUILD_SIGN_PASSWORD") is None
    assert json.loads((tree / "site/tree.json").read_text())["sumdb"] == str(DATABASE.verifier)
