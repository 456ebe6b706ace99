"""Darwin's open flags and fcntl commands, and a Linux host's for them: <sys/fcntl.h> (xnu, bsd/sys/fcntl.h)."""

import os

O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE = 0, 1, 2, 3
O_NONBLOCK, O_APPEND, O_SHLOCK, O_EXLOCK, O_ASYNC, O_SYNC = 0x4, 0x8, 0x10, 0x20, 0x40, 0x80
O_NOFOLLOW, O_CREAT, O_TRUNC, O_EXCL = 0x100, 0x200, 0x400, 0x800
O_DIRECTORY, O_SYMLINK, O_CLOEXEC = 0x100000, 0x200000, 0x1000000

HOST_FLAGS = {
    O_APPEND: os.O_APPEND, O_CREAT: os.O_CREAT, O_TRUNC: os.O_TRUNC, O_EXCL: os.O_EXCL, O_DIRECTORY: os.O_DIRECTORY,
    O_SYNC: os.O_SYNC,
}  # fmt: skip
"""The flags that the host is asked for; the others are the guest's own business."""

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW = 0, 1, 2, 3, 4, 7, 8, 9
F_PREALLOCATE, F_RDADVISE, F_RDAHEAD, F_NOCACHE, F_GETPATH, F_FULLFSYNC = 42, 44, 45, 48, 50, 51
F_DUPFD_CLOEXEC, F_BARRIERFSYNC = 67, 85
FD_CLOEXEC = 1

AT_FDCWD, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_REMOVEDIR = -2, 0x10, 0x20, 0x40, 0x80
"""<sys/fcntl.h>; Linux has other numbers for all of them."""


def host_flags(flags: int) -> int:
    """A host's open flags."""
    found = flags & O_ACCMODE
    for darwin, host in HOST_FLAGS.items():
        if flags & darwin:
            found |= host
    return found
