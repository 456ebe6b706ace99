"""Threads and their call trees, and the readers of the three tools that print them: sample, spindump and dtrace.

None of the formats is a contract of Apple's: what is unlike the real reports in tests/data/doctor is passed over. The
patterns are bounded, so that no text makes them slow.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a call tree: how often its symbol ("???" without a name) was seen, how deep, in which file."""

    symbol: str
    image: str = ""
    count: int
    depth: int
    kernel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread as a tool saw it, its frames in the order of the lines: each below its caller."""

    tid: int  # its system-wide number, by which the tools' answers are joined; 0 where it is unknown
    name: str
    main: bool = False
    count: int  # its samples, or for dtrace the entries that were seen
    frames: list[Frame] = field(default_factory=list)

    def add(self, *, symbol: str, image: str, count: int, depth: int, kernel: bool = False) -> None:
        """Adds the next frame; none stands deeper than one level below the one before. "<" begins no image's name."""
        depth = max(0, min(depth, self.frames[-1].depth + 1 if self.frames else 0))
        image = "" if image.startswith("<") else image
        self.frames.append(Frame(symbol=symbol, image=image, count=count, depth=depth, kernel=kernel))

    @property
    def path(self) -> tuple[Frame, ...]:
        """The heaviest way through the tree, the outermost frame first."""
        path: list[Frame] = []
        begins, ends = 0, len(self.frames)
        while level := [index for index in range(begins, ends) if self.frames[index].depth == len(path)]:
            heaviest = max(level, key=lambda index: self.frames[index].count)
            begins, ends = heaviest + 1, next((index for index in level if index > heaviest), ends)
            path.append(self.frames[heaviest])
        return tuple(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """What one tool said of one process."""

    tool: str
    process: str = ""  # its name; frames of this image are the program's own
    code: str = ""  # the code type: "ARM64", "X86-64 (Translated)"; empty where the tool does not say
    threads: tuple[Thread, ...] = ()
    images: tuple[tuple[str, str], ...] = ()  # path and LC_UUID of each file that is loaded


def _binary_images(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Reads lines such as ``0x102a50000 -  0x102dc719f +com.example.name (0.4 - 1) <5B42-...> /path with blanks``."""
    found = []
    for line in lines:
        head, less, rest = line.partition(" <")
        uuid, more, path = rest.partition(">")
        if less and more and re.match(r"\s*0x[0-9a-f]{1,16} +- +\S+ +\S", head):
            found.append((path.strip(), uuid))
    return tuple(found)


def _stacks(tool: str, lines: Sequence[str], code: str, threads: Iterable[Thread]) -> Stacks:
    """Adds to the threads what the head says (``Process:   op [46825]``), and the list of files."""
    pairs = (line.partition(":") for line in reversed(lines[:60]))
    header = {name: value.strip() for name, _, value in pairs}
    process = header.get("Process", "")
    return Stacks(
        tool=tool,
        process=process.rpartition(" [")[0] or process,
        code=header.get(code, ""),
        threads=tuple(threads),
        images=_binary_images(lines),
    )


# sample: a call graph in which + ! : | draw lines, two columns a level, then "Binary Images".

SAMPLE_LINE = re.compile(r"(?P<lead>[ +!:|]{4,2000})(?P<count>\d{1,9}) (?P<rest>\S.*)")
"""The lead and the number share no character, so this cannot backtrack far."""


def read_sample(text: str) -> Stacks:
    """Reads the report of ``sample PID``; a text that is none has no threads."""
    lines, threads = text.splitlines(), list[Thread]()
    begins = lines.index("Call graph:") if "Call graph:" in lines else len(lines)
    for line in lines[begins + 1 :]:
        if line.startswith("Total number in stack") or line == "Binary Images:":
            break
        if match := SAMPLE_LINE.fullmatch(line):
            _add_sample(threads, match)
    return _stacks("sample", lines, "Code Type", threads)


def _add_sample(threads: list[Thread], match: re.Match[str]) -> None:
    """Adds a line of the call graph: a thread, or a frame of the last thread."""
    depth, count, rest = (len(match["lead"]) - 4) // 2, int(match["count"]), match["rest"]
    if depth == 0:
        named = re.match(r"Thread_(\d{1,18})", rest)
        main = "com.apple.main-thread" in rest or "Main Thread" in rest
        name = rest.partition("  ")[0].strip()
        threads.append(Thread(tid=int(named[1]) if named else 0, name=name, main=main, count=count))
    elif threads:
        # "symbol  (in image) + 8  [0x1]  file.go:1", "???  (in <unknown binary>)  [0x1]", or an address alone
        symbol, _, where = rest.partition("  (in ")
        threads[-1].add(symbol=symbol, image=where.partition(")")[0], count=count, depth=depth - 1)


# spindump: every process of the machine; two columns a level, counted where the number begins, the kernel's frames
# marked by a star. Its man page shows a frame's line.

PROCESS = "Process:"
SPINDUMP_THREAD = re.compile(r"  Thread (?P<tid>0x[0-9a-f]{1,16})\b(?P<rest>.*)")
SPINDUMP_LINE = re.compile(r"(?P<lead> {1,2000})(?P<star>\*?)(?P<count>\d{1,9}) +(?P<rest>[^\s].*)")


def cut_spindump(text: str, pid: int) -> str:
    """Cuts one process out of a report, with the report's head: the rest is none of the doctor's business."""
    head, *sections = re.split(rf"^(?={PROCESS})", text, flags=re.MULTILINE)
    mine = [each for each in sections if each.partition("\n")[0].rstrip().endswith(f" [{pid}]")]
    return "".join([*head.splitlines(keepends=True)[:40], *mine]) if mine else ""


def read_spindump(text: str) -> Stacks:
    """Reads the section of one process; the first, where there are more."""
    lines = "".join(re.split(rf"^(?={PROCESS})", text, maxsplit=2, flags=re.MULTILINE)[1:2]).splitlines()
    threads: list[Thread] = []
    for line in lines:
        if match := SPINDUMP_THREAD.fullmatch(line):
            samples = re.search(r"\b(\d{1,9}) samples\b", match["rest"])
            named = re.search(r"\b(?:Thread name|DispatchQueue) \"([^\"]{1,200})\"", match["rest"])
            threads.append(
                Thread(
                    tid=int(match["tid"], 16),
                    name=f"Thread {match['tid']}" + (f" {named[1]}" if named else ""),
                    main="com.apple.main-thread" in line,
                    count=int(samples[1]) if samples else 0,
                )
            )
        elif threads and (match := SPINDUMP_LINE.fullmatch(line)):
            _add_spindump(threads[-1], match)
    return _stacks("spindump", lines, "Architecture", threads)


def _add_spindump(thread: Thread, match: re.Match[str]) -> None:
    """Adds ``symbol + 8 (image + 4096) [0x1] 1-9``; a line such as ``<truncated backtrace>`` has no image."""
    symbol, image = match["rest"], ""
    if symbol.startswith("<"):
        symbol = symbol.partition(">")[0] + ">"
    elif " [0x" in symbol:
        symbol, _, image = symbol.rpartition(" (")
    thread.add(
        symbol=symbol.rpartition(" + ")[0] or symbol,
        image=image.partition(" + ")[0].partition(")")[0],
        count=int(match["count"]),
        depth=(len(match["lead"]) + len(match["star"]) - 2) // 2,
        kernel=bool(match["star"]),
    )


# dtrace with templates/hang.d: ustack() prints the innermost frame first, each as image`symbol+0x8 or an address; the
# lines between the stacks are our script's own.

SECONDS = 2
"""How long the script looks, as it stands there."""

ENTRY = re.compile(r"gobuild (?P<tid>\d{1,18}) (?:mach_trap|syscall):[A-Za-z0-9_]{1,64}")
ENTRIES = 400
"""How many entries the script tells, of all threads together, as it stands there."""

REFUSALS = {
    "DTrace requires additional privileges": "dtrace needs root",
    "DTrace cannot instrument translated processes": "dtrace cannot look at a process that Rosetta translates",
    "cannot control executables signed with restricted entitlements": "SIP keeps this program from dtrace",
    "failed to grab pid": "dtrace may not look at this process",
    "does not match any probes": "this SIP leaves dtrace without these probes: csrutil enable --without dtrace",
}
"""What dtrace says where it may not look; sources in tests/data/doctor/README.md."""


def dtrace_told_all(text: str) -> bool:
    """Whether the script ran to its end and told all: only then does a thread that entered nothing say something."""
    lines = text.splitlines()
    return "gobuild end" in lines and sum(ENTRY.fullmatch(line) is not None for line in lines) < ENTRIES


def read_dtrace(text: str) -> Stacks:
    """Reads the script's output. A thread's frames are those of its last entry; its count is that of its entries."""
    entries: Counter[int] = Counter()
    stacks: dict[int, list[tuple[str, str]]] = {}
    last: list[tuple[str, str]] = []
    for line in text.splitlines():
        if match := ENTRY.fullmatch(line):
            entries[int(match["tid"])] += 1
            last = stacks[int(match["tid"])] = []
        elif line.startswith("gobuild"):
            last = []
        elif line.startswith(" ") and (frame := line.strip()):
            image, _, symbol = frame.rpartition("`")
            last.append((symbol.partition("+0x")[0], image))
    threads = [Thread(tid=tid, name=f"thread {tid:#x}", count=count) for tid, count in entries.items()]
    for thread in threads:
        for depth, (symbol, image) in enumerate(reversed(stacks[thread.tid])):
            thread.add(symbol=symbol, image=image, count=thread.count, depth=depth)
    return Stacks(tool="dtrace", threads=tuple(threads))
