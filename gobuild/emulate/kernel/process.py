"""A process of the guest: its memory, threads and files, and how it starts, forks and is replaced."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from gobuild.binary.macho import read_macho
from gobuild.binary.view import Malformed, View, opened
from gobuild.emulate import calls
from gobuild.emulate.abi import FUNCTIONS, Function
from gobuild.emulate.kernel.descriptors import Descriptors
from gobuild.emulate.kernel.network import Network
from gobuild.emulate.kernel.processes import INIT, ProcessTable
from gobuild.emulate.kernel.signals import NSIG, SIG_IGN, SIGKILL, Signals
from gobuild.emulate.kernel.threads import PTHREAD_SIZE, Breach, Ended, Scheduler, Thread, Woken
from gobuild.emulate.kernel.world import World
from gobuild.emulate.machine import macos
from gobuild.emulate.machine.engine import LR, PC, SP, Engine
from gobuild.emulate.machine.loader import load, make_stack
from gobuild.emulate.machine.memory import EXECUTE, PAGE, READ, WRITE, Memory, round_up
from gobuild.emulate.plan import Plan
from gobuild.emulate.trace import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process that this one has forked: the host's pid, and a descriptor that is readable once it has ended."""

    host: int
    pidfd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What execve starts: `path` as the guest names it, and the host's descriptor of the file."""

    path: str
    descriptor: int
    argv: tuple[bytes, ...]
    envp: tuple[bytes, ...]


class Process:
    """See above.

    Attributes:
        pid, parent: the guest's numbers.
        observers: who is told of each call.
        stubs: what stands at each stub, a name where this libSystem has no such function.
        objects: what an opaque number of the guest's stands for.
        rung: another process has sent a signal.
        x18: what that register must still be.
    """

    def __init__(self, plan: Plan, world: World, files: Descriptors, table: ProcessTable) -> None:
        self.plan, self.world, self.files, self.table = plan, world, files, table
        self.network: Network
        self.pid, self.parent, self.cwd = table.add(parent=INIT), INIT, plan.cwd
        table.change(self.pid, host=os.getpid())
        self.children: dict[int, Child] = {}
        self.umask = 0o022
        self.observers: list[Observer] = []
        self.calls = self.output = 0
        self.random = Random(plan.seed)
        self.scheduler = Scheduler()
        self.rung = False
        self._reset()

    def _reset(self) -> None:
        self.engine = Engine(self.plan.seed)
        self.memory = Memory(self.engine, self.plan.limits.memory)
        self.threads: dict[int, Thread] = {}
        self.signals = Signals(self)
        self.bad_pages: set[int] = set()
        self.keys = 0x100
        self.mutexes: dict[int, deque[Thread]] = {}
        self.objects: dict[int, Any] = {}
        self.current: Thread | None = None
        self.stubs: list[Function | str] = [*calls.RETURNS]
        self.x18 = 0
        self._places: dict[str, int] = {}
        self._next_thread = 1
        self._next_object = 0x7000_0000

    # Starting

    def start(self, program: Program) -> None:
        """Makes a program this process's, which has none yet; raises Ended where macOS would not start it."""
        try:
            with opened(Path(f"/proc/self/fd/{program.descriptor}")) as view:
                self._load(view, program)
            for observer in self.observers:
                observer.loaded(program)
        except (macos.Refused, Malformed) as error:
            raise Ended(SIGKILL, "refused", f"{program.path}: {error}") from error
        finally:
            os.close(program.descriptor)

    def _load(self, view: View, program: Program) -> None:
        macho = read_macho(view)
        macos.require_startable(macho, macos=self.plan.macos)
        bad = tuple(macos.bad_pages(view, macho))
        self.image = load(
            view, program.descriptor, self.memory, path=program.path, slide=self.plan.slide, bind=self._bind,
            bad_pages=bad,
        )  # fmt: skip
        self.bad_pages = {address // PAGE * PAGE for address in self.image.bad_pages}
        size = round_up(8 * len(self.stubs))
        self.memory.map(calls.STUBS, size, READ | WRITE, fixed=True)
        self.memory.write(calls.STUBS, calls.BRK * (size // 8))
        self.memory.protect(calls.STUBS, size, READ | EXECUTE)
        self.engine.set_exits(range(calls.STUBS, calls.STUBS + 8 * len(self.stubs), 8))
        *registers, sp = make_stack(self.memory, path=program.path, argv=program.argv, envp=program.envp)
        self.new_thread(self.image.entry, registers, sp)

    def _bind(self, symbol: str, _ordinal: int) -> int:
        name = symbol.removeprefix("_")
        if name not in self._places:
            self._places[name] = calls.STUBS + 8 * len(self.stubs)
            self.stubs.append(FUNCTIONS.get(name, name))
        return self._places[name]

    def replace(self, thread: Thread, program: Program) -> None:
        """execve: all that is kept is descriptors without FD_CLOEXEC, the mask, and which signals are ignored."""
        ignored = {number: each for number, each in self.signals.actions.items() if each.handler == SIG_IGN}
        mask, pending = thread.mask, thread.pending
        self.memory.close()
        self.scheduler.ready.clear()
        self.scheduler.blocked.clear()
        for number in sorted(self.files.close_on_exec):
            self.files.close(number)
        self._reset()
        self.start(program)
        self.signals.actions = ignored
        for each in self.threads.values():
            each.mask, each.pending = mask, pending

    def fork(self, thread: Thread) -> int:
        """0 in the new process, which has this thread alone; the new one's pid in this one."""
        pid = self.table.add(parent=self.pid, group=self.group)
        self.scheduler.shared = True
        host = os.fork()
        if host:
            self.table.change(pid, host=host)
            self.children[pid] = Child(host=host, pidfd=os.pidfd_open(host))
            return pid
        self.table.change(pid, host=os.getpid())
        for child in self.children.values():
            os.close(child.pidfd)
        self.pid, self.parent, self.children, self.calls = pid, self.pid, {}, 0
        self.threads = {thread.pthread: thread}
        self.scheduler.ready = deque([thread])
        self.scheduler.blocked = []
        thread.pending = self.signals.pending = 0
        self.signals.timers = {}
        self.files.forked()
        return 0

    @property
    def group(self) -> int:
        """Its process group."""
        entry = self.table.find(self.pid)
        return entry.group if entry else self.pid

    def new_object(self, what: Any) -> int:
        """A number for an opaque object (a DIR, a CFString), which is no address that can be read."""
        self._next_object += 16
        self.objects[self._next_object] = what
        return self._next_object

    def place(self, address: int) -> str:
        """Where an address is, for a message."""
        return f"{address:#x}"

    # Threads

    def new_thread(self, start: int, registers: Sequence[int], sp: int) -> Thread:
        """A thread that is ready, and begins there with these registers from x0 on."""
        pthread = self.memory.map(0, PTHREAD_SIZE, READ | WRITE)
        thread = Thread(number=self._next_thread, process=self, pthread=pthread, entry=(start, tuple(registers), sp))
        self._next_thread += 1
        self.memory.put_u64(thread.tsd, pthread)
        self.threads[pthread] = thread
        self.scheduler.ready.append(thread)
        return thread

    def switch(self, thread: Thread) -> None:
        """Makes a thread the one whose registers the engine has."""
        if self.current is thread:
            return
        if self.current and not self.current.ended:
            self.current.context = self.engine.save(self.current.context)
        if thread.context:
            self.engine.restore(thread.context)
        else:
            start, registers, sp = thread.entry
            self.engine.noise()
            self.engine.x[: len(registers)] = list(registers)
            self.engine.x[SP], self.engine.x[PC], self.engine.x[LR] = sp, start, calls.THREAD_RETURN
            thread.callee_saved = self.engine.callee_saved()
        self.engine.set_thread_pointer(thread.tsd)
        self.current = thread

    def hand_over(self) -> None:
        """Hands the registers to the engine, with a new x18, which the kernel may change at any time."""
        self.x18 = self.engine.x[18] = self.engine.random_word()
        self.engine.store()

    def resume(self, thread: Thread, how: Woken) -> None:
        """Goes on with a call whose wait has ended; the thread is ready where the call is done."""
        if thread.call:
            calls.advance(self, thread, thread.call, how)
        if not thread.wait and thread not in self.scheduler.ready:
            self.scheduler.ready.append(thread)

    def end_thread(self, thread: Thread) -> None:
        """The start routine has returned; with the main thread's, the process ends."""
        if self.engine.callee_saved() != thread.callee_saved:
            raise Breach("a thread's start routine changed registers that it must leave as they were")
        if thread.number == 1:
            raise Ended((self.engine.x[0] & 0xFF) << 8)
        thread.ended = True
        self.scheduler.ready.remove(thread)
        del self.threads[thread.pthread]
        self.memory.unmap(thread.pthread, PTHREAD_SIZE)
        self.memory.unmap(*thread.stack)
        self.current = None

    # Signals of other processes

    def ring(self) -> None:
        """Another process of the guest's has sent a signal, which is taken at the next call."""
        self.rung = True

    def take_signals(self) -> None:
        """Takes what other processes have sent."""
        self.rung = False
        pending = self.table.take_pending(self.pid)
        for number in range(1, NSIG):
            if pending >> number & 1:
                self.signals.send_to_process(number)
