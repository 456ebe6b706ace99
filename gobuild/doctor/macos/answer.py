"""What the tools saw of a hang, joined into one answer: `Stacks` come in, an `Answer` goes out. Pure.

Go's frames stand above the trap, the system's below them: which thread, what Go was doing, through which framework,
in which trap. On arm64 the tools often see no Go frame but ``runtime.asmcgocall`` and a trampoline, for Go calls the
system on a stack of its own; the trampoline's name then says what Go was doing (runtime/sys_darwin.go).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gobuild.doctor.macos.stacks import Frame, Stacks, Thread

PARKED = {
    # a Go frame's name, without package, .abi0 and _trampoline -> what it means (runtime/os_darwin.go, proc.go)
    "semasleep": "waits for another thread",
    "semasleep1": "waits for another thread",
    "mach_semaphore_wait": "waits for another thread",
    "mach_semaphore_timedwait": "waits for another thread, for a while",
    "pthread_cond_wait": "waits for another thread",
    "pthread_cond_timedwait_relative_np": "waits for another thread, for a while",
    "notesleep": "waits for another thread",
    "notetsleep": "waits for another thread, for a while",
    "stopm": "has nothing to run",
    "mPark": "has nothing to run",
    "findRunnable": "has nothing to run",
    "findrunnable": "has nothing to run",
    "schedule": "has nothing to run",
    "mcall": "has nothing to run",
    "park_m": "parked a goroutine",
    "gopark": "parked a goroutine",
    "kevent": "waits for a file, a socket or a timer",
    "netpoll": "waits for a file, a socket or a timer",
    "usleep": "sleeps",
    "osyield": "gives way",
    "sysmon": "watches the other threads",
    "sigNoteSleep": "waits for a signal",
    "read": "waits for a signal",  # the runtime's own pipe (os_darwin.go, sigNoteSleep)
}
CARRIERS = frozenset({"asmcgocall", "libcCall", "systemstack", "systemstack_switch", "mstart", "mstart0", "mstart1"})
"""Go frames that only carry others."""

PLUMBING = frozenset(
    {
        "libsystem_kernel.dylib",
        "libsystem_pthread.dylib",
        "libsystem_platform.dylib",
        "libsystem_c.dylib",
        "libdyld.dylib",
        "libSystem.B.dylib",
    }
)
"""What every program calls the kernel through: no framework."""

FRAMEWORKS = (
    # the beginning of an image's name, and what it is
    ("Metal", "the GPU"),
    ("MTL", "the GPU"),
    ("AGX", "the GPU's driver"),
    ("IOGPU", "the GPU's driver"),
    ("IOAccelerator", "the GPU's driver"),
    ("OpenGL", "the GPU"),
    ("IOKit", "a driver"),
    ("Security", "certificates and keys"),
    ("libsystem_info", "the resolver of names"),
    ("libsystem_dnssd", "the resolver of names"),
    ("Network", "Apple's networking"),
    ("libxpc", "a system service"),
    ("CoreFoundation", "a system service"),
)
GPU = frozenset({"the GPU", "the GPU's driver", "a driver"})

FORK = ("fork", "_pthread_atfork_child_handlers", "libSystem_atfork_child", "_notify_fork_child")

GPU_CURE = (
    "upstream Go calls no GPU: this go, or a library loaded into it, does. gobuild verify GO names what it links; "
    "build it with the patch mfinal-metal-init, and unset DYLD_INSERT_LIBRARIES and METAL_DEVICE_WRAPPER_TYPE"
)
CURES = {
    "fork": "a fault of macOS's own fork handlers (golang/go#33565, #56784), not of Go's runtime: a newer Go holds "
    "osinit_hack against the known ones; else find the library whose handler the frames name",
    "loader": "Go has not begun: macOS checks the file, or its service syspolicyd is stuck (golang/go#37885). A "
    "stuck one shows 0 % CPU in ps, a working one much: `sudo killall syspolicyd` has cured it, for macOS starts it "
    "anew; then see the checks on the signature and quarantine here",
    "framework": "look at what the framework waits for; the same go under the clean environment says whether a setting "
    "brings it in",
    "waits": "the trap says what it waits for: a file, a child process, a socket; lsof -p PID names it",
    "runs": "it is not stuck but computes: sample it again, and look whether the frames change",
    "parked": "no thread has work: a deadlock in the program, or an event that never came. kill -QUIT PID prints every "
    "goroutine",
    "unknown": "no tool saw a frame that says more; run the doctor with --capture as root",
}
RANK = ("fork", "framework", "loader", "waits", "runs", "parked", "unknown")
"""Kinds of waiting: the thread of the first kind here is the one that the answer is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where a process hangs.

    Attributes:
        thread: what the tool calls the thread; behind it "(main)" for the first.
        kind: one of `RANK`.
        samples: in how many samples it was seen so, and of how many.
        go: Go's frames above the trap, the innermost first.
        frameworks: the images between Go and the trap, the one that Go called first.
        called: the first symbol of the system's that Go called.
        trap: the innermost user frame of the system's.
        kernel: the kernel's frames, the innermost first.
        entered: how many traps and system calls the thread entered while dtrace looked; None where it did not.
        tools: which tools saw the thread.
        sentence: all of it, for people.
        advice: what to do.
    """

    thread: str
    kind: str
    samples: tuple[int, int]
    go: tuple[str, ...]
    frameworks: tuple[str, ...]
    called: str
    trap: str
    kernel: tuple[str, ...]
    entered: int | None
    tools: tuple[str, ...]
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A thread, taken apart."""

    thread: Thread
    tool: str
    kind: str
    go: tuple[Frame, ...]
    below: tuple[Frame, ...]
    kernel: tuple[Frame, ...]


def answer(tools: Sequence[Stacks], *, traced: bool = False) -> Answer | None:
    """Joins what the tools saw, by the numbers of the threads, and picks the thread that matters.

    Args:
        tools: what sample, spindump and dtrace saw of one process.
        traced: whether dtrace saw all that was entered while it looked: then a thread that it did not see entered
            nothing.

    Returns:
        The answer; None where no tool but dtrace saw a thread.
    """
    process = next((each.process for each in tools if each.process), "")
    seen = [_seen(thread, each.tool, process) for each in tools if each.tool != "dtrace" for thread in each.threads]
    if not seen:
        return None
    chosen = min(seen, key=lambda each: (RANK.index(each.kind), not each.thread.main, -each.thread.count))
    same = [each for each in seen if each.thread.tid == chosen.thread.tid and each.thread.tid]
    kernel = next((each.kernel for each in [chosen, *same] if each.kernel), ())
    entries = [thread for each in tools if each.tool == "dtrace" for thread in each.threads]
    entered = next((each.count for each in entries if each.tid == chosen.thread.tid), 0 if traced else None)
    return _answer(chosen, kernel, entered, {each.tool for each in [chosen, *same]} | ({"dtrace"} if traced else set()))


def strangers(tools: Iterable[Stacks]) -> tuple[str, ...]:
    """The loaded files that upstream Go never loads: GPU code of the system's, and whatever is not the system's."""
    found: list[str] = []
    for each in tools:
        for image in each.images:
            name = image.path.rpartition("/")[2]
            system = image.path.startswith(("/usr/lib/", "/System/"))
            gpu = any(name.startswith(begins) for begins, means in FRAMEWORKS if means in GPU and begins != "IOKit")
            if gpu or not (system or name == each.process):
                found.append(f"{image.path} (LC_UUID {image.uuid or 'none'})")
    return tuple(dict.fromkeys(found))


def _seen(thread: Thread, tool: str, process: str) -> _Seen:
    path = thread.path
    user = [each for each in path if not each.kernel and not each.symbol.startswith("<")]
    last = max((index for index, each in enumerate(user) if _is_go(each, process)), default=-1)
    go = tuple(each for each in reversed(user[: last + 1]) if _is_go(each, process))
    below = tuple(user[last + 1 :])
    kernel = tuple(each for each in reversed(path) if each.kernel)
    return _Seen(thread=thread, tool=tool, kind=_kind(go, below, main=thread.main), go=go, below=below, kernel=kernel)


def _is_go(frame: Frame, process: str) -> bool:
    return frame.symbol.startswith(("runtime.", "syscall.", "internal/")) or bool(process and frame.image == process)


def _stem(symbol: str) -> str:
    """A Go symbol's own name: "runtime.pthread_cond_wait_trampoline.abi0" is "pthread_cond_wait"."""
    return symbol.removesuffix(".abi0").rpartition("runtime.")[2].removesuffix("_trampoline")


def _working(go: Iterable[Frame]) -> str:
    """The innermost Go frame that does more than carry others; "" where there is none."""
    return next((stem for each in go if (stem := _stem(each.symbol)) not in CARRIERS), "")


def _kind(go: Sequence[Frame], below: Sequence[Frame], *, main: bool) -> str:
    frameworks, working = _frameworks(below), _working(go)
    waits_for_another = not working and any("_cond_" in each.symbol for each in below)
    kinds = (
        ("parked", not go and not main and not _means(frameworks) & GPU),  # the system's own, such as libdispatch keeps
        ("fork", any(each.symbol in FORK for each in below)),
        ("loader", not go and bool(below) and below[-1].image == "dyld"),
        ("framework", bool(frameworks)),
        ("parked", working in PARKED or waits_for_another),
        ("waits", bool(below)),
        ("runs", bool(go)),
        ("unknown", True),
    )
    return next(kind for kind, holds in kinds if holds)


def _frameworks(below: Iterable[Frame]) -> tuple[str, ...]:
    names = (each.image for each in below if each.image and each.image not in PLUMBING and each.image != "dyld")
    return tuple(dict.fromkeys(names))


def _means(frameworks: Iterable[str]) -> set[str]:
    return {means for image in frameworks for begins, means in FRAMEWORKS if image.startswith(begins)}


def _answer(seen: _Seen, kernel: Sequence[Frame], entered: int | None, tools: set[str]) -> Answer:
    frameworks = _frameworks(seen.below)
    what = _means(frameworks)
    trap = seen.below[-1] if seen.below else None
    leaf = trap.count if trap else (seen.go[0].count if seen.go else 0)
    thread = seen.thread.name + (" (main)" if seen.thread.main else "")
    return Answer(
        thread=thread,
        kind=seen.kind,
        samples=(leaf, seen.thread.count),
        go=tuple(each.symbol for each in seen.go),
        frameworks=frameworks,
        called=seen.below[0].symbol if seen.below else "",
        trap=trap.symbol if trap else "",
        kernel=tuple(each.symbol for each in kernel),
        entered=entered,
        tools=tuple(sorted(tools)),
        sentence=_sentence(seen, thread, leaf, frameworks, what, entered),
        advice=GPU_CURE if what & GPU else CURES[seen.kind],
    )


def _sentence(
    seen: _Seen, thread: str, leaf: int, frameworks: Sequence[str], what: Iterable[str], entered: int | None
) -> str:
    """One sentence: "Thread_7 (main) was in mach_msg2_trap in 2464 of 2464 samples; below Metal (the GPU); ..."."""
    if seen.below:
        begins = f"was in {seen.below[-1].symbol}"
    else:
        begins = f"ran {seen.go[0].symbol}" if seen.go else "showed no frame"
    parts = [f"{thread} {begins} in {leaf} of {seen.thread.count} samples"]
    if frameworks:
        meaning = ", ".join(sorted(what))
        parts.append(f"below {' and '.join(frameworks)}" + (f" ({meaning})" if meaning else ""))
    if seen.kind == "loader":
        parts.append("before any of Go's code ran")
    if seen.go:
        working = _working(seen.go)
        says = PARKED.get(working, "")
        shown = ", ".join(each.symbol for each in seen.go[:6])
        parts.append(f"called by Go's {shown}" + (f": the thread {says}" if says and not frameworks else ""))
    if entered is not None:
        parts.append(f"and entered {entered} traps and system calls of those that dtrace saw")
    return "; ".join(parts)
