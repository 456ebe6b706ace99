"""refresh and new: diffs anchored where they apply now, and a patch begun."""

import subprocess
from pathlib import Path

import pytest
from needs import needs
from patch_fixtures import apply, snapshot, write
from workbench_fixtures import NUMBERS, bench, changed, commit, diff, export, git, prose, series, tree

from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import GoVersion
from gobuild.patch import Series, load_folder
from gobuild.patch.manifest import load_stock
from gobuild.patch.workbench.entries import new_patch
from gobuild.patch.workbench.export import write_export
from gobuild.patch.workbench.import_series import PlainSource
from gobuild.patch.workbench.refresh import Refreshed, refresh_patches, write_refreshed

LONGER = "first\n" * 7 + NUMBERS


def refresh(patches: Series, plain: PlainSource) -> tuple[Refreshed, ...]:
    found = refresh_patches(patches.patches, plain.root)
    write_refreshed(found)
    return found


def test_a_diff_that_moved_is_anchored_where_it_is_and_all_else_of_it_stays(tmp_path: Path) -> None:
    grown = changed(5, 30).replace("patched 5\n", "patched 5\n--- a/more\n+++ b/more\n@@ -1 +1 @@\n")
    head = prose("one: two hunks", "src/one.txt", "@@ -1 +1 @@\nindex 1234567..89abcde 100644")
    behind = diff("src/two.txt", NUMBERS, changed(9))
    text = head + diff("src/one.txt", NUMBERS, grown, context=1) + behind
    patches = series(tmp_path / "p", {"one": text})
    plain = tree(tmp_path / "go", files={"src/one.txt": LONGER})
    before = snapshot(plain.root)
    (only,) = refresh(patches, plain)
    assert only.said == "re-anchored in src/one.txt"
    assert snapshot(plain.root) == before
    anew = diff("src/one.txt", LONGER, "first\n" * 7 + grown, context=1)
    assert (tmp_path / "p/one.patch").read_text() == head + anew + behind
    (again,) = refresh(load_folder(tmp_path / "p"), plain)
    assert (again.said, again.content) == ("applies where it says", None)


def test_what_applies_exactly_is_not_touched(tmp_path: Path) -> None:
    gone = "".join(f"-{line}\n" for line in changed(5).splitlines())
    texts = {
        "exact": diff("src/one.txt", NUMBERS, changed(5)),
        "adds": "--- /dev/null\n+++ b/src/new.txt\n@@ -0,0 +1 @@\n+new\n",
        "gone": f"--- a/src/one.txt\n+++ /dev/null\n@@ -1,40 +0,0 @@\n{gone}",
        "there": diff("src/two.txt", changed(3), NUMBERS),
    }
    patches = series(tmp_path / "p", texts)
    before = snapshot(tmp_path / "p")
    found = refresh(patches, tree(tmp_path / "go"))
    assert [one.said for one in found] == ["applies where it says"] * 3 + ["already upstream"]
    assert snapshot(tmp_path / "p") == before


def test_a_patch_behind_another_and_one_without_gits_words(tmp_path: Path) -> None:
    """The second is anchored on what the first leaves, and was written by diff -u."""
    plain = diff("src/one.txt", NUMBERS, changed(30))
    grown = NUMBERS.replace("line 2\n", "line 2\nmore\nmore\n")
    texts = {"grows": diff("src/one.txt", NUMBERS, grown), "behind": plain[plain.index("--- ") :]}
    patches = series(tmp_path / "p", texts)
    grows, behind = refresh(patches, tree(tmp_path / "go"))
    assert (grows.content, behind.said) == (None, "re-anchored in src/one.txt")
    wanted = diff("src/one.txt", grown, changed(30, text=grown))
    assert (tmp_path / "p/behind.patch").read_text() == wanted


def test_a_quilt_series(tmp_path: Path) -> None:
    """A -p1 patch is anchored anew and its prose stays; a -p0 patch is not made a -p1 one behind the list's back."""
    one = diff("src/one.txt", NUMBERS, changed(9))
    head = "Description: ours\n\nIndex: src/one.txt\n====\n"
    write(tmp_path / "q", {"series": "one.patch\n", "one.patch": head + one[one.index("--- ") :]})
    plain = tree(tmp_path / "go", files={"src/one.txt": LONGER})
    refresh(load_folder(tmp_path / "q"), plain)
    assert (tmp_path / "q/one.patch").read_text() == head + diff("src/one.txt", LONGER, changed(9, text=LONGER))
    zero = one[one.index("--- ") :].replace("a/src", "src").replace("b/src", "src")
    write(tmp_path / "q", {"series": "zero.patch -p0\n", "zero.patch": zero})
    with pytest.raises(PatchError, match="is a -p0 patch"):
        refresh(load_folder(tmp_path / "q"), plain)


def test_a_conflict_writes_nothing(tmp_path: Path) -> None:
    texts = {
        "moved": diff("src/one.txt", NUMBERS, changed(5)),
        "not": diff("src/two.txt", changed(20), changed(20, 21)),
    }
    patches = series(tmp_path / "p", texts)
    plain = tree(tmp_path / "go", files={"src/one.txt": LONGER})
    before = snapshot(tmp_path)
    with pytest.raises(PatchError, match=r"(?s)the patch not .*patches.import --from VERSION"):
        refresh(patches, plain)
    assert snapshot(tmp_path) == before


def test_a_patch_that_changes_a_file_twice_is_left_to_an_export(tmp_path: Path) -> None:
    twice = diff("src/one.txt", NUMBERS, changed(5)) + diff("src/one.txt", changed(5), changed(5, 30))
    patches = series(tmp_path / "p", {"twice": twice})
    (only,) = refresh(patches, tree(tmp_path / "go", files={"src/one.txt": LONGER}))
    assert ("more than once: export it" in only.said, only.content) == (True, None)


def test_a_new_patch_in_a_new_series(tmp_path: Path) -> None:
    made = new_patch(tmp_path / "our series", "bigger-stacks", version=GoVersion.parse("1.22.10"))
    assert made == (tmp_path / "our series/bigger-stacks.patch", tmp_path / "our series/series.toml")
    *stock, only = load_folder(tmp_path / "our series").patches
    assert stock == list(load_stock().patches)
    assert (only.name, only.go, only.reason) == ("bigger-stacks", ">=1.22.10,<1.23", "TODO: why bigger-stacks exists")
    assert (tmp_path / "our series/.gitattributes").read_text() == "*.patch -text\n"
    plain = tree(tmp_path / "go")
    (outcome,) = apply(plain.root, (only,)).outcomes
    assert outcome.files == ("misc/gobuild/bigger-stacks.txt",)
    needs("git")
    content = plain.root / outcome.files[0]
    named = subprocess.run(["git", "hash-object", content], capture_output=True, text=True, check=True).stdout
    assert f"..{named[:12]}\n" in made[0].read_text()


def test_a_new_patch_is_its_authors_and_may_stand_alone(tmp_path: Path) -> None:
    made = new_patch(tmp_path / "p", "mine", extends=False, author=("Ann Other", "ann@acme.example"))
    assert made[0].read_text().startswith("From: Ann Other <ann@acme.example>\n")
    assert [each.name for each in load_folder(tmp_path / "p").patches] == ["mine"]


def test_a_commit_without_its_trailer_is_known_by_its_place_and_the_placeholder_goes(tmp_path: Path) -> None:
    """`git commit --amend -m` drops the trailer: the placeholder was built, and the change was in no patch."""
    needs("git")
    series(tmp_path / "p", {"one": diff("src/one.txt", NUMBERS, changed(5))})
    new_patch(tmp_path / "p", "mine")
    patches = load_folder(tmp_path / "p")
    bench(tree(tmp_path / "go"), patches, tmp_path / "to")
    write(tmp_path / "to", {"src/two.txt": changed(1)})
    git(tmp_path / "to", "commit", "--quiet", "--all", "--amend", "-m", "say it louder")
    found = export(tmp_path / "to", patches)
    assert "(say it louder) is taken for the patch mine, in whose place it stands" in found.notes[0]
    assert (list(found.texts), found.unchanged, found.entries) == (["mine.patch"], ["one"], [])
    assert b"stands in for" not in found.texts["mine.patch"]
    assert b" 1 file changed" in found.texts["mine.patch"]
    write_export(found)
    assert export(tmp_path / "to", load_folder(tmp_path / "p")).unchanged == ["one", "mine"]


def test_a_commit_in_the_place_of_a_patch_that_went_is_a_new_one(tmp_path: Path) -> None:
    """It changes none of its files; nor is one taken for it where two stand there."""
    needs("git")
    patches = series(tmp_path / "p", {"one": diff("src/one.txt", NUMBERS, changed(5))})
    bench(tree(tmp_path / "go"), patches, tmp_path / "to")
    git(tmp_path / "to", "reset", "--quiet", "--hard", "base")
    write(tmp_path / "to", {"src/two.txt": changed(1)})
    commit(tmp_path / "to", "another")
    assert list(export(tmp_path / "to", patches).texts) == ["another.patch"]
    write(tmp_path / "to", {"src/one.txt": changed(7)})
    commit(tmp_path / "to", "more")
    assert list(export(tmp_path / "to", patches).texts) == ["another.patch", "more.patch"]


def test_a_new_patch_is_begun_changed_and_exported(tmp_path: Path) -> None:
    needs("git")
    patches = series(tmp_path / "p", {"one": diff("src/one.txt", NUMBERS, changed(5))})
    before = (tmp_path / "p/series.toml").read_text()
    new_patch(tmp_path / "p", "mine")
    text = (tmp_path / "p/series.toml").read_text()
    assert text.startswith(before)
    assert 'go = ">=1.21"\n' in text[len(before) :]
    bench(tree(tmp_path / "go"), load_folder(tmp_path / "p"), tmp_path / "to")
    assert export(tmp_path / "to", patches).unchanged == ["one", "mine"]
    (tmp_path / "to/misc/gobuild/mine.txt").unlink()
    write(tmp_path / "to", {"src/two.txt": changed(1)})
    commit(tmp_path / "to")
    write_export(export(tmp_path / "to", patches))
    assert load_folder(tmp_path / "p").patches[1].operation.content.count(b"\n+") == 2  # "+++ b/..." and the line


def test_names_that_cannot_be_new(tmp_path: Path) -> None:
    series(tmp_path / "p", {"one": diff("src/one.txt", NUMBERS, changed(5))})
    write(tmp_path / "p", {"stray.patch": "somebody's\n"})
    before = snapshot(tmp_path / "p")
    for name, words in (("one", "has a patch 'one' already"), ("stray", "already"), ("../x", "no name"), ("A b", "no")):
        with pytest.raises(ConfigError, match=words):
            new_patch(tmp_path / "p", name)
    write(tmp_path / "p", {"series.toml": "patch = 3\n"})
    with pytest.raises(PatchError):
        new_patch(tmp_path / "p", "two")
    write(tmp_path / "p", {"series.toml": before["series.toml"][0]})
    assert snapshot(tmp_path / "p") == before


def test_a_new_patch_in_a_quilt_series(tmp_path: Path) -> None:
    write(tmp_path / "q", {"series": "one.patch", "one.patch": diff("src/one.txt", NUMBERS, changed(5))})
    new_patch(tmp_path / "q", "two")
    assert (tmp_path / "q/series").read_text() == "one.patch\ntwo.patch\n"
    assert [patch.name for patch in load_folder(tmp_path / "q").patches] == ["one", "two"]
