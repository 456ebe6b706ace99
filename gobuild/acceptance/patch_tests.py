"""What tests say of each patch of a series: its own test, those that the patch brings, those of packages it touches.

A patch's own test is a file beside it (`test =` in series.toml); it stands in a module of its own. Tests that a patch
brings are the functions that it adds or changes in _test.go files, and the scripts of cmd/go. Both must fail on the
release as it is, and pass with the series. The tests of the packages that a patch touches must pass with the series
where they pass without it.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from gobuild.acceptance.goroots import Goroots, tests_alone
from gobuild.acceptance.gotest import PackageResult, Ran, run_tests
from gobuild.build.direct import is_test
from gobuild.core import files
from gobuild.core.errors import ConfigError, did_you_mean
from gobuild.core.model import Outcome, State
from gobuild.core.process import Runner
from gobuild.patch import Patch

LIMIT = 300.0
"""Seconds for a patch's own test, which may compile programs with an empty build cache."""

PACKAGE_LIMIT = 600.0
"""Seconds for the tests of a package, as `go test` has it."""

AGAIN = 2
"""How often a failed test is run again: one that passes then is flaky."""


class PatchVerdict(Enum):
    """What a test says of a patch."""

    PROVEN = "fails before, passes after"
    BLIND = "passes without the patch too"
    FAILS = "fails"
    NOT_COMPILED = "does not compile"
    HANGS = "does not end"
    FLAKY = "flaky"
    SKIPPED = "skipped"
    NO_TEST = "no test"
    PASSES = "passes"
    AS_UPSTREAM = "fails upstream too"

    @property
    def bad(self) -> bool:
        """Whether something is to be done."""
        return self in (
            PatchVerdict.BLIND,
            PatchVerdict.FAILS,
            PatchVerdict.NOT_COMPILED,
            PatchVerdict.HANGS,
            PatchVerdict.FLAKY,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRow:
    """What one test says: of a patch, or of a package that several touch.

    Attributes:
        patches: those that are meant, by name.
        test: a file beside the series, or a package, with what of it was run.
        detail: why, for a person: names of tests, or the reason of a skip.
        output: the end of what the go command wrote; of one that passes with the patch, without it.
    """

    __test__ = False  # pytest would collect it

    patches: tuple[str, ...]
    test: str
    verdict: PatchVerdict
    detail: str = ""
    output: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the tests say of a series on a release."""

    version: str
    rows: tuple[TestRow, ...]

    @property
    def bad(self) -> tuple[TestRow, ...]:
        """The rows in which something is to be done."""
        return tuple(row for row in self.rows if row.verdict.bad)

    @property
    def untested(self) -> tuple[str, ...]:
        """The patches without any test."""
        return tuple(row.patches[0] for row in self.rows if row.verdict is PatchVerdict.NO_TEST)

    def to_json(self) -> dict[str, object]:
        """It as a document."""
        rows = [asdict(row) | {"verdict": row.verdict.value} for row in self.rows]
        return {"version": self.version, "rows": rows}


def chosen(patches: Sequence[Patch], names: Iterable[str]) -> tuple[Patch, ...]:
    """The patches of these names; all where there are none.

    Raises:
        ConfigError: no patch of the series for this release has such a name.
    """
    known, wanted = [each.name for each in patches], frozenset(names)
    for name in sorted(wanted):
        if name not in known:
            raise ConfigError(f"no patch {name!r} of this series is for this release", did_you_mean(name, known))
    return tuple(each for each in patches if not wanted or each.name in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Runs tests on the two GOROOTs.

    Attributes:
        packages: whether the tests of touched packages are run as well.
        limit: seconds for a patch's own test.
    """

    goroots: Goroots
    run: Runner
    note: Callable[[str], None]
    packages: bool = True
    limit: float = LIMIT

    def rows(self, patches: Sequence[Patch]) -> Iterator[TestRow]:
        """What the tests say, as it becomes known: first of each patch, then of the packages."""
        outcomes = {each.name: each for each in self.goroots.outcomes}
        touched: dict[str, list[str]] = {}
        for each in patches:
            outcome = outcomes[each.name]
            yield from self._of_patch(each, outcome)
            if outcome.state is State.APPLIED:
                for package in packages_of(outcome.files):
                    touched.setdefault(package, []).append(each.name)
        if self.packages:
            for package, names in sorted(touched.items()):
                yield from self._of_package(package, tuple(names))

    def _of_patch(self, patch: Patch, outcome: Outcome) -> Iterator[TestRow]:
        if outcome.state is not State.APPLIED:
            yield TestRow(patches=(patch.name,), test="", verdict=PatchVerdict.SKIPPED, detail=outcome.state.value)
            return
        own = [self._own(patch)] if patch.test else []
        rows = [*own, *self._brought(patch, outcome)]
        if any(row.verdict is PatchVerdict.PROVEN for row in rows):  # what it brings besides may guard, and not prove
            rows = [
                replace(row, verdict=PatchVerdict.PASSES, detail=PatchVerdict.BLIND.value)
                if row.verdict is PatchVerdict.BLIND
                else row
                for row in rows
            ]
        yield from rows or [TestRow(patches=(patch.name,), test="", verdict=PatchVerdict.NO_TEST)]

    def _own(self, patch: Patch) -> TestRow:
        """The test beside the series, in a module of its own."""
        self.note(f"{patch.name}: {Path(patch.test).name}")
        test, module = patch.folder / patch.test, self.goroots.folder / "proof"
        files.remove(module)
        files.write(module / "go.mod", "module proof\n\ngo 1.21\n")
        files.write(module / test.name, test.read_bytes())
        return self._compared(
            patch.name,
            Path(patch.test).name,
            lambda goroot: self._tests(goroot, ".", cwd=module),
            before=self.goroots.plain,
        )

    def _brought(self, patch: Patch, outcome: Outcome) -> Iterator[TestRow]:
        """The tests that a patch adds or changes, on the release with nothing else of it, and on the patched one."""
        tests = [name for name in outcome.files if is_test(name)]
        patterns = changed_tests(self.goroots, tests)
        if not patterns:
            return
        self.note(f"{patch.name}: the tests that it brings")
        with tests_alone(self.goroots, tests) as before:
            for package, pattern in sorted(patterns.items()):

                def tests_of(goroot: Path, package: str = package, pattern: str = pattern) -> PackageResult:
                    return self._tests(goroot, package, f"-run={pattern}")

                yield self._compared(patch.name, f"{package} {pattern}", tests_of, before=before)

    def _compared(self, name: str, test: str, tests: Callable[[Path], PackageResult], *, before: Path) -> TestRow:
        began = time.monotonic()
        after = tests(self.goroots.patched)
        states = [after.state]
        while states[-1] is Ran.FAILED and len(states) <= AGAIN:
            states.append(tests(self.goroots.patched).state)
        output = after.output
        if Ran.PASSED in states[1:]:
            verdict, detail = PatchVerdict.FLAKY, f"passed in one of {len(states)} runs"
        elif after.state is Ran.PASSED and after.skipped:
            verdict, detail = PatchVerdict.SKIPPED, f"in part: {', '.join(after.skipped)}"
        elif after.state is Ran.PASSED:
            without = tests(before)
            blind = without.state is Ran.PASSED
            verdict, detail = (
                (PatchVerdict.BLIND, "") if blind else (PatchVerdict.PROVEN, f"before, it {without.state.value}")
            )
            output = without.output
        else:
            verdict, detail = OF_FAILED[after.state], first_words(after)
        seconds = time.monotonic() - began
        return TestRow(patches=(name,), test=test, verdict=verdict, detail=detail, output=output, seconds=seconds)

    def _of_package(self, package: str, names: tuple[str, ...]) -> Iterator[TestRow]:
        """A package's tests with the series; what fails is asked of the release without it."""
        self.note(f"the tests of {package}")
        began = time.monotonic()
        after = self._tests(self.goroots.patched, package, "-short", limit=PACKAGE_LIMIT, cached=True)
        output = ""
        if after.state is Ran.PASSED:
            verdict, detail = PatchVerdict.PASSES, counts(after)
        elif after.state in (Ran.NOTHING, Ran.SKIPPED):
            verdict, detail = PatchVerdict.SKIPPED, f"it {after.state.value}"
        else:
            verdict, detail, output = self._beside_upstream(package, after), first_words(after), after.output
        seconds = time.monotonic() - began
        yield TestRow(patches=names, test=package, verdict=verdict, detail=detail, output=output, seconds=seconds)

    def _beside_upstream(self, package: str, after: PackageResult) -> PatchVerdict:
        """What is said of a package whose tests do not pass: they run again, and on the release without the series."""
        pattern = [f"-run=^({'|'.join(after.failed)})$"] if after.failed else []
        flags = ("-short", *pattern)
        before = self._tests(self.goroots.plain, package, *flags, limit=PACKAGE_LIMIT)
        again = self._tests(self.goroots.patched, package, *flags, limit=PACKAGE_LIMIT)
        if again.state is Ran.PASSED:
            return PatchVerdict.FLAKY
        if before.state is again.state and set(again.failed) <= set(before.failed):
            return PatchVerdict.AS_UPSTREAM
        return OF_FAILED[again.state]

    def _tests(
        self,
        goroot: Path,
        package: str,
        *flags: str,
        cwd: Path | None = None,
        limit: float = 0.0,
        cached: bool = False,
    ) -> PackageResult:
        """One package's tests on one of the GOROOTs."""
        found = run_tests(
            goroot,
            [package],
            env=self.goroots.environment(goroot),
            cwd=cwd or goroot / "src",
            run=self.run,
            flags=["-vet=off", *([] if cached else ["-count=1"]), *flags],
            limit=limit or self.limit,
        )
        return next(iter(found.values()))


OF_FAILED = {
    Ran.FAILED: PatchVerdict.FAILS,
    Ran.NOT_COMPILED: PatchVerdict.NOT_COMPILED,
    Ran.TIMED_OUT: PatchVerdict.HANGS,
    Ran.SKIPPED: PatchVerdict.SKIPPED,
    Ran.NOTHING: PatchVerdict.NO_TEST,
}
"""What is said of a patch whose test does not pass."""


def first_words(result: PackageResult) -> str:
    """What a person looks for first: which tests failed, or the line that says why none ran."""
    if result.failed:
        return ", ".join(result.failed)
    if result.state in (Ran.NOT_COMPILED, Ran.SKIPPED):
        return next((line.strip() for line in result.output.splitlines() if re.search(r"\.go:\d+", line)), "")
    return ""


def counts(result: PackageResult) -> str:
    """How many tests passed, and were skipped."""
    return f"{len(result.passed)} passed" + (f", {len(result.skipped)} skipped" if result.skipped else "")


def packages_of(names: Iterable[str]) -> list[str]:
    """The packages in which these files of a GOROOT are."""
    found = {match[1] for name in names if (match := re.match(r"src/(.+?)/(?:testdata/.+|[^/]+\.(?:go|s|h|c))$", name))}
    return sorted(each for each in found if "vendor/" not in f"{each}/" and not each.startswith("cmd/vendor"))


def changed_tests(goroots: Goroots, names: Iterable[str]) -> dict[str, str]:
    """For each package a pattern (-run) of the tests that differ between the two GOROOTs."""
    found: dict[str, list[str]] = {}
    for name in names:
        if script := re.fullmatch(r"src/cmd/go/testdata/script/([\w.-]+)\.txt", name):
            found.setdefault("cmd/go", []).append(f"TestScript$/^{re.escape(script[1])}")
        elif name.endswith("_test.go") and (goroots.patched / name).exists():
            before, after = functions(goroots.plain / name), functions(goroots.patched / name)
            changed = [each for each, body in after.items() if before.get(each) != body]
            if changed:
                found.setdefault(name.removeprefix("src/").rpartition("/")[0], []).extend(changed)
    return {package: _pattern(tests) for package, tests in found.items()}


def _pattern(tests: Sequence[str]) -> str:
    scripts = [each for each in tests if each.startswith("TestScript$/")]
    if scripts:
        return f"^TestScript$/^({'|'.join(each.partition('/^')[2] for each in scripts)})$"
    return f"^({'|'.join(sorted(tests))})$"


def functions(path: Path) -> dict[str, str]:
    """The test functions of a file, by name, with all up to the next function."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    parts = re.split(r"^(?=func )", text, flags=re.MULTILINE)[1:]
    return {match[1]: part.rstrip() for part in parts if (match := re.match(r"func (Test[A-Z_]\w*)\(", part))}
