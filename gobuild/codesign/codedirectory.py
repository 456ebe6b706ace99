"""CodeDirectories: the part of a signature that holds the hashes, read and checked to its last byte.

Sources: XNU's osfmk/kern/cs_blobs.h, Apple's codedirectory.h, Go's src/cmd/internal/codesign/codesign.go.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Malformed, View
from gobuild.core.model import Problem

SHA256 = (2, 32)
"""The hash type taken and the bytes of a hash."""

PAGE_SIZES = {12: 4096, 14: 16384}
VERSIONS = {0x20400: 88, 0x20500: 96}
"""The CodeDirectory versions taken, and the bytes of their fixed part. Older ones lack execSeg, which XNU uses."""

SPECIAL_LIMIT = 7
CS_EXECSEG_MAIN_BINARY = 1
CS_CDHASH_LEN = 20


class Header(NamedTuple):
    """The fixed part of a CodeDirectory, in the order it is written; `page_size` is an exponent of two."""

    magic: int
    length: int
    version: int
    flags: int
    hash_offset: int
    ident_offset: int
    n_special_slots: int
    n_code_slots: int
    code_limit: int
    hash_size: int
    hash_type: int
    platform: int
    page_size: int
    spare2: int
    scatter_offset: int
    team_offset: int
    spare3: int
    code_limit64: int
    exec_seg_base: int
    exec_seg_limit: int
    exec_seg_flags: int


_HEADER = ">9I4B4I4Q"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDirectory:
    """A CodeDirectory; `team` is empty where it names none."""

    content: bytes
    header: Header
    identifier: str
    team: str

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all of it."""
        return hashlib.sha256(self.content).digest()

    @property
    def cdhash(self) -> bytes:
        """The hash that macOS names code by."""
        return self.digest[:CS_CDHASH_LEN]

    def slot(self, index: int) -> bytes:
        """The hash of a page; of a blob, for a negative number."""
        at = self.header.hash_offset + index * self.header.hash_size
        return self.content[at : at + self.header.hash_size]


def parse_code_directory(content: bytes) -> CodeDirectory:
    """Reads a CodeDirectory, which its texts and hashes must fill to the last byte; raises Malformed."""
    view = View(data=content, size=len(content))
    header = Header(*view.unpack(_HEADER, 0, "a CodeDirectory"))
    if header.version not in VERSIONS:
        raise Malformed(f"a CodeDirectory of version {header.version:#x}")
    if (header.hash_type, header.hash_size) != SHA256:
        raise Malformed(f"a CodeDirectory with hash type {header.hash_type}, {header.hash_size} bytes each")
    if header.page_size not in PAGE_SIZES:
        raise Malformed(f"a CodeDirectory with a page size of 2^{header.page_size}")
    if header.n_special_slots > SPECIAL_LIMIT:
        raise Malformed(f"a CodeDirectory with {header.n_special_slots} special slots")
    end = VERSIONS[header.version]
    if header.version == 0x20500 and view.unpack(">I", end - 4, "a CodeDirectory")[0]:
        raise Malformed("a CodeDirectory with hashes for encrypted pages")
    identifier, end = _text(view, header.ident_offset, end)
    team, end = _text(view, header.team_offset, end) if header.team_offset else ("", end)
    first = header.hash_offset - header.n_special_slots * header.hash_size
    last = header.hash_offset + header.n_code_slots * header.hash_size
    if first != end or last != view.size or header.length != view.size:
        raise Malformed("a CodeDirectory's hashes do not fill it")
    return CodeDirectory(content=content, header=header, identifier=identifier, team=team)


def _text(view: View, offset: int, expected: int) -> tuple[str, int]:
    """A text, which must stand where the one before it ends; and where it ends itself."""
    if offset != expected:
        raise Malformed("a CodeDirectory's texts are not where they should be")
    text = view.c_string(offset, view.size, "a CodeDirectory's text")
    return text, offset + len(text.encode()) + 1


def code_directory_problems(
    view: View, image: MachO, directory: CodeDirectory, blobs: Mapping[int, bytes], *, limit: int
) -> Iterator[Problem]:
    """Checks a CodeDirectory against the file, whose signature begins at `limit`, and against the other blobs."""
    header, text = directory.header, image.segment("__TEXT")
    if text and (header.exec_seg_base, header.exec_seg_limit) != (text.fileoff, text.filesize):
        yield Problem("exec-segment", "the executable segment is not __TEXT")
    if header.exec_seg_flags != CS_EXECSEG_MAIN_BINARY:
        flags = f"executable segment flags {header.exec_seg_flags:#x}, not those of a main binary"
        yield Problem("exec-segment-flags", flags)
    if header.scatter_offset:
        yield Problem("scatter-vector", "a scatter vector, which hides pages")
    if header.platform or header.spare2 or header.spare3:
        yield Problem("code-directory-spare", "fields that should be zero are not")
    yield from _page_problems(view, directory, limit)
    for slot in range(1, max([header.n_special_slots, *(each for each in blobs if each <= SPECIAL_LIMIT)]) + 1):
        expected = hashlib.sha256(blobs[slot]).digest() if slot in blobs else bytes(header.hash_size)
        seen = directory.slot(-slot) if slot <= header.n_special_slots else bytes(header.hash_size)
        if seen != expected:
            yield Problem("special-slot", f"special slot -{slot} does not fit its blob")


def _page_problems(view: View, directory: CodeDirectory, limit: int) -> Iterator[Problem]:
    """Hashes the file page by page, without copying it."""
    header, page = directory.header, PAGE_SIZES[directory.header.page_size]
    # Counted by the file, not by what the directory says: a lie about the size must not decide what is hashed.
    count = -(-limit // page)
    if (header.code_limit, header.code_limit64) != (limit, 0):
        yield Problem("code-limit", f"the CodeDirectory covers {header.code_limit:#x} bytes of {limit:#x}")
        return
    if header.n_code_slots != count:
        yield Problem("page-count", f"{header.n_code_slots} page hashes for {count} pages")
        return
    wrong = []
    with memoryview(view.data) as data:
        for index in range(count):
            with data[index * page : min((index + 1) * page, limit)] as content:
                if hashlib.sha256(content).digest() != directory.slot(index):
                    wrong.append(f"{index * page:#x}")
    if wrong:
        places = ", ".join(wrong[:3])
        yield Problem("page-hash", f"{len(wrong)} of {count} page hashes wrong, from {places}")
