"""CMS SignedData with one signer: its bytes come in, and what the signer vouched for goes out, or `Malformed`.

Sources: RFC 5652, sections 5.1 to 5.6 and 11; measured on the signatures and timestamps in Go's own releases. Most of a
SignedData is covered by no signature (versions, algorithms, who signed, the certificates' order), so each such byte
must be the one that follows from the rest. asn1crypto takes the structure apart; since it is lenient, `der` has
walked every byte before. What it does not do: it judges no certificate, only the signature made by one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from asn1crypto import cms, core

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, der, keys

CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"
DATA, SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"

DIGESTS: Mapping[str, str] = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
"""The hash functions known, by their object identifiers."""

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
SIGNATURES: Mapping[str, tuple[str, str]] = {
    "1.2.840.113549.1.1.11": ("rsa", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa", "sha512"),
    "1.2.840.10045.4.3.2": ("ecdsa", "sha256"),
    "1.2.840.10045.4.3.3": ("ecdsa", "sha384"),
    "1.2.840.10045.4.3.4": ("ecdsa", "sha512"),
}
"""The signature algorithms that name their hash function: the kind of key, and that function."""

_NULL = b"\x05\x00"
_UNIVERSAL_SET, _CERTIFICATE = b"\x31", 0x30


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a SignedData must be.

    Attributes:
        name: in words.
        version: SignedData's version, which follows from what it holds (RFC 5652, section 5.1).
        content: the content's type.
        digests: the hash functions that the signer may use.
        plain: the hash functions for which the signature algorithm may be plain rsaEncryption.
    """

    name: str
    version: str
    content: str
    digests: frozenset[str]
    plain: frozenset[str]


_STRONG = frozenset({"sha256", "sha384", "sha512"})
CODE = Kind(name="the code signature", version="v1", content=DATA, digests=_STRONG, plain=frozenset())
TOKEN = Kind(name="the timestamp", version="v3", content=TST_INFO, digests=_STRONG | {"sha1"}, plain=_STRONG | {"sha1"})
"""Apple's timestamp server signs with SHA-1 and plain rsaEncryption, measured in every release from 1.21 to 1.27."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A SignedData whose signature holds.

    Attributes:
        content: what was signed.
        digest: the signer's hash function.
        signer: the signer's certificate, DER.
        others: the other certificates.
        attributes: the signed attributes, by object identifier: their values, DER.
        unsigned: the unsigned attributes.
        signature: its value.
    """

    content: bytes
    digest: str
    signer: bytes
    others: frozenset[bytes]
    attributes: Mapping[str, tuple[bytes, ...]]
    unsigned: Mapping[str, tuple[bytes, ...]]
    signature: bytes


def read(data: bytes, kind: Kind, *, detached: bytes | None = None) -> Signed:
    """Checks a ContentInfo with SignedData.

    Args:
        data: it, in DER (see `der.definite`).
        kind: what it must be.
        detached: what was signed, where that does not stand in the structure itself.

    Raises:
        Malformed: it is not what it must be, or the signature does not hold.
    """
    with der.parsing(kind.name):
        info = cms.ContentInfo.load(data, strict=True)
        if info["content_type"].dotted != SIGNED_DATA:
            raise Malformed(f"{kind.name} holds no SignedData")
        whole = info["content"]
        if whole["version"].native != kind.version:
            raise Malformed(f"{kind.name} has version {whole['version'].native}")
        content = _content(whole, kind, detached)
        if len(whole["signer_infos"]) != 1 or not isinstance(whole["crls"], core.Void):
            raise Malformed(f"{kind.name} has {len(whole['signer_infos'])} signers, or revocation lists")
        (signer,) = whole["signer_infos"]
        digest = _algorithm(signer["digest_algorithm"].dump(), DIGESTS, kind)
        if digest not in kind.digests:
            raise Malformed(f"{kind.name} is made with {digest}")
        if der.children(whole["digest_algorithms"].dump(), der.SET) != [signer["digest_algorithm"].dump()]:
            raise Malformed(f"{kind.name} names other hash functions than its signer's")
        return _signer(whole, signer, kind, content, digest)


def _content(whole: core.Sequence, kind: Kind, detached: bytes | None) -> bytes:
    """What was signed: from inside the structure, or given."""
    parts = der.children(whole["encap_content_info"].dump())
    if _oid(parts[0]) != kind.content or len(parts) != (1 if detached is not None else 2):
        raise Malformed(f"{kind.name} has content of another type")
    if detached is not None:
        return detached
    (inner,) = der.children(parts[1], 0xA0)
    return der.content(inner, der.OCTETS)


def _signer(whole: core.Sequence, signer: core.Sequence, kind: Kind, content: bytes, digest: str) -> Signed:
    """Checks SignerInfo, down to the signature itself."""
    if signer["version"].native != "v1" or signer["sid"].name != "issuer_and_serial_number":
        raise Malformed(f"{kind.name} names its signer in another way than by issuer and serial number")
    found = [each.dump() for each in whole["certificates"]]
    if len(set(found)) != len(found) or any(each[0] != _CERTIFICATE for each in found):
        raise Malformed(f"{kind.name} has a certificate twice, or one of another kind")
    name = signer["sid"].chosen
    own = certificates.select(found, issuer=name["issuer"].dump(), serial=name["serial_number"].native)
    attributes = _attributes(signer["signed_attrs"].dump(), kind)
    if attributes.get(CONTENT_TYPE) != (core.ObjectIdentifier(kind.content).dump(),):
        raise Malformed(f"{kind.name} vouches for content of another type")
    expected = core.OctetString(hashlib.new(digest, content, usedforsecurity=False).digest()).dump()
    if attributes.get(MESSAGE_DIGEST) != (expected,):
        raise Malformed(f"{kind.name} is of other content: its message digest is not that of what it signs")
    key = certificates.certificate(own)
    _fits(signer["signature_algorithm"].dump(), kind, keys.kind(key), digest)
    signature = signer["signature"].native
    signed = _UNIVERSAL_SET + signer["signed_attrs"].dump()[1:]
    keys.check(key, signature, signed, algorithm=digest)
    unsigned = signer["unsigned_attrs"]
    return Signed(
        content=content,
        digest=digest,
        signer=own,
        others=frozenset(found) - {own},
        attributes=attributes,
        unsigned={} if isinstance(unsigned, core.Void) else _attributes(unsigned.dump(), kind),
        signature=signature,
    )


def _attributes(data: bytes, kind: Kind) -> dict[str, tuple[bytes, ...]]:
    """The attributes of a SET OF Attribute; DER wants them, and each one's values, sorted."""
    found: dict[str, tuple[bytes, ...]] = {}
    attributes = der.children(data, data[0])  # [0] or [1], which asn1crypto has looked at
    for each in attributes:
        name, values = der.children(each)
        inner = der.children(values, der.SET)
        if not inner or inner != sorted(inner) or _oid(name) in found:
            raise Malformed(f"{kind.name} has an attribute twice, or one without a value")
        found[_oid(name)] = tuple(inner)
    if attributes != sorted(attributes):
        raise Malformed(f"{kind.name} has attributes that are not in DER's order")
    return found


def _oid(data: bytes) -> str:
    der.content(data, der.OID)
    return str(core.ObjectIdentifier.load(data).dotted)


def _algorithm(data: bytes, known: Mapping[str, str], kind: Kind) -> str:
    """An AlgorithmIdentifier of the table, with NULL or nothing for parameters."""
    name, *parameters = der.children(data)
    if _oid(name) not in known or parameters not in ([], [_NULL]):
        raise Malformed(f"{kind.name} has the algorithm {_oid(name)}, or parameters to it")
    return known[_oid(name)]


def hash_function(data: bytes, kind: Kind) -> str:
    """The hash function that an AlgorithmIdentifier names."""
    return _algorithm(data, DIGESTS, kind)


def _fits(data: bytes, kind: Kind, key: str, digest: str) -> None:
    """Requires that the signature algorithm is of the key and of the hash function."""
    plain = {RSA_ENCRYPTION: "rsa"} if digest in kind.plain else {}
    known = {oid: each for oid, (each, function) in SIGNATURES.items() if function == digest}
    if _algorithm(data, known | plain, kind) != key:
        raise Malformed(f"{kind.name} has a signature algorithm that is not of the signer's key")
