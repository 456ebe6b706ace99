"""Code signatures, checked strictly: a Mach-O file comes in, a `Signature` with all that is wrong with it goes out.

Sources: XNU's osfmk/kern/cs_blobs.h, Apple's Security framework (codedirectory.h), and Go's own writer,
src/cmd/internal/codesign/codesign.go. Every CodeDirectory is checked to its last page and field: a page hash over
every byte in front of the signature, and a rule for every byte of the signature itself, so that no single byte can
change unseen; where an identity signed, `cms` checks its signature over the CodeDirectories, down to a trusted root.
What it does not do: it asks nobody whether a certificate was revoked or the file notarized.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Malformed, View
from gobuild.codesign import apple_cms, codedirectory, der, entitlements, requirements
from gobuild.codesign.apple_cms import Signer
from gobuild.codesign.codedirectory import HASHES, Blob, CodeDirectory
from gobuild.codesign.requirements import Code

SUPERBLOB, CODE_DIRECTORY, CMS = 0xFADE0CC0, 0xFADE0C02, 0xFADE0B01
REQUIREMENTS, ENTITLEMENTS, ENTITLEMENTS_DER, CMS_SLOT = 2, 5, 7, 0x10000
HEADER = 8
"""Bytes of a blob's magic and length."""

ALTERNATES = range(0x1000, 0x1005)
MAGICS = {
    0: CODE_DIRECTORY,
    REQUIREMENTS: requirements.SET,
    ENTITLEMENTS: entitlements.PLIST,
    ENTITLEMENTS_DER: entitlements.DER,
    CMS_SLOT: CMS,
} | dict.fromkeys(ALTERNATES, CODE_DIRECTORY)
"""The blobs that may stand in a signature, by slot. A special slot -N of a CodeDirectory is the hash of blob N."""

AD_HOC, RUNTIME, LINKER_SIGNED = 0x2, 0x10000, 0x20000
KINDS = {
    AD_HOC | LINKER_SIGNED: "ad hoc, by the linker",
    AD_HOC: "ad hoc",
    AD_HOC | RUNTIME: "ad hoc, hardened runtime",
    0: "by an identity",
    RUNTIME: "by an identity, hardened runtime",
}
"""The flags taken. Others loosen or tighten what the kernel does in ways that no Go toolchain asks for."""

LINKER_IDENTIFIER = "a.out"
"""What Go's linker calls every program (src/cmd/link/internal/ld/macho.go, machoCodeSigSym)."""

BLOBS_LIMIT = 16
SLACK_LIMIT = 1 << 20


@dataclass(slots=True, kw_only=True)
class Signature:
    """What a signature says, and what is wrong with it. Filled by `read`, and not changed after.

    Attributes:
        flags: the CodeDirectory's.
        identifier, team: as named there; `team` is empty where there is none.
        pages: how many pages have the hash they should.
        signer: who signed, where an identity did and its signature holds; None for a signature made ad hoc.
        requirement: the designated requirement, in Apple's language; empty where there is none.
        entitlements: the names of what the file asks the system for.
        problems: one sentence each; none means that the signature holds.
    """

    flags: int = 0
    identifier: str = ""
    team: str = ""
    pages: int = 0
    signer: Signer | None = None
    requirement: str = ""
    entitlements: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """How it was signed, and by whom, in words."""
        how = KINDS.get(self.flags, f"flags {self.flags:#x}")
        asked = f", entitlements {' '.join(self.entitlements)}" if self.entitlements else ""
        return how + (f": {self.signer.told}" if self.signer else "") + asked


def read(view: View, image: MachO, *, roots: tuple[bytes, ...] = ()) -> Signature | None:
    """Checks a file's signature.

    Args:
        view: the file.
        image: its headers.
        roots: certificates (DER) that an identity's chain may end at, besides Apple's pinned root.

    Returns:
        The signature; None where the file has none.
    """
    if not image.signature:
        return None
    signature = Signature()
    try:
        blobs = _blobs(view, image, signature)
        directories = [blob for blob in blobs if MAGICS.get(blob.slot) == CODE_DIRECTORY]
        if not blobs or blobs[0].slot != 0:
            raise Malformed("the first blob is no CodeDirectory")
        found = [codedirectory.read(view, image, blob, blobs) for blob in directories]
        strengths = [each.hash_type for each in found]
        signature.problems += _agree(signature, found)
        if strengths != sorted(set(strengths)) or strengths[-1] != max(HASHES):
            signature.problems.append("a CodeDirectory is weaker than, or the same as, one before it")
        signature.problems += _kind(signature, blobs)
        contents = {blob.slot: view.copy(blob.offset, blob.size, "a blob") for blob in blobs}
        hashed = [(HASHES[kind][0], contents[blob.slot]) for kind, blob in zip(strengths, directories, strict=True)]
        _vouched(signature, contents, hashed, roots)
    except Malformed as error:
        signature.problems.append(str(error))
    return signature


def _agree(signature: Signature, found: list[CodeDirectory]) -> Iterator[str]:
    """Takes over what the first CodeDirectory says; the others must say the same."""
    first = found[0]
    signature.flags, signature.identifier, signature.team = first.flags, first.identifier, first.team
    signature.pages = found[-1].pages
    for each in found:
        yield from each.problems
        if (each.flags, each.identifier, each.team) != (first.flags, first.identifier, first.team):
            yield "the CodeDirectories disagree on flags, identifier or team"


def _vouched(
    signature: Signature, contents: dict[int, bytes], directories: list[tuple[str, bytes]], roots: tuple[bytes, ...]
) -> None:
    """What stands around the CodeDirectories: the identity's signature over them, requirements, entitlements.

    Raises:
        Malformed: one of them is not as it should be.
    """
    others = [slot for slot in contents if MAGICS[slot] != CODE_DIRECTORY]
    if any(len(contents[slot]) > SLACK_LIMIT for slot in others):
        raise Malformed("a blob that is larger than any signer makes one")
    blob = contents.get(CMS_SLOT, b"")
    if not signature.flags & AD_HOC and len(blob) > HEADER:
        with der.parsing("the code signature"):
            signature.signer = apple_cms.read(blob[HEADER:], directories, team=signature.team, roots=roots)
    asked = entitlements.read(contents.get(ENTITLEMENTS), contents.get(ENTITLEMENTS_DER))
    signature.entitlements = tuple(sorted(asked))
    if REQUIREMENTS in contents:
        code = Code(
            identifier=signature.identifier,
            cdhashes=[apple_cms.cdhash(function, content) for function, content in directories],
            chain=signature.signer.chain if signature.signer else None,
        )
        with der.parsing("the requirements"):
            signature.requirement = requirements.check(contents[REQUIREMENTS], code)


def _blobs(view: View, image: MachO, signature: Signature) -> list[Blob]:
    """The SuperBlob's parts, and everything about their order and the bytes between them."""
    place = image.signature
    assert place is not None  # noqa: S101  (read has looked)
    magic, length, count = view.unpack(">3I", place.offset, "the signature")
    if magic != SUPERBLOB:
        raise Malformed(f"the signature begins with {magic:#x}, which is no SuperBlob")
    if not 0 < count <= BLOBS_LIMIT:
        raise Malformed(f"{count} blobs in the signature")
    if length > place.size:
        raise Malformed("the SuperBlob is longer than its load command says")
    if place.offset % 16:
        signature.problems.append("the signature is not aligned to 16 bytes")
    if place.end != view.size:
        signature.problems.append("the signature does not end the file")
    if place.size - length > SLACK_LIMIT or not view.zero(place.offset + length, place.end):
        signature.problems.append("bytes behind the SuperBlob")
    blobs: list[Blob] = []
    end = place.offset + 12 + 8 * count
    for index in range(count):
        slot, at = view.unpack(">II", place.offset + 12 + 8 * index, "a blob's index")
        magic, size = view.unpack(">II", place.offset + at, "a blob")
        blob = Blob(slot=slot, offset=place.offset + at, size=size)
        if MAGICS.get(slot) != magic:
            raise Malformed(f"the blob in slot {slot:#x} has magic {magic:#x}")
        if blob.offset < end or size < 8 or blob.end > place.offset + length:
            raise Malformed(f"the blob in slot {slot:#x} overlaps another or leaves the SuperBlob")
        if slot in {each.slot for each in blobs}:
            raise Malformed(f"two blobs in slot {slot:#x}")
        if blob.offset - end >= 16 or not view.zero(end, blob.offset):
            signature.problems.append(f"bytes before the blob in slot {slot:#x}")
        blobs.append(blob)
        end = blob.end
    if end != place.offset + length:
        signature.problems.append("the SuperBlob does not end at its last blob")
    return blobs


def _kind(signature: Signature, blobs: list[Blob]) -> Iterator[str]:
    """The flags against what is there: an identity needs its CMS, the ad hoc kinds must not have one."""
    if signature.flags not in KINDS:
        yield f"flags {signature.flags:#x}"
    filled = any(blob.slot == CMS_SLOT and blob.size > HEADER for blob in blobs)
    if signature.flags & AD_HOC:
        if filled:
            yield "ad hoc by its flags, but with a CMS blob"
        if signature.team:
            yield "ad hoc by its flags, but with a team"
    elif not filled:
        yield "by an identity, but without a CMS blob"
    linker = bool(signature.flags & LINKER_SIGNED)
    if linker != (signature.identifier == LINKER_IDENTIFIER):
        yield f"flags {signature.flags:#x} with the identifier {signature.identifier!r}"
    if linker and len(blobs) != 1:
        yield "signed by the linker, but with more than a CodeDirectory"
