"""X.509 certificates: Apple's pinned root, roots of somebody's own, and a stricter reading than `cryptography`'s."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gobuild.binary.view import Malformed
from gobuild.codesign import der
from gobuild.codesign.problems import BadSignature
from gobuild.core import resources
from gobuild.core.errors import ConfigError

PINNED: Mapping[str, str] = {"b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024": "Apple Root CA"}
"""The roots trusted without anybody's word, by SHA-256. Code and timestamps of every Go from 1.21 to 1.27 lead here."""

_VERSION_3 = bytes.fromhex("a003020102")


@lru_cache(maxsize=1)
def apple_roots() -> tuple[bytes, ...]:
    """The pinned roots themselves, for signatures that leave them out."""
    return tuple(map(to_der, x509.load_pem_x509_certificates(resources.text("apple_roots.pem").encode())))


def load_roots(path: Path) -> tuple[bytes, ...]:
    """Reads the certificates of a PEM file, as further trusted roots.

    Raises:
        ConfigError: it cannot be read, or holds no certificate, or one that RFC 5280 does not allow.
    """
    try:
        found = tuple(map(to_der, x509.load_pem_x509_certificates(path.read_bytes())))
        for each in found:
            parse_certificate(each)
    except (OSError, ValueError, Malformed) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"no trusted roots in {path}: {reason}", "a PEM file of CERTIFICATE blocks") from error
    return found


def to_der(certificate: x509.Certificate) -> bytes:
    """A certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


@lru_cache(maxsize=128)
@der.parsing("a certificate")
def parse_certificate(data: bytes) -> x509.Certificate:
    """Reads one certificate, which must be DER to its last byte; raises Malformed."""
    body, _algorithm, signature = der.parse_der(data).members()
    version, serial, *_ = body.members()
    number = serial.octets(der.INTEGER)
    if version.encoded != _VERSION_3 or not any(number) or number[0] >= 0x80:
        raise BadSignature("malformed-certificate", "a certificate not of version 3, or of no positive serial number")
    if signature.octets(der.BIT_STRING)[0] != 0:
        # The signature covers no byte of its own, and cryptography passes over this one.
        raise BadSignature("malformed-certificate", "a certificate whose signature is no whole number of bytes")
    found = x509.load_der_x509_certificate(data)
    # cryptography reads these when they are first asked for: now, where a failure has a name.
    _ = (found.subject.public_bytes(), found.issuer.public_bytes(), found.extensions, found.public_key())
    if to_der(found) != data:
        raise BadSignature("malformed-certificate", "a certificate that is not written as it reads")
    return found


def pinned_name(root: bytes) -> str:
    """The name of a pinned root; empty for any other certificate."""
    return PINNED.get(hashlib.sha256(root).hexdigest(), "")


def signer_certificate(found: Sequence[bytes], issuer_and_serial: bytes) -> bytes:
    """The one certificate that CMS names by its IssuerAndSerialNumber (DER); raises Malformed."""
    chosen = []
    for data in found:
        _version, serial, _algorithm, issuer, *_ = der.parse_der(data).members()[0].members()
        if der.encode(der.SEQUENCE, issuer.encoded + serial.encoded) == issuer_and_serial:
            chosen.append(data)
    if len(chosen) != 1:
        raise BadSignature("missing-certificate", f"{len(chosen)} certificates of the signer are there")
    return chosen[0]


def subject_attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    """The one attribute of that kind in a certificate's subject; empty where there is none, or more."""
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if len(found) == 1 else ""


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, or all of the subject."""
    return subject_attribute(certificate, NameOID.COMMON_NAME) or certificate.subject.rfc4514_string()
