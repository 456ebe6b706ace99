"""The symbols a Mach-O file imports: its symbol table, and the bind opcodes that dyld obeys.

A `MachO` with its load commands comes in; its imports are filled in. Sources: Apple's <mach-o/nlist.h>, and
<mach-o/loader.h> for the opcodes.
"""

import struct

from gobuild.verify.image import MachO
from gobuild.verify.view import Malformed, View

IMPORTS_LIMIT = 1 << 16
BIND_LIMIT = 1 << 20
"""Imported symbols, and bytes of bind opcodes; Go's largest binary has 137 and 2,600."""


def table(view: View, image: MachO) -> None:
    """Reads LC_SYMTAB's table: the names of undefined symbols, and how many defined ones there are."""
    ranges = {entry.what: entry for entry in image.linkedit}
    table, names = ranges.get("symbols"), ranges.get("symbol names")
    if not table:
        return
    if not names:
        raise Malformed("a symbol table without names")
    imports: list[str] = []
    with memoryview(view.data) as data, data[table.offset : table.end] as entries:
        for name, kind, _section, _description, _value in struct.iter_unpack("<IBBHQ", entries):
            # N_STAB, or N_TYPE other than N_UNDF: defined here, or a debugger's.
            if kind & 0xE0 or kind & 0x0E:
                image.defined += 1
            elif len(imports) >= IMPORTS_LIMIT:
                raise Malformed(f"more than {IMPORTS_LIMIT} imported symbols")
            else:
                imports.append(view.name(names.offset + name, names.end, "a symbol's name"))
    image.imports = tuple(imports)


_ULEBS = {0x20: 1, 0x60: 1, 0x70: 1, 0x80: 1, 0xA0: 1, 0xC0: 2}
_PLAIN = {0x00, 0x10, 0x30, 0x50, 0x90, 0xB0}
"""dyld's bind opcodes by their upper half: those with LEB128 numbers behind them, and those with nothing. Threaded
ones (0xD0) are arm64e's."""


def binds(view: View, image: MachO) -> None:
    """Reads the names in the bind opcodes: dyld looks these up, whatever the symbol table says."""
    names = set()
    for entry in image.linkedit:
        if not entry.what.endswith("bind opcodes"):
            continue
        if entry.size > BIND_LIMIT:
            raise Malformed(f"{entry.size} bytes of {entry.what}")
        code, at = view.copy(entry.offset, entry.size, entry.what), 0
        while at < len(code):
            opcode = code[at] & 0xF0
            at += 1
            if opcode == 0x40:
                names.add(view.name(entry.offset + at, entry.end, "a bound symbol's name"))
                at = code.index(b"\0", at) + 1
            elif opcode not in _PLAIN and opcode not in _ULEBS:
                raise Malformed(f"{entry.what} hold {opcode:#x}, which Go's linker does not write")
            for _ in range(_ULEBS.get(opcode, 0)):
                while at < len(code) and code[at] & 0x80:
                    at += 1
                at += 1
    image.bound = frozenset(names)
