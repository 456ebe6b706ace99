"""<unistd.h> and <sys/wait.h>: the process itself, its identity, its children and its end."""

import os
import stat
from collections.abc import Iterator

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import E2BIG, EACCES, ECHILD, EINTR, ENOEXEC, EPERM, ESRCH, DarwinError
from gobuild.emulate.darwin.structs import GID, UID, pack_rusage
from gobuild.emulate.kernel.process import Program
from gobuild.emulate.kernel.processes import RUNNING
from gobuild.emulate.kernel.signals import SIGKILL
from gobuild.emulate.kernel.threads import Blocking, Ended, Replaced, Thread, Wait, Woken
from gobuild.emulate.libsystem.paths import place

MH_MAGIC_64 = b"\xcf\xfa\xed\xfe"
ARG_MAX = 1 << 20
WNOHANG = 1


@libsystem("void _exit(int status)")
def _exit(t: Thread, status: int) -> None:
    raise Ended((status & 0xFF) << 8)


@libsystem("void exit(int status)")
def exit_(t: Thread, status: int) -> None:
    raise Ended((status & 0xFF) << 8)


@libsystem("pid_t getpid(void)", noisy=False)
def getpid(t: Thread) -> int:
    return t.process.pid


@libsystem("pid_t getppid(void)", noisy=False)
def getppid(t: Thread) -> int:
    return t.process.parent


@libsystem("uid_t getuid(void)", noisy=False)
def getuid(t: Thread) -> int:
    return UID


@libsystem("uid_t geteuid(void)", noisy=False)
def geteuid(t: Thread) -> int:
    return UID


@libsystem("gid_t getgid(void)", noisy=False)
def getgid(t: Thread) -> int:
    return GID


@libsystem("gid_t getegid(void)", noisy=False)
def getegid(t: Thread) -> int:
    return GID


@libsystem("mode_t umask(mode_t cmask)", noisy=False)
def umask(t: Thread, cmask: int) -> int:
    before, t.process.umask = t.process.umask, cmask & 0o777
    return before


@libsystem("pid_t fork(void)")
def fork(t: Thread) -> int:
    return t.process.fork(t)


@libsystem("int execve(const char *path, char **argv, char **envp)")
def execve(t: Thread, path: bytes, argv: int, envp: int) -> int:
    with place(t, path) as there:
        mode = there.stat().st_mode
        if not stat.S_ISREG(mode) or not mode & 0o111:
            raise DarwinError(EACCES)
        descriptor = there.open(os.O_RDONLY)
        name = there.path
    try:
        if os.pread(descriptor, 4, 0) != MH_MAGIC_64:
            raise DarwinError(ENOEXEC)
        words = tuple(_strings(t, argv)), tuple(_strings(t, envp))
        if sum(len(each) + 9 for vector in words for each in vector) > ARG_MAX:
            raise DarwinError(E2BIG)
    except DarwinError:
        os.close(descriptor)
        raise
    raise Replaced(Program(path=name, descriptor=descriptor, argv=words[0], envp=words[1]))


def _strings(t: Thread, vector: int) -> Iterator[bytes]:
    while vector and (address := t.memory.u64(vector)):
        yield t.memory.c_string(address, ARG_MAX)
        vector += 8


@libsystem("pid_t wait4(pid_t pid, int *status, int options, struct rusage *rusage)")
def wait4(t: Thread, pid: int, status: int, options: int, rusage: int) -> Blocking:
    children = t.process.children
    while True:
        wanted = [each for each in children if _is_wanted(t, each, pid)]
        if not wanted:
            raise DarwinError(ECHILD)
        for each in wanted:
            host, _, usage = os.wait4(children[each].host, os.WNOHANG)
            if host:
                os.close(children.pop(each).pidfd)
                told = t.process.table.remove(each)
                if status:
                    t.memory.put_u32(status, told if told != RUNNING else SIGKILL)
                if rusage:
                    t.memory.write(rusage, pack_rusage(usage))
                return each
        if options & WNOHANG:
            return 0
        how = yield Wait(reads=tuple(children[each].pidfd for each in wanted), external=True)
        if how is Woken.BY_SIGNAL:
            raise DarwinError(EINTR)


def _is_wanted(t: Thread, child: int, pid: int) -> bool:
    """By wait4's first argument: one child, any, or those of a process group."""
    return pid in (-1, child) or (pid <= 0 and getpgid(t, child) == (-pid or t.process.group))


@libsystem("int setpgid(pid_t pid, pid_t pgid)", noisy=True)
def setpgid(t: Thread, pid: int, pgid: int) -> int:
    pid = pid or t.process.pid
    if pid != t.process.pid and pid not in t.process.children:
        raise DarwinError(ESRCH)
    t.process.table.change(pid, group=pgid or pid)
    return 0


@libsystem("pid_t getpgid(pid_t pid)")
def getpgid(t: Thread, pid: int) -> int:
    entry = t.process.table.find(pid or t.process.pid)
    if entry is None:
        raise DarwinError(ESRCH)
    return entry.group


@libsystem("pid_t getpgrp(void)")
def getpgrp(t: Thread) -> int:
    return t.process.group


@libsystem("pid_t setsid(void)")
def setsid(t: Thread) -> int:
    if t.process.group == t.process.pid:
        raise DarwinError(EPERM)
    t.process.table.change(t.process.pid, group=t.process.pid)
    return t.process.pid
