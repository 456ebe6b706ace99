"""The process that the engine runs in, started by `run` alone: ``python -m gobuild.emulate.child PLAN REPORT PARENT``.

Two words are descriptors: it reads the plan as JSON from one, and writes each verdict as a line of JSON to the other.
The third is the process that waits for it, whose end ends it and all that it has forked.
The program has this process's standard files, and its exit code.
"""

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from gobuild.emulate import libsystem as _functions  # noqa: F401 - each module registers its functions
from gobuild.emulate.darwin.errno import DarwinError
from gobuild.emulate.kernel import loop
from gobuild.emulate.kernel.descriptors import Descriptors, OpenFile
from gobuild.emulate.kernel.network import Network
from gobuild.emulate.kernel.process import Process, Program
from gobuild.emulate.kernel.processes import ProcessTable
from gobuild.emulate.kernel.threads import Ended
from gobuild.emulate.kernel.world import Mount, World
from gobuild.emulate.plan import BEGUN, Plan, Verdict
from gobuild.emulate.symbols import Symbols
from gobuild.emulate.trace import Tracer

PR_SET_PDEATHSIG = 1
"""prctl(2): a signal to get when the parent dies; what is forked does not inherit it (Linux)."""


def die_with(parent: int) -> None:
    """Ends the whole group once the parent is gone, however it went: nobody would watch over it."""
    signal.signal(signal.SIGHUP, lambda _number, _frame: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:
        os.killpg(0, signal.SIGKILL)


def main(words: list[str]) -> int:
    """Runs the program; returns the exit code, 128 + n for signal n."""
    gc.disable()  # nothing here makes cycles that matter, and fork would copy what a collection touches
    plan_descriptor, report, parent = map(int, words)
    die_with(parent)
    with os.fdopen(plan_descriptor) as file:
        plan = Plan.from_json(json.load(file))
    os.set_inheritable(report, False)
    os.write(report, BEGUN)
    process, ended, stack = run(plan)
    if ended.kind:  # also in a process that the guest has forked
        verdict = Verdict(pid=process.pid, kind=ended.kind, detail=ended.detail, stack=stack)
        line = json.dumps(asdict(verdict)).encode() + b"\n"
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(report, line)
    return ended.code


def run(plan: Plan) -> tuple[Process, Ended, tuple[str, ...]]:
    """Runs the program in this process; also returns how it ended, and which Go functions it stood in then."""
    folder = os.O_PATH | os.O_DIRECTORY
    world = World(
        Mount(at=each.at, descriptor=os.open(each.host, folder), writable=each.writable) for each in plan.mounts
    )
    files = Descriptors(limit=min(256, plan.limits.files))
    for number in range(3):
        files.put(number, OpenFile(kind="standard", host=os.dup(number), flags=0 if number == 0 else 1))
    process = Process(plan, world, files, ProcessTable(plan.limits.processes))
    process.network = Network(os.open(plan.sockets, folder))
    with Path(plan.trace).open("a", buffering=1) if plan.trace else contextlib.nullcontext() as file:
        tracer = Tracer(process, file.write) if file else None
        process.observers += [tracer] if tracer else []
        try:
            process.start(first_program(process, plan))
            ended = loop.run(process)
            stack = Symbols(process).told() if ended.kind else ()
        except Ended as refused:
            ended, stack = refused, ()
        if tracer:
            tracer.ended(ended, stack)
        return process, ended, stack


def first_program(process: Process, plan: Plan) -> Program:
    """The plan's program, which nothing has executed."""
    try:
        with process.world.resolve(plan.program.encode(), "/") as place:
            descriptor = place.open(os.O_RDONLY)
    except (DarwinError, OSError) as error:
        raise Ended(127 << 8, "refused", f"{plan.program}: {error}") from error
    argv = tuple(os.fsencode(each) for each in plan.argv)
    envp = tuple(os.fsencode(f"{name}={value}") for name, value in plan.env.items())
    return Program(path=plan.program, descriptor=descriptor, argv=argv, envp=envp)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
