"""Chains from a signer's certificate to a trusted root, judged at a given time.

Sources: RFC 5280, section 6 (as far as Apple's chains use it: name and policy constraints are refused), and Apple's
certificate policies for the marker extensions. cryptography's own verifier refuses Apple's critical extensions.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, der
from gobuild.codesign.certificates import common_name, parse_certificate, pinned_name
from gobuild.codesign.problems import BadSignature

LENGTH = 6
"""Certificates in a chain; Apple's have three."""

TRIES = 256
"""Signatures of certificates that are checked in search of one chain."""

RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")

MARKER = "1.2.840.113635.100.6."
"""Apple's arc of certificate extensions, each of which says what Apple issued the certificate for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a signer's certificate must be good for.

    Attributes:
        usage: the extended key usage, which must stand alone; `word` is as `openssl` writes it.
        critical: whether the usage must be critical, as RFC 3161 says of timestamping and Apple of both.
        leaf, issuer: Apple's extension that the signer's certificate, and its issuer's, must have under Apple's root.
    """

    name: str
    usage: x509.ObjectIdentifier
    word: str
    critical: bool = False
    leaf: str = ""
    issuer: str


DEVELOPER_ID = Purpose(
    name="Developer ID Application",
    usage=ExtendedKeyUsageOID.CODE_SIGNING,
    word="codeSigning",
    leaf=f"{MARKER}1.13",
    issuer=f"{MARKER}2.6",
)
TIMESTAMP = Purpose(
    name="timestamping",
    usage=ExtendedKeyUsageOID.TIME_STAMPING,
    word="timeStamping",
    critical=True,
    issuer=f"{MARKER}2.9",
)

_Type = TypeVar("_Type", bound=x509.ExtensionType)

_KNOWN_CRITICAL = frozenset(
    {
        *(ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE),
        x509.ObjectIdentifier(f"{MARKER}1.13"),  # Developer ID Application
        x509.ObjectIdentifier(f"{MARKER}1.18"),  # Developer ID Application, for kernel extensions
        x509.ObjectIdentifier(f"{MARKER}2.6"),  # Developer ID Certification Authority
    }
)
"""The critical extensions understood here. RFC 5280 wants a certificate with any other one refused."""

_CONSTRAINTS = {
    ExtensionOID.NAME_CONSTRAINTS: "name constraints",
    ExtensionOID.POLICY_CONSTRAINTS: "policy constraints",
}
"""Extensions that narrow what an authority may vouch for, refused also where they are not critical."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Certificates from the signer's to a root's; `pinned` names that root, if it is not one only the caller trusts."""

    certificates: tuple[x509.Certificate, ...]
    pinned: str

    @property
    def leaf(self) -> x509.Certificate:
        """The signer's certificate."""
        return self.certificates[0]

    @property
    def name(self) -> str:
        """The signer's, by its certificate."""
        return common_name(self.leaf)

    @property
    def team(self) -> str:
        """The team identifier in the signer's certificate (its OU); empty where it has none."""
        return certificates.subject_attribute(self.leaf, NameOID.ORGANIZATIONAL_UNIT_NAME)

    @property
    def root(self) -> x509.Certificate:
        """The root's certificate."""
        return self.certificates[-1]


@lru_cache(maxsize=128)
@der.parsing("a certificate")
def find_chain(
    data: bytes, others: frozenset[bytes], *, roots: tuple[bytes, ...], at: datetime, purpose: Purpose
) -> Chain:
    """Searches a chain that held at that time, from a signer's certificate through others to a root, shortest first.

    What came along and is in no chain is passed over: timestamp servers send their root as another root signed it too.

    Raises:
        Malformed: there is none: what is wrong with the first that leads to a root, or where the first way ends.
    """
    trusted = tuple(dict.fromkeys((*filter(pinned_name, certificates.apple_roots()), *roots)))
    errors = []
    for chain in search_chains(data, sorted(others.difference(trusted)), trusted):
        try:
            _require_rules(chain, at, purpose)
        except Malformed as error:
            errors.append(error)
            continue
        _refuse_damaged_copy(chain, others)
        return chain
    raise errors[0]


def _require_rules(chain: Chain, at: datetime, purpose: Purpose) -> None:
    """Requires that a chain keeps every rule. Of the trusted certificate only name, key and validity count."""
    anchor = len(chain.certificates) - 1
    for index, each in enumerate(chain.certificates):
        _require_valid(each, at)
        _require_strong_key(each)
        if index < anchor:
            _require_known_extensions(each)
        if 0 < index < anchor:
            _require_authority(each, below=index - 1)
    _require_usage(chain, purpose)


def _refuse_damaged_copy(chain: Chain, others: Iterable[bytes]) -> None:
    """Refuses a certificate that passes for one of the chain's: not needed, but a sign that bytes were changed."""
    for other in map(parse_certificate, others):
        for each in chain.certificates:
            named = (other.issuer, other.serial_number) == (each.issuer, each.serial_number)
            if other != each and (named or other.signature == each.signature):
                why = f"a copy of the certificate {common_name(each)} that differs from it"
                raise BadSignature("damaged-certificate", why)


def search_chains(leaf: bytes, others: Sequence[bytes], trusted: Sequence[bytes]) -> Iterator[Chain]:
    """Every chain of signatures from a certificate (DER) through others to a trusted one, the shortest first.

    Raises:
        Malformed: there is none, or too many signatures would have to be checked to find them all.
    """
    waiting, tries, ends, found = deque[tuple[bytes, ...]]([(leaf,)]), 0, "", False
    while waiting:
        path = waiting.popleft()
        below = parse_certificate(path[-1])
        if path[-1] in trusted:
            found = True
            yield Chain(certificates=tuple(map(parse_certificate, path)), pinned=pinned_name(path[-1]))
            continue
        broken, longer = "", []
        for above in (*trusted, *others) if len(path) < LENGTH else ():
            if above in path or below.issuer != parse_certificate(above).subject:
                continue
            tries += 1
            if tries > TRIES:
                why = f"{TRIES} signatures of certificates were checked, and no chain was found"
                raise BadSignature("untrusted-chain", why)
            if why := _unsigned(below, parse_certificate(above)):
                broken = broken or f"breaks: {why}"
            else:
                longer.append((*path, above))
        waiting += longer
        if not longer:
            ends = ends or broken or f"ends at no trusted root, but at {below.issuer.rfc4514_string()}"
    if not found:
        raise BadSignature("untrusted-chain", f"the chain of {common_name(parse_certificate(leaf))} {ends}")


def _unsigned(below: x509.Certificate, above: x509.Certificate) -> str:
    """Why one certificate is not signed by the key of the other; empty if it is."""
    algorithm = below.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        return f"{common_name(below)} is signed with {algorithm.name if algorithm else 'no hash function known'}"
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return f"{common_name(below)} is not signed by the key of the {common_name(above)} that is at hand"
    return ""


def _require_valid(each: x509.Certificate, at: datetime) -> None:
    if not each.not_valid_before_utc <= at <= each.not_valid_after_utc:
        span = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
        why = f"the certificate {common_name(each)} is valid from {span}, not on {at:%Y-%m-%d}"
        raise BadSignature("certificate-expired", why)


def _require_known_extensions(each: x509.Certificate) -> None:
    for extension in each.extensions:
        what = _CONSTRAINTS.get(extension.oid, "")
        if not what and extension.critical and extension.oid not in _KNOWN_CRITICAL:
            what = f"the critical extension {extension.oid.dotted_string}"
        if what:
            raise BadSignature("certificate-extension", f"{common_name(each)} has {what}, not understood here")


def _require_strong_key(each: x509.Certificate) -> None:
    key = each.public_key()
    strong_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS
    if not strong_rsa and not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES):
        raise BadSignature("weak-key", f"{common_name(each)} has a key that is too weak, or of an unknown kind")


def _require_authority(each: x509.Certificate, *, below: int) -> None:
    """Requires that a certificate may sign certificates, with so many authorities below it."""
    constraints, usage = _extension(each, x509.BasicConstraints), _extension(each, x509.KeyUsage)
    wrong, limit = "", constraints.value.path_length if constraints else None
    if constraints is None or not constraints.value.ca:
        wrong = "may not sign certificates: its basicConstraints lack CA:TRUE"
    elif usage and not usage.value.key_cert_sign:
        wrong = "may not sign certificates: its keyUsage lacks keyCertSign"
    elif limit is not None and below > limit:
        wrong = f"allows {limit} authorities below it, and there are {below}"
    if wrong:
        raise BadSignature("no-authority", f"{common_name(each)} {wrong}")


def _require_usage(chain: Chain, purpose: Purpose) -> None:
    """Requires the signer's usages and, under Apple's root, Apple's markers."""
    word = purpose.word
    usage, extended = _extension(chain.leaf, x509.KeyUsage), _extension(chain.leaf, x509.ExtendedKeyUsage)
    constraints = _extension(chain.leaf, x509.BasicConstraints)
    wrong = ""
    if extended is None:
        wrong = f"does not say what it may be used for: no extendedKeyUsage {word}"
    elif list(extended.value) != [purpose.usage]:
        wrong = f"is not for {word} alone, by its extendedKeyUsage"
    elif (purpose.critical or chain.pinned) and not extended.critical:
        wrong = f"has an extendedKeyUsage {word} that is not critical"
    elif usage is None and chain.pinned:
        wrong = "has no keyUsage"
    elif usage and not usage.value.digital_signature:
        wrong = "may not sign: its keyUsage lacks digitalSignature"
    elif len(chain.certificates) > 1 and constraints and constraints.value.ca:
        wrong = "is an authority, and signs itself"
    if wrong:
        raise BadSignature("certificate-usage", f"{chain.name} {wrong}")
    markers = {chain.leaf: purpose.leaf, chain.certificates[:2][-1]: purpose.issuer} if chain.pinned else {}
    for each, marker in markers.items():
        if marker and marker not in {extension.oid.dotted_string for extension in each.extensions}:
            why = f"{common_name(each)} lacks Apple's extension {marker} for {purpose.name}"
            raise BadSignature("missing-apple-extension", why)


def _extension(each: x509.Certificate, kind: type[_Type]) -> x509.Extension[_Type] | None:
    try:
        return each.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
