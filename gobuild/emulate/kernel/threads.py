"""Threads, switched the same way in every run, and the guest's clock.

A call that may block is a generator: it yields a `Wait`, and is sent how the wait ended. Between two calls a thread
runs a counted slice of instructions, a long one where it is the only one that can.
"""

import select
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from gobuild.emulate.abi import Function
from gobuild.emulate.machine.memory import Memory

if TYPE_CHECKING:
    from unicorn.unicorn_py3.unicorn import UcContext

    from gobuild.emulate.kernel.process import Process, Program
    from gobuild.emulate.kernel.signals import Frame

SLICE, ALONE = 100_000, 2_000_000
"""Instructions that a thread runs without a call before the next one's turn, or before timers are looked at."""

CALL_NS, INSTRUCTION_NS = 1_000, 10
"""What a call, and each instruction of a slice that is over, cost by the guest's clock."""


PTHREAD_SIZE, PTHREAD_TSD, PTHREAD_ERRNO = 0x4000, 0xE0, 0x3000
"""A pthread_t's page: thread-specific data where libpthread has it (private struct pthread_s), and errno."""


SIGABRT = 6


class Ended(Exception):
    """The process is over: `status` is what wait4 tells of it (exit code << 8, or a signal).

    `kind` and `detail` are a `Verdict`'s, where it did not end by its own will.
    """

    def __init__(self, status: int, kind: str = "", detail: str = "") -> None:
        self.status, self.kind, self.detail = status, kind, detail
        super().__init__(status, kind, detail)

    @property
    def code(self) -> int:
        """The exit code as a shell tells it: 128 + n for signal n."""
        return self.status >> 8 if not self.status & 0x7F else 128 + (self.status & 0x7F)


class Breach(Ended):
    """A call breaks a rule of Apple's ABI."""

    def __init__(self, detail: str) -> None:
        super().__init__(SIGABRT, "breach", detail)


class Replaced(Exception):
    """execve: another program takes the process over."""

    def __init__(self, program: "Program") -> None:
        self.program = program
        super().__init__(program.path)


class Woken(Enum):
    """How a wait ended. A call that a signal interrupts is told so when the handler has returned."""

    BY_KEY = "woken"
    BY_HOST = "the host's descriptor is ready"
    BY_TIME = "timed out"
    BY_SIGNAL = "interrupted: EINTR"
    TO_RESTART = "interrupted, and the handler was set with SA_RESTART"


@dataclass(slots=True, kw_only=True)
class Wait:
    """What a blocked call waits for: whichever comes first.

    Attributes:
        key: what `Scheduler.wake` names.
        deadline: nanoseconds of the guest's monotonic clock.
        reads, writes: descriptors of the host, which must not be the same ones.
        external: they are not the guest's own: the host's clock counts while it waits for them.
    """

    key: object = None
    deadline: int | None = None
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    external: bool = False


Blocking = Generator[Wait, Woken, Any]
"""What a function of libSystem that may block returns."""


@dataclass(slots=True, kw_only=True)
class PendingCall:
    """A call that has not returned: its function, arguments, the generator, and its outcome once it is done."""

    function: Function
    arguments: tuple[Any, ...] = ()
    generator: Blocking | None = None
    done: bool = False
    result: Any = None
    errno: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Thread:
    """A thread of the guest, which is also what each function of libSystem gets first.

    Attributes:
        number: 1 for the main thread.
        pthread: the address of its pthread_t; thread-specific data and errno stand in it.
        entry: where it begins: address, registers from x0 on, sp.
        context: its registers while it is not the engine's; None while it is.
        call: what it is in, where it is blocked or not yet back.
        mask, pending: signals blocked, and to be delivered, as bits (1 << number).
        altstack: address and size; 0 where there is none.
        frames: the signal handlers that run, the innermost last.
        interrupted: how a wait has ended that a signal's handler had interrupted.
        callee_saved: the registers that its start routine must leave as they are.
    """

    number: int
    process: "Process"
    pthread: int
    entry: tuple[int, tuple[int, ...], int]
    context: "UcContext | None" = None
    call: PendingCall | None = None
    wait: Wait | None = None
    mask: int = 0
    pending: int = 0
    altstack: tuple[int, int] = (0, 0)
    frames: "list[Frame]" = field(default_factory=list)
    stack: tuple[int, int] = (0, 0)
    callee_saved: tuple[int, ...] = ()
    interrupted: Woken = Woken.BY_SIGNAL
    ended: bool = False

    @property
    def tsd(self) -> int:
        """The address of its thread-specific data, which TPIDRRO_EL0 holds."""
        return self.pthread + PTHREAD_TSD

    @property
    def errno_address(self) -> int:
        """Where its errno stands."""
        return self.pthread + PTHREAD_ERRNO

    @property
    def memory(self) -> Memory:
        """The process's."""
        return self.process.memory


class Scheduler:
    """Whose turn it is.

    Attributes:
        now: the guest's monotonic clock in nanoseconds. It goes on by calls and slices, jumps to the next deadline
            where all threads sleep, and follows the host's where they wait for somebody outside of the process.
        slept: how much of it went by while all threads slept.
        shared: other processes have the descriptors of this one, or may send it signals.
    """

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.slept = 0
        self.shared = False
        self.ready: deque[Thread] = deque()
        self.blocked: list[Thread] = []

    @property
    def worked(self) -> int:
        """The processor's time: the part of the clock in which a thread ran."""
        return self.now - self.slept

    def block(self, thread: Thread, wait: Wait) -> None:
        """Takes the thread out of the turn until its wait ends."""
        thread.wait = wait
        self.blocked.append(thread)

    def wake(self, key: object, count: int = 1) -> int:
        """Ends the wait of the threads that wait for a key, those that came first before the others."""
        woken = [thread for thread in self.blocked if thread.wait and thread.wait.key == key][:count]
        for thread in woken:
            self.end_wait(thread, Woken.BY_KEY)
        return len(woken)

    def end_wait(self, thread: Thread, how: Woken) -> None:
        """Lets a blocked call go on, which may block again."""
        self.blocked.remove(thread)
        thread.wait = None
        thread.process.resume(thread, how)

    def interrupt(self, thread: Thread) -> None:
        """Takes a thread out of its wait for a signal's handler, without an end to the wait."""
        self.blocked.remove(thread)
        thread.wait = None
        self.ready.append(thread)

    def expire(self) -> None:
        """Ends the waits whose time is over."""
        for thread in [each for each in self.blocked if each.wait and each.wait.deadline is not None]:
            if thread.wait and thread.wait.deadline is not None and thread.wait.deadline <= self.now:
                self.end_wait(thread, Woken.BY_TIME)

    def idle(self) -> bool:
        """Lets time go by until a thread is ready; False where none ever will be."""
        waits = [each.wait for each in self.blocked if each.wait]
        nearest = min((wait.deadline for wait in waits if wait.deadline is not None), default=None)
        watching = any(wait.reads or wait.writes for wait in waits)
        if watching and self.poll(0):
            return True
        if watching and (self.shared or any(wait.external for wait in waits)):
            self.poll(None if nearest is None else max(nearest - self.now, 0))
        elif nearest is None:
            return False
        else:
            self._sleep(nearest - self.now)
        self.expire()
        return True

    def _sleep(self, nanoseconds: int) -> None:
        self.now += max(nanoseconds, 0)
        self.slept += max(nanoseconds, 0)

    def poll(self, timeout: int | None) -> bool:
        """Ends the waits for descriptors of the host that are ready, within so many nanoseconds; whether there were."""
        poll = select.poll()
        waits = [each.wait for each in self.blocked if each.wait]
        for number in {number for wait in waits for number in wait.reads}:
            poll.register(number, select.POLLIN)
        for number in {number for wait in waits for number in wait.writes}:
            poll.register(number, select.POLLOUT)
        start = time.monotonic_ns()
        ready = {number for number, _ in poll.poll(None if timeout is None else -(-timeout // 1_000_000))}
        if timeout != 0:
            self._sleep(time.monotonic_ns() - start)
        for thread in list(self.blocked):
            if thread.wait and ready.intersection((*thread.wait.reads, *thread.wait.writes)):
                self.end_wait(thread, Woken.BY_HOST)
        return bool(ready)
