"""CodeDirectories: a blob of a signature comes in, what it says and all that is wrong with it goes out.

Sources: XNU's osfmk/kern/cs_blobs.h, Apple's Security framework (codedirectory.h), and Go's own writer,
src/cmd/internal/codesign/codesign.go. A page hash covers every byte in front of the signature; the hashes and texts
must fill the CodeDirectory to its last byte. What it does not do: it knows nothing of who signed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Malformed, View

HASHES = {1: ("sha1", 20), 2: ("sha256", 32)}
"""The hash types taken, in order of strength. SHA-1 only beside SHA-256; truncated ones and SHA-384 never."""

PAGE_SIZES = {12: 4096, 14: 16384}
VERSIONS = {0x20400: 88, 0x20500: 96}
"""The CodeDirectory versions taken, and the bytes of their fixed part. Older ones lack execSeg, which XNU uses."""

SPECIAL_LIMIT = 7


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


@dataclass(slots=True, kw_only=True)
class CodeDirectory:
    """What a CodeDirectory says, and what is wrong with it. Filled by `read`, and not changed after.

    Attributes:
        hash_type: a key of `HASHES`.
        flags: as the kernel has them.
        identifier: what the program is called.
        team: whose it is; empty where it names none.
        pages: how many pages have the hash they should.
        problems: one sentence each.
    """

    hash_type: int
    flags: int
    identifier: str
    team: str
    pages: int = 0
    problems: list[str] = field(default_factory=list)


def read(view: View, image: MachO, blob: Blob, blobs: list[Blob]) -> CodeDirectory:
    """Checks one CodeDirectory and every hash in it.

    Args:
        view: the file.
        image: its headers.
        blob: where the CodeDirectory stands.
        blobs: all parts of the signature, for the special slots.

    Raises:
        Malformed: it cannot be read on.
    """
    view.require(blob.offset, blob.size, "a CodeDirectory")
    values = view.unpack(_FIXED, blob.offset, "a CodeDirectory")
    directory = Directory(**dict(zip(Directory.__dataclass_fields__, values, strict=True)))
    if directory.version not in VERSIONS:
        raise Malformed(f"a CodeDirectory of version {directory.version:#x}")
    if directory.hash_type not in HASHES or directory.hash_size != HASHES[directory.hash_type][1]:
        raise Malformed(f"a CodeDirectory with hash type {directory.hash_type}, {directory.hash_size} bytes each")
    if directory.page not in PAGE_SIZES:
        raise Malformed(f"a CodeDirectory with a page size of 2^{directory.page}")
    identifier, team = _texts(view, directory, blob)
    found = CodeDirectory(hash_type=directory.hash_type, flags=directory.flags, identifier=identifier, team=team)
    found.problems += _fields(directory, image)
    page = PAGE_SIZES[directory.page]
    assert image.signature is not None  # noqa: S101
    limit = image.signature.offset
    if (directory.limit, directory.limit64) != (limit, 0):
        # Counted by the file, not by what the directory says: a lie about the size must not decide what is hashed.
        found.problems.append(f"the CodeDirectory covers {directory.limit:#x} bytes of {limit:#x}")
    elif directory.slots != -(-limit // page):
        found.problems.append(f"{directory.slots} page hashes for {-(-limit // page)} pages")
    else:
        _pages(view, found, directory, blob)
    found.problems += _special(view, directory, blob, blobs)
    return found


def _fields(directory: Directory, image: MachO) -> Iterator[str]:
    text = image.segment("__TEXT")
    if text and (directory.text_base, directory.text_limit) != (text.fileoff, text.filesize):
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
            texts.append(view.c_string(end, blob.end, "a CodeDirectory's text"))
            end += len(texts[-1].encode()) + 1
    if directory.special > SPECIAL_LIMIT:
        raise Malformed(f"a CodeDirectory with {directory.special} special slots")
    first = blob.offset + directory.hash_offset - directory.special * directory.hash_size
    last = blob.offset + directory.hash_offset + directory.slots * directory.hash_size
    if first != end or last != blob.end or directory.length != blob.size:
        raise Malformed("a CodeDirectory's hashes do not fill it")
    return texts[0], texts[1]


def _pages(view: View, found: CodeDirectory, directory: Directory, blob: Blob) -> None:
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
    found.pages = directory.slots - len(wrong)
    if wrong:
        places = ", ".join(f"{start:#x}" for start in wrong[:3])
        found.problems.append(f"{len(wrong)} of {directory.slots} page hashes wrong, from {places}")


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
