"""<signal.h>: masks, actions, stacks and sending; how a signal is delivered stands in emulate/signals."""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EINVAL, ENOMEM, ESRCH, DarwinError
from gobuild.emulate.kernel.processes import RUNNING, Entry
from gobuild.emulate.kernel.signals import NSIG, SIGKILL, Action
from gobuild.emulate.kernel.threads import Ended, Thread

SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 1, 2, 3
SIGSTOP = 17
SS_ONSTACK, SS_DISABLE, MINSIGSTKSZ = 1, 4, 32768


@libsystem("int pthread_sigmask(int how, sigset_t *set, sigset_t *oset)", fails="number")
def pthread_sigmask(t: Thread, how: int, new: int, old: int) -> int:
    before = t.mask
    bits = t.memory.u32(new) << 1 if new else 0
    if old:
        t.memory.put_u32(old, before >> 1)
    if new:
        masks = {SIG_BLOCK: before | bits, SIG_UNBLOCK: before & ~bits, SIG_SETMASK: bits}
        if how not in masks:
            return EINVAL
        t.process.signals.set_mask(t, masks[how])
    return 0


@libsystem("int sigaction(int sig, struct sigaction *act, struct sigaction *oact)")
def sigaction(t: Thread, sig: int, new: int, old: int) -> int:
    if not 0 < sig < NSIG or (new and sig in (SIGKILL, SIGSTOP)):
        raise DarwinError(EINVAL)
    before = t.process.signals.action(sig)
    if new:
        action = Action(t.memory.u64(new), t.memory.u32(new + 8) << 1, t.memory.u32(new + 12))
        t.process.signals.actions[sig] = action
    if old:
        t.memory.put_u64(old, before.handler)
        t.memory.put_u32(old + 8, before.mask >> 1)
        t.memory.put_u32(old + 12, before.flags)
    return 0


@libsystem("int sigaltstack(stack_t *ss, stack_t *oss)")
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


@libsystem("int pthread_kill(pthread_t thread, int sig)", fails="number", noisy=True)
def pthread_kill(t: Thread, thread: int, sig: int) -> int:
    target = t.process.threads.get(thread)
    return ESRCH if target is None else _send(target, sig)


def _send(target: Thread, sig: int) -> int:
    if not 0 <= sig < NSIG:
        return EINVAL
    if sig:
        target.process.signals.send(target, sig, sender=target.process.pid)
    return 0


@libsystem("int raise(int sig)", fails="number", noisy=True)
def raise_(t: Thread, sig: int) -> int:
    return _send(t, sig)


@libsystem("int kill(pid_t pid, int sig)", noisy=True)
def kill(t: Thread, pid: int, sig: int) -> int:
    if not 0 <= sig < NSIG:
        raise DarwinError(EINVAL)
    targets = _targets(t, pid)
    if not targets:
        raise DarwinError(ESRCH)
    for entry in targets if sig else ():
        if entry.pid != t.process.pid:
            t.process.table.send(entry, sig)
        elif sig == SIGKILL:
            raise Ended(SIGKILL, "signal", "it killed itself")
        else:
            t.process.signals.send_to_process(sig, sender=t.process.pid)
    return 0


def _targets(t: Thread, pid: int) -> list[Entry]:
    """By kill's first argument: one process, a group, or all; itself last."""
    group = -pid if pid < -1 else t.process.group
    found = [
        entry
        for entry in t.process.table.all()
        if entry.status == RUNNING and (pid in (entry.pid, -1) or (pid <= 0 and entry.group == group))
    ]
    return sorted(found, key=lambda entry: entry.pid == t.process.pid)
