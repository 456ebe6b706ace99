"""The checks of an ELF file: a `View` and an `Expectation` come in, the checks go into an `Inspected`."""

from collections.abc import Iterator
from itertools import pairwise

from gobuild.binary import buildid, elf
from gobuild.binary.elf import Elf
from gobuild.binary.view import Range, View
from gobuild.core.model import Problem
from gobuild.verify import expect
from gobuild.verify.expect import Expectation
from gobuild.verify.inspected import Inspected
from gobuild.verify.parts import Parts, stripped

GNU_HEADER = 16
"""Bytes of a note's header with the owner "GNU": what follows is the GNU build ID, which Go makes from its own."""


FOREIGN = "linked by a C linker, behind code of its own"


def judge(view: View, inspected: Inspected, _program: str, expected: Expectation) -> Parts:
    """Makes the checks that only an ELF file has; returns where the parts are that every Go program has.

    Raises:
        Malformed: the file cannot be read on.
    """
    image = elf.read_elf(view)
    inspected.image = image
    machine = expect.ELF_MACHINES[expected.target.goarch]
    fits = image.machine == machine and image.kind in ("ET_EXEC", "ET_DYN")
    inspected.judge(
        "format",
        [] if fits else [f"{image.machine}, {image.kind}"],
        seen=f"ELF 64-bit {expected.target.goarch} executable",
        expected=f"{machine}, ET_EXEC or ET_DYN",
    )
    inspected.judge(
        "layout",
        map(str, layout(image, size=view.size)),
        seen=f"{len(image.loads)} segments, none writable and executable",
        expected="segments as Go's linker lays them out",
    )
    problems = [f"needs {name}" for name in image.needed] + ["an interpreter"] * image.interpreter
    if expected.static:
        inspected.judge("linking", problems, seen="static", expected="no interpreter and no shared library")
    else:
        inspected.judge("linking", [], seen="; ".join(problems) or "static", expected="")
    debugging = sorted(name for name in image.sections if name.startswith((".debug_", ".zdebug_")))
    symbols = "a symbol table" if ".symtab" in image.sections else ""
    stripped(inspected, expected, symbols=symbols, debugging=debugging)
    return _parts(view, image, own=expected.own)


def _parts(view: View, image: Elf, *, own: bool = False) -> Parts:
    note, gnu = image.places.get(".note.go.buildid"), image.places.get(".note.gnu.build-id")
    zero = (Range(what="GNU's build ID", offset=gnu.offset + GNU_HEADER, size=gnu.size - GNU_HEADER),) if gnu else ()
    text = image.places.get(".text")
    entry = next(
        (load.offset + image.entry - load.vaddr for load in image.loads if 0 <= image.entry - load.vaddr < load.filesz),
        0,
    )
    return Parts(
        buildinfo=image.places.get(".go.buildinfo"),
        text=text,
        table=image.places.get(".gopclntab") or image.places.get(".data.rel.ro.gopclntab"),
        entry=entry,
        buildid=buildid.in_note(view, note) if note else "",
        first=True,
        # It counts as zero since Go 1.24, but not where a C linker made one of its own.
        written=tuple(buildid.AsLinked(head=b"", zero=each, end=view.size) for each in dict.fromkeys((zero, ()))),
        # A toolchain's own programs are looked at all the same, but for those that may have libc's code before Go's.
        foreign=FOREIGN if image.c_linked and (image.interpreter or not own) else "",
    )


def layout(image: Elf, *, size: int) -> Iterator[Problem]:
    """What is wrong with a file's layout.

    Args:
        image: what the file's headers say.
        size: the file's bytes.
    """
    if image.form != "64-bit little-endian":
        yield Problem("elf-form", image.form)
    for load in image.loads:
        if load.offset + load.filesz > size:
            yield Problem("segment-beyond-file", f"the segment at {load.vaddr:#x} ends beyond the file")
        if load.filesz > load.memsz:
            yield Problem("segment-memsz", f"the segment at {load.vaddr:#x} has more bytes in the file than in memory")
        if load.writable and load.executable:
            yield Problem("segment-writable-executable", f"the segment at {load.vaddr:#x} is writable and executable")
    for one, two in pairwise(image.loads):
        if two.vaddr < one.vaddr + one.memsz:
            yield Problem("segments-overlap", f"the segments at {one.vaddr:#x} and {two.vaddr:#x} overlap")
    if image.executable_stack:
        yield Problem("executable-stack", "asks for an executable stack")
    if not any(load.executable and load.vaddr <= image.entry < load.vaddr + load.memsz for load in image.loads):
        yield Problem("entry-outside-text", f"the entry point {image.entry:#x} is not in an executable segment")
