"""A Mach-O file without its code signature, as golang.org's gorebuild compares them.

A signer adds LC_CODE_SIGNATURE, the last load command, and makes __LINKEDIT end where the signature does; nothing else
in front of the signature changes (golang.org/x/build/cmd/gorebuild; <mach-o/loader.h>).
"""

import struct

from gobuild.binary.macho import read_macho
from gobuild.binary.macho_types import MAGIC, MachO
from gobuild.binary.view import Malformed, View


def unsigned(data: bytes, *, uuid: bool = True) -> bytes:
    """A Mach-O file without its signature, LC_UUID's sixteen bytes zeroed unless `uuid`; any other file as it is.

    Raises:
        Malformed: it cannot be read, or the signature is not the last of it.
    """
    if not data.startswith(struct.pack("<I", MAGIC)):
        return data
    view = View(data=data, size=len(data))
    image = read_macho(view)
    end = image.signature.offset if image.signature else len(data)
    last = image.segment("__LINKEDIT")
    if image.signature and (image.commands[-1] != "LC_CODE_SIGNATURE" or not last or end < last.fileoff):
        raise Malformed("the signature's load command is not the last one, or the signature is not in __LINKEDIT")
    head = commands_as_signed(view, image, end=end, uuid=uuid)
    return head + data[len(head) : end]


def commands_as_signed(view: View, image: MachO, *, end: int, signature: int = 0, uuid: bool = True) -> bytes:
    """The header and load commands that a signed file has with another signature of so many bytes; of 0, with none.

    The file then ends at `end`. LC_UUID's sixteen bytes are zeroed unless `uuid`.
    """
    head = bytearray(view.copy(0, image.commands_end, "the load commands"))
    command, last = image.places.get("LC_CODE_SIGNATURE"), image.segment("__LINKEDIT")
    if image.signature and command and last:
        if signature:
            struct.pack_into("<I", head, command + 12, signature)
        else:
            struct.pack_into("<2I", head, 16, len(image.commands) - 1, image.commands_end - 32 - 16)
            head[command : command + 16] = bytes(16)
        size = max(end - last.fileoff, 0)
        struct.pack_into("<Q", head, last.command + 32, size)  # vmsize, which Apple's signer rounds
        struct.pack_into("<Q", head, last.command + 48, size)  # filesize
    place = image.places.get("LC_UUID")
    if place and not uuid:
        head[place + 8 : place + 24] = bytes(16)
    return bytes(head)
