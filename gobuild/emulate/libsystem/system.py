"""<sys/sysctl.h>, <sys/resource.h>, <unistd.h>'s small ones, <notify.h>, <xpc/xpc.h>, errno."""

import struct

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EFAULT, EINVAL, ENOENT, ENOMEM, EPERM, DarwinError
from gobuild.emulate.darwin.structs import GID, RUSAGE, UID
from gobuild.emulate.kernel.threads import Thread
from gobuild.emulate.machine.memory import EXECUTE, READ

CTL_KERN, CTL_HW = 1, 6
RLIM_INFINITY = (1 << 63) - 1
RLIMIT_STACK, RLIMIT_NOFILE, RLIMITS = 3, 8, 9

_ARM = ("AES", "SHA1", "SHA256", "SHA512", "SHA3", "PMULL", "LSE", "CRC32", "DIT")
_OLD = ("floatingpoint", "neon", "arm64", "armv8_crc32", "armv8_1_atomics", "armv8_2_sha512", "armv8_2_sha3")
ARM64_FEATURES = {*(f"hw.optional.arm.FEAT_{name}" for name in _ARM), *(f"hw.optional.{name}" for name in _OLD)}
"""What Apple's M1 has of what Go asks for."""


def named(t: Thread, name: str) -> bytes:
    """The value of a sysctl by its name; ENOENT for what this libSystem does not know."""
    major = t.process.plan.macos
    numbers = {
        "hw.ncpu": t.process.plan.cpus, "hw.logicalcpu": t.process.plan.cpus,
        "hw.pagesize": 0x4000, "kern.ngroups": 16, "kern.somaxconn": 128, "kern.maxfilesperproc": 10240,
    }  # fmt: skip
    texts = {
        "kern.ostype": "Darwin", "kern.osrelease": f"{major + 9}.0.0", "kern.osproductversion": f"{major}.0",
        "kern.hostname": "emulated.local", "hw.machine": "arm64",
        "kern.version": f"Darwin Kernel Version {major + 9}.0.0",
    }  # fmt: skip
    if name in numbers:
        return struct.pack("<i", numbers[name])
    if name in texts:
        return texts[name].encode() + b"\0"
    if name.startswith("hw.optional."):
        return struct.pack("<i", name in ARM64_FEATURES)
    raise DarwinError(ENOENT)


MIBS = {
    (CTL_HW, 3): "hw.ncpu", (CTL_HW, 7): "hw.pagesize", (CTL_HW, 25): "hw.logicalcpu", (CTL_KERN, 1): "kern.ostype",
    (CTL_KERN, 2): "kern.osrelease", (CTL_KERN, 4): "kern.version", (CTL_KERN, 10): "kern.hostname",
    (CTL_KERN, 18): "kern.ngroups", (CTL_HW, 1): "hw.machine",
}  # fmt: skip
"""<sys/sysctl.h>'s numbers, for names."""


def answer(t: Thread, value: bytes, oldp: int, oldlenp: int, newp: int) -> int:
    """Copies a value out as sysctl does."""
    if newp:
        raise DarwinError(EINVAL)
    if not oldlenp:
        if oldp:
            raise DarwinError(EFAULT)
        return 0
    room = t.memory.u64(oldlenp)
    t.memory.put_u64(oldlenp, len(value) if not oldp else min(len(value), room))
    if oldp:
        t.memory.write(oldp, value[:room])
        if room < len(value):
            raise DarwinError(ENOMEM)
    return 0


@libsystem(
    "int sysctl(int *name, unsigned int namelen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)", noisy=True
)
def sysctl(t: Thread, name: int, namelen: int, oldp: int, oldlenp: int, newp: int, newlen: int) -> int:
    if not 0 < namelen <= 12:
        raise DarwinError(EINVAL)
    mib = struct.unpack(f"<{namelen}i", t.memory.read(name, 4 * namelen))
    if mib not in MIBS:
        raise DarwinError(ENOENT)
    return answer(t, named(t, MIBS[mib]), oldp, oldlenp, newp)


@libsystem("int sysctlbyname(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)", noisy=True)
def sysctlbyname(t: Thread, name: bytes, oldp: int, oldlenp: int, newp: int, newlen: int) -> int:
    return answer(t, named(t, name.decode("latin-1")), oldp, oldlenp, newp)


@libsystem("int *__error(void)")
def error(t: Thread) -> int:
    return t.errno_address


@libsystem("int issetugid(void)")
def issetugid(t: Thread) -> int:
    return 0


@libsystem("void arc4random_buf(void *buf, size_t nbytes)")
def arc4random_buf(t: Thread, buf: int, nbytes: int) -> None:
    t.memory.write(buf, t.process.random.randbytes(nbytes))


@libsystem("int getentropy(void *buf, size_t nbytes)")
def getentropy(t: Thread, buf: int, nbytes: int) -> int:
    if nbytes > 256:
        raise DarwinError(EINVAL)
    t.memory.write(buf, t.process.random.randbytes(nbytes))
    return 0


@libsystem("int getrlimit(int resource, struct rlimit *rlp)", noisy=True)
def getrlimit(t: Thread, resource: int, rlp: int) -> int:
    if not 0 <= resource < RLIMITS:
        raise DarwinError(EINVAL)
    current = most = RLIM_INFINITY
    if resource == RLIMIT_NOFILE:
        current, most = t.process.files.limit, t.process.plan.limits.files
    elif resource == RLIMIT_STACK:
        current, most = 8372224, 67092480
    t.memory.put_u64(rlp, current)
    t.memory.put_u64(rlp + 8, most)
    return 0


@libsystem("int setrlimit(int resource, struct rlimit *rlp)", noisy=True)
def setrlimit(t: Thread, resource: int, rlp: int) -> int:
    if not 0 <= resource < RLIMITS:
        raise DarwinError(EINVAL)
    current = t.memory.u64(rlp)
    if resource == RLIMIT_NOFILE:
        if current > t.process.plan.limits.files:
            raise DarwinError(EINVAL)
        t.process.files.limit = current
    return 0


@libsystem("int notify_is_valid_token(int token)", fails="number")
def notify_is_valid_token(t: Thread, token: int) -> int:
    return 0


@libsystem("xpc_object_t xpc_date_create_from_current(void)")
def xpc_date_create_from_current(t: Thread) -> int:
    return t.memory.map(0, 0x4000, 3)


@libsystem("int getrusage(int who, struct rusage *r_usage)", noisy=True)
def getrusage(t: Thread, who: int, usage: int) -> int:
    """Times are the guest's clock; the other numbers are 0."""
    if who not in (0, -1):
        raise DarwinError(EINVAL)
    seconds, part = divmod(t.process.scheduler.now if who == 0 else 0, 10**9)
    t.memory.pack(RUSAGE, usage, seconds, part // 1000, *[0] * 16)
    return 0


# What only the superuser, or a debugger, may do


@libsystem("int chroot(const char *dirname)", noisy=True)
def chroot(t: Thread, dirname: bytes) -> int:
    raise DarwinError(EPERM)


@libsystem("int setgroups(int ngroups, gid_t *gidset)", noisy=True)
def setgroups(t: Thread, ngroups: int, gidset: int) -> int:
    raise DarwinError(EPERM)


@libsystem("int setuid(uid_t uid)", noisy=True)
def setuid(t: Thread, uid: int) -> int:
    if uid != UID:
        raise DarwinError(EPERM)
    return 0


@libsystem("int setgid(gid_t gid)", noisy=True)
def setgid(t: Thread, gid: int) -> int:
    if gid != GID:
        raise DarwinError(EPERM)
    return 0


@libsystem("int ptrace(int request, pid_t pid, void *addr, int data)")
def ptrace(t: Thread, request: int, pid: int, addr: int, data: int) -> int:
    raise DarwinError(EPERM)


# <mach/mach_vm.h> and <libproc.h>: a profile asks which file is mapped where

KERN_INVALID_ADDRESS = 1
REGION_INFO = struct.Struct("<iiIIIQiH2x")
"""vm_region_basic_info_64: protection, max_protection, inheritance, shared, reserved, offset, behavior, wired count."""


@libsystem(
    "int mach_vm_region(mach_port_t target, uint64_t *address, uint64_t *size, int flavor, int *info,"
    " uint32_t *count, mach_port_t *object_name)",
    fails="number",
)
def mach_vm_region(
    t: Thread, target: int, address: int, size: int, flavor: int, info: int, count: int, name: int
) -> int:
    """The program's own text is the only region that is told of: runtime/pprof looks for executable ones."""
    segment = t.process.image.macho.segment("__TEXT")
    at = t.memory.u64(address)
    if segment is None or at >= segment.vmaddr + t.process.image.slide + segment.vmsize:
        return KERN_INVALID_ADDRESS
    t.memory.put_u64(address, segment.vmaddr + t.process.image.slide)
    t.memory.put_u64(size, segment.vmsize)
    t.memory.pack(REGION_INFO, info, READ | EXECUTE, READ | EXECUTE, 0, 0, 0, 0, 0, 0)
    return 0


@libsystem("int proc_regionfilename(int pid, uint64_t address, void *buffer, uint32_t buffersize)")
def proc_regionfilename(t: Thread, pid: int, address: int, buffer: int, size: int) -> int:
    path = t.process.image.path.encode()[:size]
    t.memory.write(buffer, path)
    return len(path)
