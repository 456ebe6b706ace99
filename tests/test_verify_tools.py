"""Second opinions: real tools agree on real files, and one that does not is shown beside our own reader."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from needs import needs
from verify_fixtures import DARWIN, LINUX, compiled, expected, judged, put

from gobuild.model import Check, Verdict
from gobuild.run import run
from gobuild.verify import tools
from gobuild.verify.checks import Inspected
from gobuild.verify.image import MachO

PATH = os.environ.get("PATH", os.defpath)


@pytest.fixture(scope="module")
def program(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(go_wheel, tmp_path_factory.mktemp("hello"), flags=("-trimpath", "-ldflags=-w -B gobuildid"))


def ask(found: Inspected, folder: Path, *, path: str = PATH, goos: str = "darwin") -> dict[str, Check]:
    checks = tools.second_opinions([found], goos=goos, path=path, scratch=folder, run=run)
    return {check.name.removeprefix("second opinion: "): check for check in checks}


def bin_with(folder: Path, **scripts: str) -> str:
    """A PATH of one folder with these programs."""
    place = folder / "bin"
    place.mkdir()
    for name, script in scripts.items():
        (place / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (place / name.replace("_", "-")).chmod(0o755)
    return str(place)


@pytest.mark.parametrize(("tool", "programs"), [("file", ["file"]), ("otool", ["otool", "llvm-otool", "llvm-objdump"])])
def test_real_tools_agree(program: Path, tmp_path: Path, tool: str, programs: Sequence[str]) -> None:
    needs(*programs)
    check = ask(judged(program.read_bytes(), tmp_path), tmp_path)[tool]
    assert check.verdict is Verdict.OK
    assert check.seen.endswith("agrees on 1 of 1 files")


def test_every_llvm_tool_agrees_by_every_name(program: Path, tmp_path: Path) -> None:
    """Debian has llvm-otool as llvm-otool-14 alone, and llvm-objdump --macho says the same in the same words."""
    needs("llvm-otool-14", "llvm-objdump", "llvm-nm")
    found = judged(program.read_bytes(), tmp_path)
    for name in ("llvm-otool-14", "llvm-objdump", "llvm-nm"):
        real = shutil.which(name)
        if real:
            place = tmp_path / name
            place.mkdir()
            (place / name).symlink_to(real)
            (check,) = (each for each in ask(found, tmp_path, path=str(place)).values() if each.verdict is Verdict.OK)
            assert check.seen == f"{name} agrees on 1 of 1 files"


def test_file_agrees_on_a_linux_program(go_wheel: Path, tmp_path: Path) -> None:
    needs("file")
    found = judged(compiled(go_wheel, tmp_path, LINUX).read_bytes(), tmp_path, expected(LINUX))
    checks = ask(found, tmp_path, goos="linux")
    assert list(checks) == ["file"]
    assert checks["file"].verdict is Verdict.OK


def test_a_tool_that_is_not_there_is_skipped_with_the_reason(program: Path, tmp_path: Path) -> None:
    checks = ask(judged(program.read_bytes(), tmp_path), tmp_path, path=bin_with(tmp_path))
    assert {check.verdict for check in checks.values()} == {Verdict.SKIPPED}
    assert checks["otool"].seen == "no otool or llvm-otool or llvm-objdump on PATH"
    assert checks["codesign"].seen == "no codesign on PATH"


def test_the_newest_numbered_tool_is_asked(program: Path, tmp_path: Path) -> None:
    path = bin_with(tmp_path, llvm_nm_9="echo old; exit 1", llvm_nm_14="echo new; exit 1")
    check = ask(judged(program.read_bytes(), tmp_path), tmp_path, path=path)["nm"]
    assert check.seen == "exit code 1: new"


def test_a_disagreement_shows_both(program: Path, tmp_path: Path) -> None:
    """Scripts stand in for tools that read something else; codesign's exit code is all that its adapter reads."""
    path = bin_with(
        tmp_path,
        file='echo "Mach-O 64-bit x86_64 executable, flags:<|DYLDLINK>"',
        llvm_nm='echo "                 U _MTLCreateSystemDefaultDevice"',
        codesign='echo "$3: a sealed resource is missing or invalid"; exit 1',
        otool="kill -9 $$",
    )
    checks = ask(judged(program.read_bytes(), tmp_path), tmp_path, path=path)
    assert {check.verdict for check in checks.values()} == {Verdict.FAILED}
    assert checks["file"].subject == "judged"
    assert checks["file"].seen == "file reads machine x86-64; file reads PIE False"
    assert checks["file"].expected == "our reader reads machine arm64; our reader reads PIE True"
    assert checks["nm"].seen == "llvm-nm reads undefined symbols _MTLCreateSystemDefaultDevice"
    assert "_pthread_create" in checks["nm"].expected
    assert checks["codesign"].expected == "our reader reads signature valid"
    assert checks["otool"].seen.startswith("exit code -9")


def test_codesign_that_agrees(program: Path, tmp_path: Path) -> None:
    data = program.read_bytes()
    path = bin_with(tmp_path, codesign="exit 0")
    assert ask(judged(data, tmp_path), tmp_path, path=path)["codesign"].verdict is Verdict.OK
    flipped = judged(put(data, 0x5123, "<B", data[0x5123] ^ 1), tmp_path)
    check = ask(flipped, tmp_path, path=path)["codesign"]
    assert (check.verdict, check.seen) == (Verdict.FAILED, "codesign reads signature valid")
    assert check.expected == "our reader reads signature not valid"


def test_a_tool_that_hangs_is_stopped(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TIME_LIMIT", 0.3)
    path = bin_with(tmp_path, file="while :; do :; done")
    check = ask(judged(program.read_bytes(), tmp_path), tmp_path, path=path)["file"]
    assert check.verdict is Verdict.FAILED
    assert "did not end within 0.3 s" in check.seen


def test_a_file_that_our_reader_refused_is_not_asked_about(tmp_path: Path) -> None:
    assert ask(judged(b"no program at all, but long enough", tmp_path), tmp_path) == {}


def test_a_lie_of_ours_would_be_noticed(program: Path, tmp_path: Path) -> None:
    """The other way round: were our reader wrong, a real tool would say so."""
    needs("llvm-objdump")
    found = judged(program.read_bytes(), tmp_path)
    assert isinstance(found.image, MachO)
    found.image.uuid = "00" * 16
    found.image.segments[1] = replace(found.image.segments[1], size=1)
    check = ask(found, tmp_path)["otool"]
    assert check.verdict is Verdict.FAILED
    assert "UUID" in check.seen
    assert "segments" in check.seen
    assert found.image.cputype == 0x0100000C
    assert expected().target == DARWIN


def test_a_stub_of_xcodes_is_no_opinion(program: Path, tmp_path: Path) -> None:
    """What Apple's stub says is imitated here: there is no Mac to try it on."""
    said = "xcode-select: note: No developer tools were found, requesting install."
    path = bin_with(tmp_path, otool=f"echo '{said}' >&2; exit 1")
    check = ask(judged(program.read_bytes(), tmp_path), tmp_path, path=path)["otool"]
    assert check.verdict is Verdict.SKIPPED
    assert "only stands for Xcode's" in check.seen
