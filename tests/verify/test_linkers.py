"""linux programs by who linked them, a C linker or Go's own: real Go and real gcc, whole reports."""

from pathlib import Path

import pytest
from needs import needs
from verify_fixtures import LINUX, compiled, failed, named

from gobuild.core.goversion import Target
from gobuild.core.model import Report, Verdict
from gobuild.core.process import run
from gobuild.verify import verify_path

CGO = {"main.go": 'package main\n\n// int two(void) { return 2; }\nimport "C"\n\nfunc main() { println(C.two()) }\n'}
STATIC = "-ldflags=-linkmode external -extldflags -static"
STATIC_PIE = "-ldflags=-linkmode external -extldflags -static-pie"

pytestmark = pytest.mark.skipif(Target.host() != LINUX, reason="gcc links for this machine alone, and Go's linux is it")


def report(goroot: Path, tmp_path: Path, *flags: str, cgo: str = "1") -> Report:
    """What verify says of a program, other tools included: `file` reads "static-pie linked"."""
    needs("gcc")
    source = CGO if cgo == "1" else None
    program = compiled(goroot, tmp_path, LINUX, flags=("-trimpath", *flags), source=source, cgo=cgo)
    return verify_path(program, run=run, scratch=tmp_path / "scratch")


@pytest.mark.parametrize(
    "flags",
    [(STATIC,), ("-buildmode=pie", STATIC_PIE), ("-ldflags=-linkmode external",)],
    ids=["static", "pie", "libc"],
)
def test_the_code_of_what_a_c_linker_linked_is_not_looked_at(
    go_wheel: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """libc's code stands before Go's, and functions are counted from Go's first: SKIPPED, and nothing else is wrong."""
    found = report(go_wheel, tmp_path, *flags)
    assert failed(found) == {}
    assert named(found, "code").verdict is Verdict.SKIPPED
    assert "linked by a C linker" in named(found, "code").seen
    assert named(found, "second opinion: file").verdict is not Verdict.FAILED
    assert named(found, "build ID").verdict is Verdict.OK


@pytest.mark.parametrize(("flags", "cgo"), [(("-buildmode=pie",), "0"), (("-ldflags=-linkmode internal",), "1")])
def test_what_go_s_linker_linked_is_looked_at_interpreter_or_not(
    go_wheel: Path, tmp_path: Path, flags: tuple[str, ...], cgo: str
) -> None:
    found = report(go_wheel, tmp_path, *flags, cgo=cgo)
    assert failed(found) == {}
    assert "an interpreter" in named(found, "linking").seen
    assert "functions, which begin as" in named(found, "code").seen
    assert named(found, "code").verdict is Verdict.OK


def test_the_race_detector_s_functions_among_go_s_are_no_damage(go_wheel: Path, tmp_path: Path) -> None:
    needs("gcc")
    program = compiled(go_wheel, tmp_path, LINUX, flags=("-trimpath", "-race"), cgo="1")
    found = verify_path(program, run=run, scratch=tmp_path / "scratch")
    assert failed(found) == {}
    assert "what LLVM's race detector brings" in named(found, "code").seen
