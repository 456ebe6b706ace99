"""`go test -json`: its events as data (https://pkg.go.dev/cmd/test2json)."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from gobuild.core.process import Runner

KEPT = 60
"""Lines of a package's output that are remembered, the last ones."""

PROCESS_LIMIT = 3600.0
"""Seconds after which the go command itself is ended: the limit of each test binary is far below."""


class Ran(Enum):
    """What came of a package's tests, in words that follow "it"."""

    PASSED = "passes"
    FAILED = "fails"
    NOT_COMPILED = "does not compile"
    TIMED_OUT = "does not end"
    SKIPPED = "is skipped"
    NOTHING = "runs no test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageResult:
    """What came of the tests of a package; the names are those of whole tests, and of subtests that were skipped."""

    state: Ran
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0
    output: str = ""


@dataclass(slots=True, kw_only=True)
class _Package:
    """A package while its events come."""

    tests: dict[str, str] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    action: str = ""
    seconds: float = 0.0
    timed_out: bool = False
    not_compiled: bool = False

    def take(self, event: Mapping[str, object]) -> None:
        action, test = str(event.get("Action")), str(event.get("Test", ""))
        if action in ("output", "build-output"):
            line = str(event.get("Output", "")).rstrip("\n")
            self.lines.append(line)
            self.timed_out |= line.startswith("panic: test timed out after")
            self.not_compiled |= "[build failed]" in line or "[setup failed]" in line
        elif action in ("pass", "fail", "skip") and test:
            if "/" not in test or action == "skip":
                self.tests[test] = action
        elif action in ("pass", "fail", "skip"):
            self.action = action
            self.seconds = float(str(event.get("Elapsed", 0)))

    def result(self) -> PackageResult:
        named = {
            action: tuple(name for name, each in self.tests.items() if each == action)
            for action in ("pass", "fail", "skip")
        }
        return PackageResult(
            state=self._state(named),
            passed=named["pass"],
            failed=named["fail"],
            skipped=named["skip"],
            seconds=self.seconds,
            output="\n".join(self.lines),
        )

    def _state(self, named: Mapping[str, Sequence[str]]) -> Ran:
        if self.not_compiled:
            return Ran.NOT_COMPILED
        if self.timed_out:
            return Ran.TIMED_OUT
        if self.action not in ("pass", "skip"):
            return Ran.FAILED
        if named["pass"]:
            return Ran.PASSED
        return Ran.SKIPPED if named["skip"] else Ran.NOTHING


def run_tests(
    goroot: Path,
    packages: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    run: Runner,
    flags: Sequence[str] = (),
    limit: float,
) -> dict[str, PackageResult]:
    """Runs the tests of packages by the go command of a GOROOT.

    `packages` are import paths, or "." for the module in `cwd`; `limit` is in seconds, for each test binary.
    """
    found: dict[str, _Package] = {}
    stray: deque[str] = deque(
        maxlen=KEPT
    )  # what the go command tells beside the events: up to 1.23, a compiler's errors

    def take(line: str) -> None:
        try:
            event = json.loads(line)
            package = str(
                event.get("Package") or str(event.get("ImportPath", "")).partition(" ")[0].removesuffix(".test")
            )
        except (ValueError, AttributeError):
            stray.append(line)
            return
        found.setdefault(package, _Package()).take(event)

    words: list[str | Path] = [goroot / "bin/go", "test", "-json", f"-timeout={limit:g}s", *flags, *packages]
    done = run(words, env=env, cwd=cwd, on_line=take, timeout=PROCESS_LIMIT, check=False)
    for package in found.values():
        if package.not_compiled:
            package.lines.extendleft(reversed(stray))
    results = {name: each.result() for name, each in found.items() if each.action}
    if not results:
        results = {name: PackageResult(state=Ran.NOT_COMPILED, output=done.tail(KEPT)) for name in packages}
    return results
