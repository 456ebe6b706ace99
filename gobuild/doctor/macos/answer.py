"""Which frame hangs: what sample, spindump and dtrace saw of one process, joined into one `Answer`. Pure.

Go's frames stand above the trap, the system's below them. On arm64 the tools often see no Go frame but
``runtime.asmcgocall`` and a trampoline, whose name then says what Go was doing (runtime/sys_darwin.go).
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gobuild.doctor.macos.stacks import Frame, Stacks, Thread

_TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PARKED = {name: means for means, names in _TABLE["parked"].items() for name in names}
FRAMEWORKS = {means: tuple(begins) for means, begins in _TABLE["frameworks"].items()}
CURES: dict[str, str] = _TABLE["cures"]
GPU = {"the GPU", "a driver"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where a thread is, and where a process hangs."""

    thread: str
    tid: int
    main: bool
    kind: str  # one of `CURES`
    samples: tuple[int, int]  # in how many samples it was seen so, and of how many
    go: tuple[str, ...]  # Go's frames above the trap, the innermost first; `kernel` is sorted so, too
    frameworks: tuple[str, ...]  # the images between Go and the trap, the one that Go called first
    called: str  # the function of the system's that Go called, or the first one where no Go frame is seen
    trap: str  # the innermost one
    kernel: tuple[str, ...]
    # How many traps and system calls the thread entered while dtrace looked; None where it did not
    entered: int | None = None
    tools: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What to do."""
        return CURES["gpu" if _means(self.frameworks) & GPU else self.kind]

    @property
    def sentence(self) -> str:
        """All of it: "Thread_7 (main) was in mach_msg2_trap in 9 of 9 samples; below Metal (the GPU); ..."."""
        begins = f"was in {self.trap}" if self.trap else f"ran {self.go[0]}" if self.go else "showed no frame"
        parts = [f"{self.thread} {begins} in {self.samples[0]} of {self.samples[1]} samples"]
        if self.frameworks:
            means = ", ".join(sorted(_means(self.frameworks)))
            parts.append(f"below {' and '.join(self.frameworks)}" + (f" ({means})" if means else ""))
        if self.kind == "loader":
            parts.append("before any of Go's code ran")
        if self.go:
            does = PARKED.get(_working(self.go), "") if not self.frameworks else ""
            parts.append(f"called by Go's {', '.join(self.go[:6])}" + (f": the thread {does}" if does else ""))
        if self.entered is not None:
            parts.append(f"and entered {self.entered} traps and system calls of those that dtrace saw")
        return "; ".join(parts)[:2000]


def find_hang(tools: Sequence[Stacks], *, traced: bool = False) -> Answer | None:
    """Joins what the tools saw of one process, by the numbers of the threads, and picks the thread that matters.

    `traced` says that dtrace saw all that was entered: then a thread that it did not see entered nothing.
    """
    process = next((each.process for each in tools if each.process), "")
    seen = [_look_at(thread, each.tool, process) for each in tools if each.tool != "dtrace" for thread in each.threads]
    if not seen:
        return None
    rank = list(CURES)
    chosen = min(seen, key=lambda each: (rank.index(each.kind), not each.main, -each.samples[1]))
    same = [chosen, *(each for each in seen if each.tid == chosen.tid and each.tid)]
    entries = {thread.tid: thread.count for each in tools if each.tool == "dtrace" for thread in each.threads}
    names = {name for each in same for name in each.tools} | ({"dtrace"} if traced else set())
    return replace(
        chosen,
        kernel=next((each.kernel for each in same if each.kernel), ()),
        entered=entries.get(chosen.tid, 0 if traced else None),
        tools=tuple(sorted(names)),
    )


def foreign_libraries(tools: Iterable[Stacks]) -> tuple[str, ...]:
    """The loaded files that upstream Go never loads: GPU code of the system's, and whatever is not the system's."""
    found: list[str] = []
    for each in tools:
        for path, uuid in each.images:
            name = path.rpartition("/")[2]
            systems = path.startswith(("/usr/lib/", "/System/"))
            if name.startswith(FRAMEWORKS["the GPU"]) or not (systems or name == each.process):
                found.append(f"{path} (LC_UUID {uuid or 'none'})")
    return tuple(dict.fromkeys(found))


def _look_at(thread: Thread, tool: str, process: str) -> Answer:
    """Takes one thread apart."""
    path = thread.path
    user = [each for each in path if not each.kernel and not each.symbol.startswith("<")]
    last = max((index for index, each in enumerate(user) if _is_go(each, process)), default=-1)
    go = [each for each in reversed(user[: last + 1]) if _is_go(each, process)]
    below = user[last + 1 :]
    frameworks = tuple(
        dict.fromkeys(each.image for each in below if each.image and each.image not in _TABLE["plumbing"])
    )
    leaf = below[-1] if below else go[0] if go else None
    symbols = tuple(each.symbol for each in go)
    return Answer(
        thread=thread.name + (" (main)" if thread.main else ""),
        tid=thread.tid,
        main=thread.main,
        kind=_kind(symbols, below, frameworks, main=thread.main),
        samples=(leaf.count if leaf else 0, thread.count),
        go=symbols,
        frameworks=frameworks,
        called=below[0].symbol if below else "",
        trap=below[-1].symbol if below else "",
        kernel=tuple(each.symbol for each in reversed(path) if each.kernel),
        tools=(tool,),
    )


def _is_go(frame: Frame, process: str) -> bool:
    return frame.symbol.startswith(("runtime.", "syscall.", "internal/")) or bool(process and frame.image == process)


def _working(go: Iterable[str]) -> str:
    """The innermost Go frame that does more than carry others, without package and endings; "" where there is none."""
    stems = (each.removesuffix(".abi0").rpartition("runtime.")[2].removesuffix("_trampoline") for each in go)
    return next((stem for stem in stems if stem not in _TABLE["carriers"]), "")


def _kind(go: Sequence[str], below: Sequence[Frame], frameworks: Sequence[str], *, main: bool) -> str:
    working = _working(go)
    waits_for_another = not working and any("_cond_" in each.symbol for each in below)
    kinds = (
        ("parked", not go and not main and not _means(frameworks) & GPU),  # the system's own, such as libdispatch keeps
        ("fork", any(each.symbol in _TABLE["fork"] for each in below)),
        ("loader", not go and bool(below) and below[-1].image == "dyld"),
        ("framework", bool(frameworks)),
        ("parked", working in PARKED or waits_for_another),
        ("waits", bool(below)),
        ("runs", bool(go)),
        ("unknown", True),
    )
    return next(kind for kind, holds in kinds if holds)


def _means(frameworks: Iterable[str]) -> set[str]:
    return {means for image in frameworks for means, begins in FRAMEWORKS.items() if image.startswith(begins)}
