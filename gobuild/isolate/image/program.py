"""The test image's program: compiled, verified and compressed by a Go toolchain that runs here."""

from dataclasses import dataclass
from pathlib import Path

from gobuild.core.errors import ConfigError, PackageError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.printable import printable
from gobuild.core.process import Runner
from gobuild.isolate.programs import LIMIT, STATIC, run_go
from gobuild.publish.builds import STAMP
from gobuild.verify import require, verify_path

FLAGS = (*STATIC, "-tags=netgo,osusergo,nethttpomithttp2", "-gcflags=all=-l")
"""Measured for 1.22.10, linux/amd64: 7.1 MB by default, 4.8 with `STATIC`, 4.5 without HTTP/2, 4.2 without inlining."""

NAME = "testimage"

START = 60.0
"""Seconds for `go version`; measured: less than 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """A Go toolchain that runs on this machine; `version` is the text of VERSION, `stamp` its first line."""

    goroot: Path
    stamp: str
    version: str
    scratch: Path
    run: Runner

    def program(self, target: Target) -> Path:
        """Compiles the test program, and verifies it."""
        made = self.scratch / f"{NAME}-{target.dashed}"
        self.go("build", *FLAGS, "-o", made, ".", target=target)
        require(verify_path(made, run=self.run, scratch=self.scratch / "verify", target=target))
        return made

    def compress(self, path: Path) -> Path:
        """Compresses a file with the toolchain's own compress/gzip."""
        tool, packed = self.scratch / "pack", path.with_name(f"{path.name}.gz")
        if not tool.exists():
            self.go("build", *FLAGS, "-o", tool, "./pack", target=Target.host())
        self.run([tool, path, packed], env={}, cwd=self.scratch, timeout=LIMIT)
        return packed

    def go(self, *words: str | Path, target: Target) -> None:
        """Runs the go command in the test program's module."""
        run_go(self.goroot, NAME, *words, target=target, scratch=self.scratch, run=self.run)


def find_compiler(goroot: Path, *, scratch: Path, run: Runner) -> Compiler:
    """Looks at a GOROOT whose go command shall compile."""
    goroot = goroot.expanduser().absolute()
    try:
        version = (goroot / "VERSION").read_text(encoding="utf-8", errors="replace")[:4096]
    except OSError as error:
        raise ConfigError(f"{goroot} is no GOROOT: {error.strerror}: VERSION", "the folder of a toolchain") from error
    stamp, hint = version.split("\n")[0], "a toolchain as it was built"
    if not STAMP.fullmatch(stamp):
        raise ConfigError(f"VERSION in {goroot} names no release: {stamp[:80]!a}", hint)
    variables = {"GOTOOLCHAIN": "local", "GOROOT": str(goroot), "HOME": str(scratch)}
    try:
        said = run([goroot / "bin" / "go", "version"], env=variables, cwd=scratch, timeout=START)
    except ToolMissing as error:
        raise ToolMissing(error.reason, f"--goroot with a toolchain for {Target.host()}") from error
    if said.output.split()[2:3] != [stamp]:
        raise PackageError(f"VERSION says {stamp}, and bin/go says {printable(said.tail(1))}", hint)
    return Compiler(goroot=goroot, stamp=stamp, version=version, scratch=scratch.absolute(), run=run)
