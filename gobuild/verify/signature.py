"""Code signatures, checked strictly: a Mach-O file comes in, a `Signature` with all that is wrong with it goes out.

Sources: XNU's osfmk/kern/cs_blobs.h, Apple's Security framework (codedirectory.h), and Go's own writer,
src/cmd/internal/codesign/codesign.go. Every CodeDirectory is checked to its last page and field: a page hash over
every byte in front of the signature, and a rule for every byte of the signature itself, so that in a file signed
ad hoc no single byte can change unseen. What it does not do: it does not look into the CMS blob of a Developer ID
signature, only that one is there exactly where the flags say so; its certificates vouch for nothing here.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from gobuild.verify.image import MachO
from gobuild.verify.view import Malformed, View

SUPERBLOB, CODE_DIRECTORY, CMS = 0xFADE0CC0, 0xFADE0C02, 0xFADE0B01
CMS_SLOT = 0x10000
ALTERNATES = range(0x1000, 0x1005)
MAGICS = {
    0: CODE_DIRECTORY,
    2: 0xFADE0C01,  # requirements
    5: 0xFADE7171,  # entitlements
    7: 0xFADE7172,  # entitlements as DER
    CMS_SLOT: CMS,
} | dict.fromkeys(ALTERNATES, CODE_DIRECTORY)
"""The blobs that may stand in a signature, by slot. A special slot -N of a CodeDirectory is the hash of blob N."""

HASHES = {1: ("sha1", 20), 2: ("sha256", 32)}
"""The hash types taken, in order of strength. SHA-1 only beside SHA-256; truncated ones and SHA-384 never."""

PAGE_SIZES = {12: 4096, 14: 16384}
VERSIONS = {0x20400: 88, 0x20500: 96}
"""The CodeDirectory versions taken, and the bytes of their fixed part. Older ones lack execSeg, which XNU uses."""

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
SPECIAL_LIMIT = 7


@dataclass(slots=True, kw_only=True)
class Signature:
    """What a signature says, and what is wrong with it. Filled by `read`, and not changed after.

    Attributes:
        flags: the CodeDirectory's.
        identifier, team: as named there; `team` is empty where there is none.
        pages: how many pages have the hash they should.
        problems: one sentence each; none means that the signature holds.
    """

    flags: int = 0
    identifier: str = ""
    team: str = ""
    pages: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Who signed, in words."""
        return KINDS.get(self.flags, f"flags {self.flags:#x}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A part of the signature: its slot, and where it stands in the file."""

    slot: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The fixed part of a CodeDirectory, in the order it is written (cs_blobs.h, struct __CodeDirectory)."""

    magic: int
    length: int
    version: int
    flags: int
    hash_offset: int
    ident_offset: int
    special: int
    slots: int
    limit: int
    hash_size: int
    hash_type: int
    platform: int
    page: int
    spare2: int
    scatter: int
    team_offset: int
    spare3: int
    limit64: int
    text_base: int
    text_limit: int
    text_flags: int


_FIXED = ">9I4B4I4Q"


def read(view: View, image: MachO) -> Signature | None:
    """Checks a file's signature.

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
        strengths = [_directory(view, image, signature, blob, blobs) for blob in directories]
        if strengths != sorted(set(strengths)) or strengths[-1] != max(HASHES):
            signature.problems.append("a CodeDirectory is weaker than, or the same as, one before it")
        signature.problems += _kind(view, signature, blobs)
    except Malformed as error:
        signature.problems.append(str(error))
    return signature


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


def _directory(view: View, image: MachO, signature: Signature, blob: Blob, blobs: list[Blob]) -> int:
    """Checks one CodeDirectory and every hash in it; returns its hash type."""
    view.check(blob.offset, blob.size, "a CodeDirectory")
    values = view.unpack(_FIXED, blob.offset, "a CodeDirectory")
    directory = Directory(**dict(zip(Directory.__dataclass_fields__, values, strict=True)))
    if directory.version not in VERSIONS:
        raise Malformed(f"a CodeDirectory of version {directory.version:#x}")
    if directory.hash_type not in HASHES or directory.hash_size != HASHES[directory.hash_type][1]:
        raise Malformed(f"a CodeDirectory with hash type {directory.hash_type}, {directory.hash_size} bytes each")
    if directory.page not in PAGE_SIZES:
        raise Malformed(f"a CodeDirectory with a page size of 2^{directory.page}")
    signature.problems += _fields(directory, image)
    identifier, team = _texts(view, directory, blob)
    if blob.slot == 0:
        signature.flags, signature.identifier, signature.team = directory.flags, identifier, team
    elif (signature.flags, signature.identifier, signature.team) != (directory.flags, identifier, team):
        signature.problems.append("the CodeDirectories disagree on flags, identifier or team")
    page = PAGE_SIZES[directory.page]
    assert image.signature is not None  # noqa: S101
    limit = image.signature.offset
    if (directory.limit, directory.limit64) != (limit, 0):
        # Counted by the file, not by what the directory says: a lie about the size must not decide what is hashed.
        signature.problems.append(f"the CodeDirectory covers {directory.limit:#x} bytes of {limit:#x}")
    elif directory.slots != -(-limit // page):
        signature.problems.append(f"{directory.slots} page hashes for {-(-limit // page)} pages")
    else:
        _pages(view, signature, directory, blob)
    signature.problems += _special(view, directory, blob, blobs)
    return directory.hash_type


def _fields(directory: Directory, image: MachO) -> Iterator[str]:
    text = image.segment("__TEXT")
    if text and (directory.text_base, directory.text_limit) != (text.offset, text.size):
        yield "the executable segment is not __TEXT"
    if directory.text_flags != 1:
        yield f"executable segment flags {directory.text_flags:#x}, not those of a main binary"
    if directory.scatter:
        yield "a scatter vector, which hides pages"
    if directory.platform or directory.spare2 or directory.spare3:
        yield "fields that should be zero are not"


def _texts(view: View, directory: Directory, blob: Blob) -> tuple[str, str]:
    """The identifier and the team; with the hashes they must fill the CodeDirectory to its last byte."""
    end = blob.offset + VERSIONS[directory.version]
    if directory.version == 0x20500 and view.unpack(">I", end - 4, "a CodeDirectory")[0]:
        raise Malformed("a CodeDirectory with hashes for encrypted pages")
    texts: list[str] = []
    for at in (directory.ident_offset, directory.team_offset):
        if at == 0 and texts:
            texts.append("")
        elif blob.offset + at != end:
            raise Malformed("a CodeDirectory's texts are not where they should be")
        else:
            texts.append(view.name(end, blob.end, "a CodeDirectory's text"))
            end += len(texts[-1].encode()) + 1
    if directory.special > SPECIAL_LIMIT:
        raise Malformed(f"a CodeDirectory with {directory.special} special slots")
    first = blob.offset + directory.hash_offset - directory.special * directory.hash_size
    last = blob.offset + directory.hash_offset + directory.slots * directory.hash_size
    if first != end or last != blob.end or directory.length != blob.size:
        raise Malformed("a CodeDirectory's hashes do not fill it")
    return texts[0], texts[1]


def _pages(view: View, signature: Signature, directory: Directory, blob: Blob) -> None:
    """Hashes the file page by page, without copying it."""
    name, width = HASHES[directory.hash_type]
    page, at = PAGE_SIZES[directory.page], blob.offset + directory.hash_offset
    wrong = []
    with memoryview(view.data) as data:
        for index in range(directory.slots):
            start = index * page
            with data[start : min(start + page, directory.limit)] as content:
                digest = hashlib.new(name, content, usedforsecurity=False).digest()
            if digest != data[at + index * width : at + (index + 1) * width]:
                wrong.append(start)
    signature.pages = directory.slots - len(wrong)
    if wrong:
        places = ", ".join(f"{start:#x}" for start in wrong[:3])
        signature.problems.append(f"{len(wrong)} of {directory.slots} page hashes wrong, from {places}")


def _special(view: View, directory: Directory, blob: Blob, blobs: list[Blob]) -> Iterator[str]:
    """A special slot holds the hash of its blob, exactly if there is one."""
    name, width = HASHES[directory.hash_type]
    others = {each.slot: each for each in blobs if each.slot in range(1, SPECIAL_LIMIT + 1)}
    for slot in range(1, max([directory.special, *others]) + 1):
        expected = bytes(width)
        if slot in others:
            content = view.copy(others[slot].offset, others[slot].size, "a blob")
            expected = hashlib.new(name, content, usedforsecurity=False).digest()
        if slot > directory.special:
            seen = bytes(width)
        else:
            seen = view.copy(blob.offset + directory.hash_offset - slot * width, width, "a special slot")
        if seen != expected:
            yield f"special slot -{slot} does not fit its blob"


def _kind(view: View, signature: Signature, blobs: list[Blob]) -> Iterator[str]:
    """The flags against what is there: an identity needs its CMS, the ad hoc kinds must not have one."""
    if signature.flags not in KINDS:
        yield f"flags {signature.flags:#x}"
    cms = next((blob for blob in blobs if blob.slot == CMS_SLOT), None)
    filled = cms is not None and cms.size > 8
    if signature.flags & AD_HOC:
        if filled:
            yield "ad hoc by its flags, but with a CMS blob"
        if signature.team:
            yield "ad hoc by its flags, but with a team"
    elif not filled:
        yield "by an identity, but without a CMS blob"
    elif cms and view.copy(cms.offset + 8, 1, "the CMS blob") != b"\x30":
        yield "the CMS blob holds no DER sequence"
    linker = bool(signature.flags & LINKER_SIGNED)
    if linker != (signature.identifier == LINKER_IDENTIFIER):
        yield f"flags {signature.flags:#x} with the identifier {signature.identifier!r}"
    if linker and len(blobs) != 1:
        yield "signed by the linker, but with more than a CodeDirectory"
