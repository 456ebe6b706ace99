"""The go command of some toolchain: a module of templates/ comes in, a program goes out that is the same everywhere.

Nothing of this machine gets into it: not its environment, its caches, its paths, nor a git repository around it.
"""

import shutil
from pathlib import Path

from gobuild.core import goenv, resources
from gobuild.core.errors import BuildError, CommandError, ToolMissing
from gobuild.core.model import Target
from gobuild.core.process import Runner

STATIC = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")
"""What the static profile is for a program: no path of this machine, nothing of the git repository that it happens to
be made in, no symbols, no debugging information."""

LIMIT = 900.0
"""Seconds for one compilation; measured for the test image by 1.22.10 on two cores: 10."""


def go(goroot: Path, module: str, *words: str | Path, target: Target, scratch: Path, run: Runner) -> None:
    """Runs a go command, without cgo, in a copy of a module of templates/.

    Args:
        goroot: the toolchain; its go command runs here, whatever the target is.
        module: the folder of templates/.
        words: the command's.
        target: what it compiles for.
        scratch: an existing folder for the copy and the build cache; the caller removes it.
        run: starts the go command.

    Raises:
        ToolMissing: the go command does not run here.
        BuildError: it failed.
    """
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
