"""Unified diffs: read strictly, applied exactly, or not at all."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from patch_fixtures import apply, series_of, snapshot, source, write
from workbench_fixtures import git_patch

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State
from gobuild.patch import patch
from gobuild.patch.diff.file_diff import FileDiff
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.render import render_file

GO = "package a\n\nfunc one() {\n\tx()\n}\n\nfunc two() {\n\ty()\n}\n\nfunc three() {\n\tz()\n}\n"
WHY = GO.replace("y()", "why()")
VERSION = "go1.22.10\ntime 2024-11-27T20:27:20Z\n"
SCRIPT = "diff --git a/n.sh b/n.sh\nnew file mode 100755\n--- /dev/null\n+++ b/n.sh\n@@ -0,0 +1 @@\n+#!/bin/sh\n"


def tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    return write(root, {"VERSION": VERSION, **files})


def diff(old: str, new: str, path: str = "a.go") -> str:
    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


def applied(folder: Path, files: Mapping[str, str | bytes], *diffs: str | bytes) -> tuple[Path, tuple[Outcome, ...]]:
    """A tree of these files with a series of diffs in it, and what became of each."""
    root = tree(folder / "go", files)
    return root, apply(root, series_of(folder / "s", *diffs)).outcomes


def refusal(folder: Path, files: Mapping[str, str | bytes], *diffs: str | bytes) -> PatchError:
    """The error of a series, and that not a byte was changed."""
    root = tree(folder / "go", files)
    before = snapshot(root)
    with pytest.raises(PatchError) as caught:
        apply(root, series_of(folder / "s", *diffs))
    assert snapshot(root) == before
    assert caught.value.hint
    return caught.value


def test_applies_and_says_what(tmp_path: Path) -> None:
    root, (outcome,) = applied(tmp_path, {"a.go": GO}, diff(GO, WHY))
    assert (root / "a.go").read_text() == WHY
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
    patches = series_of(tmp_path / "s", git_patch(tmp_path / "git", before, after))
    assert "One change" in patches[0].description
    assert "and why." in patches[0].description
    root = tree(tmp_path / "go", before)
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
    root = tree(tmp_path / "go", {"run.bash": "#!/bin/sh\ntrue\n"})
    (root / "run.bash").chmod(0o755)
    old = diff("#!/bin/sh\ntrue\n", "#!/bin/sh\nfalse\n", "run.bash")
    apply(root, series_of(tmp_path / "s", old, SCRIPT, diff("#!/bin/sh\n", "#!/bin/sh\ntrue\n", "n.sh")))
    for name in ("n.sh", "run.bash"):
        assert (root / name).stat().st_mode & 0o777 == 0o755


def test_several_patches_build_on_one_another(tmp_path: Path) -> None:
    second = GO.replace("x()", "ex()")
    root, _ = applied(tmp_path, {"a.go": GO}, diff(GO, second), diff(second, second.replace("ex()", "axe()")))
    assert "axe()" in (root / "a.go").read_text()


def test_hard_links_elsewhere_keep_their_content(tmp_path: Path) -> None:
    root = tree(tmp_path / "go", {"a.go": GO})
    (tmp_path / "store").hardlink_to(root / "a.go")
    apply(root, series_of(tmp_path / "s", diff(GO, WHY)))
    assert (tmp_path / "store").read_text() == GO


def test_a_moved_hunk_is_taken_where_its_text_stands_once(tmp_path: Path) -> None:
    root, (outcome,) = applied(tmp_path, {"a.go": "// more\n// lines\n" + GO}, diff(GO, WHY))
    assert (root / "a.go").read_text() == "// more\n// lines\n" + WHY
    assert "(1 moved)" in outcome.evidence


def test_a_text_that_stands_twice_is_taken_at_the_stated_line_only(tmp_path: Path) -> None:
    change, twice = "--- a/t\n+++ b/t\n@@ -4,3 +4,3 @@\n a\n-b\n+B\n c\n", "a\nb\nc\na\nb\nc\n"
    root, _ = applied(tmp_path, {"t": twice}, change)
    assert (root / "t").read_text() == "a\nb\nc\na\nB\nc\n"
    error = refusal(tmp_path / "2", {"t": "new\n" + twice}, change)
    assert "hunk 1" in error.reason
    assert "2 places (lines 2, 5)" in error.reason


def test_no_fuzz(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"a.go": GO.replace("func two", "func second")}, diff(GO, WHY))
    for word in ("p1", "p1.patch", "a.go", "hunk 1", "@@ -5,7 +5,7 @@", "does not apply"):
        assert word in error.reason
    expected, found = error.reason.split("expected:\n")[1].split("\n    found:\n")
    assert expected.splitlines()[2:4] == ["    >  7  func two() {", "       8  \ty()"]
    assert found.splitlines()[2:4] == ["    >  7  func second() {", "       8  \ty()"]
    assert "refresh the patch" in error.hint


def test_if_the_second_patch_fails_the_first_is_not_written(tmp_path: Path) -> None:
    bad = diff("no\nsuch\n", "no\nother\n", "b.go")
    assert "p2" in refusal(tmp_path, {"a.go": GO, "b.go": GO}, diff(GO, WHY), bad).reason


def test_newline_at_the_end_is_matched_exactly(tmp_path: Path) -> None:
    root, _ = applied(tmp_path, {"a.go": "a\nb"}, diff("a\nb", "a\nB"))
    assert (root / "a.go").read_bytes() == b"a\nB"
    assert "'b\\n'" in refusal(tmp_path / "whole", {"a.go": "a\nb\n"}, diff("a\nb", "a\nB")).reason


def test_a_patch_file_without_its_last_newline_may_be_cut_off(tmp_path: Path) -> None:
    whole = diff("a\n", "a\nb = one + two\n")
    for cut in (whole[:-1], whole[: -len(" + two\n")]):
        with pytest.raises(PatchError, match=r"p1\.patch line 5 has no newline: the file may be cut off"):
            series_of(tmp_path / "s", cut)


def test_conflicts_show_the_end_of_a_file_and_what_cannot_be_seen(tmp_path: Path) -> None:
    change = "--- a/t\n+++ b/t\n@@ -1,3 +1,3 @@\n a\n b\n-c\n+C\n"
    ends = refusal(tmp_path, {"t": "a\nb\n"}, change).reason
    assert ends.endswith("    found:\n      1  a\n      2  b\n    > 3  (the end of the file)")
    blank = refusal(tmp_path / "2", {"t": "a\nb\nc  \n"}, change).reason
    assert "> 3  'c\\n'" in blank
    assert "> 3  'c  \\n'" in blank


def test_a_hunk_that_moved_and_changed_is_compared_where_most_of_it_stands(tmp_path: Path) -> None:
    drifted = "// more\n" * 40 + GO.replace("}\n\nfunc two", "}\n\nfunc second")
    error = refusal(tmp_path, {"a.go": drifted}, diff(GO, WHY))
    assert "> 47  func two() {" in error.reason
    assert "> 47  func second() {" in error.reason


def test_a_patch_that_applies_and_changes_nothing_is_an_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"a.go": GO}, diff(GO, WHY) + diff(WHY, GO))
    assert error.reason == "the patch p1 (p1.patch) cannot be applied: it applies, and changes nothing"


def test_crlf_source_takes_a_crlf_hunk_and_no_other(tmp_path: Path) -> None:
    lf, there = diff("a\nb\n", "a\nc\n", "w.txt"), {"w.txt": b"a\r\nb\r\n"}
    crlf = "--- a/w.txt\n+++ b/w.txt\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"
    assert "'a\\r\\n'" in refusal(tmp_path, there, lf).reason
    root, _ = applied(tmp_path, there, crlf)
    assert (root / "w.txt").read_bytes() == b"a\r\nc\r\n"


def test_already_upstream(tmp_path: Path) -> None:
    added = "--- /dev/null\n+++ b/n.go\n@@ -0,0 +1 @@\n+package n\n"
    root, (outcome,) = applied(tmp_path, {"a.go": WHY, "n.go": "package n\n"}, diff(GO, WHY) + added)
    assert (outcome.state, outcome.files) == (State.ALREADY_UPSTREAM, ())
    assert (root / "a.go").read_text() == WHY


def test_a_file_may_come_again_in_one_patch(tmp_path: Path) -> None:
    words = "From 1234 Mon Sep 17 00:00:00 2001\nSubject: [PATCH 2/2] more\n\n---\n"
    again = diff(WHY, WHY.replace("why()", "wherefore()")) + diff("#!/bin/sh\n", "#!/bin/sh\ntrue\n", "n.sh")
    change = diff(GO, WHY) + SCRIPT + "-- \n2.39.5\n\n" + words + again
    root, (outcome,) = applied(tmp_path, {"a.go": GO}, change)
    assert outcome.files == ("a.go", "n.sh")
    assert (root / "a.go").read_text() == WHY.replace("why()", "wherefore()")
    assert (root / "n.sh").read_text() == "#!/bin/sh\ntrue\n"
    assert (root / "n.sh").stat().st_mode & 0o777 == 0o755
    (outcome,) = apply(root, series_of(tmp_path / "s", change)).outcomes
    assert outcome.state is State.ALREADY_UPSTREAM
    refusal(tmp_path / "half", {"a.go": WHY}, diff(GO, WHY) + SCRIPT + again)


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
    assert says in refusal(tmp_path, {"src/cmd/a.go": GO}, diff(GO, WHY, path)).hint


def test_half_upstream_is_an_error(tmp_path: Path) -> None:
    refusal(tmp_path, {"a.go": WHY, "b.go": GO}, diff(GO, WHY) + diff(GO, WHY, "b.go"))


def test_lines_that_are_there_already_are_not_added_again(tmp_path: Path) -> None:
    # With context on one side only, the old text still stands after the patch has been applied.
    root = tree(tmp_path / "go", {"t": "x\ny\na\n"})
    patches = series_of(tmp_path / "s", "--- a/t\n+++ b/t\n@@ -3 +3,2 @@\n a\n+b\n")
    assert [apply(root, patches).outcomes[0].state for _ in range(2)] == [State.APPLIED, State.ALREADY_UPSTREAM]
    assert (root / "t").read_text() == "x\ny\na\nb\n"


def test_deleting_needs_the_whole_file(tmp_path: Path) -> None:
    change = "--- a/t\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n"
    assert "lines that the diff does not know" in refusal(tmp_path, {"t": "a\nb\nc\n"}, change).reason
    root, _ = applied(tmp_path / "2", {"t": "a\nb\n"}, change)
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
    assert says in refusal(tmp_path, files, change).reason


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
        ("Why.\n\n" + named("a/../x", "b/../x"), "p1.patch line 3: names a file outside of the source: 'a/../x'"),
        (named("a/x/../../y", "b/x/../../y"), "outside of the source"),
        (named("a//etc/passwd", "b//etc/passwd"), "outside of the source"),
        (named("/etc/passwd", "/etc/passwd"), "does not read a/PATH"),
        (named("x", "x"), "does not read a/PATH"),
        (named("a/C:/x", "b/C:/x"), "outside of the source"),
        (named("a/x\\y", "b/x\\y"), "outside of the source"),
        (named("a/.git/config", "b/.git/config"), "git's own"),
        (named("a/x/.GIT/config", "b/x/.GIT/config"), "git's own"),
        (named('"a/x\\377"', '"b/x\\377"'), "not UTF-8"),
        (named('"a/\\056\\056/x"', '"b/x"'), "outside of the source: 'a/../x'"),
        (named('"a/x\\ny"', '"b/x"'), "does not read a/PATH"),
        (named("a/x", "b/y"), "line 1: names two files, x and y"),
        (named("/dev/null", "/dev/null"), "no name"),
        ("--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n \ta\n\tb\n-c\n+C\n", "line 5 is no line of a diff: '\\tb'"),
        (
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n",
            "line 3: hunk 1 (@@ -1,2 +1,2 @@) ends at line 6, and its header counts 0 more old and 1 more",
        ),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+lost\n", "line 6: hunk 1 (@@ -1 +1 @@) goes on behind"),
        ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n b\n", "changes nothing"),
        ("--- a/x\n+++ b/x\n@@ -1,0 +2 @@\n+b\n", "no context"),
        (
            "diff --git a/x b/x\nindex 1234567..89abcde 100644\nBinary files a/x and b/x differ\n",
            "line 1: x is a binary",
        ),
        (
            "diff --git a/x b/x\nindex 1234567..89abcde 100644\nGIT binary patch\nliteral 1\nIcmZ\n",
            "line 4: its binary",
        ),
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
    outside = write(tmp_path / "outside/src", {"a.go": GO}).parent
    (tmp_path / "go" / linked).parent.mkdir(parents=True)
    (tmp_path / "go" / linked).symlink_to(outside / linked)
    error = refusal(tmp_path, {}, diff(GO, WHY, "src/a.go"))
    assert f"{linked} is a symbolic link" in error.reason
    assert (outside / "src/a.go").read_text() == GO


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
    root = tree(tmp_path / "go", {"a.go": GO})
    with pytest.raises(PatchError, match="cannot be a toolchain's version"):
        patch(source(root), series_of(tmp_path / "s", diff(GO, WHY)), stamp=stamp)
    assert (root / "a.go").read_text() == GO


def test_a_time_that_is_none_and_no_source(tmp_path: Path) -> None:
    root = write(tmp_path / "go", {"VERSION": "go1.22.10\ntime yesterday\n"})
    for place, words in ((root, "yesterday"), (tmp_path / "nowhere", "no source at")):
        with pytest.raises(PatchError, match=words):
            patch(source(place), (), stamp="go1.22.10-t1")


def test_it_needs_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(words: Sequence[str], **_: object) -> None:
        raise AssertionError(f"started {words}")

    monkeypatch.setattr("subprocess.Popen", refuse)
    monkeypatch.setenv("PATH", "")
    root, _ = applied(tmp_path, {"a.go": GO}, diff(GO, WHY))
    assert "why()" in (root / "a.go").read_text()
