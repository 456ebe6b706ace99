"""The probes: small programs (probes/*.go.txt) that the new toolchain compiles for its target.

They pass the same checks as the toolchain's binaries; where they can run here, they are run, and what they say is
checked. What cannot be compiled here is skipped, or must be refused by the go command in the right words.
"""

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files as resource
from pathlib import Path

from gobuild.core import files, goenv
from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.model import Problem
from gobuild.core.process import Result, Runner
from gobuild.verify import expect
from gobuild.verify.checks import CheckId, FileReport
from gobuild.verify.expect import Expectation
from gobuild.verify.golang import inspect_file

SUBJECT = "probe"
MODULE = "gobuild.invalid/probe"
LANGUAGE = "1.21"
"""The probes' go line: the oldest Go that gobuild builds."""

LIGHT = ("-gcflags=all=-dwarf=false", "-ldflags=-w")
"""Without debugging information the standard library compiles in two thirds of the time."""

COMPILE_LIMIT, RUN_LIMIT = 900.0, 60.0
"""Seconds; measured for 1.22.10 on two cores: 10 and less than 1."""

RACE_SAID, RACE_FOUND = ("WARNING: DATA RACE", "counted true"), 66
"""What the race detector has the program say, and its exit code (go.dev/doc/articles/race_detector)."""

NO_USER = {"PROBE_USER": "none"}
"""Tells the probe that the machine has no entry for who runs it, as a container with any user ID has none."""

C_PROGRAM = "#include <stdlib.h>\n\nint main(void) { return 0; }\n"
"""What a C compiler must be able to compile: macOS has stubs that can nothing, others lack libc's headers."""

NO_CGO = "-race requires cgo"
"""How the go command refuses -race without a C compiler, but on darwin (src/cmd/go/internal/work/init.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A program to compile."""

    subject: str
    sources: tuple[str, ...]  # files of probes/, without their .go.txt; the first names the folder of the main package
    flags: tuple[str, ...] = ()
    cgo: str | None = None  # CGO_ENABLED; None leaves it to the toolchain's own default, which is tested so
    said: tuple[str, ...] | None = None  # the lines it must print where it runs; None: `everything` knows them
    code: int = 0  # the exit code it must have

    @property
    def race(self) -> bool:
        """Whether the race detector is built in."""
        return "-race" in self.flags


PROBES = (
    Probe(subject=SUBJECT, sources=("everything", "cleanup", "no_cleanup")),
    Probe(subject="probe, cgo off", sources=("hello",), cgo="0", said=("hello",)),
    Probe(subject="probe, cgo on", sources=("cgo",), cgo="1", said=("cgo: 42",)),
    # Only a small one: on linux, other machine code is compiled for it, the whole runtime too.
    Probe(subject="probe, pie", sources=("hello",), flags=("-buildmode=pie",), cgo="0", said=("hello",)),
    Probe(subject="probe, race", sources=("race",), flags=("-race",), said=RACE_SAID, code=RACE_FOUND),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeJob:
    """What to compile the probes with, and for what."""

    goroot: Path  # the toolchain's folder; its bin/go must run on this machine
    host: Target
    expected: Expectation  # what the toolchain's own binaries must be like
    cgo: str | None  # "0" where the toolchain's default for CGO_ENABLED must be 0; None where it is upstream's
    scratch: Path
    compiler: str = ""  # a C compiler that works; empty where there is none for the target
    dead: str = ""  # why the compiler that would have been taken was not; empty where it was, or there is none

    @property
    def folder(self) -> Path:
        """The module's folder, with its caches."""
        return self.scratch / "probe"

    @property
    def user(self) -> str:
        """What this machine calls who runs this; empty where it does not know."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return ""

    def cgo_of(self, probe: Probe) -> str | None:
        """CGO_ENABLED for a probe. The race detector takes a C compiler where it needs one; a dead one nobody takes."""
        if not probe.race:
            return "0" if not (probe.cgo or self.cgo or self.compiler) and self.dead else probe.cgo
        return "1" if self.compiler and self.host.goos != "darwin" else "0"

    def environment(self, probe: Probe) -> Mapping[str, str]:
        """The go command's whole environment."""
        cgo = self.cgo_of(probe)
        closed = goenv.closed(self.folder, goroot=self.goroot, target=self.expected.target, cgo=cgo)
        chosen = {"CC": self.compiler} if cgo == "1" or (self.dead and self.compiler) else {}
        path = os.environ.get("PATH", os.defpath)
        # Without cgo, os/user takes what /etc/passwd does not know from USER.
        return closed | {"PATH": path, "USER": self.user} | chosen | ({} if self.user else NO_USER)


def run_probes(job: ProbeJob, *, run: Runner) -> Iterator[FileReport]:
    """Compiles, checks and runs the probes; their folder stays, for second opinions on the programs."""
    folder = job.folder
    files.remove(folder)
    (folder / "tmp").mkdir(parents=True)
    files.write(folder / "go.mod", f"module {MODULE}\n\ngo {LANGUAGE}\n")
    texts = resource("gobuild.verify").joinpath("probes")
    for each in PROBES:
        for name in each.sources:
            source = texts.joinpath(f"{name}.go.txt").read_text(encoding="utf-8")
            files.write(folder / each.sources[0] / f"{name}.go", source)
    programs = folder / "programs"
    programs.mkdir()
    if refused := _refused(job, run=run):
        yield FileReport(subject=SUBJECT).skip(CheckId.COMPILE, refused)
        return
    job = _with_compiler(job, run=run)
    for each in PROBES:
        inspected = _compiled(job, each, programs / each.subject.replace(", ", "-").replace(" ", "-"), run=run)
        yield inspected
        if inspected.subject == SUBJECT and not inspected.image:
            # A toolchain that compiles nothing need not say so five times.
            return


def _refused(job: ProbeJob, *, run: Runner) -> str:
    """Why no program may run where the probes are compiled; empty where one may. A script is the witness."""
    script = job.folder / "tmp" / "may-run"
    files.write(script, "#!/bin/sh\n")
    script.chmod(0o700)
    result = _run(job, PROBES[0], [script], run=run)
    if not result.code:
        return ""
    return f"no program may run in {job.folder}: {result.output}; TMPDIR or --work names a folder where one may"


def _with_compiler(job: ProbeJob, *, run: Runner) -> ProbeJob:
    """The job with the first C compiler on this machine that compiles and links a program; only for this machine."""
    if job.expected.target != job.host:
        return job
    source, dead = job.folder / "tmp" / "main.c", ""
    files.write(source, C_PROGRAM)
    for name in ("clang", "cc") if job.host.goos == "darwin" else ("gcc", "cc", "clang"):
        if found := shutil.which(name):
            result = _run(job, PROBES[0], [found, "-o", source.with_suffix(""), source], run=run)
            if not result.code:
                return replace(job, compiler=found, dead=dead)
            dead = dead or f"{name} compiles no C program here: {result.tail(2)}"
    return replace(job, dead=dead)


def _compiled(job: ProbeJob, each: Probe, program: Path, *, run: Runner) -> FileReport:
    """One probe: compiled, checked, run."""
    inspected = FileReport(path=program, subject=each.subject)
    if each.cgo == "1" and not job.compiler:
        return inspected.skip(CheckId.COMPILE, job.dead or f"no C compiler for {job.expected.target} here")
    folder = each.sources[0]
    words: list[str | Path] = ["build", "-trimpath", *LIGHT, *each.flags, "-o", program, f"./{folder}"]
    result = _run(job, each, [job.goroot / "bin" / "go", *words], run=run)
    said = result.tail(8)
    if each.race and NO_CGO in said and not program.exists():
        inspected.judge(CheckId.REFUSED, [], seen=said, expected="")
    elif result.code:
        problem = Problem("compile-error", said)
        inspected.judge(CheckId.COMPILE, [problem], seen="", expected="the new toolchain compiles it")
    elif each.cgo == "1" and job.host.goos == "darwin":
        inspected.skip(CheckId.FORMAT, "linked by Apple's linker, whose files this reader was not made for")
        _execute(job, each, inspected, run=run)
    else:
        wanted = expect.for_probe(job.expected, cgo=job.cgo_of(each) or job.cgo, flags=each.flags)
        inspected = inspect_file(program, subject=each.subject, program=f"{MODULE}/{folder}", expected=wanted)
        _execute(job, each, inspected, run=run)
    return inspected


def _run(job: ProbeJob, each: Probe, words: Sequence[str | Path], *, run: Runner) -> Result:
    """A run's result; where it did not come to one, the reason is its output's last line."""
    limit = COMPILE_LIMIT if len(words) > 1 else RUN_LIMIT
    try:
        return run(words, env=job.environment(each), cwd=job.folder, timeout=limit, check=False)
    except (CommandError, ToolMissing) as error:
        reason, _, output = error.reason.partition("\n")
        return Result(argv=(), code=-1, output=f"{output}\n{reason}".strip())


def _execute(job: ProbeJob, each: Probe, inspected: FileReport, *, run: Runner) -> None:
    """Runs the program where the machine is of its kind, and holds its lines against what they must be."""
    target = job.expected.target
    if target != job.host:
        inspected.skip(CheckId.RUN, f"a program for {target} does not run on {job.host}")
        return
    result = _run(job, each, [inspected.path], run=run)
    user = str(os.getuid()) if job.user else ""
    wanted = each.said or everything(inspected.version or job.expected.stamp, job.expected, user=user)
    lines = result.output.splitlines()
    # Around the race detector's report stand addresses and goroutines that change from run to run.
    said = [line for line in lines if line in wanted] if each.race else lines
    failed = tuple(said) != wanted or result.code != each.code
    problems = [Problem("wrong-output", "; ".join(lines) or "nothing")] if failed else []
    inspected.judge(CheckId.RUN, problems, seen="; ".join(said), expected="; ".join(wanted))
    if each.said is None and not job.user:
        inspected.skip(CheckId.RUN, f"os/user was not tried: this machine has no entry for the user {os.getuid()}")


def everything(version: str, expected: Expectation, *, user: str) -> tuple[str, ...]:
    """What probes/everything.go.txt must print; of the version, the check of that name has judged the rest.

    `user` is the number of the user that runs it; empty where its machine knows none of that number.
    """
    release = expect.release_of(expected.stamp)
    early = release is not None and (release.major, release.minor) < (1, 24)
    return (
        f"version: {version}",
        f"target: {expected.target}",
        "http: hello over 127.0.0.1",
        "https: hello over 127.0.0.1",
        *((f"user: {user}",) if user else ()),
        "finalizer: ran",
        f"cleanup: {'not before go1.24' if early else 'ran'}",
    )
