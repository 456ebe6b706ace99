"""The checks of one file, by its expectation: what passes, and what each of them refuses."""

import hashlib
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from verify_fixtures import (
    DARWIN,
    HELLO,
    INTEL,
    LINUX,
    METAL,
    STATIC,
    WITH_METAL,
    asking,
    command,
    compiled,
    directory,
    expected,
    failed,
    judged,
    named,
    put,
    resigned,
    superblob,
    view,
)

from gobuild.binary.macho_types import COMMANDS
from gobuild.core.goversion import TARGETS, GoVersion, Target
from gobuild.core.model import Problem, Verdict
from gobuild.core.process import run
from gobuild.verify import expect, external_tools, verify_path
from gobuild.verify.checks import CheckId, FileReport
from gobuild.verify.expect import expectation
from gobuild.verify.golang import _traces, build_information, inspect_file, inspect_program


def test_a_real_program_passes(hello: bytes, tmp_path: Path) -> None:
    found = judged(hello, tmp_path, replace(expected(), stripped=True))
    assert failed(found) == {}
    assert [check.name for check in found.checks] == [
        *("format", "layout", "platform", "install names", "symbols", "imports", "symbol table", "LC_UUID"),
        *("signature", "code", "version", "settings", "build ID", "build paths", "traces"),
    ]
    assert {check.name for check in found.checks if check.verdict is not Verdict.OK} == {"LC_UUID"}
    assert named(found, "code").seen.endswith("functions, which begin as arm64's do")


def test_a_program_that_links_metal_is_refused(go_wheel: Path, tmp_path: Path) -> None:
    data = compiled(go_wheel, tmp_path, source=WITH_METAL).read_bytes()
    found = failed(judged(data, tmp_path))
    assert found == {
        "install names": METAL,
        "symbols": "_MTLCreateSystemDefaultDevice",
        "imports": "_MTLCreateSystemDefaultDevice is asked of Metal",
        "traces": "Metal.framework; MTLCreateSystemDefaultDevice",
    }


SYSTEM, RESOLVER = "/usr/lib/libSystem.B.dylib", "/usr/lib/libresolv.9.dylib"


@pytest.mark.parametrize(
    ("symbol", "library", "verdict", "seen"),
    [
        ("getprogname", SYSTEM, Verdict.SKIPPED, "not in gobuild's tables: _getprogname of libSystem.B.dylib"),
        ("res_more", RESOLVER, Verdict.SKIPPED, "not in gobuild's tables: _res_more of libresolv.9.dylib"),
        ("read", RESOLVER, Verdict.FAILED, "_read is asked of libresolv.9.dylib, and is in libSystem.B.dylib"),
        ("getprogname", "/usr/lib/libmore.dylib", Verdict.FAILED, "_getprogname is asked of libmore.dylib"),
    ],
)
def test_a_symbol_that_no_table_knows_is_no_fault_of_the_toolchain(
    go_wheel: Path, tmp_path: Path, symbol: str, library: str, verdict: Verdict, seen: str
) -> None:
    """Four of the last six lines of Go asked libSystem for more than those before."""
    data = compiled(go_wheel, tmp_path, source=asking(symbol, library)).read_bytes()
    found = judged(data, tmp_path)
    assert (named(found, "imports").verdict, named(found, "imports").seen) == (verdict, seen)
    assert set(failed(found)) <= {"imports", "install names"}
    assert ("install names" in failed(found)) == ("more" in library)


@pytest.mark.parametrize("stamp", ["go1.22.10", "go1.28.0", "devel go1.29-0123abc"])
def test_what_a_newer_linker_writes_is_not_held_against_it(hello: bytes, tmp_path: Path, stamp: str) -> None:
    """A section and a load command; of a line that the tables know, none is accepted."""
    wanted = replace(
        expect.for_probe(expectation(expect.release_of(stamp), DARWIN, stamp="go1.22.10"), cgo="0"), uuid=False
    )
    signature = command(hello, "LC_CODE_SIGNATURE")
    count, size = struct.unpack_from("<2I", hello, 16)
    more = put(hello, signature, "<4I", 0x7F, 16, 0, 0)
    more = put(put(more, signature + 16, "16s", hello[signature : signature + 16]), 16, "<2I", count + 1, size + 16)
    newer = {
        "section __DATA,__newer": put(hello, hello.index(b"__noptrbss\0"), "16s", b"__newer"),
        "load command 0x7f": more,
    }
    for name, changed in newer.items():
        found = named(judged(resigned(changed), tmp_path, wanted), "layout")
        assert name in found.seen
        assert found.verdict is (Verdict.FAILED if wanted.facts.measured else Verdict.SKIPPED), found.seen


@pytest.mark.parametrize("name", ["LC_LOAD_WEAK_DYLIB", "LC_REEXPORT_DYLIB", "LC_LAZY_LOAD_DYLIB", "LC_RPATH"])
def test_another_way_to_load_is_refused(hello: bytes, tmp_path: Path, name: str) -> None:
    at = command(hello, "LC_LOAD_DYLIB")
    number = next(number for number, each in COMMANDS.items() if each == name)
    changed = put(hello, at, "<I", number)
    assert name in failed(judged(resigned(changed), tmp_path))["install names"]


def test_a_missing_uuid_is_refused_where_it_must_be(go_wheel: Path, tmp_path: Path) -> None:
    with_uuid = compiled(go_wheel, tmp_path / "with", flags=("-trimpath", "-ldflags=-w -B gobuildid")).read_bytes()
    without = compiled(go_wheel, tmp_path / "without", flags=("-trimpath", "-ldflags=-w")).read_bytes()
    assert failed(judged(with_uuid, tmp_path, expected(uuid=True))) == {}
    assert failed(judged(without, tmp_path, expected(uuid=True))) == {"LC_UUID": "none"}


def test_a_wrong_stamp_wrong_settings_and_a_wrong_program_are_refused(hello: bytes, tmp_path: Path) -> None:
    found = judged(hello, tmp_path, expected(stamp="go1.22.10-acme1"))
    assert failed(found) == {"version": "go1.22.10"}
    assert named(found, "version").expected == "go1.22.10-acme1"
    wanted = replace(expected(), settings={"CGO_ENABLED": "1", "GOOS": "darwin", "-race": "true"})
    assert failed(judged(hello, tmp_path, wanted)) == {"settings": "CGO_ENABLED=0; -race=(none)"}
    (tmp_path / "other").write_bytes(hello)
    found = inspect_file(tmp_path / "other", subject="bin/go", program="cmd/go", expected=expected())
    assert failed(found) == {"settings": "path=hello"}


@pytest.mark.parametrize(("version", "verdict"), [("12.0", Verdict.FAILED), ("", Verdict.SKIPPED)])
def test_another_platform_is_refused_where_one_is_known(
    hello: bytes, tmp_path: Path, version: str, verdict: Verdict
) -> None:
    wanted = replace(expected(), facts=replace(expected().facts, minos=version, sdk=version))
    check = named(judged(hello, tmp_path, wanted), "platform")
    assert check.verdict is verdict
    assert check.seen.startswith("macOS 11.0, SDK 11.0")


def test_a_program_for_another_machine_is_refused(go_wheel: Path, linux: bytes, tmp_path: Path) -> None:
    intel = compiled(go_wheel, tmp_path, INTEL).read_bytes()
    assert {"format", "code", "signature"} <= set(failed(judged(intel, tmp_path)))
    assert set(failed(judged(linux, tmp_path))) == {"format"}
    found = judged(intel, tmp_path, expected(INTEL))
    assert failed(found) == {}
    assert named(found, "signature").verdict is Verdict.SKIPPED
    assert named(found, "platform").seen == "macOS 10.13, SDK 10.13"


def test_symbols_and_debugging_information_are_seen(go_wheel: Path, tmp_path: Path) -> None:
    for target in (DARWIN, LINUX):
        data = compiled(go_wheel, tmp_path, target, flags=("-trimpath",)).read_bytes()
        seen = failed(judged(data, tmp_path, replace(expected(target), stripped=True)))
        assert set(seen) == {"symbol table"}
        assert "debugging information" in seen["symbol table"]
        assert "symbol" in seen["symbol table"].partition(";")[2]
        assert (
            failed(judged(data, tmp_path, replace(expected(target), profile=expect.ProgramProfile(debugging=True))))
            == {}
        )


def test_paths_of_the_building_machine_are_found(go_wheel: Path, tmp_path: Path) -> None:
    """Without -trimpath the compiler writes the folder of each source file, of GOROOT too."""
    data = compiled(go_wheel, tmp_path, flags=(STATIC,)).read_bytes()
    wanted = replace(expected(), paths=(str(go_wheel), str(tmp_path), "/nowhere/at/all"))
    seen = failed(judged(data, tmp_path, wanted))
    assert set(seen) == {"settings", "build paths"}
    found = seen["build paths"].split("; ")
    assert found[:2] == [f"the path {go_wheel}", f"the path {tmp_path}"]
    assert found[2] == "file names with their folders, as without -trimpath"
    assert found[3].startswith(f"the source file {go_wheel}/src/internal/")


def test_a_static_linux_program_passes(linux: bytes, tmp_path: Path) -> None:
    found = judged(linux, tmp_path, replace(expected(LINUX), stripped=True))
    assert failed(found) == {}
    assert named(found, "linking").seen == "static"


def test_a_linux_program_with_shared_libraries_is_refused(go_wheel: Path, tmp_path: Path) -> None:
    """Go's own linker makes a dynamic program of this directive, as it does for the os/user package with cgo."""
    source = asking("getpid", "libc.so.6")
    source["main.go"] += '\n//go:cgo_import_dynamic _ _ "libc.so.6"\n'
    source["more_amd64.s"] = source.pop("more_arm64.s").replace("BL", "CALL")
    data = compiled(go_wheel, tmp_path, LINUX, source=source).read_bytes()
    seen = failed(judged(data, tmp_path, expected(LINUX)))
    assert "needs libc.so.6" in seen["linking"]
    assert failed(judged(data, tmp_path, replace(expected(LINUX), profile=expect.ProgramProfile(static=False)))) == {}


def test_what_is_no_executable_gets_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text(HELLO["main.go"], encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("text")
    os.mkfifo(tmp_path / "pipe")
    for target in (DARWIN, LINUX):
        for name in ("empty", "text", "folder", "link", "pipe", "missing"):
            found = inspect_file(tmp_path / name, subject=name, program="", expected=expected(target))
            assert list(failed(found)) == ["format"]
            assert named(found, "format").expected == f"an executable for {target}"


def test_facts_are_rows_that_override() -> None:
    def of(version: str, target: Target) -> tuple[str, str, bool, int]:
        found = expectation(GoVersion.parse(version), target, stamp="")
        return found.facts.minos, found.facts.sdk, found.uuid, len(found.facts.tools)

    assert of("1.20", DARWIN) == ("", "", False, 0)
    assert of("1.21.13", DARWIN) == ("11.0", "11.0", False, 17)
    assert of("1.22.10", INTEL) == ("10.13", "10.13", False, 17)
    assert of("1.23.9", INTEL) == ("11.0", "11.0", False, 18)
    assert of("1.24rc1", DARWIN) == ("11.0", "11.0", True, 18)
    assert of("1.25.5", DARWIN) == ("12.0", "12.0", True, 7)
    assert of("1.26.6", DARWIN) == ("12.0", "12.0", True, 8)
    assert of("1.27.3", INTEL) == ("13.0", "26.2", True, 8)
    assert of("1.28.0", DARWIN) == ("", "", True, 0)
    assert of("1.27.3", LINUX) == ("", "", False, 8)
    assert expectation(GoVersion.parse("1.22.10"), DARWIN, stamp="", patches=frozenset({expect.UUID_PATCH})).uuid
    assert [expectation(None, target, stamp="").signed for target in TARGETS] == [True, False, False, False]


@pytest.mark.parametrize(
    ("stamp", "seen"), [("go1.22.10-acme1", None), ("go1.22.9-acme1", "scanners read go1.22.10"), ("go1.22.10", None)]
)
def test_scanners_must_read_the_stamp_s_release(go_wheel: Path, tmp_path: Path, stamp: str, seen: str | None) -> None:
    """A setting of the same length becomes the one that the patched linker writes."""
    said = f"gobuild_version={stamp}".encode()
    tags = b"-tags=" + b"t" * (len(said) - 6)
    made = compiled(go_wheel, tmp_path, flags=("-trimpath", STATIC, tags.decode())).read_bytes()
    program = resigned(made.replace(tags, said))
    assert failed(judged(program, tmp_path, expected(stamp=stamp))).get("version") == seen
    (tmp_path / "program").write_bytes(program)
    info = build_information(tmp_path / "program")
    assert info
    assert (info.stamp, info.version) == (stamp, "go1.22.10")
    patched = expectation(GoVersion.parse("1.22.10"), DARWIN, stamp=stamp, patches=frozenset({expect.SCANNER_PATCH}))
    wanted = expect.for_probe(patched, cgo="0")
    assert "gobuild_version" in failed(judged(made, tmp_path, wanted))["settings"]
    assert "gobuild_version" not in failed(judged(program, tmp_path, wanted)).get("settings", "")


def test_stamps_name_their_release() -> None:
    assert expect.release_of("go1.22.10-acme1.3f9c2a1") == GoVersion.parse("1.22.10")
    assert expect.release_of("go1.27.3 X:nodwarf5") == GoVersion.parse("1.27.3")
    assert expect.release_of("devel go1.28-0123abc") is None
    assert expect.release_of("") is None


def test_symbols_that_no_tool_imports_are_known_by_their_beginning() -> None:
    names = ("_IOServiceMatching", "_OBJC_CLASS_$_MTLDevice", "_clock_gettime")
    assert [bool(expect.DENIED_SYMBOLS.match(name)) for name in names] == [True, True, False]


def test_an_excuse_holds_only_where_every_problem_is_excused() -> None:
    """Also the ninth, which a check does not name."""
    brought = [Problem("flat-lookup", f"_x{index} is asked of any library") for index in range(8)]
    for problem_id, verdict in (("flat-lookup", Verdict.SKIPPED), ("wrong-library", Verdict.FAILED)):
        found = FileReport(path=Path("x"), subject="x", excused=expect.RACE_DETECTOR["darwin"])
        found.judge(CheckId.IMPORTS, [*brought, Problem(problem_id, "_y")], seen="", expected="")
        assert [check.verdict for check in found.checks] == [verdict]


def test_checks_have_names_families_and_sentences() -> None:
    assert {CheckId.of(f"second opinion: {each.name}") for each in external_tools.TOOLS} == {CheckId.SECOND_OPINION}
    assert (CheckId.of("policy: team"), CheckId.of("build ID")) == (CheckId.POLICY, CheckId.BUILD_ID)
    assert (CheckId.of("install name"), CheckId.of("format: x"), CheckId.of("")) == (None, None, None)
    assert all(each.sentence and not each.sentence.endswith(".") for each in CheckId)


@pytest.mark.parametrize("target", [DARWIN, INTEL])
@pytest.mark.parametrize("flags", [("-ldflags=-s -w -buildid=",), ("-race",), ("-gcflags=-N -l",)])
def test_ordinary_programs_pass(go_wheel: Path, tmp_path: Path, target: Target, flags: tuple[str, ...]) -> None:
    """Without a build ID, and with LLVM's race detector, which has problems that are excused."""
    path = compiled(go_wheel, tmp_path, target, flags=flags)
    found = inspect_program(path, None, subject="hello")
    assert failed(found) == {}
    race = {check.name for check in found.checks if "race detector brings" in check.seen}
    # And "code", where the linker puts a function of LLVM's between Go's; "layout" for amd64.
    assert race >= ({"platform", "symbols", "imports"} if flags == ("-race",) else set())
    assert race <= ({"platform", "symbols", "imports", "code", "layout"} if flags == ("-race",) else set())


def test_an_unknown_elf_file_is_called_one(linux: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(put(linux, 18, "<H", 8))
    assert failed(inspect_program(tmp_path / "x", None, subject="x"))["format"].startswith("EM_MIPS, ")


def test_an_entry_beyond_the_file_loses_no_report(darwin_wheel: Path, tmp_path: Path) -> None:
    data = (darwin_wheel / "pkg/tool/darwin_arm64/pack").read_bytes()
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/good").write_bytes(data)
    (tmp_path / "programs/bad").write_bytes(put(data, command(data, "LC_MAIN") + 8, "<Q", 1 << 40))
    report = verify_path(tmp_path / "programs", run=run, scratch=tmp_path / "scratch")
    assert {check.subject for check in report.failed} == {"bad"}
    assert "the entry point 0x10000000000 is not in __text" in failed(report)["layout"]
    assert named(report, "second opinion: otool").verdict is not Verdict.FAILED


def test_entitlements_nested_without_end_get_a_verdict(hello: bytes, tmp_path: Path) -> None:
    """With page hashes and slots that are right."""
    xml = b'<plist version="1.0"><dict><key>a</key>%s</dict></plist>' % (b"<array>" * 20_000 + b"</array>" * 20_000)
    blob = struct.pack(">2I", 0xFADE7171, 8 + len(xml)) + xml
    special = (hashlib.sha256(blob).digest(), *[bytes(32)] * 4)

    def sign(content: bytes) -> bytes:
        return superblob((0, directory(content, special=special, flags=2)), (5, blob))

    assert set(failed(judged(resigned(hello, sign), tmp_path))) == {"signature"}


def test_a_name_behind_many_others_is_found(tmp_path: Path) -> None:
    """More names of frameworks than are looked for do not hide one."""
    many = b"".join(b"/%d.framework\0" % index for index in range(100))
    for data in (b"xMetal.framework", many + b"OpenCL.framework", b"MTLCreateSystemDefaultDevice"):
        found = FileReport(path=tmp_path, subject="x")
        _traces(view(data), found, replace(expected(), profile=expect.PROGRAM))
        assert [each.id for each in found.checks[0].problems] == ["framework-name"]
