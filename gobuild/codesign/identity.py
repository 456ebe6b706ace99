"""Signing identities: a certificate with its key and the chain above it, from a PKCS#12 or PEM file.

Everything that would make the signature useless is found here, before any work: a wrong password, a key of another
certificate, certificates missing on the way to the root. Sources: RFC 7292, RFC 7468. Validity and trust are verify's
business, on the result.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
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

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, requirements
from gobuild.codesign.certificates import to_der
from gobuild.codesign.chains import Chain, ChainSearch
from gobuild.core.errors import ConfigError

PEM = b"-----BEGIN "
FILE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIdentity:
    """A certificate that can sign.

    Attributes:
        chain: the certificates, from the signer's to the root's.
        pem: the key, unencrypted, and the certificates. Secret: never shown, never written to a file.
    """

    chain: Chain
    pem: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The certificate's common name."""
        return certificates.common_name(self.chain.leaf)

    @property
    def team(self) -> str:
        """The team identifier in the certificate (its OU); empty where it has none."""
        return certificates.subject_attribute(self.chain.leaf, NameOID.ORGANIZATIONAL_UNIT_NAME)

    @property
    def sha256(self) -> str:
        """Of the certificate, hex."""
        return hashlib.sha256(to_der(self.chain.leaf)).hexdigest()

    def requirement(self, identifier: str) -> bytes:
        """The designated requirement for a program of that identifier.

        apple-platform-py writes one by itself, but for a root other than Apple's it names the signer's certificate as
        the root, which the file then does not fulfil (measured with 0.1.0).
        """
        if self.chain.pinned:
            return requirements.apple_requirement(identifier, self.team)
        return requirements.root_requirement(identifier, to_der(self.chain.root))


def load_identity(path: Path, password: bytes | None) -> SigningIdentity:
    """Reads a PKCS#12 or PEM file with a key, its certificate, and the certificates above it.

    Args:
        path: the file.
        password: what it is encrypted with, or None.

    Raises:
        ConfigError: it cannot be read, or cannot sign.
    """
    data = _read_file(path, "", "--sign FILE.p12, or FILE.pem")
    if len(data) > FILE_LIMIT:
        raise ConfigError(f"{path} is no file with a certificate and its key", "a .p12 or .pem file")
    try:
        key, found = _parse_pem(data, password) if PEM in data else _parse_p12(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = "it needs a password" if password is None else "the password is wrong, or the file is damaged"
        raise ConfigError(
            f"cannot read the key and certificate in {path}: {reason}",
            "a PKCS#12 or PEM file, and --sign-password-env NAME or --sign-password-file FILE",
        ) from error
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise ConfigError(f"{path} holds no RSA or ECDSA key", "a file with the key of a signing certificate")
    own = next((each for each in found if _public(each) == _public(key)), None)
    if own is None:
        raise ConfigError(f"no certificate in {path} is of the key in it", "export the certificate with its own key")
    chain = _chain(path, own, found)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SigningIdentity(
        chain=chain, pem=secret + b"".join(each.public_bytes(Encoding.PEM) for each in chain.certificates)
    )


def _parse_p12(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    key, own, others = pkcs12.load_key_and_certificates(data, password)
    return key, [*([own] if own else []), *others]


def _parse_pem(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    # A password that is not asked for is an error to cryptography; here it may be meant for a file that was replaced.
    encrypted = b"ENCRYPTED" in data
    return load_pem_private_key(data, password if encrypted else None), x509.load_pem_x509_certificates(data)


def _public(holder: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _chain(path: Path, own: x509.Certificate, found: list[x509.Certificate]) -> Chain:
    """From the signer's certificate to a self-signed one; Apple's root need not stand in the file."""
    roots = [*(to_der(each) for each in found if each.issuer == each.subject), *certificates.apple_roots()]
    search = ChainSearch(others=[to_der(each) for each in found if to_der(each) not in roots], trusted=roots)
    try:
        chain = next(search.chains(to_der(own)), None)
        if chain is None:
            raise search.failure(to_der(own))
    except Malformed as error:
        raise ConfigError(
            f"{path} cannot sign: {error}",
            "export the identity with all certificates up to the root, or append them in PEM",
        ) from error
    return chain


def read_password(variable: str, path: str, environ: Mapping[str, str]) -> bytes | None:
    """The password from a variable, or from a file's first line; None where neither is named.

    It is never a word on a command line.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read.
    """
    if variable:
        if variable not in environ:
            # Not named: it might be the password itself, in the wrong place.
            raise ConfigError(
                "the variable that sign_password_env names is not set",
                "export it; its name goes there, not the password",
            )
        return environ[variable].encode()
    if not path:
        return None
    hint = "--sign-password-file FILE, or --sign-password-env NAME"
    return _read_file(Path(path), "the file with the password, ", hint).split(b"\n", 1)[0].rstrip(b"\r")


def _read_file(path: Path, what: str, hint: str) -> bytes:
    """A file's first bytes, one more than any file of ours has."""
    try:
        with path.expanduser().open("rb") as file:
            return file.read(FILE_LIMIT + 1)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such user"
        raise ConfigError(f"cannot read {what}{path}: {reason}", hint) from error
