"""Go's build ID: where the linker put it, and the hash of the file that is its last part.

Sources: src/cmd/internal/buildid (note.go, rewrite.go), src/cmd/go/internal/work/buildid.go. The ID of a program is
"action/action of main/content of main/content", and its last part is a hash over the whole file, the ID itself and a
Mach-O signature as zero. So it finds a changed byte also where there is no signature, as in linux binaries. It proves
no origin: whoever changes a file can write a new one.
"""

import base64
import hashlib
import heapq
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gobuild.binary.view import Malformed, Range, View

PREFIX, END = b'\xff Go build ID: "', b'"\n \xff'
LIMIT = 1024
NOTE = struct.Struct("<III4s")
FORM = re.compile(r"[A-Za-z0-9_-]{20}(?:/[A-Za-z0-9_-]{20}){3}")
"""Four hashes of 120 bits in base64, as HashToString writes them."""


def at_text(view: View, offset: int, size: int) -> str:
    """The ID at the start of a Mach-O file's __text; empty where it does not begin with one."""
    head = view.copy(offset, min(size, LIMIT), "__text")
    if not head.startswith(PREFIX):
        return ""
    end = head.find(END, len(PREFIX))
    if end < 0:
        raise Malformed("the build ID has no end")
    return head[len(PREFIX) : end].decode("utf-8", "replace")


def in_note(view: View, place: Range) -> str:
    """The ID of an ELF file's note of type 4 by "Go" (.note.go.buildid)."""
    name, length, kind, owner = view.unpack(NOTE.format, place.offset, "the build ID's note")
    if (name, kind, owner) != (4, 4, b"Go\0\0") or length > min(LIMIT, place.size - NOTE.size):
        raise Malformed("no note with Go's build ID where its section is")
    return view.copy(place.offset + NOTE.size, length, "the build ID").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsLinked:
    """How a file was when the go command wrote the ID into it: its first bytes, where they may differ now; its size.

    `zero` counts as zero: a GNU build ID, which is made from Go's; a signature.
    """

    head: bytes
    zero: tuple[Range, ...]
    end: int


def content_hash(view: View, build_id: str, linked: AsLinked) -> str:
    """The last part that a file's build ID must have: its hash, as FindAndHash and HashToString make it."""
    needle, digest, at = build_id.encode(), hashlib.sha256(), 0
    end = linked.end
    zeros = sorted((min(each.offset, end), min(each.end, end)) for each in linked.zero)
    with memoryview(linked.head) as head, memoryview(view.data) as data:
        # The ID itself counts as zero, wherever it stands.
        for start, stop in heapq.merge(zeros, _occurrences(view, needle, end), [(end, end)]):
            for part in (head[at:start], data[max(at, len(head)) : start]):
                with part:
                    digest.update(part)
            digest.update(bytes(max(0, stop - max(start, at))))
            at = max(at, stop)
    return base64.urlsafe_b64encode(digest.digest()[:15]).decode()


def _occurrences(view: View, needle: bytes, end: int) -> Iterator[tuple[int, int]]:
    at = view.data.find(needle, 0, end)
    while at >= 0:
        yield at, at + len(needle)
        at = view.data.find(needle, at + len(needle), end)
