"""What a GOROOT's source is: its version, the files that belong to it, and the licence that must be added."""

import re
from collections.abc import Callable
from pathlib import Path

from gobuild.core import archives, files, resources
from gobuild.core.errors import ConfigError, FetchError, ResolveError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import GENERATED

LICENCE = ("LICENSE", "PATENTS")
"""What every archive of Go carries, and gobuild's own data holds for trees without it."""

_RELEASE = re.compile(r"go\d+\.\d+(\.\d+)?((beta|rc)\d+)?")
_LINE = re.compile(r"^const Version = (\d+)", re.MULTILINE)


def is_source(name: str) -> bool:
    """Whether a file of a GOROOT, by its path in it, is source: not made by make.bash, nor Git's, nor a wheel's own."""
    top, slash, _ = name.partition("/")
    if slash:
        return top not in ("bin", "pkg", ".git") and name not in GENERATED
    return name not in (".git", "__init__.py") and name not in GENERATED


def unpack_source(archive: Path, into: Path, version: GoVersion) -> tuple[str, ...]:
    """Lays out the source in an archive's folder "go", whole or not at all; returns what `complete_source` does."""
    with files.atomic_write(into) as root:
        archives.unpack(archive, root, below("go", is_source))
        return complete_source(root, version)


def below(top: str, keep: Callable[[str], bool]) -> archives.Select:
    """Takes the files of an archive's folder `top` that `keep` wants, without that folder's name."""
    prefix = f"{top}/"

    def select(name: str) -> str | None:
        inner = name.removeprefix(prefix)
        return inner if inner != name and keep(inner) else None

    return select


def version_of(read: Callable[[str], str], request: str) -> GoVersion:
    """The version of a tree, whose files `read` gives by their names in GOROOT, "" where there is none.

    What the user asked for decides where the tree does not: a development branch has no VERSION, and
    src/internal/goversion tells its line only.
    """
    # Behind the release a fork may have a suffix of its own: "go1.22.10-acme1".
    release = _RELEASE.match(read("VERSION"))
    if release:
        return GoVersion.parse(release[0])
    minor = _LINE.search(read("src/internal/goversion/goversion.go"))
    if not minor:
        raise FetchError(
            "this is not Go's source: neither VERSION nor src/internal/goversion tells a version",
            "the folder that holds src/make.bash",
        )
    line = f"1.{minor[1]}"
    try:
        wanted = GoVersion.parse(request)
    except ConfigError:
        wanted = None
    if wanted and wanted.line == line and (wanted.patch is not None or wanted.stage):
        return wanted
    raise ResolveError(
        f"this source has no VERSION: all that is known is that it is of the line {line}",
        f"the exact version it shall pass for, as in --go {line}.0",
    )


def complete_source(root: Path, version: GoVersion) -> tuple[str, ...]:
    """Checks a tree and adds Go's licence where it is missing; returns the names of the files added."""
    if not (root / "src/make.bash").is_file():
        raise FetchError("this is not Go's source: it has no src/make.bash", "another --source")
    require_version(root, version)
    added = tuple(name for name in LICENCE if not (root / name).exists())
    for name in added:
        files.write(root / name, resources.text(name))
    return added


def require_version(root: Path, version: GoVersion) -> None:
    """Makes sure that a tree is what it is called."""
    found = version_of(lambda name: read_text(root / name), str(version))
    if found != version:
        raise FetchError(f"what is called Go {version} is Go {found} by its own VERSION", "another --source")


def read_text(path: Path) -> str:
    """A file's text, "" where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
