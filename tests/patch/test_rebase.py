"""The three-way merge: a conflict that opens a rebase; and the stock series on real Go, there and back (slow)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from patch_fixtures import MAC, apply, snapshot, write
from workbench_fixtures import NUMBERS, bench, changed, export, git, tree, two

from gobuild import patch as patching
from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.patch import Series, load_folder
from gobuild.patch.workbench.export import export_series, write_export
from gobuild.patch.workbench.import_series import PlainSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a workbench goes: a path that wants quoting."""
    return tmp_path / 'a "work" bench\'s $HOME'


NEWER = NUMBERS.replace("line 4\n", "line 4, worded anew\n").replace("line 5\n", "line five\n")


def conflicting(tmp_path: Path, folder: Path) -> tuple[Series, PlainSource]:
    """A workbench that stands at a conflict in the first of three patches."""
    plain = tree(tmp_path / "new go", "1.23.9", {"src/one.txt": NEWER, "src/more.txt": "m\n"})
    known = tree(tmp_path / "go")
    patches = two(tmp_path / "p")
    done = bench(plain, patches, folder, known)
    assert [step.state for step in done.steps] == ["conflict", "waiting", "nothing to do"]
    assert (done.stopped, done.conflicts) == ("first", ("src/one.txt",))
    return patches, plain


def test_a_conflict_opens_a_rebase(tmp_path: Path, folder: Path) -> None:
    patches, plain = conflicting(tmp_path, folder)
    said = git(folder, "status")
    assert "interactive rebase in progress" in said
    assert "both modified:   src/one.txt" in said
    marked = (folder / "src/one.txt").read_text()
    assert "<<<<<<< " in marked
    assert "\nline five\n" in marked
    assert "\n=======\nline 4\npatched 5\n>>>>>>> " in marked
    with pytest.raises(PatchError, match="a rebase is under way"):
        export(folder, patches)
    solved = NEWER.replace("line five\n", "patched five\n")
    write(folder, {"src/one.txt": solved})
    git(folder, "add", "src/one.txt")
    git(folder, "rebase", "--continue")
    assert git(folder, "log", "--format=%an|%s", "base..HEAD").splitlines() == [
        "Ada Lovelace|two: change line 20",
        "Ada Lovelace|one: change line 5",
    ]
    assert (folder / "src/more.txt").is_file()
    found = export(folder, patches)
    assert (found.unchanged, list(found.texts), len(found.notes)) == (["second"], ["first.patch"], 1)
    assert "made on 1.23.9 now, and its entry is for go '>=1.21'" in found.notes[0]
    beside = export_series(folder, patches, variant=True)
    assert list(beside.texts) == ["first-1.23.9.patch"]
    assert 'name = "first"\ngo = ">=1.23.9,<1.24"' in beside.entries[0]
    assert "narrow the entry of first for go '>=1.21'" in beside.notes[0]
    write_export(found)
    assert "\nFixes\n#68678 as well.\n---\n" in (tmp_path / "p/first.patch").read_text()
    apply(plain.root, load_folder(tmp_path / "p").patches, "go1.23.9-t1")
    assert (plain.root / "src/one.txt").read_text() == solved
    assert (plain.root / "src/two.txt").read_text() == changed(20)


def test_a_rebase_that_was_given_up_drops_nothing_silently(tmp_path: Path, folder: Path) -> None:
    patches, _ = conflicting(tmp_path, folder)
    git(folder, "rebase", "--abort")
    assert [note[:33] for note in export(folder, patches).notes] == [
        "no commit is the patch first any ",
        "no commit is the patch second any",
    ]


def test_what_git_merges_is_told_from_what_applies(tmp_path: Path, folder: Path) -> None:
    near = NUMBERS.replace("line 2\n", "line two\n")  # within the context, beside the change
    plain = tree(tmp_path / "new", "1.23.9", {"src/one.txt": near})
    patches = two(tmp_path / "p")
    with pytest.raises(PatchError, match=r"(?s)first does not apply to 1\.23\.9: .*hunk 1.*--from VERSION"):
        bench(plain, patches, folder)
    assert not folder.exists()
    done = bench(plain, patches, folder, tree(tmp_path / "go"))
    assert [(step.name, step.state) for step in done.steps] == [
        ("first", "merged"),
        ("second", "merged"),
        ("metal", "nothing to do"),
    ]
    assert (folder / "src/one.txt").read_text() == changed(5, text=near)
    found = export(folder, patches)
    assert (list(found.texts), found.unchanged) == (["first.patch"], ["second"])
    assert b" line two\n" in found.texts["first.patch"]


def test_a_patch_that_applies_to_neither_version(tmp_path: Path, folder: Path) -> None:
    plain = tree(tmp_path / "new", "1.23.9", {"src/one.txt": "other\n"})
    known = tree(tmp_path / "go", files={"src/one.txt": "another\n"})
    before = snapshot(tmp_path)
    patches = two(tmp_path / "p")
    with pytest.raises(PatchError, match=r"first applies neither to 1\.23\.9 nor to 1\.22\.10"):
        bench(plain, patches, folder, known)
    assert {name for name in snapshot(tmp_path) if not name.startswith("p/")} == set(before)


def source_of(goroot: Path, into: Path) -> Path:
    """The source of a GOROOT from a wheel, by hard links; nothing here changes a file in place."""

    def made(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder) == goroot and name in ("bin", "pkg", "__init__.py")]

    return Path(shutil.copytree(goroot, into, ignore=made, copy_function=os.link))


def stock(folder: Path) -> Series:
    """A copy of the stock series."""
    shutil.copytree(patching.load_series("stock").folder, folder)
    return load_folder(folder)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.21.13", "1.22.10", "1.23.2", "1.23.9", "1.27.3"])
def test_the_stock_series_and_back(
    tmp_path: Path, folder: Path, version: str, get_goroot: Callable[[str, Target], Path]
) -> None:
    root = source_of(get_goroot(version, Target.host()), tmp_path / "go")
    patches = stock(tmp_path / "p")
    before = snapshot(tmp_path / "p")
    done = bench(PlainSource(version=GoVersion.parse(version), root=root), patches, folder)
    made = [step.name for step in done.steps if step.state == "applied"]
    assert {"runtime-gpu-guard", "goenv-local"} <= set(made)
    found = export(folder, patches)
    assert (found.texts, found.unchanged, found.notes) == ({}, made, [])
    write_export(found)
    assert snapshot(tmp_path / "p") == before


@pytest.mark.slow
def test_a_real_conflict(tmp_path: Path, folder: Path, go_wheel: Path) -> None:
    """Somebody's next release of Go changes a line that link-uuid stands on."""
    known = PlainSource(version=GoVersion.parse("1.22.10"), root=source_of(go_wheel, tmp_path / "go"))
    root = source_of(go_wheel, tmp_path / "next")
    file = root / "src/cmd/link/internal/ld/main.go"
    text = file.read_text()
    file.unlink()  # a hard link
    assert text.count('if *flagHostBuildid != "" {') == 1
    file.write_text(text.replace('if *flagHostBuildid != "" {', "if len(*flagHostBuildid) > 0 {"))
    patches = stock(tmp_path / "p")
    done = bench(PlainSource(version=GoVersion.parse("1.22.99"), root=root), patches, folder, known)
    assert (done.stopped, done.conflicts) == ("link-uuid", ("src/cmd/link/internal/ld/main.go",))
    marked = (folder / "src/cmd/link/internal/ld/main.go").read_text()
    start, end = marked.index("<<<<<<<"), marked.index("\n", marked.index(">>>>>>>")) + 1
    both = '\tif *flagHostBuildid == "" && *flagBuildid != "" && ctxt.IsDarwin() {\n'
    both += '\t\t*flagHostBuildid = "gobuildid"\n\t}\n\tif len(*flagHostBuildid) > 0 {\n'
    write(folder, {"src/cmd/link/internal/ld/main.go": marked[:start] + both + marked[end:]})
    git(folder, "add", "src/cmd/link/internal/ld/main.go")
    git(folder, "rebase", "--continue")
    found = export(folder, patches)
    assert (list(found.texts), found.entries, len(found.notes)) == (["link-uuid-1.22.9.patch"], [], 1)
    write_export(found)
    again = load_folder(tmp_path / "p").candidates(GoVersion.parse("1.22.99"), MAC, "static")
    apply(root, again, "go1.22.99-t1")
    assert 'ctxt.IsDarwin() {\n\t\t*flagHostBuildid = "gobuildid"\n\t}\n\tif len(' in file.read_text()
