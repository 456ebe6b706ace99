"""Unified diffs: read strictly, applied exactly, or not at all."""

import difflib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from patch_fixtures import apply, series_of, snapshot, source, write
from workbench_fixtures import git_patch

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch import Patch, patch
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.render import render_file
from gobuild.patch.diff.unified import FileDiff
from gobuild.patch.tree import Tree, TreeChange

GO = "package a\n\nfunc one() {\n\tx()\n}\n\nfunc two() {\n\ty()\n}\n\nfunc three() {\n\tz()\n}\n"
VERSION = "go1.22.10\ntime 2024-11-27T20:27:20Z\n"


def tree(root: Path, **files: str | bytes) -> Path:
    named = {name.replace("__", "/").replace("_", "."): content for name, content in files.items()}
    return write(root, {"VERSION": VERSION, **named})


def diff(old: str, new: str, path: str = "a.go", context: int = 3) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}", n=context
    )
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


def refusal(root: Path, folder: Path, *diffs: str | bytes) -> PatchError:
    """The error of a series, and that not a byte was changed."""
    before = snapshot(root)
    with pytest.raises(PatchError) as caught:
        apply(root, series_of(folder, *diffs))
    assert snapshot(root) == before
    assert caught.value.hint
    return caught.value


def test_applies_and_says_what(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go=GO)
    done = apply(root, series_of(tmp_path / "s", diff(GO, GO.replace("y()", "why()"))))
    (outcome,) = done.outcomes
    assert (root / "a.go").read_text() == GO.replace("y()", "why()")
    assert (outcome.state, outcome.evidence, outcome.files) == (State.APPLIED, "1 hunk in a.go", ("a.go",))
    assert len(outcome.sha256) == 64


def test_what_git_writes_is_taken_as_it_is(tmp_path: Path) -> None:
    before = {"src/a.go": GO.encode(), "src/gone.go": b"package a\n", "src/crlf.txt": b"one\r\ntwo\r\n", "end": b"x\ny"}
    after = {
        "src/a.go": GO.replace("x()", "ex()").encode(),
        "src/new/n.go": b"package n\n",
        "src/empty": b"",
        "src/crlf.txt": b"one\r\n2\r\n",
        "end": b"x\nz",
    }
    made = git_patch(tmp_path / "git", before, after)
    root = write(tmp_path / "go", {"VERSION": VERSION, **before})
    patches = series_of(tmp_path / "s", made)
    assert "One change" in patches[0].description
    assert "and why." in patches[0].description
    apply(root, patches)
    found = {name: content for name, (content, _) in snapshot(root).items() if name != "VERSION"}
    assert found == after


def test_a_diff_is_written_as_git_writes_it_also_where_it_has_moved(tmp_path: Path) -> None:
    long = GO.replace("func two()", f"func two({', '.join(f'number{number} int' for number in range(12))})")
    before = {"a.go": long.encode(), "gone": b"g\n", "end": b"x\ny", "one": b"x\n", "crlf": b"one\r\ntwo\r\n"}
    after = {
        "a.go": long.replace("\tx()\n", "").replace("z()", "zet()").encode(),
        "end": b"x\nz",
        "one": b"x\ny\n",
        "crlf": b"one\r\n2\r\n",
        "empty": b"",
        "new": b"n\n",
        "newer": b"n\nm",
    }
    moved = {name: b"// more\n" * 9 + text for name, text in before.items() if name == "a.go"}
    files: tuple[FileDiff, ...] = ()
    for old in (before, before | moved):
        new = after | ({"a.go": b"// more\n" * 9 + after["a.go"]} if files else {})
        made = git_patch(tmp_path / f"git{len(files)}", old, new, "--abbrev=12", "--no-renames", "--unified=1")
        files = files or parse_diff(made).files  # in the second round those of the first, which have moved
        by_git = made[made.index(b"diff --git") : made.rindex(b"-- \n")]
        assert b"".join(render_file(file, old.get(file.path), executable=False) for file in files) == by_git
    assert b" @@ func two(number0 int" in by_git


@pytest.mark.parametrize(("creates", "head"), [(True, "new file mode 100755"), (False, "deleted file mode 100755")])
def test_a_scripts_mode_is_written(creates: bool, head: str) -> None:
    text = f"--- {'/dev/null' if creates else 'a/x'}\n+++ {'b/x' if creates else '/dev/null'}\n"
    text += "@@ -0,0 +1 @@\n+a\n" if creates else "@@ -1 +0,0 @@\n-a\n"
    (file,) = parse_diff(text.encode()).files
    assert head in render_file(file, None if creates else b"a\n", executable=True).decode()


def test_a_new_script_can_be_run_and_an_old_one_stays_so(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", run_bash="#!/bin/sh\ntrue\n")
    (root / "run.bash").chmod(0o755)
    new = "diff --git a/n.sh b/n.sh\nnew file mode 100755\n--- /dev/null\n+++ b/n.sh\n@@ -0,0 +1 @@\n+#!/bin/sh\n"
    apply(root, series_of(tmp_path / "s", diff("#!/bin/sh\ntrue\n", "#!/bin/sh\nfalse\n", "run.bash"), new))
    assert (root / "n.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "run.bash").stat().st_mode & 0o777 == 0o755


def test_several_patches_build_on_one_another(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go=GO)
    second = GO.replace("x()", "ex()")
    apply(root, series_of(tmp_path / "s", diff(GO, second), diff(second, second.replace("ex()", "axe()"))))
    assert "axe()" in (root / "a.go").read_text()


def test_hard_links_elsewhere_keep_their_content(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go=GO)
    (tmp_path / "store").hardlink_to(root / "a.go")
    apply(root, series_of(tmp_path / "s", diff(GO, GO.replace("y()", "why()"))))
    assert (tmp_path / "store").read_text() == GO


def test_a_moved_hunk_is_taken_where_its_text_stands_once(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go="// more\n// lines\n" + GO)
    done = apply(root, series_of(tmp_path / "s", diff(GO, GO.replace("y()", "why()"))))
    assert (root / "a.go").read_text() == "// more\n// lines\n" + GO.replace("y()", "why()")
    assert "(1 moved)" in done.outcomes[0].evidence


TWICE = "a\nb\nc\n" * 2


def test_a_text_that_stands_twice_is_taken_at_the_stated_line_only(tmp_path: Path) -> None:
    change = "--- a/t\n+++ b/t\n@@ -4,3 +4,3 @@\n a\n-b\n+B\n c\n"
    root = tree(tmp_path / "go", t=TWICE)
    apply(root, series_of(tmp_path / "s", change))
    assert (root / "t").read_text() == "a\nb\nc\na\nB\nc\n"
    moved = tree(tmp_path / "moved", t="new\n" + TWICE)
    error = refusal(moved, tmp_path / "s2", change)
    assert "hunk 1" in error.reason
    assert "2 places (lines 2, 5)" in error.reason


def test_no_fuzz(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go=GO.replace("func two", "func second"))
    error = refusal(root, tmp_path / "s", diff(GO, GO.replace("y()", "why()")))
    for word in ("p1", "p1.patch", "a.go", "hunk 1", "@@ -5,7 +5,7 @@", "does not apply"):
        assert word in error.reason
    expected, found = error.reason.split("expected:\n")[1].split("\n    found:\n")
    assert expected.splitlines()[2:4] == ["    >  7  func two() {", "       8  \ty()"]
    assert found.splitlines()[2:4] == ["    >  7  func second() {", "       8  \ty()"]
    assert "refresh the patch" in error.hint


def test_if_the_second_patch_fails_the_first_is_not_written(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go=GO, b_go=GO)
    good, bad = diff(GO, GO.replace("y()", "why()")), diff("no\nsuch\n", "no\nother\n", "b.go")
    assert "p2" in refusal(root, tmp_path / "s", good, bad).reason


def test_newline_at_the_end_is_matched_exactly(tmp_path: Path) -> None:
    change = diff("a\nb", "a\nB")
    bare = tree(tmp_path / "bare", a_go="a\nb")
    apply(bare, series_of(tmp_path / "s", change))
    assert (bare / "a.go").read_bytes() == b"a\nB"
    assert "'b\\n'" in refusal(tree(tmp_path / "whole", a_go="a\nb\n"), tmp_path / "s2", change).reason


def test_a_patch_file_without_its_last_newline_may_be_cut_off(tmp_path: Path) -> None:
    whole = diff("a\n", "a\nb = one + two\n")
    for cut in (whole[:-1], whole[: -len(" + two\n")]):
        with pytest.raises(PatchError, match=r"p1\.patch line 5 has no newline: the file may be cut off"):
            series_of(tmp_path / "s", cut)


def test_conflicts_show_the_end_of_a_file_and_what_cannot_be_seen(tmp_path: Path) -> None:
    change = "--- a/t\n+++ b/t\n@@ -1,3 +1,3 @@\n a\n b\n-c\n+C\n"
    ends = refusal(tree(tmp_path / "go", t="a\nb\n"), tmp_path / "s", change).reason
    assert ends.endswith("    found:\n      1  a\n      2  b\n    > 3  (the end of the file)")
    blank = refusal(tree(tmp_path / "go2", t="a\nb\nc  \n"), tmp_path / "s", change).reason
    assert "> 3  'c\\n'" in blank
    assert "> 3  'c  \\n'" in blank


def test_a_hunk_that_moved_and_changed_is_compared_where_most_of_it_stands(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", a_go="// more\n" * 40 + GO.replace("}\n\nfunc two", "}\n\nfunc second"))
    error = refusal(root, tmp_path / "s", diff(GO, GO.replace("y()", "why()")))
    assert "> 47  func two() {" in error.reason
    assert "> 47  func second() {" in error.reason


def test_a_patch_that_applies_and_changes_nothing_is_an_error(tmp_path: Path) -> None:
    class Idle:
        content = b"idle"

        def apply(self, tree: Tree) -> TreeChange:
            tree.write_file("a.go", GO.encode())
            return TreeChange(state=State.APPLIED, evidence="done", files=("a.go",))

    root = tree(tmp_path / "go", a_go=GO)
    before = snapshot(root)
    idle = Patch(folder=tmp_path, name="idle", go=">=1", reason="r", operation=Idle())
    with pytest.raises(PatchError, match="the patch idle cannot be applied: it applies, and changes nothing"):
        apply(root, (idle,))
    assert snapshot(root) == before


def test_crlf_source_takes_a_crlf_hunk_and_no_other(tmp_path: Path) -> None:
    lf = diff("a\nb\n", "a\nc\n", "w.txt")
    crlf = "--- a/w.txt\n+++ b/w.txt\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"
    assert "'a\\r\\n'" in refusal(tree(tmp_path / "go", w_txt=b"a\r\nb\r\n"), tmp_path / "s", lf).reason
    root = tree(tmp_path / "go2", w_txt=b"a\r\nb\r\n")
    apply(root, series_of(tmp_path / "s2", crlf))
    assert (root / "w.txt").read_bytes() == b"a\r\nc\r\n"


def test_already_upstream(tmp_path: Path) -> None:
    new = GO.replace("y()", "why()")
    root = tree(tmp_path / "go", a_go=new, n_go="package n\n")
    added = "--- /dev/null\n+++ b/n.go\n@@ -0,0 +1 @@\n+package n\n"
    done = apply(root, series_of(tmp_path / "s", diff(GO, new) + added))
    assert done.outcomes[0].state == State.ALREADY_UPSTREAM
    assert done.outcomes[0].files == ()
    assert (root / "a.go").read_text() == new


def test_a_file_may_come_again_in_one_patch(tmp_path: Path) -> None:
    second = GO.replace("y()", "why()")
    new = "diff --git a/n.sh b/n.sh\nnew file mode 100755\n--- /dev/null\n+++ b/n.sh\n@@ -0,0 +1 @@\n+#!/bin/sh\n"
    words = "From 1234 Mon Sep 17 00:00:00 2001\nSubject: [PATCH 2/2] more\n\n---\n"
    again = diff(second, second.replace("why()", "wherefore()")) + diff("#!/bin/sh\n", "#!/bin/sh\ntrue\n", "n.sh")
    patches = series_of(tmp_path / "s", diff(GO, second) + new + "-- \n2.39.5\n\n" + words + again)
    root = tree(tmp_path / "go", a_go=GO)
    (outcome,) = apply(root, patches).outcomes
    assert outcome.files == ("a.go", "n.sh")
    assert (root / "a.go").read_text() == GO.replace("y()", "wherefore()")
    assert (root / "n.sh").read_text() == "#!/bin/sh\ntrue\n"
    assert (root / "n.sh").stat().st_mode & 0o777 == 0o755
    (outcome,) = apply(root, patches).outcomes
    assert outcome.state is State.ALREADY_UPSTREAM
    half = tree(tmp_path / "half", a_go=second)
    refusal(half, tmp_path / "s2", diff(GO, second) + new + again)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("test/fixedbugs/a.go", "a wheel has no test, api and doc folders"),
        ("cmd/a.go", "src/cmd/a.go is there"),
        ("go/src/cmd/a.go", "src/cmd/a.go is there"),
        ("src/none.go", "refresh the patch"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_its_cause(tmp_path: Path, path: str, says: str) -> None:
    root = tree(tmp_path / "go", src__cmd__a_go=GO)
    assert says in refusal(root, tmp_path / "s", diff(GO, GO.replace("y()", "why()"), path)).hint


def test_half_upstream_is_an_error(tmp_path: Path) -> None:
    new = GO.replace("y()", "why()")
    root = tree(tmp_path / "go", a_go=new, b_go=GO)
    refusal(root, tmp_path / "s", diff(GO, new) + diff(GO, new, "b.go"))


def test_lines_that_are_there_already_are_not_added_again(tmp_path: Path) -> None:
    # With context on one side only, the old text still stands after the patch has been applied.
    change = "--- a/t\n+++ b/t\n@@ -3 +3,2 @@\n a\n+b\n"
    root = tree(tmp_path / "go", t="x\ny\na\n")
    patches = series_of(tmp_path / "s", change)
    assert [apply(root, patches).outcomes[0].state for _ in range(2)] == [State.APPLIED, State.ALREADY_UPSTREAM]
    assert (root / "t").read_text() == "x\ny\na\nb\n"


def test_deleting_needs_the_whole_file(tmp_path: Path) -> None:
    change = "--- a/t\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n"
    assert (
        "lines that the diff does not know"
        in refusal(tree(tmp_path / "go", t="a\nb\nc\n"), tmp_path / "s", change).reason
    )
    root = tree(tmp_path / "go2", t="a\nb\n")
    apply(root, series_of(tmp_path / "s2", change))
    assert not (root / "t").exists()


@pytest.mark.parametrize(
    ("files", "change", "says"),
    [
        ({}, diff(GO, GO + "\n"), "a.go, which this source does not have"),
        ({"n": "x\n"}, "--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+y\n", "n, which is there already"),
        (
            {"t": "a\nb\nc\nd\n"},
            "--- a/t\n+++ b/t\n@@ -3,2 +3,2 @@\n-c\n+C\n d\n@@ -1,2 +1,2 @@\n-a\n+A\n b\n",
            "belongs before the hunk in front of it",
        ),
        ({"t/x": "a\n"}, "--- a/t\n+++ b/t\n@@ -1 +1 @@\n-a\n+b\n", "t is no plain file"),
        ({"t": "a\n"}, "--- /dev/null\n+++ b/t/u\n@@ -0,0 +1 @@\n+a\n", "t is no folder"),
    ],
)
def test_a_source_that_does_not_fit(tmp_path: Path, files: dict[str, str], change: str, says: str) -> None:
    root = write(tmp_path / "go", {"VERSION": VERSION, **files})
    assert says in refusal(root, tmp_path / "s", change).reason


def named(old: str, new: str) -> str:
    return f"--- {old}\n+++ {new}\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("", "is empty"),
        ("just words\n", "no unified diff"),
        (b"\xff\xfe--- a/x", "not UTF-8"),
        (named("a/x", "b/x").replace("\n", "\r\n"), "CRLF line ends in the diff"),
        (named("a/../x", "b/../x"), "outside of the source"),
        ("Why.\n\n" + named("a/../x", "b/../x"), "p1.patch line 4: names a file outside of the source: 'a/../x'"),
        (named("a/x/../../y", "b/x/../../y"), "outside of the source"),
        (named("a//etc/passwd", "b//etc/passwd"), "outside of the source"),
        (named("/etc/passwd", "/etc/passwd"), "does not read a/PATH"),
        (named("x", "x"), "does not read a/PATH"),
        (named("a/C:/x", "b/C:/x"), "outside of the source"),
        (named("a/x\\y", "b/x\\y"), "outside of the source"),
        (named("a/.git/config", "b/.git/config"), "git's own"),
        (named("a/x/.GIT/config", "b/x/.GIT/config"), "git's own"),
        (named('"a/x\\303\\244"', '"b/x\\303\\244"'), "does not read a/PATH"),
        (named("a/x", "b/y"), "renames x to y"),
        (named("a/go/src/x", "b/src/x"), "line 2: names one file go/src/x and src/x"),
        (named("/dev/null", "/dev/null"), "no name"),
        ("--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n \ta\n\tb\n-c\n+C\n", "line 5 is no line of a diff: '\\tb'"),
        ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n", "no whole unified diff"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+lost\n", "goes on at line 6"),
        ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n b\n", "changes nothing"),
        ("--- a/x\n+++ b/x\n@@ -1,0 +2 @@\n+b\n", "no context"),
        ("diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", "renames a file"),
        ("diff --git a/x b/y\nsimilarity index 90%\ncopy from x\ncopy to y\n", "copies a file"),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "changes a file's mode"),
        ("diff --git a/x b/x\nindex 1234567..89abcde 100644\nBinary files a/x and b/x differ\n", "binary file"),
        ("diff --git a/x b/x\nindex 1234567..89abcde 100644\nGIT binary patch\nliteral 1\nIcmZ\n", "binary file"),
        (
            "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n",
            "mode 120000",
        ),
        (
            "diff --git a/m b/m\nnew file mode 160000\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+Subproject commit 12\n",
            "mode 160000",
        ),
    ],
)
def test_diffs_that_are_refused_when_they_are_read(tmp_path: Path, change: str | bytes, says: str) -> None:
    with pytest.raises(PatchError) as caught:
        series_of(tmp_path / "s", change)
    assert says in caught.value.reason
    assert "p1.patch" in caught.value.reason
    assert "series.toml line" in caught.value.reason
    assert caught.value.hint


@pytest.mark.parametrize("linked", ["src", "src/a.go"])
def test_no_link_in_the_source_is_followed(tmp_path: Path, linked: str) -> None:
    outside = write(tmp_path / "outside", {"a.go": GO})
    root = tree(tmp_path / "go", src__b_go=GO)
    if linked == "src":
        shutil.rmtree(root / "src")
        (root / "src").symlink_to(outside)
    else:
        (root / "src/a.go").symlink_to(outside / "a.go")
    error = refusal(root, tmp_path / "s", diff(GO, GO.replace("y()", "why()"), "src/a.go"))
    assert f"{linked} is a symbolic link" in error.reason
    assert (outside / "a.go").read_text() == GO


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("go1.22.10\ntime 2024-11-27T20:27:20Z\n", "go1.22.10-t1\ntime 2024-11-27T20:27:20Z\n"),
        ("go1.22.10", "go1.22.10-t1\ntime 1980-01-01T00:00:00Z\n"),
        ("go1.22.10\nstrange\ntime 2024-11-27T20:27:20+01:00\n\n", "go1.22.10-t1\ntime 2024-11-27T20:27:20+01:00\n"),
        (None, "go1.22.10-t1\ntime 1980-01-01T00:00:00Z\n"),
    ],
)
def test_version_is_stamped(tmp_path: Path, old: str | None, new: str) -> None:
    root = write(tmp_path / "go", {"src/x.go": "package x\n"} | ({"VERSION": old} if old else {}))
    assert patch(source(root), (), stamp="go1.22.10-t1").stamp == "go1.22.10-t1"
    assert (root / "VERSION").read_text() == new


@pytest.mark.parametrize("stamp", ["", "go1.22.10-T1", "go1.22.10 t1", "go1.22.10\ntime x", "1.22.10", "go1.22.10+t"])
def test_a_stamp_that_is_none(tmp_path: Path, stamp: str) -> None:
    root = tree(tmp_path / "go", a_go=GO)
    with pytest.raises(PatchError, match="cannot be a toolchain's version"):
        patch(source(root), series_of(tmp_path / "s", diff(GO, GO.replace("y()", "why()"))), stamp=stamp)
    assert (root / "a.go").read_text() == GO


def test_a_time_that_is_none(tmp_path: Path) -> None:
    root = write(tmp_path / "go", {"VERSION": "go1.22.10\ntime yesterday\n"})
    with pytest.raises(PatchError, match="yesterday"):
        patch(source(root), (), stamp="go1.22.10-t1")


def test_no_source(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="no source at"):
        patch(source(tmp_path / "nowhere"), (), stamp="go1.22.10-t1")


def named_new(path: str) -> str:
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+package n\n"


def test_it_needs_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(words: Sequence[str], **_: object) -> None:
        raise AssertionError(f"started {words}")

    monkeypatch.setattr("subprocess.Popen", refuse)
    monkeypatch.setenv("PATH", "")
    root = tree(tmp_path / "go", a_go=GO)
    apply(root, series_of(tmp_path / "s", diff(GO, GO.replace("y()", "why()"))))
    assert "why()" in (root / "a.go").read_text()
