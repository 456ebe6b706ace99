"""compare: the functions and data of two real programs; what was changed is named, and nothing else."""

import random
import re
import struct
import subprocess
from pathlib import Path

import pytest
from compare_fixtures import differences
from verify_fixtures import compiled, view

from gobuild.audit.compare.executables import Applied, Difference, compare_executables
from gobuild.audit.compare.program import load_program
from gobuild.binary.pclntab import read_pclntab
from gobuild.binary.view import Malformed, Range

PROGRAM = """\
package main

import "os"

var table = [...]uint64{3, 1, 4, 1, 5, 9, 2, 6}

var words = []string{"alpha", "beta", "gamma"}

var steps = map[string]func(int) int{"one": first, "two": second}

//go:noinline
func first(n int) int { return n*7 + len(os.Args) }

//go:noinline
func second(n int) int { return n*11 + int(table[n%8]) }

//go:noinline
func tell(n int) { println("the result", words[n%3], n) }

func main() {
	tell(steps[os.Args[0]](len(os.Args)))
}
"""

CHANGES = {
    "a constant": ("n*7", "n*9", {("code", "main.first")}),
    "a callee": ("{ return n*7 + len(os.Args) }", "{ return second(n*7) }", {("code", "main.first")}),
    "a string": ('"the result"', '"the resuIt"', {("data", "main.tell")}),
    "a table": ("5, 9, 2, 6", "5, 9, 3, 6", {("data", "main.second")}),
    "a string in a table": ('"gamma"', '"gamna"', {("data", "main.tell")}),
    "a pointer to another function": (
        '{"one": first, "two": second}',
        '{"one": second, "two": first}',
        {("data", "main.init")},
    ),
    "a function more": (
        "func main() {",
        "func other() { tell(-1) }\n\nfunc main() {\n\tdefer other()",
        {("code", "main.main"), ("added", "main.other")},
    ),
}


def built(goroot: Path, into: Path, source: str, *, flags: str = "-w") -> Path:
    return compiled(goroot, into, source={"main.go": source}, flags=("-trimpath", f"-ldflags={flags}"))


def named(found: tuple[Difference, ...]) -> set[tuple[str, str]]:
    return {(each.kind, each.name) for each in found}


def patched(*names: str) -> Applied:
    return Applied(patches={"ours": names})


@pytest.fixture(scope="module")
def base(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(go_wheel, tmp_path_factory.mktemp("base"), PROGRAM)


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_is_named(go_wheel: Path, base: Path, tmp_path: Path, what: str) -> None:
    old, new, expected = CHANGES[what]
    assert PROGRAM.count(old) == 1
    ours = built(go_wheel, tmp_path, PROGRAM.replace(old, new))
    found = differences(base, ours)
    assert expected <= named(found)
    # What else is told must be main's own: the rest of the program only moved.
    assert {name for kind, name in named(found) if "main." not in name and kind != "types"} == set()
    assert {each.by for each in found} == {()}


def test_moved_is_not_changed(go_wheel: Path, base: Path, tmp_path: Path) -> None:
    """A function of the runtime grows, so that nearly every address of the program changes."""
    ours = built(go_wheel, tmp_path, PROGRAM.replace("n*7", "n*7+n/3+n%5"))
    one, two = load_program(base), load_program(ours)
    moved = [key for key, function in one.named.items() if two.named[key].start != function.start]
    assert len(moved) >= 3
    assert named(differences(base, ours)) == {("code", "main.first")}


def test_the_same_program_is_the_same_and_a_stripped_one_too(go_wheel: Path, base: Path, tmp_path: Path) -> None:
    assert compare_executables("hello", base, base, applied=patched()) is None
    ours = built(go_wheel, tmp_path, PROGRAM, flags="-s -w")
    assert named(differences(base, ours)) == {("file", "hello")}  # the symbol table, which nothing explains


def test_a_patch_explains_its_own_files_only(go_wheel: Path, base: Path, tmp_path: Path) -> None:
    """One of the compiler may, and is said to; nobody can see it in a program."""
    ours = built(go_wheel, tmp_path, PROGRAM.replace("n*7", "n*9"))
    (file,) = load_program(base).table.source_files(load_program(base).named["main.first", 0])
    assert file.endswith("main.go")
    for name, explains, perhaps in (
        (f"src/{file}", True, False),
        ("src/runtime/proc.go", False, False),
        ("src/cmd/link/internal/ld/main.go", False, False),
        ("src/cmd/compile/internal/ssa/rewrite.go", False, True),
        ("src/cmd/asm/main.go", False, True),
        ("src/cmd/asm/a_test.go", False, False),
        ("src/cmd/compile/README.md", False, False),
    ):
        (first,) = (each for each in differences(base, ours, patched(name)) if each.name == "main.first")
        assert first.by == (("ours",) if explains else ()), name
        assert ("changes the compiler" in first.seen) == perhaps, name


def _put(program: Path, into: Path, at: int, content: bytes) -> Path:
    read = load_program(program)
    section = read.section_at(at)
    assert section
    place = section.offset + at - section.addr
    into.write_bytes(read.data[:place] + content + read.data[place + len(content) :])
    return into


def test_a_redirected_pointer_is_explained_by_nobody_else(go_wheel: Path, base: Path, tmp_path: Path) -> None:
    """A patched function in the same program, a stamp and a profile are no reason for another's pointer."""
    ours = built(go_wheel, tmp_path, PROGRAM.replace("n*7", "n*9"))
    read = load_program(ours)
    section = read.types
    assert section
    tables = [
        (at, read.symbol(struct.unpack("<Q", read.bytes_at(at, 8))[0]))
        for at in sorted(read.pointers)
        if section.addr <= at < section.end
    ]
    (file,) = load_program(base).table.source_files(load_program(base).named["main.first", 0])
    done = Applied(patches={"ours": (f"src/{file}",)}, cgo="0")
    target = struct.pack("<Q", read.address(read.named["main.tell", 0]))
    assert [each.seen for each in differences(base, ours, done) if not each.by] == []
    places = [at for at, symbol in tables if symbol and not symbol[0][0].startswith("main.")][::60]
    assert len(places) >= 3
    for at in places:
        found = differences(base, _put(ours, tmp_path / "redirected", at, target), done)
        assert [each.kind for each in found if not each.by] == ["data"], hex(at)


@pytest.mark.parametrize("name", ["__typelink", "__itablink"])
def test_a_table_of_the_linker_s_is_compared(base: Path, tmp_path: Path, name: str) -> None:
    """Two entries change places, in a program that differs for a known reason as well."""
    section = load_program(base).section(name)
    assert section
    size = 4 if name == "__typelink" else 8
    entries = load_program(base).bytes_at(section.addr, 2 * size)
    ours = _put(base, tmp_path / "ours", section.addr, entries[size:] + entries[:size])
    found = differences(base, ours, Applied(patches={}, cgo="0"))
    assert {each.kind for each in found if not each.by} & {"types", "data"}


def test_ours_own_table_of_files_is_no_evidence(go_wheel: Path, base: Path, tmp_path: Path) -> None:
    """The name of main's file in it becomes that of a patched one, of the same length."""
    ours = built(go_wheel, tmp_path, PROGRAM.replace("n*7", "n*9"))
    (file,) = load_program(base).table.source_files(load_program(base).named["main.first", 0])
    other = "x" * (len(file) - 3) + ".go"
    ours.write_bytes(ours.read_bytes().replace(file.encode() + b"\0", other.encode() + b"\0"))
    assert load_program(ours).table.source_files(load_program(ours).named["main.first", 0]) == (other,)
    found = differences(base, ours, patched(f"src/{other}"))
    assert next(each.by for each in found if each.name == "main.first") == ()


def test_the_functions_are_those_that_gos_own_nm_tells(go_wheel: Path, darwin_wheel: Path) -> None:
    path = darwin_wheel / "pkg/tool/darwin_arm64/pack"
    words = [str(go_wheel / "bin/go"), "tool", "nm", str(path)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    symbols = {(match[2], int(match[1], 16)) for match in re.finditer(r"^ *([0-9a-f]+) [Tt] (.+)$", told, re.MULTILINE)}
    program = load_program(path)
    ours = {(function.name, program.address(function)) for function in program.functions}
    assert len(ours) > 1900
    # In the symbol table assembly has its ABI behind its name, and C's names have an underscore in front.
    plain = {(form, start) for name, start in symbols for form in (name.removesuffix(".abi0"), name.removeprefix("_"))}
    assert {name for name, start in ours if (name, start) not in plain} == set()


def test_a_damaged_table_of_functions_is_told_not_believed(base: Path) -> None:
    program = load_program(base)
    section = program.section("__gopclntab")
    assert section
    table = program.data[section.offset : section.place.end]
    outcomes = set()
    for at in [*range(72), *range(72, len(table), len(table) // 90)]:
        for value in (0x00, 0xFF):
            damaged = table[:at] + bytes([value]) + table[at + 1 :]
            try:
                found = read_pclntab(view(damaged), Range(what="", offset=0, size=len(damaged)))
                for function in list(found.functions())[::211]:
                    found.source_files(function)
                outcomes.add("read")
            except Malformed:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_other_machines_and_formats_are_said(tmp_path: Path, go_wheel: Path) -> None:
    path = tmp_path / "elf"
    path.write_bytes((go_wheel / "bin/gofmt").read_bytes())
    with pytest.raises(Malformed, match="ELF"):
        load_program(path)
    other = tmp_path / "other"
    other.write_bytes(path.read_bytes() + b"\0")
    (found,) = differences(path, other)
    assert (found.kind, found.by) == ("unreadable", ())


def test_flipped_bits_of_code_are_found(base: Path, tmp_path: Path) -> None:
    program, chance = load_program(base), random.Random(20)
    places = [function for function in program.functions if function.name != "go:buildid"]
    ours = tmp_path / "ours"
    for function in chance.sample(places, 8):
        within = chance.randrange(4 * len(program.code(function)))
        at = program.text.offset + function.start + within
        data = bytearray(program.data)
        data[at] ^= 1 << chance.randrange(8)
        ours.write_bytes(data)
        found = named(differences(base, ours))
        # A flip in an address goes to other data, which is told of that data and of who else refers to it.
        assert ("code", function.name) in found or {kind for kind, _ in found} & {"data", "types"}, function
