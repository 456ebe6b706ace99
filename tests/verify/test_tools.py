"""Second opinions: real tools agree on real files, and one that does not is shown beside our own reader.

What could not be run here is tried on recorded output: tests/data/tools, with the source of each.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from needs import needs
from verify_fixtures import DARWIN, LINUX, compiled, expected, judged, put

from gobuild.binary.macho_types import MachO
from gobuild.core.goversion import Target
from gobuild.core.model import Check, Verdict
from gobuild.core.process import Result, run
from gobuild.verify import external_tools, require, verify_path
from gobuild.verify.checks import FileReport

PATH = os.environ.get("PATH", os.defpath)
DATA = Path(__file__).parents[1] / "data/tools"


@pytest.fixture(scope="module")
def program(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(go_wheel, tmp_path_factory.mktemp("hello"), flags=("-trimpath", "-ldflags=-w -B gobuildid"))


def ask(found: FileReport, folder: Path, *, path: str = PATH) -> dict[str, Check]:
    checks = external_tools.second_opinions([found], path=path, scratch=folder, run=run)
    return {check.name.removeprefix("second opinion: "): check for check in checks}


def bin_with(folder: Path, **scripts: str) -> str:
    """A PATH of one folder with these programs."""
    place = folder / "bin"
    place.mkdir()
    for name, script in scripts.items():
        (place / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (place / name.replace("_", "-")).chmod(0o755)
    return str(place)


def test_real_tools_agree_by_every_name(program: Path, tmp_path: Path) -> None:
    """Debian has llvm-otool as llvm-otool-14 alone, and llvm-objdump --macho says the same in the same words."""
    found, tried = judged(program.read_bytes(), tmp_path), 0
    tools = {"file": "file", "llvm-otool-14": "otool", "llvm-objdump": "otool", "llvm-nm": "nm"}
    for name, asked in tools.items():
        if real := shutil.which(name):
            (tmp_path / f"only-{name}").mkdir()
            (tmp_path / f"only-{name}/{name}").symlink_to(real)
            checks = ask(found, tmp_path, path=str(tmp_path / f"only-{name}"))
            assert [each for each in checks if checks[each].seen == f"{name} agrees on 1 of 1 files"] == [asked]
            tried += 1
    if not tried:
        needs(*tools)


def test_file_agrees_on_a_linux_program(go_wheel: Path, tmp_path: Path) -> None:
    needs("file")
    found = judged(compiled(go_wheel, tmp_path, LINUX).read_bytes(), tmp_path, expected(LINUX))
    checks = ask(found, tmp_path)
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
    assert checks["file"].seen == "file reads machine x86_64; file reads PIE False"
    assert checks["file"].expected == "our reader reads machine arm64; our reader reads PIE True"
    assert checks["nm"].seen == "llvm-nm reads undefined symbols _MTLCreateSystemDefaultDevice"
    assert "_pthread_create" in checks["nm"].expected
    assert checks["codesign"].expected == "our reader reads signature valid"
    assert checks["otool"].seen.startswith("exit code -9")


def test_codesign_that_agrees(program: Path, tmp_path: Path) -> None:
    data = program.read_bytes()
    path = bin_with(tmp_path, codesign='[ "$1" = --verify ]')
    assert ask(judged(data, tmp_path), tmp_path, path=path)["codesign"].verdict is Verdict.OK
    flipped = judged(put(data, 0x5123, "<B", data[0x5123] ^ 1), tmp_path)
    check = ask(flipped, tmp_path, path=path)["codesign"]
    assert (check.verdict, check.seen) == (Verdict.FAILED, "codesign reads signature valid")
    assert check.expected == "our reader reads signature not valid"


def test_a_tool_that_hangs_is_stopped(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_tools, "TIME_LIMIT", 0.3)
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
    found.image.segments[1] = replace(found.image.segments[1], filesize=1)
    check = ask(found, tmp_path)["otool"]
    assert check.verdict is Verdict.FAILED
    assert "UUID" in check.seen
    assert "segments" in check.seen


def test_a_stub_of_xcodes_is_no_opinion(program: Path, tmp_path: Path) -> None:
    """What Apple's stub says is imitated here: there is no Mac to try it on."""
    said = "xcode-select: note: No developer tools were found, requesting install."
    path = bin_with(tmp_path, otool=f"echo '{said}' >&2; exit 1")
    check = ask(judged(program.read_bytes(), tmp_path), tmp_path, path=path)["otool"]
    assert check.verdict is Verdict.SKIPPED
    assert "only stands for Xcode's" in check.seen


def recorded(name: str, code: int = 0) -> Result:
    """What a tool said, to somebody else."""
    return Result(argv=(name,), code=code, output=(DATA / name).read_text(encoding="utf-8"))


def test_what_codesign_displays() -> None:
    names = ("identifier", "version", "flags", "hashes", "special slots", "ad hoc", "team", "machine", "cdhash")
    ad_hoc = ("hello", "20400", "0x2", "13", "0", "True", "", "x86_64", "b6417d252c7f06bd3e7060f41616a965c4f0b8ae")
    found = external_tools.read_codesign_display(recorded("codesign-adhoc.txt"))
    assert found == dict(zip(names, ad_hoc, strict=True))
    identity = ("com.google.Chrome", "20500", "0x12a00", "46", "7", "False", "EQHXZ8M8AV")
    found = external_tools.read_codesign_display(recorded("codesign-identity.txt"))
    assert found == dict(zip(names, identity, strict=False))
    assert external_tools.read_codesign_display(recorded("codesign-adhoc.txt", code=1)) == {}


def test_what_apples_otool_prints() -> None:
    first = external_tools.read_otool(recorded("otool-1.txt"))
    assert first["segments"] == "__PAGEZERO@0+0 __TEXT@0+32768"
    second = external_tools.read_otool(recorded("otool-2.txt"))
    assert second["load commands"] == "LC_SEGMENT_64 LC_DYLD_INFO_ONLY LC_SYMTAB LC_LOAD_DYLINKER LC_UUID"
    assert second["segments"] == "__LINKEDIT@3670016+2152200"
    assert second["UUID"] == "0f365e6fb9d93442963d5a8baea154ec"
    assert second["install names"] == ""


def test_our_own_facts_are_those_of_codesign(program: Path, tmp_path: Path) -> None:
    """A line that codesign would display of this file, made from another reader's numbers: apple-platform-py's."""
    from apple_platform import reading

    (said,) = reading.find_values(reading.read_signature(program), "signature")
    directory, (blob,) = said["code_directory"], said["blobs"]
    theirs = {
        "identifier": directory["identifier"],
        "version": directory["version"].removeprefix("0x"),
        "flags": "0x20002",
        "hashes": str(directory["code_digests_count"]),
        "special slots": "0",
        "ad hoc": "True",
        "team": "",
        "machine": "arm64",
        "cdhash": blob["sha256"][:40],
    }
    assert theirs.items() <= external_tools.our_facts(judged(program.read_bytes(), tmp_path)).items()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.21.13", "1.27.3"])
def test_every_tool_agrees_on_every_official_release(
    get_goroot: Callable[[str, Target], Path], tmp_path: Path, version: str
) -> None:
    """1.22.10 is among the tests of verify as a whole."""
    needs("file")
    needs("llvm-objdump")
    report = verify_path(get_goroot(version, DARWIN), run=run, scratch=tmp_path)
    require(report)
    count = sum(check.name == "signature" for check in report.checks)
    opinions = [check for check in report.checks if check.name.startswith("second") and check.verdict is Verdict.OK]
    assert {check.seen.partition(" agrees on ")[2] for check in opinions} == {f"{count} of {count} files"}
    assert {"second opinion: file", "second opinion: otool"} <= {check.name for check in opinions}
