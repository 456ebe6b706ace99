"""Unicorn, and nothing else of it: registers, pages, running until a call, a fault or the end of a slice.

A call needs no hook: every stub is one of the engine's exits, where it stops by itself, before the instruction.
"""

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from unicorn import (
    UC_ARCH_ARM64,
    UC_HOOK_CODE,
    UC_HOOK_MEM_INVALID,
    UC_MEM_FETCH,
    UC_MEM_FETCH_PROT,
    UC_MEM_FETCH_UNMAPPED,
    UC_MEM_READ_PROT,
    UC_MEM_WRITE,
    UC_MEM_WRITE_PROT,
    UC_MEM_WRITE_UNMAPPED,
    UC_MODE_ARM,
    Uc,
    UcError,
)
from unicorn import arm64_const as reg
from unicorn.unicorn_py3.unicorn import UcContext, uclib

from gobuild.emulate.machine.budget import Budget

LR, SP, PC = 30, 31, 32
"""Their places in `Engine.x`, x0 to x30 being the first."""

_WHOLE = [*range(reg.UC_ARM64_REG_X0, reg.UC_ARM64_REG_X28 + 1), reg.UC_ARM64_REG_X29, reg.UC_ARM64_REG_X30,
          reg.UC_ARM64_REG_SP, reg.UC_ARM64_REG_PC]  # fmt: skip
_NOISY = [
    *range(reg.UC_ARM64_REG_Q0, reg.UC_ARM64_REG_Q0 + 8),
    *range(reg.UC_ARM64_REG_Q0 + 16, reg.UC_ARM64_REG_Q0 + 32),
]
"""v0-v7 and v16-v31, which a call may change."""

_WRITES = (UC_MEM_WRITE, UC_MEM_WRITE_PROT, UC_MEM_WRITE_UNMAPPED)
_FETCHES = (UC_MEM_FETCH, UC_MEM_FETCH_PROT, UC_MEM_FETCH_UNMAPPED)
_PROTECTED = (UC_MEM_READ_PROT, UC_MEM_WRITE_PROT, UC_MEM_FETCH_PROT)

FPU_FOR_ALL = 0x300000
"""CPACR_EL1.FPEN: floating point does not trap."""


class Why(Enum):
    """Why the engine stopped."""

    EXIT = "at an exit"
    SLICE = "the slice is over"
    FAULT = "memory"
    INSTRUCTION = "an instruction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where and why the engine stopped; the last three are a fault's."""

    why: Why
    pc: int
    address: int = 0
    access: str = ""  # "read", "write" or "execute"
    mapped: bool = False  # there is a page, whose protection says no


class _Registers:
    """Some registers, read or written in one call of the engine."""

    def __init__(self, handle: object, numbers: Sequence[int], words: int = 1) -> None:
        count = len(numbers)
        self.values = (ctypes.c_uint64 * (count * words))()
        self.size = ctypes.sizeof(self.values)
        base = ctypes.addressof(self.values)
        places = (ctypes.c_void_p * count)(*[base + 8 * words * index for index in range(count)])
        self._call = (handle, (ctypes.c_int * count)(*numbers), places, count)

    def load(self) -> None:
        """From the engine."""
        uclib.uc_reg_read_batch(*self._call)

    def store(self) -> None:
        """To the engine."""
        uclib.uc_reg_write_batch(*self._call)


class Engine:
    """One virtual CPU at a time.

    Attributes:
        x: x0 to x30, sp and pc, as of the last stop or `restore`; `store` makes them the engine's.
    """

    def __init__(self, seed: int) -> None:
        self._uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        self._uc.ctl_set_cpu_model(reg.UC_CPU_ARM64_MAX)
        self._uc.reg_write(reg.UC_ARM64_REG_CPACR_EL1, FPU_FOR_ALL)
        handle = self._uc._uch
        self._whole = _Registers(handle, _WHOLE)
        self._noisy = _Registers(handle, _NOISY, words=2)
        self._saved_d = _Registers(handle, range(reg.UC_ARM64_REG_D0 + 8, reg.UC_ARM64_REG_D0 + 16))
        self._vectors = _Registers(handle, range(reg.UC_ARM64_REG_Q0, reg.UC_ARM64_REG_Q0 + 32), words=2)
        self._flags = _Registers(handle, (reg.UC_ARM64_REG_FPSR, reg.UC_ARM64_REG_FPCR, reg.UC_ARM64_REG_NZCV))
        self.x = self._whole.values
        self._random = Random(seed)
        self._fault: tuple[int, int] | None = None
        self._exits: range = range(0)
        self._budget = Budget(handle)
        self._uc.hook_add(UC_HOOK_MEM_INVALID, self._invalid)

    def set_exits(self, addresses: range) -> None:
        """The addresses to stop at."""
        self._exits = addresses
        self._uc.ctl_exits_enabled(True)
        self._uc.ctl_set_exits(list(addresses))

    def _invalid(self, _uc: Uc, kind: int, address: int, _size: int, _value: int, _data: object) -> bool:
        self._fault = (kind, address)
        return False

    def run(self, count: int) -> Stop:
        """Runs from x[PC] with the engine's registers until it stops by itself, or so many instructions at most."""
        self._fault = None
        self._budget.grant(count)
        try:
            self._uc.emu_start(self.x[PC], 0)
        except UcError:
            self._whole.load()
            if self._fault is None:
                return Stop(why=Why.INSTRUCTION, pc=self.x[PC])
            kind, address = self._fault
            access = "write" if kind in _WRITES else "execute" if kind in _FETCHES else "read"
            return Stop(why=Why.FAULT, pc=self.x[PC], address=address, access=access, mapped=kind in _PROTECTED)
        self._whole.load()
        pc = self.x[PC]
        return Stop(why=Why.EXIT if pc in self._exits else Why.SLICE, pc=pc)

    def watch(self, address: int, call: Callable[[], None]) -> None:
        """Calls that before the instruction at an address is run; to be told before it has run for the first time."""

        def reached(_uc: Uc, _address: int, _size: int, _data: object) -> None:
            call()

        self._uc.hook_add(UC_HOOK_CODE, reached, begin=address, end=address)

    @property
    def instructions(self) -> int:
        """How many have run, also while it runs; a block that a fault has cut counts as a whole."""
        return self._budget.used

    def register(self, index: int) -> int:
        """Register x0 and so on, as it is while the engine runs."""
        return int(self._uc.reg_read(_WHOLE[index]))

    def store(self) -> None:
        """Makes `x` the engine's registers."""
        self._whole.store()

    def noise(self) -> None:
        """Fills what a call may change, but for x0: x1 to x17 in `x`, and v0 to v7 and v16 to v31 at once."""
        random = self._random.randbytes(self._noisy.size)
        ctypes.memmove(self._noisy.values, random, self._noisy.size)
        ctypes.memmove(ctypes.byref(self.x, 8), random, 8 * 17)
        self._noisy.store()

    def random_word(self) -> int:
        """64 random bits, the same in every run with the same seed."""
        return self._random.getrandbits(64)

    def callee_saved(self) -> tuple[int, ...]:
        """x19 to x29, sp, and d8 to d15, which a function must hand back as they were."""
        self._saved_d.load()
        return (*self.x[19:30], self.x[SP], *self._saved_d.values)

    def float_state(self) -> tuple[list[int], int, int, int]:
        """v0 to v31 as two words each, fpsr, fpcr and nzcv."""
        self._vectors.load()
        self._flags.load()
        fpsr, fpcr, nzcv = self._flags.values
        return self._vectors.values[:], fpsr, fpcr, nzcv

    def set_float_state(self, vectors: Iterable[int], fpsr: int, fpcr: int, nzcv: int) -> None:
        """The other way round."""
        self._vectors.values[:] = list(vectors)
        self._flags.values[:] = [fpsr, fpcr, nzcv]
        self._vectors.store()
        self._flags.store()

    def d(self, index: int) -> float:
        """Register d0 and so on, as a double."""
        word = ctypes.c_uint64(self._uc.reg_read(reg.UC_ARM64_REG_D0 + index))
        return ctypes.c_double.from_buffer(word).value

    def set_thread_pointer(self, address: int) -> None:
        """TPIDRRO_EL0."""
        self._uc.reg_write(reg.UC_ARM64_REG_TPIDRRO_EL0, address)

    def save(self, context: UcContext | None = None) -> UcContext:
        """All registers, to be restored."""
        if context is None:
            context = UcContext(self._uc._uch, UC_ARCH_ARM64, UC_MODE_ARM)
        self._whole.store()  # a call may have returned since the engine stopped, and would be made again
        self._uc.context_update(context)
        return context

    def restore(self, context: UcContext) -> None:
        """Takes registers back, `x` too."""
        self._uc.context_restore(context)
        self._whole.load()

    def map(self, address: int, size: int, protection: int, host: int) -> None:
        """Maps host memory."""
        self._uc.mem_map_ptr(address, size, protection, host)

    def protect(self, address: int, size: int, protection: int) -> None:
        """Changes the protection of mapped memory."""
        self._uc.mem_protect(address, size, protection)

    def unmap(self, address: int, size: int) -> None:
        """Takes mapped memory away."""
        self._uc.mem_unmap(address, size)
