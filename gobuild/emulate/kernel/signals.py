"""Signals: to whom, when, and the frame that a handler gets and sigreturn takes back.

Sources: xnu's bsd/dev/arm/unix_signal.c (sendsig, the frame), osfmk/mach/arm/_structs.h (mcontext64),
bsd/sys/ucontext.h, bsd/sys/signal.h; Go's own view is src/runtime/defs_darwin_arm64.go.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gobuild.emulate.calls import SIGNAL_RETURN
from gobuild.emulate.kernel.threads import Breach, Ended, PendingCall, Thread, Woken
from gobuild.emulate.machine.engine import LR, PC, SP, Stop, Why

if TYPE_CHECKING:
    from gobuild.emulate.kernel.process import Process

SIGILL, SIGTRAP, SIGABRT, SIGKILL, SIGBUS, SIGSEGV, SIGPIPE = 4, 5, 6, 9, 10, 11, 13
SIGURG, SIGCHLD, SIGVTALRM, SIGPROF = 16, 20, 26, 27
SIG_DFL, SIG_IGN = 0, 1
NSIG = 32

IGNORED = {SIGURG, 19, SIGCHLD, 23, 28, 29}
"""What does nothing by default: SIGURG, SIGCONT, SIGCHLD, SIGIO, SIGWINCH, SIGINFO."""
STOPPING = {17, 18, 21, 22}
"""SIGSTOP and those of a terminal, which has no part here: ignored as well."""

SA_ONSTACK, SA_RESTART, SA_RESETHAND, SA_NODEFER = 0x1, 0x2, 0x4, 0x10
SEGV_MAPERR, SEGV_ACCERR, BUS_ADRALN, BUS_ADRERR, ILL_ILLOPC, TRAP_BRKPT = 1, 2, 1, 2, 1, 1
SI_USER = 0x10001

SIGINFO = struct.Struct("<6i3Q56x")
UCONTEXT = struct.Struct("<iIQQi4xQQQ")
"""uc_onstack, uc_sigmask, uc_stack, uc_link, uc_mcsize, uc_mcontext64."""
EXCEPTION = struct.Struct("<QII")
"""far, esr, exception."""
REGISTERS = struct.Struct("<33QI4x")
"""x0 to x28, fp, lr, sp, pc, cpsr."""
NEON = struct.Struct("<64QII8x")
"""v0 to v31, fpsr, fpcr."""
MCONTEXT_SIZE = EXCEPTION.size + REGISTERS.size + NEON.size
REDZONE = 128

ESR_READ, ESR_WRITE, ESR_EXECUTE = 0x92000006, 0x92000046, 0x82000006


@dataclass(frozen=True, slots=True)
class Action:
    """What sigaction sets; `mask` as bits (1 << number)."""

    handler: int = SIG_DFL
    mask: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A handler that runs: the call it interrupted, if any, and what it must leave as it was."""

    number: int
    call: PendingCall | None
    restarts: bool
    ucontext: int
    callee_saved: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a signal of the processor's own says: si_code, si_addr and esr."""

    code: int
    address: int
    esr: int = 0
    told: str = ""


@dataclass(slots=True)
class Timer:
    """What setitimer sets: when it goes off by the processor's time, and how often after that; 0 for once."""

    at: int
    interval: int


class Signals:
    """The signals of one process.

    Attributes:
        timers: by the signal that each sends.
    """

    def __init__(self, process: "Process") -> None:
        self._process = process
        self.actions: dict[int, Action] = {}
        self.timers: dict[int, Timer] = {}
        self.pending = 0  # sent to the process while every thread blocks it
        self._senders: dict[int, int] = {}

    def action(self, number: int) -> Action:
        """What is set for a signal."""
        return self.actions.get(number, Action())

    def _is_ignored(self, number: int) -> bool:
        handler = self.action(number).handler
        return handler == SIG_IGN or (handler == SIG_DFL and number in IGNORED | STOPPING)

    # Sending

    def send(self, thread: Thread, number: int, *, sender: int = 0) -> None:
        """To a thread, which handles it when it runs next; a call that it is blocked in is interrupted."""
        if self._is_ignored(number):
            return
        thread.pending |= 1 << number
        self._senders[number] = sender
        if thread.wait and not thread.mask >> number & 1:
            self._process.scheduler.interrupt(thread)

    def send_to_process(self, number: int, *, sender: int = 0) -> None:
        """To a thread that does not block it, the oldest first; kept until there is one."""
        for thread in self._process.threads.values():
            if not thread.ended and not thread.mask >> number & 1:
                self.send(thread, number, sender=sender)
                return
        if not self._is_ignored(number):
            self.pending |= 1 << number
            self._senders[number] = sender

    def tick(self, thread: Thread) -> None:
        """Sends the signals of the timers that go off while a thread runs; once for a time in which several would."""
        now = self._process.scheduler.worked
        for number, timer in [each for each in self.timers.items() if each[1].at <= now]:
            self.send(thread, number)
            if timer.interval:
                timer.at += timer.interval * ((now - timer.at) // timer.interval + 1)
            else:
                del self.timers[number]

    def set_mask(self, thread: Thread, mask: int) -> None:
        """The signals that a thread blocks; what waited for one that it no longer does is sent to it."""
        thread.mask = mask & ~(1 << SIGKILL | 1 << 17)
        for number in range(1, NSIG):
            if self.pending & ~thread.mask & 1 << number:
                self.pending &= ~(1 << number)
                self.send(thread, number, sender=self._senders.get(number, 0))

    # Delivering

    def deliver(self, thread: Thread) -> None:
        """Handles the pending signals of the thread whose registers the engine has."""
        while waiting := thread.pending & ~thread.mask:
            number = (waiting & -waiting).bit_length() - 1
            thread.pending &= ~(1 << number)
            fault = Fault(code=SI_USER, address=0, told=f"signal {number}")
            self._handle(thread, number, fault)

    def fault(self, thread: Thread, stop: Stop) -> None:
        """Turns what the processor refuses into the signal that xnu makes of it."""
        number, fault = self._signal_of(stop)
        if thread.mask >> number & 1 or self.action(number).handler in (SIG_DFL, SIG_IGN):
            raise Ended(number, "signal", f"signal {number}: {fault.told}")
        self._handle(thread, number, fault)

    def _signal_of(self, stop: Stop) -> tuple[int, Fault]:
        at = f"at {self._process.place(stop.pc)}"
        if stop.why is Why.FAULT:
            told = f"{stop.access} of {stop.address:#x} {at}"
            page = stop.address // 0x4000 * 0x4000
            if page in self._process.bad_pages:
                raise Ended(SIGKILL, "refused", f"kernel: Killed: 9 (code signature: the page at {page:#x} is not"
                            " what was signed)")  # fmt: skip
            esr = {"read": ESR_READ, "write": ESR_WRITE}.get(stop.access, ESR_EXECUTE)
            if stop.mapped or self._process.memory.is_reserved(stop.address):
                return SIGBUS, Fault(code=BUS_ADRERR, address=stop.address, esr=esr, told=f"protected: {told}")
            return SIGSEGV, Fault(code=SEGV_MAPERR, address=stop.address, esr=esr, told=told)
        if stop.pc % 4:
            return SIGBUS, Fault(code=BUS_ADRALN, address=stop.pc, told=f"pc is no multiple of 4, {at}")
        word = self._process.memory.u32(stop.pc)
        if word & 0xFFE0001F == 0xD4200000:
            return SIGTRAP, Fault(code=TRAP_BRKPT, address=stop.pc, told=f"brk {at}")
        if self._process.memory.u32(stop.pc - 4) & 0xFFE0001F == 0xD4000001:
            raise Breach(f"a system call by svc {at}: on macOS only libSystem makes them")
        return SIGILL, Fault(code=ILL_ILLOPC, address=stop.pc, told=f"instruction {word:#010x} {at}")

    def _handle(self, thread: Thread, number: int, fault: Fault) -> None:
        action = self.action(number)
        if self._is_ignored(number):
            return
        if action.handler == SIG_DFL or number == SIGKILL:
            raise Ended(number, "signal", fault.told)
        if action.flags & SA_RESETHAND:
            self.actions[number] = Action()
        self._push(thread, number, action, fault)

    def _push(self, thread: Thread, number: int, action: Action, fault: Fault) -> None:
        """Makes the frame and turns the thread to the handler."""
        engine, memory = self._process.engine, self._process.memory
        x, base = engine.x, thread.altstack
        on_altstack = base[0] <= x[SP] < base[0] + base[1]
        top = x[SP] - REDZONE
        if action.flags & SA_ONSTACK and base[1] and not on_altstack:
            top = base[0] + base[1]
        mcontext = (top - MCONTEXT_SIZE) & ~15
        ucontext = (mcontext - UCONTEXT.size) & ~15
        siginfo = (ucontext - SIGINFO.size) & ~15
        vectors, fpsr, fpcr, nzcv = engine.float_state()
        memory.write(
            mcontext,
            EXCEPTION.pack(fault.address, fault.esr, 0)
            + REGISTERS.pack(*x[0:33], nzcv)
            + NEON.pack(*vectors, fpsr, fpcr),
        )
        onstack = 1 if on_altstack else 0 if base[1] else 4
        memory.pack(UCONTEXT, ucontext, on_altstack, thread.mask >> 1, *base, onstack, 0, MCONTEXT_SIZE, mcontext)
        sender = self._senders.get(number, 0) if fault.code == SI_USER else 0
        memory.pack(SIGINFO, siginfo, number, 0, fault.code, sender, 501, 0, fault.address, 0, 0)
        engine.noise()
        x[0], x[1], x[2] = number, siginfo, ucontext
        x[SP], x[PC], x[LR] = siginfo, action.handler, SIGNAL_RETURN
        call, thread.call = thread.call, None
        thread.frames.append(
            Frame(number=number, call=call, restarts=bool(action.flags & SA_RESTART), ucontext=ucontext,
                  callee_saved=engine.callee_saved())
        )  # fmt: skip
        thread.mask |= action.mask | (0 if action.flags & SA_NODEFER else 1 << number)

    def sigreturn(self, thread: Thread) -> None:
        """The handler has returned: takes the registers from the frame, as the handler left them there."""
        engine, memory = self._process.engine, self._process.memory
        if not thread.frames:
            raise Ended(SIGKILL, "signal", "sigreturn without a signal")
        frame = thread.frames.pop()
        if engine.callee_saved() != frame.callee_saved:
            raise Breach(f"the handler of signal {frame.number} changed registers that it must leave as they were")
        _, mask, *_, mcontext = memory.unpack(UCONTEXT, frame.ucontext)
        *registers, nzcv = memory.unpack(REGISTERS, mcontext + EXCEPTION.size)
        *vectors, fpsr, fpcr = memory.unpack(NEON, mcontext + EXCEPTION.size + REGISTERS.size)
        engine.x[0:33] = [*registers]
        engine.set_float_state(vectors, fpsr, fpcr, nzcv)
        self.set_mask(thread, mask << 1)
        thread.call = frame.call
        thread.interrupted = Woken.TO_RESTART if frame.restarts else Woken.BY_SIGNAL
