"""Mach-O read by hand, in a few lines: gobuild's own reader is under test and may not be its own judge."""

import struct

LC_LOAD_DYLIB, LC_SEGMENT_64, LC_UUID, LC_CODE_SIGNATURE = 0xC, 0x19, 0x1B, 0x1D


def commands_of(binary: bytes) -> list[tuple[int, bytes]]:
    """The load commands of a thin arm64 executable."""
    magic, cpu, _sub, kind, count, _size, _flags, _reserved = struct.unpack_from("<8I", binary)
    assert (magic, cpu, kind) == (0xFEEDFACF, 0x0100000C, 2)
    commands, at = [], 32
    for _ in range(count):
        command, size = struct.unpack_from("<2I", binary, at)
        commands.append((command, binary[at : at + size]))
        at += size
    return commands


def stripped(binary: bytes) -> bytes:
    """A Mach-O without its signature, as golang.org's gorebuild compares them.

    The last load command goes; __LINKEDIT ends where the signature began, and its vmsize is made its filesize,
    because Apple's signer rounds it.
    """
    data = bytearray(binary)
    count, size = struct.unpack_from("<2I", data, 16)
    at, linkedit = 32, 0
    for index in range(count):
        command, length = struct.unpack_from("<2I", data, at)
        if command == LC_SEGMENT_64 and data[at + 8 : at + 24].rstrip(b"\0") == b"__LINKEDIT":
            linkedit = at
        if index == count - 1:
            assert command == LC_CODE_SIGNATURE
            begin, _length = struct.unpack_from("<2I", data, at + 8)
            data[at : at + length] = bytes(length)
            struct.pack_into("<2I", data, 16, count - 1, size - length)
            fileoff = struct.unpack_from("<Q", data, linkedit + 40)[0]
            struct.pack_into("<Q", data, linkedit + 32, begin - fileoff)
            struct.pack_into("<Q", data, linkedit + 48, begin - fileoff)
            return bytes(data[:begin])
        at += length
    raise AssertionError("no load command")
