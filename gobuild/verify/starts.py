"""The check `starts`: a darwin/arm64 toolchain's programs, and the probes, run by the emulator in a closed world.

They see the toolchain read-only and a scratch folder, and nothing else of this machine: no file, no network, none of
its environment. So it is safe with whatever is judged, and needs no Mac. What they say is held to what the same
programs say natively, which `probe` knows line by line.
"""

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.model import Check, Problem
from gobuild.core.printable import printable
from gobuild.emulate.plan import Limits, MountPlan, Plan
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
    return run(
        Plan(
            program=start.program,
            argv=(start.program, *start.words),
            mounts=tuple(MountPlan(at=at, host=str(host.resolve()), writable=write) for at, host, write in mounts),
            env=env | dict(start.env),
            cwd=GUEST_TMP,
            limits=Limits(seconds=SECONDS, processor=PROCESSOR, resident=MEMORY),
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
    odd = next((each for each in outcome.verdicts if each.kind in NOT_ITS_FAULT), None)
    if odd:
        return report.skip(CheckId.STARTS, f"the emulator does not know enough: {printable(str(odd))}")
    problems = [Problem(f"start-{each.kind}", str(each)) for each in outcome.verdicts]
    said, wanted = outcome.stdout.decode("utf-8", "replace"), start.said
    told = said + outcome.stderr.decode("utf-8", "replace")
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
        problems = [Problem("start-wrong-output", f"exit code {outcome.code}: {told[-SAID:].strip() or 'nothing'}")]
    return report.judge(CheckId.STARTS, problems, seen=seen, expected=wanted)


def _version(text: str) -> str:
    """What -V=full says behind "version", without what a development version adds."""
    return text.partition(" buildID=")[0]
