"""Darwin's structs as the arm64 SDK lays them out, packed from and to bytes.

Sources: <sys/stat.h> (64-bit inodes), <sys/dirent.h>, <sys/_types/_timespec.h>, <sys/resource.h>; Go says the same in
src/syscall/ztypes_darwin_arm64.go.
"""

import os
import resource
import struct

TIMESPEC = struct.Struct("<qq")
TIMEVAL = struct.Struct("<qi4x")
ITIMERVAL = struct.Struct("<qi4xqi4x")
"""it_interval, then it_value."""
STAT = struct.Struct("<iHHQIIi4x 8q qqiIIi 16x")
DIRENT = struct.Struct("<QQHHB")
"""Up to d_name, which has 1024 bytes; the whole struct has 1048."""
DIRENT_SIZE = 1048
TIMEBASE = struct.Struct("<II")
RLIMIT = struct.Struct("<QQ")
RUSAGE = struct.Struct("<qi4xqi4x14q")

DEVICE = 0x1000004
"""The number of the one device that all files stand on, as the first APFS volume has it."""


UID, GID = 501, 20
"""The first user of a Mac, and its group staff: the guest's user, who owns all files."""


def pack_stat(result: os.stat_result, *, mode: int | None = None) -> bytes:
    """A host's answer as Darwin's struct stat."""
    times = [part for each in (result.st_atime_ns, result.st_mtime_ns, result.st_ctime_ns, result.st_mtime_ns)
             for part in divmod(each, 10**9)]  # fmt: skip
    return STAT.pack(
        DEVICE,
        (result.st_mode if mode is None else mode) & 0xFFFF,
        min(result.st_nlink, 0xFFFF),
        result.st_ino,
        UID,
        GID,
        result.st_rdev & 0x7FFFFFFF,
        *times,
        result.st_size,
        result.st_blocks,
        result.st_blksize,
        0,
        0,
        0,
    )


def pack_rusage(usage: resource.struct_rusage) -> bytes:
    """A host's answer as Darwin's struct rusage, whose ru_maxrss counts bytes."""
    times = [part for each in (usage.ru_utime, usage.ru_stime) for part in (int(each), int(each % 1 * 1_000_000))]
    return RUSAGE.pack(*times, usage.ru_maxrss * 1024, 0, 0, 0, usage.ru_minflt, usage.ru_majflt, *[0] * 8)
