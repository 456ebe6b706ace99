"""The CMS of a signature made by an identity: Google's holds, and nothing of it changes unseen; so do made ones."""

import hashlib
import plistlib
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import apple_platform
import mutants
import pytest
import signers
import small
from asn1crypto import cms as asn1_cms
from asn1crypto import core, tsp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from needs import needs
from signers import AUTHORITY, DEVELOPER_ID, TEAM, Signer
from verify_fixtures import image, put, view

from gobuild.binary.view import Malformed
from gobuild.codesign import apple_cms, certificates, chains
from gobuild.codesign.apple_cms import CodeSigner
from gobuild.codesign.codedirectory import parse_code_directory
from gobuild.codesign.problems import problem_of
from gobuild.codesign.superblob import CMS_SLOT, HEADER, _parse_superblob, parse_signature
from gobuild.core import resources

GOOGLE = "EQHXZ8M8AV"


def parts(data: bytes) -> tuple[bytes, bytes]:
    """A file's CMS, and its only CodeDirectory."""
    place = image(data).signature
    assert place
    blobs, _ = _parse_superblob(view(data), place)
    return blobs[CMS_SLOT][HEADER:], blobs[0]


def held(content: bytes, directory: bytes, *, roots: tuple[bytes, ...] | None = None) -> CodeSigner:
    trusted = (signers.root().der(),) if roots is None else roots
    return apple_cms.verify_cms(content, parse_code_directory(directory), roots=trusted)


def refused(content: bytes, directory: bytes, *, roots: tuple[bytes, ...] | None = None) -> str:
    """Why a CMS is refused: the problem's id, and its sentence."""
    with pytest.raises(Malformed) as caught:
        held(content, directory, roots=roots)
    problem = problem_of(caught.value)
    return f"{problem.id}: {problem}"


@lru_cache(maxsize=64)
def signed(by: Signer, team: str = TEAM, at: str = "") -> tuple[bytes, bytes]:
    """The CMS and the CodeDirectory that apple-platform-py makes with this signer."""
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(by.pem())
        pem.flush()
        made = apple_platform.sign_macho_bytes(
            small.macho(),
            binary_identifier="test.hello",
            signer=apple_platform.Signer(pem=apple_platform.PemKey(files=[pem.name])),
            code_signature_flags=["runtime"],
            digests=["sha256"],
            team_name=team or None,
            timestamp_url="none",
            signing_time=at or None,
        )
    return parts(made)


def altered(content: bytes, change: Callable[[Any, Any], object], by: Signer | None = None) -> bytes:
    """The same CMS with its SignedData or SignerInfo changed, and signed anew where somebody does."""
    info = asn1_cms.ContentInfo.load(content)
    data, signer = info["content"], info["content"]["signer_infos"][0]
    change(data, signer)
    if by:
        assert isinstance(by.key, rsa.RSAPrivateKey)
        attributes = b"\x31" + signer["signed_attrs"].dump(force=True)[1:]
        signer["signature"] = by.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
    dumped: bytes = info.dump(force=True)
    return dumped


def stamped(content: bytes, by: Signer, *, of: bytes | None = None, **how: Any) -> bytes:
    """The same CMS with a timestamp of its signature, or of other bytes."""

    def stamp(_: Any, signer: Any) -> None:
        digest = hashlib.sha256(signer["signature"].native if of is None else of).digest()
        imprint = tsp.MessageImprint({"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest})
        token = signers.token(imprint, by, **how)
        signer["unsigned_attrs"] = [{"type": "signature_time_stamp_token", "values": [token]}]

    return altered(content, stamp)


@pytest.fixture(scope="module")
def google(darwin_wheel: Path) -> bytes:
    return (darwin_wheel / "pkg/tool/darwin_arm64/pack").read_bytes()


# --- Google's own --------------------------------------------------------------------------------------------------


def test_all_of_google_s_signatures_hold(darwin_wheel: Path) -> None:
    programs = [*(darwin_wheel / "bin").iterdir(), *(darwin_wheel / "pkg/tool/darwin_arm64").iterdir()]
    assert len(programs) == 19
    by = "Developer ID Application: Google LLC (EQHXZ8M8AV)"
    for path in programs:
        data, identifier = path.read_bytes(), f"org.golang.{path.name}"
        whole = parse_signature(view(data), image(data))
        assert whole
        assert whole.problems == ()
        assert (whole.identifier, whole.team, whole.entitlements) == (identifier, GOOGLE, ())
        assert whole.kind.startswith(f"by an identity, hardened runtime: {by}, timestamped 2024-11-")
        assert whole.requirement.startswith(f'identifier "{identifier}" and anchor apple generic and ')
        found = whole.signer
        assert found
        assert (found.chain.name, found.chain.team, found.chain.pinned) == (by, GOOGLE, "Apple Root CA")
        assert found.stamped_by.startswith("Timestamp Signer MA")
        # The VERSION file says when the release was cut: it was signed within the hour.
        assert timedelta(0) < found.at - datetime(2024, 11, 27, 20, 27, 20, tzinfo=UTC) < timedelta(hours=1)


def test_it_is_judged_at_the_timestamp_s_time(google: bytes) -> None:
    """The certificates end on 2027-02-01: signed before, it holds for ever; the same chain a day later would not."""
    found = held(*parts(google))
    ends = found.chain.leaf.not_valid_after_utc
    assert (ends.year, ends.month, ends.day) == (2027, 2, 1)
    leaf, *others = map(certificates.to_der, found.chain.certificates)
    judge = partial(chains.find_chain, leaf, frozenset(others), roots=(), purpose=chains.DEVELOPER_ID)
    for at in (found.at, ends):
        assert judge(at=at).pinned
    with pytest.raises(Malformed, match="is valid from 2022-02-08 to 2027-02-01, not on 2027-02-02"):
        judge(at=ends + timedelta(days=1))


def finder(directory: bytes) -> mutants.Look:
    """Whether a changed CMS is refused."""

    def found(content: bytes) -> bool:
        try:
            held(content, directory)
        except Malformed:
            return True
        return False

    return found


@pytest.mark.parametrize(
    ("first", "step"), [(0, 23), *(pytest.param(first, 4, marks=pytest.mark.slow) for first in range(4))]
)
def test_flips_in_google_s_cms_are_found(google: bytes, first: int, step: int) -> None:
    """The slow ones try every byte, shared among a session's workers."""
    content, directory = parts(google)
    assert mutants.unseen(content, range(first, len(content), step), finder(directory), seed=step) == []


def test_unused_bits_of_a_certificate_s_signature_are_none(google: bytes) -> None:
    """Nobody signs these bytes: found by flipping each of the eight bits of every byte, not one bit only."""
    content, directory = parts(google)
    header = b"\x03\x82\x01\x01\x00"
    places = [at for at in range(len(content)) if content.startswith(header, at)]
    assert len(places) >= 5
    for at in places:
        for unused in range(1, 8):
            changed = put(content, at + len(header) - 1, "<B", unused)
            assert refused(changed, directory)


def test_cut_and_lengthened_it_is_refused(google: bytes) -> None:
    content, directory = parts(google)
    for length in range(0, len(content), 97):
        assert refused(content[:length], directory)
    for more in (b"\0", b"\0\0", b"\x05\0"):
        assert "behind the end" in refused(content + more, directory)
    assert "a code signature of" in refused(content + bytes(1 << 18), directory)


def test_it_is_of_this_file_alone(google: bytes, darwin_wheel: Path) -> None:
    content = parts(google)[0]
    other = parts((darwin_wheel / "pkg/tool/darwin_arm64/nm").read_bytes())[1]
    assert refused(content, other).startswith("cms-content")


def test_openssl_agrees(google: bytes, tmp_path: Path) -> None:
    openssl = needs("openssl")
    content, directory = parts(google)
    (tmp_path / "root.pem").write_text(resources.text("apple_roots.pem"))
    words = [openssl, "cms", "-verify", "-binary", "-purpose", "any", "-ignore_critical", "-inform", "DER"]
    at = str(int(held(content, directory).at.timestamp()))

    def verified(content: bytes, directory: bytes) -> bool:
        (tmp_path / "cms").write_bytes(content)
        (tmp_path / "code").write_bytes(directory)
        files = ["-in", "cms", "-content", "code", "-CAfile", "root.pem", "-attime", at, "-out", "out"]
        return subprocess.run([*words, *files], cwd=tmp_path, capture_output=True, check=False).returncode == 0

    assert verified(content, directory)
    assert not verified(content, directory[:-1] + b"x")
    value = asn1_cms.ContentInfo.load(content)["content"]["signer_infos"][0]["signature"].native
    spoiled = content.replace(value, value[:-1] + bytes([value[-1] ^ 1]))
    assert not verified(spoiled, directory)
    assert refused(spoiled, directory).startswith("cms-signature")


def test_the_pinned_root_is_the_one_that_ships() -> None:
    assert [hashlib.sha256(each).hexdigest() for each in certificates.apple_roots()] == list(certificates.PINNED)


# --- made ones: right, and wrong in one way ------------------------------------------------------------------------


def test_one_s_own_root_is_trusted_only_if_asked() -> None:
    content, directory = signed(signers.signer())
    found = held(content, directory)
    assert (found.chain.pinned, found.chain.team, found.stamped_by) == ("", TEAM, "")
    assert "trusted by the caller" in found.summary
    assert "no timestamp" in found.summary
    for roots in ((), (signers.clock().der(),)):
        assert refused(content, directory, roots=roots).startswith("untrusted-chain")


UNKNOWN = {"type": "1.2.3.4", "values": [core.Null()]}
WRONG_LIST: Any = core.OctetString(plistlib.dumps({"cdhashes": [bytes(20)]}))
WRONG_HASH: Any = core.load(bytes.fromhex("302d 0609608648016503040201 0420") + bytes(32))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data, _: data.__setitem__("version", "v3"), "cms-structure"),
        (lambda data, _: data.__setitem__("crls", []), "cms-structure"),
        (lambda data, signer: data["signer_infos"].append(signer.copy()), "cms-structure"),
        (lambda data, _: data["certificates"].append(data["certificates"][0].copy()), "cms-structure"),
        (lambda data, _: data["encap_content_info"].__setitem__("content_type", "signed_data"), "cms-content"),
        (lambda data, _: data["digest_algorithms"].append({"algorithm": "sha512"}), "cms-algorithm"),
        (lambda _, signer: signer.__setitem__("version", "v3"), "cms-structure"),
        (lambda _, signer: signer.__setitem__("signature_algorithm", {"algorithm": "sha512_rsa"}), "cms-algorithm"),
        (lambda _, signer: signer.__setitem__("signature_algorithm", {"algorithm": "sha256_ecdsa"}), "cms-algorithm"),
        (lambda _, signer: signer.__setitem__("unsigned_attrs", [UNKNOWN]), "cms-attributes"),
    ],
)
def test_what_nobody_signed_follows_from_the_rest(change: Callable[[Any, Any], object], why: str) -> None:
    content, directory = signed(signers.signer())
    assert refused(altered(content, change), directory).startswith(why)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda attributes: attributes.append(UNKNOWN), "cms-attributes"),
        (lambda attributes: attributes.append(attributes[0].copy()), "cms-attributes"),
        (lambda attributes: _named(attributes, "content_type").__setitem__("values", ["signed_data"]), "cms-content"),
        (lambda attributes: _named(attributes, apple_cms.CDHASHES).__setitem__("values", [WRONG_LIST]), "wrong-cdhash"),
        (lambda attributes: _named(attributes, apple_cms.AGILE).__setitem__("values", [WRONG_HASH]), "wrong-cdhash"),
    ],
)
def test_what_was_signed_must_be_of_this_file(change: Callable[[Any], object], why: str) -> None:
    content, directory = signed(signers.signer())
    anew = altered(content, lambda _, signer: change(signer["signed_attrs"]), signers.signer())
    assert refused(anew, directory).startswith(why)
    assert held(altered(content, lambda _, signer: None, signers.signer()), directory).chain.team == TEAM


def _named(attributes: Any, name: str) -> Any:
    return next(each for each in attributes if name in (each["type"].native, each["type"].dotted))


def test_other_lengths_for_the_same_are_refused() -> None:
    content, directory = signed(signers.signer())
    assert content[:2] == b"\x30\x82"
    assert "neither in DER nor" in refused(b"\x30\x83\0" + content[2:], directory)
    assert "neither in DER nor" in refused(b"\x30\x80" + content[4:] + b"\0\0", directory)


def test_a_timestamp_is_what_counts() -> None:
    content, directory = signed(signers.signer())
    found = held(stamped(content, signers.clock()), directory)
    assert found.stamped_by == "Test Timestamp Signer"
    # Ended a week ago, signed and timestamped before: it holds. Timestamped after: it does not.
    ended = signers.developer(signers.authority(), days=(-300, -7))
    then = datetime.now(UTC) - timedelta(days=20)
    content, directory = signed(ended, at=f"{then:%Y-%m-%dT%H:%M:%SZ}")
    assert held(stamped(content, signers.clock(), at=then), directory).at == then.replace(microsecond=0)
    late = datetime.now(UTC)
    content, directory = signed(ended, at=f"{late:%Y-%m-%dT%H:%M:%SZ}")
    assert refused(stamped(content, signers.clock(), at=late), directory).startswith("certificate-expired")


def _clock(**how: Any) -> Signer:
    above = signers.issue("A Timestamp CA", signers.root(), ca=True)
    return signers.issue("A Clock", above, **({"usage": ExtendedKeyUsageOID.TIME_STAMPING} | how))


def test_timestamps_that_lie_are_refused() -> None:
    content, directory = signed(signers.signer())
    clock = signers.clock()
    day = timedelta(days=1)
    stranger = signers.issue("Stranger", None, ca=True)
    extension = {"extn_id": "1.2.3.4", "critical": False, "extn_value": b"x"}
    unknown = signers.issue("Unknown", stranger, usage=ExtendedKeyUsageOID.TIME_STAMPING)
    for changed, why in (
        (stamped(content, clock, of=b"another signature"), "timestamp-mismatch"),
        (stamped(content, clock, at=datetime.now(UTC) - day), "timestamp-skew"),
        (stamped(content, clock, names=signers.signer()), "timestamp-signer"),
        (stamped(content, clock, nameless=True), "timestamp-signer"),
        (stamped(content, clock, more={"version": 2}), "timestamp-structure"),
        (stamped(content, clock, more={"extensions": [extension]}), "timestamp-structure"),
        (stamped(content, clock, unsigned=[{"type": "1.2.3.4", "values": [core.Null()]}]), "timestamp-structure"),
        (stamped(content, unknown), "untrusted-chain"),
        (stamped(content, signers.signer()), "certificate-usage"),
        (stamped(content, _clock(critical=False)), "certificate-usage"),
        (stamped(content, _clock(days=(-9, -5))), "certificate-expired"),
    ):
        assert refused(changed, directory).startswith(why)
    more = stamped(content, clock, chain=(clock.certificate, *clock.above, stranger.certificate))
    assert held(more, directory).stamped_by == "Test Timestamp Signer"


def _below(name: str, by: Signer | None = None, **how: Any) -> Signer:
    """A signer whose authority is made like this."""
    return signers.developer(signers.issue(name, by or signers.root(), ca=True, **how))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: signers.developer(signers.authority(), days=(-9, -5)), "certificate-expired"),
        (lambda: signers.developer(signers.authority(), days=(5, 9)), "certificate-expired"),
        (lambda: _below("CA", days=(-9, -5)), "certificate-expired"),
        (
            lambda: _below("Lower", signers.issue("Upper", signers.root(), ca=True, path_length=0)),
            "no-authority: Upper allows 0 authorities below it, and there are 1",
        ),
        (
            lambda: _below("Small CA", own=rsa.generate_private_key(public_exponent=65537, key_size=1024)),
            "weak-key: Small CA",
        ),
        (lambda: replace(signers.signer(), above=(signers.root().certificate,)), "untrusted-chain"),
    ],
    ids=["ended", "not yet", "authority ended", "path too long", "small key", "authority left out"],
)
def test_chains_that_do_not_hold_are_refused(make: Callable[[], Signer], why: str) -> None:
    assert refused(*signed(make())).startswith(why)


def test_the_team_is_the_certificate_s() -> None:
    assert refused(*signed(signers.signer(), team="OTHER00000")).startswith("wrong-team")


def test_under_apple_s_root_apple_s_rules_hold_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the test's root in Apple's place: markers, a team and a timestamp must be there."""
    root = signers.root().der()
    monkeypatch.setattr(certificates, "PINNED", {hashlib.sha256(root).hexdigest(): "Apple Root CA"})
    monkeypatch.setattr(certificates, "apple_roots", lambda: (root,))
    chains.find_chain.cache_clear()
    try:
        content, directory = signed(signers.signer())
        assert held(stamped(content, signers.clock()), directory).chain.pinned
        assert refused(content, directory).startswith("missing-timestamp")
        assert refused(stamped(content, _clock()), directory).startswith("missing-apple-extension")
        for by, marker in (
            (signers.developer(signers.authority(), markers={}), DEVELOPER_ID),
            (_below("Other CA"), AUTHORITY),
        ):
            content, directory = signed(by)
            assert f"lacks Apple's extension {marker}" in refused(
                stamped(content, signers.clock()), directory, roots=()
            )
        content, directory = signed(signers.signer(), team="")
        assert refused(stamped(content, signers.clock()), directory).startswith("wrong-team")
    finally:
        chains.find_chain.cache_clear()


def test_flips_in_a_made_cms_are_found() -> None:
    """Another shape than Apple's: all DER, ECDSA, no timestamp."""
    content, directory = signed(signers.developer(signers.authority(), own=signers.key("ec")))
    assert held(content, directory).chain.name == "Developer ID Application: Test (ABCDE12345)"
    assert mutants.unseen(content, range(0, len(content), 7), finder(directory)) == []
