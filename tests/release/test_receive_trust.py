"""Whose signature counts, with real gpg: not that of a key which was revoked, or which has expired."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import needs
from publish_toys import flip, published, put_build
from receive_fixtures import RELEASE, received

from gobuild.core.errors import ChecksumMismatch
from gobuild.core.process import run
from gobuild.publish.supply.signing import GnupgSigner, gpg_environment
from gobuild.release import load_trust, require_pass

CONTENT = b"what is signed\n"
LONG_AGO = "20200101T000000"


class Publisher:
    """Somebody with a key ring of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)

    def gpg(self, *words: str, at: str = "", given: bytes = b"") -> bytes:
        clock = ("--faked-system-time", at) if at else ()
        argv = [needs("gpg"), "--batch", "--yes", "--quiet", "--passphrase", "", *clock, *words]
        seen = subprocess.run(argv, env=gpg_environment(self.home), input=given, capture_output=True, check=False)
        assert seen.returncode == 0, seen.stderr
        return seen.stdout

    def new_key(self, expires: str = "never", at: str = "") -> None:
        self.gpg("--quick-generate-key", "a@b.example", "ed25519", "sign", expires, at=at)

    def sign(self, *words: str, at: str = "") -> bytes:
        return self.gpg("--armor", *words, "--detach-sign", at=at, given=CONTENT)

    def public(self) -> Path:
        """The key as it is exported now."""
        path = self.home.parent / "publisher.asc"
        path.write_bytes(self.gpg("--armor", "--export"))
        return path

    def check(self, signature: bytes) -> str:
        """What a receiver says who has the key."""
        return load_trust(self.public(), run).check(CONTENT, signature, "")

    def revoke(self) -> None:
        (certificate,) = (self.home / "openpgp-revocs.d").iterdir()
        # gpg puts a colon before the first line, so that nobody revokes by mistake.
        text = certificate.read_text().replace(":-----BEGIN", "-----BEGIN")
        self.gpg("--import", given=text.encode())


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    made = Publisher(tmp_path / "gnupg")
    yield made
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False, env=gpg_environment(made.home))


def test_gpg_signs_and_verifies_a_tree(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: str
) -> None:
    publisher.new_key()
    monkeypatch.setenv("GNUPGHOME", str(publisher.home))
    put_build(tmp_path / "dist")
    published(tmp_path / "site", tmp_path / "dist", signer=GnupgSigner(user="a@b.example", run=run))
    report = received(tmp_path / "site", key=publisher.public())
    require_pass(report)
    assert report.checks[0].seen.startswith("gpg key ")
    flip((tmp_path / "site" / RELEASE / "SHA256SUMS").resolve(), 9)
    with pytest.raises(ChecksumMismatch, match="gpg says BADSIG"):
        require_pass(received(tmp_path / "site", key=publisher.public()))


def test_a_key_that_was_revoked_counts_no_longer(publisher: Publisher) -> None:
    publisher.new_key()
    signature = publisher.sign()
    assert publisher.check(signature).startswith("gpg key ")
    publisher.revoke()
    with pytest.raises(ChecksumMismatch, match="REVKEYSIG: the key was revoked"):
        publisher.check(signature)


def test_a_key_that_has_expired_counts_no_longer(publisher: Publisher) -> None:
    publisher.new_key("1d", at=LONG_AGO)
    with pytest.raises(ChecksumMismatch, match="EXPKEYSIG: the key has expired"):
        publisher.check(publisher.sign(at="20200101T010000"))


def test_a_signature_that_has_expired_counts_no_longer(publisher: Publisher) -> None:
    publisher.new_key(at=LONG_AGO)
    assert publisher.check(publisher.sign(at="20200101T010000")).startswith("gpg key ")
    with pytest.raises(ChecksumMismatch, match="EXPSIG: the signature has expired"):
        publisher.check(publisher.sign("--default-sig-expire", "1d", at="20200101T010000"))


def test_a_good_signature_beside_a_bad_one_is_not_enough(publisher: Publisher) -> None:
    """One file may hold two; whoever added the second is not the publisher."""
    publisher.new_key("1d", at=LONG_AGO)
    old = publisher.gpg("--detach-sign", at="20200101T010000", given=CONTENT)
    publisher.gpg("--quick-generate-key", "c@d.example", "ed25519", "sign", "never")
    new = publisher.gpg("--local-user", "c@d.example", "--detach-sign", given=CONTENT)
    assert publisher.check(new).startswith("gpg key ")
    with pytest.raises(ChecksumMismatch):
        publisher.check(new + old)
