"""Threads and their call trees, whichever tool they came from, as `sample`, `spindump` and `dtrace` read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a call tree.

    Attributes:
        symbol: "runtime.asmcgocall.abi0"; "???" where the tool had no name.
        image: the file it is in, by its last name: "libsystem_kernel.dylib"; empty where it is unknown.
        count: in how many samples it was seen.
        depth: how deep in the tree, the outermost 0.
        kernel: whether it is the kernel's.
    """

    symbol: str
    image: str = ""
    count: int = 1
    depth: int = 0
    kernel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread as a tool saw it.

    Attributes:
        tid: the system-wide number of the thread, by which the tools' answers are joined; 0 where it is unknown.
        name: what the tool calls it, for people: "Thread_1760964".
        main: whether it is the process's first.
        count: its samples, or for dtrace the entries that were seen.
        frames: its tree in the order of the lines: each frame below its caller.
    """

    tid: int
    name: str
    main: bool = False
    count: int
    frames: tuple[Frame, ...]

    @property
    def path(self) -> tuple[Frame, ...]:
        """The heaviest way through the tree, the outermost frame first."""
        children: list[list[int]] = [[] for _ in self.frames]
        roots: list[int] = []
        above: list[int] = []  # the frames that the next one may stand below
        for index, frame in enumerate(self.frames):
            del above[frame.depth :]
            (children[above[-1]] if above else roots).append(index)
            above.append(index)
        path, level = [], roots
        while level:
            heaviest = max(level, key=lambda each: self.frames[each].count)
            path.append(self.frames[heaviest])
            level = children[heaviest]
        return tuple(path)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A thread whose lines are still being read."""

    tid: int
    name: str
    main: bool = False
    count: int
    frames: list[Frame] = field(default_factory=list)

    def add(self, *, symbol: str, image: str, count: int, depth: int, kernel: bool = False) -> None:
        """Adds the next frame; none stands deeper than one level below the one before."""
        deepest = self.frames[-1].depth + 1 if self.frames else 0
        self.frames.append(
            Frame(symbol=symbol, image=image, count=count, depth=max(0, min(depth, deepest)), kernel=kernel)
        )

    def done(self) -> Thread:
        """The thread as it is now."""
        return Thread(tid=self.tid, name=self.name, main=self.main, count=self.count, frames=tuple(self.frames))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A file that is loaded: its name, LC_UUID ("" where it has none) and path."""

    name: str
    uuid: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """What one tool said of one process.

    Attributes:
        tool: "sample", "spindump" or "dtrace".
        process: its name; frames of this image are the program's own.
        pid: its number; 0 where the tool does not say.
        code: the code type: "ARM64", "X86-64 (Translated)"; empty where the tool does not say.
        threads: in the tool's order.
        images: what is loaded.
    """

    tool: str
    process: str = ""
    pid: int = 0
    code: str = ""
    threads: tuple[Thread, ...] = ()
    images: tuple[Image, ...] = ()


def image_line(line: str) -> Image | None:
    """Reads a line of "Binary Images", which sample, spindump and crash reports write alike.

    ``0x102a50000 -  0x102dc719f +com.example.name (0.4 - 1) <5B424D44-...> /path with blanks/name``
    """
    head, less, rest = line.partition(" <")
    uuid, more, path = rest.partition(">")
    start = head.split()
    if not less or not more or len(start) < 4 or not start[0].startswith("0x") or start[1] != "-":
        return None
    return Image(name=start[3].lstrip("+"), uuid=uuid, path=path.strip())


def fields(lines: Sequence[str], *names: str) -> dict[str, str]:
    """The first value of each of these headers, ``Name:   value``."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name in names:
            found.setdefault(name, value.strip())
    return found


def name_and_pid(value: str) -> tuple[str, int]:
    """Takes "op [46825]" apart; the number is 0 where there is none."""
    name, _, rest = value.rpartition(" [")
    number = rest.rstrip("]")
    return (name, int(number)) if name and number.isascii() and number.isdigit() and len(number) < 10 else (value, 0)
