"""A signing certificate and its key: a PKCS#12 or PEM file and a password come in, an `Identity` goes out.

Everything that would make the signature useless is found here, before any work: a wrong password, a key of another
certificate, certificates missing on the way to the root. Sources: RFC 7292, RFC 7468; TN3127 for the designated
requirement. What it does not do: it judges no validity and no trust. That is verify's business, on the result.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from gobuild.core import resources
from gobuild.core.errors import ConfigError

LENGTH = 6
"""Certificates in a chain, at most."""

PEM = b"-----BEGIN "
FILE_LIMIT = 1 << 20

_MARKERS = ((1, "2a864886f76364060206"), (0, "2a864886f7636406010d"))
"""What TN3127 asks of Developer ID: Apple's extension in the issuer's certificate, and the one in the signer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate that can sign.

    Attributes:
        name: its common name.
        team: its team identifier (OU); empty where it has none.
        sha256: of the certificate, hex.
        chain: the certificates, DER, from the signer's to the root's.
        apple: whether that root is Apple's.
        pem: the key, unencrypted, and the certificates. Secret: never shown, never written to a file.
    """

    name: str
    team: str
    sha256: str
    chain: tuple[bytes, ...] = field(repr=False)
    apple: bool
    pem: bytes = field(repr=False)

    @property
    def root(self) -> bytes:
        """The last certificate."""
        return self.chain[-1]

    def requirement(self, identifier: str) -> bytes:
        """A designated requirement, as a blob: the identifier, and who must have signed.

        apple-platform-py writes one by itself, but for a root other than Apple's it names the signer's certificate as
        the root, which the file then does not fulfil (measured with 0.1.0).
        """
        terms = [_call(2, identifier.encode())]
        if self.apple:
            terms.append(struct.pack(">I", 15))
            terms += [_at(14, slot, bytes.fromhex(oid)) + struct.pack(">I", 0) for slot, oid in _MARKERS]
            terms.append(_at(11, 0, b"subject.OU") + _call(1, self.team.encode()))
        else:
            terms.append(_at(4, -1, hashlib.sha1(self.root, usedforsecurity=False).digest()))
        both = struct.pack(">I", 6)
        expression = b"".join(both + each for each in terms[:-1]) + terms[-1]
        return struct.pack(">3I", 0xFADE0C00, 12 + len(expression), 1) + expression


def _call(operation: int, data: bytes) -> bytes:
    """An operation with one text, padded to four bytes."""
    return struct.pack(">2I", operation, len(data)) + data + bytes(-len(data) % 4)


def _at(operation: int, slot: int, data: bytes) -> bytes:
    """An operation on a certificate of the chain, with one text."""
    return struct.pack(">IiI", operation, slot, len(data)) + data + bytes(-len(data) % 4)


def load(path: Path, password: bytes | None) -> Identity:
    """Reads a PKCS#12 or PEM file with a key, its certificate, and the certificates above it.

    Args:
        path: the file.
        password: what it is encrypted with, or None.

    Raises:
        ConfigError: it cannot be read, or cannot sign.
    """
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise ConfigError(f"{path} is no file with a certificate and its key", "a .p12 or .pem file")
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "--sign FILE.p12, or FILE.pem") from error
    try:
        key, found = _pem(data, password) if PEM in data else _p12(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = "it needs a password" if password is None else "the password is wrong, or the file is damaged"
        raise ConfigError(
            f"cannot read the key and certificate in {path}: {reason}",
            "a PKCS#12 or PEM file, and --sign-password-env NAME or --sign-password-file FILE",
        ) from error
    return _identity(path, key, found)


def _p12(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    key, own, others = pkcs12.load_key_and_certificates(data, password)
    return key, [*([own] if own else []), *others]


def _pem(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    # A password that is not asked for is an error to cryptography; here it may be meant for a file that was replaced.
    encrypted = b"ENCRYPTED" in data
    return load_pem_private_key(data, password if encrypted else None), x509.load_pem_x509_certificates(data)


def _identity(path: Path, key: object, found: list[x509.Certificate]) -> Identity:
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise ConfigError(f"{path} holds no RSA or ECDSA key", "a file with the key of a signing certificate")
    public = _public(key)
    own = [each for each in found if _public(each) == public]
    if not own:
        raise ConfigError(f"no certificate in {path} is of the key in it", "export the certificate with its own key")
    chain = _chain(path, own[0], found)
    names = own[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    units = own[0].subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    encoded = tuple(each.public_bytes(Encoding.DER) for each in chain)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(
        name=str(names[0].value) if names else own[0].subject.rfc4514_string(),
        team=str(units[0].value) if len(units) == 1 else "",
        sha256=hashlib.sha256(encoded[0]).hexdigest(),
        chain=encoded,
        apple=chain[-1] in _apple(),
        pem=secret + b"".join(each.public_bytes(Encoding.PEM) for each in chain),
    )


def _public(holder: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _apple() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(resources.text("apple_roots.pem").encode())


def _chain(path: Path, own: x509.Certificate, found: list[x509.Certificate]) -> list[x509.Certificate]:
    """From the signer's certificate to a self-signed one; Apple's root need not stand in the file.

    Every way is tried: a file may hold a root twice, once as an older root signed it.
    """
    known, missing = [*found, *_apple()], ""

    def on(chain: list[x509.Certificate]) -> list[x509.Certificate]:
        nonlocal missing
        issuer = chain[-1].issuer
        if issuer == chain[-1].subject:
            return chain
        above = [each for each in known if each not in chain and each.subject == issuer and _issued(chain[-1], each)]
        ways = (on([*chain, each]) for each in above if len(chain) < LENGTH)
        if whole := next((way for way in ways if way), []):
            return whole
        missing = missing or issuer.rfc4514_string()
        return []

    if chain := on([own]):
        return chain
    raise ConfigError(
        f"{path} lacks the certificate of {missing}",
        "export the identity with all certificates up to the root, or append them in PEM",
    )


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def password(name: str, path: str, environ: Mapping[str, str]) -> bytes | None:
    """The password: from a variable, or from a file's first line. It is never a word on a command line.

    Args:
        name: the variable's name; empty for none.
        path: the file; empty for none.
        environ: the environment of this process.

    Returns:
        None where neither was named.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read.
    """
    if name:
        if name not in environ:
            # Not named: it might be the password itself, in the wrong place.
            raise ConfigError(
                "the variable that sign_password_env names is not set",
                "export it; its name goes there, not the password",
            )
        return environ[name].encode()
    if not path:
        return None
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(FILE_LIMIT).split(b"\n", 1)[0].rstrip(b"\r")
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"cannot read the file with the password, {path}", "--sign-password-file FILE, or --sign-password-env NAME"
        ) from error
