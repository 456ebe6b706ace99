"""The check `starts`: a darwin/arm64 toolchain's programs, and the probes, run by the emulator in a closed world.

They see the toolchain read-only and a scratch folder, and nothing else of this machine: no file, no network, none of
its environment. So it is safe with whatever is judged, and needs no Mac. What they say is held to what the same
programs say natively, which `probe` knows line by line.

`check_build` goes deeper: there the emulated toolchain builds a program, as a native one does that is trusted.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files, goenv
from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.model import Check, Problem
from gobuild.core.printable import printable
from gobuild.core.process import Runner
from gobuild.emulate.plan import EPOCH, Limits, MountPlan, Plan
from gobuild.emulate.run import Outcome, require_engine, run
from gobuild.verify import probe, tree
from gobuild.verify.checks import CheckId, FileReport
from gobuild.verify.expect import Expectation
from gobuild.verify.tree import Goroot

TARGET = Target(goos="darwin", goarch="arm64")
SECONDS, PROCESSOR = 1800.0, 60.0
"""By the host's clock, and of its processor, for one program: the longest takes three, however busy the machine is."""

MEMORY = 600 << 20
"""Bytes that one program may really touch, the engine included."""

UNFORMATTED, FORMATTED = "package  p\nvar x=  1\n", "package p\n\nvar x = 1\n"
GUEST_TMP = "/tmp"  # noqa: S108  (the guest's)

PROGRAMS = "programs"
"""Where the probes stand, here below the folder of the probes."""

USER = 501
"""The user that the emulator says it is: the first one of a Mac."""

SAID = 300
"""Characters of an output that was not expected, the last ones, that a report quotes."""

ASKED = {"doc": "-h"}
"""What a tool is asked, where -V=full would have it do more than answer."""

USAGE = re.compile(r"\busage\b", re.IGNORECASE)

BUILD = "go build"
"""The subject of the check that the emulated toolchain builds a program."""

BUILD_PROCESSOR, BUILD_MEMORY = 600.0, 2 << 30
"""As `PROCESSOR` and `MEMORY`, of all processes of the build together; go1.22.10 takes 16 s and go1.27.3 24 s."""

BUILDS = ("build", "-trimpath", "-buildvcs=false")
"""How both build it, with debugging information: the linker has the more to do."""

HELLO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'

NOT_ITS_FAULT = frozenset({"unknown-import", "engine"})
"""Verdicts that tell of the emulator's limits, not of the toolchain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A program to run, and what must come of it: `said` and code 0, or for a tool its version or its usage."""

    subject: str
    program: str  # the path that the guest sees
    words: tuple[str, ...] = ()
    said: str | None = None
    code: int = 0
    env: tuple[tuple[str, str], ...] = ()
    among: bool = False  # `said` are lines among others


def check_starts(goroot: Goroot, expected: Expectation, probes: Iterable[FileReport], scratch: Path) -> Iterator[Check]:
    """Runs go, gofmt, every tool and the probes that were compiled; nothing for another target."""
    if goroot.target != TARGET:
        return
    try:
        require_engine()
    except ToolMissing as error:
        yield from FileReport(subject="bin/go").skip(CheckId.STARTS, f"{error.reason}: {error.hint}").checks
        return
    folder = scratch / "starts"
    try:
        (folder / "tmp").mkdir(parents=True)
        files.write(folder / "tmp" / "x.go", UNFORMATTED)
        mounts = [("/", goroot.root, False), ("/bin", goroot.bin, False), (GUEST_TMP, folder / "tmp", True)]
        compiled = scratch / "probe" / PROGRAMS
        mounts += [(f"/{PROGRAMS}", compiled, False)] if compiled.is_dir() else []
        starts = [*_own(goroot, expected), *_probes(probes, expected)]
        with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 4)) as pool:
            outcomes = pool.map(lambda each: _run(each, mounts), starts)
            for each, outcome in zip(starts, outcomes, strict=True):
                yield from _judge(each, outcome, expected).checks
    finally:
        files.remove(folder)


def _run(start: Start, mounts: list[tuple[str, Path, bool]]) -> Outcome:
    env = {"HOME": GUEST_TMP, "TMPDIR": GUEST_TMP, "PATH": "/bin", "USER": "gobuild", "GOTOOLCHAIN": "local"}
    limits = Limits(seconds=SECONDS, processor=PROCESSOR, resident=MEMORY)
    return _emulate(start.program, start.words, mounts, env=env | dict(start.env), cwd=GUEST_TMP, limits=limits)


def _emulate(
    program: str, words: Sequence[str], mounts: list[tuple[str, Path, bool]], *, env: dict[str, str], cwd: str,
    limits: Limits,
) -> Outcome:  # fmt: skip
    return run(
        Plan(
            program=program,
            argv=(program, *words),
            mounts=tuple(MountPlan(at=at, host=str(host.resolve()), writable=write) for at, host, write in mounts),
            env=env,
            cwd=cwd,
            limits=limits,
        )
    )


def _own(goroot: Goroot, expected: Expectation) -> Iterator[Start]:
    """The toolchain's own programs."""
    said = f"go version {expected.stamp} {TARGET}\n"
    yield Start(subject="bin/go", program="/bin/go", words=("version",), said=said)
    yield Start(subject="bin/gofmt", program="/bin/gofmt", words=("x.go",), said=FORMATTED)
    for path in tree.walk(goroot.tools):
        if path.name not in tree.dropped(goroot) and tree.identify(path) == TARGET:
            subject = str(path.relative_to(goroot.root))
            yield Start(subject=subject, program=f"/{subject}", words=(ASKED.get(path.name, "-V=full"),))


def _probes(probes: Iterable[FileReport], expected: Expectation) -> Iterator[Start]:
    """The probes that were compiled."""
    known = {each.subject: each for each in probe.PROBES}
    for report in probes:
        if report.subject in known and report.path.is_file() and tree.identify(report.path) == TARGET:
            what = known[report.subject]
            lines = what.said or probe.everything(report.version or expected.stamp, expected, user=str(USER))
            program = f"/{PROGRAMS}/{report.path.name}"
            said = "".join(f"{line}\n" for line in lines)
            yield Start(subject=report.subject, program=program, said=said, code=what.code, among=what.race)


def _judge(start: Start, outcome: Outcome, expected: Expectation) -> FileReport:
    report = FileReport(subject=start.subject)
    if unknown := _unknown(outcome):
        return report.skip(CheckId.STARTS, unknown)
    problems = _broken(outcome)
    said, told, wanted = outcome.stdout.decode("utf-8", "replace"), _told(outcome), start.said
    if wanted is None:
        name = Path(start.program).name
        version = re.match(rf"{re.escape(name)} version (.*)\n", said)
        answers = not outcome.code and version is not None and expected.calls_itself(_version(version[1]))
        right = answers or (outcome.code in (1, 2) and version is None and bool(USAGE.search(told)))
        wanted = f"{name} version {expected.stamp}, or its usage"
        seen = said.strip() if answers else "its usage"
    else:
        expected_lines = wanted.splitlines()
        lines = [line for line in told.splitlines() if line in expected_lines or not start.among]
        right = outcome.code == start.code and lines == expected_lines
        seen, wanted = "; ".join(lines), "; ".join(expected_lines)
    if not right and not problems:
        problems = [_wrong_output(outcome)]
    return report.judge(CheckId.STARTS, problems, seen=seen, expected=wanted)


def _version(text: str) -> str:
    """What -V=full says behind "version", without what a development version adds."""
    return text.partition(" buildID=")[0]


def _unknown(outcome: Outcome) -> str:
    """What the emulator cannot do, so that nobody knows whether the program is right; empty where it could."""
    odd = next((each for each in outcome.verdicts if each.kind in NOT_ITS_FAULT), None)
    return f"the emulator does not know enough: {printable(str(odd))}" if odd else ""


def _broken(outcome: Outcome) -> list[Problem]:
    return [Problem(f"start-{each.kind}", str(each)) for each in outcome.verdicts]


def _told(outcome: Outcome) -> str:
    return (outcome.stdout + outcome.stderr).decode("utf-8", "replace")


def _wrong_output(outcome: Outcome) -> Problem:
    return Problem("start-wrong-output", f"exit code {outcome.code}: {_told(outcome)[-SAID:].strip() or 'nothing'}")


# A build by the emulated toolchain


def check_build(goroot: Goroot, scratch: Path, *, run: Runner, own: bool) -> Iterator[Check]:
    """Has the emulated toolchain build a program, which must be a cross build's to the last byte.

    That one is made by the tree's `own` go command for this machine, where it has one that may run, or by the go in
    PATH, where that is of the same version with the same standard library; it fills the cache of both.
    """
    report, folder = FileReport(subject=BUILD), scratch / "build"
    try:
        if goroot.target != TARGET:
            raise ToolMissing(f"the emulator runs programs for {TARGET}, and this is a toolchain for {goroot.target}")
        require_engine()
        native = goroot.root if own else _native_goroot(goroot)
        yield from _build(report, goroot, native, folder, run=run).checks
    except (ToolMissing, CommandError) as error:
        yield from report.skip(CheckId.STARTS, ": ".join(filter(None, (error.reason, error.hint)))).checks
    finally:
        files.remove(folder)


def _native_goroot(goroot: Goroot) -> Path:
    """The GOROOT of the go in PATH, which is trusted: not the tree's own."""
    found = shutil.which("go")
    root = Path(found).resolve().parent.parent if found else None
    if root and tree.version(root) == goroot.stamp:
        return root
    reason = f"{found} is no {goroot.stamp}" if found else "no go in PATH"
    hint = f"the bin folder of a {goroot.stamp} for {Target.host()}, as the first in PATH"
    raise ToolMissing(f"nothing to compare with: {reason}", hint)


def _build(report: FileReport, goroot: Goroot, native: Path, folder: Path, *, run: Runner) -> FileReport:
    home, guest = folder / "native", folder / "guest"
    for each in (home, guest):
        (each / "tmp").mkdir(parents=True)
        files.write(each / "hello" / "go.mod", f"module {probe.MODULE}\n\ngo {probe.LANGUAGE}\n")
        files.write(each / "hello" / "main.go", HELLO)

    def go(*words: str | Path) -> str:
        env = goenv.closed(home, goroot=native, target=TARGET)
        return run([native / "bin" / "go", *words], env=env, cwd=home / "hello", timeout=probe.COMPILE_LIMIT).output

    packages = go("list", "-deps", "-f", "{{if .Standard}}{{.ImportPath}}{{end}}", ".").split()
    if other := next((each for each in packages if _sources(native, each) != _sources(goroot.root, each)), ""):
        return report.skip(CheckId.STARTS, f"nothing to compare with: {native} has another {other}")
    go(*BUILDS, *packages)
    shutil.copytree(home / "gocache", guest / "gocache")  # before the native compiler's own work on hello is in it
    files.write(guest / "gocache" / "trim.txt", str(EPOCH))  # a cache just trimmed: there is nothing to look for
    go(*BUILDS, "-o", home / "program", ".")
    mounts = [("/", goroot.root, False), ("/bin", goroot.bin, False), (GUEST_TMP, guest, True)]
    env = goenv.closed(Path(GUEST_TMP), goroot=Path("/"), target=TARGET) | {"PATH": "/bin"}
    limits = Limits(seconds=SECONDS, processor=BUILD_PROCESSOR, resident=BUILD_MEMORY)
    words = (*BUILDS, "-o", f"{GUEST_TMP}/program", ".")
    outcome = _emulate("/bin/go", words, mounts, env=env, cwd=f"{GUEST_TMP}/hello", limits=limits)
    return _judge_build(report, outcome, guest / "program", (home / "program").read_bytes())


def _sources(root: Path, package: str) -> dict[str, bytes]:
    """The files that a package of a GOROOT's standard library is compiled from, tests among them."""
    return {each.name: each.read_bytes() for each in (root / "src" / package).glob("*.[ghs]*") if each.is_file()}


def _judge_build(report: FileReport, outcome: Outcome, program: Path, cross: bytes) -> FileReport:
    """Holds what the emulated toolchain has built to the cross build."""
    if unknown := _unknown(outcome):
        return report.skip(CheckId.STARTS, unknown)
    problems = _broken(outcome)
    built = program.read_bytes() if program.is_file() and not program.is_symlink() else b""
    if not problems and (outcome.code or not built):
        problems = [_wrong_output(outcome)]
    elif not problems and built != cross:
        differing = (at for at, (one, other) in enumerate(zip(built, cross, strict=False)) if one != other)
        at = next(differing, min(len(built), len(cross)))
        sizes = f"{len(built)} bytes, and {len(cross)} of a cross build"
        problems = [Problem("build-differs", f"{sizes}, which differ from byte {at:#x} on")]
    seen = f"hello, the same {len(built)} bytes as a cross build's"
    return report.judge(CheckId.STARTS, problems, seen=seen, expected="the bytes of a cross build on this machine")
