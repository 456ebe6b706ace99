"""Bottles made without brew: a toolchain's archive comes in, the .tar.gz that Homebrew pours goes out.

With one, a Mac needs no Command Line Tools to install the formula. What `install` and brew itself would have made of
the archive stands in it: libexec without the test data of other systems, the links in bin, the licence at the top,
the formula, and a receipt that says that no file has to be relocated. It is streamed, entry by entry, and the same
archive and formula give the same bytes (with the same zlib).
"""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gobuild.core import files
from gobuild.core.errors import PackageError, UnsafeArchive
from gobuild.core.manifest import Manifest
from gobuild.core.model import Target
from gobuild.publish.homebrew.formula import MOVED, TEST_DATA, Poured, Recipe
from gobuild.publish.homebrew.formula import text as formula_text

RECEIPT_OF = "6.0.18"
"""The Homebrew whose receipts ours are like. On Linux, brew looks through every file of a bottle again whose receipt
names one older than 5.1.15 (extend/os/linux/bottle_specification.rb)."""

MACS = {11: "big_sur", 12: "monterey", 13: "ventura", 14: "sonoma", 15: "sequoia", 26: "tahoe", 27: "golden_gate"}
"""Homebrew's word for each macOS (macos_version.rb). A bottle serves that macOS and newer ones (utils/bottles.rb).
What runs on an older one than the first has the first's tag: Homebrew 7 runs on none older than 11."""

WITHOUT = "no bottles: publish --no-bottles, tap.update without --bottles"

ENDING = ".bottle.tar.gz"

TOP = "go"
"""The one folder of an archive, as distpack makes it."""

_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A bottle to make.

    Attributes:
        archive: the toolchain's .tar.gz.
        recipe: the formula, without bottles.
        target: what the toolchain runs on.
        tag: Homebrew's name of the platform.
    """

    archive: Path
    recipe: Recipe
    target: Target
    tag: str

    @property
    def keg(self) -> str:
        """The folder below Homebrew's Cellar."""
        return f"{self.recipe.formula}/{self.recipe.stamp.removeprefix('go')}"

    @property
    def file(self) -> str:
        """Its name below `root_url`."""
        return file_name(self.recipe.formula, self.recipe.stamp, self.tag)


def file_name(formula: str, stamp: str, tag: str) -> str:
    """A bottle's name below `root_url`: one hyphen, where brew's own file names have two (bottle.rb, url_encode)."""
    return f"{formula}-{stamp.removeprefix('go')}.{tag}{ENDING}"


def tag(target: Target, manifest: Manifest) -> str:
    """Homebrew's name of a platform: "arm64_big_sur", "big_sur", "arm64_linux", "x86_64_linux".

    Args:
        target: what the toolchain runs on.
        manifest: its outer manifest, in which verify wrote down which macOS bin/go asks for.

    Raises:
        PackageError: a macOS that Homebrew has no word for, or none in the manifest.
    """
    cpu = "arm64" if target.goarch == "arm64" else "x86_64"
    if target.goos == "linux":
        return f"{cpu}_linux"
    seen = (each.seen for each in manifest.checks if (each.subject, each.name) == ("bin/go", "platform"))
    match = re.match(r"macOS (\d+)\.", next(seen, ""))
    if not match:
        raise PackageError(
            f"the manifest of {manifest.stamp} for {target} does not say which macOS bin/go needs",
            f"build it with this gobuild, or {WITHOUT}",
        )
    word = MACS.get(max(int(match[1]), min(MACS)), "")
    if not word:
        raise PackageError(
            f"{manifest.stamp} for {target} needs macOS {match[1]}, for which Homebrew's name is not known here:"
            f" {max(MACS)} is the newest known",
            f"a newer gobuild, or {WITHOUT}",
        )
    return word if cpu == "x86_64" else f"{cpu}_{word}"


def make(job: Job, folder: Path) -> Poured:
    """Makes a bottle, or takes the one that stands there: under one name, bytes never change.

    Args:
        job: which.
        folder: where it goes.

    Raises:
        PackageError: the archive is not laid out as Go's are.
        UnsafeArchive: it is damaged, or has an entry that is no plain file.
    """
    path = folder / job.file
    if not path.is_file():
        with files.atomic_write(path) as temporary, temporary.open("wb") as raw:
            try:
                _write(job, raw)
            except (tarfile.TarError, EOFError, OSError) as error:
                if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                    raise
                raise UnsafeArchive(f"{job.archive.name} is no whole archive: {error}", "build it again") from error
    return Poured(tag=job.tag, sha256=files.sha256(path))


def _write(job: Job, raw: IO[bytes]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as out,
    ):
        built = _Keg(out=out, keg=job.keg)
        with tarfile.open(job.archive, "r|gz") as archive:
            for member in archive:
                name = _name(member, job.archive)
                if name and not _left_out(name):
                    built.mtime = built.mtime or int(member.mtime)
                    place = name if name in MOVED else f"libexec/{name}"
                    built.file(place, member.size, archive.extractfile(member), executable=bool(member.mode & 0o100))
        for link, points_to in _links(job.recipe):
            built.link(link, points_to)
        built.text(f".brew/{job.recipe.formula}.rb", formula_text(job.recipe))
        built.text("INSTALL_RECEIPT.json", _receipt(job, built.mtime))
        built.whole(job)


def _name(member: tarfile.TarInfo, archive: Path) -> str:
    """An entry's name below the archive's top folder; "" for a folder."""
    top, _, name = member.name.partition("/")
    if member.isdir():
        return ""
    if top != TOP or not name or ".." in name.split("/") or not member.isreg():
        raise UnsafeArchive(f"{archive.name} has an entry that no Go archive has: {member.name!r}", "build it again")
    return name


def _left_out(name: str) -> bool:
    return any(name.startswith(f"{package}/testdata/") for package in TEST_DATA)


def _links(recipe: Recipe) -> Iterable[tuple[str, str]]:
    """The links in bin, as the formula's `install` makes them."""
    names = {"go": "go", "gofmt": "gofmt"} if recipe.versioned else {recipe.formula: "go"}
    for link, program in sorted((names | {recipe.stamp: "go"}).items()):
        yield f"bin/{link}", f"../libexec/bin/{program}"


def _receipt(job: Job, mtime: int) -> str:
    """What brew reads before it pours (tab.rb): no file was changed for the place it was built in, none must be now."""
    version = job.recipe.stamp.removeprefix("go")
    receipt = {
        "homebrew_version": RECEIPT_OF,
        "used_options": [],
        "unused_options": [],
        "built_as_bottle": True,
        "poured_from_bottle": False,
        "installed_on_request": False,
        "changed_files": [],
        "time": mtime,
        "source_modified_time": mtime,
        "compiler": "clang" if job.target.goos == "darwin" else "gcc",
        "aliases": [],
        "runtime_dependencies": [],
        "source": {
            "spec": "stable",
            "versions": {"stable": version, "head": None, "version_scheme": job.recipe.scheme},
            "path": None,
            "tap": job.recipe.tap or None,
            "tap_git_head": None,
        },
        "arch": "arm64" if job.target.goarch == "arm64" else "x86_64",
        "built_on": None,
    }
    return json.dumps(receipt, indent=2) + "\n"


@dataclass(slots=True)
class _Keg:
    """The tar file of a keg, written from front to back; its folders appear as they are needed.

    Attributes:
        out: the tar file.
        keg: the folder in it.
        mtime: of all entries: that of the archive's, which is the time in VERSION.
    """

    out: tarfile.TarFile
    keg: str
    mtime: int = 0
    made: set[str] | None = None
    programs: int = 0

    def _entry(self, name: str, *, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"{self.keg}/{name}".rstrip("/"))
        info.mode, info.mtime = mode, self.mtime
        return info

    def _folders(self, name: str) -> None:
        """Homebrew takes the keg's name and version from the first entry (utils/bottles.rb, resolve_version)."""
        made = self.made = set() if self.made is None else self.made
        parts = name.split("/")[:-1]
        for count in range(len(parts) + 1):
            folder = "/".join(parts[:count])
            if folder not in made:
                made.add(folder)
                info = self._entry(folder, mode=0o755)
                info.type = tarfile.DIRTYPE
                self.out.addfile(info)

    def file(self, name: str, size: int, content: IO[bytes] | None, *, executable: bool) -> None:
        self._folders(name)
        info = self._entry(name, mode=0o755 if executable else 0o644)
        info.size = size
        self.out.addfile(info, content)
        self.programs += name in ("libexec/bin/go", "libexec/bin/gofmt") and executable

    def text(self, name: str, content: str) -> None:
        data = content.encode()
        self.file(name, len(data), io.BytesIO(data), executable=False)

    def link(self, name: str, points_to: str) -> None:
        self._folders(name)
        info = self._entry(name, mode=0o777)
        info.type, info.linkname = tarfile.SYMTYPE, points_to
        self.out.addfile(info)

    def whole(self, job: Job) -> None:
        if self.programs != 2:
            raise PackageError(f"{job.archive.name} has no go/bin/go and go/bin/gofmt", "build it again")


def pinned(archive: Path) -> bool:
    """Whether a toolchain's go.env says GOTOOLCHAIN=local; the archive is read no farther than to there.

    Raises:
        UnsafeArchive: it is damaged.
    """
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.name == f"{TOP}/go.env" else None
                if content:
                    return b"GOTOOLCHAIN=local" in content.read(1 << 16).splitlines()
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise UnsafeArchive(f"{archive.name} is no whole archive: {error}", "build it again") from error
    return False
