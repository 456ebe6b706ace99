"""gowrap, the launch wrapper: a Go toolchain comes in, the compiled wrapper goes out.

Its source stands in templates/gowrap, needs Go 1.21 or later and nothing but the standard library, and is what
gobuild/isolate/README.md describes. Nothing here runs it.
"""

from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.model import Target
from gobuild.core.process import Runner
from gobuild.isolate.compiling import STATIC, go

NAME = "gowrap"


def build(goroot: Path, target: Target, to: Path, *, scratch: Path, run: Runner) -> Path:
    """Compiles gowrap: static as far as its system allows, without paths of this machine in it.

    Args:
        goroot: the toolchain; its go command runs here, whatever the target is.
        target: what gowrap will run on.
        to: the file to make; what stands there is replaced when the new one is whole.
        scratch: an existing folder for the source and the build cache; the caller removes it.
        run: starts the go command.

    Returns:
        The file.

    Raises:
        ConfigError: there is no go command in the folder.
        ToolMissing, BuildError: it does not run here, or failed.
    """
    if not (goroot / "bin" / "go").is_file():
        raise ConfigError(
            f"there is no go command in {goroot / 'bin'}", "--goroot: the folder that holds bin, pkg, src"
        )
    with files.atomic_write(to.absolute()) as temporary:
        go(goroot, NAME, "build", *STATIC, "-o", temporary, ".", target=target, scratch=scratch, run=run)
    return to
