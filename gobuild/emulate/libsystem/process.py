"""<unistd.h> and <sys/wait.h>: the process itself, its identity and its end."""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.structs import GID, UID
from gobuild.emulate.threads import Ended, Thread


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
