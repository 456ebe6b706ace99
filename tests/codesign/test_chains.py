"""Chains of certificates that real openssl makes: its defaults hold, wrong ones are refused for their reason."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from codesign.test_cms import held, signed, stamped
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from needs import needs
from signers import Signer

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, chains, identity
from gobuild.codesign.chains import DEVELOPER_ID, TIMESTAMP, Chain, Purpose

CODE, STAMP = "extendedKeyUsage=codeSigning", "extendedKeyUsage=critical,timeStamping"
CA, STRICT_CA = ("basicConstraints=CA:TRUE",), ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")


def names(chain: Chain) -> list[str]:
    return [certificates.common_name(each) for each in chain.certificates]


@dataclass(frozen=True)
class Compiled:
    """A folder in which openssl makes certificates, each NAME.pem with its NAME.key."""

    folder: Path
    openssl: str

    def run(self, *words: str, check: bool = True) -> int:
        done = subprocess.run([self.openssl, *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.returncode

    def make(
        self, name: str, *extensions: str, by: str = "", key: str = "", subject: str = "", hashed: str = "-sha256"
    ) -> None:
        """A certificate; without `by` it signs itself. `key` is another one's, to cross-sign it."""
        (self.folder / "conf").write_text(
            "[req]\ndistinguished_name=d\nx509_extensions=e\n[d]\n[e]\n" + "\n".join(extensions)
        )
        own = ["-key", f"{key}.key"] if key else ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key"]
        above = ["-CA", f"{by}.pem", "-CAkey", f"{by}.key"] if by else []
        words = ["-subj", f"/CN={subject or name}", "-config", "conf", "-extensions", "e", "-days", "30", hashed]
        self.run("req", "-x509", *own, *above, *words, "-out", f"{name}.pem")

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())

    def der(self, name: str) -> bytes:
        return certificates.to_der(self.certificate(name))

    def signer(self, name: str, *above: str) -> Signer:
        key = load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return Signer(key=key, certificate=self.certificate(name), above=tuple(map(self.certificate, above)))

    def agrees(self, leaf: str, root: str, *between: str, purpose: Purpose = DEVELOPER_ID) -> bool:
        """What `openssl verify` says of the same certificates."""
        (self.folder / "between").write_bytes(b"".join((self.folder / f"{each}.pem").read_bytes() for each in between))
        more = ["-untrusted", "between"] if between else []
        words = ["-CAfile", f"{root}.pem", *more, "-purpose", "timestampsign" if purpose is TIMESTAMP else "any"]
        return not self.run("verify", "-no-CApath", "-no-CAstore", *words, f"{leaf}.pem", check=False)

    def chain(self, leaf: str, root: str, *between: str, purpose: Purpose = DEVELOPER_ID) -> list[str]:
        """The names of those in the chain found."""
        others = frozenset(self.der(each) for each in between)
        now = datetime.now(UTC) + timedelta(seconds=2)
        return names(chains.find_chain(self.der(leaf), others, roots=(self.der(root),), at=now, purpose=purpose))

    def refused(self, leaf: str, root: str, *between: str, purpose: Purpose = DEVELOPER_ID) -> str:
        with pytest.raises(Malformed) as caught:
            self.chain(leaf, root, *between, purpose=purpose)
        return str(caught.value)


@pytest.fixture
def made(tmp_path: Path) -> Compiled:
    return Compiled(folder=tmp_path, openssl=needs("openssl"))


@pytest.mark.parametrize(
    ("root", "leaf"),
    [
        (CA, ("keyUsage=critical,digitalSignature", "extendedKeyUsage=critical,codeSigning")),
        (CA, (CODE,)),
        (STRICT_CA, (CODE,)),
    ],
)
def test_what_openssl_makes_by_default_holds(made: Compiled, root: tuple[str, ...], leaf: tuple[str, ...]) -> None:
    made.make("root", *root)
    made.make("leaf", *leaf, by="root")
    assert made.agrees("leaf", "root")
    assert made.chain("leaf", "root") == ["leaf", "root"]
    assert held(*signed(made.signer("leaf", "root"), ""), roots=(made.der("root"),)).chain.name == "leaf"


def test_openssl_s_own_configuration_makes_a_root_that_is_taken(made: Compiled) -> None:
    """As people do it, with the system's openssl.cnf."""
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    made.run(*new, "-x509", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root")
    made.run(*new, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
    (made.folder / "ext").write_text(CODE)
    signing = ("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial")
    made.run(*signing, "-extfile", "ext", "-out", "leaf.pem")
    assert made.agrees("leaf", "root")
    assert made.chain("leaf", "root") == ["leaf", "root"]
    made.run(*new, "-x509", "-keyout", "me.key", "-out", "me.pem", "-subj", "/CN=me", "-addext", CODE)
    assert made.agrees("me", "me")
    assert held(*signed(made.signer("me"), ""), roots=(made.der("me"),)).chain.name == "me"


def test_the_trusted_one_s_extensions_are_not_judged(made: Compiled) -> None:
    made.make(
        "root", "basicConstraints=CA:TRUE", "1.2.3.4=critical,DER:0500", "nameConstraints=permitted;DNS:example.com"
    )
    made.make("leaf", CODE, by="root")
    assert made.chain("leaf", "root") == ["leaf", "root"]
    made.make("bare", "subjectKeyIdentifier=hash")  # openssl wants CA:TRUE; RFC 5280, section 6.1, does not
    made.make("below", CODE, by="bare")
    assert made.chain("below", "bare") == ["below", "bare"]
    assert "ends at no trusted root" in made.refused("leaf", "bare")


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        (("keyUsage=digitalSignature", *CA), "ca may not sign certificates: its keyUsage lacks keyCertSign"),
        (("basicConstraints=CA:FALSE",), "ca may not sign certificates: its basicConstraints lack CA:TRUE"),
        (("keyUsage=keyCertSign",), "ca may not sign certificates: its basicConstraints lack CA:TRUE"),
        ((*CA, "nameConstraints=permitted;dirName:other\n[other]\nCN=other"), "ca has name constraints"),
        ((*CA, "policyConstraints=requireExplicitPolicy:0"), "ca has policy constraints"),
        ((*CA, "1.2.3.4=critical,DER:0500"), "ca has the critical extension 1.2.3.4"),
    ],
)
def test_authorities_that_openssl_refuses_too(made: Compiled, extensions: tuple[str, ...], why: str) -> None:
    """openssl looks at policies only if asked (`-policy_check`)."""
    made.make("root", *CA)
    made.make("ca", *extensions, by="root")
    made.make("leaf", CODE, by="ca")
    assert "policy" in why or not made.agrees("leaf", "root", "ca")
    assert why in made.refused("leaf", "root", "ca")


@pytest.mark.parametrize(
    ("leaf", "purpose", "why"),
    [
        (
            ("keyUsage=digitalSignature",),
            DEVELOPER_ID,
            "leaf does not say what it may be used for: no extendedKeyUsage codeSigning",
        ),
        (("extendedKeyUsage=serverAuth",), DEVELOPER_ID, "leaf is not for codeSigning alone"),
        (("keyUsage=keyEncipherment", CODE), DEVELOPER_ID, "leaf may not sign: its keyUsage lacks digitalSignature"),
        ((CODE, "nameConstraints=permitted;DNS:x"), DEVELOPER_ID, "leaf has name constraints"),
        ((CODE, *CA), DEVELOPER_ID, "leaf is an authority, and signs itself"),
        (("extendedKeyUsage=timeStamping",), TIMESTAMP, "extendedKeyUsage timeStamping that is not critical"),
        (("extendedKeyUsage=critical,timeStamping,codeSigning",), TIMESTAMP, "leaf is not for timeStamping alone"),
    ],
)
def test_leaves_that_may_not_sign(made: Compiled, leaf: tuple[str, ...], purpose: Purpose, why: str) -> None:
    made.make("root", *STRICT_CA)
    made.make("leaf", *leaf, by="root")
    assert why in made.refused("leaf", "root", purpose=purpose)
    if purpose is TIMESTAMP:
        assert not made.agrees("leaf", "root", purpose=TIMESTAMP)


def test_a_wrong_link_is_named(made: Compiled) -> None:
    made.make("root", *CA)
    made.make("other", *CA, subject="root")
    made.make("leaf", CODE, by="root")
    assert not made.agrees("leaf", "other")
    assert "breaks: leaf is not signed by the key of the root" in made.refused("leaf", "other")
    made.make("old", CODE, by="root", hashed="-sha1")
    assert "breaks: old is signed with sha1" in made.refused("old", "root")


def test_a_timestamp_with_a_cross_signed_root_holds(made: Compiled) -> None:
    """What public timestamp servers send: their root again, as an older root signed it, which nobody here trusts."""
    made.make("old", *STRICT_CA)
    made.make("root", *STRICT_CA)
    made.make("cross", *STRICT_CA, by="old", key="root", subject="root")
    made.make("ca", *STRICT_CA, by="root")
    made.make("clock", STAMP, by="ca")
    made.make("leaf", CODE, by="root")
    content, directory = signed(made.signer("leaf", "root"), "")
    for above in (("ca", "cross"), ("ca", "cross", "old"), ("cross", "ca", "root")):
        assert made.agrees("clock", "root", *above, purpose=TIMESTAMP)
        assert made.chain("clock", "root", *above, purpose=TIMESTAMP) == ["clock", "ca", "root"]
        token = stamped(content, made.signer("clock", *above))
        assert held(token, directory, roots=(made.der("root"),)).stamped_by == "clock"
    # And who trusts only the older one is led there.
    assert made.chain("clock", "old", "ca", "cross", purpose=TIMESTAMP) == ["clock", "ca", "root", "old"]


def test_the_chain_is_searched_and_not_guessed(made: Compiled) -> None:
    """Two authorities of one name and key, without a key usage: one leads to no trusted root, or may not sign."""
    made.make("root", *CA)
    made.make("stray", *CA)
    made.make("ca", *CA, by="root")
    made.make("leaf", CODE, by="ca")
    for turn in range(4):
        made.make(f"twin{turn}", *CA, by="stray", key="ca", subject="ca")
    twins = [f"twin{turn}" for turn in range(4)]
    assert made.agrees("leaf", "root", "ca")
    assert made.agrees("leaf", "root", "ca", *twins)  # openssl itself takes the first, and comes back from none
    assert made.chain("leaf", "root", *twins, "ca") == ["leaf", "ca", "root"]
    made.make("limited", "basicConstraints=CA:FALSE", by="root", key="ca", subject="ca")
    assert made.chain("leaf", "root", "limited", "ca") == ["leaf", "ca", "root"]
    assert "ca may not sign certificates" in made.refused("leaf", "root", "limited")


def test_the_search_ends(made: Compiled) -> None:
    """Many authorities that sign each other: every order of them is a way."""
    made.make("root", *CA)
    made.make("ring0", *CA, subject="ring")
    for turn in range(1, 24):
        made.make(f"ring{turn}", *CA, by="ring0", key="ring0", subject="ring")
    made.make("leaf", CODE, by="ring0")
    assert "256 signatures of certificates were checked" in made.refused(
        "leaf", "root", *(f"ring{n}" for n in range(24))
    )


def test_a_damaged_copy_of_a_certificate_in_the_chain_is_refused(made: Compiled) -> None:
    made.make("root", *CA)
    made.make("leaf", CODE, by="root")
    root = made.der("root")
    at = root.rindex(b"root")
    now = datetime.now(UTC) + timedelta(seconds=2)
    for copy in (root[:at] + b"rood" + root[at + 4 :], root[:-1] + bytes([root[-1] ^ 1])):
        with pytest.raises(Malformed, match="a copy of the certificate root that differs from it"):
            chains.find_chain(made.der("leaf"), frozenset({copy}), roots=(root,), at=now, purpose=DEVELOPER_ID)


def test_an_identity_with_a_cross_signed_root_finds_its_chain(made: Compiled) -> None:
    made.make("old", *CA)
    made.make("root", *CA)
    made.make("cross", *CA, by="old", key="root", subject="root")
    made.make("leaf", CODE, by="root")
    path = made.folder / "id.pem"
    path.write_bytes(made.signer("leaf", "cross", "root").pem())
    assert names(identity.load_identity(path, None).chain) == ["leaf", "root"]
