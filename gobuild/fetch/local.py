"""Go's source from this machine, a folder or an archive, which is copied and never changed.

A folder may be a work tree with its .git, or a GOROOT that has been built: what make.bash makes is left out. An
archive is a tarball or zip with one top folder of any name; it is unpacked into the cache once, and then is a folder.
"""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gobuild.core import archives, files
from gobuild.core.errors import ConfigError, FetchError
from gobuild.core.model import Catalog, Release, Source
from gobuild.fetch import goroot


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOrigin:
    """A folder or an archive of this machine."""

    path: Path
    request: str  # the version asked for, which counts where the tree does not tell its own
    cache: Path
    # Folders that are no source wherever they stand: gobuild's own work and dist, which by default stand in the current
    # folder, and that may be the source's
    outside: tuple[Path, ...] = ()
    # Told once of what an editor has left behind in it, which ships with it
    warn: Callable[[str], None] = lambda _text: None

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise ConfigError(f"no folder or archive {self.path}", "the path of Go's source, or of its tarball")
        if self.path.is_dir() and not (self.path / "src/make.bash").is_file():
            raise ConfigError(f"{self.path} is not Go's source: it has no src/make.bash", "the folder above src")

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        return "local"

    def catalog(self) -> Catalog:
        """The one release that it is."""
        root = self._folder()
        version = goroot.version_of(lambda name: goroot.read_text(root / name), self.request)
        names = _names(root, self.outside)
        if litter := [name for name in names if _litter(name)]:
            more = f" and {len(litter) - 3} more" if len(litter) > 3 else ""
            self.warn(f"{self.path} has what editors leave behind, which ships: {', '.join(litter[:3])}{more}")
        identity = files.dirhash(root, names)
        return Catalog(origin=self.name, releases=(Release(version=version, origin=self.name),), identity=identity)

    def source(self, release: Release, into: Path) -> Source:
        """Copies it to `into`."""
        root = self._folder()
        with files.atomic_write(into) as copy:
            copy.mkdir()
            for name in _names(root, self.outside):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, copy / name)
                (copy / name).chmod(0o755 if (root / name).stat().st_mode & stat.S_IXUSR else 0o644)
            digest = files.dirhash(copy)
            added = goroot.complete_source(copy, release.version)
        return Source(release=release, root=into, kind="local", location=str(self.path), digest=digest, added=added)

    def _folder(self) -> Path:
        if self.path.is_dir():
            return self.path
        place = self.cache / "local" / files.sha256(self.path)
        lock = place.with_name(f".{place.name}.lock")
        with files.exclusive_lock(lock, f"unpacking {self.path}", waiting=lambda _said: None):
            if not place.is_dir():
                self._unpack(place)
        return place

    def _unpack(self, place: Path) -> None:
        no_source = FetchError(
            f"{self.path} is no archive of Go's source: it has not one top folder with src/make.bash in it",
            "an archive such as go1.22.10.src.tar.gz",
        )
        tops: set[str] = set()

        def inner(name: str) -> str | None:
            base = PurePosixPath(name).name
            if base == ".DS_Store" or base.startswith("._"):
                return None  # what Finder leaves, and AppleDouble: attributes that macOS's tar adds
            top, _, rest = name.partition("/")
            tops.add(top)
            if len(tops) > 1:
                raise no_source
            return rest or None

        with files.atomic_write(place) as temporary:
            archives.unpack(self.path, temporary, inner)
            if not (temporary / "src/make.bash").is_file():
                raise no_source


def _names(root: Path, outside: tuple[Path, ...]) -> list[str]:
    """The files of a tree that are source, in order; none of the folders `outside`."""
    names = []
    for folder, folders, found in os.walk(root):
        inner = Path(folder).relative_to(root)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = sorted(
            name
            for name in folders
            if name not in links and _wanted(inner / name / "x") and Path(folder, name) not in outside
        )
        for name in sorted(found + links):
            path = inner / name
            if _wanted(path):
                if not stat.S_ISREG((root / path).lstat().st_mode):
                    raise FetchError(
                        f"{root / path} is no plain file, and Go's source has none but those",
                        "without it; a copy of the tree will do",
                    )
                names.append(path.as_posix())
    return names


def _wanted(path: Path) -> bool:
    return ".git" not in path.parts and path.name != ".DS_Store" and goroot.is_source(path.as_posix())


def _litter(name: str) -> bool:
    """Whether a file is what an editor, patch(1) or macOS leaves behind. Go's own tree has none such (1.21 to 1.27)."""
    base = PurePosixPath(name).name
    return base.endswith((".orig", ".rej", "~", ".swp")) or base.startswith("._")
