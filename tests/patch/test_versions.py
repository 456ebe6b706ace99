"""The stock series, the optional patches with it, on real source of each Go release: it applies, compiles, and works.

One release at a time, and its trees go again: two copies by hard links and a build cache.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from darwin_proof import prove_on_darwin
from emulate_fixtures import run_guest
from patch_fixtures import MAC, copy_parts, go, install_names, link_tree, snapshot, source, taint, write

from gobuild import patch
from gobuild.acceptance.goroots import Goroots, lay_out
from gobuild.acceptance.patch_tests import Examiner, PatchVerdict, TestRow
from gobuild.core import files
from gobuild.core.goversion import GoVersion, Target, checks_records
from gobuild.core.model import State
from gobuild.core.process import run
from gobuild.emulate.run import Outcome
from gobuild.patch import Patch

pytestmark = pytest.mark.slow

RELEASES = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
WHOLE = ("1.22.10", "1.27.3")
"""The releases on which every patch's own test, and the runtime's, are run; the others compile a program."""

UNPATCHED = {
    "mfinal-metal-init": "every program links /System/Library/Frameworks/Metal.framework/Versions/A/Metal",
    "runtime-gpu-guard": "the tests of the runtime have no TestNoGPUFrameworkImports",
    "link-uuid": "a program for darwin/arm64 has no LC_UUID",
    "scanner-version": "scanners read",
    "goenv-local": 'go env GOTOOLCHAIN says "auto"',
    "osinit-trace": 'with ["GOBUILD_TRACE=1"] the program writes\n        finalized',
    "toolchain-guard": 'go ["list" "."] is not refused: "the other toolchain runs"',
    "sumdb-check": "a planted zip under another module's record is taken",
    "gowrap": "pkg/tool's gowrap does not run a command",
}
"""What each patch's test says of a source without it; of the first, one that has a Metal hook."""

ON_DARWIN = ("goenv-local",)
"""The patches whose tests run for darwin/arm64 as well, with a go command that is run there itself.

Those of osinit-trace and sumdb-check were run so by hand, minutes each (tests/reports/emulation.md). Of toolchain-guard
and gowrap they start a shell of the system's, and the rest link whole toolchains' programs.
"""

HELLO = {"go.mod": "module hello\n\ngo 1.20\n", "hello.go": 'package main\n\nfunc main() { println("hello") }\n'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A release twice, as upstream has it and with every patch that fits, and room to build."""

    release: str
    patches: tuple[Patch, ...]
    goroots: Goroots

    def go(self, *words: str, cwd: Path, target: Target | None = None) -> str:
        return go(self.goroots.patched, self.goroots.folder, *words, cwd=cwd, target=target).output


def accepted(goroots: Goroots, patches: tuple[Patch, ...]) -> list[TestRow]:
    """What the patches' own tests say."""
    return list(Examiner(goroots=goroots, run=run, note=lambda _: None, packages=False, limit=1200).rows(patches))


def unformatted(root: Path, names: set[str]) -> set[str]:
    """Those of a tree's files that gofmt would change."""
    there = [name for name in sorted(names) if (root / name).is_file()]
    return set(run([root / "bin/gofmt", "-l", *there], env={"HOME": "/nonexistent"}, cwd=root).output.split())


def events(outcome: Outcome) -> list[str]:
    """What a program with osinit-trace says of its start."""
    return re.findall(r"^gobuild-trace: unix=\d+\.\d{9} mono=\d+ (.+)$", outcome.stderr.decode(), re.MULTILINE)


@pytest.fixture(scope="module")
def bench(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    get_goroot: Callable[[str, Target], Path],
) -> Iterator[Bench]:
    release = request.param
    folder = tmp_path_factory.mktemp(f"go{release}")
    patches = patch.load_series("stock").candidates(GoVersion.parse(release), MAC, "static")
    version = source(folder, release).release
    goroots = lay_out(get_goroot(release, Target.host()), version, patches, folder, host=Target.host(), run=run)
    yield Bench(release=release, patches=patches, goroots=goroots)
    files.remove(folder)


every_release = pytest.mark.parametrize("bench", RELEASES, indirect=True, scope="module")
whole = pytest.mark.parametrize("bench", WHOLE, indirect=True, scope="module")


@every_release
def test_every_patch_applies_and_a_program_for_the_mac_compiles(bench: Bench, tmp_path: Path) -> None:
    states = {outcome.name: outcome.state for outcome in bench.goroots.outcomes}
    wanted = dict.fromkeys(UNPATCHED, State.APPLIED) | {"mfinal-metal-init": State.NOTHING_TO_DO}
    if GoVersion.parse(bench.release).pep440 >= GoVersion.parse("1.24").pep440:
        del wanted["link-uuid"]
    if checks_records(GoVersion.parse(bench.release)):
        del wanted["sumdb-check"]
    assert states == wanted

    changed = {file for outcome in bench.goroots.outcomes for file in outcome.files if file.endswith(".go")}
    assert unformatted(bench.goroots.patched, changed) <= unformatted(
        bench.goroots.plain, changed
    )  # upstream's own are not all clean

    write(tmp_path, HELLO)
    bench.go("build", "-o", "hello", ".", cwd=tmp_path, target=MAC)
    assert "/usr/lib/libSystem.B.dylib" in install_names(tmp_path / "hello")
    outcome = run_guest(tmp_path, "/hello", env={"GOBUILD_TRACE": "1"})
    assert (outcome.code, outcome.verdicts) == (0, ())
    assert events(outcome)[:2] == ["osinit begin", "osinit end"]


@whole
def test_the_runtime_passes_vet_and_its_tests_of_finalizers(bench: Bench) -> None:
    src = bench.goroots.patched / "src"
    assert bench.go("vet", "runtime", cwd=src) == ""
    tested = bench.go("test", "-count=1", "-v", "-run=Finalizer|Cleanup|GPU", "runtime", cwd=src)
    assert "--- PASS: TestNoGPUFrameworkImports" in tested
    assert "--- PASS: TestFinalizerType" in tested
    assert "--- FAIL" not in tested


@whole
def test_each_patch_s_own_test_passes_with_it_and_fails_without(bench: Bench) -> None:
    rows = {row.patches[0]: row for row in accepted(bench.goroots, bench.patches) if row.test.endswith(".go")}
    # Upstream's source has nothing that mfinal-metal-init removes: below.
    assert {"mfinal-metal-init", *rows} == {each.name for each in bench.patches}
    for name, row in rows.items():
        assert row.verdict is PatchVerdict.PROVEN, f"{name} on {bench.release}: {row.verdict.value}\n{row.output}"
        assert UNPATCHED[name] in row.output


@whole
@pytest.mark.parametrize("name", ON_DARWIN)
def test_a_patch_s_own_test_on_darwin(bench: Bench, name: str, get_goroot: Callable[[str, Target], Path]) -> None:
    (each,) = (each for each in bench.patches if each.name == name)
    official = get_goroot(bench.release, MAC)
    passed, output = prove_on_darwin(bench.goroots.patched, official, each, bench.goroots.folder)
    assert passed, output
    passed, output = prove_on_darwin(bench.goroots.plain, official, each, bench.goroots.folder)
    assert not passed
    assert UNPATCHED[name] in output


FINALIZED = """package main

import "runtime"

func main() {
	done := make(chan bool)
	func() { runtime.SetFinalizer(&[64]byte{}, func(*[64]byte) { done <- true }) }()
	runtime.GC()
	<-done
	println("finalized")
}
"""


def finalized(goroot: Path, scratch: Path, folder: Path, env: dict[str, str] | None = None) -> Outcome:
    """What becomes of a program for darwin/arm64 that has a finalizer, where it runs."""
    write(folder, {"go.mod": "module x\n\ngo 1.20\n", "x.go": FINALIZED})
    go(goroot, scratch, "build", "-ldflags=-s -w", "-o", str(folder / "x"), ".", cwd=folder, target=MAC)
    return run_guest(folder, "/x", env=env)


@whole
def test_the_trace_of_a_start_is_written_on_the_mac(bench: Bench, tmp_path: Path) -> None:
    told = finalized(bench.goroots.patched, bench.goroots.folder, tmp_path, {"GOBUILD_TRACE": "1"})
    assert (told.code, told.verdicts) == (0, ())
    wanted = ["osinit begin", "osinit end", "finalizer goroutine begin", "finalizer goroutine ready"]
    assert events(told) == wanted
    assert told.stderr.endswith(b"\nfinalized\n")
    assert finalized(bench.goroots.patched, bench.goroots.folder, tmp_path).stderr == b"finalized\n"


@whole
def test_the_metal_hook_is_found_and_gone(bench: Bench, tmp_path: Path) -> None:
    (hook,) = (each for each in bench.patches if each.name == "mfinal-metal-init")
    root = link_tree(bench.goroots.plain, tmp_path / "go")
    taint(root)
    # The test itself has to compile for this machine, where there is no Metal.
    other = "//go:build !darwin\n\npackage runtime\n\nfunc initMetal() {}\n"
    write(root, {"src/runtime/metal_other.go": other})
    (verdict,) = finalized(root, tmp_path / "scratch", tmp_path / "tainted").verdicts
    assert verdict.detail.startswith("MTLCreateSystemDefaultDevice is called")
    assert verdict.stack[:2] in [("runtime.initMetal", f"runtime.{each}") for each in ("runfinq", "runFinalizers")]

    goroots = lay_out(root, source(root, bench.release).release, (hook,), tmp_path, host=Target.host(), run=run)
    (row,) = accepted(goroots, (hook,))
    assert row.verdict is PatchVerdict.PROVEN, row.output
    assert UNPATCHED[hook.name] in row.output
    cured = finalized(goroots.patched, tmp_path / "scratch", tmp_path / "cured")
    assert (cured.code, cured.stderr, cured.verdicts) == (0, b"finalized\n", ())
    clean = copy_parts(bench.goroots.plain, tmp_path / "clean", "src/runtime")
    assert snapshot(goroots.patched / "src/runtime") == snapshot(clean / "src/runtime")
    files.remove(root)
