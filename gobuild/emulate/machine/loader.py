"""Puts a Mach-O program into memory as the kernel and dyld do, or says in their words why they would not.

Sources: xnu's bsd/kern/mach_loader.c and bsd/kern/kern_exec.c (segments, the stack), dyld's MachOAnalyzer (binds).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gobuild.binary.dyld_info import read_rebases
from gobuild.binary.macho import read_macho
from gobuild.binary.macho_types import MachO, Segment
from gobuild.binary.view import View
from gobuild.emulate.darwin.errno import DarwinError
from gobuild.emulate.machine.macos import Refused
from gobuild.emulate.machine.memory import PAGE, READ, WRITE, Memory, round_up

STACK_TOP, STACK_SIZE = 0x170000000, 8 << 20
"""The main thread's stack, where macOS has it for a program that is not slid, in macOS's default size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A program in memory.

    Attributes:
        slide: what was added to its addresses.
        bad_pages: the addresses of the pages that were left out because they are not what was signed.
    """

    path: str
    macho: MachO
    slide: int
    entry: int
    bad_pages: tuple[int, ...]


def load(
    view: View, descriptor: int, memory: Memory, *, path: str, slide: int, bind: Callable[[str, int], int],
    bad_pages: Sequence[int] = (),
) -> Image:  # fmt: skip
    """Maps the segments, rebases and binds.

    `bind` gives the address of a symbol, by its name and library ordinal; `bad_pages` (file offsets) have a wrong hash
    and are left out, so that whoever touches one is killed, as the kernel does.
    """
    macho = read_macho(view)
    text = macho.segment("__TEXT")
    if macho.entry is None or text is None:
        raise Refused("no entry point, or no __TEXT")
    _require_mappable(view, macho)
    try:
        return _load(view, macho, descriptor, memory, path=path, slide=slide, bind=bind, bad_pages=bad_pages)
    except (DarwinError, OSError) as error:
        raise Refused(f"kernel or dyld: a segment or a pointer lies where it cannot ({error})") from error


def _require_mappable(view: View, macho: MachO) -> None:
    """Raises Refused for what xnu's load_segment calls malformed."""
    for segment in macho.segments:
        if segment.fileoff + segment.filesize > view.size:
            raise Refused(f"kernel: malformed Mach-O: {segment.name} ends beyond the file")
        # A segment that takes no memory is not mapped: Go's linker writes __DWARF so, where it compresses it.
        if segment.filesize > segment.vmsize > 0 or (segment.filesize and segment.fileoff % PAGE):
            raise Refused(f"kernel: malformed Mach-O: {segment.name} has more bytes than memory, or begins in a page")
        if segment.vmaddr % PAGE:
            raise Refused(f"kernel: malformed Mach-O: {segment.name} begins at {segment.vmaddr:#x}, within a page")


def _load(
    view: View, macho: MachO, descriptor: int, memory: Memory, *, path: str, slide: int,
    bind: Callable[[str, int], int], bad_pages: Sequence[int],
) -> Image:  # fmt: skip
    text = macho.segment("__TEXT")
    for segment in macho.segments:
        if segment.vmsize and (segment.initprot or segment.maxprot):
            _map(view, segment, descriptor, memory, slide)
    if slide:
        for address in read_rebases(view, macho):
            memory.put_u64(address + slide, memory.u64(address + slide) + slide)
    for binding in macho.bindings:
        segment = macho.segments[binding.segment]
        memory.put_u64(segment.vmaddr + slide + binding.offset, bind(binding.name, binding.ordinal))
    for segment in macho.segments:
        if segment.name == "__DATA_CONST":
            memory.protect(segment.vmaddr + slide, round_up(segment.vmsize), READ)
    places = tuple(at for offset in bad_pages for at in _leave_out(macho, offset, memory, slide))
    entry = (text.vmaddr if text else 0) + slide + (macho.entry or 0)
    return Image(path=path, macho=macho, slide=slide, entry=entry, bad_pages=places)


def _map(view: View, segment: Segment, descriptor: int, memory: Memory, slide: int) -> None:
    start, size = segment.vmaddr + slide, round_up(segment.vmsize)
    filled = round_up(segment.filesize)
    if segment.fileoff + filled > view.size:  # the host's memory has no pages behind the end of a file
        memory.map(start, filled, READ | WRITE, fixed=True)
        memory.write(start, view.copy(segment.fileoff, segment.filesize, segment.name))
        memory.protect(start, filled, segment.initprot)
    elif filled:
        memory.map(start, filled, segment.initprot, fixed=True, descriptor=descriptor, offset=segment.fileoff)
        if segment.initprot & WRITE and filled > segment.filesize:
            memory.write(start + segment.filesize, bytes(filled - segment.filesize))
    if size > filled:
        memory.map(start + filled, size - filled, segment.initprot, fixed=True)


def _leave_out(macho: MachO, offset: int, memory: Memory, slide: int) -> Iterator[int]:
    for segment in macho.segments:
        if segment.fileoff <= offset < segment.fileoff + segment.filesize:
            at = segment.vmaddr + slide + offset - segment.fileoff
            memory.protect(at // PAGE * PAGE, PAGE, 0)
            yield at


def make_stack(memory: Memory, *, path: str, argv: Sequence[bytes], envp: Sequence[bytes]) -> tuple[int, ...]:
    """Makes the main thread's stack; returns what LC_MAIN's entry point gets: argc, argv, envp, apple, and sp."""
    memory.map(STACK_TOP - STACK_SIZE, STACK_SIZE, READ | WRITE, fixed=True)
    at = STACK_TOP - 64
    apple = [b"executable_path=" + path.encode(), b"ptr_munge=", b"main_stack=", b"stack_guard="]
    vector: list[int] = []
    places = []
    for texts in (argv, envp, apple):
        places.append(len(vector))
        for text in texts:
            at -= len(text) + 1
            memory.write(at, text + b"\0")
            vector.append(at)
        vector.append(0)
    at = (at - 8 * len(vector)) & ~15
    memory.write(at, b"".join(each.to_bytes(8, "little") for each in vector))  # one behind the other: Go counts on it
    return len(argv), *(at + 8 * each for each in places), (at - 64) & ~15
