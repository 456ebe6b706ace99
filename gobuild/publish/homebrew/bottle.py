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
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gobuild.core import files
from gobuild.core.archives import damage_refused
from gobuild.core.errors import PackageError, UnsafeArchive
from gobuild.core.goversion import Target
from gobuild.core.manifest import Manifest
from gobuild.publish.builds import Build
from gobuild.publish.homebrew.formula import Recipe, render_formula
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


def bottle_tag(manifest: Manifest) -> str:
    """Homebrew's name of a platform: "arm64_big_sur", "big_sur", "arm64_linux", "x86_64_linux".

    Verify wrote into the outer manifest which macOS bin/go asks for.

    Raises:
        PackageError: a macOS that Homebrew has no word for, or none in the manifest.
    """
    target, cpu = manifest.build.target, _cpu(manifest.build.target)
    if target.goos == "linux":
        return f"{cpu}_linux"
    seen = (each.seen for each in manifest.checks if (each.subject, each.name) == ("bin/go", "platform"))
    match = re.match(r"macOS (\d+)\.", next(seen, ""))
    word = MACS.get(max(int(match[1]), min(MACS))) if match else None
    if word is None:
        newest = f"whose name at Homebrew is not known here: {max(MACS)} is the newest known"
        says = (
            f"needs macOS {match[1]}, {newest}"
            if match
            else "has a manifest that does not say which macOS bin/go needs"
        )
        hint = f"build it with this gobuild, a newer gobuild, or {_WITHOUT}"
        raise PackageError(f"{manifest.stamp} for {target} {says}", hint)
    return word if cpu == "x86_64" else f"{cpu}_{word}"


def _cpu(target: Target) -> str:
    return "arm64" if target.goarch == "arm64" else "x86_64"


def make_bottle(build: Build, recipe: Recipe, folder: Path) -> Path:
    """Makes the bottle of a recipe that has no bottles yet, or leaves the one that stands there: bytes never change."""
    archive = build.archive("toolchain").path
    path = folder / bottle_file(recipe.formula, recipe.pkg_version, bottle_tag(build.manifest))
    if not path.is_file():
        with files.atomic_write(path) as temporary, temporary.open("wb") as raw, damage_refused(archive):
            _write_bottle(raw, archive, recipe, build.target)
    return path


def pins_toolchain(archive: Path) -> bool:
    """Says whether a toolchain's go.env has GOTOOLCHAIN=local; the archive is read no farther than to there."""
    with damage_refused(archive), tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name == f"{TOP}/go.env" else None
            if content:
                return b"GOTOOLCHAIN=local" in content.read(1 << 16).splitlines()
    return False


def _write_bottle(raw: IO[bytes], archive: Path, recipe: Recipe, target: Target) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as out,
    ):
        # Homebrew takes the keg's name and version from the first entry (utils/bottles.rb, resolve_version).
        top, keg, programs = f"{recipe.formula}/{recipe.pkg_version}", _Keg(out=out, made={recipe.formula}), 0
        with tarfile.open(archive, "r|gz") as packed_go:
            for member in packed_go:
                name = _name_below_top(member, archive)
                if name and not any(name.startswith(f"{package}/testdata/") for package in TEST_DATA):
                    keg.mtime = keg.mtime or int(member.mtime)
                    executable = bool(member.mode & 0o100)
                    programs += executable and name in ("bin/go", "bin/gofmt")
                    path = f"{top}/{name}" if name in MOVED else f"{top}/libexec/{name}"
                    content = packed_go.extractfile(member)
                    keg.add(path, 0o755 if executable else 0o644, size=member.size, content=content)
        if programs != 2:
            raise PackageError(f"{archive.name} has no go/bin/go and go/bin/gofmt", "build it again")
        links = {"go": "go", "gofmt": "gofmt"} if recipe.versioned else {recipe.formula: "go"}
        for link, program in sorted((links | {recipe.stamp: "go"}).items()):  # as the formula's `install` makes them
            keg.add(f"{top}/bin/{link}", 0o777, kind=tarfile.SYMTYPE, link=f"../libexec/bin/{program}")
        for name, text in (
            (f".brew/{recipe.formula}.rb", render_formula(recipe).encode()),
            ("INSTALL_RECEIPT.json", _receipt(recipe, target, keg.mtime)),
        ):
            keg.add(f"{top}/{name}", 0o644, size=len(text), content=io.BytesIO(text))


def _name_below_top(member: tarfile.TarInfo, archive: Path) -> str:
    """An entry's name below the archive's top folder; "" for a folder."""
    top, _, name = member.name.partition("/")
    if member.isdir():
        return ""
    if top != TOP or not name or ".." in name.split("/") or not member.isreg():
        raise UnsafeArchive(f"{archive.name} has an entry that no Go archive has: {member.name!r}", "build it again")
    return name


def _receipt(recipe: Recipe, target: Target, mtime: int) -> bytes:
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
            "tap": recipe.urls.tap_name or None,
            "tap_git_head": None,
        },
        "arch": _cpu(target),
        "built_on": None,
    }
    return f"{json.dumps(receipt, indent=2)}\n".encode()


@dataclass(slots=True, kw_only=True)
class _Keg:
    """The tar file of a keg, written from front to back; its folders appear as they are needed.

    `mtime` is that of all entries: the archive's, which is the time in VERSION.
    """

    out: tarfile.TarFile
    made: set[str]
    mtime: int = 0

    def add(
        self,
        path: str,
        mode: int,
        *,
        kind: bytes = tarfile.REGTYPE,
        size: int = 0,
        link: str = "",
        content: IO[bytes] | None = None,
    ) -> None:
        folder = path.rpartition("/")[0]
        if folder not in self.made:
            self.made.add(folder)
            self.add(folder, 0o755, kind=tarfile.DIRTYPE)
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode, self.mtime, size, link
        self.out.addfile(info, content)
