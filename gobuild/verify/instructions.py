"""Whether a Go program's code is for the machine that its header names: by the entry point and how functions begin.

It follows no jump and proves nothing about what the code does; the page hashes say that it is unchanged. Sources:
src/runtime/rt0_*.s; the prologues are cmd/compile's (src/cmd/internal/obj/{arm64/obj7.go,x86/obj6.go}, stacksplit).
"""

from collections.abc import Iterator
from itertools import pairwise

from gobuild.binary.pclntab import Pclntab
from gobuild.binary.view import Range, View
from gobuild.core.model import Problem

ENTRY = {(goos, goarch): f"_rt0_{goarch}_{goos}" for goos in ("darwin", "linux") for goarch in ("arm64", "amd64")}
"""The function that a program of Go's own linker begins with."""

RUNTIME = ("runtime.schedinit", "runtime.main")
"""Functions that every Go program has."""

PROLOGUES = {"arm64": bytes.fromhex("900b40f9"), "amd64": bytes.fromhex("493b6610")}
"""How a function begins that may have to grow its stack: the limit is loaded from g (LDR X16, [X28, #16]), or the stack
pointer is compared with it (CMPQ SP, 16(R14)). Between 58 % and 84 % of the functions in the binaries measured."""

FEWEST = 0.25
"""The share of functions that must begin so."""

QUANTUM = {"arm64": 4, "amd64": 1}
"""Bytes of the smallest instruction, which the table's header says."""


def problems(view: View, table: Pclntab, text: Range, entry: int, goarch: str, begins: str = "") -> Iterator[Problem]:
    """What is wrong with a program's functions.

    Args:
        view: the file.
        table: its functions.
        text: Go's code.
        entry: the file offset of the first instruction.
        goarch: "arm64" or "amd64".
        begins: the function that the first instruction must be of; empty accepts any.
    """
    starts = table.starts
    for index, (one, two) in enumerate(pairwise(starts[:-1]), start=1):
        if two <= one:
            yield Problem("function-order", f"function {index} of {table.count} is out of order")
            return
    found = table.find([*RUNTIME, *([begins] if begins else [])])
    if begins and (begins not in found or text.offset + starts[found[begins]] != entry):
        yield Problem("entry-function", f"the entry point is not {begins}")
    if table.quantum != QUANTUM[goarch]:
        yield Problem(
            "instruction-size", f"the table of functions is for instructions of {table.quantum} bytes, not {goarch}'s"
        )
    if starts[-1] > text.size:
        yield Problem("function-outside-text", "the table of functions goes beyond __text")
        return
    if goarch == "arm64" and any(start % 4 for start in starts[:-1]):
        yield Problem("function-alignment", "a function begins between instructions")
    if missing := sorted(set(RUNTIME) - found.keys()):
        yield Problem("no-runtime", f"no function {' or '.join(missing)}")
    yield from _prologues(view, table, text, goarch)


def _prologues(view: View, table: Pclntab, text: Range, goarch: str) -> Iterator[Problem]:
    counted = dict.fromkeys(PROLOGUES.values(), 0)
    for start in table.starts[:-1]:
        word = view.data[text.offset + start : text.offset + start + 4]
        if word in counted:
            counted[word] += 1
    for machine, word in PROLOGUES.items():
        number, said = counted[word], f"{counted[word]} of {table.count} functions begin as {machine}'s do"
        if machine != goarch and number:
            yield Problem("foreign-prologues", said)
        if machine == goarch and number < FEWEST * table.count:
            yield Problem("few-prologues", said)
