"""Bottles made without brew: the .tar.gz that Homebrew pours, from a toolchain's archive.

With one, a Mac needs no Command Line Tools to install the formula. In it stands what `install` and brew itself would
have made of the archive: libexec without the test data of other systems, the links in bin, the licence at the top, the
formula, and a receipt that says that no file has to be relocated. The same archive and formula give the same bytes
(with the same zlib).
"""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gobuild.core import files
from gobuild.core.errors import PackageError, UnsafeArchive
from gobuild.core.goversion import Target
from gobuild.core.manifest import Manifest
from gobuild.publish.homebrew.formula import Bottle, Recipe, render_formula
from gobuild.publish.homebrew.formula_spec import bottle_file

RECEIPT_OF = "6.0.18"
"""The Homebrew whose receipts ours are like. On Linux, brew looks through every file of a bottle again whose receipt
names one older than 5.1.15 (extend/os/linux/bottle_specification.rb)."""

MACS = {11: "big_sur", 12: "monterey", 13: "ventura", 14: "sonoma", 15: "sequoia", 26: "tahoe", 27: "golden_gate"}
"""Homebrew's word for each macOS (macos_version.rb). A bottle serves that macOS and newer ones (utils/bottles.rb).
What runs on an older one than the first has the first's tag: Homebrew 7 runs on none older than 11."""

MOVED = ("LICENSE", "README.md")
"""The files that brew moves from libexec to the keg's top (metafiles.rb) and that Go's archives may have."""

TEST_DATA = ("src/debug/dwarf", "src/debug/elf", "src/debug/macho", "src/debug/pe", "src/runtime/pprof")
"""Packages whose testdata/ holds programs of other systems, which `brew audit --strict` refuses in a keg."""

TOP = "go"
"""The one folder of an archive, as distpack makes it."""

_WITHOUT = "no bottles: publish --no-bottles, tap.update without --bottles"
_LEVEL = 6


def bottle_tag(target: Target, manifest: Manifest) -> str:
    """Homebrew's name of a platform: "arm64_big_sur", "big_sur", "arm64_linux", "x86_64_linux".

    Verify wrote into the outer manifest which macOS bin/go asks for.

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
            f"build it with this gobuild, or {_WITHOUT}",
        )
    word = MACS.get(max(int(match[1]), min(MACS)), "")
    if not word:
        raise PackageError(
            f"{manifest.stamp} for {target} needs macOS {match[1]}, for which Homebrew's name is not known here:"
            f" {max(MACS)} is the newest known",
            f"a newer gobuild, or {_WITHOUT}",
        )
    return word if cpu == "x86_64" else f"{cpu}_{word}"


def make_bottle(archive: Path, recipe: Recipe, target: Target, tag: str, folder: Path) -> Bottle:
    """Makes the bottle of a recipe that has no bottles yet, or takes the one that stands there: bytes never change.

    Raises:
        PackageError: the archive is not laid out as Go's are.
        UnsafeArchive: it is damaged, or has an entry that is no plain file.
    """
    path = folder / bottle_file(recipe.formula, recipe.pkg_version, tag)
    if not path.is_file():
        with files.atomic_write(path) as temporary, temporary.open("wb") as raw, _damage_is_told(archive):
            _write_bottle(raw, archive, recipe, target)
    return Bottle(tag=tag, sha256=files.sha256(path))


def pins_toolchain(archive: Path) -> bool:
    """Says whether a toolchain's go.env has GOTOOLCHAIN=local; the archive is read no farther than to there.

    Raises:
        UnsafeArchive: it is damaged.
    """
    with _damage_is_told(archive), tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name == f"{TOP}/go.env" else None
            if content:
                return b"GOTOOLCHAIN=local" in content.read(1 << 16).splitlines()
    return False


@contextmanager
def _damage_is_told(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise UnsafeArchive(f"{archive.name} is no whole archive: {error}", "build it again") from error


def _write_bottle(raw: IO[bytes], archive: Path, recipe: Recipe, target: Target) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as out,
    ):
        keg, programs = _Keg(out=out, folder=f"{recipe.formula}/{recipe.pkg_version}"), 0
        with tarfile.open(archive, "r|gz") as packed_go:
            for member in packed_go:
                name = _name_below_top(member, archive)
                if name and not any(name.startswith(f"{package}/testdata/") for package in TEST_DATA):
                    keg.mtime = keg.mtime or int(member.mtime)
                    executable = bool(member.mode & 0o100)
                    programs += executable and name in ("bin/go", "bin/gofmt")
                    path = name if name in MOVED else f"libexec/{name}"
                    keg.add_file(path, member.size, packed_go.extractfile(member), executable=executable)
        if programs != 2:
            raise PackageError(f"{archive.name} has no go/bin/go and go/bin/gofmt", "build it again")
        for link, program in _links(recipe):
            keg.add_link(f"bin/{link}", f"../libexec/bin/{program}")
        keg.add_text(f".brew/{recipe.formula}.rb", render_formula(recipe))
        keg.add_text("INSTALL_RECEIPT.json", _receipt(recipe, target, keg.mtime))


def _name_below_top(member: tarfile.TarInfo, archive: Path) -> str:
    """An entry's name below the archive's top folder; "" for a folder."""
    top, _, name = member.name.partition("/")
    if member.isdir():
        return ""
    if top != TOP or not name or ".." in name.split("/") or not member.isreg():
        raise UnsafeArchive(f"{archive.name} has an entry that no Go archive has: {member.name!r}", "build it again")
    return name


def _links(recipe: Recipe) -> Iterable[tuple[str, str]]:
    """The links in bin and their programs, as the formula's `install` makes them."""
    links = {"go": "go", "gofmt": "gofmt"} if recipe.versioned else {recipe.formula: "go"}
    return sorted((links | {recipe.stamp: "go"}).items())


def _receipt(recipe: Recipe, target: Target, mtime: int) -> str:
    """What brew reads before it pours (tab.rb): no file was changed for the place it was built in, none must be now."""
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
        "compiler": "clang" if target.goos == "darwin" else "gcc",
        "aliases": [],
        "runtime_dependencies": [],
        "source": {
            "spec": "stable",
            "versions": {"stable": recipe.pkg_version, "head": None, "version_scheme": recipe.scheme},
            "path": None,
            "tap": recipe.tap or None,
            "tap_git_head": None,
        },
        "arch": "arm64" if target.goarch == "arm64" else "x86_64",
        "built_on": None,
    }
    return json.dumps(receipt, indent=2) + "\n"


@dataclass(slots=True, kw_only=True)
class _Keg:
    """The tar file of a keg, written from front to back; its folders appear as they are needed.

    Attributes:
        folder: below Homebrew's Cellar.
        mtime: of all entries: that of the archive's, which is the time in VERSION.
    """

    out: tarfile.TarFile
    folder: str
    mtime: int = 0
    made: set[str] = field(default_factory=set)

    def _entry(self, name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        if kind != tarfile.DIRTYPE:
            self._add_folders(name)
        info = tarfile.TarInfo(f"{self.folder}/{name}".rstrip("/"))
        info.type, info.mode, info.mtime = kind, mode, self.mtime
        return info

    def _add_folders(self, name: str) -> None:
        """Homebrew takes the keg's name and version from the first entry (utils/bottles.rb, resolve_version)."""
        parts = name.split("/")[:-1]
        for count in range(len(parts) + 1):
            folder = "/".join(parts[:count])
            if folder not in self.made:
                self.made.add(folder)
                self.out.addfile(self._entry(folder, tarfile.DIRTYPE, 0o755))

    def add_file(self, name: str, size: int, content: IO[bytes] | None, *, executable: bool = False) -> None:
        info = self._entry(name, tarfile.REGTYPE, 0o755 if executable else 0o644)
        info.size = size
        self.out.addfile(info, content)

    def add_text(self, name: str, text: str) -> None:
        data = text.encode()
        self.add_file(name, len(data), io.BytesIO(data))

    def add_link(self, name: str, points_to: str) -> None:
        info = self._entry(name, tarfile.SYMTYPE, 0o777)
        info.linkname = points_to
        self.out.addfile(info)
