"""<signal.h>: masks, actions and stacks; how a signal is delivered stands in emulate/signals."""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EINVAL, ENOMEM, DarwinError
from gobuild.emulate.threads import Thread

SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 1, 2, 3
SIGKILL, SIGSTOP, NSIG = 9, 17, 32
SS_ONSTACK, SS_DISABLE, MINSIGSTKSZ = 1, 4, 32768


@libsystem("int pthread_sigmask(int how, sigset_t *set, sigset_t *oset)", fails="number", noisy=False)
def pthread_sigmask(t: Thread, how: int, new: int, old: int) -> int:
    before = t.mask
    if new:
        bits = t.memory.u32(new) << 1
        if how == SIG_BLOCK:
            t.mask |= bits
        elif how == SIG_UNBLOCK:
            t.mask &= ~bits
        elif how == SIG_SETMASK:
            t.mask = bits
        else:
            return EINVAL
        t.mask &= ~(1 << SIGKILL | 1 << SIGSTOP)
    if old:
        t.memory.put_u32(old, before >> 1)
    return 0


@libsystem("int sigaction(int sig, struct sigaction *act, struct sigaction *oact)", noisy=False)
def sigaction(t: Thread, sig: int, new: int, old: int) -> int:
    if not 0 < sig < NSIG or (new and sig in (SIGKILL, SIGSTOP)):
        raise DarwinError(EINVAL)
    handler, mask, flags = t.process.actions.get(sig, (0, 0, 0))
    if new:
        t.process.actions[sig] = (t.memory.u64(new), t.memory.u32(new + 8), t.memory.u32(new + 12))
    if old:
        t.memory.put_u64(old, handler)
        t.memory.put_u32(old + 8, mask)
        t.memory.put_u32(old + 12, flags)
    return 0


@libsystem("int sigaltstack(stack_t *ss, stack_t *oss)", noisy=False)
def sigaltstack(t: Thread, new: int, old: int) -> int:
    address, size = t.altstack
    if old:
        t.memory.put_u64(old, address)
        t.memory.put_u64(old + 8, size)
        t.memory.put_u32(old + 16, 0 if size else SS_DISABLE)
    if new:
        address, size, flags = t.memory.u64(new), t.memory.u64(new + 8), t.memory.u32(new + 16)
        if flags & SS_DISABLE:
            address = size = 0
        elif size < MINSIGSTKSZ:
            raise DarwinError(ENOMEM)
        t.altstack = (address, size)
    return 0
