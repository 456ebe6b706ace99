"""Signing identities: a certificate with its key and the chain above it, from a PKCS#12 or PEM file.

What would make the signature useless is found here, before any work; validity and trust are for verify, on the result.
"""

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

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates
from gobuild.codesign.certificates import to_der
from gobuild.codesign.chains import Chain, search_chains
from gobuild.core.errors import ConfigError

PEM = b"-----BEGIN "


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIdentity:
    """A certificate that can sign; `pem` is its key, unencrypted, and the chain: never shown, never in a file."""

    chain: Chain
    pem: bytes = field(repr=False)


def load_identity(path: Path, password: bytes | None) -> SigningIdentity:
    """Reads a PKCS#12 or PEM file with a key, its certificate, and the certificates above it.

    Raises:
        ConfigError: it cannot be read, or cannot sign.
    """
    data = _read_file(path, "", "--sign FILE.p12, or FILE.pem")
    try:
        key, found = _key_and_certificates(data, password)
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
    # Apple's root need not stand in the file.
    roots = [*(to_der(each) for each in found if each.issuer == each.subject), *certificates.apple_roots()]
    try:
        chain = next(search_chains(to_der(own), [each for each in map(to_der, found) if each not in roots], roots))
    except Malformed as error:
        raise ConfigError(
            f"{path} cannot sign: {error}",
            "export the identity with all certificates up to the root, or append them in PEM",
        ) from error
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = b"".join(each.public_bytes(Encoding.PEM) for each in chain.certificates)
    return SigningIdentity(chain=chain, pem=secret + public)


def _key_and_certificates(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    if PEM not in data:
        key, own, others = pkcs12.load_key_and_certificates(data, password)
        return key, [own, *others] if own else others
    # A password that is not asked for is an error to cryptography; here it may be meant for a file that was replaced.
    encrypted = b"ENCRYPTED" in data
    return load_pem_private_key(data, password if encrypted else None), x509.load_pem_x509_certificates(data)


def _public(holder: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read_password(variable: str, path: str, environ: Mapping[str, str]) -> bytes | None:
    """The password from a variable, or from a file's first line; None where neither is named.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read.
    """
    if variable:
        if variable not in environ:
            # Not named: it might be the password itself, in the wrong place.
            hint = "export it; its name goes there, not the password"
            raise ConfigError("the variable that sign_password_env names is not set", hint)
        return environ[variable].encode()
    if not path:
        return None
    hint = "--sign-password-file FILE, or --sign-password-env NAME"
    return _read_file(Path(path), "the file with the password, ", hint).split(b"\n", 1)[0].rstrip(b"\r")


def _read_file(path: Path, what: str, hint: str) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {what}{path}: {error.strerror}", hint) from error
