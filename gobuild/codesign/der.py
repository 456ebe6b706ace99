"""DER, walked strictly: the bytes of one ASN.1 value come in, and the same value in definite lengths goes out.

Whoever parses ASN.1 afterwards, with whatever tolerance, can then only see one thing: every length is minimal, every
INTEGER, BOOLEAN, NULL, OID, time and BIT STRING has its one form, and nothing follows the end. Sources: X.690, sections
8 and 10; Apple's Security framework writes the outermost four lengths of a CMS as indefinite ones
(libsecurity_smime, the streaming encoder), and that form alone is taken besides DER. What it does not do: it knows no
schema, and looks into no OCTET STRING.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from gobuild.binary.view import Malformed

DEPTH = 32
"""Levels of nesting; a CMS with a timestamp in it has 19."""

STREAMED = frozenset({(), (1,), (1, 0), (1, 0, 2)})
"""The values that Apple writes with indefinite lengths, by their path: ContentInfo, its content, SignedData, and
encapContentInfo."""

BOOLEAN, INTEGER, BITS, OCTETS, NULL, OID, UTF8, SEQUENCE, SET = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
_PRIMITIVE = frozenset({BOOLEAN, INTEGER, BITS, OCTETS, NULL, OID, UTF8, 0x13, 0x14, 0x16, UTC_TIME, GENERALIZED_TIME})
"""The universal types taken; 0x13 to 0x16: PrintableString, TeletexString, IA5String."""

_TIMES = {UTC_TIME: re.compile(rb"[0-9]{12}Z"), GENERALIZED_TIME: re.compile(rb"[0-9]{14}(\.[0-9]*[1-9])?Z")}
_CONSTRUCTED = 0x20

Path = tuple[int, ...]


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Turns whatever a library says of hostile bytes into `Malformed`.

    asn1crypto and cryptography document ValueError; flipping single bits brought forth a dozen other classes without a
    common base, and a file must get a verdict whatever it holds.
    """
    try:
        yield
    except Malformed:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [repr(error)])[0]
        raise Malformed(f"{what} cannot be read: {said}") from error


def definite(data: bytes, *, streamed: bool = False) -> bytes:
    """Checks one value to its last byte.

    Args:
        data: the value, alone.
        streamed: whether Apple's form with indefinite lengths is taken as well.

    Returns:
        The value in DER; the same bytes where it was DER.

    Raises:
        Malformed: it is not in that form.
    """
    walk = _Walk(data)
    content, end = walk.value(0, len(data), ())
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes behind the end of the ASN.1 value")
    if walk.indefinite and (not streamed or walk.indefinite != STREAMED):
        raise Malformed("indefinite lengths in ASN.1 that should be DER")
    return content if walk.indefinite else data


def children(data: bytes, tag: int = SEQUENCE) -> list[bytes]:
    """The values in a constructed value, each with its tag and length. It must have passed `definite`.

    Raises:
        Malformed: it has another tag, or something stands behind it.
    """
    seen, at, end = _header(data, 0, len(data))
    if seen != tag or end != len(data):
        raise Malformed(f"ASN.1 tag {seen:#x} where {tag:#x} should be")
    found = []
    while at < end:
        _inner, _start, stop = _header(data, at, end)
        found.append(data[at:stop])
        at = stop
    return found


def content(data: bytes, tag: int) -> bytes:
    """The content of one value.

    Raises:
        Malformed: it has another tag, or more than one value is there.
    """
    found, start, end = _header(data, 0, len(data))
    if found != tag or end != len(data):
        raise Malformed(f"ASN.1 tag {found:#x} where {tag:#x} should be")
    return data[start:end]


def _header(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Reads a tag and a length: the tag, and where the content begins and ends; -1 for an indefinite length."""
    if at + 2 > end:
        raise Malformed("an ASN.1 value is cut off")
    tag, first = data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise Malformed("an ASN.1 tag in the long form")
    if first == 0x80:
        return tag, at + 2, -1
    count = first & 0x7F if first & 0x80 else 0
    if count > 4 or at + 2 + count > end:
        raise Malformed("an ASN.1 length that leaves the value")
    length = int.from_bytes(data[at + 2 : at + 2 + count], "big") if count else first
    if count and (length < 0x80 or length >> (8 * (count - 1)) == 0):
        raise Malformed("an ASN.1 length that is not minimal")
    start = at + 2 + count
    if start + length > end:
        raise Malformed("an ASN.1 length that leaves the value")
    return tag, start, start + length


class _Walk:
    """One walk over a value; notes where lengths were indefinite."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.indefinite: set[Path] = set()

    def value(self, at: int, end: int, path: Path) -> tuple[bytes, int]:
        """Checks the value at an offset; returns it in DER, and where it ends."""
        if len(path) > DEPTH:
            raise Malformed("ASN.1 nested too deeply")
        tag, start, stop = _header(self.data, at, end)
        if stop < 0:
            return self._streamed(tag, start, end, path)
        if not tag & _CONSTRUCTED:
            self._primitive(tag, self.data[start:stop])
            return self.data[at:stop], stop
        if tag < 0x40 and tag not in (SEQUENCE, SET):
            raise Malformed(f"ASN.1 tag {tag:#x}, a string in pieces")
        known = len(self.indefinite)
        parts, index, inner = [], 0, start
        while inner < stop:
            part, inner = self.value(inner, stop, (*path, index))
            parts.append(part)
            index += 1
        if len(self.indefinite) == known:
            return self.data[at:stop], stop
        return _written(tag, b"".join(parts)), stop

    def _streamed(self, tag: int, start: int, end: int, path: Path) -> tuple[bytes, int]:
        if not tag & _CONSTRUCTED or path not in STREAMED:
            raise Malformed("indefinite lengths in ASN.1 that should be DER")
        self.indefinite.add(path)
        parts, index, at = [], 0, start
        while self.data[at : at + 2] != b"\0\0":
            part, at = self.value(at, end, (*path, index))
            parts.append(part)
            index += 1
        return _written(tag, b"".join(parts)), at + 2

    @staticmethod
    def _primitive(tag: int, content: bytes) -> None:
        if tag & 0xC0:  # context-specific: an implicit type, which the schema decides
            return
        if tag not in _PRIMITIVE:
            raise Malformed(f"ASN.1 tag {tag:#x}")
        if tag in _CANONICAL and not _CANONICAL[tag](content):
            raise Malformed(f"an ASN.1 value with tag {tag:#x} that is not in its one form")


def _integer(content: bytes) -> bool:
    if not content:
        return False
    return len(content) == 1 or not (content[0] in (0, 0xFF) and (content[0] ^ content[1]) < 0x80)


def _bits(content: bytes) -> bool:
    if not content or content[0] > 7 or (content[0] and len(content) == 1):
        return False
    return not content[0] or not content[-1] & ((1 << content[0]) - 1)


def _oid(content: bytes) -> bool:
    starts = [content[index] for index in range(len(content)) if not index or content[index - 1] < 0x80]
    return bool(content) and content[-1] < 0x80 and 0x80 not in starts


def _utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


_CANONICAL: Mapping[int, Callable[[bytes], bool]] = {
    BOOLEAN: lambda content: content in (b"\0", b"\xff"),
    INTEGER: _integer,
    BITS: _bits,
    NULL: lambda content: not content,
    OID: _oid,
    UTF8: _utf8,
    UTC_TIME: lambda content: bool(_TIMES[UTC_TIME].fullmatch(content)),
    GENERALIZED_TIME: lambda content: bool(_TIMES[GENERALIZED_TIME].fullmatch(content)),
}
"""Whether a primitive value has the one form that DER allows it, by its tag."""


def _written(tag: int, content: bytes) -> bytes:
    """A value of this tag and content in DER."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
