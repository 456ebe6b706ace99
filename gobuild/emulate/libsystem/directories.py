"""<dirent.h> and the working folder."""

import os
from dataclasses import dataclass
from stat import S_ISDIR

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import ENOTDIR, ERANGE, DarwinError
from gobuild.emulate.darwin.structs import DIRENT, DIRENT_SIZE
from gobuild.emulate.kernel.threads import Thread
from gobuild.emulate.libsystem.paths import place, require_permission


@dataclass(slots=True)
class Listing:
    """A DIR: what is left of a folder's names, in the order of their bytes."""

    descriptor: int
    entries: list[tuple[int, bytes, int]]  # inode, name, d_type
    at: int = 0


def _listing(t: Thread, fd: int) -> Listing:
    file = t.process.files.find(fd)
    if file.kind != "directory":
        raise DarwinError(ENOTDIR)
    with os.scandir(file.host) as found:
        entries = [(each.inode(), os.fsencode(each.name), _d_type(each)) for each in found]
    entries.sort(key=lambda entry: entry[1])
    inode = os.fstat(file.host).st_ino
    return Listing(fd, [(inode, b".", 4), (inode, b"..", 4), *entries])


def _d_type(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return 10
    if entry.is_dir(follow_symlinks=False):
        return 4
    return 8 if entry.is_file(follow_symlinks=False) else 0


@libsystem("DIR *fdopendir(int fd)", fails="null")
def fdopendir(t: Thread, fd: int) -> int:
    return t.process.new_object(_listing(t, fd))


@libsystem("int closedir(DIR *dirp)")
def closedir(t: Thread, dirp: int) -> int:
    listing = t.process.objects.pop(dirp)
    t.process.files.close(listing.descriptor)
    return 0


@libsystem("int readdir_r(DIR *dirp, struct dirent *entry, struct dirent **result)", fails="number")
def readdir_r(t: Thread, dirp: int, entry: int, result: int) -> int:
    listing = t.process.objects[dirp]
    if listing.at == len(listing.entries):
        t.memory.put_u64(result, 0)
        return 0
    inode, name, kind = listing.entries[listing.at]
    listing.at += 1
    record = DIRENT.pack(inode, listing.at, DIRENT_SIZE, len(name), kind) + name + b"\0"
    t.memory.write(entry, record)
    t.memory.put_u64(result, entry)
    return 0


@libsystem("char *getcwd(char *buf, size_t size)", fails="null")
def getcwd(t: Thread, buf: int, size: int) -> int:
    path = t.process.cwd.encode() + b"\0"
    if len(path) > size:
        raise DarwinError(ERANGE)
    t.memory.write(buf, path)
    return buf


@libsystem("int chdir(const char *path)", noisy=True)
def chdir(t: Thread, path: bytes) -> int:
    with place(t, path) as there:
        if not S_ISDIR(there.stat().st_mode):
            raise DarwinError(ENOTDIR)
        require_permission(there.stat(), 1)
        t.process.cwd = there.path
    return 0


@libsystem("int fchdir(int fd)", noisy=True)
def fchdir(t: Thread, fd: int) -> int:
    file = t.process.files.find(fd)
    if file.kind != "directory":
        raise DarwinError(ENOTDIR)
    t.process.cwd = file.path
    return 0
