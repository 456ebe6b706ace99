"""The readers of headers: Mach-O, its layout, ELF and Go's build information, on real files and on damaged ones."""

import base64
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from verify_fixtures import HELLO, INTEL, command, compiled, image, put, view

from gobuild.binary import buildid, buildinfo, elf, macho
from gobuild.binary.view import FILE_LIMIT, Malformed, Range, opened
from gobuild.core.process import run
from gobuild.verify.layout import DYLD, layout_problems
from gobuild.verify.linux import elf_layout_problems

Change = Callable[[bytes], bytes]


def problems(data: bytes, page: int = 1 << 14) -> list[str]:
    return [each.id for each in layout_problems(view(data), image(data), page=page)]


def test_reads_what_go_writes(hello: bytes) -> None:
    found = image(hello)
    assert [each.name for each in found.segments] == ["__PAGEZERO", "__TEXT", "__DATA_CONST", "__DATA", "__LINKEDIT"]
    assert (found.platform, found.minos, found.sdk, found.uuid) == (1, "11.0", "11.0", "")
    assert (found.dylibs, found.dylinker) == ([("LC_LOAD_DYLIB", "/usr/lib/libSystem.B.dylib")], DYLD)
    assert "_pthread_create" in found.imports
    assert found.bound == frozenset(found.imports)
    assert found.defined == 0
    assert found.signature and found.signature.end == len(hello)
    assert problems(hello) == []


def test_a_uuid_and_debugging_information_are_read(go_wheel: Path, tmp_path: Path) -> None:
    data = compiled(go_wheel, tmp_path, flags=("-ldflags=-B 0x000102030405060708090a0b0c0d0e0f",)).read_bytes()
    found = image(data)
    assert found.uuid == "000102030405060708090a0b0c0d0e0f"
    assert found.defined > 1000
    assert found.segment("__DWARF")
    assert problems(data) == []


def test_darwin_amd64_starts_by_a_thread_state(go_wheel: Path, tmp_path: Path) -> None:
    data = compiled(go_wheel, tmp_path, INTEL).read_bytes()
    found = image(data)
    assert ("LC_UNIXTHREAD" in found.commands, found.signature, found.minos) == (True, None, "10.13")
    assert problems(data, page=1 << 12) == []
    at = command(data, "LC_UNIXTHREAD")
    assert "entry-outside-text" in problems(put(data, at + 16 + 16 * 8, "<Q", 0), page=1 << 12)
    with pytest.raises(Malformed, match="no x86-64 thread state"):
        image(put(data, at + 8, "<I", 6))


NOT_MACHO: dict[str, tuple[Change, str]] = {
    "fat": (lambda data: struct.pack(">2I", 0xCAFEBABE, 1) + data, "a fat"),
    "fat64": (lambda data: struct.pack(">2I", 0xCAFEBABF, 1) + data, "a fat"),
    "32-bit": (lambda data: put(data, 0, "<I", 0xFEEDFACE), "32-bit"),
    "elf": (lambda _data: b"\x7fELF" + bytes(100), "an ELF file"),
    "text": (lambda _data: b"hello, world, this is no program at all", "begins with 68656c6c"),
    "short": (lambda data: data[:20], "beyond the file"),
    "reserved": (lambda data: put(data, 28, "<I", 1), "reserved"),
    "too many commands": (lambda data: put(data, 16, "<I", 0xFFFFFFFF), "4294967295 load commands"),
    "commands too long": (lambda data: put(data, 20, "<I", 0x7FFFFFFF), "load commands in 2147483647 bytes"),
    "one command too many": (lambda data: put(data, 16, "<I", struct.unpack_from("<I", data, 16)[0] + 1), "beyond"),
    "one command too few": (lambda data: put(data, 16, "<I", struct.unpack_from("<I", data, 16)[0] - 1), "header says"),
    "command past the end": (lambda data: put(data, 32 + 4, "<I", 0xFFFFFFF8), "ends beyond the load commands"),
    "command of no size": (lambda data: put(data, 32 + 4, "<I", 0), "ends beyond the load commands"),
    "command of odd size": (lambda data: put(data, 32 + 4, "<I", 73), "ends beyond the load commands"),
    "sections lie": (lambda data: put(data, command(data, "LC_SEGMENT_64", "__TEXT") + 64, "<I", 1 << 31), "sections"),
    "segment's name": (lambda data: put(data, 32 + 8 + 15, "<B", 65), "more behind its end"),
    "dylib's name outside": (lambda data: put(data, command(data, "LC_LOAD_DYLIB") + 8, "<I", 1 << 20), "outside"),
    "symbols outside": (lambda data: put(data, command(data, "LC_SYMTAB") + 12, "<I", 1 << 30), "beyond the file"),
    "names outside": (lambda data: put(data, command(data, "LC_SYMTAB") + 20, "<I", 1 << 31), "beyond the file"),
    "a name outside": (lambda data: put(data, symbols(data), "<I", 1 << 31), "beyond the file"),
    "a defined name outside": (lambda data: put(data, symbols(data), "<IBB", 1 << 30, 0x0E, 1), "beyond the names"),
    "a section that is not there": (lambda data: put(data, symbols(data) + 4, "<BB", 0x0E, 200), "in section 200 of"),
    "no names": (lambda data: put(data, command(data, "LC_SYMTAB") + 20, "<I", 0), "without names"),
    "symbols divided": (lambda data: put(data, command(data, "LC_DYSYMTAB") + 28, "<I", 1), "divides the symbols"),
    "a command of another size": (lambda data: put(data, command(data, "LC_LOAD_DYLINKER"), "<I", 0x1B), "not 24"),
    "tools": (lambda data: put(data, command(data, "LC_BUILD_VERSION") + 20, "<I", 1), "says 1 tools in 24 bytes"),
    "a short build version": (
        lambda data: put(put(data, command(data, "LC_BUILD_VERSION"), "<I", 0x7F), signature_command(data), "<I", 0x32),
        "LC_BUILD_VERSION has 16 bytes",
    ),
    "behind a dylib's name": (lambda data: put(data, command(data, "LC_LOAD_DYLIB") + 51, "<B", 65), "more behind its"),
    "bind opcodes outside": (lambda data: put(data, command(data, "LC_DYLD_INFO_ONLY") + 16, "<I", 1 << 31), "beyond"),
    "signature outside": (lambda data: put(data, command(data, "LC_CODE_SIGNATURE") + 8, "<I", 1 << 31), "beyond"),
    "two entry points": (lambda data: put(data, command(data, "LC_BUILD_VERSION"), "<I", 0x80000028), "two LC_MAIN"),
}


def signature_command(data: bytes) -> int:
    return command(data, "LC_CODE_SIGNATURE")


def symbols(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, command(data, "LC_SYMTAB") + 8)[0])


@pytest.mark.parametrize("name", NOT_MACHO)
def test_what_cannot_be_read_is_malformed(hello: bytes, name: str) -> None:
    change, message = NOT_MACHO[name]
    with pytest.raises(Malformed, match=message):
        image(change(hello))


def test_there_is_a_limit_to_imported_symbols(hello: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macho, "IMPORTS_LIMIT", 1)
    with pytest.raises(Malformed, match="more than 1 imported symbols"):
        image(hello)


def test_build_information_is_what_go_reads(hello: bytes, linux: bytes, go_wheel: Path, tmp_path: Path) -> None:
    for data in (hello, linux):
        section = image(data).section("__go_buildinfo") if data is hello else None
        place = section.place if section else elf.read_elf(view(data)).places[".go.buildinfo"]
        info = buildinfo.read_buildinfo(view(data), place)
        (tmp_path / "program").write_bytes(data)
        says = run([go_wheel / "bin/go", "version", "-m", "program"], env={"HOME": str(tmp_path)}, cwd=tmp_path)
        lines = says.output.splitlines()
        assert lines[0] == f"program: {info.version}"
        assert f"\tpath\t{info.path}" in lines
        assert {line.removeprefix("\tbuild\t") for line in lines if line.startswith("\tbuild\t")} == {
            f"{key}={value}" for key, value in info.settings.items()
        }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blob: b"\0" + blob[1:], "no Go build information"),
        (lambda blob: blob[:15] + b"\0" + blob[16:], "before 1.18"),
        (lambda blob: blob[:32] + b"\xff" * 10 + blob[42:], "no end, or more than 64 bits"),
        (lambda blob: blob[:32] + b"\xff\xff\xff\x7f" + blob[36:], "leaves its section"),
        (lambda blob: blob[:20], "no Go build information"),
        (lambda blob: blob[:33], "leaves its section"),
    ],
)
def test_damaged_build_information_is_malformed(hello: bytes, change: Change, message: str) -> None:
    section = image(hello).section("__go_buildinfo")
    assert section
    blob = change(hello[section.offset : section.offset + section.size])
    with pytest.raises(Malformed, match=message):
        buildinfo.read_buildinfo(view(blob), Range(what="", offset=0, size=len(blob)))


def test_quoted_settings_are_unquoted(go_wheel: Path, tmp_path: Path) -> None:
    data = compiled(go_wheel, tmp_path, flags=("-ldflags=-s -w -X 'main.x=a b'",)).read_bytes()
    section = image(data).section("__go_buildinfo")
    assert section
    assert buildinfo.read_buildinfo(view(data), section.place).settings["-ldflags"] == "-s -w -X 'main.x=a b'"


def test_what_counts_as_zero_ends_with_the_file() -> None:
    zero = Range(what="a note", offset=2, size=1 << 60)
    linked = buildid.AsLinked(head=b"A", zero=(zero,), end=4)
    expected = base64.urlsafe_b64encode(hashlib.sha256(b"A\0\0\0").digest()[:15]).decode()
    assert buildid.content_hash(view(b"aIII"), "I", linked) == expected


def test_a_build_id_that_is_not_as_go_writes_it_is_malformed() -> None:
    text, note = view(buildid.PREFIX + b"x" * 2000), view(struct.pack("<3I4s", 4, 2, 5, b"Go\0\0") + b"id")
    with pytest.raises(Malformed, match="has no end"):
        buildid.at_text(text, 0, text.size)
    with pytest.raises(Malformed, match="no note with Go's build ID"):
        buildid.in_note(note, Range(what="note", offset=0, size=note.size))


def test_a_name_that_is_no_utf_8_is_malformed() -> None:
    with pytest.raises(Malformed, match="no UTF-8"):
        view(b"\xff\0").c_string(0, 2, "a name")


def test_reads_elf(linux: bytes) -> None:
    found = elf.read_elf(view(linux))
    assert (found.machine, found.kind, found.interpreter, found.needed) == ("EM_X86_64", "ET_EXEC", False, ())
    assert ".symtab" not in found.sections
    assert list(elf_layout_problems(found, size=len(linux))) == []


def sections(data: bytes) -> int:
    return int(struct.unpack_from("<Q", data, 40)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:3], "no ELF file"),
        (lambda data: data[:40], "damaged"),
        (lambda data: put(data, 40, "<Q", 1 << 60), "damaged"),
        (lambda data: put(data, 56, "<H", 0xFFFE), "too many headers"),
        (lambda data: put(data, 60, "<H", 0xFFFE), "too many headers"),
        (lambda data: put(put(data, 60, "<H", 0), sections(data) + 32, "<Q", 1 << 60), "too many headers"),
        (lambda data: HELLO["main.go"].encode(), "no ELF file"),
    ],
)
def test_a_damaged_elf_file_is_malformed(linux: bytes, change: Change, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        elf.read_elf(view(change(linux)))


def test_bad_elf_layout_is_told(linux: bytes) -> None:
    (start,) = struct.unpack_from("<Q", linux, 32)
    kinds = [struct.unpack_from("<I", linux, start + 56 * index)[0] for index in range(linux[56])]
    load = start + 56 * kinds.index(1)
    stack = start + 56 * kinds.index(0x6474E551)

    for change, problem in (
        (put(linux, load + 4, "<I", 7), "segment-writable-executable"),
        (put(linux, load + 32, "<2Q", 1 << 40, 1 << 40), "segment-beyond-file"),
        (put(linux, load + 40, "<Q", 1), "segment-memsz"),
        (put(linux, load + 56 + 16, "<Q", 0), "segments-overlap"),
        (put(linux, stack + 4, "<I", 7), "executable-stack"),
        (put(linux, 24, "<Q", 1), "entry-outside-text"),
    ):
        assert problem in {each.id for each in elf_layout_problems(elf.read_elf(view(change)), size=len(change))}


def test_no_file_is_too_large_or_too_small_for_a_verdict(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(Malformed, match="empty"), opened(path):
        pass
    with path.open("wb") as file:
        file.truncate(FILE_LIMIT + 1)
    with pytest.raises(Malformed, match="a file of 536870913 bytes"), opened(path):
        pass
