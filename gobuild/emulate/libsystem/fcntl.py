"""<fcntl.h>, <sys/file.h>, <sys/ioctl.h>: what is asked of an open file by a number, and locks."""

import fcntl as host_fcntl
import struct
import time
from collections.abc import Callable
from functools import partial

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import fcntl as f
from gobuild.emulate.darwin.errno import EAGAIN, EBADF, EINTR, EINVAL, ENOTSUP, ENOTTY, DarwinError
from gobuild.emulate.kernel.descriptors import OpenFile
from gobuild.emulate.kernel.threads import Blocking, Thread, Wait, Woken

FLOCK = struct.Struct("<qqihh")
"""struct flock: l_start, l_len, l_pid, l_type, l_whence."""

LOCK_NB = 4
RETRY = 1_000_000
"""Nanoseconds until the host is asked again for what somebody else must first do."""


@libsystem("int flock(int fd, int operation)", noisy=True)
def flock(t: Thread, fd: int, operation: int) -> Blocking:
    host = t.process.files.find(fd).host
    yield from lock(t, lambda: host_fcntl.flock(host, operation | LOCK_NB), wait=not operation & LOCK_NB)
    return 0


def lock(t: Thread, attempt: Callable[[], None], *, wait: bool) -> Blocking:
    """Tries to get a lock until nobody else has it, and lets the other threads run meanwhile."""
    while True:
        try:
            attempt()
            return
        except (BlockingIOError, PermissionError):
            if not wait:
                raise DarwinError(EAGAIN) from None
        yield from pause(t)


def pause(t: Thread) -> Blocking:
    """Lets the other threads run, and other processes where there are some."""
    how = yield Wait(deadline=t.process.scheduler.now + RETRY)
    if how is Woken.BY_SIGNAL:
        raise DarwinError(EINTR)
    if t.process.scheduler.shared:
        time.sleep(RETRY / 1e9)


@libsystem("int ioctl(int fd, unsigned long request, ...uintptr_t argument)")
def ioctl(t: Thread, fd: int, request: int, argument: int) -> int:
    t.process.files.find(fd)
    raise DarwinError(ENOTTY)


@libsystem("int fcntl(int fd, int cmd, ...uintptr_t argument)")
def fcntl(t: Thread, fd: int, cmd: int, argument: int) -> Blocking | int:
    file = t.process.files.find(fd)
    if cmd not in FCNTL:
        raise DarwinError(ENOTSUP if cmd == f.F_PREALLOCATE else EINVAL)
    return FCNTL[cmd](t, fd, file, argument)


def _dupfd(t: Thread, _fd: int, file: OpenFile, argument: int, *, close_on_exec: bool = False) -> int:
    lowest = argument & 0xFFFFFFFF
    if lowest >= t.process.files.limit:
        raise DarwinError(EINVAL)
    return t.process.files.add(file, close_on_exec=close_on_exec, lowest=lowest)


def _setfd(t: Thread, fd: int, _file: OpenFile, argument: int) -> int:
    change = t.process.files.close_on_exec
    (change.add if argument & f.FD_CLOEXEC else change.discard)(fd)
    return 0


def _setfl(_t: Thread, _fd: int, file: OpenFile, argument: int) -> int:
    changeable = f.O_NONBLOCK | f.O_APPEND | f.O_ASYNC
    file.flags = file.flags & ~changeable | argument & changeable
    return 0


def _getpath(t: Thread, _fd: int, file: OpenFile, argument: int) -> int:
    if not file.path:
        raise DarwinError(EBADF)
    t.memory.write(argument, file.path.encode() + b"\0")
    return 0


def _setlk(t: Thread, _fd: int, file: OpenFile, argument: int, *, wait: bool = False) -> Blocking:
    """Darwin's types are 1 shared, 2 unlock, 3 exclusive."""
    start, length, _, kind, whence = t.memory.unpack(FLOCK, argument)
    operation = {1: host_fcntl.LOCK_SH, 2: host_fcntl.LOCK_UN, 3: host_fcntl.LOCK_EX}.get(kind)
    if operation is None:
        raise DarwinError(EINVAL)
    asked = operation | (0 if operation == host_fcntl.LOCK_UN else host_fcntl.LOCK_NB)
    yield from lock(t, lambda: host_fcntl.lockf(file.host, asked, length, start, whence), wait=wait)
    return 0


def _advice(_t: Thread, _fd: int, _file: OpenFile, _argument: int) -> int:
    return 0


FCNTL: dict[int, Callable[[Thread, int, OpenFile, int], Blocking | int]] = {
    f.F_DUPFD: _dupfd,
    f.F_DUPFD_CLOEXEC: partial(_dupfd, close_on_exec=True),
    f.F_GETFD: lambda t, fd, _file, _argument: int(fd in t.process.files.close_on_exec),
    f.F_SETFD: _setfd,
    f.F_GETFL: lambda _t, _fd, file, _argument: file.flags,
    f.F_SETFL: _setfl,
    f.F_SETLK: _setlk,
    f.F_SETLKW: partial(_setlk, wait=True),
    f.F_GETPATH: _getpath,
    f.F_FULLFSYNC: _advice,
    f.F_BARRIERFSYNC: _advice,
    f.F_NOCACHE: _advice,
    f.F_RDAHEAD: _advice,
    f.F_RDADVISE: _advice,
}
"""What each command does."""
