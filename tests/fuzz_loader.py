"""Changed programs through the emulator's loader: whatever a file holds, it starts or is refused.

A program, not a test: `python tests/fuzz_loader.py [10000 [SEED]]`. Each block of mutants has a process of its own, so
that a crash is seen and told by its seed; no mutant may take longer than `SECONDS` of the processor.
tests/emulate/test_loader.py runs a few.
"""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterable

import small
from mutants import scrambled
from verify_fixtures import resigned

from gobuild.emulate import libsystem as _functions  # noqa: F401 - each module registers its functions
from gobuild.emulate.kernel.descriptors import Descriptors
from gobuild.emulate.kernel.process import Process, Program
from gobuild.emulate.kernel.processes import ProcessTable
from gobuild.emulate.kernel.threads import Ended
from gobuild.emulate.kernel.world import Mount, World
from gobuild.emulate.plan import Limits, MountPlan, Plan

SECONDS, BLOCK = 10, 500
INSTRUCTIONS = 2000


def mutant(seed: int) -> bytes:
    """A changed program; half of them are signed anew, so that they get beyond the signature."""
    chosen = random.Random(seed)
    data = scrambled([small.macho()], chosen)
    if chosen.random() < 0.5:
        try:
            return resigned(data)
        except Exception:  # too broken to be signed
            return data
    return data


def attempt(data: bytes, *, slide: int) -> str:
    """Loads a program, and runs the first instructions of one that starts; says what came of it."""
    mounts = (MountPlan(at="/", host="/proc/self/fdinfo"),)
    plan = Plan(program="/x", argv=("/x",), mounts=mounts, slide=slide, limits=Limits(memory=1 << 30))
    root = os.open("/proc/self/fdinfo", os.O_PATH)
    file = os.memfd_create("mutant")
    os.write(file, data)
    process = Process(
        plan, World([Mount(at="/", descriptor=root, writable=False)]), Descriptors(limit=8), ProcessTable(4)
    )
    try:
        process.start(Program(path="/x", descriptor=file, argv=(b"/x",), envp=()))
        process.switch(process.scheduler.ready[0])
        process.hand_over()
        return f"runs until {process.engine.run(INSTRUCTIONS).why.name}"
    except Ended as ended:
        return f"{ended.kind}: {ended.detail}"
    finally:
        process.memory.close()
        os.close(root)


def run_block(seeds: Iterable[int]) -> tuple[Counter[str], str]:
    """Runs a block of mutants in a process of its own; what came of them, and of which one it died, if it did."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            for seed in seeds:
                os.write(writer, f"{seed} ".encode())
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                signal.alarm(30 * SECONDS)  # it waits, for what never comes
                end, *_ = attempt(mutant(seed), slide=seed % 2 * 0x4000).split(":")
                os.write(writer, f"{end}\n".encode())
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        lines = file.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    died = f"mutant {lines[-1] if lines else '?'}, exit code {code}" if code else ""
    return Counter(line.partition(" ")[2] for line in lines if not (died and line is lines[-1])), died


def main(count: int, first: int) -> None:
    """Runs that many, and fails where a process died."""
    total: Counter[str] = Counter()
    deaths = []
    for start in range(first, first + count, BLOCK):
        ends, died = run_block(range(start, min(start + BLOCK, first + count)))
        total += ends
        deaths += [died] if died else []
    print(f"{sum(total.values())} of {count}: {dict(total)}")
    sys.exit("\n".join(deaths) or None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
