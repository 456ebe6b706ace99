"""ASN.1 (X.690) as a tree of values, each of which knows its own DER.

Lengths may be written in many ways: whoever compares `encoded` with the bytes read has refused all but DER's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from gobuild.binary.view import Malformed

DEPTH = 32
"""Levels of nesting; a CMS with a timestamp in it has 19."""

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31
CONSTRUCTED, LONG_FORM, INDEFINITE = 0x20, 0x1F, 0x80


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Turns whatever a library says of hostile bytes into `Malformed`; a decorator as well."""
    # cryptography documents ValueError; flipping single bits brought forth a dozen other classes without a common base.
    try:
        yield
    except Malformed:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise Malformed(f"{what} cannot be read: {reason}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One ASN.1 value, its content in DER; what asks for one of another tag raises Malformed."""

    tag: int
    content: bytes
    children: tuple["Value", ...] = ()

    @property
    def encoded(self) -> bytes:
        """The whole value in DER."""
        return encode(self.tag, self.content)

    def members(self, tag: int = SEQUENCE) -> tuple["Value", ...]:
        """The values in a constructed value with this tag."""
        self._require_tag(tag)
        return self.children

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """The content of a value with this tag."""
        self._require_tag(tag)
        return self.content

    def oid(self) -> str:
        """An object identifier, in dots."""
        return dotted(self.octets(OID))

    def time(self) -> datetime:
        """A UTCTime or a GeneralizedTime, which end in Z."""
        if self.tag == UTC_TIME:
            return datetime.strptime(self.content.decode(), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
        text = self.octets(GENERALIZED_TIME).decode()
        return datetime.strptime(text, "%Y%m%d%H%M%S.%fZ" if "." in text else "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)

    def _require_tag(self, tag: int) -> None:
        if self.tag != tag:
            raise Malformed(f"ASN.1 tag {self.tag:#x} where {tag:#x} should be")


def encode(tag: int, content: bytes) -> bytes:
    """A value of this tag and content, in DER."""
    size = len(content)
    if size < INDEFINITE:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, INDEFINITE | len(length))) + length + content


def dotted(content: bytes) -> str:
    """The content of an object identifier in dots (X.690, section 8.19)."""
    parts: list[int] = []
    value, inside = 0, False
    for byte in content:
        if not inside and byte == 0x80:
            raise Malformed("an object identifier with a number that has zeros in front")
        value, inside = value << 7 | byte & 0x7F, byte >= 0x80
        if not inside:
            parts.append(value)
            value = 0
    if not parts or inside:
        raise Malformed("an object identifier that is cut off")
    first = min(parts[0] // 40, 2)
    return ".".join(str(each) for each in (first, parts[0] - 40 * first, *parts[1:]))


def parse_der(data: bytes) -> Value:
    """Reads one value, which must be DER in all of its lengths; raises Malformed."""
    value = parse_ber(data)
    if value.encoded != data:
        raise Malformed("ASN.1 lengths that are not DER's")
    return value


def parse_ber(data: bytes) -> Value:
    """Reads one value, its lengths in any form; raises Malformed where it does not fill the data."""
    value, end = _parse(data, 0, len(data), 0)
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes behind the end of the ASN.1 value")
    return value


def _parse(data: bytes, at: int, end: int, depth: int) -> tuple[Value, int]:
    if depth > DEPTH:
        raise Malformed("ASN.1 nested too deeply")
    if at + 2 > end or data[at] & LONG_FORM == LONG_FORM:
        raise Malformed("an ASN.1 value is cut off, or has a tag in the long form")
    tag, length, at = data[at], data[at + 1], at + 2
    indefinite = length == INDEFINITE
    if length > INDEFINITE:
        octets = length - INDEFINITE
        length, at = int.from_bytes(data[at : at + octets], "big"), at + octets
    stop = end if indefinite else at + length
    if stop > end or (indefinite and not tag & CONSTRUCTED):
        raise Malformed("an ASN.1 length that leaves the value, or none where one should be")
    if not tag & CONSTRUCTED:
        return Value(tag=tag, content=data[at:stop]), stop
    children = []
    while data[at : at + 2] != b"\0\0" if indefinite else at < stop:
        child, at = _parse(data, at, stop, depth + 1)
        children.append(child)
    content = b"".join(each.encoded for each in children)
    return Value(tag=tag, content=content, children=tuple(children)), at + 2 if indefinite else stop
