"""X.509 chains: certificates come in, and the one chain from a signer to a trusted root at a given time goes out.

Sources: RFC 5280, section 6 (as far as Apple's chains use it: no name constraints, no policy mappings); Apple's
certificate policies for the marker extensions; measured on the chains in Go's own releases. Certificates are read by
`cryptography`, which refuses what is not DER; its own verifier is not used, since it refuses Apple's critical
extensions. What it does not do: it asks nobody whether a certificate was revoked, and never looks at the clock.
"""

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from gobuild import resources
from gobuild.errors import ConfigError
from gobuild.verify import der, keys
from gobuild.verify.view import Malformed

PINNED: Mapping[str, str] = {"b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024": "Apple Root CA"}
"""The roots that are trusted without anybody's word, by their SHA-256. Every release of Go from 1.21 to 1.27 leads to
this one, code and timestamp alike."""

LENGTH = 6
"""Certificates in a chain; Apple's have three."""

MARKER = "1.2.840.113635.100.6."
"""Apple's arc of certificate extensions. Each says what Apple issued the certificate for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a signer's certificate must be good for.

    Attributes:
        name: in words.
        usage: the extended key usage, which must stand alone.
        leaf, issuer: Apple's markers that the signer's certificate and its issuer's must have, where Apple's root
            vouches for them.
    """

    name: str
    usage: x509.ObjectIdentifier
    leaf: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()


DEVELOPER_ID = Purpose(
    name="Developer ID Application",
    usage=ExtendedKeyUsageOID.CODE_SIGNING,
    leaf=(f"{MARKER}1.13",),
    issuer=(f"{MARKER}2.6",),
)
TIMESTAMP = Purpose(name="timestamping", usage=ExtendedKeyUsageOID.TIME_STAMPING, issuer=(f"{MARKER}2.9",))

_V3 = bytes.fromhex("a003020102")

_KNOWN_CRITICAL = frozenset(
    {
        *(ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE),
        x509.ObjectIdentifier(f"{MARKER}1.13"),  # Developer ID Application
        x509.ObjectIdentifier(f"{MARKER}1.18"),  # Developer ID Application, for kernel extensions
        x509.ObjectIdentifier(f"{MARKER}2.6"),  # Developer ID Certification Authority
    }
)
"""The critical extensions understood here. RFC 5280 wants a certificate with any other one refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain that holds.

    Attributes:
        certificates: from the signer's to the root's.
        pinned: the pinned root's name; empty where it ends at a root that only the caller trusts.
    """

    certificates: tuple[x509.Certificate, ...]
    pinned: str

    @property
    def leaf(self) -> x509.Certificate:
        """The signer's certificate."""
        return self.certificates[0]

    @property
    def root(self) -> x509.Certificate:
        """The last one."""
        return self.certificates[-1]


@lru_cache(maxsize=1)
def apple_roots() -> tuple[bytes, ...]:
    """The pinned roots themselves, for signatures that leave them out; taken from Go's own releases."""
    found = x509.load_pem_x509_certificates(resources.text("apple_roots.pem").encode())
    return tuple(encoded(each) for each in found)


def load_roots(path: Path) -> tuple[bytes, ...]:
    """Reads the certificates of a PEM file, as further trusted roots.

    Raises:
        ConfigError: it cannot be read, or holds no certificate.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError, CryptographyDeprecationWarning) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no certificate in PEM"
        if isinstance(error, CryptographyDeprecationWarning):
            reason = "it holds a certificate that RFC 5280 does not allow, a serial number below 1 perhaps"
        raise ConfigError(f"no trusted roots in {path}: {reason}", "a PEM file of CERTIFICATE blocks") from error
    return tuple(encoded(each) for each in found)


def encoded(certificate: x509.Certificate) -> bytes:
    """A certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


warnings.filterwarnings("error", category=CryptographyDeprecationWarning, module=__name__.replace(".", r"\."))
"""What cryptography will refuse one day is refused here now, instead of told to whoever looks at the terminal."""


@lru_cache(maxsize=128)
def certificate(data: bytes) -> x509.Certificate:
    """Reads one certificate, which must be DER to its last byte.

    Raises:
        Malformed: it is not.
    """
    der.definite(data)
    with der.parsing("a certificate"):
        body, _algorithm, value = der.children(data)
        if der.content(value, der.BITS)[:1] != b"\0":
            # Nobody signs this byte, and cryptography passes it over.
            raise Malformed("a certificate whose signature is no whole number of bytes")
        version, serial, *_ = der.children(body)
        number = der.content(serial, der.INTEGER)
        if version != _V3 or number[0] >= 0x80 or not any(number):
            raise Malformed("a certificate that is not of version 3, or whose serial number is not positive")
        found = x509.load_der_x509_certificate(data)
        # cryptography reads these when they are first asked for: now, where a failure has a name.
        _ = (found.subject.public_bytes(), found.issuer.public_bytes(), found.extensions, found.public_key())
        if encoded(found) != data:
            raise Malformed("a certificate that is not written as it reads")
        return found


def text(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    """The one attribute of that kind in a certificate's subject; empty where there is none, or more."""
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if len(found) == 1 else ""


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, or all of the subject."""
    return text(certificate, NameOID.COMMON_NAME) or certificate.subject.rfc4514_string()


@lru_cache(maxsize=128)
def chain(data: bytes, others: frozenset[bytes], *, roots: tuple[bytes, ...], at: datetime, purpose: Purpose) -> Chain:
    """Finds the chain of a signer's certificate and checks all of it.

    Args:
        data: the signer's certificate.
        others: the certificates that came with it, which must all be in the chain.
        roots: certificates trusted besides the pinned ones.
        at: when the signature was made; every certificate must have been valid then.
        purpose: what the signer's must be good for.

    Raises:
        Malformed: there is no such chain, or a certificate breaks a rule.
    """
    with der.parsing("a certificate"):
        path = _path(data, others, roots)
        found = Chain(certificates=tuple(certificate(each) for each in path), pinned=_pinned(path[-1]))
        for index, each in enumerate(found.certificates):
            _valid(each, at)
            _known(each)
            if index or len(path) == 1:
                _strong(each)
            if index:
                _authority(each, below=index - 1, root=index == len(path) - 1)
        _good_for(found, purpose)
    if extra := others - set(path):
        names = ", ".join(sorted(common_name(certificate(each)) for each in extra))
        raise Malformed(f"a certificate outside the chain: {names}")
    return found


def _pinned(root: bytes) -> str:
    return PINNED.get(hashlib.sha256(root).hexdigest(), "")


def _path(data: bytes, others: frozenset[bytes], roots: tuple[bytes, ...]) -> list[bytes]:
    """From the signer's certificate to the first one that is trusted."""
    trusted = {each for each in (*apple_roots(), *roots) if each in roots or _pinned(each)}
    path = [data]
    while path[-1] not in trusted:
        below = certificate(path[-1])
        above = next((each for each in sorted(others | trusted) if _issued(below, certificate(each))), None)
        if above is None or above == path[-1]:
            issuer = below.issuer.rfc4514_string()
            raise Malformed(f"the chain of {common_name(certificate(data))} ends at no trusted root, but at {issuer}")
        if above in path or len(path) == LENGTH:
            raise Malformed("a chain of certificates without an end")
        path.append(above)
    return path


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    """Whether one certificate is signed by the key of the other."""
    if below.issuer.public_bytes() != above.subject.public_bytes():
        return False
    algorithm = below.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        return False
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _valid(each: x509.Certificate, at: datetime) -> None:
    if not each.not_valid_before_utc <= at <= each.not_valid_after_utc:
        span = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
        raise Malformed(f"the certificate {common_name(each)} is valid from {span}, not on {at:%Y-%m-%d}")


def _known(each: x509.Certificate) -> None:
    """Refuses what the rules here do not cover."""
    for extension in each.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise Malformed(f"{common_name(each)} has the critical extension {extension.oid.dotted_string}")
        if extension.oid in (ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.POLICY_CONSTRAINTS):
            raise Malformed(f"{common_name(each)} has constraints that are not understood")


def _strong(each: x509.Certificate) -> None:
    if not keys.strong(each):
        raise Malformed(f"{common_name(each)} has a key that is too weak, or of an unknown kind")


def _authority(each: x509.Certificate, *, below: int, root: bool) -> None:
    """Requires that a certificate may sign certificates, with so many authorities below it."""
    try:
        constraints = each.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = each.extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound as error:
        raise Malformed(f"{common_name(each)} does not say that it may sign certificates") from error
    if not constraints.value.ca or not usage.value.key_cert_sign or not (constraints.critical or root):
        raise Malformed(f"{common_name(each)} may not sign certificates")
    limit = constraints.value.path_length
    if limit is not None and below > limit:
        raise Malformed(f"{common_name(each)} allows {limit} authorities below it, and there are {below}")


def _good_for(found: Chain, purpose: Purpose) -> None:
    """Requires the signer's usages and, under Apple's root, Apple's markers."""
    leaf = found.leaf
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        raise Malformed(f"{common_name(leaf)} does not say what it may be used for") from error
    _strong(leaf)
    if not usage.digital_signature or not extended.critical or list(extended.value) != [purpose.usage]:
        raise Malformed(f"{common_name(leaf)} is no certificate for {purpose.name}")
    alone = len(found.certificates) == 1
    constraints = [each.value for each in leaf.extensions if isinstance(each.value, x509.BasicConstraints)]
    if not alone and any(each.ca for each in constraints):
        raise Malformed(f"{common_name(leaf)} is an authority, and signs itself")
    if found.pinned:
        _marked(leaf, purpose.leaf, purpose)
        _marked(found.certificates[min(1, len(found.certificates) - 1)], purpose.issuer, purpose)


def _marked(each: x509.Certificate, markers: Iterable[str], purpose: Purpose) -> None:
    there = {extension.oid.dotted_string for extension in each.extensions}
    for marker in markers:
        if marker not in there:
            raise Malformed(f"{common_name(each)} lacks Apple's extension {marker} for {purpose.name}")


def select(found: Sequence[bytes], *, issuer: bytes, serial: int) -> bytes:
    """The one certificate of that issuer (as DER) and serial number.

    Raises:
        Malformed: there is none, or more than one.
    """
    chosen = [
        each
        for each in found
        if certificate(each).issuer.public_bytes() == issuer and certificate(each).serial_number == serial
    ]
    if len(chosen) != 1:
        raise Malformed(f"{len(chosen)} certificates of the signer are there")
    return chosen[0]
