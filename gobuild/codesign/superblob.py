"""Code signatures: the SuperBlob at the end of a Mach-O file, checked so that no byte of the file changes unseen.

Sources: XNU's osfmk/kern/cs_blobs.h and Go's own writer, src/cmd/internal/codesign/codesign.go. A page hash covers
every byte in front of the signature, a rule every byte of the signature itself.
"""

import plistlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Malformed, Range, View
from gobuild.codesign import apple_cms, codedirectory, der, requirements
from gobuild.codesign.apple_cms import CodeSigner
from gobuild.codesign.codedirectory import CodeDirectory
from gobuild.codesign.problems import BadSignature, problem_of
from gobuild.core.model import Problem

SUPERBLOB, CODE_DIRECTORY, CMS = 0xFADE0CC0, 0xFADE0C02, 0xFADE0B01
ENTITLEMENTS, ENTITLEMENTS_DER = 0xFADE7171, 0xFADE7172
REQUIREMENTS_SLOT, ENTITLEMENTS_SLOT, ENTITLEMENTS_DER_SLOT, CMS_SLOT = 2, 5, 7, 0x10000
HEADER = 8
"""Bytes of a blob's magic and length."""

MAGICS = {
    0: CODE_DIRECTORY,
    REQUIREMENTS_SLOT: requirements.SET,
    ENTITLEMENTS_SLOT: ENTITLEMENTS,
    ENTITLEMENTS_DER_SLOT: ENTITLEMENTS_DER,
    CMS_SLOT: CMS,
}
"""The blobs that may stand in a signature, by slot; the CodeDirectory's special slot -N is the hash of blob N.
Alternate CodeDirectories (0x1000 and on) are for systems older than any that Go's programs run on."""

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

SLACK_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a signature says, and what is wrong with it."""

    directory: CodeDirectory | None = None  # None where it cannot be read
    signer: CodeSigner | None = None  # None for a signature made ad hoc, or one that does not hold
    requirement: str = ""  # the designated requirement, in Apple's language; empty where there is none
    entitlements: tuple[str, ...] = ()  # the names of what the file asks the system for
    problems: tuple[Problem, ...]

    @property
    def flags(self) -> int:
        """The CodeDirectory's."""
        return self.directory.header.flags if self.directory else 0

    @property
    def identifier(self) -> str:
        """The CodeDirectory's."""
        return self.directory.identifier if self.directory else ""

    @property
    def team(self) -> str:
        """The CodeDirectory's; empty where it names none."""
        return self.directory.team if self.directory else ""

    @property
    def pages(self) -> int:
        """How many pages have a hash."""
        return self.directory.header.n_code_slots if self.directory else 0

    @property
    def kind(self) -> str:
        """How it was signed, and by whom, in words."""
        how = KINDS.get(self.flags, f"flags {self.flags:#x}")
        asked = f", entitlements {' '.join(self.entitlements)}" if self.entitlements else ""
        return how + (f": {self.signer.summary}" if self.signer else "") + asked


def parse_signature(view: View, image: MachO, *, roots: tuple[bytes, ...] = ()) -> Signature | None:
    """Reads a file's signature, if it has one, and checks all of it.

    `roots` are certificates (DER) that an identity's chain may end at, besides Apple's pinned root.
    """
    place = image.signature
    if not place:
        return None
    problems: list[Problem] = []
    directory, signer, requirement = None, None, ""
    try:
        blobs, problems = _parse_superblob(view, place)
        if next(iter(blobs)) != 0:
            raise Malformed("the first blob is no CodeDirectory")
        directory = codedirectory.parse_code_directory(blobs[0])
        problems += codedirectory.code_directory_problems(view, image, directory, blobs, limit=place.offset)
        problems += _kind_problems(directory, blobs)
        content = blobs.get(CMS_SLOT, b"")[HEADER:]
        if content and not directory.header.flags & AD_HOC:
            signer = apple_cms.verify_cms(content, directory, roots=roots)
        entitlements = _entitlement_names(blobs)
        if REQUIREMENTS_SLOT in blobs:
            chain = signer.chain if signer else None
            requirement = requirements.require_fulfilled(blobs[REQUIREMENTS_SLOT], directory, chain)
    except Malformed as error:
        return Signature(directory=directory, problems=(*problems, problem_of(error)))
    return Signature(
        directory=directory,
        signer=signer,
        requirement=requirement,
        entitlements=entitlements,
        problems=tuple(problems),
    )


def _parse_superblob(view: View, place: Range) -> tuple[dict[int, bytes], list[Problem]]:
    """The SuperBlob's blobs by slot, and what is wrong with the bytes between and behind them."""
    magic, length, count = view.unpack(">3I", place.offset, "the signature")
    if magic != SUPERBLOB:
        raise Malformed(f"the signature begins with {magic:#x}, which is no SuperBlob")
    if not 0 < count <= len(MAGICS):
        raise Malformed(f"{count} blobs in the signature")
    if length > place.size:
        raise Malformed("the SuperBlob is longer than its load command says")
    problems = []
    if place.end != view.size:
        problems.append(Problem("signature-not-last", "the signature does not end the file"))
    if place.size - length > SLACK_LIMIT or not view.zero(place.offset + length, place.end):
        problems.append(Problem("signature-padding", "bytes behind the SuperBlob"))
    blobs: dict[int, bytes] = {}
    end = 12 + 8 * count
    for index in range(count):
        slot, at = view.unpack(">II", place.offset + 12 + 8 * index, "a blob's index")
        magic, size = view.unpack(">II", place.offset + at, "a blob")
        if MAGICS.get(slot) != magic:
            raise Malformed(f"the blob in slot {slot:#x} has magic {magic:#x}")
        if at < end or size < HEADER or at + size > length:
            raise Malformed(f"the blob in slot {slot:#x} overlaps another or leaves the SuperBlob")
        if slot in blobs:
            raise Malformed(f"two blobs in slot {slot:#x}")
        if magic != CODE_DIRECTORY and size > SLACK_LIMIT:
            raise Malformed("a blob that is larger than any signer makes one")
        if at - end >= 16 or not view.zero(place.offset + end, place.offset + at):
            problems.append(Problem("signature-padding", f"bytes before the blob in slot {slot:#x}"))
        blobs[slot] = view.copy(place.offset + at, size, "a blob")
        end = at + size
    if end != length:
        problems.append(Problem("signature-padding", "the SuperBlob does not end at its last blob"))
    return blobs, problems


def _kind_problems(directory: CodeDirectory, blobs: Mapping[int, bytes]) -> Iterator[Problem]:
    """The flags against what is there: an identity needs its CMS, the ad hoc kinds must not have one."""
    flags, filled = directory.header.flags, len(blobs.get(CMS_SLOT, b"")) > HEADER
    if flags not in KINDS:
        yield Problem("signature-flags", f"flags {flags:#x}")
    if flags & AD_HOC:
        if filled:
            yield Problem("ad-hoc-with-cms", "ad hoc by its flags, but with a CMS blob")
        if directory.team:
            yield Problem("ad-hoc-with-team", "ad hoc by its flags, but with a team")
    elif not filled:
        yield Problem("missing-cms", "by an identity, but without a CMS blob")
    linker = bool(flags & LINKER_SIGNED)
    if linker != (directory.identifier == LINKER_IDENTIFIER):
        yield Problem("linker-identifier", f"flags {flags:#x} with the identifier {directory.identifier!r}")
    if linker and len(blobs) != 1:
        yield Problem("linker-signed-blobs", "signed by the linker, but with more than a CodeDirectory")


@der.parsing("the entitlements")
def _entitlement_names(blobs: Mapping[int, bytes]) -> tuple[str, ...]:
    """What the file asks the system for, by name; its two forms, XML and DER, must name the same (TN3125)."""
    names: set[str] = set()
    if ENTITLEMENTS_SLOT in blobs:
        names = set(plistlib.loads(blobs[ENTITLEMENTS_SLOT][HEADER:], fmt=plistlib.FMT_XML).keys())
    if ENTITLEMENTS_DER_SLOT in blobs:
        _version, dictionary = der.parse_der(blobs[ENTITLEMENTS_DER_SLOT][HEADER:]).children
        if {entry.children[0].content.decode() for entry in dictionary.children} != names:
            raise BadSignature("entitlements-differ", "the entitlements' two forms differ")
    return tuple(sorted(names))
