"""Compiles gobuild's own Go programs, whose source stands in templates/: gowrap, and the test image's program.

Nothing of this machine gets into them: not its environment, its caches, its paths, nor a git repository around it.
"""

import shutil
from pathlib import Path

from gobuild.core import files, goenv, resources
from gobuild.core.errors import BuildError, CommandError, ConfigError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Runner

STATIC = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")
"""What the static profile is for a program: no path and no git repository of this machine, no symbols, no DWARF."""

LIMIT = 900.0
"""Seconds for one compilation; measured for the test image by 1.22.10 on two cores: 10."""


def run_go(goroot: Path, module: str, *words: str | Path, target: Target, scratch: Path, run: Runner) -> None:
    """Runs a toolchain's go command, without cgo, in a copy of a module of templates/ below the folder `scratch`."""
    work = scratch.absolute()
    source = work / "source"
    if not source.exists():
        shutil.copytree(resources.folder("templates") / module, source)
        (work / "tmp").mkdir()
    environment = goenv.closed(work, goroot=goroot, target=target)
    try:
        run([goroot.absolute() / "bin" / "go", *words], env=environment, cwd=source, timeout=LIMIT)
    except ToolMissing as error:
        raise ToolMissing(error.reason, f"--goroot with a toolchain for {Target.host()}") from error
    except CommandError as error:
        raise BuildError(f"{module} was not compiled: {error.reason}", "a toolchain that works") from error


def build_gowrap(goroot: Path, target: Target, to: Path, *, scratch: Path, run: Runner) -> None:
    """Compiles gowrap, the launch wrapper, by a toolchain from Go 1.21 on."""
    if not (goroot / "bin" / "go").is_file():
        raise ConfigError(f"there is no go command in {goroot / 'bin'}", "--goroot: the folder that holds bin and src")
    with files.atomic_write(to.absolute()) as temporary:
        run_go(goroot, "gowrap", "build", *STATIC, "-o", temporary, ".", target=target, scratch=scratch, run=run)
