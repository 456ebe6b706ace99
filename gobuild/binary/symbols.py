"""The symbol table of a Mach-O file: a `MachO` with its load commands comes in, its imports are filled in.

Sources: Apple's <mach-o/nlist.h>, and <mach-o/loader.h> for LC_DYSYMTAB. What dyld binds is for `imports` to read.
"""

import struct

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import Malformed, View

IMPORTS_LIMIT = 1 << 16
"""Imported symbols; Go's largest binary has 137."""

STAB, TYPE, EXTERNAL = 0xE0, 0x0E, 0x01


def table(view: View, image: MachO) -> None:
    """Reads LC_SYMTAB's table: the undefined symbols, and how many defined ones there are.

    Raises:
        Malformed: the table has no names, a name leaves them, or LC_DYSYMTAB divides the table another way.
    """
    ranges = {entry.what: entry for entry in image.linkedit}
    table, names = ranges.get("symbols"), ranges.get("symbol names")
    if not table:
        return
    if not names:
        raise Malformed("a symbol table without names")
    imports: list[str] = []
    described: list[int] = []
    places: list[int] = []
    highest = 0
    sections = sum(len(segment.sections) for segment in image.segments)
    with memoryview(view.data) as data, data[table.offset : table.end] as entries:
        for index, (name, kind, section, description, _value) in enumerate(struct.iter_unpack("<IBBHQ", entries)):
            highest = max(highest, name)
            # N_STAB, or N_TYPE other than N_UNDF: defined here, or a debugger's.
            if kind & (STAB | TYPE):
                image.defined += 1
                if section > sections:
                    raise Malformed(f"symbol {index} is in section {section} of {sections}")
            elif len(imports) >= IMPORTS_LIMIT:
                raise Malformed(f"more than {IMPORTS_LIMIT} imported symbols")
            else:
                imports.append(view.c_string(names.offset + name, names.end, "a symbol's name"))
                described.append(description)
                places.append(index)
    if names.offset + highest >= names.end:
        raise Malformed("a symbol's name is beyond the names")
    image.imports, image.n_desc = tuple(imports), tuple(described)
    _divided(image, places)


def _divided(image: MachO, places: list[int]) -> None:
    """LC_DYSYMTAB must say that the undefined symbols stand where they do: dyld and the tools go by it."""
    if "LC_DYSYMTAB" not in image.commands:
        return
    first, count = image.undefined
    # The count is the file's word: no list of that length is made.
    if len(places) != count or (places and (places[0], places[-1]) != (first, first + count - 1)):
        raise Malformed("LC_DYSYMTAB divides the symbols another way than they stand")
