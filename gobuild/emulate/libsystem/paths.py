"""<sys/stat.h> and <unistd.h>: what is done with a path, without opening what it names."""

import os
import stat as modes
import struct
from collections.abc import Sequence

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import fcntl as f
from gobuild.emulate.darwin.errno import EACCES, EEXIST, EFAULT, EINVAL, ENOTDIR, EPERM, DarwinError
from gobuild.emulate.darwin.structs import GID, TIMESPEC, TIMEVAL, UID, pack_stat
from gobuild.emulate.kernel.threads import Thread
from gobuild.emulate.kernel.world import Place

UTIME_NOW, UTIME_OMIT = -1, -2
"""<sys/stat.h>: nanoseconds that mean something else."""

PERMISSIONS = 0o1777
"""What the guest may set: never set-user-ID or set-group-ID, for the host's user owns these files."""

UNCHANGED = 0xFFFFFFFF
"""-1 as uid_t: chown leaves it."""


def place(t: Thread, path: bytes | None, *, at: int = f.AT_FDCWD, follow: bool = True) -> Place:
    """Where a path leads, from the working folder or a descriptor's."""
    if path is None:
        raise DarwinError(EFAULT)
    base = t.process.cwd
    if at != f.AT_FDCWD and not path.startswith(b"/"):
        folder = t.process.files.find(at)
        if folder.kind != "directory":
            raise DarwinError(ENOTDIR)
        base = folder.path
    return t.process.world.resolve(path, base, follow=follow)


def _followed(flag: int) -> bool:
    return not flag & f.AT_SYMLINK_NOFOLLOW


@libsystem("int stat(const char *path, struct stat *buf)", noisy=True)
def stat(t: Thread, path: bytes, buf: int) -> int:
    return fstatat(t, f.AT_FDCWD, path, buf, 0)


@libsystem("int lstat(const char *path, struct stat *buf)", noisy=True)
def lstat(t: Thread, path: bytes, buf: int) -> int:
    return fstatat(t, f.AT_FDCWD, path, buf, f.AT_SYMLINK_NOFOLLOW)


@libsystem("int fstatat(int fd, const char *path, struct stat *buf, int flag)", noisy=True)
def fstatat(t: Thread, fd: int, path: bytes, buf: int, flag: int) -> int:
    with place(t, path, at=fd, follow=_followed(flag)) as there:
        t.memory.write(buf, pack_stat(there.stat()))
    return 0


@libsystem("int access(const char *path, int amode)", noisy=True)
def access(t: Thread, path: bytes, amode: int) -> int:
    return faccessat(t, f.AT_FDCWD, path, amode, 0)


@libsystem("int faccessat(int fd, const char *path, int mode, int flag)", noisy=True)
def faccessat(t: Thread, fd: int, path: bytes, mode: int, flag: int) -> int:
    with place(t, path, at=fd, follow=_followed(flag)) as there:
        if mode & 2:
            there.require_writable()
        require_permission(there.stat(), mode & 7)
    return 0


def require_permission(found: os.stat_result, wanted: int) -> None:
    """Raises EACCES where the owner lacks one of these bits: the guest's user owns all files, and is not root."""
    if wanted & ~(found.st_mode >> 6):
        raise DarwinError(EACCES)


@libsystem("int unlink(const char *path)", noisy=True)
def unlink(t: Thread, path: bytes) -> int:
    return unlinkat(t, f.AT_FDCWD, path, 0)


@libsystem("int rmdir(const char *path)", noisy=True)
def rmdir(t: Thread, path: bytes) -> int:
    return unlinkat(t, f.AT_FDCWD, path, f.AT_REMOVEDIR)


@libsystem("int unlinkat(int fd, const char *path, int flag)", noisy=True)
def unlinkat(t: Thread, fd: int, path: bytes, flag: int) -> int:
    with place(t, path, at=fd, follow=False) as there:
        folder = modes.S_ISDIR(there.stat().st_mode)
        there.require_writable()
        _require_folder_writable(there)
        if flag & f.AT_REMOVEDIR:
            os.rmdir(there.name, dir_fd=there.folder)
        elif folder:
            raise DarwinError(EPERM)  # Linux says EISDIR
        else:
            os.unlink(there.name, dir_fd=there.folder)
    return 0


def _require_folder_writable(there: Place) -> None:
    require_permission(os.fstat(there.folder), 3)


def new_place(t: Thread, path: bytes, *, at: int = f.AT_FDCWD) -> Place:
    """The place of a name that is not there yet, and may be made."""
    there = place(t, path, at=at, follow=False)
    try:
        try:
            there.stat()
        except FileNotFoundError:
            there.require_writable()
            _require_folder_writable(there)
            return there
        raise DarwinError(EEXIST)
    except BaseException:
        os.close(there.folder)
        raise


@libsystem("int rename(const char *old, const char *new)", noisy=True)
def rename(t: Thread, old: bytes, new: bytes) -> int:
    return renameat(t, f.AT_FDCWD, old, f.AT_FDCWD, new)


@libsystem("int renameat(int fromfd, const char *from, int tofd, const char *to)", noisy=True)
def renameat(t: Thread, fromfd: int, old: bytes, tofd: int, new: bytes) -> int:
    with place(t, old, at=fromfd, follow=False) as source, place(t, new, at=tofd, follow=False) as target:
        source.stat()
        for there in (source, target):
            there.require_writable()
            _require_folder_writable(there)
        os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
    return 0


@libsystem("int link(const char *path1, const char *path2)", noisy=True)
def link(t: Thread, old: bytes, new: bytes) -> int:
    return linkat(t, f.AT_FDCWD, old, f.AT_FDCWD, new, 0)


@libsystem("int linkat(int fd1, const char *name1, int fd2, const char *name2, int flag)", noisy=True)
def linkat(t: Thread, fd1: int, old: bytes, fd2: int, new: bytes, flag: int) -> int:
    with place(t, old, at=fd1, follow=bool(flag & f.AT_SYMLINK_FOLLOW)) as source, new_place(t, new, at=fd2) as target:
        if modes.S_ISDIR(source.stat().st_mode):
            raise DarwinError(EPERM)
        source.require_writable()  # else the guest could write to a file of the host's by its second name
        os.link(
            source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder, follow_symlinks=False
        )  # fmt: skip
    return 0


@libsystem("int symlink(const char *path1, const char *path2)", noisy=True)
def symlink(t: Thread, target: bytes, path: bytes) -> int:
    return symlinkat(t, target, f.AT_FDCWD, path)


@libsystem("int symlinkat(const char *name1, int fd, const char *name2)", noisy=True)
def symlinkat(t: Thread, target: bytes, fd: int, path: bytes) -> int:
    with new_place(t, path, at=fd) as there:
        os.symlink(target, there.name, dir_fd=there.folder)
    return 0


@libsystem("ssize_t readlink(const char *path, char *buf, size_t bufsize)")
def readlink(t: Thread, path: bytes, buf: int, bufsize: int) -> int:
    return readlinkat(t, f.AT_FDCWD, path, buf, bufsize)


@libsystem("ssize_t readlinkat(int fd, const char *path, char *buf, size_t bufsize)")
def readlinkat(t: Thread, fd: int, path: bytes, buf: int, bufsize: int) -> int:
    with place(t, path, at=fd, follow=False) as there:
        there.stat()
        target = os.fsencode(os.readlink(there.name, dir_fd=there.folder))[:bufsize]
    t.memory.write(buf, target)
    return len(target)


@libsystem("int mkdir(const char *path, mode_t mode)", noisy=True)
def mkdir(t: Thread, path: bytes, mode: int) -> int:
    return mkdirat(t, f.AT_FDCWD, path, mode)


@libsystem("int mkdirat(int fd, const char *path, mode_t mode)", noisy=True)
def mkdirat(t: Thread, fd: int, path: bytes, mode: int) -> int:
    with new_place(t, path, at=fd) as there:
        os.mkdir(there.name, mode & 0o777 & ~t.process.umask, dir_fd=there.folder)
    return 0


@libsystem("int mkfifo(const char *path, mode_t mode)", noisy=True)
def mkfifo(t: Thread, path: bytes, mode: int) -> int:
    with new_place(t, path) as there:
        os.mkfifo(there.name, mode & 0o777 & ~t.process.umask, dir_fd=there.folder)
    return 0


@libsystem("int chmod(const char *path, mode_t mode)", noisy=True)
def chmod(t: Thread, path: bytes, mode: int) -> int:
    return fchmodat(t, f.AT_FDCWD, path, mode, 0)


@libsystem("int fchmodat(int fd, const char *path, mode_t mode, int flag)", noisy=True)
def fchmodat(t: Thread, fd: int, path: bytes, mode: int, flag: int) -> int:
    with place(t, path, at=fd, follow=_followed(flag)) as there:
        if modes.S_ISLNK(there.stat().st_mode):
            return 0  # a Linux link has no mode of its own
        there.require_writable()
        host = os.open(there.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there.folder)
        try:
            os.chmod(f"/proc/self/fd/{host}", mode & PERMISSIONS)  # noqa: PTH101 - what is open, whatever its mode
        finally:
            os.close(host)
    return 0


@libsystem("int fchmod(int fd, mode_t mode)", noisy=True)
def fchmod(t: Thread, fd: int, mode: int) -> int:
    file = t.process.files.find(fd)
    if file.kind not in ("file", "directory"):
        raise DarwinError(EINVAL)
    with t.process.world.resolve(file.path.encode(), "/") as there:
        there.require_writable()
    os.fchmod(file.host, mode & PERMISSIONS)
    return 0


def _may_own(uid: int, gid: int) -> None:
    """Allows what changes nothing: that a file is of another of the user's groups, nothing here would keep."""
    if uid not in (UNCHANGED, UID) or gid not in (UNCHANGED, GID):
        raise DarwinError(EPERM)


@libsystem("int chown(const char *path, uid_t owner, gid_t group)", noisy=True)
def chown(t: Thread, path: bytes, owner: int, group: int) -> int:
    return fchownat(t, f.AT_FDCWD, path, owner, group, 0)


@libsystem("int lchown(const char *path, uid_t owner, gid_t group)", noisy=True)
def lchown(t: Thread, path: bytes, owner: int, group: int) -> int:
    return fchownat(t, f.AT_FDCWD, path, owner, group, f.AT_SYMLINK_NOFOLLOW)


@libsystem("int fchownat(int fd, const char *path, uid_t owner, gid_t group, int flag)", noisy=True)
def fchownat(t: Thread, fd: int, path: bytes, owner: int, group: int, flag: int) -> int:
    with place(t, path, at=fd, follow=_followed(flag)) as there:
        there.stat()
        there.require_writable()
        _may_own(owner, group)
    return 0


@libsystem("int fchown(int fd, uid_t owner, gid_t group)", noisy=True)
def fchown(t: Thread, fd: int, owner: int, group: int) -> int:
    t.process.files.find(fd)
    _may_own(owner, group)
    return 0


@libsystem("int truncate(const char *path, off_t length)", noisy=True)
def truncate(t: Thread, path: bytes, length: int) -> int:
    if length < 0:
        raise DarwinError(EINVAL)
    with place(t, path) as there:
        require_permission(there.stat(), 2)
        there.require_writable()
        host = there.open(os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.ftruncate(host, length)
        finally:
            os.close(host)
    return 0


@libsystem("int utimes(const char *path, struct timeval *times)", noisy=True)
def utimes(t: Thread, path: bytes, times: int) -> int:
    both = [(each[0], each[1] * 1000) for each in _pair(t, TIMEVAL, times)] if times else None
    return _set_times(t, f.AT_FDCWD, path, both, follow=True)


@libsystem("int utimensat(int fd, const char *path, struct timespec *times, int flag)", noisy=True)
def utimensat(t: Thread, fd: int, path: bytes, times: int, flag: int) -> int:
    both = _pair(t, TIMESPEC, times) if times else None
    return _set_times(t, fd, path, both, follow=_followed(flag))


def _pair(t: Thread, form: struct.Struct, at: int) -> list[tuple[int, ...]]:
    return [t.memory.unpack(form, at), t.memory.unpack(form, at + form.size)]


def _set_times(t: Thread, at: int, path: bytes, both: Sequence[tuple[int, ...]] | None, *, follow: bool) -> int:
    with place(t, path, at=at, follow=follow) as there:
        found = there.stat()
        there.require_writable()
        now = t.process.scheduler.now + t.process.plan.epoch * 10**9
        times = [now, now]
        for index, (seconds, part) in enumerate(both or ()):
            if part == UTIME_OMIT:
                times[index] = (found.st_atime_ns, found.st_mtime_ns)[index]
            elif part != UTIME_NOW:
                if not 0 <= part < 10**9:
                    raise DarwinError(EINVAL)
                times[index] = seconds * 10**9 + part
        os.utime(there.name, ns=(times[0], times[1]), dir_fd=there.folder, follow_symlinks=False)
    return 0
