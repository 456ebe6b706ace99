"""How many instructions may still run: a routine of a few machine instructions counts at each block of the guest's.

So a slice ends after the same instruction in every run, at full speed. The engine's own `count` hooks each instruction
and is ten times slower; a stop from another thread comes anywhere, and leaves pc where it was some blocks before.
"""

import ctypes
import mmap
import platform
from typing import Any

from unicorn import UC_HOOK_BLOCK
from unicorn.unicorn_py3.unicorn import uclib

ROUTINES = {
    "x86_64": bytes.fromhex(
        "c1ea02"  # shr edx, 2
        "488b01"  # mov rax, [rcx]
        "4829d0"  # sub rax, rdx
        "7804"  # js over
        "488901"  # mov [rcx], rax
        "c3"  # ret
        "ff6108"  # over: jmp [rcx + 8]
    ),
    "aarch64": bytes.fromhex(
        "427c0253"  # lsr w2, w2, #2
        "640040f9"  # ldr x4, [x3]
        "840002eb"  # subs x4, x4, x2
        "64000054"  # b.mi over
        "640000f9"  # str x4, [x3]
        "c0035fd6"  # ret
        "640440f9"  # over: ldr x4, [x3, #8]
        "80001fd6"  # br x4
    ),
}
"""The callback (uc, address, size, words) of a block, by the host's C convention: takes its instructions from
`words.left`, or, where there are too few, leaves them and ends in words.stop(uc). In a block's hook, pc is up to date
and the engine looks at once whether it shall stop (qemu/accel/tcg/translator.c, check_exit_request)."""

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Words(ctypes.Structure):
    _fields_ = (("left", ctypes.c_int64), ("stop", ctypes.c_void_p))


class Budget:
    """What an engine may still run. It must have been made before the engine runs anything."""

    def __init__(self, handle: Any) -> None:
        self._words = _Words(0, ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p))
        self._given = self._used = 0
        self._routine = _native_routine() or _CALLBACK(self._entered)
        address, hook = ctypes.cast(self._routine, ctypes.c_void_p), ctypes.c_size_t()
        words = ctypes.byref(self._words)
        status = uclib.uc_hook_add(handle, ctypes.byref(hook), UC_HOOK_BLOCK, address, words, 1, 0)
        if status:
            raise RuntimeError(f"the engine refuses a hook: {status}")

    def _entered(self, handle: int, _address: int, size: int, _words: object) -> None:
        if self._words.left < size // 4:
            uclib.uc_emu_stop(handle)
        else:
            self._words.left -= size // 4

    def grant(self, count: int) -> None:
        """So many from now on, whatever was left."""
        self._used = self.used
        self._given = self._words.left = count

    @property
    def used(self) -> int:
        """Instructions that have run; a block that a fault has cut counts as a whole."""
        left: int = self._words.left
        return self._used + self._given - left


def _native_routine() -> Any:
    """The host's routine, in a page of its own that is never writable and executable at once; None for no such."""
    code = ROUTINES.get(platform.machine())
    if code is None:
        return None
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    page.write(code)
    routine = (ctypes.c_char * mmap.PAGESIZE).from_buffer(page)
    refused = _libc.mprotect(ctypes.addressof(routine), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
    return None if refused else routine
