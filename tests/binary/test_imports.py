"""Bind and rebase opcodes, by Go's linker and by a C linker; the table of functions, and the rules for both."""

import re
import struct
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import small
from needs import needs_llvm
from verify_fixtures import image, put, view

from gobuild.binary import dyld_info
from gobuild.binary.macho_types import MachO
from gobuild.binary.pclntab import Pclntab, read_pclntab
from gobuild.binary.view import Malformed, Range
from gobuild.core.process import run
from gobuild.verify.darwin import bind_problems
from gobuild.verify.golang import ENTRY, PROLOGUES, code_problems

PROGRAM = """\
	.build_version macos, 11, 0
	.text
	.globl _main
	.p2align 2
_main:
	bl _getpid
	bl _weak
	ret
	.weak_reference _weak
	.data
	.p2align 3
	.quad _main
	.quad _main
	.quad _errno
	.subsections_via_symbols
"""
"""A C compiler's kind of program: lazy and weak imports, pointers in data."""

STUB = """\
--- !tapi-tbd
tbd-version: 4
targets: [ arm64-macos ]
install-name: '/usr/lib/libSystem.B.dylib'
exports:
  - targets: [ arm64-macos ]
    symbols: [ _getpid, _weak, _errno, dyld_stub_binder ]
...
"""


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that LLVM's linker linked, as cgo's programs are by a C linker."""
    folder = tmp_path_factory.mktemp("linked")
    (folder / "main.s").write_text(PROGRAM)
    (folder / "libSystem.tbd").write_text(STUB)
    assemble = [needs_llvm("llvm-mc"), "-triple", "arm64-apple-macos11", "-filetype=obj", "-o", "main.o", "main.s"]
    link = [needs_llvm("ld64.lld"), "-arch", "arm64", "-platform_version", "macos", "11.0", "11.0"]
    for words in (assemble, [*link, "-o", "main", "main.o", "libSystem.tbd"]):
        run(words, env={"PATH": "/usr/bin:/bin"}, cwd=folder)
    return (folder / "main").read_bytes()


def told(data: bytes) -> list[str]:
    return [problem.id for problem in bind_problems(image(data))]


def place(found: MachO, what: str) -> int:
    return next(each.offset for each in found.linkedit if each.what == what)


def test_a_c_linker_s_tables_are_read(linked: bytes) -> None:
    found = image(linked)
    assert {(each.table, each.name, each.ordinal) for each in found.bindings} == {
        ("bind opcodes", "dyld_stub_binder", 1),
        ("bind opcodes", "_errno", 1),
        ("lazy bind opcodes", "_getpid", 1),
        ("lazy bind opcodes", "_weak", 1),
    }
    assert told(linked) == []


def test_the_symbol_table_must_agree_with_the_opcodes(linked: bytes) -> None:
    found = image(linked)
    entries = place(found, "symbols") + 16 * found.undefined[0]
    assert told(put(linked, entries + 6, "<H", 2 << 8)) == ["symbol-table-ordinal"]


def test_bindings_and_pointers_are_those_that_llvm_reads(hello: bytes, linked: bytes, tmp_path: Path) -> None:
    def said(*words: str) -> str:
        argv = [needs_llvm("llvm-objdump"), "--macho", *words, "file"]
        return run(argv, env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path).output

    for data in (hello, linked):
        (tmp_path / "file").write_bytes(data)
        row = r"^__\w+ +__\w+ +0x([0-9A-F]+) .*?(\w+)(?: \(weak import\))?$"
        bindings = re.findall(row, said("--bind", "--lazy-bind"), re.MULTILINE)
        found = image(data)
        ours = [(found.segments[each.segment].vmaddr + each.offset, each.name) for each in found.bindings]
        assert sorted(bindings) == sorted((f"{address:X}", name) for address, name in ours)
        pointers = {int(each, 16) for each in re.findall(r" 0x([0-9A-F]+) +pointer$", said("--rebase"), re.MULTILINE)}
        assert dyld_info.read_rebases(view(data), found) == pointers
        assert min(len(bindings), len(pointers)) > 3


def rebased(opcodes: bytes) -> frozenset[int]:
    """The pointers by these opcodes, in a file whose segment 2 has two pages."""
    data = small.macho(small.AMD64)
    headers = image(data)
    table = Range(what="rebase opcodes", offset=len(data), size=len(opcodes))
    headers.linkedit = [table]
    return dyld_info.read_rebases(view(data + opcodes), headers)


@pytest.mark.parametrize(
    ("opcodes", "message"),
    [
        (b"\x11\x22\x80", "no end"),
        (b"\x11\x22" + b"\xff" * 9 + b"\x7f\x51", "more than 64 bits"),
        (b"\x11\x2f\x00\x51\x00", "not there"),
        (b"\x11\x51\x00", "not there"),
        (b"\x12\x22\x00\x51\x00", "hold 0x12"),
        (b"\x11\x22\x00\x60\xff\xff\x03", "not there"),
        (b"\x11\x22\x00\x5f\x00\x01", "go on behind their end"),
        (b"\x11\x22\xf9\x3f\x51\x00", "not there"),
        (b"\x11\x22\x00\x90", "hold 0x90"),
        (b"\x11\x22\x00\x80\x03\x80\x20", "not there"),
        (b"\x11\x22\x00\x60\x80\x80\x80\x04", "more than 1048576 pointers"),
    ],
)
def test_bad_rebase_opcodes_are_refused(opcodes: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        rebased(opcodes)


def test_every_form_of_rebase_opcodes_is_run() -> None:
    start = image(small.macho(small.AMD64)).segments[2].vmaddr
    opcodes = b"\x11\x22\x00\x52\x30\x10\x41\x60\x02\x70\x08\x80\x02\x10\x00"
    assert rebased(opcodes) == {start + offset for offset in (0, 8, 0x28, 0x30, 0x38, 0x48, 0x60)}


def bound(opcodes: bytes) -> bytes:
    """A small file with other bind opcodes: it has room for sixteen bytes of them."""
    data = small.macho(small.AMD64)
    at = place(image(data), "bind opcodes")
    return data[:at] + opcodes.ljust(16, b"\0") + data[at + 16 :]


@pytest.mark.parametrize(
    ("opcodes", "message"),
    [
        (b"\x51\x72\x00\x11\x90", "before they say what"),
        (b"\x51\x11\x40_exit\0\x90", "before they say what"),
        (b"\x51\x72\x00\x40_exit\0\x90", "before they say what"),
        (b"\x52\x72\x00\x11\x40_exit\0\x90", "of type 2"),
        (b"\x51\x72\x00\x11\x40_exit\0\xd0", "hold 0xd0"),
        (b"\x51\x72\x00\x11\x40_exit\0\x61", "hold 0x61"),
        (b"\x51\x00\x72\x00\x11\x40_exit\0\x90", "behind their end"),
        (b"\x51\x72\x00\x11\x40_exitexitex", "has no end"),
        (b"\x51\x72\x00\x11\x40_x\0\xc0\xff\xff\xff\x7f\x00", "more than"),
    ],
)
def test_bad_bind_opcodes_are_refused(opcodes: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        image(bound(opcodes))


def test_there_is_a_limit_to_opcodes_and_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bound(b"\x51\x72\x00\x11\x40_x\0\x90\x90\x90\x90")
    assert len(image(data).bindings) == 4
    monkeypatch.setattr(dyld_info, "BINDINGS_LIMIT", 3)
    with pytest.raises(Malformed, match="more than 3 bindings"):
        image(data)
    monkeypatch.setattr(dyld_info, "OPCODES_LIMIT", 15)
    with pytest.raises(Malformed, match="16 bytes of bind opcodes"):
        image(data)


@pytest.mark.parametrize(
    ("opcodes", "problem"),
    [
        (b"\x51\x71\x00\x11\x40_exit\0\x90", "bound-outside-data"),
        (b"\x51\x7f\x00\x11\x40_exit\0\x90", "bound-outside-data"),
        (b"\x51\x72\x04\x11\x40_exit\0\x90", "bound-outside-data"),
        (b"\x51\x72\x80\x80\x01\x11\x40_exit\0\x90", "bound-outside-data"),
        (b"\x51\x72\x00\x11\x40_x\0\x90\x72\x00\x90", "bound-twice"),
        (b"\x51\x72\x00\x12\x40_exit\0\x90", "library-ordinal"),
        (b"\x51\x72\x00\x3c\x40_exit\0\x90", "library-ordinal"),
    ],
)
def test_bindings_that_dyld_would_refuse_are_told(opcodes: bytes, problem: str) -> None:
    assert told(bound(opcodes)) == [problem]


def functions(data: bytes) -> Pclntab:
    section = image(data).section("__gopclntab")
    assert section
    return read_pclntab(view(data), section.place)


def test_functions_and_source_files_are_read(hello: bytes) -> None:
    """That the names and addresses are right, test_compare_functions holds against `go tool nm`."""
    found = functions(hello)
    index = found.find(["runtime.schedinit", "no.such"])
    schedinit = next(each for each in found.functions() if each.name == "runtime.schedinit")
    assert index == {"runtime.schedinit": found.starts.index(schedinit.start)}
    assert found.source_files(schedinit)[0] == "runtime/proc.go"
    assert list(found.absolute_files()) == []


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (0, "<I", 0xFFFFFFF0, "begins with 0xfffffff0"),
        (8, "<Q", 1 << 40, "out of order"),
        (8, "<Q", 200_000, "says 200000 functions"),
        (32, "<Q", 1 << 50, "out of order"),
    ],
)
def test_a_damaged_table_of_functions_is_malformed(hello: bytes, at: int, form: str, value: int, message: str) -> None:
    section = image(hello).section("__gopclntab")
    assert section
    with pytest.raises(Malformed, match=message):
        functions(put(hello, section.offset + at, form, value))


def test_a_function_that_leaves_its_table_is_malformed() -> None:
    data = small.macho()
    found, section = functions(data), image(data).section("__gopclntab")
    assert section
    with pytest.raises(Malformed, match="has no header"):
        read_pclntab(view(data), Range(what="", offset=section.offset, size=71))
    pairs = section.offset + struct.unpack_from("<Q", data, section.offset + 64)[0]
    for at, value, message in (
        (pairs + 4, 0xFFFFFFF0, "a function leaves the table"),
        (found.infos[0], 5, "stands elsewhere by its own word"),
        (found.infos[0] + 4, 1 << 20, "a name at .* leaves the table"),
    ):
        with pytest.raises(Malformed, match=message):
            list(functions(put(data, at, "<I", value)).functions())


def test_hostile_tables_need_little_memory() -> None:
    """64 MB of source files by their whole paths."""
    names = b"/ab\0" * (1 << 24)
    head = struct.pack("<IBBBB3Q", 0xFFFFFFF1, 0, 0, 4, 8, 1, 1, 0)
    head += struct.pack("<5Q", 96, 96, 96, 96 + len(names), 96 + len(names))
    table = head.ljust(96, b"\0") + names + struct.pack("<3Ii", 0, 12, 4, 0) + bytes(68)
    tracemalloc.start()
    try:
        found = read_pclntab(view(table), Range(what="", offset=0, size=len(table)))
        assert list(islice(found.absolute_files(), 3)) == ["/ab"] * 3
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def instruction_problems(found: Pclntab, data: bytes, goarch: str = small.ARM64) -> set[str]:
    text = image(data).section("__text")
    assert text
    begins, entry = ENTRY["darwin", small.ARM64], image(data).entry or 0
    return {each.id for each in code_problems(view(data), found, text.place, entry, goarch, begins)}


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({}, set()),
        ({"starts": (0, 112, 176, 144, 208)}, {"function-order"}),
        ({"starts": (0, 112, 144, 176, 212)}, {"function-outside-text"}),
        ({"starts": (0, 112, 144, 178, 208)}, {"function-alignment"}),
        ({"starts": (0, 116, 144, 176, 208)}, {"entry-function"}),
        ({"quantum": 1}, {"instruction-size"}),
        ({"name_offsets": (0, 11, 0, 0)}, {"no-runtime"}),
    ],
)
def test_functions_that_are_not_a_machine_s_are_told(change: dict[str, Any], problems: set[str]) -> None:
    data = small.macho()
    assert instruction_problems(replace(functions(data), **change), data) == problems


def test_how_functions_begin_is_told() -> None:
    """One function of four as another machine's is enough, whatever the others are."""
    data = small.macho()
    arm64, amd64 = PROLOGUES.values()
    assert instruction_problems(functions(data), data.replace(arm64, amd64, 1)) == {"foreign-prologues"}
    assert instruction_problems(functions(data), data.replace(arm64, bytes(4))) == {"few-prologues"}
