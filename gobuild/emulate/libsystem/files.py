"""<fcntl.h>, <unistd.h>, <sys/uio.h>: files are opened, read and written."""

import errno
import os
import stat as modes

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import fcntl as f
from gobuild.emulate.darwin.errno import (
    EAGAIN,
    EBADF,
    EEXIST,
    EINTR,
    EINVAL,
    EISDIR,
    ELOOP,
    ENXIO,
    ESPIPE,
    DarwinError,
)  # fmt: skip
from gobuild.emulate.darwin.socket import IOVEC
from gobuild.emulate.darwin.structs import pack_stat
from gobuild.emulate.kernel.descriptors import OpenFile
from gobuild.emulate.kernel.threads import Blocking, Ended, Thread, Wait, Woken
from gobuild.emulate.kernel.world import Place
from gobuild.emulate.libsystem.fcntl import pause
from gobuild.emulate.libsystem.paths import PERMISSIONS, place, require_permission

IO_LIMIT = 0x7FFFFFFF
"""Bytes that one read or write can ask for (INT_MAX)."""

ACCESS = {f.O_RDONLY: 4, f.O_WRONLY: 2, f.O_RDWR: 6, 3: 6}
"""The permissions that each way to open wants."""

SEEKS = {0: os.SEEK_SET, 1: os.SEEK_CUR, 2: os.SEEK_END, 3: os.SEEK_HOLE, 4: os.SEEK_DATA}
"""Darwin's SEEK_HOLE is Linux's SEEK_DATA, and the other way round."""

KINDS = {modes.S_IFREG: "file", modes.S_IFDIR: "directory", modes.S_IFIFO: "pipe"}
"""What can be opened, and the `OpenFile.kind` of it."""

IOV_MAX = 1024
RANDOM = ("/dev/random", "/dev/urandom")
RANDOM_MAX = 1 << 20
"""Bytes of one read; more is a short read."""
BLOCKING_KINDS = ("pipe", "socket", "standard")


def open_at(t: Thread, at: int, path: bytes | None, flags: int, mode: int) -> Blocking | int:
    """Open and openat. A FIFO that nobody reads yet is waited for, where it is to be written."""
    try:
        return _opened(t, at, path, flags, mode)
    except OSError as error:
        if error.errno != errno.ENXIO or flags & f.O_NONBLOCK:
            raise
    return _opened_for_a_reader(t, at, path, flags, mode)


def _opened_for_a_reader(t: Thread, at: int, path: bytes | None, flags: int, mode: int) -> Blocking:
    while True:
        yield from pause(t)
        try:
            return _opened(t, at, path, flags, mode)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise


def _opened(t: Thread, at: int, path: bytes | None, flags: int, mode: int) -> int:
    follow = not flags & (f.O_NOFOLLOW | f.O_SYMLINK) and flags & (f.O_CREAT | f.O_EXCL) != f.O_CREAT | f.O_EXCL
    with place(t, path, at=at, follow=follow) as there:
        if not there.device:
            _require_openable(there, flags)
        host = there.open(f.host_flags(flags) | os.O_NONBLOCK, mode & PERMISSIONS & ~t.process.umask)
        kind = "device" if there.device else KINDS.get(modes.S_IFMT(os.fstat(host).st_mode))
        if kind is None:  # put there since it was looked at
            os.close(host)
            raise DarwinError(ENXIO)
        file = OpenFile(kind=kind, host=host, path=there.path, flags=flags & 0xFF)
        return t.process.files.add(file, close_on_exec=bool(flags & f.O_CLOEXEC))


def _require_openable(there: Place, flags: int) -> None:
    changes = flags & f.O_ACCMODE != f.O_RDONLY or bool(flags & f.O_TRUNC)
    try:
        found = there.stat()
    except FileNotFoundError:
        if flags & f.O_CREAT:
            there.require_writable()
            require_permission(os.fstat(there.folder), 3)
        return
    if flags & f.O_CREAT and flags & f.O_EXCL:
        raise DarwinError(EEXIST)
    kind = modes.S_IFMT(found.st_mode)
    if kind == modes.S_IFLNK:
        raise DarwinError(ELOOP)
    if changes and kind == modes.S_IFDIR:
        raise DarwinError(EISDIR)
    if kind not in KINDS or (kind == modes.S_IFIFO and not there.writable):
        raise DarwinError(ENXIO)  # a FIFO or device of the host's leads to its other programs
    if changes:
        there.require_writable()
    require_permission(found, ACCESS[flags & f.O_ACCMODE])


@libsystem("int open(const char *path, int oflag, ...mode_t mode)")
def open_(t: Thread, path: bytes, oflag: int, mode: int) -> Blocking | int:
    return open_at(t, f.AT_FDCWD, path, oflag, mode)


@libsystem("int openat(int fd, const char *path, int oflag, ...mode_t mode)")
def openat(t: Thread, fd: int, path: bytes, oflag: int, mode: int) -> Blocking | int:
    return open_at(t, fd, path, oflag, mode)


@libsystem("int close(int fd)", noisy=True)
def close(t: Thread, fd: int) -> int:
    t.process.files.close(fd)
    return 0


def wait_for(t: Thread, file: OpenFile, *, write: bool = False) -> Blocking:
    """Waits until a pipe, socket or such has something to read, or room."""
    if file.flags & f.O_NONBLOCK and file.kind != "standard":
        raise DarwinError(EAGAIN)
    external = file.kind == "standard"
    how = yield Wait(writes=(file.host,)) if write else Wait(reads=(file.host,), external=external)
    if how is Woken.BY_SIGNAL:
        raise DarwinError(EINTR)


@libsystem("ssize_t read(int fd, void *buf, size_t nbyte)")
def read(t: Thread, fd: int, buf: int, nbyte: int) -> Blocking | int:
    file = t.process.files.find(fd)
    if file.kind == "directory":
        raise DarwinError(EISDIR)
    if nbyte > IO_LIMIT:
        raise DarwinError(EINVAL)
    if file.kind in BLOCKING_KINDS:
        return _read_blocking(t, file, buf, nbyte)
    if file.path in RANDOM:
        return _read_random(t, buf, nbyte)
    return os.readv(file.host, [t.memory.slice(buf, nbyte, 2)]) if nbyte else 0


def _read_random(t: Thread, buf: int, nbyte: int) -> int:
    """From the plan's seed: Go before 1.23 seeds its hashes there, and two runs must be the same."""
    size = min(nbyte, RANDOM_MAX)
    t.memory.write(buf, t.process.random.randbytes(size))
    return size


def _read_blocking(t: Thread, file: OpenFile, buf: int, nbyte: int) -> Blocking:
    while True:
        if file.kind == "standard":
            yield from wait_for(t, file)
        try:
            return os.readv(file.host, [t.memory.slice(buf, nbyte, 2)]) if nbyte else 0
        except BlockingIOError:
            yield from wait_for(t, file)


@libsystem("ssize_t write(int fd, void *buf, size_t nbyte)")
def write(t: Thread, fd: int, buf: int, nbyte: int) -> Blocking | int:
    file = t.process.files.find(fd)
    if nbyte > IO_LIMIT:
        raise DarwinError(EINVAL)
    data = t.memory.slice(buf, nbyte)
    if file.kind == "standard":
        t.process.output += nbyte
        if t.process.output > t.process.plan.limits.output:
            raise Ended(9, "limit", f"more than {t.process.plan.limits.output} bytes of output")
        return os.write(file.host, data)
    if file.kind in BLOCKING_KINDS:
        return _write_blocking(t, file, buf, nbyte)
    return os.write(file.host, data)


def _write_blocking(t: Thread, file: OpenFile, buf: int, nbyte: int) -> Blocking:
    done = 0
    while True:
        try:
            done += os.write(file.host, t.memory.slice(buf + done, nbyte - done))
        except BlockingIOError:
            if done and file.flags & f.O_NONBLOCK:
                return done
            yield from wait_for(t, file, write=True)
        if done == nbyte or file.flags & f.O_NONBLOCK:
            return done


@libsystem("ssize_t readv(int fd, struct iovec *iov, int iovcnt)")
def readv(t: Thread, fd: int, iov: int, iovcnt: int) -> Blocking | int:
    """Into the first buffer that has room: a short read is always allowed."""
    for base, size in vectors(t, iov, iovcnt):
        if size:
            return read(t, fd, base, size)
    return 0


@libsystem("ssize_t writev(int fd, struct iovec *iov, int iovcnt)")
def writev(t: Thread, fd: int, iov: int, iovcnt: int) -> Blocking:
    done = 0
    for base, size in vectors(t, iov, iovcnt):
        try:
            outcome = write(t, fd, base, size)
            part = outcome if isinstance(outcome, int) else (yield from outcome)
        except (DarwinError, OSError):
            if done:
                break
            raise
        done += part
        if part < size:
            break
    return done


def vectors(t: Thread, iov: int, count: int) -> list[tuple[int, ...]]:
    """Address and size of each struct iovec."""
    if not 0 < count <= IOV_MAX:
        raise DarwinError(EINVAL)
    return [t.memory.unpack(IOVEC, iov + index * IOVEC.size) for index in range(count)]


@libsystem("ssize_t pread(int fd, void *buf, size_t nbyte, off_t offset)")
def pread(t: Thread, fd: int, buf: int, nbyte: int, offset: int) -> int:
    if offset < 0:
        raise DarwinError(EINVAL)
    return os.preadv(t.process.files.find(fd).host, [t.memory.slice(buf, nbyte, 2)], offset)


@libsystem("ssize_t pwrite(int fd, void *buf, size_t nbyte, off_t offset)")
def pwrite(t: Thread, fd: int, buf: int, nbyte: int, offset: int) -> int:
    if offset < 0:
        raise DarwinError(EINVAL)
    return os.pwrite(t.process.files.find(fd).host, t.memory.slice(buf, nbyte), offset)


@libsystem("off_t lseek(int fd, off_t offset, int whence)")
def lseek(t: Thread, fd: int, offset: int, whence: int) -> int:
    file = t.process.files.find(fd)
    if file.kind in ("pipe", "socket", "kqueue"):
        raise DarwinError(ESPIPE)
    if whence not in SEEKS:
        raise DarwinError(EINVAL)
    return os.lseek(file.host, offset, SEEKS[whence])


@libsystem("int fstat(int fd, struct stat *buf)", noisy=True)
def fstat(t: Thread, fd: int, buf: int) -> int:
    t.memory.write(buf, pack_stat(os.fstat(t.process.files.find(fd).host)))
    return 0


@libsystem("int fsync(int fd)", noisy=True)
def fsync(t: Thread, fd: int) -> int:
    t.process.files.find(fd)
    return 0


@libsystem("int ftruncate(int fd, off_t length)", noisy=True)
def ftruncate(t: Thread, fd: int, length: int) -> int:
    os.ftruncate(t.process.files.find(fd).host, length)
    return 0


@libsystem("int dup(int fd)")
def dup(t: Thread, fd: int) -> int:
    return t.process.files.add(t.process.files.find(fd))


@libsystem("int dup2(int fd, int fd2)")
def dup2(t: Thread, fd: int, fd2: int) -> int:
    file = t.process.files.find(fd)
    if not 0 <= fd2 < t.process.files.limit:
        raise DarwinError(EBADF)
    if fd != fd2:
        t.process.files.put(fd2, file)
    return fd2


@libsystem("int pipe(int *fildes)")
def pipe(t: Thread, fildes: int) -> int:
    ends = [OpenFile(kind="pipe", host=host, flags=flags) for host, flags in zip(os.pipe(), (0, 1), strict=True)]
    for index, end in enumerate(ends):
        os.set_blocking(end.host, False)
        t.memory.put_u32(fildes + 4 * index, t.process.files.add(end))
    return 0
