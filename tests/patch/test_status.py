"""The matrix: every state of a patch over several versions, and nothing written."""

import html
import json
import re
from pathlib import Path

import pytest
from patch_fixtures import HOOK, apply, entry, snapshot, write

from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import State
from gobuild.patch import Matrix, load_folder, status
from gobuild.tasks.show import CELLS, matrix_page

LINUX = Target(goos="linux", goarch="amd64")


def change(old: str, new: str, path: str = "a.go") -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -1,3 +1,3 @@\n package a\n \n-{old}\n+{new}\n"


def go(text: str) -> str:
    return f"package a\n\n{text}\n"


def trees(folder: Path, **sources: dict[str, str]) -> dict[GoVersion, Path]:
    found = {}
    for name, files in sources.items():
        text = name.removeprefix("v").replace("_", ".")
        found[GoVersion.parse(text)] = write(folder / name, {"VERSION": f"go{text}\n", **files})
    return found


def states(matrix: Matrix) -> dict[str, list[State]]:
    return {row.patch.name: [outcome.state for outcome in row.outcomes] for row in matrix.rows}


def test_all_five_states_and_nothing_is_written(tmp_path: Path) -> None:
    runtime = {"src/runtime/mfinal.go": "package runtime\n\nfunc runfinq() {\n}\n"}
    sources = trees(
        tmp_path / "go",
        v1_21_1={"a.go": go("old"), **runtime},
        v1_22_1={"a.go": go("new"), **runtime},
        v1_23_1={"a.go": go("other"), **runtime},
    )
    text = HOOK + entry("it") + entry("late", ">=1.22,<1.23", 'until = "1.23 has it"\n')
    late = "--- /dev/null\n+++ b/n.go\n@@ -0,0 +1 @@\n+package a\n"
    series = load_folder(
        write(tmp_path / "s", {"series.toml": text, "it.patch": change("old", "new"), "late.patch": late})
    )
    before = snapshot(tmp_path / "go")
    matrix = status(series, sources)
    assert states(matrix) == {
        "metal": [State.NOTHING_TO_DO] * 3,
        "it": [State.APPLIED, State.ALREADY_UPSTREAM, State.CONFLICT],
        "late": [State.NOT_FOR_THIS_VERSION, State.APPLIED, State.NOT_FOR_THIS_VERSION],
    }
    assert snapshot(tmp_path / "go") == before
    absent = matrix.rows[2].outcomes[0].evidence
    assert absent == "no variant is for this version: it is for >=1.22,<1.23; may go: 1.23 has it"
    ((version, bad),) = matrix.conflicts
    assert str(version) == "1.23.1"
    assert bad.conflict
    assert (bad.conflict.file, bad.conflict.hunk, bad.conflict.header) == ("a.go", 1, "@@ -1,3 +1,3 @@")
    assert bad.conflict.expected == ((1, "package a"), (2, ""), (3, "old"))
    assert bad.conflict.found == ((1, "package a"), (2, ""), (3, "other"))


def test_a_build_stops_with_the_words_that_status_shows(tmp_path: Path) -> None:
    sources = trees(tmp_path / "go", v1_22_1={"a.go": go("other")})
    series = load_folder(write(tmp_path / "s", {"series.toml": entry("it"), "it.patch": change("old", "new")}))
    shown = status(series, sources).rows[0].outcomes[0].evidence
    with pytest.raises(PatchError) as caught:
        apply(tmp_path / "go/v1_22_1", series.patches)
    assert caught.value.reason == f"the patch it (it.patch) cannot be applied: {shown}"
    assert "> 3  old" in shown
    assert "> 3  other" in shown


def test_patches_build_on_one_another_and_a_conflict_is_left_out(tmp_path: Path) -> None:
    sources = trees(tmp_path / "go", v1_22_1={"a.go": go("old")})
    files = {
        "series.toml": entry("one") + entry("bad") + entry("two"),
        "one.patch": change("old", "new"),
        "bad.patch": change("old", "bad"),
        "two.patch": change("new", "newer"),
    }
    matrix = status(load_folder(write(tmp_path / "s", files)), sources)
    assert states(matrix) == {"one": [State.APPLIED], "bad": [State.CONFLICT], "two": [State.APPLIED]}


def test_an_optional_patch_is_tried_and_taken_back_unless_asked_for(tmp_path: Path) -> None:
    sources = trees(tmp_path / "go", v1_22_1={"a.go": go("old")})
    files = {
        "series.toml": entry("opt", more="optional = true\n") + entry("plain"),
        "opt.patch": change("old", "new"),
        "plain.patch": change("old", "newer"),
    }
    series = load_folder(write(tmp_path / "s", files))
    assert states(status(series, sources)) == {"opt": [State.APPLIED], "plain": [State.APPLIED]}
    assert states(status(series, sources, extra=["opt"])) == {"opt": [State.APPLIED], "plain": [State.CONFLICT]}
    with pytest.raises(ConfigError, match="no optional patch 'optt'"):
        status(series, sources, extra=["optt"])


def test_what_fails_half_way_leaves_nothing_in_the_tree(tmp_path: Path) -> None:
    """An edit that has noted one file and fails at the next: what is behind it sees neither."""
    runtime = "package runtime\n\nfunc runfinq() {\n\tmetalInitOnce.Do(initMetal)\n}\n"
    source = {"src/runtime/a.go": runtime, "a.go": go("old")}
    sources = trees(tmp_path / "go", v1_22_1=source)
    bad = "package runtime\n\nvar metalInitOnce once // \udcff\n\nfunc initMetal() {}\n"
    (tmp_path / "go/v1_22_1/src/runtime/b.go").write_bytes(bad.encode(errors="surrogateescape"))
    text = HOOK + entry("new")
    where = "--- a/src/runtime/a.go\n+++ b/src/runtime/a.go\n@@ -1,3 +1,4 @@\n"
    added = where + " package runtime\n \n+// x\n func runfinq() {\n"
    matrix = status(load_folder(write(tmp_path / "s", {"series.toml": text, "new.patch": added})), sources)
    assert states(matrix) == {"metal": [State.CONFLICT], "new": [State.APPLIED]}
    assert "is not UTF-8" in matrix.rows[0].outcomes[0].evidence


def test_patches_for_other_targets_are_left_out_and_named(tmp_path: Path) -> None:
    sources = trees(tmp_path / "go", v1_22_1={"a.go": go("old")})
    text = entry("mac", more='targets = ["darwin/arm64"]\n') + entry("all")
    files = {"series.toml": text, "mac.patch": change("old", "new"), "all.patch": change("old", "newer")}
    series = load_folder(write(tmp_path / "s", files))
    matrix = status(series, sources, target=LINUX)
    assert (states(matrix), matrix.left_out) == ({"all": [State.APPLIED]}, ("mac",))


def hostile(tmp_path: Path) -> Matrix:
    mark = "</pre><script>alert(1)</script>"
    sources = trees(tmp_path / "go", v1_22_1={"a.go": go(f"found {mark}")}, v1_23_1={"a.go": go(f"want {mark}")})
    text = entry("it", reason=f"{mark} & why")
    series = load_folder(write(tmp_path / "s", {"series.toml": text, "it.patch": change(f"want {mark}", "new")}))
    return status(series, sources)


def test_the_page_holds_all_of_it_escaped(tmp_path: Path) -> None:
    page = matrix_page(hostile(tmp_path))
    assert "<script" not in page
    assert "https:" not in page
    assert "http:" not in page
    assert "1 conflict<" in page
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for word in ("found </pre>", "want </pre>", "& why", "1.22.1", "1.23.1", "a.go, hunk 1 (@@ -1,3 +1,3 @@)"):
        assert word in text
    assert len(re.findall(r"<mark>", page)) == 2
    assert '<td class="state conflict"' in page
    assert '<td class="state applied"' in page


def test_the_document_is_json_and_every_state_has_its_word(tmp_path: Path) -> None:
    document = hostile(tmp_path).to_json()
    assert json.loads(json.dumps(document)) == {**document, "patches": json.loads(json.dumps(document["patches"]))}
    assert document["conflicts"] == 1
    assert set(CELLS) == set(State)
