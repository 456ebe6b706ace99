"""Code signatures: real ones hold, and no byte of them, or under them, changes unseen."""

import random
import struct
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from verify_fixtures import directory, failed, image, judged, put, resigned, superblob, view

from gobuild.binary.unsigned import unsigned
from gobuild.binary.view import Malformed
from gobuild.codesign.superblob import CMS_SLOT, Signature, parse_signature

CMS_EMPTY = struct.pack(">2I", 0xFADE0B01, 8)
CMS_FILLED = struct.pack(">2I", 0xFADE0B01, 12) + b"\x30\x02\x05\x00"
REQUIREMENTS = struct.pack(">3I", 0xFADE0C01, 12, 0)
HELLO = struct.pack(">2I8s", 2, 5, b"hello\0\0\0")
"""The expression `identifier "hello"`."""


Lie = Callable[[bytes], bytes]


def plist(body: str) -> bytes:
    text = f'<?xml version="1.0" encoding="UTF-8"?><plist version="1.0">{body}</plist>'.encode()
    return struct.pack(">2I", 0xFADE7171, 8 + len(text)) + text


ASKED = plist("<dict><key>com.apple.security.cs.allow-jit</key><true/></dict>")
ASKED_DER = bytes.fromhex("fade717200000035702b020101b02630240c1f") + b"com.apple.security.cs.allow-jit\x01\x01\xff"
"""The same as rcodesign writes it."""


def hashed(*blobs: tuple[int, bytes]) -> tuple[bytes, ...]:
    """The special slots for these blobs, from the highest slot down to slot 1."""
    contents = dict(blobs)
    return tuple(
        sha256(contents[slot]).digest() if slot in contents else bytes(32) for slot in range(max(contents), 0, -1)
    )


def carrying(*blobs: tuple[int, bytes]) -> Lie:
    """A file signed ad hoc that carries these blobs besides, rightly hashed."""
    return lambda data: signed(data, (0, lambda c: ad_hoc(c, special=hashed(*blobs))), *blobs)


def lying(**how: Any) -> Lie:
    """A file whose one CodeDirectory is written in this way."""
    return lambda data: signed(data, (0, lambda c: directory(c, **how)))


def writing(offset: int, value: int, form: str = ">I") -> Lie:
    """A file whose one CodeDirectory has another number in its fixed part."""
    return lambda data: signed(data, (0, lambda c: put(directory(c), offset, form, value)))


def having(*blobs: tuple[int, bytes | Lie]) -> Lie:
    """A file whose signature has these blobs."""
    return lambda data: signed(data, *blobs)


def requiring(operations: bytes, *, kind: int = 3) -> bytes:
    """A requirements blob with one requirement."""
    one = struct.pack(">3I", 0xFADE0C00, 12 + len(operations), 1) + operations
    return struct.pack(">5I", 0xFADE0C01, 20 + len(one), 1, kind, 20) + one


ad_hoc = partial(directory, flags=0x2, identifier=b"hello")
by_identity = partial(directory, flags=0x10000, identifier=b"hello")


def newer(data: bytes, *, pre_encrypt: int = 0) -> bytes:
    """A CodeDirectory of version 0x20500, which has two more fields."""
    blob = ad_hoc(data)
    length, _version, flags, hash_offset, ident_offset = struct.unpack_from(">5I", blob, 4)
    head = put(blob[:88], 4, ">5I", length + 8, 0x20500, flags, hash_offset + 8, ident_offset + 8)
    return head + struct.pack(">2I", 0xB0000, pre_encrypt) + blob[88:]


def read(data: bytes) -> Signature:
    found = parse_signature(view(data), image(data))
    assert found
    return found


def told(data: bytes) -> str:
    """What is wrong with a file's signature, each problem behind its id."""
    return "; ".join(f"{each.id}: {each}" for each in read(data).problems)


def signed(data: bytes, *blobs: tuple[int, bytes | Callable[[bytes], bytes]]) -> bytes:
    """The file with a signature of these blobs, in these slots."""

    def sign(content: bytes) -> bytes:
        return superblob(*((slot, blob if isinstance(blob, bytes) else blob(content)) for slot, blob in blobs))

    return resigned(data, sign)


def start(data: bytes) -> int:
    place = image(data).signature
    assert place
    return place.offset


def test_go_s_own_signature_holds(hello: bytes) -> None:
    found = read(hello)
    assert found.problems == ()
    assert (found.kind, found.identifier, found.team) == ("ad hoc, by the linker", "a.out", "")
    assert found.pages == -(-start(hello) // 4096)


def test_this_test_s_signer_writes_what_go_writes(hello: bytes) -> None:
    assert resigned(hello) == hello


def test_every_flipped_byte_is_found(hello: bytes) -> None:
    """By the signature alone: the page hashes for what is in front of it, rules for what is in it."""
    chosen = random.Random(33565)
    begin = start(hello)
    everywhere = [chosen.randrange(len(hello)) for _ in range(250)]
    fields = list(range(begin, begin + 20 + 88 + 6 + 8))
    hashes = [chosen.randrange(begin, len(hello)) for _ in range(100)]
    headers = [chosen.randrange(image(hello).commands_end) for _ in range(100)]
    for position in (*everywhere, *fields, *hashes, *headers):
        changed = put(hello, position, "<B", hello[position] ^ (1 << chosen.randrange(8)))
        try:
            found = parse_signature(view(changed), image(changed))
        except Malformed:  # the headers cannot be read any more
            continue
        assert found is None or found.problems, f"a flip at {position:#x} was not found"


def test_every_truncation_and_appendix_is_found(hello: bytes, tmp_path: Path) -> None:
    chosen = random.Random(56784)
    lengths = [1, 4, 100, len(hello) - 1, *(chosen.randrange(len(hello)) for _ in range(40))]
    for length in lengths:
        assert failed(judged(hello[:length], tmp_path)), f"cut to {length} bytes"
    for appendix in (b"\0", b"x", bytes(4096), chosen.randbytes(100)):
        assert failed(judged(hello + appendix, tmp_path))


def test_a_changed_page_is_named(hello: bytes) -> None:
    changed = put(hello, 0x5123, "<B", hello[0x5123] ^ 1)
    assert told(changed) == f"page-hash: 1 of {-(-start(hello) // 4096)} page hashes wrong, from 0x5000"


def test_an_official_binary_s_flips_are_found(darwin_wheel: Path) -> None:
    """In the CMS a few of them, of which test_cms tries them all: the whole reader must ask it."""
    data = (darwin_wheel / "pkg/tool/darwin_arm64/buildid").read_bytes()
    chosen = random.Random(1)
    begin = start(data)
    code_directory = struct.unpack_from(">I", data, begin + 16)[0]
    length = struct.unpack_from(">I", data, begin + code_directory + 4)[0]
    for position in [
        *(chosen.randrange(begin) for _ in range(100)),
        *(begin + code_directory + 140 + chosen.randrange(length - 140) for _ in range(100)),
        *range(begin + code_directory + length, len(data), 401),
        len(data) - 1,
    ]:
        changed = put(data, position, "<B", data[position] ^ 0x10)
        assert told(changed), f"a flip at {position:#x} was not found"


LIES: dict[str, tuple[Lie, str]] = {
    "page size": (lying(claimed_page=14), "page-count"),
    "page size of the whole": (lying(claimed_page=0), "page size of 2^0"),
    "code limit, less": (lying(limit=4096), "code-limit"),
    "code limit, one less": (lambda data: writing(32, start(data) - 1)(data), "code-limit"),
    "code limit, more": (writing(32, 1 << 31), "code-limit"),
    "code limit, of 64 bits": (writing(56, 1, ">Q"), "code-limit"),
    "version": (writing(8, 0x20300), "version 0x20300"),
    "platform": (writing(38, 1, ">B"), "code-directory-spare"),
    "spare2": (writing(40, 1), "code-directory-spare"),
    "scatter vector": (writing(44, 88), "scatter-vector"),
    "spare3": (writing(52, 1), "code-directory-spare"),
    "executable segment": (writing(64, 0x1000, ">Q"), "exec-segment"),
    "executable segment's flags": (writing(80, 0x11, ">Q"), "exec-segment-flags"),
    "identifier elsewhere": (writing(20, 89), "texts are not where they should be"),
    "hashes that do not fill it": (writing(28, 1), "hashes do not fill it"),
    "sha1": (lying(algorithm="sha1"), "hash type 1"),
    "sha384": (lying(algorithm="sha384"), "hash type 4"),
    "a second CodeDirectory": (having((0, directory), (0x1000, directory)), "slot 0x1000"),
    "two in one slot": (having((0, directory), (0, directory)), "two blobs in slot 0x0"),
    "none": (having((2, REQUIREMENTS)), "no CodeDirectory"),
    "unknown slot": (having((0, directory), (3, REQUIREMENTS)), "slot 0x3"),
    "unknown flags": (lying(flags=0x802), "signature-flags"),
    "not the linker's name": (lying(identifier=b"b.out"), "linker-identifier"),
    "the linker's name alone": (lying(flags=0x2), "linker-identifier"),
    "by the linker, with more": (having((0, directory), (CMS_SLOT, CMS_EMPTY)), "linker-signed-blobs"),
    "ad hoc with a CMS": (having((0, ad_hoc), (CMS_SLOT, CMS_FILLED)), "ad-hoc-with-cms"),
    "an identity without a CMS": (having((0, by_identity), (CMS_SLOT, CMS_EMPTY)), "missing-cms"),
    "requirements not hashed": (having((0, ad_hoc), (2, REQUIREMENTS)), "special-slot"),
    "pages encrypted later": (having((0, partial(newer, pre_encrypt=96))), "hashes for encrypted pages"),
    "many special slots": (lying(special=(bytes(32),) * 8), "with 8 special slots"),
    "a hash without its blob": (lying(flags=2, identifier=b"hello", special=(b"x" * 32, bytes(32))), "special-slot"),
    "a CMS that is none": (having((0, by_identity), (CMS_SLOT, CMS_FILLED)), "malformed-signature"),
    "ad hoc with a team": (lying(flags=2, identifier=b"hello", team=b"ABCDE12345"), "ad-hoc-with-team"),
    "a requirement of another file": (
        carrying((2, requiring(struct.pack(">2I8s", 2, 5, b"other\0\0\0")))),
        "unfulfilled-requirement",
    ),
    "a requirement for Apple's signature": (carrying((2, requiring(struct.pack(">I", 15)))), "unfulfilled-requirement"),
    "an unknown requirement": (carrying((2, requiring(struct.pack(">I", 99)))), "has the operation 99"),
    "a requirement with more": (carrying((2, requiring(HELLO + bytes(4)))), "does not fill its blob"),
    "a requirement that is cut off": (carrying((2, requiring(struct.pack(">2I", 2, 500)))), "leaves it"),
    "no requirement": (carrying((2, put(requiring(HELLO), 20, ">I", 0xFADE0C01))), "begins with 0xfade0c01"),
    "a requirement of another form": (carrying((2, put(requiring(HELLO), 28, ">I", 2))), "form 2"),
    "requirements with more": (
        carrying((2, struct.pack(">4I", 0xFADE0C01, 16, 0, 0))),
        "bytes behind the requirements",
    ),
    "requirements of an unknown type": (carrying((2, requiring(HELLO, kind=9))), "of an unknown type"),
    "requirements without an end": (carrying((2, requiring(struct.pack(">I", 6) * 50))), "nested too deeply"),
    "entitlements that are none": (carrying((5, plist("<array/>"))), "the entitlements cannot be read"),
    "entitlements without end": (carrying((5, plist("<dict/>" + " " * (1 << 20)))), "larger than any signer"),
    "entitlements that differ": (
        carrying((5, ASKED), (7, ASKED_DER.replace(b"allow-jit", b"allow-JIT"))),
        "entitlements-differ",
    ),
    "entitlements in DER alone": (carrying((7, ASKED_DER)), "entitlements-differ"),
    "entitlements with more": (
        carrying((5, ASKED), (7, struct.pack(">2I", 0xFADE7172, len(ASKED_DER) + 1) + ASKED_DER[8:] + b"\0")),
        "1 bytes behind the end",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_signature_that_lies_is_refused(hello: bytes, tmp_path: Path, name: str) -> None:
    lie, message = LIES[name]
    changed = lie(hello)
    assert message in told(changed)
    # The lie is all that is wrong with the file: nothing else refuses it.
    assert set(failed(judged(changed, tmp_path))) == {"signature"}


def test_other_signatures_that_hold(hello: bytes, tmp_path: Path) -> None:
    requirements = sha256(REQUIREMENTS).digest()
    empty = signed(
        hello,
        (0, lambda c: ad_hoc(c, special=(requirements, bytes(32)))),
        (2, REQUIREMENTS),
        (CMS_SLOT, CMS_EMPTY),
    )
    paged = signed(hello, (0, partial(ad_hoc, page=14)))
    asking = carrying((2, requiring(HELLO)), (5, ASKED), (7, ASKED_DER))(hello)
    slack = resigned(hello, lambda c: superblob((0, directory(c))) + bytes(9000))
    for data, kind in (
        (empty, "ad hoc"),
        (paged, "ad hoc"),
        (signed(hello, (0, newer)), "ad hoc"),
        (asking, "ad hoc, entitlements com.apple.security.cs.allow-jit"),
        (slack, "ad hoc, by the linker"),
    ):
        assert told(data) == ""
        assert read(data).kind == kind
        assert failed(judged(data, tmp_path)) == {}


def behind(gap: bytes, data: bytes) -> bytes:
    """A signature with a gap in front of its CodeDirectory."""
    blob = directory(data)
    return struct.pack(">5I", 0xFADE0CC0, 20 + len(gap) + len(blob), 1, 0, 20 + len(gap)) + gap + blob


def test_bytes_around_the_blobs_are_refused(hello: bytes) -> None:
    assert "bytes behind" in told(resigned(hello, lambda c: superblob((0, directory(c))) + b"\0\0x"))
    assert "bytes behind" in told(resigned(hello, lambda c: superblob((0, directory(c))) + bytes((1 << 20) + 1)))
    begin = start(hello)
    for gap, holds in ((bytes(8), True), (bytes(16), False), (b"x" * 8, False)):
        gapped = resigned(hello, partial(behind, gap))
        assert told(gapped) == ("" if holds else "signature-padding: bytes before the blob in slot 0x0")
    assert "signature-not-last" in told(hello + b"\0")
    padded = resigned(hello, lambda c: superblob((0, directory(c))) + bytes(16))
    assert "does not end at its last blob" in told(put(padded, begin + 4, ">I", len(padded) - begin))
    longer = put(hello, begin + 4, ">I", len(hello) - begin + 1)
    assert "longer than its load command" in told(longer)
    assert "blobs in the signature" in told(put(hello, begin + 8, ">I", 1 << 30))
    assert "leaves the SuperBlob" in told(put(hello, begin + 16 + 8, ">I", 1 << 30))
    assert "no SuperBlob" in told(put(hello, begin, ">I", 0xFADE0C02))


def test_no_signature_is_refused_on_arm64(hello: bytes, tmp_path: Path) -> None:
    assert failed(judged(unsigned(hello), tmp_path))["signature"] == "none"
