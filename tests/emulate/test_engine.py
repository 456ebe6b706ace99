"""The engine keeps a thread's registers, and ends a slice at the same instruction in every run."""

import os
import platform
import struct

import pytest
from unicorn import UC_ARCH_ARM64, UC_ARCH_X86, UC_MODE_64, UC_MODE_ARM, Uc, arm64_const, x86_const

from gobuild.emulate.machine.budget import ROUTINES
from gobuild.emulate.machine.engine import PC, Engine, Why
from gobuild.emulate.machine.memory import EXECUTE, READ, WRITE, Memory


def test_what_a_call_returned_is_saved() -> None:
    """A thread that is switched away right behind a call would otherwise make that call again."""
    engine = Engine(seed=1)
    engine.x[PC], engine.x[0] = 0x1000, 7
    engine.store()
    engine.x[PC], engine.x[0] = 0x2000, 8  # the call has returned
    context = engine.save()
    engine.x[PC], engine.x[0] = 0x3000, 9  # another thread's
    engine.store()
    engine.restore(context)
    assert (engine.x[PC], engine.x[0]) == (0x2000, 8)


CODE = 0x100000000
LOOP = (
    0x91000400,  # add x0, x0, #1
    0x36000060,  # tbz w0, #0, even
    0x91000421,  # add x1, x1, #1
    0x17FFFFFD,  # b to the begin
    0x91000442,  # even: add x2, x2, #1
    0x91000442,  # add x2, x2, #1
    0x17FFFFFA,  # b to the begin
)
"""Odd rounds run four instructions in two blocks, even ones five."""


@pytest.fixture(params=["", "a machine without a routine"])
def looping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that is about to run `LOOP`, with the host's own routine and with Python's."""
    machine = request.param or platform.machine()
    monkeypatch.setattr("platform.machine", lambda: machine)
    engine = Engine(seed=1)
    memory = Memory(engine, 1 << 20)
    memory.map(CODE, 0x4000, READ | WRITE, fixed=True)
    memory.write(CODE, struct.pack("<7I", *LOOP))
    memory.protect(CODE, 0x4000, READ | EXECUTE)
    engine.x[:] = [0] * len(engine.x)
    engine.x[PC] = CODE
    engine.store()
    return engine


def ran(engine: Engine) -> int:
    """Instructions by what the loop itself has counted, where it stands at one of its blocks."""
    x0, x1, x2, pc = engine.x[0], engine.x[1], engine.x[2], engine.x[PC]
    assert pc in (CODE, CODE + 8, CODE + 16)
    return 2 * x0 + 2 * x1 + 3 * x2 // 2


def test_a_slice_ends_behind_the_block_that_still_fits(looping: Engine) -> None:
    """No instruction is lost, run twice or counted twice, wherever a slice ends."""
    for count in [*range(3, 40), 100_001, 7, 9_998]:
        before = looping.instructions
        assert looping.run(count).why is Why.SLICE
        assert count - 3 < looping.instructions - before <= count
        assert looping.instructions == ran(looping)


def test_a_fork_counts_on(looping: Engine) -> None:
    looping.run(1000)
    child = os.fork()
    looping.run(1001)
    good = looping.instructions == ran(looping) > 1990
    if not child:
        os._exit(0 if good else 1)
    assert (os.waitpid(child, 0)[1], good) == (0, True)


WORDS, STOP, BACK = 0x5000, 0x6000, 0x7000


@pytest.mark.parametrize("machine", ROUTINES)
@pytest.mark.parametrize(("left", "kept", "end"), [(10, 3, BACK), (7, 0, BACK), (6, 6, STOP), (0, 0, STOP)])
def test_a_routine_by_its_convention(machine: str, left: int, kept: int, end: int) -> None:
    """Both run here on an engine, since a host has one of them: a block of seven instructions."""
    arm = machine == "aarch64"
    uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM) if arm else Uc(UC_ARCH_X86, UC_MODE_64)
    uc.mem_map(0x1000, 0x8000)
    uc.mem_write(0x1000, ROUTINES[machine])
    uc.mem_write(WORDS, struct.pack("<qQ", left, STOP))
    uc.mem_write(0x2800, struct.pack("<Q", BACK))
    registers = (
        [arm64_const.UC_ARM64_REG_X0 + index for index in range(4)]
        if arm
        else [x86_const.UC_X86_REG_RDI, x86_const.UC_X86_REG_RSI, x86_const.UC_X86_REG_RDX, x86_const.UC_X86_REG_RCX]
    )
    for register, value in zip(registers, (0xABC, CODE, 0xFFFFFFFF_0000001C, WORDS), strict=True):
        uc.reg_write(register, value)
    uc.reg_write(arm64_const.UC_ARM64_REG_X30 if arm else x86_const.UC_X86_REG_RSP, BACK if arm else 0x2800)
    uc.ctl_exits_enabled(True)
    uc.ctl_set_exits([STOP, BACK])
    uc.emu_start(0x1000, 0)
    assert uc.reg_read(arm64_const.UC_ARM64_REG_PC if arm else x86_const.UC_X86_REG_RIP) == end
    assert struct.unpack("<q", uc.mem_read(WORDS, 8)) == (kept,)
    assert uc.reg_read(registers[0]) == 0xABC
