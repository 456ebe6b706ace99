"""A process of the guest: its memory, threads and files, and the loop that runs them and answers their calls."""

from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from types import GeneratorType
from typing import Any

from gobuild.binary.macho import read_macho
from gobuild.binary.view import View
from gobuild.emulate.abi import FUNCTIONS, Function, as_integer, is_extended
from gobuild.emulate.darwin.errno import EIO, FROM_HOST, DarwinError
from gobuild.emulate.descriptors import Descriptors
from gobuild.emulate.machine import macos
from gobuild.emulate.machine.engine import PC, SP, Engine, Why
from gobuild.emulate.machine.loader import Image, load, make_stack
from gobuild.emulate.machine.memory import EXECUTE, PAGE, READ, WRITE, Memory, round_up
from gobuild.emulate.network import Network
from gobuild.emulate.plan import Plan
from gobuild.emulate.signals import Signals
from gobuild.emulate.threads import (
    ALONE_NS,
    CALL_NS,
    PTHREAD_SIZE,
    SLICE,
    SLICE_NS,
    Breach,
    Ended,
    PendingCall,
    Scheduler,
    Thread,
    Wait,
    Woken,
)
from gobuild.emulate.trace import Call, Observer
from gobuild.emulate.world import World

STUBS = 0x180000000
"""Where the imported functions stand, as the shared cache does on macOS: eight bytes each."""

THREAD_RETURN, SIGNAL_RETURN = 0, 1
"""The first two stubs: where a thread's start routine and a signal's handler return to."""

SIGABRT, SIGKILL = 6, 9

RETURNS = ("(thread return)", "(signal return)")

LR = 30
NOWHERE = 0xD4200000_D4200000
"""BRK: what stands in a stub. Nothing runs it, the engine stops in front of it."""


class Process:
    """See above.

    Attributes:
        pid, parent: the guest's numbers.
        stubs: what stands at each stub, the first two apart.
    """

    def __init__(self, plan: Plan, world: World, files: Descriptors, *, pid: int, parent: int) -> None:
        self.plan, self.world, self.files = plan, world, files
        self.network: Network
        self.pid, self.parent, self.cwd = pid, parent, plan.cwd
        self.umask = 0o022
        self.observers: list[Observer] = []
        self.calls = 0
        self.output = 0
        self.random = Random(plan.seed)
        self._reset()

    def _reset(self) -> None:
        self.engine = Engine(self.plan.seed)
        self.memory = Memory(self.engine, self.plan.limits.memory)
        self.scheduler = Scheduler()
        self.threads: dict[int, Thread] = {}
        self.signals = Signals(self)
        self.bad_pages: set[int] = set()
        self.keys = 0x100
        self.mutexes: dict[int, deque[Thread]] = {}
        self.objects: dict[int, Any] = {}
        self.current: Thread | None = None
        self.stubs: list[Function | str] = [*RETURNS]
        self._places: dict[str, int] = {}
        self._x18 = 0
        self._next_thread = 1
        self._next_object = 0x7000_0000

    # Starting

    def load(
        self, view: View, descriptor: int, *, path: str, argv: Sequence[bytes], envp: Mapping[bytes, bytes]
    ) -> None:
        """Makes a program this process's, as execve does; raises macos.Refused."""
        macho = read_macho(view)
        macos.require_startable(macho, macos=self.plan.macos)
        bad = tuple(macos.bad_pages(view, macho))
        self.image: Image = load(
            view, descriptor, self.memory, path=path, slide=self.plan.slide, bind=self._bind, bad_pages=bad
        )
        self.bad_pages = {address // PAGE * PAGE for address in self.image.bad_pages}
        size = round_up(8 * len(self.stubs))
        self.memory.map(STUBS, size, READ | WRITE, fixed=True)
        self.memory.write(STUBS, NOWHERE.to_bytes(8, "little") * (size // 8))
        self.memory.protect(STUBS, size, READ | EXECUTE)
        self.engine.set_exits(range(STUBS, STUBS + 8 * len(self.stubs), 8))
        environment = [name + b"=" + value for name, value in envp.items()]
        *registers, sp = make_stack(self.memory, path=path, argv=argv, envp=environment)
        self.new_thread(self.image.entry, registers, sp)

    def _bind(self, symbol: str, _ordinal: int) -> int:
        name = symbol.removeprefix("_")
        if name not in self._places:
            self._places[name] = STUBS + 8 * len(self.stubs)
            self.stubs.append(FUNCTIONS.get(name, name))
        return self._places[name]

    def new_thread(self, start: int, registers: Sequence[int], sp: int) -> Thread:
        """A thread that is ready, and begins there with these registers from x0 on."""
        pthread = self.memory.map(0, PTHREAD_SIZE, READ | 2)
        thread = Thread(number=self._next_thread, process=self, pthread=pthread, entry=(start, tuple(registers), sp))
        self._next_thread += 1
        self.memory.put_u64(thread.tsd, pthread)
        self.threads[pthread] = thread
        self.scheduler.ready.append(thread)
        return thread

    def new_object(self, what: Any) -> int:
        """A number for an opaque object (a DIR, a CFString), which is no address that can be read."""
        self._next_object += 16
        self.objects[self._next_object] = what
        return self._next_object

    # Running

    def run(self) -> Ended:
        """Runs until the process has ended."""
        try:
            while True:
                thread = self._next()
                self.switch(thread)
                if thread.call and thread.call.done:
                    self._finish(thread, thread.call)
                self._turn(thread)
        except Ended as ended:
            return ended

    def _next(self) -> Thread:
        scheduler = self.scheduler
        while not scheduler.ready:
            if not scheduler.idle():
                raise Ended(SIGKILL, "deadlock", "all threads wait for each other")
        return scheduler.ready[0]

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
            self.engine.x[SP], self.engine.x[PC], self.engine.x[LR] = sp, start, STUBS + 8 * THREAD_RETURN
            thread.callee_saved = self.engine.callee_saved()
        self.engine.set_thread_pointer(thread.tsd)
        self.current = thread

    def _turn(self, thread: Thread) -> None:
        """Runs a thread until it blocks or its slice is over."""
        scheduler = self.scheduler
        while True:
            if thread.pending & ~thread.mask:
                self.signals.deliver(thread)
            alone = len(scheduler.ready) == 1
            self._go()
            stop = self.engine.run() if alone else self.engine.run_counted(SLICE)
            if stop.why is Why.SLICE:
                scheduler.now += ALONE_NS if alone else SLICE_NS
                scheduler.expire()
                scheduler.ready.rotate(-1)
                return
            if stop.why is not Why.EXIT:
                self.signals.fault(thread, stop)
                continue
            self._check()
            scheduler.now += CALL_NS
            if not self._call(thread):
                return
            scheduler.expire()

    def _go(self) -> None:
        """Hands the registers to the engine, with a new x18, which the kernel may change at any time."""
        self._x18 = self.engine.x[18] = self.engine.random_word()
        self.engine.store()

    def place(self, address: int) -> str:
        """Where an address is, for a message."""
        return f"{address:#x}"

    @property
    def signal_return(self) -> int:
        """The address that a signal's handler returns to."""
        return STUBS + 8 * SIGNAL_RETURN

    def _check(self) -> None:
        """Raises Breach for what holds at every call."""
        x = self.engine.x
        if x[SP] % 16:
            raise Breach(f"sp is {x[SP]:#x}, which is no multiple of 16")
        if x[18] != self._x18:
            raise Breach("x18, which is the system's, was changed")

    # Calls

    def _call(self, thread: Thread) -> bool:
        """Answers the call that the engine stands at; False where the thread cannot go on just now."""
        function = self.stubs[(self.engine.x[PC] - STUBS) // 8]
        if function == RETURNS[SIGNAL_RETURN]:
            self.signals.sigreturn(thread)
            return not thread.wait
        if function == RETURNS[THREAD_RETURN]:
            self.end_thread(thread)
            return False
        if isinstance(function, str):
            raise Ended(SIGABRT, "unknown-import", f"{function} is called, which this libSystem does not have")
        call = thread.call = PendingCall(function=function)
        self._advance(thread, call, Woken.BY_KEY)
        if call.done:
            self._finish(thread, call)
        return call.done

    def go_on(self, thread: Thread, how: Woken) -> None:
        """Goes on with a call of the thread that runs, which a signal had interrupted."""
        if thread.call:
            self._advance(thread, thread.call, how)
            if thread.call.done:
                self._finish(thread, thread.call)

    def _arguments(self, function: Function) -> tuple[Any, ...]:
        x = self.engine.x
        values: list[Any] = []
        integers = doubles = 0
        stack = x[SP]
        for parameter in function.parameters:
            if parameter.kind == "double":
                values.append(self.engine.d(doubles))
                doubles += 1
                continue
            if parameter.variadic:
                register = self.memory.u64(stack)
                stack += 8
            else:
                register = x[integers]
                integers += 1
            if parameter.kind == "integer":
                if not is_extended(register, parameter):
                    raise Breach(f"{parameter.name} of {function.name} is not extended to 32 bits: {register:#x}")
                values.append(as_integer(register, parameter))
            elif parameter.kind == "string":
                values.append(self._string(register))
            else:
                values.append(register)
        return tuple(values)

    def _string(self, address: int) -> bytes | None:
        return self.memory.c_string(address) if address else None

    def _advance(self, thread: Thread, call: PendingCall, how: Woken) -> None:
        """Calls a function, or goes on with one that was blocked, which is told how its wait ended."""
        try:
            if call.generator is None:
                call.arguments = self._arguments(call.function)
                result = call.function.call(thread, *call.arguments)
                if not isinstance(result, GeneratorType):
                    call.result, call.done = result, True
                    return
                call.generator = result
                wait = next(result)
            else:
                wait = call.generator.send(how)
        except StopIteration as stop:
            call.result = stop.value
        except DarwinError as error:
            call.errno = error.number
        except OSError as error:
            call.errno = FROM_HOST.get(error.errno or 0, EIO)
        else:
            self._block(thread, wait)
            return
        call.done = True

    def _block(self, thread: Thread, wait: Wait) -> None:
        if thread in self.scheduler.ready:
            self.scheduler.ready.remove(thread)
        self.scheduler.block(thread, wait)
        if thread.pending & ~thread.mask:
            self.scheduler.interrupt(thread)

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

    def resume(self, thread: Thread, how: Woken) -> None:
        """Goes on with a blocked call; the thread is ready where the call is done."""
        if thread.call:
            self._advance(thread, thread.call, how)
        if not thread.wait:
            self.scheduler.ready.append(thread)

    def _finish(self, thread: Thread, call: PendingCall) -> None:
        """Returns to the caller, with noise in all that a call may change."""
        engine, function = self.engine, call.function
        result = call.result
        if call.errno:
            if function.fails != "number":
                self.memory.put_u32(thread.errno_address, call.errno)
            result = {"errno": -1, "null": 0, "number": call.errno}[function.fails]
        engine.noise()
        word = engine.random_word()
        if function.result.bits == 64 or not function.noisy:
            word = result
        elif function.result.bits:
            word = word & ~0xFFFFFFFF | int(result) & 0xFFFFFFFF
        engine.x[0] = word & (1 << 64) - 1
        engine.x[PC] = engine.x[LR]
        thread.call = None
        self.calls += 1
        for observer in self.observers:
            observer.call(
                Call(
                    number=self.calls, pid=self.pid, thread=thread.number, function=function, arguments=call.arguments,
                    result=result, errno=call.errno, caller=engine.x[LR], at=self.scheduler.now,
                )
            )  # fmt: skip
