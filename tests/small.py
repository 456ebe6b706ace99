"""Small files that pass every check: seeds for mutants, where a real program would be a million bytes of the same.

Written field by field after the headers of real Go programs (`go build` of hello, world), with four functions, one
import and one pointer to slide.
"""

import struct

from verify_fixtures import resigned, view

from gobuild.binary import buildid, elf
from gobuild.binary.buildid import END, PREFIX
from gobuild.binary.macho import read_macho
from gobuild.binary.view import View
from gobuild.verify import darwin, linux
from gobuild.verify.checks import GoSections
from gobuild.verify.golang import ENTRY, PROLOGUES

ARM64, AMD64 = "arm64", "amd64"
SETTINGS = "-buildmode=exe -compiler=gc -trimpath=true CGO_ENABLED=0"
BODY = {ARM64: bytes.fromhex("1f2003d5") * 3 + bytes.fromhex("c0035fd6"), AMD64: b"\x90" * 11 + b"\xc3"}
"""NOP, NOP, NOP, RET behind the prologue."""

IDS = "/".join(("A" * 20, "B" * 20, "C" * 20, "D" * 20))


def _id_function() -> bytes:
    return (PREFIX + IDS.encode() + END).ljust(112, b"\0")


def _text(goarch: str) -> bytes:
    one = (PROLOGUES[goarch] + BODY[goarch]).ljust(32, b"\0" if goarch == ARM64 else b"\xcc")
    return _id_function() + one + one + one


def _table(goos: str, goarch: str) -> bytes:
    """A pclntab (src/runtime/symtab.go)."""
    functions_names = ("go:buildid", ENTRY[goos, goarch], "runtime.schedinit", "runtime.main")
    names = b"".join(name.encode() + b"\0" for name in functions_names)
    files = b"main.go\0runtime/proc.go\0"
    starts = (0, 112, 144, 176)
    places = [8 * len(starts) + 4 + 8 * index for index in range(len(starts))]
    offsets = [0, *(names.index(b"\0" + name.encode()) + 1 for name in functions_names[1:])]
    pairs = [number for pair in zip(starts, places, strict=True) for number in pair]
    functions = struct.pack(f"<{len(pairs) + 1}I", *pairs, 208)
    functions += b"".join(struct.pack("<2I", *pair) for pair in zip(starts, offsets, strict=True))
    at = [72, 72 + len(names), 72 + len(names), 72 + len(names) + len(files), 72 + len(names) + len(files)]
    header = struct.pack("<IBBBB8Q", 0xFFFFFFF1, 0, 0, 4 if goarch == ARM64 else 1, 8, len(starts), 2, 0, *at)
    return (header + names + files + functions).ljust(300, b"\0")


def _information(goos: str, goarch: str) -> bytes:
    settings = f"{SETTINGS} GOARCH={goarch} GOOS={goos}".split()
    module = "path\tcmd/go\n" + "".join(f"build\t{each}\n" for each in settings)
    texts = [b"go1.22.10", bytes(16) + module.encode() + bytes(16)]
    body = b"".join(_length(len(text)) + text for text in texts)
    return b"\xff Go buildinf:\x08\x02" + bytes(16) + body


def _length(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80, number >> 7])


def _segment(name: str, address: int, memory: int, at: int, size: int, rights: int, *sections: bytes) -> bytes:
    most = 7 if rights == 5 else rights
    body = struct.pack("<16s4Q4I", name.encode(), address, memory, at, size, most, rights, len(sections), 0)
    return struct.pack("<2I", 0x19, 8 + len(body) + 80 * len(sections)) + body + b"".join(sections)


def _section(name: str, segment: str, address: int, size: int, at: int) -> bytes:
    return struct.pack("<16s16s2Q8I", name.encode(), segment.encode(), address, size, at, 2, 0, 0, 0, 0, 0, 0)


def _text_command(number: int, header: bytes, text: str) -> bytes:
    body = header + text.encode() + b"\0"
    body += bytes(-len(body) % 8)
    return struct.pack("<2I", number, 8 + len(body)) + body


def macho(goarch: str = ARM64) -> bytes:
    """A Mach-O file for darwin of 1.22.10's kind: 16 KiB a segment for arm64, 4 KiB for amd64; signed by the linker."""
    page = 0x4000 if goarch == ARM64 else 0x1000
    base = 1 << 32 if goarch == ARM64 else 1 << 24
    text, table, info = _text(goarch), _table("darwin", goarch), _information("darwin", goarch)
    start = 0x800
    rebase = bytes.fromhex("1122085100").ljust(8, b"\0")
    bind = (b"\x51\x72\x00\x11\x40_exit\0\x90\x00").ljust(16, b"\0")
    entries, names = struct.pack("<IBBHQ", 1, 1, 0, 0, 0), b"\0_exit\0\0"
    linkedit = rebase + bind + entries + names
    at = 3 * page
    places = [at]
    for part in (rebase, bind, entries, names):
        places.append(places[-1] + len(part))
    room = -(-(places[-1]) // 16) * 16
    version = 0xB0000 if goarch == ARM64 else 0xA0D00
    commands = [
        _segment("__PAGEZERO", 0, base, 0, 0, 0),
        _segment(
            *("__TEXT", base, page, 0, page, 5),
            _section("__text", "__TEXT", base + start, len(text), start),
            _section("__gopclntab", "__TEXT", base + start + 256, len(table), start + 256),
        ),
        _segment(
            *("__DATA", base + page, 2 * page, page, 2 * page, 3),
            _section("__go_buildinfo", "__DATA", base + page + 64, len(info), page + 64),
        ),
        _segment("__LINKEDIT", base + 3 * page, room - at, at, room - at, 1),
        struct.pack("<6I", 0x32, 24, 1, version, version, 0),
        struct.pack("<2I2Q", 0x80000028, 24, start + 112, 0),
        struct.pack("<12I", 0x80000022, 48, places[0], 8, places[1], 16, *[0] * 6),
        struct.pack("<6I", 0x2, 24, places[2], 1, places[3], len(names)),
        struct.pack("<20I", 0xB, 80, 0, 0, 0, 0, 0, 1, *[0] * 12),
        _text_command(0xE, struct.pack("<I", 12), "/usr/lib/dyld"),
        _text_command(0xC, struct.pack("<4I", 24, 0, 0, 0), "/usr/lib/libSystem.B.dylib"),
        struct.pack("<2I16s", 0x1B, 24, bytes(range(16))),
        struct.pack("<4I", 0x1D, 16, room, 16),
    ]
    machine = (0x0100000C, 0) if goarch == ARM64 else (0x01000007, 3)
    head = struct.pack("<8I", 0xFEEDFACF, *machine, 2, len(commands), sum(map(len, commands)), 0x200004, 0)
    head += b"".join(commands)
    data = bytearray(room)
    for offset, part in ((0, head), (start, text), (start + 256, table), (page + 64, info), (at, linkedit)):
        assert not any(data[offset : offset + len(part)])
        data[offset : offset + len(part)] = part
    signed = view(resigned(bytes(data) + bytes(16)))
    return resigned(_named(signed, darwin._go_sections(signed, read_macho(signed))))


def _named(seed: View, parts: GoSections) -> bytes:
    """Writes the content's hash into the build ID, as the go command does after linking."""
    content = buildid.content_hash(seed, IDS, parts.as_linked[0])
    return bytes(seed.data).replace(IDS.encode(), f"{IDS[:63]}{content}".encode())


def linux_elf() -> bytes:
    """An ELF file for linux/amd64: two segments, five sections."""
    base = 0x400000
    text, table, info = _text(AMD64), _table("linux", AMD64), _information("linux", AMD64)
    note = struct.pack("<3I4s", 4, len(IDS), 4, b"Go\0\0") + IDS.encode() + b"\0"
    names = b"\0.text\0.gopclntab\0.go.buildinfo\0.note.go.buildid\0.shstrtab\0"
    parts = [(".text", text, 0x200), (".gopclntab", table, 0x300), (".go.buildinfo", info, 0x1000)]
    parts += [(".note.go.buildid", note, 0x440), (".shstrtab", names, 0x1200)]
    data = bytearray(0x1300 + 64 * 6)
    load = struct.Struct("<2I6Q")
    programs = [
        load.pack(1, 5, 0, base, base, 0x600, 0x600, 0x1000),
        load.pack(1, 6, 0x1000, base + 0x1000, base + 0x1000, 0x200, 0x400, 0x1000),
        load.pack(0x6474E551, 6, 0, 0, 0, 0, 0, 8),
    ]
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<2HI3QI6H", 2, 62, 1, base + 0x200 + 112, 64, 0x1300, 0, 64, 56, len(programs), 64, 6, 5)
    for _name, content, offset in [("", head + b"".join(programs), 0), *parts]:
        data[offset : offset + len(content)] = content
    for index, (name, content, offset) in enumerate(parts, start=1):
        kind = {".shstrtab": 3, ".note.go.buildid": 7}.get(name, 1)
        address = 0 if kind == 3 else base + offset
        header = struct.pack(
            "<2I4Q2I2Q", names.index(name.encode()), kind, 2, address, offset, len(content), 0, 0, 4, 0
        )
        data[0x1300 + 64 * index : 0x1300 + 64 * index + 64] = header
    seed = view(bytes(data))
    return _named(seed, linux._go_sections(seed, elf.read_elf(seed)))


def seeds() -> dict[str, bytes]:
    """All of them by name."""
    return {"arm64": macho(), "amd64": macho(AMD64), "linux": linux_elf()}
