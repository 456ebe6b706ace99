"""Threads, switched the same way in every run, and the guest's clock.

A call that may block is a generator: it yields a `Wait`, and is sent how the wait ended. Between two calls a thread
runs undisturbed where it is the only one that can, and for a counted slice of instructions otherwise.
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

    from gobuild.emulate.process import Process

SLICE = 100_000
"""Instructions that a thread runs before the next one's turn."""

SLICE_NS, CALL_NS = 50_000, 1_000
"""What a slice and a call cost by the guest's clock."""


PTHREAD_SIZE, PTHREAD_TSD, PTHREAD_ERRNO = 0x4000, 0xE0, 0x3000
"""A pthread_t's page: thread-specific data where libpthread has it (private struct pthread_s), and errno."""


class Woken(Enum):
    """How a wait ended."""

    BY_KEY = "woken"
    BY_HOST = "the host's descriptor is ready"
    BY_TIME = "timed out"
    BY_SIGNAL = "interrupted"


@dataclass(slots=True, kw_only=True)
class Wait:
    """What a blocked call waits for: whichever comes first.

    Attributes:
        key: what `Scheduler.wake` names.
        deadline: nanoseconds of the guest's monotonic clock.
        reads, writes: descriptors of the host.
        restarts: a signal's handler runs meanwhile, and the wait goes on (SA_RESTART); else the call ends with EINTR.
    """

    key: object = None
    deadline: int | None = None
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    restarts: bool = True


Blocking = Generator[Wait, Woken, Any]
"""What a function of libSystem that may block returns."""


@dataclass(slots=True, kw_only=True)
class PendingCall:
    """A call that is not finished: its function, arguments, the generator, and its outcome once there is one."""

    function: Function
    arguments: tuple[Any, ...] = ()
    generator: Blocking | None = None
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
        on_altstack: how many handlers run on it.
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
    frames: list[Any] = field(default_factory=list)
    stack: tuple[int, int] = (0, 0)
    entry_saved: tuple[int, ...] = ()
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
            where all threads sleep, and follows the host's where they wait for one of its descriptors.
    """

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.ready: deque[Thread] = deque()
        self.blocked: list[Thread] = []

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

    def expire(self) -> None:
        """Ends the waits whose time is over."""
        for thread in [each for each in self.blocked if each.wait and each.wait.deadline is not None]:
            if thread.wait and thread.wait.deadline is not None and thread.wait.deadline <= self.now:
                self.end_wait(thread, Woken.BY_TIME)

    def idle(self) -> bool:
        """Lets time go by until a thread is ready; False where none ever will be."""
        deadlines = [each.wait.deadline for each in self.blocked if each.wait and each.wait.deadline is not None]
        nearest = min(deadlines, default=None)
        if any(each.wait and (each.wait.reads or each.wait.writes) for each in self.blocked):
            self.poll(None if nearest is None else max(nearest - self.now, 0))
        elif nearest is None:
            return False
        else:
            self.now = max(self.now, nearest)
        self.expire()
        return True

    def poll(self, timeout: int | None) -> None:
        """Ends the waits for descriptors of the host that are ready, within so many nanoseconds."""
        waits = [each.wait for each in self.blocked if each.wait]
        reads = {number for wait in waits for number in wait.reads}
        writes = {number for wait in waits for number in wait.writes}
        start = time.monotonic_ns()
        read, written, _ = select.select(reads, writes, (), None if timeout is None else timeout / 1e9)
        if timeout != 0:
            self.now += time.monotonic_ns() - start
        for thread in list(self.blocked):
            wait = thread.wait
            if wait and (set(wait.reads) & set(read) or set(wait.writes) & set(written)):
                self.end_wait(thread, Woken.BY_HOST)
