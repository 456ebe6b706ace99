"""Preloaded libraries: which ones the loader is told to load, whether they are signed, and what they run at start.

Sources: ld.so(8), dyld(1), System V gABI (.init_array), <mach-o/loader.h>. Files are read, never loaded.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.binary import elf, macho
from gobuild.binary.view import Malformed, View, opened
from gobuild.doctor.model import ENVIRONMENT, Finding, Grade
from gobuild.verify.expect import MACHINE_NAMES

VARIABLES = {"LD_PRELOAD": r"[:\s]+", "LD_AUDIT": ":", "DYLD_INSERT_LIBRARIES": ":"}
"""Variables that make the loader load a library into every program, and what stands between two names."""

MOST = 8
"""Libraries, and architectures of a universal file, that are read."""

_FAT = {b"\xca\xfe\xba\xbe": (">5I", 20), b"\xca\xfe\xba\xbf": (">2I2Q2I", 32)}
"""A universal file's magic: the form and the bytes of an entry (<mach-o/fat.h>)."""


def read_preloaded(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Reads every library that is preloaded."""
    named = [
        (variable, name)
        for variable, between in VARIABLES.items()
        for name in re.split(between, environment.get(variable, ""))
        if name
    ]
    return [{"variable": variable, "path": name, **_library(name)} for variable, name in named[:MOST]]


def _library(name: str) -> dict[str, Any]:
    if "/" not in name or "$" in name:
        return {"problem": "the loader looks for it in folders of its own, so it was not read"}
    try:
        return {"problem": "", "parts": list(read_parts(Path(name)))}
    except OSError as error:
        return {"problem": error.strerror or str(error)}
    except Malformed as error:
        return {"problem": f"it cannot be read: {error}"}


def read_parts(path: Path) -> Iterator[dict[str, Any]]:
    """Each architecture of an ELF or Mach-O file: its name, whether it is signed (None: never), its constructors."""
    with opened(path) as view:
        if view.data[:4] == b"\x7fELF":
            image = elf.read_elf(view)
            size = sum(each.size for name, each in image.places.items() if name in (".init_array", ".ctors"))
            yield {"machine": image.machine, "signed": None, "constructors": size // 8}
        elif view.data[:4] in _FAT:
            form, length = _FAT[view.data[:4]]
            (count,) = view.unpack(">I", 4, "the number of architectures")
            if count > MOST:  # a Java class has the same magic
                raise Malformed(f"{count} architectures")
            for index in range(count):
                _, _, offset, size, *_ = view.unpack(form, 8 + index * length, "an architecture")
                yield _thin(View(data=view.copy(offset, size, "an architecture"), size=size))
        else:
            yield _thin(view)


def _thin(view: View) -> dict[str, Any]:
    try:
        image = macho.read_macho(view)
    except struct.error as error:
        raise Malformed(str(error)) from error
    sizes = {"__mod_init_func": 8, "__init_offsets": 4}
    sections = [section for segment in image.segments for section in segment.sections if section.name in sizes]
    return {
        "machine": MACHINE_NAMES.get(image.cputype, f"CPU type {image.cputype:#x}"),
        "signed": "LC_CODE_SIGNATURE" in image.commands,
        "constructors": sum(each.size // sizes[each.name] for each in sections),
    }


def judge_preloaded(part: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """One finding a library."""
    if not part:
        yield ENVIRONMENT.ok("preloaded libraries", "none")
    for each in part:
        # dyld ends a program for a library that it cannot load; ld.so only says so (ld.so(8)).
        fatal = each["problem"] and each["variable"].startswith("DYLD_")
        yield ENVIRONMENT.finding(
            each["variable"],
            Grade.FAIL if fatal else Grade.WARN,
            f"{each['path']}: {each['problem'] or '; '.join(map(_describe, each['parts']))}",
            f"unset {each['variable']}: it puts foreign code into every program, the go command too",
        )


def _describe(part: Mapping[str, Any]) -> str:
    signed = {True: "signed", False: "not signed", None: "ELF files carry no signature"}[part["signed"]]
    runs = part["constructors"]
    note = " (gcc's start files put one there)" if part["signed"] is None and runs == 1 else ""
    return f"{part['machine']}, {signed}, {runs} functions run when it is loaded{note}"
