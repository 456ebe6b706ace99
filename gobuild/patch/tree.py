"""A source tree under change: reads come from the disk, writes stay in memory until all of them are known.

Nothing outside the root is read or written, and no symbolic link below it is followed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gobuild.core.errors import PatchError, disk_full_is_ours
from gobuild.core.model import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an operation did to a tree.

    Attributes:
        state: what became of the patch.
        evidence: what was looked for and where, or what was changed: one sentence.
        files: the files changed, relative to the root, sorted.
    """

    state: State
    evidence: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pending:
    content: bytes | None
    executable: bool | None


Mark = Mapping[str, _Pending]
"""The changes noted up to some time."""


@dataclass(slots=True)
class Tree:
    """A folder of files, seen through the changes that wait to be written.

    Args:
        root: the folder.
    """

    root: Path
    _pending: dict[str, _Pending] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The way to the root is the user's own; links matter from here on down.
        self.root = self.root.resolve()
        if not self.root.is_dir():
            raise PatchError(f"there is no source at {self.root}", "fetch it first")

    def read(self, path: str, at: "Mark | None" = None) -> bytes | None:
        """A file's content as it stands now, or None where there is no such file.

        Args:
            path: relative to the root, with slashes.
            at: an earlier `mark`: the content as it stood then.

        Raises:
            PatchError: the path leaves the root, passes a symbolic link, or is no plain file.
        """
        noted = self._pending if at is None else at
        if path in noted:
            return noted[path].content
        place = self._place(path)
        try:
            return place.read_bytes() if place.is_file() else None
        except OSError as error:
            raise PatchError(f"{path} cannot be read: {error.strerror}", "make the source's files readable") from error

    def write(self, path: str, content: bytes, *, executable: bool | None = None) -> None:
        """Notes a file's new content.

        Args:
            path: relative to the root, with slashes.
            content: the whole new content.
            executable: whether a new file can be run; None keeps what the file is.

        Raises:
            PatchError: as `read`.
        """
        self._place(path)
        self._pending[path] = _Pending(content, executable)

    def delete(self, path: str) -> None:
        """Notes that a file goes.

        Raises:
            PatchError: as `read`.
        """
        self._place(path)
        self._pending[path] = _Pending(None, None)

    def mark(self) -> Mark:
        """The tree as it stands now, to `read` from later."""
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

    def names(self, folder: str) -> tuple[str, ...]:
        """The plain files directly in a folder, sorted, as paths relative to the root."""
        place = self._place(folder, final_is_folder=True)
        if not place.is_dir():
            return ()
        found = {f"{folder}/{entry.name}" for entry in os.scandir(place) if entry.is_file(follow_symlinks=False)}
        for path, pending in self._pending.items():
            if str(PurePosixPath(path).parent) == folder:
                (found.discard if pending.content is None else found.add)(path)
        return tuple(sorted(found))

    def walk(self, folder: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        """Every file below a folder whose name ends so, with its content as it stands now; links are passed over."""
        for here, folders, files in os.walk(self.root / folder):
            folders.sort()
            for name in sorted(files):
                place = Path(here) / name
                if name.endswith(suffixes) and not place.is_symlink():
                    path = place.relative_to(self.root).as_posix()
                    content = self.read(path)
                    if content is not None:
                        yield path, content

    def commit(self) -> None:
        """Writes every noted change.

        The new contents are written beside the old files first; only when all of them are on the disk are they
        renamed into place. A rename also leaves alone what a hard link elsewhere holds: a store, a cache.

        Raises:
            DiskFull: there is no room; nothing is changed then.
            PatchError: the tree cannot be written to; nothing is changed then.
        """
        staged: dict[str, Path] = {}
        before = {path: self._on_disk(path) for path in self._pending}
        made: list[Path] = []
        try:
            with disk_full_is_ours(f"patching {self.root}"):
                for path, pending in self._pending.items():
                    if pending.content is not None:
                        made += _make_folders(self._place(path).parent)
                        staged[path] = self._stage(path, pending)
                self._swap(staged, before)
        except OSError as error:
            raise PatchError(
                f"the source cannot be changed: {error.strerror} ({error.filename})",
                "make the source's folder writable, or choose another by --work",
            ) from error
        finally:
            for temporary in staged.values():
                temporary.unlink(missing_ok=True)
            for folder in reversed(made):
                with contextlib.suppress(OSError):  # not empty: it is in use, as it should be
                    folder.rmdir()
        self._pending.clear()

    def _swap(self, staged: dict[str, Path], before: dict[str, tuple[bytes, int] | None]) -> None:
        done: list[str] = []
        try:
            for path in self._pending:
                place = self._place(path)
                done.append(path)
                if path in staged:
                    staged[path].replace(place)
                else:
                    place.unlink(missing_ok=True)
        except BaseException:
            for path in done:
                place, old = self._place(path), before[path]
                with contextlib.suppress(OSError):
                    place.unlink(missing_ok=True)
                    if old is not None:
                        place.write_bytes(old[0])
                        place.chmod(old[1])
            raise

    def _on_disk(self, path: str) -> tuple[bytes, int] | None:
        place = self._place(path)
        return (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) if place.is_file() else None

    def _stage(self, path: str, pending: _Pending) -> Path:
        place = self._place(path)
        temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
        mode = stat.S_IMODE(place.stat().st_mode) if place.is_file() else 0o644
        if pending.executable is not None:
            mode = mode | 0o111 if pending.executable else mode & ~0o111
        try:
            temporary.write_bytes(pending.content or b"")
            temporary.chmod(mode)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _place(self, path: str, *, final_is_folder: bool = False) -> Path:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path:
            raise PatchError(f"the path {path!r} leaves the source", "a path relative to GOROOT, with slashes")
        for place, last in self._steps(parts):
            try:
                mode = place.lstat().st_mode
            except FileNotFoundError:
                break
            if stat.S_ISLNK(mode):
                raise PatchError(
                    f"{place.relative_to(self.root)} is a symbolic link in the source, and is not followed",
                    "use a source whose files and folders are real",
                )
            wanted = stat.S_ISDIR if final_is_folder or not last else stat.S_ISREG
            if not wanted(mode):
                kind = "folder" if final_is_folder or not last else "plain file"
                raise PatchError(f"{place.relative_to(self.root)} is no {kind} in the source", "look at the source")
        return self.root.joinpath(*parts)

    def _steps(self, parts: tuple[str, ...]) -> Iterator[tuple[Path, bool]]:
        for count in range(1, len(parts) + 1):
            yield self.root.joinpath(*parts[:count]), count == len(parts)


def _make_folders(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir()
    return missing[::-1]
