"""New bytes into finished archives, entry by entry: what signing changes in a toolchain's .tar.gz and module .zip.

Go's distpack has decided names, order, modes, times and compression; all of that stays, and so does every byte of an
entry that is not replaced. A .zip's other entries are copied as they are, compressed; a .tar.gz is one compressed
stream, which is written anew with Python's zlib: the same input gives the same bytes wherever that is the same zlib.
Sources: POSIX pax (ustar headers); RFC 1952; PKWARE's APPNOTE, sections 4.3 and 4.4.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from gobuild.core import archives, files
from gobuild.core.errors import PackageError
from gobuild.core.goversion import Target

_BLOCK = 512
_LEVEL = 9
"""What distpack compresses with (src/cmd/distpack/archive.go, gzip.BestCompression)."""

_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
"""How Go writes a gzip stream's header at that level, and Python's gzip module too."""

_EXECUTABLE = b"\xcf\xfa\xed\xfe"
"""How a thin 64-bit Mach-O file begins."""

_LOCAL, _CENTRAL, _END, _DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x07\x08"
_STREAMED = 1 << 3


def unpack_executables(archive: Path, target: Target, into: Path) -> dict[str, Path]:
    """Unpacks the darwin programs of a toolchain's .tar.gz; returns where, by their names below GOROOT: "bin/go".

    Raises:
        PackageError: there is none.
    """
    places = ("bin/", f"pkg/tool/{target.underscored}/")

    def below_top(name: str) -> str | None:
        inner = name.partition("/")[2]
        return inner if inner.startswith(places) else None

    archives.unpack(archive, into, below_top)
    unpacked = {path.relative_to(into).as_posix(): path for path in sorted(into.rglob("*")) if path.is_file()}
    found = {name: path for name, path in unpacked.items() if _first_bytes(path) == _EXECUTABLE}
    if not found:
        raise PackageError(f"{archive.name} holds no program for {target}", "build again")
    return found


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_EXECUTABLE))


def replace_entries(archive: Path, new: Mapping[str, Path], to: Path) -> None:
    """Writes an archive, .tar.gz or .zip, again, with new bytes in some entries: by name below its top folder.

    Raises:
        PackageError: the archive lacks one of the entries, or is not as distpack writes them.
    """
    write = _zip if archive.suffix == ".zip" else _tar
    with files.atomic_write(to) as temporary:
        try:
            done = write(archive, new, temporary)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
            raise PackageError(f"{archive.name} is no whole archive: {error}", "build again") from error
        if missing := sorted(set(new) - done):
            raise PackageError(f"{archive.name} has no entry {', '.join(missing)}", "build again")


def _tar(archive: Path, new: Mapping[str, Path], to: Path) -> set[str]:
    """Copies headers as they are; of one whose content is replaced, size and checksum change."""
    done: set[str] = set()
    with archive.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            raise PackageError(f"{archive.name} has another gzip header than distpack's", "an archive by distpack")
    with (
        gzip.open(archive, "rb") as source,
        to.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as target,
    ):
        while header := source.read(_BLOCK):
            if len(header) != _BLOCK:
                raise tarfile.ReadError("a header is cut off")
            if not any(header):
                target.write(header)
                continue
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
                # A pax header could name or size the entry behind it.
                raise PackageError(f"{archive.name} has an entry of type {member.type!r}", "an archive by distpack")
            padded = -(-member.size // _BLOCK) * _BLOCK
            name = member.name.partition("/")[2]
            if name in new:
                content = new[name].read_bytes()
                target.write(_resized(header, len(content)))
                target.write(content + bytes(-len(content) % _BLOCK))
                _copy(source, padded)
                done.add(name)
            else:
                target.write(header)
                _copy(source, padded, target)
    return done


def _resized(header: bytes, size: int) -> bytes:
    """A ustar header with another size, and the checksum that follows."""
    changed = bytearray(header)
    changed[124:136] = f"{size:011o}\0".encode()
    changed[148:156] = b" " * 8
    changed[148:156] = f"{sum(changed):06o}\0 ".encode()
    return bytes(changed)


def _copy(source: IO[bytes] | gzip.GzipFile, size: int, target: IO[bytes] | gzip.GzipFile | None = None) -> None:
    """Copies so many bytes; without a target, passes over them."""
    while size:
        part = source.read(min(size, 1 << 20))
        if not part:
            raise EOFError("it ends within an entry")
        size -= len(part)
        if target:
            target.write(part)


def _zip(archive: Path, new: Mapping[str, Path], to: Path) -> set[str]:
    """Copies entries as they are, compressed; one that is replaced is compressed anew, its sizes and CRC change."""
    with zipfile.ZipFile(archive) as pack:
        entries = sorted(pack.infolist(), key=lambda each: each.header_offset)
        order, start, comment = pack.infolist(), pack.start_dir, pack.comment
    done: set[str] = set()
    with archive.open("rb") as source, to.open("wb") as target:
        moved: dict[str, tuple[int, bytes]] = {}
        for index, entry in enumerate(entries):
            end = entries[index + 1].header_offset if index + 1 < len(entries) else start
            name = entry.filename.partition("@")[2].partition("/")[2]
            source.seek(entry.header_offset)
            at = target.tell()
            if name in new:
                moved[entry.filename] = (at, _entry(source, entry, end, new[name].read_bytes(), target))
                done.add(name)
            else:
                moved[entry.filename] = (at, b"")
                _copy(source, end - entry.header_offset, target)
        source.seek(start)
        directory = target.tell()
        for entry in order:
            _central(source, entry, *moved[entry.filename], target)
        _end(source, len(order), directory, comment, target)
    return done


def _entry(source: IO[bytes], entry: zipfile.ZipInfo, end: int, content: bytes, target: IO[bytes]) -> bytes:
    """Writes one entry with new content; returns its CRC and sizes, as they stand in the headers."""
    header = bytearray(source.read(30))
    names = source.read(sum(struct.unpack_from("<2H", header, 26)))
    plain = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if header[:4] != _LOCAL or entry.compress_type not in plain or entry.flag_bits & 1:
        raise zipfile.BadZipFile(f"the entry {entry.filename} is encrypted, or compressed in an unknown way")
    packed = content
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(content) + packer.flush()
    sizes = struct.pack("<3I", zlib.crc32(content), len(packed), len(content))
    tail = b""
    if entry.flag_bits & _STREAMED:
        # The sizes stand behind the content, and zero in front of it (APPNOTE 4.4.4, 4.3.9).
        source.seek(end - 16)
        if source.read(4) != _DESCRIPTOR or any(header[14:26]):
            raise zipfile.BadZipFile(f"the entry {entry.filename} has no data descriptor")
        tail = _DESCRIPTOR + sizes
    else:
        header[14:26] = sizes
    target.write(bytes(header) + names + packed + tail)
    return sizes


def _central(source: IO[bytes], entry: zipfile.ZipInfo, at: int, sizes: bytes, target: IO[bytes]) -> None:
    """Copies an entry of the central directory, with its new offset and, where it was replaced, CRC and sizes."""
    header = bytearray(source.read(46))
    rest = source.read(sum(struct.unpack_from("<3H", header, 28)))
    if header[:4] != _CENTRAL or 0xFFFFFFFF in struct.unpack_from("<2I", header, 20):
        raise zipfile.BadZipFile(f"the entry {entry.filename} has sizes in Zip64's form")
    struct.pack_into("<I", header, 42, at)
    if sizes:
        header[16:28] = sizes
    target.write(bytes(header) + rest)


def _end(source: IO[bytes], count: int, directory: int, comment: bytes, target: IO[bytes]) -> None:
    """Copies the end record, with the directory's new place."""
    record = bytearray(source.read(22 + len(comment)))
    if record[:4] != _END or struct.unpack_from("<H", record, 10)[0] != count or source.read(1):
        raise zipfile.BadZipFile("it ends in another way than Go's archives do")
    size = target.seek(0, io.SEEK_CUR) - directory
    struct.pack_into("<2I", record, 12, size, directory)
    target.write(bytes(record))
