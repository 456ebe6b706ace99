"""Code requirements: the blob and who signed come in; whether it is well-formed and the file fulfils its own, goes out.

The designated requirement is the rule by which macOS knows a program again (after an update, in the keychain, in
privacy settings): one that its own file does not fulfil is refused by codesign. Sources: Apple's Security framework,
requirement.h and reqinterp.cpp; TN3127. What it does not do: it evaluates what signers of single executables write, and
refuses an expression that asks for more (an Info.plist, entitlements, the system's own trust settings).
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates
from gobuild.codesign.certificates import Chain

SET, REQUIREMENT = 0xFADE0C01, 0xFADE0C00
DESIGNATED = 3
TYPES = range(1, 6)
"""host, guest, designated, library, plug-in."""

DEPTH = 32

FALSE, TRUE, IDENTIFIER, APPLE, ANCHOR_HASH, AND, OR, CDHASH, NOT = 0, 1, 2, 3, 4, 6, 7, 8, 9
CERTIFICATE_FIELD, CERTIFICATE_EXTENSION, APPLE_GENERIC = 11, 14, 15
EXISTS, EQUAL, CONTAINS, BEGINS, ENDS, ABSENT = 0, 1, 2, 3, 4, 14

SUBJECT: Mapping[str, x509.ObjectIdentifier] = {
    "subject.CN": NameOID.COMMON_NAME,
    "subject.C": NameOID.COUNTRY_NAME,
    "subject.O": NameOID.ORGANIZATION_NAME,
    "subject.OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "subject.UID": NameOID.USER_ID,
}
"""The fields of a certificate that an expression may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What an expression is about.

    Attributes:
        identifier: as the CodeDirectory has it.
        cdhashes: the first 20 bytes of each CodeDirectory's hash.
        chain: of the signer; None for a file signed ad hoc.
    """

    identifier: str
    cdhashes: Sequence[bytes]
    chain: Chain | None


def check(data: bytes, code: Code) -> str:
    """Checks a requirements blob.

    Args:
        data: the whole blob, its header too.
        code: the file it stands in.

    Returns:
        The designated requirement in Apple's language; empty where there is none.

    Raises:
        Malformed: it is not well-formed to its last byte, or the file does not fulfil it.
    """
    if len(data) < 12:
        raise Malformed("the requirements are cut off")
    magic, size, count = struct.unpack_from(">3I", data)
    if magic != SET or size != len(data) or count > len(TYPES):
        raise Malformed(f"the requirements begin with {magic:#x}, {size} bytes, {count} of them")
    end, told, seen = 12 + 8 * count, "", 0
    if end > len(data):
        raise Malformed("the requirements are cut off")
    for index in range(count):
        kind, at = struct.unpack_from(">2I", data, 12 + 8 * index)
        if kind not in TYPES or kind <= seen or at != end:
            raise Malformed("the requirements are not in order, or of an unknown type")
        reader = _Reader(data, at, code)
        holds, text = reader.requirement()
        if kind == DESIGNATED:
            told = text
            if not holds:
                raise Malformed(f"the file does not fulfil its designated requirement: {text}")
        seen, end = kind, reader.at
    if end != len(data):
        raise Malformed("bytes behind the requirements")
    return told


class _Reader:
    """Reads one requirement, evaluating it on the way: every part of it, so that all of it is well-formed."""

    def __init__(self, data: bytes, at: int, code: Code) -> None:
        self.data, self.at, self.code = data, at, code

    def _number(self) -> int:
        if self.at + 4 > len(self.data):
            raise Malformed("a requirement is cut off")
        (value,) = struct.unpack_from(">I", self.data, self.at)
        self.at += 4
        return int(value)

    def _bytes(self) -> bytes:
        size = self._number()
        found = self.data[self.at : self.at + size]
        padding = self.data[self.at + size : self.at + (size + 3) // 4 * 4]
        self.at += (size + 3) // 4 * 4
        if self.at > len(self.data) or any(padding):
            raise Malformed("a requirement's text leaves it, or has something behind its end")
        return found

    def _text(self) -> str:
        try:
            return self._bytes().decode()
        except UnicodeDecodeError as error:
            raise Malformed("a requirement's text is no UTF-8") from error

    def requirement(self) -> tuple[bool, str]:
        """Reads the requirement's header and its one expression."""
        begin = self.at
        magic, size, form = self._number(), self._number(), self._number()
        if magic != REQUIREMENT or form != 1 or begin + size > len(self.data):
            raise Malformed(f"a requirement begins with {magic:#x}, form {form}")
        found = self._expression(0)
        if self.at != begin + size:
            raise Malformed("a requirement does not fill its blob")
        return found

    def _expression(self, depth: int) -> tuple[bool, str]:
        if depth > DEPTH:
            raise Malformed("a requirement nested too deeply")
        operation = self._number()
        if operation in (AND, OR):
            (left, one), (right, other) = self._expression(depth + 1), self._expression(depth + 1)
            if operation == AND:
                return left and right, f"{one} and {other}"
            return left or right, f"({one} or {other})"
        if operation == NOT:
            holds, text = self._expression(depth + 1)
            return not holds, f"!({text})"
        return self._simple(operation)

    def _simple(self, operation: int) -> tuple[bool, str]:
        """An expression without others in it."""
        plain = {
            FALSE: (False, "never"),
            TRUE: (True, "always"),
            APPLE: (False, "anchor apple"),  # Apple's own software, which a Go toolchain is not
            APPLE_GENERIC: (bool(self.code.chain and self.code.chain.pinned), "anchor apple generic"),
        }
        if operation in plain:
            return plain[operation]
        if operation == IDENTIFIER:
            name = self._text()
            return name == self.code.identifier, f'identifier "{name}"'
        if operation == CDHASH:
            digest = self._bytes()
            return digest in self.code.cdhashes, f'cdhash H"{digest.hex()}"'
        if operation in (ANCHOR_HASH, CERTIFICATE_FIELD, CERTIFICATE_EXTENSION):
            return self._about(operation, *self._certificate())
        raise Malformed(f"a requirement has the operation {operation}, which is not known here")

    def _about(self, operation: int, each: x509.Certificate | None, where: str) -> tuple[bool, str]:
        """An expression about one certificate of the chain, which may not be there."""
        if operation == ANCHOR_HASH:
            digest = self._bytes()
            own = hashlib.sha1(certificates.encoded(each), usedforsecurity=False).digest() if each else b""
            return digest == own, f'{where} = H"{digest.hex()}"'
        if operation == CERTIFICATE_EXTENSION:
            oid = _dotted(self._bytes())
            there = [oid for one in each.extensions if one.oid.dotted_string == oid] if each else []
            return self._match(there, f"{where}[field.{oid}]", exists_only=True)
        field = self._text()
        if field not in SUBJECT:
            raise Malformed(f"a requirement asks for the field {field!r}, which is not known here")
        values = [str(one.value) for one in each.subject.get_attributes_for_oid(SUBJECT[field])] if each else []
        return self._match(values, f"{where}[{field}]")

    def _certificate(self) -> tuple[x509.Certificate | None, str]:
        """A certificate of the chain by its number: from the signer's, 0, or from the root's, -1, on."""
        index = self._number()
        index -= (index >> 31) << 32
        names = {0: "certificate leaf", -1: "certificate root"}
        path = self.code.chain.certificates if self.code.chain else ()
        there = -len(path) <= index < len(path)
        return (path[index] if there else None), names.get(index, f"certificate {index}")

    def _match(self, values: Sequence[str], what: str, *, exists_only: bool = False) -> tuple[bool, str]:
        operation = self._number()
        if operation == EXISTS:
            return bool(values), f"{what} exists"
        if operation == ABSENT:
            return not values, f"{what} absent"
        if exists_only or operation not in (EQUAL, CONTAINS, BEGINS, ENDS):
            raise Malformed(f"a requirement compares by {operation}, which is not known here")
        operand = self._text()
        matches = {
            EQUAL: (operand.__eq__, f'{what} = "{operand}"'),
            CONTAINS: (lambda value: operand in value, f'{what} = "*{operand}*"'),
            BEGINS: (lambda value: value.startswith(operand), f'{what} = "{operand}*"'),
            ENDS: (lambda value: value.endswith(operand), f'{what} = "*{operand}"'),
        }
        holds, text = matches[operation]
        return any(holds(value) for value in values), text


def _dotted(data: bytes) -> str:
    """An object identifier's content octets in dots (X.690, section 8.19)."""
    parts: list[int] = []
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            parts.append(value)
            value = 0
    if not parts or value or data[-1] >= 0x80:
        raise Malformed("a requirement's object identifier cannot be read")
    first = min(parts[0] // 40, 2)
    return ".".join(str(each) for each in (first, parts[0] - 40 * first, *parts[1:]))
