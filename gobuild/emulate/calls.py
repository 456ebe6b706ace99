"""Calls of imported functions: from registers to arguments and back by Apple's convention, and how they block."""

from types import GeneratorType
from typing import TYPE_CHECKING, Any

from gobuild.emulate.abi import Function, Parameter, as_integer, is_extended
from gobuild.emulate.darwin.errno import EIO, FROM_HOST, DarwinError
from gobuild.emulate.kernel.threads import Breach, Ended, PendingCall, Thread, Wait, Woken
from gobuild.emulate.machine.engine import LR, PC, SP
from gobuild.emulate.trace import Call

if TYPE_CHECKING:
    from gobuild.emulate.kernel.process import Process

STUBS = 0x180000000
"""Where the imported functions stand, as the shared cache does on macOS: eight bytes each."""

RETURNS = ("(thread return)", "(signal return)")
"""What the first two stubs are: where a thread's start routine and a signal's handler return to."""

THREAD_RETURN, SIGNAL_RETURN = STUBS, STUBS + 8

BRK = 0xD4200000_D4200000.to_bytes(8, "little")
"""What stands in a stub. Nothing runs it, the engine stops in front of it."""

SIGABRT = 6


def answer(process: "Process", thread: Thread) -> bool:
    """Answers the call that the engine stands at; False where the thread cannot go on just now."""
    function = process.stubs[(process.engine.x[PC] - STUBS) // 8]
    if function == RETURNS[0]:
        process.end_thread(thread)
        return False
    if function == RETURNS[1]:
        process.signals.sigreturn(thread)
        go_on(process, thread)
        return not thread.wait
    if isinstance(function, str):
        raise Ended(SIGABRT, "unknown-import", f"{function} is called, which this libSystem does not have")
    call = thread.call = PendingCall(function=function)
    advance(process, thread, call, Woken.BY_KEY)
    if call.done:
        finish(process, thread, call)
    return call.done


def go_on(process: "Process", thread: Thread) -> None:
    """Goes on with a call that a signal had interrupted, whose handler has returned."""
    call = thread.call
    if call:
        if not call.done:
            advance(process, thread, call, thread.interrupted)
        if call.done:
            finish(process, thread, call)


def advance(process: "Process", thread: Thread, call: PendingCall, how: Woken) -> None:
    """Calls a function, or goes on with one that was blocked, which is told how its wait ended."""
    try:
        if call.generator is None:
            call.arguments = _arguments(process, call.function)
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
        _block(process, thread, wait)
        return
    call.done = True


def _block(process: "Process", thread: Thread, wait: Wait) -> None:
    if thread in process.scheduler.ready:
        process.scheduler.ready.remove(thread)
    process.scheduler.block(thread, wait)
    if thread.pending & ~thread.mask:
        process.scheduler.interrupt(thread)


def _arguments(process: "Process", function: Function) -> tuple[Any, ...]:
    x = process.engine.x
    values: list[Any] = []
    integers = doubles = 0
    stack = x[SP]
    for parameter in function.parameters:
        if parameter.kind == "double":
            values.append(process.engine.d(doubles))
            doubles += 1
        elif parameter.variadic:
            values.append(_value(process, function, parameter, process.memory.u64(stack)))
            stack += 8
        else:
            values.append(_value(process, function, parameter, x[integers]))
            integers += 1
    return tuple(values)


def _value(process: "Process", function: Function, parameter: Parameter, register: int) -> Any:
    if parameter.kind == "string":
        return process.memory.c_string(register) if register else None
    if parameter.kind != "integer":
        return register
    if not is_extended(register, parameter):
        raise Breach(f"{parameter.name} of {function.name} is not extended to 32 bits: {register:#x}")
    return as_integer(register, parameter)


def check(process: "Process") -> None:
    """Raises Breach for what holds at every call."""
    x = process.engine.x
    if x[SP] % 16:
        raise Breach(f"sp is {x[SP]:#x}, which is no multiple of 16")
    if x[18] != process.x18:
        raise Breach("x18, which is the system's, was changed")


def finish(process: "Process", thread: Thread, call: PendingCall) -> None:
    """Returns to the caller, with noise in all that a call may change."""
    engine, function = process.engine, call.function
    result = call.result
    if call.errno:
        if function.fails != "number":
            process.memory.put_u32(thread.errno_address, call.errno)
        result = {"errno": -1, "null": 0, "number": call.errno}[function.fails]
    engine.noise()
    word = engine.random_word()
    if function.result.kind != "void":
        word = word & ~0xFFFFFFFF | int(result) & 0xFFFFFFFF if function.noisy else int(result)
    engine.x[0] = word & (1 << 64) - 1
    engine.x[PC] = engine.x[LR]
    thread.call = None
    process.calls += 1
    for observer in process.observers:
        told = Call(
            number=process.calls,
            pid=process.pid,
            thread=thread.number,
            function=function,
            arguments=call.arguments,
            result=result,
            errno=call.errno,
            caller=engine.x[LR],
            at=process.scheduler.now,
        )
        observer.call(told)
