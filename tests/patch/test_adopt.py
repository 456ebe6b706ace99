"""adopt: patches in every form become commits; what does not fit stops there, and is gone on with; hostile ones."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from adopt_fixtures import GO, ONE, PLAIN, SECOND, SHAPES, TWO, adopt, by_tool, files_of, mail, shapes_table, source
from inside import gobuild
from needs import needs
from patch_fixtures import apply, snapshot, write
from workbench_fixtures import NUMBERS, changed, commit, diff, git, tree, two

from gobuild.core.errors import PatchError
from gobuild.patch import load_folder
from gobuild.patch.manifest import load_or_new
from gobuild.patch.workbench import routes
from gobuild.patch.workbench.adopt import Adopted
from gobuild.patch.workbench.export import Export, export_series, write_export


def states(done: Adopted) -> list[tuple[str, str]]:
    return [(step.label, step.state) for step in done.steps]


def work_tree(root: Path) -> dict[str, tuple[bytes, int]]:
    return {name: value for name, value in snapshot(root).items() if not name.startswith(".git/")}


def export(place: Path) -> Export:
    done = export_series(place / "bench", load_or_new(place / "ours"))
    write_export(done, add=True)
    return done


@pytest.mark.parametrize("name", SHAPES)
def test_every_form_becomes_what_git_or_patch_makes_of_it(tmp_path: Path, name: str) -> None:
    plain = source(tmp_path / "go")
    write(tmp_path / "in", files_of(name))
    done = adopt(tmp_path, plain)
    assert {step.state for step in done.steps} <= {"adopted", "no patch"}, done.steps
    assert SHAPES[name].form in {form for step in done.steps for form in step.summary.split("; ")}
    made = work_tree(tmp_path / "bench")
    assert made != work_tree(plain.root)
    export(tmp_path)
    by_tool(plain.root, name)
    assert made == work_tree(plain.root)
    # What was exported is a series by itself, which does the same.
    apply(source(tmp_path / "other go").root, load_folder(tmp_path / "ours").patches)
    shutil.copy(plain.root / "VERSION", tmp_path / "other go/VERSION")
    assert made == work_tree(tmp_path / "other go")


def test_the_report_has_every_form() -> None:
    report = Path(__file__).parents[1] / "reports/series.md"
    assert shapes_table() in report.read_text(encoding="utf-8")


def test_words_are_kept_and_a_diff_without_any_gets_the_users_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Uwe User")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "u@example.org")
    chinese = mail("=?UTF-8?q?=E8=BF=90=E8=A1=8C?=", SECOND, path=TWO)
    write(tmp_path / "in", {"1.patch": mail("one: change", PLAIN), "2.patch": chinese, "Third_One.patch": SECOND_LATER})
    adopt(tmp_path, source(tmp_path / "go"))
    log = git(tmp_path / "bench", "log", "--reverse", "--format=%an|%ae|%ad|%s", "--date=raw", "base..")
    assert log.splitlines() == [
        "Ada Lovelace|ada@example.org|1772528400 +0100|one: change",
        "Ada Lovelace|ada@example.org|1772528400 +0100|运行",
        "Uwe User|u@example.org|315532800 +0000|TODO: why third-one exists",
    ]
    assert "\nBecause.\nFixes\n#68678 as well." in git(tmp_path / "bench", "log", "--format=%B")
    export(tmp_path)
    found = load_folder(tmp_path / "ours").patches
    assert [(patch.name, patch.reason) for patch in found] == [
        ("one-change", "one: change"),
        ("2", "运行"),
        ("third-one", "TODO: why third-one exists"),
    ]
    assert all(patch.go == ">=1.22.10,<1.23" for patch in found)


SECOND_LATER = diff(TWO, changed(9), changed(9, 30))


def test_a_series_is_added_to_and_the_same_again_adds_nothing(tmp_path: Path) -> None:
    two(tmp_path / "ours", "")
    write(tmp_path / "in", {"1.patch": diff(ONE, changed(5), changed(5, 30))})
    plain = source(tmp_path / "go")
    adopt(tmp_path, plain, series=load_folder(tmp_path / "ours"))
    assert export(tmp_path).unchanged == ["first", "second"]
    assert [patch.name for patch in load_folder(tmp_path / "ours").patches] == ["first", "second", "1"]
    before = snapshot(tmp_path / "ours")
    shutil.rmtree(tmp_path / "bench")
    done = adopt(tmp_path, plain, series=load_folder(tmp_path / "ours"))
    assert states(done) == [("1.patch", "already upstream")]
    export(tmp_path)
    assert snapshot(tmp_path / "ours") == before


def conflict(tmp_path: Path) -> tuple[Path, Adopted]:
    """Three patches, the second of which does not fit: the workbench stands open at it."""
    write(tmp_path / "in", {"1.patch": PLAIN, "2.patch": mail("two: twice", OTHER), "3.patch": SECOND})
    done = adopt(tmp_path, source(tmp_path / "go"))
    assert (done.stopped, done.conflicts) == ("2.patch", (ONE,))
    assert states(done) == [("1.patch", "adopted")]
    assert "expected:" in done.reason
    assert "found:" in done.reason
    return tmp_path / "bench", done


OTHER = diff(ONE, changed(21), changed(21, 20)) + diff("src/one.go", GO, GO + "\nvar x = 1\n")


def test_a_conflict_shows_both_sides_and_is_gone_on_with(tmp_path: Path) -> None:
    bench, _ = conflict(tmp_path)
    assert git(bench, "status", "--porcelain", "--untracked-files=no").splitlines() == ["M  src/one.go", f"UU {ONE}"]
    marked = (bench / ONE).read_text()
    assert "<<<<<<< ours\n" in marked
    assert "\n=======\n" in marked
    assert "patched 21\n" in marked.partition("=======")[2].partition(">>>>>>> ")[0]
    plain = source(tmp_path / "go")
    with pytest.raises(PatchError, match=r"is in conflict in (?s:.*)git add FILE; then the same words again") as caught:
        adopt(tmp_path, plain)
    assert "src/one.txt" in caught.value.reason
    git(bench, "add", ONE)
    with pytest.raises(PatchError, match=f"marks of a conflict are left in {ONE}"):
        adopt(tmp_path, plain)
    write(bench, {ONE: changed(20, 21)})
    with pytest.raises(PatchError, match=f"not added: {ONE}"):
        adopt(tmp_path, plain)
    git(bench, "add", ONE)
    done = adopt(tmp_path, plain)
    assert states(done) == [("1.patch", "adopted"), ("2.patch", "by hand"), ("3.patch", "adopted")]
    log = git(bench, "log", "--reverse", "--format=%an|%s", "base..").splitlines()
    assert log[1] == "Ada Lovelace|two: twice"
    assert (bench / ONE).read_text() == changed(20, 21)
    assert (bench / "src/one.go").read_text() == GO + "\nvar x = 1\n"
    assert (bench / TWO).read_text() == changed(9)
    assert len(export(tmp_path).entries) == 3


def test_a_conflict_is_left_out_or_stands_for_commits_of_ones_own(tmp_path: Path) -> None:
    bench, _ = conflict(tmp_path)
    shutil.copytree(tmp_path / "bench", tmp_path / "kept/bench", symlinks=True)
    shutil.copytree(tmp_path / "in", tmp_path / "kept/in")
    plain = source(tmp_path / "go")
    done = adopt(tmp_path, plain, skip=True)
    assert states(done)[1:] == [("2.patch", "left out"), ("3.patch", "adopted")]
    assert (bench / "src/one.go").read_text() == GO
    bench = tmp_path / "kept/bench"
    git(bench, "checkout", "--quiet", "--ours", ONE)
    commit(bench, "mine: only the Go file")
    done = adopt(tmp_path / "kept", plain)
    assert states(done)[1:] == [("2.patch", "by hand"), ("3.patch", "adopted")]
    assert git(bench, "log", "--format=%s", "base..").splitlines()[1] == "mine: only the Go file"


def test_a_conflict_whose_patch_was_mended_meanwhile_is_tried_again(tmp_path: Path) -> None:
    bench, _ = conflict(tmp_path)
    write(tmp_path / "in", {"2.patch": diff(ONE, changed(20), changed(20, 21))})
    done = adopt(tmp_path, source(tmp_path / "go"))
    assert [state for _, state in states(done)] == ["adopted"] * 3
    assert (bench / "src/one.go").read_text() == GO
    write(tmp_path / "in", {"1.patch": SECOND})
    with pytest.raises(PatchError, match="a workbench of other patches"):
        adopt(tmp_path, source(tmp_path / "go"))


def test_what_is_not_there_at_all_names_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "in", {"1.patch": PLAIN + diff("test/x.txt", NUMBERS, changed(5))})
    plain = source(tmp_path / "go")
    done = adopt(tmp_path, plain)
    assert (done.stopped, done.conflicts) == ("1.patch", ())
    assert "test/x.txt" in done.reason
    assert "--source" in done.hint
    assert git(tmp_path / "bench", "status", "--porcelain") == ""
    assert adopt(tmp_path, plain).stopped == "1.patch"
    assert states(adopt(tmp_path, plain, skip=True)) == [("1.patch", "left out")]


def test_two_readings_that_fit_are_no_reading(tmp_path: Path) -> None:
    plain = tree(tmp_path / "go", files={"one.txt": NUMBERS, "src/one.txt": NUMBERS})
    write(tmp_path / "in", {"1.patch": PLAIN.replace("--- a/src/", "--- ").replace("+++ b/src/", "+++ ")})
    done = adopt(tmp_path, plain)
    assert states(done) == [("1.patch", "left out")]
    assert "may mean one.txt or src/one.txt" in done.steps[0].evidence


BODY = "".join(f"\tx{number} := {number}\n" for number in range(10))
TWINS = "package one\n\n" + "".join(f"func {name}() {{\n{BODY}}}\n\n" for name in "abc")


def routed(tmp_path: Path, old: str, new: str, now: str, heading: str = "", *, blobs: bool = True) -> Adopted:
    """A patch of a Go file adopted on the file as it is now, its heading said to be another."""
    text = diff("src/one.go", old, new)
    lines = [line for line in text.splitlines(True) if blobs or not line.startswith("index ")]
    said = [line.replace(" func a() {", f" {heading}") if heading and line.startswith("@@") else line for line in lines]
    write(tmp_path / "in", {"1.patch": "".join(said)})
    return adopt(tmp_path, tree(tmp_path / "go", files={"src/one.go": now}))


def test_git_takes_what_stands_at_its_line_under_another_heading(tmp_path: Path) -> None:
    new = TWINS.replace("x5 := 5", "x5 := 7", 1)
    done = routed(tmp_path, TWINS, new, TWINS, "func gone() {", blobs=False)
    assert states(done) == [("1.patch", "by git")]
    assert "look at src/one.go" in done.steps[0].evidence
    assert (tmp_path / "bench/src/one.go").read_text() == new
    # A line more in front: it stands once only, and neither at its line nor under its function.
    moved = routed(tmp_path / "moved", TWINS, new, "// more\n" + TWINS, "func gone() {", blobs=False)
    assert moved.stopped == "1.patch"


def test_patch_takes_what_git_cannot_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = TWINS.replace("x5 := 5", "x5 := 7", 1)
    text = diff("src/one.go", TWINS, new).replace(" func a() {", " func gone() {")
    lines = [line for line in text.splitlines(True) if not line.startswith("index ")]
    write(tmp_path / "in", {"1.patch": "".join(lines).replace("a/src/one.go", "a/go/src/one.go")})
    plain = tree(tmp_path / "go", files={"src/one.go": TWINS})
    monkeypatch.setattr(routes, "PATCH", "no-such-patch")
    done = adopt(tmp_path, plain)
    assert (done.stopped, done.conflicts) == ("1.patch", ())
    assert "Debian's package patch" in done.hint
    monkeypatch.undo()
    done = adopt(tmp_path, plain)
    assert "patch -F0 takes it, by the text of its hunks alone: look at src/one.go" in done.steps[0].evidence
    assert (tmp_path / "bench/src/one.go").read_text() == new


def test_git_merges_with_what_a_patch_was_made_for(tmp_path: Path) -> None:
    # Made for the plain source, and applied behind a patch that changes a line of its context.
    write(tmp_path / "in", {"1.patch": diff(ONE, NUMBERS, changed(20)), "2.patch": diff(ONE, NUMBERS, changed(23))})
    done = adopt(tmp_path, tree(tmp_path / "go"))
    assert [state for _, state in states(done)] == ["adopted", "merged"]
    assert "look at src/one.txt" in done.steps[1].evidence
    assert (tmp_path / "bench" / ONE).read_text() == changed(20, 23)


HOSTILE: Mapping[str, str | bytes] = {
    "parent": PLAIN.replace("src/one.txt", "../one.txt"),
    "absolute": "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-x\n+y\n",
    "git's own": "--- /dev/null\n+++ b/.git/hooks/post-commit\n@@ -0,0 +1 @@\n+touch ran\n",
    "a link": "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n"
    "\\ No newline at end of file\n",
    "through a link": "--- a/away/x.txt\n+++ b/away/x.txt\n" + PLAIN.partition("+++ b/src/one.txt\n")[2],
    "ed": "1d\na\n.\nw\n!touch ran\n",
    "a million hunks": "--- a/src/one.txt\n+++ b/src/one.txt\nMANY@@ -1 +1 @@\n-line 1\n+line 0\n",
    "one endless hunk": "--- a/src/one.txt\n+++ b/src/one.txt\n@@ -1,3 +1,4 @@\nMANY line 1\n",
    "garbage in the head": b"From: \xff\xfe\x80 <a@b>\nSubject: =?x?q?\xff?=\n\n" + PLAIN.encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mailbox_writes_nothing_outside_and_ends_in_a_second(tmp_path: Path, name: str) -> None:
    plain = tree(tmp_path / "go")
    (plain.root / "away").symlink_to(write(tmp_path / "away", {"x.txt": NUMBERS}))
    content = HOSTILE[name]
    if isinstance(content, str) and "MANY" in content:
        begin, _, unit = content.partition("MANY")
        content = begin + unit * 1_000_000
    write(tmp_path / "in", {"s.mbox": content if isinstance(content, bytes) else mail("bad", content) + GOOD})
    before = snapshot(tmp_path)
    began = time.process_time()
    done = adopt(tmp_path, plain, skip=True)
    assert time.process_time() - began < 1
    assert {path: value for path, value in snapshot(tmp_path).items() if not path.startswith("bench/")} == before
    assert not (tmp_path / "bench/.git/hooks").exists()
    assert [state for _, state in states(done)] == ["left out", "adopted"][: 1 if isinstance(content, bytes) else 2]


GOOD = mail("two: change", SECOND, path=TWO)


def test_lines_of_a_mailbox_in_a_diff_and_in_a_message_begin_no_mail(tmp_path: Path) -> None:
    line = "From abcdef0 Mon Sep 17 00:00:00 2001\n"
    text = diff(ONE, NUMBERS, NUMBERS.replace("line 9\n", f"line 9\n{line}Subject: no mail\n"))
    said = mail("one: change", text).replace("Because.\n", f"Because.\n{line}is how one begins.\n")
    write(tmp_path / "in", {"s.mbox": said + GOOD})
    assert states(adopt(tmp_path, tree(tmp_path / "go"))) == [
        ("s.mbox, mail 1", "adopted"),
        ("s.mbox, mail 2", "adopted"),
    ]
    assert line in git(tmp_path / "bench", "log", "--format=%B")


def test_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("git")
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", str(tmp_path / "cache"))
    tree(tmp_path / "go", files={"src/make.bash": "#!/bin/sh\n", "LICENSE": "x\n", "PATENTS": "x\n"})
    write(tmp_path / "in", {"1.patch": mail("one: change", PLAIN), "2.patch": "--- a/x\n+++ b/x\n@@ nothing\n"})
    write(tmp_path, {"s.mbox": GOOD, "bad.patch": diff(TWO, changed(8), changed(8, 9))})

    def call(code: int, *words: str) -> str:
        done = gobuild(tmp_path, "patches.adopt", *words, "--go=1.22.10", "--source=go", "--series=ours")
        assert done.code == code, done.out + done.err
        return " ".join((done.out + done.err).split())

    said = call(6, "in", "--then=s.mbox")
    assert "error: 1 left outside: 2.patch: " in said
    assert "added to the series: 2" in said
    assert "one-change applied" in said
    assert [patch.name for patch in load_folder(tmp_path / "ours").patches] == ["one-change", "two-change"]
    assert not (tmp_path / "ours.workbench").exists()
    assert "already upstream" in call(0, "s.mbox")
    said = call(6, "bad.patch")
    assert "bad.patch does not fit: src/two.txt: hunk 1" in said
    assert (
        "ours.workbench; in conflict: src/two.txt try: there: edit the files; git add FILE; then the same words" in said
    )
    assert "left outside: bad.patch: its conflict was not resolved" in call(6, "bad.patch", "--skip")
    for place, why in (("nowhere", "there is nothing at nowhere"), ("go", "go has no patch")):
        assert why in call(6, place)
    assert "ours holds the patches themselves" in call(2, "ours")
    assert "needs a series of yours" in gobuild(tmp_path, "patches.adopt", "in", "--go=1.22.10").err
