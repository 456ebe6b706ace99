"""The check `starts`: a toolchain's programs run, and what they say is judged."""

import os
import shutil
import sys
from collections.abc import Callable
from importlib.resources import files as resource
from pathlib import Path

import pytest
from verify_fixtures import DARWIN, INTEL, LINUX, compiled, resigned

from gobuild.core import files
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Check
from gobuild.core.process import run
from gobuild.emulate.plan import Verdict
from gobuild.emulate.run import Outcome
from gobuild.verify import starts, verify_path
from gobuild.verify.checks import FileReport
from gobuild.verify.expect import expectation
from gobuild.verify.starts import Start
from gobuild.verify.tree import Goroot

STAMP = "go1.22.10"
SAID = f"go version {STAMP} darwin/arm64\n".encode()
TOOL = Start(subject="pkg/tool/darwin_arm64/asm", program="/pkg/tool/darwin_arm64/asm", words=("-V=full",))
GO = Start(subject="bin/go", program="/bin/go", words=("version",), said=SAID.decode())
RACE = Start(subject="probe, race", program="/programs/race", said="counted true\n", code=66, among=True)
HELLO = (resource("gobuild.verify") / "probes/hello.go.txt").read_text()
USAGE = b"flag provided but not defined: -V\nusage: go tool nm [options] file...\n"


def a_verdict(kind: str) -> tuple[Verdict, ...]:
    return (Verdict(pid=100, kind=kind, detail="getentropy is called", stack=("main.main",)),)


@pytest.mark.parametrize(
    ("start", "outcome", "verdict", "told"),
    [
        (GO, Outcome(code=0, stdout=SAID), "OK", STAMP),
        (GO, Outcome(code=0, stdout=b"go version go1.22.9 darwin/arm64\n"), "FAILED", "go1.22.9"),
        (GO, Outcome(code=1, stdout=SAID), "FAILED", "exit code 1"),
        (GO, Outcome(code=134, verdicts=a_verdict("unknown-import")), "SKIPPED", "getentropy is called in main.main"),
        (GO, Outcome(code=134, verdicts=a_verdict("engine")), "SKIPPED", "getentropy"),
        (GO, Outcome(code=0, stdout=SAID, verdicts=a_verdict("breach")), "FAILED", "breach: getentropy"),
        (GO, Outcome(code=137, verdicts=a_verdict("limit")), "FAILED", "limit"),
        (TOOL, Outcome(code=0, stdout=b"asm version go1.22.10\n"), "OK", "asm version go1.22.10"),
        (TOOL, Outcome(code=0, stdout=b"asm version go1.22.9\n"), "FAILED", "go1.22.9"),
        (TOOL, Outcome(code=0, stdout=b"link version go1.22.10\n"), "FAILED", "link version"),
        (TOOL, Outcome(code=2, stderr=USAGE), "OK", "its usage"),
        (TOOL, Outcome(code=2, stderr=b"panic: runtime error\n"), "FAILED", "panic"),
        (TOOL, Outcome(code=0), "FAILED", "nothing"),
        (RACE, Outcome(code=66, stderr=b"0x1234\ncounted true\n"), "OK", "counted true"),
        (RACE, Outcome(code=0, stderr=b"counted true\n"), "FAILED", "exit code 0"),
    ],
)
def test_what_a_start_says_is_judged(start: Start, outcome: Outcome, verdict: str, told: str) -> None:
    (check,) = starts._judge(start, outcome, expectation(GoVersion.parse("1.22.10"), DARWIN, stamp=STAMP)).checks
    assert (check.name, check.verdict) == ("starts", verdict)
    assert told in check.seen


@pytest.mark.parametrize(
    ("outcome", "built", "verdict", "told"),
    [
        (Outcome(code=0), b"hello, Mac", "OK", "the same 10 bytes"),
        (Outcome(code=0), b"hello, mac", "FAILED", "differ from byte 0x7 on"),
        (Outcome(code=0), b"hello, Mac!", "FAILED", "11 bytes, and 10 of a cross build, which differ from byte 0xa on"),
        (Outcome(code=0), b"", "FAILED", "exit code 0: nothing"),
        (Outcome(code=1, stderr=b"go: no such tool"), b"hello, Mac", "FAILED", "exit code 1: go: no such tool"),
        (Outcome(code=137, verdicts=a_verdict("limit")), b"hello, Mac", "FAILED", "limit"),
        (Outcome(code=134, verdicts=a_verdict("engine")), b"hello, mac", "SKIPPED", "getentropy"),
    ],
)
def test_what_is_built_is_held_to_a_cross_build(
    outcome: Outcome, built: bytes, verdict: str, told: str, tmp_path: Path
) -> None:
    if built:
        files.write(tmp_path / "program", built)
    report = FileReport(subject=starts.BUILD)
    (check,) = starts._judge_build(report, outcome, tmp_path / "program", b"hello, Mac").checks
    assert (check.name, check.verdict) == ("starts", verdict)
    assert told in check.seen


@pytest.mark.parametrize(
    ("target", "missing", "reason"),
    [
        (INTEL, "", "a toolchain for darwin/amd64"),
        (DARWIN, "engine", "pip install gobuild[emulate]"),
        (DARWIN, "go", "no go in PATH: the bin folder of a go1.22.10 for"),
        (DARWIN, "version", "bin/go is no go1.22.10: the bin folder of a go1.22.10 for"),
        (DARWIN, "source", "has another fmt"),
    ],
)
def test_a_build_that_cannot_be_compared_is_skipped(
    target: Target, missing: str, reason: str, go_wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is judged has no go of this machine's: that in PATH is asked, if it is right."""
    if missing == "engine":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path if missing == "go" else go_wheel / "bin"))
    stamp = "go1.22.9" if missing == "version" else STAMP
    if missing == "version":
        reason = reason.replace(STAMP, stamp)
    folder = tmp_path / "judged"
    (folder / "src").mkdir(parents=True)
    for each in (go_wheel / "src").iterdir():
        (folder / "src" / each.name).symlink_to(each)
    (folder / "src/fmt").unlink()
    shutil.copytree(go_wheel / "src/fmt", folder / "src/fmt")
    with (folder / "src/fmt/print.go").open("a") as file:
        file.write("// changed\n")
    goroot = Goroot(root=folder, target=target, bin=folder / "bin", stamp=stamp)
    (check,) = starts.check_build(goroot, tmp_path / "scratch", run=run, own=False)
    assert (check.subject, check.name, check.verdict) == (starts.BUILD, "starts", "SKIPPED")
    assert reason in check.seen
    assert not (tmp_path / "scratch/build").exists()


def test_without_the_engine_it_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [(each.verdict, "pip install gobuild[emulate]" in each.seen) for each in looked_at(DARWIN, tmp_path)] == [
        ("SKIPPED", True)
    ]
    assert looked_at(INTEL, tmp_path) == []


def looked_at(target: Target, folder: Path, *probes: FileReport) -> list[Check]:
    goroot = Goroot(root=folder, target=target, bin=folder / "bin", stamp=STAMP)
    wanted = expectation(GoVersion.parse("1.22.10"), target, stamp=STAMP)
    return list(starts.check_starts(goroot, wanted, probes, folder / "scratch"))


def test_a_toolchain_starts(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    """Three of its programs; the official releases with all of theirs are below."""
    official = get_goroot("1.22.10", DARWIN)
    for name in ("bin/go", "bin/gofmt", "pkg/tool/darwin_arm64/compile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(official / name, tmp_path / name)
    files.write(tmp_path / "VERSION", (official / "VERSION").read_bytes())
    hello = compiled(get_goroot("1.22.10", LINUX), tmp_path / "source", source={"main.go": HELLO})
    probe = FileReport(subject="probe, cgo off", path=tmp_path / "scratch/probe/programs/probe-cgo-off")
    probe.path.parent.mkdir(parents=True)
    shutil.copy2(hello, probe.path)
    found = {each.subject: (each.verdict, each.seen) for each in looked_at(DARWIN, tmp_path, probe)}
    assert found == {
        "bin/go": ("OK", "go version go1.22.10 darwin/arm64"),
        "bin/gofmt": ("OK", "package p; ; var x = 1"),
        "pkg/tool/darwin_arm64/compile": ("OK", "compile version go1.22.10"),
        "probe, cgo off": ("OK", "hello"),
    }
    assert not (tmp_path / "scratch/starts").exists()


@pytest.mark.parametrize("name", ["mmap", "notify_is_valid_token", "getrlimit"])
def test_an_import_that_the_emulator_lacks_is_skipped_by_its_name(
    name: str, get_goroot: Callable[[str, Target], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer release may call what this libSystem has not: here, what has been taken away from it."""
    files.write(tmp_path / "bin/go", (get_goroot("1.22.10", DARWIN) / "bin/go").read_bytes())
    python = tmp_path / "python"
    less = f"from gobuild.emulate import abi, child\ndel abi.FUNCTIONS[{name!r}]\n"
    python.write_text(f"#!{sys.executable} -I\nimport sys\n{less}sys.exit(child.main(sys.argv[-3:]))\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    (check,) = [each for each in looked_at(DARWIN, tmp_path) if each.subject == "bin/go"]
    assert check.verdict == "SKIPPED"
    assert f"unknown-import: {name} is called, which this libSystem does not have in " in check.seen


def test_an_emulator_that_does_not_start_says_nothing_of_the_toolchain(
    get_goroot: Callable[[str, Target], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an engine that is installed, and cannot be loaded."""
    files.write(tmp_path / "bin/go", (get_goroot("1.22.10", DARWIN) / "bin/go").read_bytes())
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: libunicorn.so.2: cannot open' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    (check,) = [each for each in looked_at(DARWIN, tmp_path) if each.subject == "bin/go"]
    assert check.verdict == "SKIPPED"
    assert "the emulator does not start: ImportError: libunicorn.so.2: cannot open" in check.seen


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.21.13", "1.22.10", "1.24.11", "1.27.3"])
def test_the_official_toolchains_start(version: str, get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    report = verify_path(get_goroot(version, DARWIN), run=run, scratch=tmp_path)
    found = [each for each in report.checks if each.name == "starts"]
    assert len(found) > 8
    assert [each for each in found if each.verdict != "OK"] == []


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.22.10", "1.27.3"])
def test_an_official_toolchain_builds_what_a_cross_build_does(
    version: str, get_goroot: Callable[[str, Target], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{get_goroot(version, LINUX)}/bin")
    monkeypatch.setattr("gobuild.verify.runner.check_starts", lambda *_given: ())
    report = verify_path(get_goroot(version, DARWIN), run=run, scratch=tmp_path, deep=True)
    (check,) = [each for each in report.checks if each.name == "starts"]
    assert (check.subject, check.verdict) == (starts.BUILD, "OK"), check.seen


@pytest.mark.slow
def test_a_linker_that_writes_something_else_is_found(
    get_goroot: Callable[[str, Target], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its programs ask for another dyld; it is signed anew, and says its version as it should."""
    monkeypatch.setenv("PATH", f"{get_goroot('1.22.10', LINUX)}/bin")
    folder = tmp_path / "judged"
    shutil.copytree(get_goroot("1.22.10", DARWIN), folder, copy_function=os.link)
    linker = folder / "pkg/tool/darwin_arm64/link"
    data, headers = linker.read_bytes(), 0x1000
    changed = resigned(data[:headers] + data[headers:].replace(b"/usr/lib/dyld", b"/usr/lib/dylx"))
    linker.unlink()
    linker.write_bytes(changed)
    linker.chmod(0o755)
    goroot = Goroot(root=folder, target=DARWIN, bin=folder / "bin", stamp=STAMP)
    (check,) = starts.check_build(goroot, tmp_path / "scratch", run=run, own=False)
    assert (check.name, check.verdict) == ("starts", "FAILED"), check.seen
    assert "bytes, and" in check.seen
    assert [each.id for each in check.problems] == ["build-differs"]
