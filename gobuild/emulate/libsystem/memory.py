"""<sys/mman.h>."""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EACCES, EINVAL, ENODEV, DarwinError
from gobuild.emulate.kernel.threads import Thread
from gobuild.emulate.machine.memory import WRITE

MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANON = 0x1, 0x2, 0x10, 0x1000
MADV_DONTNEED, MADV_FREE, MADV_FREE_REUSABLE, MADV_FREE_REUSE = 4, 5, 7, 8


@libsystem("void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)")
def mmap(t: Thread, addr: int, size: int, prot: int, flags: int, fd: int, offset: int) -> int:
    fixed = bool(flags & MAP_FIXED)
    if flags & MAP_ANON:
        return t.memory.map(addr, size, prot, fixed=fixed)
    file = t.process.files.find(fd)
    shared = bool(flags & MAP_SHARED)
    if file.kind != "file":
        raise DarwinError(ENODEV)
    if shared and prot & WRITE and file.flags & 3 != 2:
        raise DarwinError(EACCES)
    return t.memory.map(addr, size, prot, fixed=fixed, descriptor=file.host, offset=offset, shared=shared)


@libsystem("int munmap(void *addr, size_t len)")
def munmap(t: Thread, addr: int, size: int) -> int:
    t.memory.unmap(addr, size)
    return 0


@libsystem("int mprotect(void *addr, size_t len, int prot)")
def mprotect(t: Thread, addr: int, size: int, prot: int) -> int:
    t.memory.protect(addr, size, prot)
    return 0


@libsystem("int madvise(void *addr, size_t len, int advice)", noisy=True)
def madvise(t: Thread, addr: int, size: int, advice: int) -> int:
    if advice in (MADV_FREE, MADV_FREE_REUSABLE):
        t.memory.discard(addr, size)
    elif not 0 <= advice <= 10:
        raise DarwinError(EINVAL)
    return 0


@libsystem("int mlock(void *addr, size_t len)", noisy=True)
def mlock(t: Thread, addr: int, size: int) -> int:
    t.memory.slice(addr, size)
    return 0


@libsystem("int msync(void *addr, size_t len, int flags)")
def msync(t: Thread, addr: int, size: int, flags: int) -> int:
    return 0
