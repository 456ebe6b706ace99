"""CMS SignedData with one signer (RFC 5652, sections 5.1 to 5.6 and 11), of which no byte may be another.

Most of it is covered by no signature (versions, algorithms, who signed), so each such byte must follow from the rest.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gobuild.codesign import certificates, der
from gobuild.codesign.der import Value
from gobuild.codesign.problems import BadSignature

CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"
DATA, SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"

DIGESTS: Mapping[str, str] = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
SIGNATURES: Mapping[str, tuple[str, str]] = {
    "1.2.840.113549.1.1.11": ("rsa", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa", "sha512"),
    "1.2.840.10045.4.3.2": ("ecdsa", "sha256"),
    "1.2.840.10045.4.3.3": ("ecdsa", "sha384"),
    "1.2.840.10045.4.3.4": ("ecdsa", "sha512"),
}
"""The kind of key and the hash function of each signature algorithm that names both."""

_NULL = b"\x05\x00"
_VERSION_1 = b"\x02\x01\x01"
_TAG_0, _TAG_1 = 0xA0, 0xA1

Attributes = Mapping[str, tuple[Value, ...]]
"""The values of each attribute, by its object identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CmsProfile:
    """What a SignedData must be; `legacy`: whether SHA-1 and plain rsaEncryption, which names no hash, are taken."""

    name: str
    version: bytes
    content: str
    legacy: bool


CODE = CmsProfile(name="the code signature", version=_VERSION_1, content=DATA, legacy=False)
TOKEN = CmsProfile(name="the timestamp", version=b"\x02\x01\x03", content=TST_INFO, legacy=True)
"""Apple's timestamp server signs with SHA-1 and plain rsaEncryption, measured in every release from 1.21 to 1.27."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """A SignedData whose signature holds; `signer` and `others` are certificates (DER), `unsigned` attributes."""

    content: bytes
    signer: bytes
    others: frozenset[bytes]
    attributes: Attributes
    unsigned: Attributes
    signature: bytes


def parse_signed_data(info: Value, profile: CmsProfile, *, detached: bytes | None = None) -> SignedData:
    """Reads a ContentInfo with SignedData, and checks its signature over its content or the detached one.

    Raises:
        Malformed: it does not hold, or is not as the profile wants it.
    """
    content_type, wrapped = info.members()
    (signed_data,) = wrapped.members(_TAG_0)
    version, digests, encapsulated, *certificates_and_crls, signers = signed_data.members()
    if content_type.oid() != SIGNED_DATA or version.encoded != profile.version:
        raise BadSignature("cms-structure", f"{profile.name} is no SignedData of the version that it should have")
    if len(certificates_and_crls) != 1 or len(signers.members(der.SET)) != 1:
        raise BadSignature("cms-structure", f"{profile.name} has revocation lists, no certificates, or not one signer")
    content = _content(encapsulated, profile, detached)
    found = [each.encoded for each in certificates_and_crls[0].members(_TAG_0)]
    if len(set(found)) != len(found):
        raise BadSignature("cms-structure", f"{profile.name} has a certificate twice")
    return _signer_info(signers.children[0], profile, content, found, digests)


def _content(encapsulated: Value, profile: CmsProfile, detached: bytes | None) -> bytes:
    content_type, *inside = encapsulated.members()
    if content_type.oid() != profile.content or len(inside) != (detached is None):
        raise BadSignature("cms-content", f"{profile.name} has content of another type")
    if detached is not None:
        return detached
    (octets,) = inside[0].members(_TAG_0)
    return octets.octets()


def _signer_info(info: Value, profile: CmsProfile, content: bytes, found: list[bytes], digests: Value) -> SignedData:
    version, issuer_and_serial, digest_algorithm, signed, signature_algorithm, value, *more = info.members()
    if version.encoded != _VERSION_1 or len(more) > 1:
        raise BadSignature("cms-structure", f"{profile.name} has a SignerInfo of another version")
    digest = algorithm(digest_algorithm, DIGESTS, profile)
    if (digest == "sha1" and not profile.legacy) or digests.encoded != der.encode(der.SET, digest_algorithm.encoded):
        raise BadSignature("cms-algorithm", f"{profile.name} is made with {digest}, or names further hash functions")
    attributes = _attributes(signed, _TAG_0, profile)
    if [each.oid() for each in attributes.get(CONTENT_TYPE, ())] != [profile.content]:
        raise BadSignature("cms-content", f"{profile.name} vouches for content of another type")
    hashed = hashlib.new(digest, content, usedforsecurity=False).digest()
    if [each.octets() for each in attributes.get(MESSAGE_DIGEST, ())] != [hashed]:
        raise BadSignature("cms-content", f"{profile.name} is of other content, by its message digest")
    own = certificates.signer_certificate(found, issuer_and_serial.encoded)
    plain = {RSA_ENCRYPTION: "rsa"} if profile.legacy else {}
    known = plain | {oid: kind for oid, (kind, function) in SIGNATURES.items() if function == digest}
    kind = algorithm(signature_algorithm, known, profile)
    signature = value.octets()
    _verify(certificates.parse_certificate(own), kind, signature, der.encode(der.SET, signed.content), digest)
    return SignedData(
        content=content,
        signer=own,
        others=frozenset(found) - {own},
        attributes=attributes,
        unsigned=_attributes(more[0], _TAG_1, profile) if more else {},
        signature=signature,
    )


def _attributes(attributes: Value, tag: int, profile: CmsProfile) -> dict[str, tuple[Value, ...]]:
    found: dict[str, tuple[Value, ...]] = {}
    for each in attributes.members(tag):
        name, values = each.members()
        if name.oid() in found:
            raise BadSignature("cms-attributes", f"{profile.name} has an attribute twice")
        found[name.oid()] = values.members(der.SET)
    return found


def algorithm(identifier: Value, known: Mapping[str, str], profile: CmsProfile) -> str:
    """What the table says of an AlgorithmIdentifier, whose parameters must be NULL or left out; raises Malformed."""
    name, *parameters = identifier.members()
    if name.oid() not in known or [each.encoded for each in parameters] not in ([], [_NULL]):
        raise BadSignature("cms-algorithm", f"{profile.name} has the algorithm {name.oid()}, or parameters to it")
    return known[name.oid()]


def _verify(signer: x509.Certificate, kind: str, signature: bytes, content: bytes, digest: str) -> None:
    key, name = signer.public_key(), signer.subject.rfc4514_string()
    function = getattr(hashes, digest.upper())()
    try:
        if isinstance(key, rsa.RSAPublicKey) and kind == "rsa":
            key.verify(signature, content, padding.PKCS1v15(), function)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
            key.verify(signature, content, ec.ECDSA(function))
        else:
            raise BadSignature("cms-algorithm", f"the signature algorithm is not of {name}'s key")
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as error:
        raise BadSignature("cms-signature", f"the signature of {name} does not hold") from error
