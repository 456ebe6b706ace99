"""A source tree under change: reads come from the disk, writes stay in memory until all of them are known.

Nothing outside the root is read or written, and no symbolic link below it is followed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
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

    def has_file(self, path: str) -> bool:
        """Whether there is such a file that may be read; what leaves the tree is none."""
        try:
            return self.read_file(path) is not None
        except PatchError:
            return False

    def read_file(self, path: str) -> bytes | None:
        """A file's content as it stands now; None where there is no such file.

        Raises:
            PatchError: the path leaves the root, passes a symbolic link, or is no plain file.
        """
        if path in self._pending:
            return self._pending[path].content
        place = self._resolve(path)
        return place.read_bytes() if place.is_file() else None

    def write_file(self, path: str, content: bytes, *, executable: bool | None = None) -> None:
        """Notes a file's new content, and whether it can be run; None keeps what it is."""
        self._resolve(path)
        if executable is None and path in self._pending:
            executable = self._pending[path].executable
        self._pending[path] = _Pending(content, executable)

    def delete_file(self, path: str) -> None:
        """Notes that a file goes."""
        self._resolve(path)
        self._pending[path] = _Pending(None, None)

    def is_executable(self, path: str) -> bool:
        """Whether a file can be run."""
        noted = self._pending.get(path)
        place = self._resolve(path)
        if noted and (noted.content is None or noted.executable is not None):
            return bool(noted.executable)
        return place.is_file() and bool(place.stat().st_mode & stat.S_IXUSR)

    @contextlib.contextmanager
    def trial(self, *, keep: bool = True) -> Iterator["Tree"]:
        """A block whose noted changes are taken back if it fails, or unless they are to be kept.

        It is given the tree as it was before.
        """
        before = Tree(self.root, dict(self._pending))
        try:
            yield before
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                self._pending = before._pending

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
        for here, _, found in os.walk(self.root / folder):
            for name in found:
                place = Path(here) / name
                if name.endswith(suffixes) and not place.is_symlink():
                    path = place.relative_to(self.root).as_posix()
                    if (content := self.read_file(path)) is not None:
                        yield path, content

    def commit(self) -> None:
        """Writes every noted change, each file by a rename: what a hard link elsewhere holds stays as it is."""
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
