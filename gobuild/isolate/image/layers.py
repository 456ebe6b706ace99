"""The layers of an image: a tar of a few entries that is the same everywhere, or a toolchain's archive, byte for byte.

As an archive of a layer means more than any other (whiteouts remove files below, extended attributes give rights), what
distpack never writes is refused.
"""

import gzip
import hashlib
import io
import re
import shutil
import struct
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, PackageError, UnsafeArchive
from gobuild.core.goversion import Target
from gobuild.core.model import Artifact

_BLOCK = 1 << 20

LARGEST, MOST = 1 << 30, 100_000
"""Bytes and entries of an unpacked toolchain; Go's largest so far has 0.3 GB and 17,000 files."""

MACHINES = {"amd64": 62, "arm64": 183}
"""e_machine of an ELF file (EM_X86_64, EM_AARCH64), at offset 18."""

TIME = re.compile(r"^time ((?:19[7-9]\d|20\d\d|21\d\d)-\d\d-\d\dT\d\d:\d\d:\d\dZ)$", re.MULTILINE)
"""VERSION's second line (cmd/dist, distpack), of the years that an ustar header has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """A folder, file or symbolic link, owned by root; a mode of 0 is 0644 for a file, 0755 for a folder."""

    name: str
    content: bytes | None = None
    link: str = ""
    mode: int = 0


def make_tar(entries: Iterable[LayerEntry], created: datetime) -> bytes:
    """A tar (POSIX ustar) whose bytes depend on nothing but its entries, folders before what stands in them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.mode = entry.mode or (0o755 if entry.content is None else 0o644)
            info.type = tarfile.SYMTYPE if entry.link else tarfile.DIRTYPE if entry.content is None else tarfile.REGTYPE
            info.mtime = int(created.timestamp())
            info.linkname, info.size = entry.link, len(entry.content or b"")
            tar.addfile(info, io.BytesIO(entry.content or b""))
    return made.getvalue()


def gzip_stored(content: bytes) -> bytes:
    """A gzip file (RFC 1952) of stored blocks (RFC 1951, 3.2.4): the same bytes everywhere, as no library chose any.

    A layer that is not compressed would be by a client that pushes, which changes the image's digest.
    """
    blocks = [content[at : at + 0xFFFF] for at in range(0, len(content), 0xFFFF)]
    parts = [struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF) + block for block in blocks]
    head, tail = b"\x1f\x8b\x08" + bytes(6) + b"\xff", struct.pack("<BHH", 1, 0, 0xFFFF)
    return b"".join((head, *parts, tail, struct.pack("<II", zlib.crc32(content), len(content))))


def take(archive: Artifact, to: Path) -> None:
    """Copies an archive out of dist."""
    if not archive.path.is_file():
        raise PackageError(f"there is no {archive.path}", "the folder as invoke build left it")
    shutil.copyfile(archive.path, to)
    if files.sha256(to) != archive.sha256:
        raise ChecksumMismatch(f"{archive.path.name} is not the file that its manifest names", "build again")


def adopt(archive: Artifact, to: Path, *, stamp: str, target: Target) -> tuple[str, int, datetime]:
    """Copies a toolchain's archive, if it may be a layer; returns its tar's digest and size, and VERSION's time."""
    name = archive.path.name
    take(archive, to)
    try:
        with gzip.open(to) as unpacked:
            tar = _Through(unpacked, LARGEST)
            version = _look(tar, name, target)
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError) as error:
        raise UnsafeArchive(f"{name} is no whole archive: {error}", "build again") from error
    if version.split("\n")[0] != stamp:
        raise PackageError(f"{name} is not of {stamp}", "build again")
    return f"sha256:{tar.hash.hexdigest()}", tar.count, time_in(version)


def time_in(version: str) -> datetime:
    """The time that a VERSION file says, in UTC; 1970 where it says none."""
    found = TIME.search(version)
    try:
        return datetime.fromisoformat(found[1]) if found else datetime.fromtimestamp(0, UTC)
    except ValueError as error:
        raise PackageError(f"VERSION has no time but {version[:80]!a}", "build again") from error


class _Through(io.RawIOBase):
    """A stream that digests, counts and bounds what is read through it."""

    def __init__(self, source: io.BufferedIOBase, limit: int) -> None:
        self.source, self.limit = source, limit
        self.hash, self.count = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        block = self.source.read(size if size >= 0 else _BLOCK)
        self.count += len(block)
        if self.count > self.limit:
            raise tarfile.ReadError(f"it has more than the {self.limit} bytes it may have")
        self.hash.update(block)
        return block


def _look(stream: _Through, name: str, target: Target) -> str:
    """Reads the tar to its end and looks at every entry. Returns the text of VERSION."""
    version, machine, seen = "", b"", set()
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="strict") as tar:
        for member in tar:
            reason = _refused(member) or ("it stands there twice" if member.name in seen else "")
            seen.add(member.name)
            reason = f"with it there are more than {MOST}" if len(seen) > MOST else reason
            if reason:
                why = f"{name} cannot be a layer, for its entry {member.name!a}: {reason}"
                raise UnsafeArchive(why, "do not use this archive")
            content = tar.extractfile(member)
            if content and member.name == "go/VERSION":
                version = content.read(4096).decode("utf-8", "replace")
            elif content and member.name == "go/bin/go":
                machine = content.read(20)
    while block := stream.read(_BLOCK):
        if block.strip(b"\0"):
            raise UnsafeArchive(f"{name} goes on behind its end", "do not use this archive")
    if machine[:4] != b"\x7fELF" or int.from_bytes(machine[18:20], "little") != MACHINES[target.goarch]:
        raise PackageError(f"{name} has no bin/go for {target}", "build again")
    return version


def _refused(member: tarfile.TarInfo) -> str:
    """Why an entry may not be in a toolchain's layer; empty if it may."""
    path = PurePosixPath(member.name)
    parts = path.parts
    if str(path) != member.name or not parts or parts[0] != "go" or ".." in parts or "\\" in member.name:
        return "it does not stand below go/"
    if any(part.startswith(".wh.") for part in parts):
        return "a whiteout, which would remove files (layer.md)"
    if member.type not in (tarfile.REGTYPE, tarfile.DIRTYPE):
        return "neither a file nor a folder"
    if member.mode & 0o7000 or member.uid or member.gid:
        return "rights or an owner that Go's archives do not give"
    # Go's archive/tar writes a name that is not ASCII, such as test/fixedbugs/issue27836.dir/Äfoo.go, as a PAX record.
    if member.pax_headers.keys() - {"path"}:
        return "extended attributes"
    return ""
