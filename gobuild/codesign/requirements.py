"""Code requirements: the rule by which macOS knows a program again, in its binary form, evaluated and written.

Sources: Apple's Security framework, requirement.h and reqinterp.cpp; TN3127. Only what signers of single executables
write is evaluated: an expression that asks for more (an Info.plist, entitlements, trust settings) is refused.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from cryptography import x509
from cryptography.x509.oid import NameOID

from gobuild.binary.view import Malformed
from gobuild.codesign import certificates, der
from gobuild.codesign.chains import Chain
from gobuild.codesign.codedirectory import CodeDirectory
from gobuild.codesign.problems import BadSignature

SET, REQUIREMENT = 0xFADE0C01, 0xFADE0C00
DESIGNATED = 3
TYPES = range(1, 6)
"""host, guest, designated, library, plug-in."""

EXPRESSION = 1
"""exprForm: a binary expression follows."""

DEPTH = 32


class Op(IntEnum):
    """Operations, as numbered in requirement.h (ExprOp)."""

    IDENT = 2
    ANCHOR_HASH = 4
    AND = 6
    OR = 7
    CD_HASH = 8
    CERT_FIELD = 11
    CERT_GENERIC = 14
    APPLE_GENERIC_ANCHOR = 15


EXISTS, EQUAL = 0, 1
"""The comparisons (MatchOperation)."""

LEAF, ISSUER, ROOT = 0, 1, -1
"""Certificates of a chain, by their numbers."""

SUBJECT: Mapping[str, x509.ObjectIdentifier] = {
    "subject.CN": NameOID.COMMON_NAME,
    "subject.C": NameOID.COUNTRY_NAME,
    "subject.O": NameOID.ORGANIZATION_NAME,
    "subject.OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "subject.UID": NameOID.USER_ID,
}
"""The fields of a certificate that an expression may ask for."""

_APPLE_ARC = bytes.fromhex("2a864886f7636406")
"""`chains.MARKER` as the content of an object identifier."""


def designated_requirement(identifier: str, chain: Chain) -> bytes:
    """What TN3127 asks of Developer ID, Apple's extensions and the signer's team; for another root, that root.

    apple-platform-py 0.1.0 would write one, but for a root other than Apple's names the signer as the root.
    """
    named = _operation(Op.IDENT, data=identifier.encode())
    if not chain.pinned:
        return _requirement(named, _operation(Op.ANCHOR_HASH, ROOT, data=_sha1(chain.root)))
    exists = struct.pack(">I", EXISTS)
    return _requirement(
        named,
        struct.pack(">I", Op.APPLE_GENERIC_ANCHOR),
        _operation(Op.CERT_GENERIC, ISSUER, data=_APPLE_ARC + bytes((2, 6))) + exists,
        _operation(Op.CERT_GENERIC, LEAF, data=_APPLE_ARC + bytes((1, 13))) + exists,
        _operation(Op.CERT_FIELD, LEAF, data=b"subject.OU") + _operation(EQUAL, data=chain.team.encode()),
    )


def _requirement(*terms: bytes) -> bytes:
    """The blob of a requirement that is fulfilled if all of its terms are."""
    both = struct.pack(">I", Op.AND)
    expression = b"".join(both + each for each in terms[:-1]) + terms[-1]
    return struct.pack(">3I", REQUIREMENT, 12 + len(expression), EXPRESSION) + expression


def _operation(*numbers: int, data: bytes) -> bytes:
    """An operation, perhaps on a certificate of that number, and its text, padded to four bytes."""
    return struct.pack(f">{len(numbers)}iI", *numbers, len(data)) + data + bytes(-len(data) % 4)


def _sha1(certificate: x509.Certificate) -> bytes:
    return hashlib.sha1(certificates.to_der(certificate), usedforsecurity=False).digest()


@der.parsing("the requirements")
def require_fulfilled(data: bytes, directory: CodeDirectory, chain: Chain | None) -> str:
    """Requires that a file fulfils its designated requirement; returns it in Apple's language, empty if it has none.

    The blob, whose magic and length are right, is read to its last byte; a file signed ad hoc has no chain.

    Raises:
        Malformed: it is not well-formed, or not fulfilled.
    """
    (count,) = struct.unpack_from(">I", data, 8)
    end, designated, last = 12 + 8 * count, "", 0
    for index in range(count):
        kind, at = struct.unpack_from(">2I", data, 12 + 8 * index)
        if kind not in TYPES or kind <= last or at != end:
            raise Malformed("the requirements are not in order, or of an unknown type")
        reader = _Reader(data, at, directory, chain)
        fulfilled, text = reader.requirement()
        if kind == DESIGNATED:
            designated = text
            if not fulfilled:
                why = f"the file does not fulfil its designated requirement: {text}"
                raise BadSignature("unfulfilled-requirement", why)
        last, end = kind, reader.at
    if end != len(data):
        raise Malformed("bytes behind the requirements")
    return designated


@dataclass(slots=True)
class _Reader:
    """Reads one requirement, evaluating it on the way: every part of it, so that all of it is well-formed."""

    data: bytes
    at: int
    directory: CodeDirectory
    chain: Chain | None

    def _number(self) -> int:
        (value,) = struct.unpack_from(">i", self.data, self.at)
        self.at += 4
        return int(value)

    def _bytes(self) -> bytes:
        size = self._number()
        start, self.at = self.at, self.at + (size + 3) // 4 * 4
        if size < 0 or self.at > len(self.data) or any(self.data[start + size : self.at]):
            raise Malformed("a requirement's text leaves it, or has something behind its end")
        return self.data[start : start + size]

    def requirement(self) -> tuple[bool, str]:
        begin = self.at
        magic, size, form = struct.unpack_from(">3I", self.data, begin)
        if magic != REQUIREMENT or form != EXPRESSION or begin + size > len(self.data):
            raise Malformed(f"a requirement begins with {magic:#x}, form {form}")
        self.at += 12
        found = self._expression(0)
        if self.at != begin + size:
            raise Malformed("a requirement does not fill its blob")
        return found

    def _expression(self, depth: int) -> tuple[bool, str]:
        if depth > DEPTH:
            raise Malformed("a requirement nested too deeply")
        operation = self._number()
        if operation in (Op.AND, Op.OR):
            (left, one), (right, other) = self._expression(depth + 1), self._expression(depth + 1)
            if operation == Op.AND:
                return left and right, f"{one} and {other}"
            return left or right, f"({one} or {other})"
        match operation:
            case Op.IDENT:
                name = self._bytes().decode()
                return name == self.directory.identifier, f'identifier "{name}"'
            case Op.CD_HASH:
                digest = self._bytes()
                return digest == self.directory.cdhash, f'cdhash H"{digest.hex()}"'
            case Op.APPLE_GENERIC_ANCHOR:
                return bool(self.chain and self.chain.pinned), "anchor apple generic"
            case Op.ANCHOR_HASH | Op.CERT_FIELD | Op.CERT_GENERIC:
                return self._certificate(operation)
        raise Malformed(f"a requirement has the operation {operation}, which is not known here")

    def _certificate(self, operation: int) -> tuple[bool, str]:
        """An expression about one certificate of the chain, which may not be there."""
        index = self._number()
        path = self.chain.certificates if self.chain else ()
        each = path[index] if -len(path) <= index < len(path) else None
        where = {LEAF: "certificate leaf", ROOT: "certificate root"}.get(index, f"certificate {index}")
        data = self._bytes()
        if operation == Op.ANCHOR_HASH:
            return each is not None and data == _sha1(each), f'{where} = H"{data.hex()}"'
        if operation == Op.CERT_GENERIC:
            field = f"field.{der.dotted(data)}"
            values = [f"field.{one.oid.dotted_string}" for one in each.extensions] if each else []
            values = [value for value in values if value == field]
        else:
            field = data.decode()
            if field not in SUBJECT:
                raise Malformed(f"a requirement asks for the field {field!r}, which is not known here")
            values = [str(one.value) for one in each.subject.get_attributes_for_oid(SUBJECT[field])] if each else []
        comparison = self._number()
        if comparison == EXISTS:
            return bool(values), f"{where}[{field}] /* exists */"
        if comparison != EQUAL or operation == Op.CERT_GENERIC:
            raise Malformed(f"a requirement compares by {comparison}, which is not known here")
        operand = self._bytes().decode()
        return operand in values, f'{where}[{field}] = "{operand}"'
