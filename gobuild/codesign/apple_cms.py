"""The CMS of a code signature made by an identity: whether it is of these CodeDirectories, and who signed.

Sources: Apple's Security framework (signer.cpp and StaticCode.cpp: what is signed, and the two attributes that name
the CodeDirectories), TN3126 and TN3127. Every byte of the CMS is covered by a signature or by a rule here.
"""

import plistlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, chains, cms, der, timestamp
from gobuild.codesign.chains import DEVELOPER_ID, Chain
from gobuild.codesign.cms import SignedData
from gobuild.codesign.codedirectory import CodeDirectory
from gobuild.codesign.der import Value
from gobuild.codesign.problems import BadSignature

CDHASHES, AGILE = "1.2.840.113635.100.9.1", "1.2.840.113635.100.9.2"
TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105  (id-aa-timeStampToken, no secret)
_TAKEN = frozenset({cms.CONTENT_TYPE, cms.MESSAGE_DIGEST, cms.SIGNING_TIME, CDHASHES, AGILE})

LIMIT = 1 << 17
"""Bytes of a CMS; Google's have about 9,000."""

SKEW = timedelta(hours=1)
"""How far the signer's clock may be from the timestamp server's; in Go's releases they differ by up to a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSigner:
    """Who signed, when, and by whose word."""

    chain: Chain
    at: datetime  # in UTC: the timestamp's time, or, without one, the signer's own claim
    stamped_by: str  # the timestamp server's name; empty without a timestamp

    @property
    def summary(self) -> str:
        """Who and when, in words."""
        when = f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        root = certificates.common_name(self.chain.root)
        by = self.chain.name + ("" if self.chain.pinned else f" (root: {root}, trusted by the caller)")
        return f"{by}, {'timestamped' if self.stamped_by else 'no timestamp, by its own word signed'} {when}"


@der.parsing("the code signature")
def verify_cms(data: bytes, directory: CodeDirectory, *, roots: tuple[bytes, ...] = ()) -> CodeSigner:
    """Checks the content of a signature's CMS blob to its last byte; raises Malformed.

    `roots` are certificates (DER) trusted besides the pinned ones.
    """
    if len(data) > LIMIT:
        raise Malformed(f"a code signature of {len(data)} bytes")
    info = der.parse_ber(data)
    if data not in (info.encoded, _streamed(info)):
        raise Malformed("the code signature is written neither in DER nor as Apple's encoder does")
    found = cms.parse_signed_data(info, cms.CODE, detached=directory.content)
    if found.attributes.keys() != _TAKEN:
        raise BadSignature("cms-attributes", "the code signature's signed attributes are not Apple's five")
    _require_named(found, directory)
    (claimed,) = found.attributes[cms.SIGNING_TIME]
    at, server = _timestamped(found, claimed.time(), roots)
    chain = chains.find_chain(found.signer, found.others, roots=roots, at=at, purpose=DEVELOPER_ID)
    if server is None and chain.pinned:
        raise BadSignature("missing-timestamp", "signed under Apple's root, but without a timestamp: nothing says when")
    if (chain.pinned or directory.team) and (not directory.team or chain.team != directory.team):
        named, unit = directory.team or "not named", chain.team or "none"
        raise BadSignature("wrong-team", f"the team is {named}, and the signer's certificate is of {unit}")
    return CodeSigner(chain=chain, at=at, stamped_by=server.name if server else "")


def _streamed(info: Value) -> bytes:
    """The same as Apple's streaming encoder writes it (libsecurity_smime): the four outermost lengths are left open."""
    content_type, wrapped = info.members()
    (signed_data,) = wrapped.children
    version, digests, encapsulated, *more = signed_data.members()
    inner = version.encoded + digests.encoded + _indefinite(encapsulated.tag, encapsulated.content)
    inner += b"".join(each.encoded for each in more)
    return _indefinite(info.tag, content_type.encoded + _indefinite(wrapped.tag, _indefinite(signed_data.tag, inner)))


def _indefinite(tag: int, content: bytes) -> bytes:
    return bytes((tag, der.INDEFINITE)) + content + b"\0\0"


def _timestamped(found: SignedData, claimed: datetime, roots: tuple[bytes, ...]) -> tuple[datetime, Chain | None]:
    """When it was signed, by the timestamp's chain; by the signer's own word where there is none."""
    if not found.unsigned:
        return claimed, None
    if found.unsigned.keys() != {TOKEN} or len(found.unsigned[TOKEN]) != 1:
        raise BadSignature("cms-attributes", "the code signature has unsigned attributes besides one timestamp")
    at, chain = timestamp.verify_timestamp(found.unsigned[TOKEN][0], found.signature, roots=roots)
    if abs(at - claimed) > SKEW:
        times = f"timestamped at {at:%Y-%m-%d %H:%M:%S}, but signed, it says, at {claimed:%Y-%m-%d %H:%M:%S}"
        raise BadSignature("timestamp-skew", times)
    return at, chain


def _require_named(found: SignedData, directory: CodeDirectory) -> None:
    """Two attributes must name the CodeDirectory: a property list by its cdhash, the other by the whole hash."""
    (listed,) = found.attributes[CDHASHES]
    (agile,) = found.attributes[AGILE]
    function, digest = agile.members()
    cdhashes = plistlib.loads(listed.octets(), fmt=plistlib.FMT_XML)
    named = (cms.DIGESTS.get(function.oid()), digest.octets())
    if cdhashes != {"cdhashes": [directory.cdhash]} or named != ("sha256", directory.digest):
        raise BadSignature("wrong-cdhash", "the signed hashes are not those of the CodeDirectory in the file")
