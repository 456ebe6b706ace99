"""RFC 3161 timestamps: whether a token is of a signature, and when it was made.

Sources: RFC 3161, sections 2.3 and 2.4; RFC 2634 and RFC 5816 for the attribute that names the signer's certificate.
"""

import hashlib
from datetime import datetime

from gobuild.codesign import chains, cms, der
from gobuild.codesign.chains import Chain
from gobuild.codesign.der import Value
from gobuild.codesign.problems import BadSignature

SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"

_OPTIONAL = frozenset({der.SEQUENCE, der.BOOLEAN, der.INTEGER, 0xA0})
"""The tags of accuracy, ordering, nonce and tsa. An extension, [1], might mean anything."""


@der.parsing("the timestamp")
def verify_timestamp(token: Value, signature: bytes, *, roots: tuple[bytes, ...]) -> tuple[datetime, Chain]:
    """Checks a signature's TimeStampToken to its last byte: its time in UTC, and the chain, judged at that time.

    Raises:
        Malformed: it is not whole, or not of this signature, or nobody trusted made it.
    """
    found = cms.parse_signed_data(token, cms.TOKEN)
    version, _policy, imprint, _serial, time, *more = der.parse_der(found.content).members()
    if version.octets(der.INTEGER) != b"\x01" or not _OPTIONAL.issuperset(each.tag for each in more):
        raise BadSignature("timestamp-structure", "the timestamp has another version, or extensions")
    algorithm, hashed = imprint.members()
    function = cms.algorithm(algorithm, cms.DIGESTS, cms.TOKEN)
    if function == "sha1" or hashed.octets() != hashlib.new(function, signature).digest():
        raise BadSignature("timestamp-mismatch", "the timestamp is of another signature")
    if found.unsigned:
        raise BadSignature("timestamp-structure", "the timestamp has attributes that nobody signed")
    _require_signer_named(found)
    at = time.time()
    return at, chains.find_chain(found.signer, found.others, roots=roots, at=at, purpose=chains.TIMESTAMP)


def _require_signer_named(token: cms.SignedData) -> None:
    """RFC 3161 wants the signer's certificate named by its hash, so that no other one can be put in its place."""
    named = [(each, "sha1") for each in token.attributes.get(SIGNING_CERTIFICATE, ())]
    named += [(each, "sha256") for each in token.attributes.get(SIGNING_CERTIFICATE_V2, ())]
    if not named:
        raise BadSignature("timestamp-signer", "the timestamp does not name its signer's certificate")
    for value, default in named:
        function, hashed = default, value.members()[0].members()[0].members()
        if hashed[0].tag == der.SEQUENCE:  # ESSCertIDv2 may name another hash function
            function, hashed = cms.algorithm(hashed[0], cms.DIGESTS, cms.TOKEN), hashed[1:]
        if hashed[0].octets() != hashlib.new(function, token.signer, usedforsecurity=False).digest():
            raise BadSignature("timestamp-signer", "the timestamp names another signer's certificate")
