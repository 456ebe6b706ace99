"""A Mach-O file without its code signature: bytes in, bytes out, as golang.org's gorebuild compares them.

The last load command, LC_CODE_SIGNATURE, goes; __LINKEDIT ends where the signature began, and its vmsize is made its
filesize, because Apple's signer rounds it (golang.org/x/build/cmd/gorebuild; <mach-o/loader.h>). Any other file, and
a Mach-O file that has no signature, comes back as it was.
"""

import struct

from gobuild.binary.macho_types import MAGIC
from gobuild.binary.view import Malformed

LC_SEGMENT_64, LC_UUID, LC_CODE_SIGNATURE = 0x19, 0x1B, 0x1D


def unsigned(data: bytes, *, uuid: bool = True) -> bytes:
    """Takes the signature off.

    Args:
        data: the whole file.
        uuid: whether LC_UUID's sixteen bytes stay; else they are zeroed.

    Raises:
        Malformed: the load commands leave their bounds, or the signature is not the last of them.
    """
    if len(data) < 32 or struct.unpack_from("<I", data)[0] != MAGIC:
        return data
    out = bytearray(data)
    count, size = struct.unpack_from("<2I", out, 16)
    at, linkedit, end = 32, 0, 32 + size
    for index in range(count):
        command, length = struct.unpack_from("<2I", out, at) if at + 8 <= min(end, len(out)) else (0, 0)
        if length < 8 or at + length > min(end, len(out)):
            raise Malformed(f"load command {index} ends beyond the load commands")
        if command == LC_SEGMENT_64 and length >= 72 and out[at + 8 : at + 24].rstrip(b"\0") == b"__LINKEDIT":
            linkedit = at
        if command == LC_UUID and not uuid:
            out[at + 8 : at + 24] = bytes(16)
        if command == LC_CODE_SIGNATURE:
            return _without(out, index, at, length, linkedit)
        at += length
    return bytes(out)


def _without(out: bytearray, index: int, at: int, length: int, linkedit: int) -> bytes:
    count, size = struct.unpack_from("<2I", out, 16)
    if index != count - 1 or not linkedit or length != 16:
        raise Malformed("the signature's load command is not the last one, or there is no __LINKEDIT before it")
    begin, _ = struct.unpack_from("<2I", out, at + 8)
    (start,) = struct.unpack_from("<Q", out, linkedit + 40)
    if not start <= begin <= len(out):
        raise Malformed("the signature begins outside __LINKEDIT")
    out[at : at + length] = bytes(length)
    struct.pack_into("<2I", out, 16, count - 1, size - length)
    struct.pack_into("<Q", out, linkedit + 32, begin - start)
    struct.pack_into("<Q", out, linkedit + 48, begin - start)
    return bytes(out[:begin])
