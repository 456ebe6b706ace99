"""X.509 chains: certificates come in, and a chain from a signer to a trusted root at a given time goes out.

Sources: RFC 5280, section 6 (as far as Apple's chains use it: name and policy constraints are refused); Apple's
certificate policies for the marker extensions; measured on the chains in Go's own releases and on what `openssl` makes
by default. Certificates are read by `cryptography`, which refuses what is not DER; its own verifier is not used, since
it refuses Apple's critical extensions. What it does not do: it asks nobody whether a certificate was revoked, and never
looks at the clock.
"""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from gobuild.binary.view import Malformed
from gobuild.codesign import der, keys
from gobuild.core import resources
from gobuild.core.errors import ConfigError

PINNED: Mapping[str, str] = {"b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024": "Apple Root CA"}
"""The roots that are trusted without anybody's word, by their SHA-256. Every release of Go from 1.21 to 1.27 leads to
this one, code and timestamp alike."""

LENGTH = 6
"""Certificates in a chain; Apple's have three."""

TRIES = 256
"""Signatures of certificates that are checked in search of one chain."""

MARKER = "1.2.840.113635.100.6."
"""Apple's arc of certificate extensions. Each says what Apple issued the certificate for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a signer's certificate must be good for.

    Attributes:
        name: in words.
        usage: the extended key usage, which must stand alone.
        word: that usage, as `openssl` writes it.
        critical: whether the usage must be critical: RFC 3161 says so of timestamping. Under Apple's root it always is.
        leaf, issuer: Apple's markers that the signer's certificate and its issuer's must have, where Apple's root
            vouches for them.
    """

    name: str
    usage: x509.ObjectIdentifier
    word: str
    critical: bool = False
    leaf: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()


DEVELOPER_ID = Purpose(
    name="Developer ID Application",
    usage=ExtendedKeyUsageOID.CODE_SIGNING,
    word="codeSigning",
    leaf=(f"{MARKER}1.13",),
    issuer=(f"{MARKER}2.6",),
)
TIMESTAMP = Purpose(
    name="timestamping",
    usage=ExtendedKeyUsageOID.TIME_STAMPING,
    word="timeStamping",
    critical=True,
    issuer=(f"{MARKER}2.9",),
)

_Type = TypeVar("_Type", bound=x509.ExtensionType)
_FILTERS = Lock()
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

_CONSTRAINTS = {
    ExtensionOID.NAME_CONSTRAINTS: "name constraints",
    ExtensionOID.POLICY_CONSTRAINTS: "policy constraints",
}
"""Extensions that narrow what an authority may vouch for; not critical ones would be passed over otherwise."""


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
        with _strict():
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


@contextmanager
def _strict() -> Iterator[None]:
    """What cryptography will refuse one day is refused now, in this block alone; the filters are of all threads."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        yield


@lru_cache(maxsize=128)
def certificate(data: bytes) -> x509.Certificate:
    """Reads one certificate, which must be DER to its last byte.

    Raises:
        Malformed: it is not.
    """
    der.definite(data)
    with der.parsing("a certificate"), _strict():
        body, _algorithm, value = der.children(data)
        if der.content(value, der.BITS)[:1] != b"\0":
            # Nobody signs this byte, and cryptography passes it over.
            raise Malformed("a certificate whose signature is no whole number of bytes")
        version, serial, *_ = der.children(body)
        number = der.content(serial, der.INTEGER) if version == _V3 else b""
        if not any(number) or number[0] >= 0x80:
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
    """Searches a chain from a signer's certificate to a trusted one that holds, the shortest ways first.

    What came along and is in no chain is passed over: timestamp servers send their root as another root signed it too.

    Args:
        data: the signer's certificate.
        others: the certificates that came with it.
        roots: certificates trusted besides the pinned ones.
        at: when the signature was made; every certificate must have been valid then.
        purpose: what the signer's must be good for.

    Raises:
        Malformed: there is no such chain: what is wrong with the first that leads to a root, or where the way ends.
    """
    with der.parsing("a certificate"):
        search = _Search(others=sorted(others), trusted=_trusted(roots))
        reason = ""
        for path in search.paths((data,)):
            found = Chain(certificates=tuple(certificate(each) for each in path), pinned=_pinned(path[-1]))
            try:
                _holds(found, at, purpose)
            except Malformed as error:
                reason = reason or str(error)
                continue
            _no_damaged_copy(found, others - set(path))
            return found
        raise Malformed(reason or f"the chain of {common_name(certificate(data))} {search.ends}")


def _holds(found: Chain, at: datetime, purpose: Purpose) -> None:
    """Requires that a chain keeps every rule. Of the trusted certificate only name, key and validity count."""
    anchor = len(found.certificates) - 1
    for index, each in enumerate(found.certificates):
        _valid(each, at)
        _strong(each)
        if index < anchor:
            _known(each)
        if 0 < index < anchor:
            _authority(each, below=index - 1)
    _good_for(found, purpose)


def _no_damaged_copy(found: Chain, extra: Iterable[bytes]) -> None:
    """Refuses a certificate that passes for one of the chain's: not needed, but a sign that bytes were changed."""
    for other in map(certificate, extra):
        for each in found.certificates:
            named = (other.issuer, other.serial_number) == (each.issuer, each.serial_number)
            if named or other.signature == each.signature:
                raise Malformed(f"a copy of the certificate {common_name(each)} that differs from it")


def _pinned(root: bytes) -> str:
    return PINNED.get(hashlib.sha256(root).hexdigest(), "")


def _trusted(roots: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys((*(each for each in apple_roots() if _pinned(each)), *roots)))


@dataclass(kw_only=True)
class _Search:
    """The search of a chain, and where the first way that led to no root ends."""

    others: Sequence[bytes]
    trusted: Sequence[bytes]
    ends: str = ""
    tries: int = 0

    def paths(self, path: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
        """Every way on to a trusted certificate, those that end at once first.

        Raises:
            Malformed: there are too many.
        """
        if path[-1] in self.trusted:
            yield path
            return
        below, reason = certificate(path[-1]), ""
        if len(path) < LENGTH:
            for above in (*self.trusted, *(each for each in self.others if each not in self.trusted)):
                if above in path or below.issuer != certificate(above).subject:
                    continue
                self.tries += 1
                if self.tries > TRIES:
                    raise Malformed(f"{TRIES} signatures of certificates were checked, and no chain was found")
                if why := _unsigned(below, certificate(above)):
                    reason = reason or f"breaks: {why}"
                    continue
                reason = reason or " "
                yield from self.paths((*path, above))
        self.ends = self.ends or reason.strip() or f"ends at no trusted root, but at {below.issuer.rfc4514_string()}"


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


def _valid(each: x509.Certificate, at: datetime) -> None:
    if not each.not_valid_before_utc <= at <= each.not_valid_after_utc:
        span = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
        raise Malformed(f"the certificate {common_name(each)} is valid from {span}, not on {at:%Y-%m-%d}")


def _known(each: x509.Certificate) -> None:
    """Refuses what the rules here do not cover."""
    for extension in each.extensions:
        if extension.oid in _CONSTRAINTS:
            raise Malformed(f"{common_name(each)} has {_CONSTRAINTS[extension.oid]}, which are not understood here")
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise Malformed(f"{common_name(each)} has the critical extension {extension.oid.dotted_string}")


def _strong(each: x509.Certificate) -> None:
    if not keys.strong(each):
        raise Malformed(f"{common_name(each)} has a key that is too weak, or of an unknown kind")


def _authority(each: x509.Certificate, *, below: int) -> None:
    """Requires that a certificate may sign certificates, with so many authorities below it."""
    constraints = _extension(each, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca:
        raise Malformed(f"{common_name(each)} may not sign certificates: its basicConstraints lack CA:TRUE")
    usage = _extension(each, x509.KeyUsage)
    if usage and not usage.value.key_cert_sign:
        raise Malformed(f"{common_name(each)} may not sign certificates: its keyUsage lacks keyCertSign")
    limit = constraints.value.path_length
    if limit is not None and below > limit:
        raise Malformed(f"{common_name(each)} allows {limit} authorities below it, and there are {below}")


def _good_for(found: Chain, purpose: Purpose) -> None:
    """Requires the signer's usages and, under Apple's root, Apple's markers."""
    leaf, name = found.leaf, common_name(found.leaf)
    usage, extended = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    if extended is None:
        raise Malformed(f"{name} does not say what it may be used for: no extendedKeyUsage {purpose.word}")
    if list(extended.value) != [purpose.usage]:
        raise Malformed(f"{name} is not for {purpose.word} alone, by its extendedKeyUsage")
    if (purpose.critical or found.pinned) and not extended.critical:
        raise Malformed(f"{name} has an extendedKeyUsage {purpose.word} that is not critical")
    if usage is None and found.pinned:
        raise Malformed(f"{name} has no keyUsage")
    if usage and not usage.value.digital_signature:
        raise Malformed(f"{name} may not sign: its keyUsage lacks digitalSignature")
    constraints = _extension(leaf, x509.BasicConstraints)
    if len(found.certificates) > 1 and constraints and constraints.value.ca:
        raise Malformed(f"{name} is an authority, and signs itself")
    if found.pinned:
        _marked(leaf, purpose.leaf, purpose)
        _marked(found.certificates[min(1, len(found.certificates) - 1)], purpose.issuer, purpose)


def _extension(each: x509.Certificate, kind: type[_Type]) -> x509.Extension[_Type] | None:
    try:
        return each.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


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
