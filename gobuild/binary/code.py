"""A Go binary's functions, by its own table (pclntab), and a spot check of their instructions.

A `View`, the table's place and that of the text come in; `Functions` and sentences about what is wrong go out. Sources:
src/runtime/symtab.go (pcHeader, functab) and src/internal/abi/symtab.go, whose format is the same from Go 1.20 to 1.27;
the prologues are cmd/compile's (src/cmd/internal/obj/{arm64/obj7.go,x86/obj6.go}, stacksplit). The decoder is capstone.
What it does not do: it follows no jump and proves nothing about what the code does; the page hashes say that it is
unchanged, this says that it is for the machine that the header names.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gobuild.binary.view import NAME_LIMIT, Malformed, View

MAGIC = 0xFFFFFFF1
"""Of the format since Go 1.20."""

HEADER = struct.Struct("<IBBBB3Q")
FUNCTIONS_LIMIT = 1 << 20
NAMES_LIMIT = 1 << 26
ABSOLUTE = 3

SPOTS = ("runtime.schedinit", "runtime.mallocgc", "runtime.newproc", "runtime.gcStart", "runtime.main", "main.main")
"""Functions that every Go program has; those of them that are found are decoded to their ends."""

ENTRY = {(goos, goarch): f"_rt0_{goarch}_{goos}" for goos in ("darwin", "linux") for goarch in ("arm64", "amd64")}
"""The function that a program of Go's own linker begins with (src/runtime/rt0_*.s)."""

SAMPLE, WINDOW = 48, 256
"""How many functions more are decoded, evenly spread over the text, and how many bytes of each at most."""

PADDING = {"arm64": b"\0", "amd64": b"\xcc"}
"""The byte between functions, where the next one is aligned."""

PROLOGUES = {"arm64": bytes.fromhex("900b40f9"), "amd64": bytes.fromhex("493b6610")}
"""How a function begins that may have to grow its stack: the limit is loaded from g (LDR X16, [X28, #16]), or the stack
pointer is compared with it (CMPQ SP, 16(R14)). Between 58 % and 84 % of the functions in the binaries measured."""

FEWEST = 0.25
"""The share of functions that must begin so."""

QUANTUM = {"arm64": 4, "amd64": 1}
"""Bytes of the smallest instruction, which the table's header says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """What a binary's table says.

    Attributes:
        quantum: bytes of the smallest instruction.
        starts: where each function begins, from the text's start, in order; the last one is the end of them all.
        files: how many source files are named.
        absolute: the first `ABSOLUTE` names of source files that are whole paths: -trimpath leaves none.
        spots: the number of each function of `SPOTS` and `ENTRY` that is there, by name.
    """

    quantum: int
    starts: tuple[int, ...]
    files: int
    absolute: tuple[str, ...]
    spots: Mapping[str, int]


def read(view: View, offset: int, size: int) -> Functions:
    """Reads a table of functions.

    Args:
        view: the file.
        offset: where the section (__gopclntab, .gopclntab) begins.
        size: its bytes.

    Raises:
        Malformed: it is of another format, or leaves its section.
    """
    view.require(offset, size, "the table of functions")
    if size < 96:
        raise Malformed("the table of functions has no header")
    magic, pad1, pad2, quantum, pointer, count, files, _start = HEADER.unpack_from(view.data, offset)
    if magic != MAGIC or pad1 or pad2 or pointer != 8:
        raise Malformed(f"the table of functions begins with {magic:#x}, which no Go since 1.20 writes")
    names, units, sources, tables, functions = view.unpack("<5Q", offset + HEADER.size, "the table of functions")
    if not 0 < count <= FUNCTIONS_LIMIT or not names <= units <= sources <= tables <= functions <= size:
        raise Malformed("the table of functions is out of order")
    room = size - functions
    if 8 * count + 4 > room:
        raise Malformed(f"the table of functions says {count} functions in {room} bytes")
    wanted = _wanted(view, offset + names, offset + units)
    starts, spots = _functions(view, offset + functions, room, count, wanted)
    absolute = tuple(islice(_absolute(view, offset + sources, offset + tables), ABSOLUTE))
    return Functions(quantum=quantum, starts=starts, files=files, absolute=absolute, spots=spots)


def _absolute(view: View, start: int, end: int) -> Iterator[str]:
    """The names of source files that are whole paths, one after the other: nothing is made of the others."""
    at = start if view.data[start : min(start + 1, end)] == b"/" else view.data.find(b"\0/", start, end) + 1
    while at:
        most = min(end, at + NAME_LIMIT)
        stop = view.data.find(b"\0", at, most)
        stop = most if stop < 0 else stop
        yield view.copy(at, stop - at, "the name of a source file").decode("utf-8", "replace")
        at = view.data.find(b"\0/", stop, end) + 1


def _wanted(view: View, start: int, end: int) -> dict[int, str]:
    """`SPOTS` and `ENTRY` by the place of their names."""
    names = view.copy(start, min(end - start, NAMES_LIMIT), "the names of functions")
    found = ((names.find(b"\0" + name.encode() + b"\0"), name) for name in (*SPOTS, *ENTRY.values()))
    return {at + 1: name for at, name in found if at >= 0}


def _functions(
    view: View, start: int, room: int, count: int, wanted: Mapping[int, str]
) -> tuple[tuple[int, ...], dict[str, int]]:
    """Where the functions begin, and which of them are the wanted ones."""
    with memoryview(view.data) as whole, whole[start : start + room] as data:
        pairs = struct.unpack_from(f"<{2 * count + 1}I", data)
        starts, places = pairs[::2], pairs[1::2]
        spots: dict[str, int] = {}
        last = -1
        unpack = struct.Struct("<Ii").unpack_from
        for index, place in enumerate(places):
            if place + 8 > room:
                raise Malformed(f"function {index} of {count} leaves the table")
            entry, name = unpack(data, place)
            if entry != starts[index] or entry <= last:
                raise Malformed(f"function {index} of {count} is out of order")
            last = entry
            if name in wanted:
                spots[wanted[name]] = index
    return starts, spots


def problems(
    view: View, functions: Functions, text: tuple[int, int], entry: int, goarch: str, begins: str = ""
) -> Iterator[str]:
    """Whether the instructions are those of the machine.

    Args:
        view: the file.
        functions: its table.
        text: offset and size of the section with the code.
        entry: the file offset of the first instruction.
        goarch: "arm64" or "amd64".
        begins: the function that the first instruction must be of; empty accepts any.
    """
    offset, size = text
    first = functions.spots.get(begins)
    if begins and (first is None or offset + functions.starts[first] != entry):
        yield f"the entry point is not {begins}"
    if functions.quantum != QUANTUM[goarch]:
        yield f"the table of functions is for instructions of {functions.quantum} bytes, not {goarch}'s"
    if functions.starts[-1] > size:
        yield "the table of functions goes beyond __text"
        return
    if goarch == "arm64" and any(start % 4 for start in functions.starts[:-1]):
        yield "a function begins between instructions"
    yield from _prologues(view, functions, offset, goarch)
    yield from _decoded(view, functions, offset, entry, goarch)


def _prologues(view: View, functions: Functions, offset: int, goarch: str) -> Iterator[str]:
    counted = dict.fromkeys(PROLOGUES, 0)
    known = {word: name for name, word in PROLOGUES.items()}
    data = view.data
    for start in functions.starts[:-1]:
        machine = known.get(data[offset + start : offset + start + 4])
        if machine:
            counted[machine] += 1
    count = len(functions.starts) - 1
    for machine, number in counted.items():
        if machine != goarch and number:
            yield f"{number} of {count} functions begin as {machine}'s do"
    if counted[goarch] < FEWEST * count:
        yield f"{counted[goarch]} of {count} functions begin as {goarch}'s do"


def _decoded(view: View, functions: Functions, offset: int, entry: int, goarch: str) -> Iterator[str]:
    """Decodes the entry, the spots and the sample: all of the first two, nine in ten of the others."""
    count, decoders = len(functions.starts) - 1, _decoders()
    chosen = {name: (functions.starts[at], functions.starts[at + 1]) for name, at in functions.spots.items()}
    chosen["the entry point"] = (entry - offset, entry - offset + 16)
    missing = sorted({"runtime.schedinit", "runtime.main"} - set(functions.spots))
    if missing:
        yield f"no function {' or '.join(missing)}"
    for name, (start, end) in chosen.items():
        if not _fits(view, offset + start, offset + end, goarch, decoders):
            yield f"{name} does not decode as {goarch}"
    sample = sampled(count)
    others = sum(
        not _fits(view, offset + functions.starts[at], offset + functions.starts[at + 1], goarch, decoders)
        for at in sample
    )
    if others > len(sample) // 10:
        yield f"{others} of {len(sample)} functions do not decode as {goarch}"
    # A few of arm64's functions happen to decode as x86-64's; most never do.
    other = next(machine for machine in PROLOGUES if machine != goarch)
    long = [each for each in chosen.values() if each[1] - each[0] >= WINDOW]
    foreign = sum(_fits(view, offset + start, offset + end, other, decoders) for start, end in long)
    if foreign > len(long) // 2:
        yield f"{foreign} of {len(long)} functions decode as {other}"


def sampled(count: int) -> list[int]:
    """The numbers of the functions that are decoded, of so many; never the first, which is the build ID."""
    return sorted({1 + (count - 1) * index // SAMPLE for index in range(SAMPLE)}) if count > 1 else []


def _fits(view: View, start: int, end: int, goarch: str, decoders: Mapping[str, Any]) -> bool:
    """Whether a function, or its first bytes, is nothing but instructions of a machine, and padding."""
    code = view.copy(start, min(end, view.size) - start, "a function")
    # What is left is whole instructions: the last of arm64's may end in zeros of its own.
    used, width = len(code.rstrip(PADDING[goarch])), QUANTUM[goarch]
    code = code[: -(-used // width) * width]
    whole = len(code) <= WINDOW
    code = code[:WINDOW]
    done = sum(length for _address, length, _name, _operands in decoders[goarch].disasm_lite(code, 0))
    # What was cut may end inside an instruction of x86-64, which has fifteen bytes at most.
    return bool(code) and (done == len(code) if whole else done > len(code) - 15)


def _decoders() -> dict[str, Any]:
    """A decoder by GOARCH. They are made for one file: capstone's may not be shared between threads."""
    import capstone  # noqa: PLC0415  (a library of 11 MB, which only this check needs)

    return {
        "arm64": capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
        "amd64": capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    }
