"""No changed byte unseen, no wrong file let through, no file that leaves verify without a verdict: on real binaries.

The long runs behind these samples, and what came of them, are in tests/reports/verify-notes.md.
"""

import inspect
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import small
from mutants import expected_of, failing, places, scrambled, spread, unseen, verdict
from verify_fixtures import DARWIN, INTEL, LINUX, command, compiled, expected, image, put, resigned, view

from gobuild.binary import buildid
from gobuild.binary.pclntab import read_pclntab
from gobuild.core.goversion import GoVersion
from gobuild.verify import expect, layout
from gobuild.verify.expect import Expectation
from gobuild.verify.golang import inspect_program
from gobuild.verify.layout import layout_problems, unknown_parts

CORPUS = Path(__file__).parents[1] / "data/corpus.zip"
TOOL = "cmd/pack"
SIGNED: Expectation = expect.expectation(GoVersion.parse("1.22.10"), DARWIN, stamp="go1.22.10")


@pytest.fixture(scope="module")
def hello(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Signed ad hoc, by Go's linker; with a UUID."""
    flags = ("-trimpath", "-ldflags=-s -w -B gobuildid")
    return compiled(go_wheel, tmp_path_factory.mktemp("hello"), flags=flags).read_bytes()


def test_a_flip_anywhere_is_found(hello: bytes) -> None:
    assert failing(hello, expected(uuid=True)) == set()
    positions = spread(places(hello), 8, seed=33565)
    assert unseen(hello, positions, lambda data: bool(failing(data, expected(uuid=True)))) == []


@pytest.mark.slow
def test_every_flip_in_the_load_commands_is_found(hello: bytes) -> None:
    positions = range(image(hello).commands_end)
    assert unseen(hello, positions, lambda data: bool(failing(data, expected(uuid=True)))) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_flips_in_a_binary_that_google_signed_are_found(darwin_wheel: Path, seed: int) -> None:
    """The smallest tool of 1.22.10."""
    pack = (darwin_wheel / "pkg/tool/darwin_arm64/pack").read_bytes()
    assert failing(pack, SIGNED, TOOL) == set()
    positions = spread(places(pack), 60, seed=seed)
    assert unseen(pack, positions, lambda data: bool(failing(data, SIGNED, TOOL)), seed) == []


def test_a_flip_in_a_linux_binary_is_found_by_the_build_id(linux: bytes) -> None:
    """But for the parts of the ID itself that say from what the file was made."""
    assert failing(linux, expected(LINUX)) == set()
    at = linux.index(b"Go\0\0") + 4
    positions = [each for each in spread([(0, 4096), (4096, len(linux))], 25, seed=1) if not at <= each < at + 63]
    assert unseen(linux, positions, lambda data: bool(failing(data, expected(LINUX)))) == []


def with_command(data: bytes, more: bytes) -> bytes:
    """A load command more, in front of the signature's, in the room behind them all; signed again."""
    at, found = command(data, "LC_CODE_SIGNATURE"), image(data)
    end = found.commands_end
    moved = data[:at] + more + data[at:end] + data[end + len(more) :]
    return resigned(put(moved, 16, "<2I", len(found.commands) + 1, end - 32 + len(more)))


Wrong = Callable[[bytes], bytes]


def another_entry(data: bytes) -> bytes:
    """LC_MAIN moved to a function that every program has, and that none begins with."""
    table, text = image(data).section("__gopclntab"), image(data).section("__text")
    assert table and text
    functions = read_pclntab(view(data), table.place)
    place = text.offset + functions.starts[functions.find(["runtime.mallocgc"])["runtime.mallocgc"]]
    return put(data, command(data, "LC_MAIN") + 8, "<Q", place)


def header(at: int, form: str, *values: int) -> Wrong:
    return lambda data: put(data, at, form, *values)


def field(name: str, at: int, form: str, *values: int | bytes) -> Wrong:
    """A field of a load command."""
    return lambda data: put(data, command(data, name) + at, form, *values)


def segment(name: str, at: int, form: str, *values: int | bytes) -> Wrong:
    """A field of a segment; its sections begin at 72, and have 80 bytes each."""
    return lambda data: put(data, command(data, "LC_SEGMENT_64", name) + at, form, *values)


def section(name: bytes, at: int, form: str, *values: int | bytes) -> Wrong:
    """A field of the first section of that name."""
    return lambda data: put(data, data.index(name + b"\0", 32) + at, form, *values)


def over_the_first(data: bytes) -> bytes:
    """The second section of __TEXT where the first one is, in memory and in the file."""
    at = command(data, "LC_SEGMENT_64", "__TEXT") + 72
    address, _size, offset = struct.unpack_from("<2QI", data, at + 32)
    return put(put(data, at + 80 + 32, "<Q", address), at + 80 + 48, "<I", offset)


def without_room(data: bytes) -> bytes:
    """No signature, and a load command as long as all that is left in front of the code."""
    at, text = command(data, "LC_CODE_SIGNATURE"), image(data).section("__text")
    assert text
    length = (text.offset - at) // 8 * 8
    return put(put(data, at, "<2I", 0x7F, length), 20, "<I", at + length - 32)


def behind_the_signature(data: bytes) -> bytes:
    found = image(data)
    return put(
        put(data, found.commands_end, "<2I", 0x2A, 16), 16, "<2I", len(found.commands) + 1, found.commands_end - 16
    )


def hidden(data: bytes) -> bytes:
    """A bound symbol that the symbol table does not name."""
    opcodes = next(each for each in image(data).linkedit if each.what == "bind opcodes")
    at = data.index(b"_pthread_create\0", opcodes.offset, opcodes.end)
    return data[:at] + b"_MTLCreateSyste" + data[at + 15 :]


LAYOUT: tuple[tuple[str, Wrong], ...] = (
    ("not-an-executable", header(12, "<I", 6)),
    ("not-pie", header(24, "<I", 4)),
    ("not-dyldlink", header(24, "<I", 0x200000)),
    ("unknown-flags", header(24, "<I", 0x40200004)),
    ("executable-stack", header(24, "<I", 0x220004)),
    ("no-single-entry", field("LC_MAIN", 0, "<I", 0x7F)),
    ("no-symbol-table", field("LC_DYSYMTAB", 0, "<I", 0x7F)),
    ("wrong-dylinker", lambda data: data.replace(b"/usr/lib/dyld", b"/tmp/lib/dyld")),
    ("two-dyld-infos", lambda data: with_command(data, struct.pack("<2I40x", 0x22, 48))),
    ("signature-command-not-last", behind_the_signature),
    ("no-rebase-opcodes", field("LC_DYLD_INFO_ONLY", 8, "<2I", 0, 0)),
    ("segment-beyond-file", segment("__LINKEDIT", 48, "<Q", 1 << 40)),
    ("segment-memsz", segment("__TEXT", 32, "<Q", 1 << 14)),
    ("segment-beyond-memory", segment("__LINKEDIT", 32, "<Q", (1 << 64) - 1)),
    ("segment-beyond-memory", segment("__LINKEDIT", 24, "<Q", 1 << 63)),
    ("segment-misaligned", segment("__DATA", 24, "<Q", 0x100001000)),
    ("segment-writable-executable", segment("__TEXT", 60, "<I", 7)),
    ("executable-data", segment("__DATA", 60, "<I", 5)),
    ("impossible-protection", segment("__LINKEDIT", 60, "<I", 3)),
    ("impossible-protection", segment("__LINKEDIT", 56, "<I", 0xF)),
    ("segment-protection", segment("__TEXT", 60, "<I", 1)),
    ("segment-protection", segment("__TEXT", 60, "<I", 0)),
    ("segment-protection", segment("__TEXT", 56, "<I", 5)),
    ("segment-protection", segment("__LINKEDIT", 60, "<I", 0)),
    ("segment-protection", segment("__LINKEDIT", 56, "<2I", 3, 3)),
    ("segment-flags", segment("__TEXT", 68, "<I", 8)),
    ("segment-flags", segment("__DATA_CONST", 68, "<I", 0)),
    ("segment-twice", segment("__DATA", 8, "16s", b"__TEXT")),
    ("segments-overlap", segment("__DATA", 24, "<Q", 0x100000000)),
    ("segments-overlap", segment("__DATA", 40, "<Q", 0)),
    ("sections-overlap", over_the_first),
    ("segment-order", segment("__LINKEDIT", 8, "16s", b"__EVIL")),
    ("page-zero", segment("__PAGEZERO", 60, "<I", 1)),
    ("page-zero", segment("__PAGEZERO", 32, "<Q", 0x4000)),
    ("text-without-header", segment("__TEXT", 48, "<Q", 64)),
    ("linkedit-not-last", lambda data: data + b"\0"),
    ("section-of-another-segment", segment("__TEXT", 72 + 16, "16s", b"__DATA")),
    ("section-relocations", segment("__TEXT", 72 + 60, "<I", 1)),
    ("section-outside-memory", segment("__TEXT", 72 + 32, "<Q", 1 << 40)),
    ("section-outside-file", segment("__TEXT", 72 + 40, "<Q", 1 << 40)),
    ("section-over-commands", segment("__TEXT", 72 + 48, "<I", 32)),
    ("section-displaced", segment("__TEXT", 72 + 48, "<I", 1 << 14)),
    ("section-type", section(b"__typelink", 64, "<I", 9)),
    ("section-type", section(b"__data", 64, "<I", 0xD)),
    ("section-type", section(b"__noptrdata", 64, "<I", 1)),
    ("section-type", section(b"__noptrdata", 64, "<I", 0x100)),
    ("section-type", lambda data: section(b"__evil", 64, "<I", 9)(section(b"__noptrdata", 0, "16s", b"__evil")(data))),
    ("indirect-symbols", field("LC_DYSYMTAB", 56, "<2I", 0, 0)),
    ("bytes-behind-commands", lambda data: put(data, image(data).commands_end + 8, "<I", 1)),
    ("no-room-for-signature", without_room),
    ("no-text", section(b"__text", 0, "16s", b"__evil")),
    ("entry-outside-text", field("LC_MAIN", 8, "<Q", 32)),
    ("entry-misaligned", lambda data: field("LC_MAIN", 8, "<Q", (image(data).entry or 0) + 2)(data)),
    ("table-outside-linkedit", field("LC_DYSYMTAB", 56, "<I", 0x4000)),
    ("tables-overlap", lambda data: field("LC_DYSYMTAB", 56, "<I", image(data).linkedit[0].offset)(data)),
    ("hidden-import", hidden),
    ("stack-size", field("LC_MAIN", 16, "<Q", 1 << 60)),
    ("library-version", field("LC_LOAD_DYLIB", 16, "<I", 1)),
    ("library-version", field("LC_LOAD_DYLIB", 20, "<I", 0xFFFFFFFF)),
)


def moved_build_id(data: bytes) -> bytes:
    """The first of Go's functions among the others."""
    at = data.index(buildid.PREFIX)
    return data[:at] + bytes(112) + data[at + 112 : at + 4096] + data[at : at + 112] + data[at + 4096 + 112 :]


SYSTEM = struct.pack("<6I32s", 0xC, 56, 24, 0, 0, 0, b"/usr/lib/libSystem.B.dylib")
OTHERS: tuple[tuple[str, Wrong], ...] = (
    ("wrong-machine", header(4, "<2I", 0x01000007, 3)),
    ("unknown-part", lambda data: with_command(data, struct.pack("<4I", 0x80000034, 16, 0, 0))),  # chained fixups
    ("no-build-version", field("LC_BUILD_VERSION", 0, "<I", 0x27)),
    ("other-platform", field("LC_BUILD_VERSION", 8, "<I", 2)),
    ("version-min", lambda data: with_command(data, struct.pack("<4I", 0x25, 16, 0xB0000, 0xB0000))),
    ("version-min-macosx", lambda data: with_command(data, struct.pack("<4I", 0x24, 16, 0xB0000, 0xB0000))),
    ("zero-uuid", field("LC_UUID", 8, "16s", bytes(16))),
    ("library-twice", lambda data: with_command(data, SYSTEM)),
    ("unbound-import", field("LC_DYLD_INFO_ONLY", 16, "<2I", 0, 0)),
    ("weak-import", lambda data: put(data, data.index(b"\x11\x40_") + 1, "<B", 0x41)),
    ("odd-binding", lambda data: put(data, data.index(b"\x11\x40_") + 1, "<B", 0x48)),
    ("entry-function", another_entry),
    ("malformed-pclntab", lambda data: data.replace(b"__gopclntab\0", b"__gonothing\0")),
    ("no-build-id", lambda data: put(data, data.index(buildid.PREFIX), "<B", 0)),
    ("displaced-build-id", moved_build_id),
    ("no-build-information", lambda data: data.replace(b"__go_buildinfo", b"__go_nothing__")),
)


@pytest.mark.parametrize(("problem", "change"), OTHERS)
def test_what_is_wrong_has_an_id(hello: bytes, problem: str, change: Wrong) -> None:
    found = verdict(resigned(change(hello)), expected(uuid=True))
    assert problem in {each.id for check in found.checks for each in check.problems}


def test_a_library_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(small, "SETTINGS", small.SETTINGS.replace("=exe", "=c-shared"))
    (tmp_path / "library").write_bytes(small.linux_elf())
    (check,) = inspect_program(tmp_path / "library", None, subject="library").checks
    assert (check.name, check.seen) == ("format", "a library, by -buildmode=c-shared")


@pytest.mark.parametrize(("problem", "change"), LAYOUT)
def test_what_lies_where_it_must_not_is_told(hello: bytes, problem: str, change: Wrong) -> None:
    changed = change(hello)
    assert changed != hello
    assert problem in {each.id for each in layout_problems(view(changed), image(changed), page=1 << 14)}


def test_every_rule_of_the_layout_is_among_them(hello: bytes) -> None:
    assert list(layout_problems(view(hello), image(hello), page=1 << 14)) == []
    rules = set(re.findall(r'(?:Problem|_overlaps)\(\s*"([a-z0-9-]+)"', inspect.getsource(layout)))
    assert rules == {problem for problem, _change in LAYOUT}


def test_parts_that_gos_linker_does_not_write_are_told(hello: bytes) -> None:
    end = image(hello).commands_end
    renamed = hello[:end].replace(b"__DATA\0\0", b"__EVIL\0\0") + hello[end:]
    assert "segment __EVIL" in list(unknown_parts(image(renamed), own=True))
    assert list(unknown_parts(image(renamed), own=False)) == []
    assert list(unknown_parts(image(field("LC_BUILD_VERSION", 0, "<I", 0x27)(hello)), own=False)) == [
        "load command 0x27"
    ]


def test_another_linkers_program_may_ask_for_more(hello: bytes) -> None:
    """What Apple's linker writes into its own: a stack, versions of libraries."""

    def found(change: Wrong) -> list[str]:
        data = change(hello)
        return [each.id for each in layout_problems(view(data), image(data), page=1 << 14, own=False)]

    assert found(field("LC_MAIN", 16, "<Q", 1 << 23)) == []
    assert found(field("LC_LOAD_DYLIB", 16, "<2I", 0x5000000, 1 << 16)) == []
    assert found(field("LC_LOAD_DYLIB", 20, "<I", 2 << 16)) == ["library-version"]
    assert found(field("LC_MAIN", 16, "<Q", 1 << 30)) == ["stack-size"]


def test_x86_64_instructions_under_headers_of_arm64_are_refused(hello: bytes, go_wheel: Path, tmp_path: Path) -> None:
    """Every header may lie, the code does not."""
    intel = compiled(go_wheel, tmp_path, INTEL).read_bytes()
    ours, theirs = image(hello).section("__text"), image(intel).section("__text")
    assert ours and theirs
    size = min(ours.size, theirs.size) - 128
    code = intel[theirs.offset + 128 : theirs.offset + 128 + size]
    mixed = resigned(hello[: ours.offset + 128] + code + hello[ours.offset + 128 + size :])
    assert failing(mixed, expected(uuid=True)) == {"code", "build ID"}


def test_the_small_files_pass() -> None:
    for data in small.seeds().values():
        assert failing(data, expected_of(data), "cmd/go") == set()


def test_every_byte_of_a_small_file_counts() -> None:
    data = small.macho(small.AMD64)
    assert unseen(data, range(0, len(data), 29), lambda each: bool(failing(each, expected_of(each), "cmd/go"))) == []


def test_the_corpus_of_the_long_run_gets_its_verdicts() -> None:
    with zipfile.ZipFile(CORPUS) as files:
        for name in files.namelist():
            data = files.read(name)
            assert verdict(data, expected_of(data)).checks, name


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_fresh_mutants_get_their_verdicts(seed: int) -> None:
    """Each worker its own; that none needs much memory is seen where the system tells it."""
    with zipfile.ZipFile(CORPUS) as files:
        seeds = [*small.seeds().values(), *(files.read(name) for name in files.namelist())]
    chosen = random.Random(seed)
    before = memory("VmRSS")
    for _ in range(2000):
        data = scrambled(seeds, chosen)
        assert verdict(data, expected_of(data)).checks
    assert memory("VmHWM") - before < 200 << 20


def memory(name: str) -> int:
    """This process's memory in bytes, as Linux counts it; its peak (VmHWM) is counted anew from each VmRSS on."""
    process = Path("/proc/self")
    if not (process / "clear_refs").exists():
        return 0
    if name == "VmRSS":
        (process / "clear_refs").write_text("5")
    lines = (process / "status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
