"""The loop of a process: whose turn it is, running until it stops, and what it stopped for."""

import signal
import traceback
from typing import TYPE_CHECKING

from gobuild.emulate import calls
from gobuild.emulate.kernel.processes import DOORBELL
from gobuild.emulate.kernel.threads import ALONE, CALL_NS, INSTRUCTION_NS, SLICE, Ended, Replaced, Thread
from gobuild.emulate.machine.engine import Why

if TYPE_CHECKING:
    from gobuild.emulate.kernel.process import Process

SIGKILL = 9


def run(process: "Process") -> Ended:
    """Runs until the process has ended."""
    signal.signal(DOORBELL, lambda _number, _frame: process.ring())
    try:
        while True:
            thread = _next(process)
            process.switch(thread)
            if thread.call and thread.call.done:
                calls.finish(process, thread, thread.call)
            try:
                _turn(process, thread)
            except Replaced as replaced:
                process.replace(thread, replaced.program)
    except Ended as error:
        ended = error
    except Exception:
        told = traceback.format_exc(limit=-6)
        ended = Ended(SIGKILL, "engine", f"a fault of the emulator, not of the program: {told}")
    process.table.end(process.pid, ended.status)
    return ended


def _next(process: "Process") -> Thread:
    while not process.scheduler.ready:
        if process.rung:
            process.take_signals()
        elif not process.scheduler.idle():
            raise Ended(SIGKILL, "deadlock", "all threads wait for each other")
    return process.scheduler.ready[0]


def _turn(process: "Process", thread: Thread) -> None:
    """Runs a thread until it blocks or its slice is over."""
    scheduler, engine = process.scheduler, process.engine
    end = scheduler.now + SLICE * INSTRUCTION_NS
    while True:
        if process.rung:
            process.take_signals()
        timers = process.signals.timers
        if timers:
            process.signals.tick(thread)
        if thread.pending & ~thread.mask:
            process.signals.deliver(thread)
        count = ALONE if len(scheduler.ready) == 1 and not timers else SLICE
        process.hand_over()
        stop = engine.run(count)
        if stop.why is Why.SLICE:
            scheduler.now += count * INSTRUCTION_NS
            scheduler.expire()
            scheduler.ready.rotate(-1)
            return
        if stop.why is not Why.EXIT:
            process.signals.fault(thread, stop)
            continue
        calls.check(process)
        scheduler.now += CALL_NS
        if not calls.answer(process, thread):
            return
        scheduler.expire()
        if scheduler.now > end and len(scheduler.ready) > 1:
            scheduler.ready.rotate(-1)
            return
