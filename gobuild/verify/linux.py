"""The checks that only an ELF file has."""

from collections.abc import Iterator
from itertools import pairwise

from gobuild.binary import buildid, elf
from gobuild.binary.elf import Elf
from gobuild.binary.view import Range, View
from gobuild.core.model import Problem
from gobuild.verify import expect
from gobuild.verify.checks import CheckId, FileReport, GoSections
from gobuild.verify.expect import Expectation

GNU_HEADER = 16
"""Bytes of a note's header with the owner "GNU": what follows is the GNU build ID, which Go makes from its own."""

FOREIGN = "linked by a C linker, behind code of its own"


def check_elf(view: View, report: FileReport, _program: str, expected: Expectation) -> GoSections:
    """Makes the checks that only an ELF file has; returns where the parts are that every Go program has."""
    image = report.image = elf.read_elf(view)
    machine = expect.ELF_MACHINES[expected.target.goarch]
    fits = image.machine == machine and image.kind in ("ET_EXEC", "ET_DYN")
    report.judge(
        CheckId.FORMAT,
        [] if fits else [Problem("wrong-machine", f"{image.machine}, {image.kind}")],
        seen=f"ELF 64-bit {expected.target.goarch} executable",
        expected=f"{machine}, ET_EXEC or ET_DYN",
    )
    report.judge(
        CheckId.LAYOUT,
        elf_layout_problems(image, size=view.size),
        seen=f"{len(image.loads)} segments, none writable and executable",
        expected="segments as Go's linker lays them out",
    )
    dynamic = [f"needs {name}" for name in image.needed] + ["an interpreter"] * image.interpreter
    report.judge(
        CheckId.LINKING,
        [Problem("dynamic-linking", each) for each in dynamic if expected.profile.static],
        seen="; ".join(dynamic) or "static",
        expected="no interpreter and no shared library",
    )
    debugging = sorted(name for name in image.sections if name.startswith((".debug_", ".zdebug_")))
    report.judge_symbol_table("a symbol table" if ".symtab" in image.sections else "", debugging, expected)
    return _go_sections(view, image, own=expected.profile.own)


def elf_layout_problems(elf: Elf, *, size: int) -> Iterator[Problem]:
    """Everything that is wrong with the layout of a file of so many bytes."""
    if elf.form != "64-bit little-endian":
        yield Problem("elf-form", elf.form)
    for load in elf.loads:
        name = f"the segment at {load.vaddr:#x}"
        if load.offset + load.filesz > size:
            yield Problem("segment-beyond-file", f"{name} ends beyond the file")
        if load.filesz > load.memsz:
            yield Problem("segment-memsz", f"{name} has more bytes in the file than in memory")
        if load.writable and load.executable:
            yield Problem("segment-writable-executable", f"{name} is writable and executable")
    for one, two in pairwise(elf.loads):
        if two.vaddr < one.vaddr + one.memsz:
            yield Problem("segments-overlap", f"the segments at {one.vaddr:#x} and {two.vaddr:#x} overlap")
    if elf.executable_stack:
        yield Problem("executable-stack", "asks for an executable stack")
    if not any(load.executable and load.vaddr <= elf.entry < load.vaddr + load.memsz for load in elf.loads):
        yield Problem("entry-outside-text", f"the entry point {elf.entry:#x} is not in an executable segment")


def _go_sections(view: View, image: Elf, *, own: bool = False) -> GoSections:
    note, gnu = image.places.get(".note.go.buildid"), image.places.get(".note.gnu.build-id")
    zero = (Range(what="GNU's build ID", offset=gnu.offset + GNU_HEADER, size=gnu.size - GNU_HEADER),) if gnu else ()
    text = image.places.get(".text")
    loaded = (load for load in image.loads if 0 <= image.entry - load.vaddr < load.filesz)
    entry = next((load.offset + image.entry - load.vaddr for load in loaded), 0)
    return GoSections(
        buildinfo=image.places.get(".go.buildinfo"),
        text=text,
        pclntab=image.places.get(".gopclntab") or image.places.get(".data.rel.ro.gopclntab"),
        entry=entry,
        buildid=buildid.in_note(view, note) if note else "",
        # It counts as zero since Go 1.24, but not where a C linker made one of its own.
        as_linked=tuple(buildid.AsLinked(head=b"", zero=each, end=view.size) for each in dict.fromkeys((zero, ()))),
        # A toolchain's own programs are looked at all the same, but for those that may have libc's code before Go's.
        foreign=FOREIGN if image.sections & elf.C_SECTIONS and (image.interpreter or not own) else "",
    )
