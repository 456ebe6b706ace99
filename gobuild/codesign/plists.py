"""XML property lists: bytes come in, the dictionary at their top goes out, or `Malformed`. Nothing else is read."""

import plistlib
from typing import Any

from gobuild.binary.view import Malformed
from gobuild.codesign import der


def dictionary(data: bytes, what: str) -> dict[str, Any]:
    """Reads a property list.

    Args:
        data: it, in XML; a binary one is refused.
        what: what it is, for the message.

    Raises:
        Malformed: it is none, or something else than a dictionary stands at its top.
    """
    with der.parsing(what):
        found = plistlib.loads(data, fmt=plistlib.FMT_XML)
    if not isinstance(found, dict):
        raise Malformed(f"{what}: no dictionary")
    return found
