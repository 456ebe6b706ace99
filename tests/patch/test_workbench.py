"""import and export: a series as git commits and back, by real git on a toy tree."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from patch_fixtures import apply, snapshot, write
from workbench_fixtures import (
    NUMBERS,
    RUNTIME,
    bench,
    changed,
    commit,
    diff,
    export,
    git,
    series,
    tree,
    two,
)

from gobuild.core.errors import ConfigError, PatchError
from gobuild.patch import Series, load_folder
from gobuild.patch.diff.unified import Diff
from gobuild.patch.workbench.export import export_series, write_export


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a workbench goes: a path that wants quoting."""
    return tmp_path / 'a "work" bench\'s $HOME'


@pytest.fixture
def patches(tmp_path: Path, folder: Path) -> Series:
    """A series of two diffs and an edit, opened in the workbench."""
    found = two(tmp_path / "p")
    bench(tree(tmp_path / "go"), found, folder)
    return found


def test_import_then_export_is_the_identity(tmp_path: Path, folder: Path) -> None:
    plain, patches = tree(tmp_path / "go"), two(tmp_path / "our patches")
    before = {name: snapshot(tmp_path / name) for name in ("go", "our patches")}
    done = bench(plain, patches, folder)
    assert [(step.name, step.state) for step in done.steps] == [
        ("first", "applied"),
        ("second", "applied"),
        ("metal", "nothing to do"),
    ]
    assert git(folder, "log", "--format=%an|%ae|%s", "base..HEAD").splitlines() == [
        "Ada Lovelace|ada@example.org|two: change line 20",
        "Ada Lovelace|ada@example.org|one: change line 5",
    ]
    assert git(folder, "log", "-1", "--format=%B").splitlines()[2:] == [
        "Because.",
        "Fixes",
        "#68678 as well.",
        "",
        "Gobuild-Patch: second",
    ]
    assert git(folder, "status", "--porcelain") == ""
    found = export(folder, patches)
    assert (found.texts, found.unchanged) == ({}, ["first", "second"])
    assert (found.entries, found.notes) == ([], [])
    write_export(found)
    assert {name: snapshot(tmp_path / name) for name in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["go", "our patches", folder.name])
    apply(plain.root, patches.patches)
    (plain.root / "VERSION").write_bytes((folder / "VERSION").read_bytes())  # a workbench has no stamp
    there = {name: value for name, value in snapshot(folder).items() if not name.startswith(".git/")}
    assert there == snapshot(plain.root)


def test_the_same_commits_everywhere_whatever_git_is_told(
    tmp_path: Path, folder: Path, patches: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = write(tmp_path, {"hooks/post-commit": f"#!/bin/sh\ntouch '{tmp_path}/ran'\n"}) / "hooks/post-commit"
    hook.chmod(0o755)
    shutil.copy(hook, hook.with_name("pre-rebase"))
    told = f"[core]\nhooksPath={hook.parent}\nautocrlf=true\nattributesFile={tmp_path}/attributes\n"
    told += "[commit]\ngpgSign=true\n[diff]\nnoprefix=true\nmnemonicPrefix=true\ncontext=9\nalgorithm=patience\n"
    told += '[init]\ntemplateDir=/nowhere\n[diff "go"]\ncommand=false\n'
    write(tmp_path, {"config": told, "attributes": "* diff=go\n"})
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "config"),
        "GIT_DIR": "/nowhere",
        "GIT_INDEX_FILE": "/nowhere",
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00",
        "GIT_EXTERNAL_DIFF": "false",
        "TZ": "Asia/Kolkata",
    }.items():
        monkeypatch.setenv(name, value)
    bench(tree(tmp_path / "go"), patches, tmp_path / "two")
    heads = [git(root, "rev-parse", "HEAD", env={"GIT_DIR": str(root / ".git")}) for root in (tmp_path / "two", folder)]
    assert heads[0] == heads[1]
    env = {"GIT_DIR": str(folder / ".git"), "GIT_INDEX_FILE": str(folder / ".git/index")}
    write(folder, {"src/one.txt": changed(5, 6)})
    git(folder, "commit", "--quiet", "--message", "one: more", "src/one.txt", env=env)
    there = export(folder, patches).texts
    for name in ("GIT_CONFIG_GLOBAL", "GIT_DIR", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF"):
        monkeypatch.delenv(name)
    assert there == export(folder, patches).texts
    assert b"\n--- a/src/one.txt\n+++ b/src/one.txt\n@@ -3,7 +3,7 @@" in there["one-more.patch"]
    assert not (tmp_path / "ran").exists()


def test_a_change_is_written_to_the_one_file_it_belongs_to(tmp_path: Path, folder: Path, patches: Series) -> None:
    write(folder, {"src/two.txt": changed(20, 30), "src/new file.txt": "new\n", "src/none.txt": ""})
    commit(folder)
    found = export(folder, patches)
    assert (found.unchanged, list(found.texts)) == (["first"], ["second.patch"])
    old = (tmp_path / "p/second.patch").read_text()
    write_export(found)
    new = (tmp_path / "p/second.patch").read_text()
    assert new.startswith(old.partition("---\n")[0])
    assert " 3 files changed, 3 insertions(+), 2 deletions(-)\n\ndiff --git a/src/new file.txt" in new
    assert "new file mode 100644\nindex 000000000000..3e757656cf36\n" in new
    assert new.endswith("-line 30\n+patched 30\n line 31\n line 32\n line 33\n")
    again = export(folder, patches)
    assert (again.texts, again.unchanged) == ({}, ["first", "second"])
    apply(tmp_path / "go", load_folder(tmp_path / "p").patches)
    assert (tmp_path / "go/src/two.txt").read_text() == changed(20, 30)
    assert (tmp_path / "go/src/new file.txt").read_text() == "new\n"
    assert (tmp_path / "go/src/none.txt").read_text() == ""


def test_other_words_leave_the_diff_as_it_was(tmp_path: Path, folder: Path, patches: Series) -> None:
    git(folder, "commit", "--quiet", "--amend", "--message", "two: said better\n\nGobuild-Patch: second")
    ((name, content),) = export(folder, patches).texts.items()
    old = (tmp_path / "p/second.patch").read_bytes()
    assert name == "second.patch"
    assert content[content.index(b"diff --git") :] == old[old.index(b"diff --git") :]
    head = b"From: Ada Lovelace <ada@example.org>\nSubject: [PATCH] two: said better\n\n---\n src/two.txt | 2 +-\n"
    assert content.startswith(head)


def test_context_that_was_trimmed_stays_so_in_files_that_did_not_change(tmp_path: Path, folder: Path) -> None:
    trimmed = diff("src/one.txt", NUMBERS, changed(5), context=1)
    patches = series(tmp_path / "p", {"both": trimmed + diff("src/two.txt", NUMBERS, changed(9))})
    bench(tree(tmp_path / "go"), patches, folder)
    assert export(folder, patches).unchanged == ["both"]
    write(folder, {"src/two.txt": changed(9, 10)})
    commit(folder)
    (content,) = export(folder, patches).texts.values()
    assert trimmed.encode() in content
    assert b"-line 10\n+patched 9\n+patched 10\n" in content


def test_a_new_scripts_mode_is_part_of_what_a_patch_does(tmp_path: Path, folder: Path) -> None:
    script = "diff --git a/n.sh b/n.sh\nnew file mode 100755\n--- /dev/null\n+++ b/n.sh\n@@ -0,0 +1 @@\n+#!/bin/sh\n"
    patches = series(tmp_path / "p", {"script": script})
    bench(tree(tmp_path / "go"), patches, folder)
    assert export(folder, patches).unchanged == ["script"]
    (folder / "n.sh").chmod(0o644)
    commit(folder)
    (content,) = export(folder, patches).texts.values()
    assert b"\nnew file mode 100644\n" in content


def test_a_new_commit_gets_a_name_a_file_and_an_entry(tmp_path: Path, folder: Path, patches: Series) -> None:
    write(folder, {"go.env": "GOTOOLCHAIN=local\r\n$Id$\n"})
    commit(folder, 'cmd/go: ne "bouge" pas, s\'il te plaît\n\nBody.')
    found = export(folder, patches)
    ((name, content),) = found.texts.items()
    assert name == "cmd-go-ne-bouge-pas-s-il-te-plait.patch"
    assert b"-GOTOOLCHAIN=auto\r\n+GOTOOLCHAIN=local\r\n" in content
    assert 'go = ">=1.22.10,<1.23"  # made on 1.22.10' in found.entries[0]
    before = (tmp_path / "p/series.toml").read_text()
    write_export(found, add=True)
    assert (tmp_path / "p/series.toml").read_text().startswith(before)
    (*_, new) = load_folder(tmp_path / "p").patches
    assert (f"{new.name}.patch", new.reason) == (name, 'cmd/go: ne "bouge" pas, s\'il te plaît')
    again = export(folder, patches)
    assert (again.texts, again.entries, again.unchanged[-1]) == ({}, [], new.name)
    apply(tmp_path / "go", load_folder(tmp_path / "p").patches)
    assert (tmp_path / "go/go.env").read_bytes() == b"GOTOOLCHAIN=local\r\n$Id$\n"


def test_a_new_commit_takes_nobodys_name(tmp_path: Path, folder: Path, patches: Series) -> None:
    write(folder, {"src/one.txt": changed(5, 30)})
    commit(folder, "First!")
    write(tmp_path / "p", {"first-2.patch": "somebody's notes\n"})
    found = export(folder, patches)
    assert list(found.texts) == ["first-3.patch"]
    assert found.unchanged == ["first", "second"]


def test_what_is_dropped_is_said_and_stays(tmp_path: Path, folder: Path, patches: Series) -> None:
    git(folder, "reset", "--quiet", "--hard", "HEAD^")
    before = snapshot(tmp_path / "p")
    found = export(folder, patches)
    assert (found.unchanged, found.texts) == (["first"], {})
    assert found.notes[0].startswith("no commit is the patch second any more: its file and its entry stay")
    write_export(found)
    assert snapshot(tmp_path / "p") == before


def test_another_order_is_said(tmp_path: Path, folder: Path, patches: Series) -> None:
    first, second = git(folder, "rev-list", "--reverse", "base..HEAD").split()
    git(folder, "reset", "--quiet", "--hard", "base")
    git(folder, "cherry-pick", second, first)
    found = export(folder, patches)
    assert found.unchanged == ["second", "first"]
    assert "the commits stand in the order second, first, the series in the order first, second" in found.notes[0]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("both\n\nGobuild-Patch: first\nGobuild-Patch: second", r"is two patches: first and second"),
        ("more\n\nGobuild-Patch: first", r"are both the patch first"),
        ("more\n\nGobuild-Patch: ../first", r"names the patch '../first'"),
        ("more\n\nGobuild-Patch: third\n\n--- a/x\n+++ b/x\n@@", r"cannot be a patch"),
        ("more\n\nGobuild-Patch: third\n\ndiff --git a/x b/x", r"would be read back as another one"),
    ],
)
def test_a_message_that_cannot_be_a_patchs(
    tmp_path: Path, folder: Path, patches: Series, message: str, words: str
) -> None:
    write(folder, {"src/one.txt": changed(5, 30)})
    commit(folder, message)
    with pytest.raises(PatchError, match=words):
        export(folder, patches)


def test_what_no_patch_can_do_is_refused(tmp_path: Path, folder: Path, patches: Series) -> None:
    before = git(folder, "rev-parse", "HEAD")

    def link() -> None:
        (folder / "link").symlink_to("/etc/passwd")

    for make, words in (
        (link, "makes link a file of mode 120000"),
        (lambda: write(folder, {'src/a "quoted" name': "x\n"}), "has a file that no patch can name"),
    ):
        make()
        commit(folder, "cannot be")
        with pytest.raises(PatchError, match=words):
            export(folder, patches)
        git(folder, "reset", "--quiet", "--hard", before)
    git(folder, "checkout", "--quiet", "-b", "side", "HEAD^")
    write(folder, {"src/new": "x\n"})
    commit(folder, "side")
    git(folder, "checkout", "--quiet", "patches")
    git(folder, "merge", "--quiet", "--no-edit", "side")
    with pytest.raises(PatchError, match="is a merge"):
        export(folder, patches)


def test_what_is_more_than_lines_survives_export_and_import(tmp_path: Path, folder: Path, patches: Series) -> None:
    """Binary files of a megabyte, modes, bytes that are no UTF-8, renames: by the commits of a second workbench."""
    syso = random.Random(21).randbytes(1 << 20)
    for number, made in enumerate(
        (
            {"src/race.syso": syso, "src/latin": b"\xe9t\xe9\n", "src/\xfcber.txt": b"x\n"},
            {"src/race.syso": syso[:500_000] + b"new" + syso[500_000:], "src/latin": b"\xe9\n"},
            {"src/race.syso": b"\0"},
        )
    ):
        write(folder, made)
        (folder / "src/one.txt").chmod(0o755 if number else 0o644)
        commit(folder, f"step {number}")
    git(folder, "mv", "src/race.syso", "src/raced.syso")
    (folder / "src/two.txt").unlink()
    commit(folder, "gone")
    assert git(folder, "status", "--porcelain") == ""
    write_export(export(folder, patches), add=True)
    files = [
        patch.operation.files for patch in load_folder(patches.folder).patches if isinstance(patch.operation, Diff)
    ]
    assert [len(each) for each in files] == [1, 1, 3, 3, 1, 3]
    done = bench(tree(tmp_path / "go2"), load_folder(patches.folder), tmp_path / "again")
    assert {step.state for step in done.steps if step.name != "metal"} == {"applied"}
    assert git(tmp_path / "again", "rev-parse", "HEAD^{tree}") == git(folder, "rev-parse", "HEAD^{tree}")
    assert export(tmp_path / "again", patches).texts == {}


def test_what_is_not_committed_is_not_lost(tmp_path: Path, folder: Path, patches: Series) -> None:
    write(folder, {"src/untracked.txt": "x\n"})
    assert export(folder, patches).notes == ["not in any commit, and so in no patch: src/untracked.txt"]
    write(folder, {"src/one.txt": changed(5, 6)})
    with pytest.raises(PatchError, match=r"not committed: src/one\.txt"):
        export(folder, patches)


def test_an_edit_is_a_commit_and_stays_an_entry(tmp_path: Path, folder: Path) -> None:
    plain = tree(tmp_path / "go", files={"src/runtime/mfinal.go": RUNTIME})
    patches = two(tmp_path / "p")
    done = bench(plain, patches, folder)
    assert [step.state for step in done.steps] == ["applied"] * 3
    assert "Gobuild-Patch: metal\nGobuild-Kind: edit" in git(folder, "log", "-1", "--format=%B")
    assert "metalInitOnce" not in (folder / "src/runtime/mfinal.go").read_text()
    assert export(folder, patches).unchanged == ["first", "second", "metal"]
    write(folder, {"src/runtime/mfinal.go": "package runtime\n\n// Mine.\nfunc runfinq() {\n}\n"})
    commit(folder)
    found = export(folder, patches)
    assert (found.unchanged, found.texts) == (["first", "second"], {})
    assert "metal, a structural edit, is not what its entry in series.toml does" in found.notes[0]


def test_folders_that_are_no_workbench(tmp_path: Path, folder: Path) -> None:
    plain, patches = tree(tmp_path / "go"), two(tmp_path / "p")
    folder.mkdir()
    (folder / "mine").write_text("x")
    with pytest.raises(ConfigError, match="is there already"):
        bench(plain, patches, folder)
    with pytest.raises(PatchError, match="is no workbench"):
        export(folder, patches)
    (folder / "mine").unlink()
    with pytest.raises(ConfigError, match="is the version itself"):
        bench(plain, patches, folder, plain)
    bench(plain, patches, folder)
    write(folder, {".git/gobuild.json": '{"schema": 2}'})
    with pytest.raises(PatchError, match="has schema 2"):
        export(folder, patches)


def test_a_series_of_ones_own_from_nothing(tmp_path: Path, folder: Path) -> None:
    """The plain source, a commit, and an export to a folder that is new."""
    bench(tree(tmp_path / "go"), Series(folder=Path("none"), patches=()), folder)
    write(folder, {"src/one.txt": changed(1)})
    commit(folder, "one: begin")
    write_export(export_series(folder, Series(folder=tmp_path / "ours", patches=())), add=True)
    (only,) = load_folder(tmp_path / "ours").patches
    assert (only.name, only.file) == ("one-begin", "one-begin.patch")
    assert (tmp_path / "ours/.gitattributes").read_text() == "*.patch -text\n"


def test_a_quilt_series(tmp_path: Path, folder: Path) -> None:
    plain = tree(tmp_path / "go")
    zero = diff("src/two.txt", NUMBERS, changed(9)).replace("a/src", "src").replace("b/src", "src")
    zero = zero[zero.index("--- ") :]
    one = diff("src/one.txt", NUMBERS, changed(5))
    write(tmp_path / "q", {"series": "one.patch\nzero.patch -p0\n", "one.patch": one, "zero.patch": zero})
    patches = load_folder(tmp_path / "q")
    bench(plain, patches, folder)
    assert export(folder, patches).unchanged == ["one", "zero"]
    write(folder, {"src/two.txt": changed(9, 10)})
    commit(folder)
    with pytest.raises(PatchError, match="is a -p0 patch"):
        export(folder, patches)
    git(folder, "reset", "--quiet", "--hard", "HEAD^")
    write(folder, {"src/three.txt": "three\n"})
    commit(folder, "a third")
    write_export(export(folder, patches), add=True)
    assert (tmp_path / "q/series").read_text() == "one.patch\nzero.patch -p0\na-third.patch\n"
    assert [patch.name for patch in load_folder(tmp_path / "q").patches] == ["one", "zero", "a-third"]


def test_without_git(tmp_path: Path) -> None:
    tree(tmp_path / "go")
    two(tmp_path / "p")
    code = (
        "from pathlib import Path\n"
        "from gobuild.core.errors import ToolMissing; from gobuild.core.model import GoVersion, Target\n"
        "from gobuild.patch import load_folder\n"
        "from gobuild.patch.workbench.import_series import PlainSource, import_series\n"
        "plain = PlainSource(version=GoVersion.parse('1.22.10'), root=Path('go'))\n"
        "target = Target.parse('darwin/arm64')\n"
        "try: import_series(load_folder(Path('p')), plain, Path('to'), target=target, profile='static')\n"
        "except ToolMissing as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("error: cannot run git"), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["go", "p"]
