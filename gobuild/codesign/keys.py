"""Public keys in certificates: which are taken, and whether one made a signature.

Only primitives of `cryptography` are used here. What it does not do: it judges no certificate.
"""

from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gobuild.binary.view import Malformed

RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def strong(each: x509.Certificate) -> bool:
    """Whether a certificate's key is of a kind and size that is taken."""
    key = each.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES


def check(each: x509.Certificate, signature: bytes, content: bytes, *, algorithm: str) -> None:
    """Checks a signature that a certificate's key made.

    Args:
        each: the signer's certificate.
        signature: PKCS#1 v1.5 for an RSA key, a DER sequence of r and s for ECDSA.
        content: what was signed.
        algorithm: the hash, "sha256".

    Raises:
        Malformed: it does not hold.
    """
    key, digest = each.public_key(), _HASHES[algorithm]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(digest))
        else:
            raise Malformed(f"{each.subject.rfc4514_string()} has a key of an unknown kind")
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as error:
        raise Malformed(f"the signature of {each.subject.rfc4514_string()} does not hold") from error


def kind(each: x509.Certificate) -> str:
    """What kind of key a certificate has: "rsa", "ecdsa", or empty."""
    key = each.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa"
    return "ecdsa" if isinstance(key, ec.EllipticCurvePublicKey) else ""
