"""A source tree under change: reads come from the disk, writes stay in memory until all of them are known.

Nothing outside the root is read or written, and no symbolic link below it is followed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gobuild.core import files
from gobuild.core.errors import PatchError
from gobuild.core.model import State


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChange:
    """What an operation did to a tree: one sentence of evidence, and the files changed, by their sorted paths."""

    state: State
    evidence: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pending:
    content: bytes | None
    executable: bool | None


Snapshot = Mapping[str, _Pending]
"""The changes noted up to some time."""


@dataclass(slots=True)
class Tree:
    """A folder of files, seen through the changes that wait to be written. Paths in it are relative, with slashes."""

    root: Path
    _pending: dict[str, _Pending] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The way to the root is the user's own; links matter from here on down.
        self.root = self.root.resolve()
        if not self.root.is_dir():
            raise PatchError(f"there is no source at {self.root}", "fetch it first")

    def read_file(self, path: str, at: "Snapshot | None" = None) -> bytes | None:
        """A file's content as it stands now, or stood at an earlier `snapshot`; None where there is no such file.

        Raises:
            PatchError: the path leaves the root, passes a symbolic link, or is no plain file.
        """
        noted = self._pending if at is None else at
        if path in noted:
            return noted[path].content
        place = self._resolve(path)
        try:
            return place.read_bytes() if place.is_file() else None
        except OSError as error:
            raise PatchError(f"{path} cannot be read: {error.strerror}", "make the source's files readable") from error

    def write_file(self, path: str, content: bytes, *, executable: bool | None = None) -> None:
        """Notes a file's new content, and whether it can be run; None keeps what it is."""
        self._resolve(path)
        self._pending[path] = _Pending(content, executable)

    def delete_file(self, path: str) -> None:
        """Notes that a file goes."""
        self._resolve(path)
        self._pending[path] = _Pending(None, None)

    def is_executable(self, path: str) -> bool:
        """Whether a file can be run."""
        noted = self._pending.get(path)
        place = self._resolve(path)
        if noted and noted.executable is not None:
            return noted.executable
        return place.is_file() and os.access(place, os.X_OK)

    def snapshot(self) -> Snapshot:
        """The tree as it stands now, to `read_file` from later."""
        return dict(self._pending)

    @contextlib.contextmanager
    def trial(self, *, keep: bool = True) -> Iterator[None]:
        """A block whose noted changes are taken back if it fails, or unless they are to be kept."""
        before = dict(self._pending)
        try:
            yield
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                self._pending = before

    def list_files(self, folder: str) -> tuple[str, ...]:
        """The plain files directly in a folder, sorted, as paths relative to the root."""
        place = self._resolve(folder, final_is_folder=True)
        if not place.is_dir():
            return ()
        found = {f"{folder}/{entry.name}" for entry in os.scandir(place) if entry.is_file(follow_symlinks=False)}
        for path, pending in self._pending.items():
            if str(PurePosixPath(path).parent) == folder:
                (found.discard if pending.content is None else found.add)(path)
        return tuple(sorted(found))

    def walk_files(self, folder: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        """Every file below a folder whose name ends so, with its content as it stands now; links are passed over."""
        for here, folders, found in os.walk(self.root / folder):
            folders.sort()
            for name in sorted(found):
                place = Path(here) / name
                if name.endswith(suffixes) and not place.is_symlink():
                    path = place.relative_to(self.root).as_posix()
                    content = self.read_file(path)
                    if content is not None:
                        yield path, content

    def commit(self) -> None:
        """Writes every noted change, each file by a rename: what a hard link elsewhere holds (a cache) stays as it is.

        Raises:
            OSError: there is no room, or no right to write. What was written until then stays.
        """
        for path, pending in self._pending.items():
            place = self._resolve(path)
            if pending.content is None:
                place.unlink(missing_ok=True)
                continue
            mode = stat.S_IMODE(place.stat().st_mode) if place.is_file() else 0o644
            if pending.executable is not None:
                mode = mode | 0o111 if pending.executable else mode & ~0o111
            with files.atomic_write(place) as temporary:
                temporary.write_bytes(pending.content)
                temporary.chmod(mode)
        self._pending.clear()

    def _resolve(self, path: str, *, final_is_folder: bool = False) -> Path:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path:
            raise PatchError(f"the path {path!r} leaves the source", "a path relative to GOROOT, with slashes")
        place = self.root
        for count, part in enumerate(parts, 1):
            place /= part
            try:
                mode = place.lstat().st_mode
            except FileNotFoundError:
                break
            if stat.S_ISLNK(mode):
                raise PatchError(
                    f"{place.relative_to(self.root)} is a symbolic link in the source, and is not followed",
                    "use a source whose files and folders are real",
                )
            folder = final_is_folder or count < len(parts)
            if not (stat.S_ISDIR if folder else stat.S_ISREG)(mode):
                kind = "folder" if folder else "plain file"
                raise PatchError(f"{place.relative_to(self.root)} is no {kind} in the source", "look at the source")
        return self.root.joinpath(*parts)
