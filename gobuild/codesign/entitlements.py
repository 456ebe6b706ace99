"""Entitlements: their two blobs come in, the one dictionary that both say goes out.

Sources: TN3125 (the two forms); for the DER form, Apple's CoreEntitlements, `der_vm_execute` (an outer tag of
APPLICATION 16, version 1, then a dictionary of CONTEXT 16 with its keys sorted). What it does not do: it does not judge
what is asked for. That is shown in the report.
"""

import struct
from typing import Any

from gobuild.binary.view import Malformed
from gobuild.codesign import der, plists

PLIST, DER = 0xFADE7171, 0xFADE7172
_TOP, _DICTIONARY = 0x70, 0xB0
DEPTH = 16


def read(plist: bytes | None, binary: bytes | None) -> dict[str, Any]:
    """Reads the entitlements.

    Args:
        plist: the blob in slot 5 with its header, or None.
        binary: the blob in slot 7 with its header, or None.

    Returns:
        The entitlements; empty where there are none.

    Raises:
        Malformed: one of them cannot be read, or they differ, or the first is missing.
    """
    if plist is None:
        if binary is not None:
            raise Malformed("entitlements in DER, but none as a property list")
        return {}
    found = plists.dictionary(_body(plist, PLIST), "the entitlements")
    if binary is not None:
        body = _body(binary, DER)
        with der.parsing("the entitlements"):  # which may be nested deeper than Python can go
            der.definite(body)
            version, *rest = der.children(body, _TOP)
            if version != b"\x02\x01\x01" or len(rest) != 1:
                raise Malformed("the entitlements' DER is of another version")
            if _same(_value(rest[0], 0)) != _same(found):
                raise Malformed("the entitlements' two forms differ")
    return found


def _body(blob: bytes, magic: int) -> bytes:
    if len(blob) < 8 or struct.unpack_from(">2I", blob) != (magic, len(blob)):
        raise Malformed("the entitlements' blob has another magic or length")
    return blob[8:]


def _value(data: bytes, depth: int) -> Any:
    """One value of the DER form."""
    if depth > DEPTH:
        raise Malformed("entitlements nested too deeply")
    tag = data[0]
    if tag == der.BOOLEAN:
        return der.content(data, tag) == b"\xff"
    if tag == der.INTEGER:
        return int.from_bytes(der.content(data, tag), "big", signed=True)
    if tag == der.UTF8:
        return der.content(data, tag).decode()
    if tag == der.OCTETS:
        return der.content(data, tag)
    if tag == der.SEQUENCE:
        return [_value(each, depth + 1) for each in der.children(data)]
    if tag != _DICTIONARY:
        raise Malformed(f"entitlements with the ASN.1 tag {tag:#x}")
    found: dict[str, Any] = {}
    for each in der.children(data, _DICTIONARY):
        parts = der.children(each)
        if len(parts) != 2:
            raise Malformed("an entitlement that is no key and value")
        key = der.content(parts[0], der.UTF8).decode()
        if found and key.encode() <= list(found)[-1].encode():
            raise Malformed("entitlements that are not sorted, or twice there")
        found[key] = _value(parts[1], depth + 1)
    return found


def _same(value: Any) -> Any:
    """A value such that True and 1 are not the same."""
    if isinstance(value, dict):
        return {key: _same(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_same(each) for each in value]
    return type(value).__name__, value
