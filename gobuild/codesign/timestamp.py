"""RFC 3161 timestamps: a token and the signature it is for come in, the time goes out, or `Malformed`.

Sources: RFC 3161, sections 2.3 and 2.4; RFC 2634 and RFC 5816 for the attribute that names the signer's certificate.
The token is trusted by its own chain, judged at its own time. What it does not do: it asks no server.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from asn1crypto import tsp

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, cms, der
from gobuild.codesign.certificates import Chain

SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
_TAKEN = frozenset(
    {cms.CONTENT_TYPE, cms.MESSAGE_DIGEST, cms.SIGNING_TIME, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2}
)


def read(token: bytes, signature: bytes, *, roots: tuple[bytes, ...]) -> tuple[datetime, Chain]:
    """Checks a token to its last byte.

    Args:
        token: the TimeStampToken, DER.
        signature: the value that it is a timestamp of.
        roots: certificates trusted besides the pinned ones.

    Returns:
        When the signature was there at the latest, in UTC; and who says so.

    Raises:
        Malformed: it is not whole, or not of this signature, or nobody trusted made it.
    """
    found = cms.read(token, cms.TOKEN)
    der.definite(found.content)
    with der.parsing("the timestamp"):
        info = tsp.TSTInfo.load(found.content, strict=True)
        if info["version"].native != "v1":
            raise Malformed(f"the timestamp has version {info['version'].native}")
        if info["extensions"].native:
            raise Malformed("the timestamp has extensions")
        algorithm, imprint = der.children(info["message_imprint"].dump())
        function = cms.hash_function(algorithm, cms.TOKEN)
        digest = hashlib.new(function, signature, usedforsecurity=False).digest()
        if function == "sha1" or der.content(imprint, der.OCTETS) != digest:
            raise Malformed("the timestamp is of another signature")
        at = info["gen_time"].native
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise Malformed("the timestamp has no time")
    if found.unsigned or not _TAKEN.issuperset(found.attributes):
        raise Malformed("the timestamp has attributes that nobody knows")
    _names_its_signer(found.attributes, found.signer)
    chain = certificates.chain(
        found.signer, found.others, roots=roots, at=at.astimezone(UTC), purpose=certificates.TIMESTAMP
    )
    return at.astimezone(UTC), chain


def _names_its_signer(attributes: Mapping[str, tuple[bytes, ...]], signer: bytes) -> None:
    """RFC 3161 wants the signer's certificate named by its hash, so that no other one can be put in its place."""
    named = 0
    for oid, kind, default in (
        (SIGNING_CERTIFICATE, tsp.SigningCertificate, "sha1"),
        (SIGNING_CERTIFICATE_V2, tsp.SigningCertificateV2, "sha256"),
    ):
        for value in attributes.get(oid, ()):
            with der.parsing("the timestamp"):
                first = kind.load(value, strict=True)["certs"][0]
                function = first["hash_algorithm"]["algorithm"].native if default == "sha256" else default
                if first["cert_hash"].native != hashlib.new(function, signer, usedforsecurity=False).digest():
                    raise Malformed("the timestamp names another signer's certificate")
            named += 1
    if not named:
        raise Malformed("the timestamp does not name its signer's certificate")
