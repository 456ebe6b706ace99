"""The process that the engine runs in, started by `run` alone: ``python -m gobuild.emulate.child PLAN REPORT``.

Both words are descriptors: it reads the plan as JSON from one, and writes each verdict as a line of JSON to the other.
The program has this process's standard files, and its exit code.
"""

import contextlib
import gc
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from gobuild.binary.view import Malformed, opened
from gobuild.emulate import libsystem as _functions  # noqa: F401 - each module registers its functions
from gobuild.emulate.darwin.errno import DarwinError
from gobuild.emulate.descriptors import Descriptors, OpenFile
from gobuild.emulate.machine.macos import Refused
from gobuild.emulate.plan import Plan, Verdict
from gobuild.emulate.process import Process
from gobuild.emulate.symbols import Symbols
from gobuild.emulate.threads import Ended
from gobuild.emulate.trace import Tracer
from gobuild.emulate.world import Mount, World

FIRST_PID = 100
INIT = 1


def main(words: list[str]) -> int:
    """Runs the program; returns the exit code, 128 + n for signal n."""
    gc.disable()  # nothing here makes cycles that matter, and fork would copy what a collection touches
    plan_descriptor, report = map(int, words)
    with os.fdopen(plan_descriptor) as file:
        plan = Plan.from_json(json.load(file))
    os.set_inheritable(report, False)
    ended, stack = run(plan)
    if ended.kind:
        verdict = Verdict(pid=FIRST_PID, kind=ended.kind, detail=ended.detail, stack=stack)
        line = json.dumps(asdict(verdict)).encode() + b"\n"
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(report, line)
    return ended.code


def run(plan: Plan) -> tuple[Ended, tuple[str, ...]]:
    """Runs the program in this process; returns how it ended, and the Go functions that it stood in then."""
    folder = os.O_PATH | os.O_DIRECTORY
    world = World(
        Mount(at=each.at, descriptor=os.open(each.host, folder), writable=each.writable) for each in plan.mounts
    )
    files = Descriptors(limit=min(256, plan.limits.files))
    for number in range(3):
        files.put(number, OpenFile(kind="standard", host=os.dup(number), flags=0 if number == 0 else 1))
    process = Process(plan, world, files, pid=FIRST_PID, parent=INIT)
    with Path(plan.trace).open("w", buffering=1) if plan.trace else contextlib.nullcontext() as file:
        tracer = Tracer(process, file.write) if file else None
        try:
            start(process, plan)
            if tracer:
                tracer.loaded()
                process.observers.append(tracer)
            ended = process.run()
            stack = tuple(Symbols(process).stack()) if ended.kind else ()
        except Ended as refused:
            ended, stack = refused, ()
        if tracer:
            tracer.ended(ended, stack)
        return ended, stack


def start(process: Process, plan: Plan) -> None:
    """Loads the plan's program; raises Ended where it cannot start."""
    envp = {name.encode(): value.encode() for name, value in plan.env.items()}
    try:
        with process.world.resolve(plan.program.encode(), "/") as place:
            descriptor = place.open(os.O_RDONLY)
        with opened(Path(f"/proc/self/fd/{descriptor}")) as view:
            process.load(view, descriptor, path=plan.program, argv=[each.encode() for each in plan.argv], envp=envp)
        os.close(descriptor)
    except (Refused, Malformed) as error:
        raise Ended(9, "refused", str(error)) from error
    except (DarwinError, OSError) as error:
        raise Ended(127 << 8, "refused", f"{plan.program}: {error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
