"""Whole builds, each a `gobuild build` of its own: words come in, what a run cost and what it said of itself go out."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.child import Cost, timed
from gobuild.core import files
from gobuild.core.errors import CommandError
from gobuild.core.manifest import NAME, Manifest, read_manifest
from gobuild.core.process import Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished build.

    Attributes:
        cost: what its process took, with all that it started.
        stamp: what the toolchain calls itself.
        builder: how it was built.
        seconds: wall seconds of each stage and program, as its manifest has them.
        cpu_seconds: CPU seconds of each program, as its manifest has them.
        peak_memory_mib: of gobuild's own process.
        archives: the SHA-256 of each archive in dist/, read again here.
    """

    cost: Cost
    stamp: str
    builder: str
    seconds: Mapping[str, float]
    cpu_seconds: Mapping[str, float]
    peak_memory_mib: float
    archives: Mapping[str, str]


def build(words: Mapping[str, str], *, folder: Path, store: Path, run: Runner, fresh: bool = False) -> Run:
    """Builds in a folder of its own.

    Args:
        words: the settings, by name: "go", "target", "builder" and so on.
        folder: gets `dist`, `build` and `output.log`.
        store: the store of finished toolchains and host tools.
        run: starts the process.
        fresh: whether to build although the store has it.

    Raises:
        CommandError: the build failed, or another builder made it than was asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dist = folder / "dist"
    places = {"dist": dist, "work": folder / "build", "store": store}
    flags = [word for name, value in {**words, **places}.items() for word in (f"--{name}", str(value))]
    argv = [sys.executable, "-m", "gobuild", "build", *flags, *(["--fresh"] if fresh else [])]
    cost, _ = timed(argv, folder=folder, log=folder / "output.log", run=run)
    (path,) = dist.glob(f"*.{NAME}")
    return _read(path, cost, wanted=words["builder"])


def toolchain(dist: Path) -> Path:
    """The toolchain's archive in dist/, where nothing else was built."""
    (archive,) = (path for path in dist.glob("go*.tar.gz") if not path.name.endswith(".src.tar.gz"))
    return archive


def _read(path: Path, cost: Cost, *, wanted: str) -> Run:
    told = read_manifest(path, Manifest)
    said, builder = told.run, told.build.builder
    if builder != wanted:
        raise CommandError(f"{wanted} was asked for, and {builder} built {told.stamp}")
    return Run(
        cost=cost,
        stamp=told.stamp,
        builder=builder,
        seconds=said["seconds"],
        cpu_seconds=said["cpu_seconds"],
        peak_memory_mib=said["peak_memory_mib"],
        archives={each.file: files.sha256(path.parent / each.file) for each in told.artifacts},
    )
