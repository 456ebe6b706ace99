"""A patch is never lost, and never elsewhere: drifted patches over real Go source, and the cases that were."""

from collections import Counter
from pathlib import Path

import pytest
from drift import cases, ours
from patch_fixtures import CALL, apply, series_of, write

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State

MANY = 400

RUNTIME = (
    f"package runtime\n\nfunc createfing() {{\n\tone()\n\ttwo()\n\tthree()\n{CALL}\tfour()\n\tfive()\n\tsix()\n}}\n"
)


@pytest.mark.parametrize("seed", [1, 2])
def test_drifted_patches_go_to_their_place_or_nowhere(tmp_path: Path, go_wheel: Path, seed: int) -> None:
    found: Counter[str] = Counter()
    for case in cases(go_wheel, seed, MANY):
        verdict, said = ours(case, tmp_path)
        assert verdict != "wrong", f"{case.drift}: {said}\n{case.patch.decode()}"
        if case.context == 3 and case.drift == "lines inserted far away":
            found[verdict] += 1
    # Nothing is refused for fear alone.
    assert found["right"] > 4 * found["refused"]


def removal(context: int, text: str = RUNTIME, heading: str = "func createfing() {") -> str:
    lines = text.splitlines(keepends=True)
    at = lines.index(CALL)
    before, behind = lines[max(at - context, 0) : at], lines[at + 1 : at + 1 + context]
    count, start = len(before) + len(behind), at - len(before) + 1
    said = f"--- a/f.go\n+++ b/f.go\n@@ -{start},{count + 1} +{start},{count} @@ {heading}\n"
    return said + "".join(f" {line}" for line in before) + f"-{CALL}" + "".join(f" {line}" for line in behind)


def applied(folder: Path, change: str, source: str, name: str = "f.go") -> tuple[str, Outcome]:
    """A source with a patch in it, and what became of that."""
    (outcome,) = apply(write(folder / "go", {name: source}), series_of(folder / "s", change)).outcomes
    return (folder / "go" / name).read_text(), outcome


def conflict(folder: Path, change: str, source: str, name: str = "f.go") -> PatchError:
    """The error of a patch on a source, which stays as it is."""
    with pytest.raises(PatchError) as caught:
        applied(folder, change, source, name)
    assert (folder / "go" / name).read_text() == source
    return caught.value


LAST = RUNTIME.split("\tfour()", maxsplit=1)[0] + "}\n"


@pytest.mark.parametrize("heading", ["func createfing() {", ""])
@pytest.mark.parametrize(
    ("context", "text"), [(1, RUNTIME), (3, RUNTIME), (3, LAST)], ids=["context of 1", "context of 3", "the end"]
)
def test_a_removal_beside_which_upstream_put_a_line_is_a_conflict(
    tmp_path: Path, context: int, text: str, heading: str
) -> None:
    # Elsewhere in the file, and where the patch says it would leave them, the lines of context stand side by side.
    twin = "".join(line for line in text.splitlines(keepends=True)[2:] if line != CALL)
    drifted = text.replace(CALL, CALL + "\tupstream()\n") + "\n" + twin
    for number, source in enumerate((drifted, drifted.replace("\nfunc", "\n\n// more\nfunc", 1))):
        error = conflict(tmp_path / str(number), removal(context, text, heading), source)
        assert "hunk 1" in error.reason


def test_a_removal_that_upstream_has_is_upstreams_where_it_stood(tmp_path: Path) -> None:
    _, outcome = applied(tmp_path, removal(1), RUNTIME.replace(CALL, ""))
    assert outcome.state is State.ALREADY_UPSTREAM


def test_a_removal_is_not_upstreams_by_a_move_nor_while_its_lines_stand_in_the_function(tmp_path: Path) -> None:
    moved = "// more\n" + RUNTIME.replace(CALL, "")
    assert "does not apply" in conflict(tmp_path / "moved", removal(1), moved).reason
    lower = RUNTIME.replace(CALL, "").replace("}\n", f"\tx()\n{CALL}\tupstream()\n}}\n")
    for context in (1, 3):
        assert "does not apply" in conflict(tmp_path / str(context), removal(context), lower).reason


TWINS = "package a\n\nfunc one() {\n\tbegin()\n\twork()\n\tend()\n}\n\nfunc two() {\n\tbegin()\n\twork()\n\tend()\n}\n"


def change(heading: str) -> str:
    return f"--- a/f.go\n+++ b/f.go\n@@ -4,3 +4,3 @@ {heading}\n \tbegin()\n-\twork()\n+\tplay()\n \tend()\n"


def test_the_twin_in_another_function_is_left_alone(tmp_path: Path) -> None:
    drifted = TWINS.replace("\twork()", "\twork()\n\tmore()", 1)
    said = conflict(tmp_path, change("func one() {"), drifted)
    assert "belongs under 'func one() {', and its text stands at line 11, under 'func two() {'" in said.reason
    assert "patches.import --from" in said.hint
    assert "does not tell its function" in conflict(tmp_path / "2", change(""), drifted).reason


def test_an_import_is_the_same_heading_however_it_is_written(tmp_path: Path) -> None:
    """A hunk behind the imports, which git puts under them: one import became two."""
    diff = '--- a/f.go\n+++ b/f.go\n@@ -4,3 +4,3 @@ import "a"\n \n-var one = 1\n+var one = 2\n var two = 2\n'
    text = 'package a\n\nimport (\n\t"a"\n\t"b"\n)\n\nvar one = 1\nvar two = 2\n'
    made, outcome = applied(tmp_path, diff, text)
    assert outcome.state is State.APPLIED
    assert "var one = 2\n" in made


def test_the_twin_at_the_stated_line_is_left_alone(tmp_path: Path) -> None:
    one, two = TWINS.split("\n\n", 1)[1].split("\n\n")
    gone = f"package a\n\n{two}"
    assert "belongs under" in conflict(tmp_path, change("func one() {"), gone).reason
    swapped = f"package a\n\n{two.rstrip()}\n\n{one}\n"
    made, _ = applied(tmp_path / "2", change("func one(x int) {"), swapped)
    assert made == swapped[:-30] + swapped[-30:].replace("work", "play")


def test_a_place_that_changed_is_a_rival_in_the_same_function(tmp_path: Path) -> None:
    body = "\tbegin()\n\twork()\n\tend()\n"
    source = f"package a\n\nfunc one() {{\n{body.replace('work()', 'work() // now')}\tx()\n{body}}}\n"
    assert "may belong to line 4" in conflict(tmp_path, change("func one() {"), source).reason


@pytest.mark.parametrize("bare", ["@@ -4 +4 @@\n-\twork()\n+\tplay()\n", "@@ -5,1 +4,0 @@\n-\twork()\n"])
def test_a_hunk_without_context_is_refused(tmp_path: Path, bare: str) -> None:
    with pytest.raises(PatchError, match="has no context"):
        series_of(tmp_path / "s", f"--- a/f.go\n+++ b/f.go\n{bare}")


def test_a_hunk_without_context_behind_it_belongs_to_the_end(tmp_path: Path) -> None:
    added = "--- a/f.go\n+++ b/f.go\n@@ -6,2 +6,3 @@\n \tend()\n }\n+// the end\n"
    assert applied(tmp_path, added, TWINS)[0] == TWINS + "// the end\n"
    error = conflict(tmp_path / "2", added, TWINS + "\nvar x int\n")
    assert "belongs to the end of the file" in error.reason


def test_a_hunk_of_the_first_line_belongs_to_the_start(tmp_path: Path) -> None:
    added = "--- a/t\n+++ b/t\n@@ -1,2 +1,3 @@\n+new\n one\n two\n"
    assert "belongs to the start" in conflict(tmp_path, added, "zero\none\ntwo\n", "t").reason


@pytest.mark.parametrize(
    "odd", ["// Like a shell's ` it is.\n", "const tick = '`'\n", 'const tick = "`"\n', "/* ` */\n"]
)
def test_a_backquote_that_begins_no_string_makes_no_heading_vague(tmp_path: Path, odd: str) -> None:
    # A twin elsewhere, so that the heading has to tell the place.
    source = RUNTIME.replace("\n\nfunc", f"\n\n{odd}\nfunc", 1) + "\n" + RUNTIME[17:].replace("createfing", "other")
    assert applied(tmp_path, removal(3), source)[0] == source.replace(CALL, "", 1)


def test_a_hunk_goes_as_far_as_the_one_in_front_of_it(tmp_path: Path) -> None:
    """The lines that moved the first moved the second, though another place of its function looks like it, damaged."""
    table = "var table = []int{\n" + "".join(f"\t{row},\n" for row in (1, 2, 3, 4, 5, 6, 7, 8)) + "}\n"
    source = f"package p\n\nfunc f() {{\n\tone()\n\ttwo()\n\tthree()\n}}\n\n{table}"
    change = (
        "--- a/f.go\n+++ b/f.go\n@@ -4,3 +4,2 @@ func f() {\n \tone()\n-\ttwo()\n \tthree()\n"
        "@@ -14,3 +13,2 @@ var table = []int{\n \t5,\n-\t6,\n \t7,\n"
    )
    drifted = source.replace("\n\nfunc", "\n\n// upstream\nfunc", 1)
    drifted = drifted.replace("\t1,\n", "\t5,\n\t0,\n\t7,\n", 1).replace("\t2,\n\t3,\n", "", 1)
    assert applied(tmp_path, change, drifted)[0] == drifted.replace("\ttwo()\n", "").replace("\t6,\n", "")
