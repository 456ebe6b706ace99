"""Mach-O headers, load commands, symbol table and bindings, read strictly; not the signature, which codesign reads.

Sources: Apple's <mach-o/loader.h> and <mach-o/nlist.h>; Go's writer, src/cmd/link/internal/ld/macho.go. What cannot be
read on is `Malformed`.
"""

import struct
from collections.abc import Iterator

from gobuild.binary import dyld_info
from gobuild.binary.macho_types import COMMANDS, DYLIBS, MAGIC, OTHERS, SIZES, X86_64, MachO, Section, Segment
from gobuild.binary.view import Malformed, Range, View

COMMANDS_LIMIT = 1 << 14
"""Bytes of load commands; Go writes about 2,300."""

IMPORTS_LIMIT = 1 << 16
"""Imported symbols; Go's largest binary has 137."""

N_STAB, N_TYPE = 0xE0, 0x0E

REPEATED = DYLIBS | {"LC_SEGMENT_64", "LC_RPATH"}
"""What may stand there more than once."""

RANGES = {
    # command -> (what, where offset and count stand in it, bytes of each)
    "LC_SYMTAB": (("symbols", 8, 16), ("symbol names", 16, 1)),
    "LC_DYSYMTAB": (
        ("table of contents", 32, 8),
        ("module table", 40, 56),
        ("external references", 48, 4),
        ("indirect symbols", 56, 4),
        ("external relocations", 64, 8),
        ("local relocations", 72, 8),
    ),
    "LC_DYLD_INFO": (
        ("rebase opcodes", 8, 1),
        ("bind opcodes", 16, 1),
        ("weak bind opcodes", 24, 1),
        ("lazy bind opcodes", 32, 1),
        ("exports", 40, 1),
    ),
    "LC_FUNCTION_STARTS": (("function starts", 8, 1),),
    "LC_DATA_IN_CODE": (("data in code", 8, 1),),
    "LC_CODE_SIGNATURE": (("code signature", 8, 1),),
}
RANGES["LC_DYLD_INFO_ONLY"] = RANGES["LC_DYLD_INFO"]


def read_macho(view: View) -> MachO:
    """Reads the headers, symbol table and bind opcodes of a thin 64-bit Mach-O file."""
    start = view.data[:8]
    for magic, kind in OTHERS.items():
        if start.startswith(magic):
            raise Malformed(f"{kind}, not a thin 64-bit Mach-O file")
    magic, cputype, cpusubtype, filetype, count, size, flags, reserved = view.unpack("<8I", 0, "the header")
    if magic != MAGIC:
        raise Malformed(f"no Mach-O file: it begins with {start[:4].hex()}")
    if reserved:
        raise Malformed("the header's reserved field is not zero")
    if size > COMMANDS_LIMIT or count * 8 > size:
        raise Malformed(f"{count} load commands in {size} bytes")
    view.require(32, size, "the load commands")
    image = MachO(cputype=cputype, cpusubtype=cpusubtype, filetype=filetype, flags=flags, commands_end=32 + size)
    for name, offset, length in _commands(view, count, 32 + size):
        if name in image.commands and name not in REPEATED:
            raise Malformed(f"two {name}")
        image.commands.append(name)
        image.places.setdefault(name, offset)
        _command(view, image, name, offset, length)
    _symbols(view, image)
    image.bindings = dyld_info.read_bindings(view, image)
    return image


def _commands(view: View, count: int, end: int) -> Iterator[tuple[str, int, int]]:
    offset = 32
    for index in range(count):
        number, length = view.unpack("<II", offset, f"load command {index}") if offset + 8 <= end else (0, 0)
        name = COMMANDS.get(number, f"{number:#x}")
        if length < 8 or length % 8 or offset + length > end:
            raise Malformed(f"load command {index} ({name}), {length} bytes long, ends beyond the load commands")
        if length != SIZES.get(name, length):
            raise Malformed(f"{name} has {length} bytes, not {SIZES[name]}")
        yield name, offset, length
        offset += length
    if offset != end:
        raise Malformed(f"the load commands end at {offset:#x}, and the header says {end:#x}")


def _command(view: View, image: MachO, name: str, offset: int, length: int) -> None:
    """Takes one command apart."""
    if name == "LC_SEGMENT_64":
        image.segments.append(_segment(view, offset, length))
    elif name in DYLIBS:
        image.dylibs.append((name, _lc_str(view, name, offset, length, header=24)))
        timestamp, current, compatible = view.unpack("<3I", offset + 12, name)
        image.versions.append((current, compatible, timestamp))
    elif name == "LC_RPATH":
        image.rpaths.append(_lc_str(view, name, offset, length, header=12))
    elif name == "LC_LOAD_DYLINKER":
        image.dylinker = _lc_str(view, name, offset, length, header=12)
    elif name == "LC_UUID":
        image.uuid = view.copy(offset + 8, 16, name).hex()
    elif name == "LC_MAIN":
        image.entry, image.stacksize = view.unpack("<2Q", offset + 8, name)
    elif name == "LC_UNIXTHREAD":
        image.entry = _thread(view, image, offset)
    elif name == "LC_BUILD_VERSION":
        _build_version(view, image, offset, length)
    elif name in RANGES:
        _ranges(view, image, name, offset)
    if name == "LC_DYSYMTAB":
        image.undefined = view.unpack("<II", offset + 24, name)


def _segment(view: View, offset: int, length: int) -> Segment:
    raw, *fields, count, flags = view.unpack("<16s4Q4I", offset + 8, "LC_SEGMENT_64")
    name = _char16(raw)
    if 72 + 80 * count != length:
        raise Malformed(f"segment {name} says {count} sections in {length} bytes")
    sections = []
    for at in range(offset + 72, offset + length, 80):
        sectname, segname, *rest = view.unpack("<16s16sQQ8I", at, f"a section of {name}")
        sections.append(Section(_char16(sectname), _char16(segname), *rest))
    return Segment(offset, name, tuple(sections), flags, *fields)


def _char16(raw: bytes) -> str:
    """A name in a field of sixteen bytes, the rest of which must be zero."""
    name, _, rest = raw.partition(b"\0")
    if any(rest):
        raise Malformed(f"the name {name!r} has more behind its end")
    return name.decode("latin-1")


def _lc_str(view: View, what: str, offset: int, length: int, *, header: int) -> str:
    """The string of a command (lc_str): its offset counts from the command's start; behind it, all is zero."""
    (at,) = view.unpack("<I", offset + 8, what)
    if not header <= at < length:
        raise Malformed(f"{what}'s name is outside the command")
    name = view.c_string(offset + at, offset + length, f"{what}'s name")
    if not view.zero(offset + at + len(name.encode()), offset + length):
        raise Malformed(f"{what}'s name {name} has more behind its end")
    return name


def _thread(view: View, image: MachO, offset: int) -> int:
    """The entry point of darwin/amd64: the register rip, an address, in a command of one size."""
    flavor, count = view.unpack("<II", offset + 8, "LC_UNIXTHREAD")
    if (image.cputype, flavor, count) != (X86_64, 4, 42):
        raise Malformed("LC_UNIXTHREAD holds no x86-64 thread state")
    (address,) = view.unpack("<Q", offset + 16 + 16 * 8, "LC_UNIXTHREAD")
    text = image.segment("__TEXT")
    return int(address) - (text.vmaddr if text else 0)


def _build_version(view: View, image: MachO, offset: int, length: int) -> None:
    if length < 24:
        raise Malformed(f"LC_BUILD_VERSION has {length} bytes")
    image.platform, minos, sdk, tools = view.unpack("<4I", offset + 8, "LC_BUILD_VERSION")
    if 24 + 8 * tools != length:
        raise Malformed(f"LC_BUILD_VERSION says {tools} tools in {length} bytes")
    image.minos, image.sdk = _version(minos), _version(sdk)


def _version(number: int) -> str:
    """Reads xxxx.yy.zz in nibbles; a third part of zero is not written."""
    text = f"{number >> 16}.{number >> 8 & 0xFF}"
    return f"{text}.{number & 0xFF}" if number & 0xFF else text


def _ranges(view: View, image: MachO, name: str, offset: int) -> None:
    """Notes the ranges that a command points to; each must lie in the file."""
    for what, at, each in RANGES[name]:
        start, count = view.unpack("<2I", offset + at, name)
        if not count:
            continue
        view.require(start, count * each, what)
        image.linkedit.append(Range(what=what, offset=start, size=count * each))
        if name == "LC_CODE_SIGNATURE":
            image.signature = image.linkedit[-1]


def _symbols(view: View, image: MachO) -> None:
    """Reads LC_SYMTAB's table: the undefined symbols, and how many defined ones there are."""
    table, names = image.table("symbols"), image.table("symbol names")
    if not table:
        return
    if not names:
        raise Malformed("a symbol table without names")
    undefined: list[tuple[int, str, int]] = []
    highest = 0
    sections = sum(len(segment.sections) for segment in image.segments)
    with memoryview(view.data) as data, data[table.offset : table.end] as entries:
        for index, (n_strx, n_type, n_sect, n_desc, _value) in enumerate(struct.iter_unpack("<IBBHQ", entries)):
            highest = max(highest, n_strx)
            if n_type & (N_STAB | N_TYPE):  # a debugger's, or not N_UNDF: defined here
                image.defined += 1
                if n_sect > sections:
                    raise Malformed(f"symbol {index} is in section {n_sect} of {sections}")
            elif len(undefined) >= IMPORTS_LIMIT:
                raise Malformed(f"more than {IMPORTS_LIMIT} imported symbols")
            else:
                undefined.append((index, view.c_string(names.offset + n_strx, names.end, "a symbol's name"), n_desc))
    if names.offset + highest >= names.end:
        raise Malformed("a symbol's name is beyond the names")
    image.imports = tuple(name for _, name, _ in undefined)
    image.n_desc = tuple(n_desc for _, _, n_desc in undefined)
    if "LC_DYSYMTAB" in image.commands:
        # dyld and the tools go by it. The count is the file's word: no list of that length is made.
        first, count = image.undefined
        ends = undefined and (undefined[0][0], undefined[-1][0])
        if len(undefined) != count or (ends and ends != (first, first + count - 1)):
            raise Malformed("LC_DYSYMTAB divides the symbols another way than they stand")
