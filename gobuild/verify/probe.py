"""The probe: a toolchain comes in, the checks of a small program that it compiled go out.

The program (probe.go.txt) is compiled by the new toolchain's compiler, for its target, with caches of its own; it
passes the same checks as the toolchain's binaries. Where it can run here, it is run, and what it says is checked.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as resource
from pathlib import Path

from gobuild import files
from gobuild.errors import CommandError, ToolMissing
from gobuild.model import Target
from gobuild.run import Result, Runner
from gobuild.verify.checks import Inspected, inspect
from gobuild.verify.expect import Expectation

SUBJECT = "probe"
MODULE = "gobuild.invalid/probe"
LANGUAGE = "1.21"
"""The probe's go line: the oldest Go that gobuild builds."""

LIGHT = ("-gcflags=all=-dwarf=false", "-ldflags=-w")
"""Without debugging information the standard library compiles in two thirds of the time."""

COMPILE_LIMIT, RUN_LIMIT = 900.0, 60.0
"""Seconds; measured for 1.22.10 on two cores: 10 and less than 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to compile the probe with, and for what.

    Attributes:
        goroot: the toolchain's folder; its bin/go must run on this machine.
        host: what this machine is.
        expected: what the program must be like.
        scratch: a folder to work in.
    """

    goroot: Path
    host: Target
    expected: Expectation
    scratch: Path

    @property
    def folder(self) -> Path:
        """The module's folder; its caches stand there too, while it is compiled."""
        return self.scratch / "probe"

    @property
    def environment(self) -> Mapping[str, str]:
        """The go command's whole environment. CGO_ENABLED is left to the toolchain's own default, which is tested."""
        folder = self.folder
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            # Not the module's own folder: the go command ignores a go.mod in TMPDIR itself.
            "TMPDIR": str(folder / "tmp"),
            "LC_ALL": "C",
            "GOROOT": str(self.goroot),
            "GOPATH": str(folder / "gopath"),
            "GOCACHE": str(folder / "gocache"),
            "GOENV": "off",
            "GOFLAGS": "",
            "GOPROXY": "off",
            "GOTELEMETRY": "off",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOOS": self.expected.target.goos,
            "GOARCH": self.expected.target.goarch,
        }


def probe(job: Job, *, run: Runner) -> Inspected:
    """Compiles, checks and, where that is possible, runs the probe.

    Args:
        job: what to compile it with.
        run: starts the go command, and the program.

    Returns:
        The program's checks. The program stays in `Job.folder`, for second opinions; all else there is gone.
    """
    folder = job.folder
    files.remove(folder)
    (folder / "tmp").mkdir(parents=True)
    program = folder / SUBJECT
    files.write(folder / "go.mod", f"module {MODULE}\n\ngo {LANGUAGE}\n")
    files.write(folder / "main.go", resource("gobuild.verify").joinpath("probe.go.txt").read_text(encoding="utf-8"))
    try:
        compiled = _run(job, [job.goroot / "bin" / "go", "build", "-trimpath", *LIGHT, "-o", program, "."], run=run)
        if isinstance(compiled, str) or compiled.code:
            inspected = Inspected(path=program, subject=SUBJECT)
            said = compiled if isinstance(compiled, str) else compiled.tail(8)
            inspected.judge("compile", [said], seen="", expected="the new toolchain compiles it")
            return inspected
        inspected = inspect(program, subject=SUBJECT, program=MODULE, expected=job.expected)
        _execute(job, inspected, run=run)
        return inspected
    finally:
        for path in folder.iterdir():
            if path != program:
                files.remove(path)


def _run(job: Job, words: list[str | Path], *, run: Runner) -> Result | str:
    """A run's result, or why there is none."""
    limit = COMPILE_LIMIT if len(words) > 1 else RUN_LIMIT
    try:
        return run(words, env=job.environment, cwd=job.folder, timeout=limit, check=False)
    except (CommandError, ToolMissing) as error:
        return error.reason


def _execute(job: Job, inspected: Inspected, *, run: Runner) -> None:
    """Runs the program where the machine is of its kind, and holds its lines against what they must be."""
    target = job.expected.target
    if target != job.host:
        inspected.skip("run", f"a program for {target} does not run on {job.host}")
        return
    result = _run(job, [inspected.path], run=run)
    wanted = [
        f"version: {job.expected.stamp}",
        f"target: {target}",
        "http: hello over 127.0.0.1",
        f"user: {os.getuid()}",
        "finalizer: ran",
    ]
    said = [result] if isinstance(result, str) else result.output.splitlines()
    failed = said != wanted or isinstance(result, str) or result.code != 0
    inspected.judge(
        "run",
        ["; ".join(said) or "nothing"] if failed else [],
        seen="; ".join(said),
        expected="; ".join(wanted),
    )
