"""The files that a guest sees: folders of the host under names of the guest's, and no way out of them.

A path is walked here, name by name, below directories that are held open, and never handed to the host: `..` ends at
the guest's root, and the target of a symbolic link is a path of the guest's. So nothing that the guest does to its
scratch folder meanwhile leads elsewhere.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from gobuild.emulate.darwin.errno import EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS, DarwinError

MAXSYMLINKS, PATH_MAX, NAME_MAX = 32, 1024, 255
"""<sys/param.h> and <sys/syslimits.h>."""

DEVICES = {f"/dev/{name}": f"/dev/{name}" for name in ("null", "zero", "random", "urandom")}
"""The host's devices that every guest has."""

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of the host's, held open, where the guest sees it."""

    at: str
    descriptor: int
    writable: bool


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a path leads: a name in a folder of the host's that is held open until the block ends.

    Attributes:
        path: the guest's name for it, without links and dots.
        folder: the folder's descriptor; `name` is "." for a mount itself.
        writable: whether the guest may change what is there.
        device: the host's device, for one of `DEVICES`.
    """

    path: str
    folder: int
    name: str
    writable: bool
    device: str = ""

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.folder)

    def require_writable(self) -> None:
        """Raises EROFS outside of what the guest may write."""
        if not self.writable:
            raise DarwinError(EROFS)

    def stat(self) -> os.stat_result:
        """Of what is there; a link is followed no further."""
        if self.device:
            return os.stat(self.device)  # noqa: PTH116
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0) -> int:
        """A descriptor of the host's."""
        if self.device:
            return os.open(self.device, flags | os.O_CLOEXEC)
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.folder)


class World:
    """The mounts, of which one is the root."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self.mounts = {mount.at: mount for mount in mounts}

    def resolve(self, path: bytes, base: str, *, follow: bool = True) -> Place:
        """Where a path leads from the folder `base`. The last name need not be there, all others must.

        Raises:
            DarwinError, OSError: what a system call on that path says.
        """
        text = os.fsdecode(path)
        if not text:
            raise DarwinError(ENOENT)
        if len(path) >= PATH_MAX:
            raise DarwinError(ENAMETOOLONG)
        names = _names(text if text.startswith("/") else f"{base}/{text}")
        walk = _Walk(self.mounts)
        try:
            return self._walk(
                walk, names, follow=follow or text.endswith("/"), folder=text.endswith(("/", "/.", "/.."))
            )
        except BaseException:
            walk.close()
            raise

    def _walk(self, walk: "_Walk", names: list[str], *, follow: bool, folder: bool) -> Place:
        links = 0
        while names:
            name = names.pop()
            if walk.special(name):
                continue
            path, last = f"{walk.path}/{name}", not names
            if path == "/dev" and len(names) == 1 and f"/dev/{names[0]}" in DEVICES:
                return walk.end(name, device=DEVICES[f"/dev/{names[0]}"])
            if not last and walk.entered(name):
                continue
            try:
                mode = os.stat(name, dir_fd=walk.folder, follow_symlinks=False).st_mode
            except FileNotFoundError:
                if not last:
                    raise
                return walk.end(name)
            if stat.S_ISLNK(mode) and (follow or not last):
                links += 1
                if links > MAXSYMLINKS:
                    raise DarwinError(ELOOP)
                target = os.readlink(name, dir_fd=walk.folder)
                if target.startswith("/"):
                    walk.restart()
                names += _names(target)
            elif not last or (folder and stat.S_ISDIR(mode)):
                walk.enter(name)
            elif folder:
                raise DarwinError(ENOTDIR)
            else:
                return walk.end(name)
        return walk.end(".")


class _Walk:
    """The folders from the root to where a walk stands, each held open: `..` goes back to the one before."""

    def __init__(self, mounts: dict[str, Mount]) -> None:
        self.mounts = mounts
        self.paths = [""]
        self.folders = [(os.dup(mounts["/"].descriptor), mounts["/"].writable)]

    @property
    def path(self) -> str:
        return self.paths[-1]

    @property
    def folder(self) -> int:
        return self.folders[-1][0]

    def special(self, name: str) -> bool:
        """Goes on by a name that the host's folder is not asked for; ENAMETOOLONG for what it would not be asked."""
        if len(os.fsencode(name)) > NAME_MAX:
            raise DarwinError(ENAMETOOLONG)
        if name == "..":
            if len(self.paths) > 1:
                self.paths.pop()
                os.close(self.folders.pop()[0])
            return True
        path = f"{self.path}/{name}"
        mount = self.mounts.get(path)
        if mount:
            self.paths.append(path)
            self.folders.append((os.dup(mount.descriptor), mount.writable))
        return mount is not None

    def enter(self, name: str) -> None:
        """Goes into a folder; whatever is no folder, a link that has just been put there too, is ENOTDIR."""
        folder = os.open(name, _FOLDER, dir_fd=self.folder)
        self.paths.append(f"{self.path}/{name}")
        self.folders.append((folder, self.folders[-1][1]))

    def entered(self, name: str) -> bool:
        """Goes into what most names of a path are, a folder; False for all else."""
        try:
            self.enter(name)
        except NotADirectoryError:
            return False
        return True

    def restart(self) -> None:
        """Goes back to the root."""
        while len(self.paths) > 1:
            self.special("..")

    def end(self, name: str, device: str = "") -> Place:
        """The place of a name here, or of the folder itself."""
        path = device or (self.path if name == "." else f"{self.path}/{name}")
        folder, writable = self.folders.pop()
        self.close()
        return Place(path=path or "/", folder=folder, name=name, writable=writable, device=device)

    def close(self) -> None:
        """Lets go of all folders."""
        for folder, _ in self.folders:
            os.close(folder)
        self.folders = []


def _names(path: str) -> list[str]:
    """A path's names, the last one first, without those that mean nothing."""
    if "\0" in path:
        raise DarwinError(EINVAL)
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
