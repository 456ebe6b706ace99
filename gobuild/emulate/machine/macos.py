"""What macOS refuses to start, and in which words: the kernel's and dyld's rules for a chosen version."""

import hashlib
import struct
from collections.abc import Iterator

from gobuild.binary.macho_types import ARM64, EXECUTE, PLATFORM_MACOS, MachO
from gobuild.binary.view import Malformed, View
from gobuild.codesign.codedirectory import PAGE_SIZES, CodeDirectory, parse_code_directory
from gobuild.core.resources import table

UUID_SINCE = 26
"""dyld of macOS 26 and later ends a program without LC_UUID."""

SUPERBLOB = 0xFADE0CC0

_FRAMEWORKS = {"AppKit": "C", "CoreGraphics": "A", "Foundation": "C", "IOKit": "A", "Metal": "A"}
OTHER_LIBRARIES = {
    "/usr/lib/libobjc.A.dylib",
    *(f"/System/Library/Frameworks/{name}.framework/Versions/{each}/{name}" for name, each in _FRAMEWORKS.items()),
}
"""What macOS has besides the libraries that Go's standard library names: theirs are in data/darwin_exports.json.
Metal is here so that a call of it is seen, and told."""


class Refused(Exception):
    """macOS would not start this program, for this reason."""


def require_startable(macho: MachO, *, macos: int) -> None:
    """Raises Refused for what the kernel or dyld of that macOS does not start, the page hashes apart."""
    if (macho.cputype, macho.filetype) != (ARM64, EXECUTE):
        raise Refused(f"kernel: Bad CPU type in executable (cputype {macho.cputype:#x}, filetype {macho.filetype})")
    if macho.platform != PLATFORM_MACOS:
        raise Refused(f"dyld: program was built for platform {macho.platform}, not macOS")
    if int(macho.minos.split(".")[0] or 0) > macos:
        raise Refused(f"dyld: program was built for macOS {macho.minos}, which is newer than the running macOS {macos}")
    if not macho.uuid and macos >= UUID_SINCE:
        raise Refused("dyld: missing LC_UUID load command")
    if macho.signature is None:
        raise Refused("kernel: Killed: 9 (code signature: there is none, and arm64 needs one)")
    exports = table("darwin_exports.json")
    for command, name in macho.dylibs:
        if name not in exports and name not in OTHER_LIBRARIES and "WEAK" not in command:
            raise Refused(f"dyld: Library not loaded: {name}")
    homes = {symbol: home for home, symbols in exports.items() for symbol in symbols}
    for binding in macho.bindings:
        if not 0 < binding.ordinal <= len(macho.dylibs):
            continue  # no library in particular
        library = macho.dylibs[binding.ordinal - 1][1]
        if homes.get(binding.name, library) != library:
            raise Refused(f"dyld: Symbol not found: {binding.name}, expected in {library}")


def bad_pages(view: View, macho: MachO) -> Iterator[int]:
    """The file offsets of the pages whose hash is not what the signature says."""
    try:
        directory = _code_directory(view, macho)
    except Malformed as error:
        raise Refused(f"kernel: Killed: 9 (code signature: {error})") from error
    page, limit = PAGE_SIZES[directory.header.page_size], directory.header.code_limit
    view.require(0, limit, "what the signature covers")
    with memoryview(view.data) as data:
        for index in range(min(directory.header.n_code_slots, -(-limit // page))):
            with data[index * page : min((index + 1) * page, limit)] as content:
                if hashlib.sha256(content).digest() != directory.slot(index):
                    yield index * page


def _code_directory(view: View, macho: MachO) -> CodeDirectory:
    place = macho.signature
    if place is None:
        raise Malformed("there is none")
    magic, _length, count = view.unpack(">3I", place.offset, "the signature")
    if magic != SUPERBLOB or not 0 < count < 16:
        raise Malformed("no SuperBlob")
    for slot, offset in struct.iter_unpack(">II", view.copy(place.offset + 12, 8 * count, "the signature")):
        if slot == 0:
            start = place.offset + offset
            _, length = view.unpack(">II", start, "the CodeDirectory")
            return parse_code_directory(view.copy(start, length, "the CodeDirectory"))
    raise Malformed("no CodeDirectory")
