"""The receiving side: what was published passes, what was changed does not, and nothing passes without a key."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from publish_clients import serving
from publish_toys import STAMP, flip, secret_key
from receive_fixtures import DATABASE, PUBLISHER, RELEASE, received

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, ConfigError, FetchError, GobuildError, VerifyError
from gobuild.core.model import Report, Verdict
from gobuild.core.process import run
from gobuild.publish.supply import minisign
from gobuild.release import require_pass, verify_release

pytestmark = pytest.mark.usefixtures("git")


INDEXES = {
    *("dl/index.json", "dl/index.html", "dl/plain/index.json", "dl/plain/index.html", "dl/VERSION"),
    *("dl/versions.git/info/refs", "proxy/golang.org/toolchain/@v/list"),
}
MODULE = f"proxy/golang.org/toolchain/@v/v0.0.1-{STAMP}.linux-amd64"


def _verify(where: Path | str, *stamps: str, key: Path | None = None) -> Report:
    return received(where, *stamps, key=key, sumdb=str(DATABASE.verifier))


def test_what_was_published_passes(site: Path) -> None:
    report = _verify(site)
    require_pass(report)
    assert not [check for check in report.checks if check.verdict is not Verdict.OK]
    names = {check.name for check in report.checks}
    papers = {"tree head", "signature", "digest", "manifest", "h1", "coverage", "subjects", "components"}
    assert names >= papers | {"index"}
    assert {check.subject for check in report.checks if check.name == "index"} == INDEXES
    digests = {check.subject.rpartition("/")[2] for check in report.checks if check.name == "digest"}
    assert {f"{STAMP}.linux-amd64.tar.gz", f"{STAMP}.src.tar.gz", "go-acme.rb", "go-acme@1.22.rb"} <= digests
    assert any(name.endswith(".bottle.tar.gz") for name in digests)


@pytest.fixture
def server(site: Path) -> Iterator[str]:
    with serving(site) as served:
        yield served.url


def test_it_passes_over_http_as_well(site: Path, server: str) -> None:
    here, there = _verify(site), _verify(server, key=site.parent / "minisign.pub")
    require_pass(there)
    assert there == here


def test_a_server_without_the_tree_is_told_of(site: Path, server: str) -> None:
    with pytest.raises(FetchError, match="HTTP 404"):
        _verify(f"{server}/dl", key=site.parent / "minisign.pub")


def _flip(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("name", "failing", "code"),
    [
        (f"{RELEASE}/SHA256SUMS", "signature", 5),
        (f"{RELEASE}/SHA256SUMS.minisig", "signature", 5),
        (f"{RELEASE}/sbom.cdx.json", "signature", 5),
        (f"{RELEASE}/provenance.intoto.jsonl", "signature", 5),
        (f"{RELEASE}/{STAMP}.linux-amd64.gobuild.json", "digest", 5),
        (f"dl/{STAMP}.linux-amd64.tar.gz", "digest", 5),
        (f"dl/{STAMP}.src.tar.gz", "digest", 5),
        (f"{MODULE}.zip", "digest", 5),
        (f"{MODULE}.mod", "digest", 5),
        (f"{MODULE}.info", "digest", 5),
        (f"bottles/go-acme-{STAMP[2:]}.x86_64_linux.bottle.tar.gz", "digest", 5),
        ("proxy/sumdb/acme.example/sumdb/latest", "tree head", 8),
        ("proxy/sumdb/acme.example/sumdb/tile/8/0/000.p/1", "tree head", 8),
        (f"proxy/sumdb/acme.example/sumdb/lookup/golang.org/toolchain@v0.0.1-{STAMP}.linux-amd64", "tree head", 8),
    ],
)
def test_one_changed_byte_is_found(changed: Path, name: str, failing: str, code: int) -> None:
    _flip(changed / name)
    report = _verify(changed)
    assert failing in {check.name for check in report.failed}
    with pytest.raises(GobuildError) as caught:
        require_pass(report)
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
    changed: Path, name: str, old: str, new: str, only: bool
) -> None:
    """By whom only one release is asked for, too; but which is the newest, nobody can tell who looks at one."""
    _swap(changed / name, old, new)
    report = _verify(changed, *([STAMP] if only else []))
    if only and name == "dl/VERSION":
        require_pass(report)
        return
    assert {(check.subject, check.name) for check in report.failed} == {(name, "index")}
    with pytest.raises(VerifyError):
        require_pass(report)


@pytest.mark.parametrize("name", sorted(INDEXES))
def test_an_index_that_is_not_there_is_found(changed: Path, name: str) -> None:
    (changed / name).unlink()
    assert [check.subject for check in _verify(changed).failed] == [name]


def test_an_entry_more_is_found_where_every_release_is_asked_for(changed: Path) -> None:
    for folder in ("dl", "dl/plain"):
        path = changed / folder / "index.json"
        entries = json.loads(path.read_text())
        more = json.loads(json.dumps(entries[0]).replace(STAMP, EVIL).replace('"go1.22.10"', '"go1.22.99"'))
        files.write(path, json.dumps([more, *entries]))
    proxied = changed / "proxy/golang.org/toolchain/@v/list"
    files.write(proxied, proxied.read_text() + f"v0.0.1-{EVIL}.linux-amd64\n")
    assert [EVIL in check.seen for check in _verify(changed).failed] == [True, True, True]
    require_pass(_verify(changed, STAMP))


def test_an_index_that_says_something_twice_or_beside_its_files_is_found(changed: Path) -> None:
    index, proxied = changed / "dl/index.json", changed / "proxy/golang.org/toolchain/@v/list"
    files.write(index, json.dumps([entry | {"url": "https://evil.example"} for entry in json.loads(index.read_text())]))
    files.write(proxied, proxied.read_text() * 2)
    seen = {check.subject: check.seen for check in _verify(changed).failed}
    assert seen.pop("dl/index.json").startswith("its order, or something beside its files, is not")
    assert list(seen.values()) == ["it lists something twice"]


@pytest.mark.parametrize("which", ["linux-amd64.tar.gz", "src.tar.gz"])
def test_the_digest_beside_an_archive_is_checked(changed: Path, which: str) -> None:
    """mise takes this one's word for it."""
    path = changed / "dl" / f"{STAMP}.{which}.sha256"
    files.write(path, "0" * 64)
    report = _verify(changed)
    assert [(check.subject, check.name) for check in report.failed] == [(f"{STAMP}/dl/{path.name}", "digest")]
    with pytest.raises(ChecksumMismatch):
        require_pass(report)
    path.unlink()
    assert len(_verify(changed).failed) == 1


@pytest.mark.parametrize("name", [f"dl/{STAMP}.linux-amd64.tar.gz", f"{RELEASE}/SHA256SUMS.minisig", f"{MODULE}.zip"])
def test_a_file_that_is_missing_is_found(changed: Path, name: str) -> None:
    (changed / name).unlink()
    with pytest.raises(ChecksumMismatch):
        require_pass(_verify(changed))


def test_nothing_below_a_bad_signature_is_looked_at(changed: Path) -> None:
    _flip(changed / RELEASE / "SHA256SUMS")
    report = _verify(changed)
    assert {check.name for check in report.checks} == {"signature", "tree head"}


def test_papers_of_another_release_do_not_pass(changed: Path, tmp_path: Path) -> None:
    """All of them are signed, and by the right key; but for another stamp."""
    other = "go1.22.10-acme1.p9"
    (changed / "releases" / other).mkdir()
    for path in list((changed / RELEASE).iterdir()):
        (changed / "releases" / other / path.name).write_bytes(path.read_bytes())
    report = _verify(changed, other)
    assert "files were exchanged" in report.failed[0].seen
    with pytest.raises(ChecksumMismatch):
        require_pass(report)


def test_another_key_does_not_pass(site: Path, tmp_path: Path) -> None:
    stranger = secret_key(b"12345678", bytes(32)).get_public_key()
    (tmp_path / "other.pub").write_bytes(bytes(stranger) + b"\n")
    with pytest.raises(ChecksumMismatch, match="not of these bytes"):
        require_pass(_verify(site, key=tmp_path / "other.pub"))


def test_without_a_key_nothing_is_trusted(site: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without the publisher's public key"):
        verify_release(str(site), key=None, run=run, note=lambda _: None)
    with pytest.raises(ConfigError, match="cannot be read"):
        _verify(site, key=tmp_path / "nowhere.pub")


def test_without_the_databases_key_its_head_is_not_claimed_to_be_right(site: Path) -> None:
    report = received(site)
    require_pass(report)
    (skipped,) = [check for check in report.checks if check.verdict is Verdict.SKIPPED]
    assert (skipped.name, skipped.seen) == ("h1", "no --sumdb")


@pytest.mark.parametrize("stamp", ["../../etc", "go1.22.10-acme1/../x", "", "go1.22.10\n"])
def test_a_stamp_that_is_none_is_refused(site: Path, stamp: str) -> None:
    with pytest.raises(ConfigError, match="is no stamp"):
        _verify(site, stamp)


@pytest.mark.parametrize("about", ["", "[]", "{}", '{"stamps": []}', '{"stamps": ["../.."]}', "[" * 100_000])
def test_a_hostile_list_of_releases_is_refused(changed: Path, about: str) -> None:
    (changed / "tree.json").unlink()
    (changed / "tree.json").write_text(about)
    with pytest.raises(FetchError):
        _verify(changed)


@pytest.mark.parametrize(
    "line", [f"{'0' * 64}  ../../etc/passwd", f"{'0' * 64}  /etc/passwd", "x", f"{'0' * 64}  a\n{'0' * 64}  a"]
)
def test_a_signed_list_with_hostile_names_is_refused(changed: Path, line: str) -> None:
    """Even the right key's signature makes no name a path."""
    sums = changed / RELEASE / "SHA256SUMS"
    files.write(sums, line + "\n")
    comment = f"release:{STAMP}\tfile:SHA256SUMS"
    files.write(changed / RELEASE / "SHA256SUMS.minisig", minisign.sign(PUBLISHER.secret, sums.read_bytes(), comment))
    assert {check.name for check in _verify(changed).checks} == {"tree head", "signature", "form"}


def test_a_link_out_of_the_tree_is_not_followed(changed: Path, tmp_path: Path) -> None:
    archive = changed / "dl" / f"{STAMP}.linux-amd64.tar.gz"
    archive.rename(tmp_path / "outside")
    archive.symlink_to(tmp_path / "outside")
    assert "leads out of the tree" in _verify(changed).failed[0].seen


def test_a_file_that_never_ends_is_cut(changed: Path) -> None:
    archive = changed / "dl" / f"{STAMP}.src.tar.gz"
    archive.unlink()
    with archive.open("wb") as file:
        file.truncate(1 << 33)  # eight sparse GiB: reading on would take a minute
    assert "more than" in _verify(changed).failed[0].seen


def test_no_secret_is_in_what_was_published(site: Path) -> None:
    secrets = (bytes(range(32)), DATABASE.secret().encode(), DATABASE.seed.hex().encode())
    for path in site.resolve().rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path
    assert json.loads((site / "tree.json").read_text())["sumdb"] == str(DATABASE.verifier)
