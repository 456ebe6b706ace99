"""The matrix: every state of a patch over several versions, and nothing written."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from patch_fixtures import HOOK, MAC, apply, entry, snapshot, write

from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import State
from gobuild.patch import Matrix, load_folder, status
from gobuild.tasks.show import CELLS, matrix_page

LINUX = Target(goos="linux", goarch="amd64")


def change(old: str, new: str) -> str:
    return f"--- a/a.go\n+++ b/a.go\n@@ -1,3 +1,3 @@\n package a\n \n-{old}\n+{new}\n"


def go(text: str) -> str:
    return f"package a\n\n{text}\n"


def tried(
    folder: Path,
    manifest: str,
    diffs: dict[str, str],
    sources: dict[str, dict[str, str]] | None = None,
    extra: Sequence[str] = (),
    target: Target = MAC,
) -> Matrix:
    """A series of these diffs on the sources of these versions; by default on one whose a.go says "old"."""
    found = {"1.22.1": {"a.go": go("old")}} if sources is None else sources
    trees = {GoVersion.parse(name): write(folder / "go" / name, files) for name, files in found.items()}
    files = {"series.toml": manifest, **{f"{name}.patch": text for name, text in diffs.items()}}
    series = load_folder(write(folder / "s", files))
    before = snapshot(folder / "go")
    matrix = status(series, trees, target=target, profile="static", extra=extra)
    assert snapshot(folder / "go") == before
    return matrix


def states(matrix: Matrix) -> dict[str, list[State]]:
    return {row.patch.name: [outcome.state for outcome in row.outcomes] for row in matrix.rows}


def test_all_five_states(tmp_path: Path) -> None:
    runtime = {"src/runtime/mfinal.go": "package runtime\n\nfunc runfinq() {\n}\n"}
    says = {"1.21.1": "old", "1.22.1": "new", "1.23.1": "other"}
    sources = {version: {"a.go": go(word), **runtime} for version, word in says.items()}
    text = HOOK + entry("it") + entry("late", ">=1.22,<1.23", 'until = "1.23 has it"\n')
    late = "--- /dev/null\n+++ b/n.go\n@@ -0,0 +1 @@\n+package a\n"
    matrix = tried(tmp_path, text, {"it": change("old", "new"), "late": late}, sources)
    assert states(matrix) == {
        "metal": [State.NOTHING_TO_DO] * 3,
        "it": [State.APPLIED, State.ALREADY_UPSTREAM, State.CONFLICT],
        "late": [State.NOT_FOR_THIS_VERSION, State.APPLIED, State.NOT_FOR_THIS_VERSION],
    }
    absent = matrix.rows[2].outcomes[0].evidence
    assert absent == "no variant is for this version: it is for >=1.22,<1.23; may go: 1.23 has it"
    ((version, bad),) = matrix.conflicts
    assert str(version) == "1.23.1"
    assert bad.conflict
    assert (bad.conflict.file, bad.conflict.hunk, bad.conflict.header) == ("a.go", 1, "@@ -1,3 +1,3 @@")
    assert bad.conflict.expected == ((1, "package a"), (2, ""), (3, "old"))
    assert bad.conflict.found == ((1, "package a"), (2, ""), (3, "other"))


def test_a_build_stops_with_the_words_that_status_shows(tmp_path: Path) -> None:
    shown = tried(tmp_path, entry("it"), {"it": change("new", "newer")}).rows[0].outcomes[0].evidence
    with pytest.raises(PatchError) as caught:
        apply(tmp_path / "go/1.22.1", load_folder(tmp_path / "s").patches)
    assert caught.value.reason == f"the patch it (it.patch) cannot be applied: {shown}"
    assert "> 3  new" in shown
    assert "> 3  old" in shown


def test_patches_build_on_one_another_and_a_conflict_is_left_out(tmp_path: Path) -> None:
    diffs = {"one": change("old", "new"), "bad": change("old", "bad"), "two": change("new", "newer")}
    matrix = tried(tmp_path, "".join(entry(name) for name in diffs), diffs)
    assert states(matrix) == {"one": [State.APPLIED], "bad": [State.CONFLICT], "two": [State.APPLIED]}


def test_an_optional_patch_is_tried_and_taken_back_unless_asked_for(tmp_path: Path) -> None:
    text = entry("opt", more="optional = true\n") + entry("plain")
    diffs = {"opt": change("old", "new"), "plain": change("old", "newer")}
    assert states(tried(tmp_path, text, diffs)) == {"opt": [State.APPLIED], "plain": [State.APPLIED]}
    asked = tried(tmp_path, text, diffs, extra=["opt"])
    assert states(asked) == {"opt": [State.APPLIED], "plain": [State.CONFLICT]}


def test_what_fails_half_way_leaves_nothing_in_the_tree(tmp_path: Path) -> None:
    """An edit that has noted one file and fails at the next: what is behind it sees neither."""
    runtime = "package runtime\n\nfunc runfinq() {\n\tmetalInitOnce.Do(initMetal)\n}\n"
    bad = "package runtime\n\nvar metalInitOnce once // \udcff\n\nfunc initMetal() {}\n"
    write(tmp_path / "go/1.22.1", {"src/runtime/b.go": bad.encode(errors="surrogateescape")})
    where = "--- a/src/runtime/a.go\n+++ b/src/runtime/a.go\n@@ -1,3 +1,4 @@\n"
    added = where + " package runtime\n \n+// x\n func runfinq() {\n"
    matrix = tried(tmp_path, HOOK + entry("new"), {"new": added}, {"1.22.1": {"src/runtime/a.go": runtime}})
    assert states(matrix) == {"metal": [State.CONFLICT], "new": [State.APPLIED]}
    assert "is not UTF-8" in matrix.rows[0].outcomes[0].evidence


def test_patches_for_other_targets_are_left_out_and_named(tmp_path: Path) -> None:
    text = entry("mac", more='targets = ["darwin/arm64"]\n') + entry("all")
    matrix = tried(tmp_path, text, {"mac": change("old", "new"), "all": change("old", "newer")}, target=LINUX)
    assert (states(matrix), matrix.left_out) == ({"all": [State.APPLIED]}, ("mac",))


def test_the_page_holds_all_of_it_escaped(tmp_path: Path) -> None:
    mark = "</pre><script>alert(1)</script>"
    sources = {"1.22.1": {"a.go": go(f"found {mark}")}, "1.23.1": {"a.go": go(f"want {mark}")}}
    diffs = {"it": change(f"want {mark}", "new")}
    page = matrix_page(tried(tmp_path, entry("it", reason=f"{mark} & why"), diffs, sources))
    for word in ("<script", "https:", "http:"):
        assert word not in page
    for word in ("1 conflict<", '<td class="state conflict"', '<td class="state applied"'):
        assert word in page
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for word in ("found </pre>", "want </pre>", "& why", "1.22.1", "1.23.1", "a.go, hunk 1 (@@ -1,3 +1,3 @@)"):
        assert word in text
    assert len(re.findall(r"<mark>", page)) == 2
    assert set(CELLS) == set(State)
