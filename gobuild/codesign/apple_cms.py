"""The CMS of a code signature made by an identity: it and the CodeDirectories come in, who signed goes out.

Sources: Apple's Security framework (signer.cpp and StaticCode.cpp: what is signed, and the two attributes that name
the CodeDirectories), TN3126 and TN3127; measured on the binaries of Go's own releases. Every byte of the CMS is covered
by a signature, by a certificate's, or by a rule here; the certificates must lead to Apple's pinned root, or to one that
the caller trusts, and are judged at the time that a timestamp proves. What it does not do: it asks nobody about
revocation or notarization.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asn1crypto import core
from cryptography.x509.oid import NameOID

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, cms, der, plists, timestamp
from gobuild.codesign.certificates import DEVELOPER_ID, Chain
from gobuild.codesign.cms import Signed

CDHASHES, AGILE = "1.2.840.113635.100.9.1", "1.2.840.113635.100.9.2"
TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105  (id-aa-timeStampToken, no secret)
_TAKEN = frozenset({cms.CONTENT_TYPE, cms.MESSAGE_DIGEST, cms.SIGNING_TIME, CDHASHES, AGILE})

CDHASH = 20
"""Bytes of a CodeDirectory's hash that the property list names (cs_blobs.h, CS_CDHASH_LEN)."""

LIMIT = 1 << 17
"""Bytes of a CMS; Google's have about 9,000."""

SKEW = timedelta(hours=1)
"""How far the signer's clock may be from the timestamp server's. In Go's releases they differ by up to a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, when, and by whose word.

    Attributes:
        name: the common name of the signer's certificate.
        team: the team identifier in it (its OU); empty where it has none.
        at: when, in UTC: the timestamp's time, or, without one, the signer's own claim.
        stamped_by: the timestamp server's name; empty without a timestamp.
        root: the name of the root that the chain ends at.
        chain: the certificates, from the signer's on.
    """

    name: str
    team: str
    at: datetime
    stamped_by: str
    root: str
    chain: Chain

    @property
    def pinned(self) -> bool:
        """Whether the root is Apple's, pinned here, and not one that only the caller trusts."""
        return bool(self.chain.pinned)

    @property
    def told(self) -> str:
        """Who and when, in words."""
        when = f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        by = self.name if self.pinned else f"{self.name} (root: {self.root}, trusted by the caller)"
        return f"{by}, {'timestamped' if self.stamped_by else 'no timestamp, by its own word signed'} {when}"


def read(data: bytes, directories: Sequence[tuple[str, bytes]], *, team: str, roots: tuple[bytes, ...] = ()) -> Signer:
    """Checks the content of a signature's CMS blob to its last byte.

    Args:
        data: what stands in the blob behind its header.
        directories: the CodeDirectories, the one in slot 0 first: the hash function each uses, and its bytes.
        team: the team identifier that they name.
        roots: certificates (DER) trusted besides the pinned ones.

    Raises:
        Malformed: it does not hold.
    """
    if len(data) > LIMIT:
        raise Malformed(f"a code signature of {len(data)} bytes")
    found = cms.read(der.definite(data, streamed=True), cms.CODE, detached=directories[0][1])
    if found.attributes.keys() != _TAKEN:
        raise Malformed("the code signature's signed attributes are not Apple's five")
    _plist(found.attributes[CDHASHES], directories)
    _agile(found.attributes[AGILE], directories)
    claimed = _time(found.attributes[cms.SIGNING_TIME])
    at, server = _stamped(found, claimed, roots)
    chain = certificates.chain(found.signer, found.others, roots=roots, at=at, purpose=DEVELOPER_ID)
    if server is None and chain.pinned:
        raise Malformed("signed under Apple's root, but without a timestamp: nothing says when")
    unit = certificates.text(chain.leaf, NameOID.ORGANIZATIONAL_UNIT_NAME)
    if (chain.pinned or team) and (not team or unit != team):
        raise Malformed(f"the team is {team or 'not named'}, and the signer's certificate is of {unit or 'none'}")
    return Signer(
        name=certificates.common_name(chain.leaf),
        team=unit,
        at=at,
        stamped_by=certificates.common_name(server.leaf) if server else "",
        root=chain.pinned or certificates.common_name(chain.root),
        chain=chain,
    )


def _stamped(found: Signed, claimed: datetime, roots: tuple[bytes, ...]) -> tuple[datetime, Chain | None]:
    """When it was signed, by the timestamp; by the signer's own word where there is none."""
    if not found.unsigned:
        return claimed, None
    if found.unsigned.keys() != {TOKEN} or len(found.unsigned[TOKEN]) != 1:
        raise Malformed("the code signature has unsigned attributes besides one timestamp")
    at, chain = timestamp.read(found.unsigned[TOKEN][0], found.signature, roots=roots)
    if abs(at - claimed) > SKEW:
        raise Malformed(f"timestamped at {at:%Y-%m-%d %H:%M:%S}, but signed, it says, at {claimed:%Y-%m-%d %H:%M:%S}")
    return at, chain


def _time(values: tuple[bytes, ...]) -> datetime:
    with der.parsing("the signing time"):
        (value,) = values
        kind = core.UTCTime if value[0] == der.UTC_TIME else core.GeneralizedTime
        found = kind.load(value, strict=True).native
        if not isinstance(found, datetime):
            raise Malformed("the signing time is no time")
        return found.astimezone(UTC)


def _plist(values: tuple[bytes, ...], directories: Sequence[tuple[str, bytes]]) -> None:
    """The property list that names every CodeDirectory by the first 20 bytes of its hash."""
    if len(values) != 1:
        raise Malformed("two lists of CodeDirectories")
    found = plists.dictionary(der.content(values[0], der.OCTETS), "the list of CodeDirectories")
    expected = [cdhash(function, content) for function, content in directories]
    if found != {"cdhashes": expected}:
        raise Malformed("the signed list of CodeDirectories is not of those in the file")


def _agile(values: tuple[bytes, ...], directories: Sequence[tuple[str, bytes]]) -> None:
    """The attribute that names every CodeDirectory by its whole hash, and the hash function."""
    seen = []
    for value in values:
        name, digest = der.children(value)
        if value[0] != der.SEQUENCE:
            raise Malformed("the signed hashes of the CodeDirectories cannot be read")
        seen.append((str(core.ObjectIdentifier.load(name).dotted), der.content(digest, der.OCTETS)))
    names = {function: oid for oid, function in cms.DIGESTS.items()}
    expected = [(names[function], _hash(function, content)) for function, content in directories]
    if sorted(seen) != sorted(expected):
        raise Malformed("the signed hashes are not those of the CodeDirectories in the file")


def cdhash(function: str, directory: bytes) -> bytes:
    """A CodeDirectory's hash as macOS names code by it: the first 20 bytes."""
    return _hash(function, directory)[:CDHASH]


def _hash(function: str, content: bytes) -> bytes:
    return hashlib.new(function, content, usedforsecurity=False).digest()
