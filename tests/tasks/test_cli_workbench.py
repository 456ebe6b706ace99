"""The tasks import, export, refresh and new, as a person calls them, on a source folder of this machine."""

import io
from pathlib import Path

import pytest
from inside import gobuild
from needs import needs
from patch_fixtures import snapshot, write
from workbench_fixtures import NUMBERS, changed, commit, diff, tree, two

from gobuild.core import resources
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, PatchError
from gobuild.patch.workbench.import_series import Imported, ImportStep
from gobuild.tasks import patches


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", str(tmp_path / "cache"))
    tree(tmp_path / "go", files={"src/make.bash": "#!/bin/sh\n", "LICENSE": "x\n", "PATENTS": "x\n"})
    two(tmp_path / "p", "")
    return tmp_path


def call(project: Path, *words: str, code: int = 0) -> str:
    done = gobuild(project, *words)
    assert done.code == code, done.out + done.err
    return done.out + done.err


def test_the_way_round(project: Path) -> None:
    needs("git")
    said = call(project, "patches.import", "--go=1.22.10", "--source=go", "--series=p", "--to", "work bench")
    assert "first" in said
    assert "git log base..HEAD" in said
    assert "2 unchanged: first, second" in call(project, "patches.export", "--from", "work bench")
    write(project / "work bench", {"src/one.txt": changed(5, 6)})
    commit(project / "work bench")
    assert f"wrote {project}/p/second.patch" in call(project, "patches.export", "--from", "work bench")
    assert "+patched 6" in (project / "p/second.patch").read_text()


def test_refresh_and_new(project: Path) -> None:
    write(project / "go", {"src/one.txt": "more\n" + NUMBERS})
    said = call(project, "patches.refresh", "--go=1.22.10", "--source=go", "--series=p")
    assert "re-anchored in src/one.txt" in said
    assert "applies where it says" in said
    assert "@@ -3,7 +3,7 @@" in (project / "p/first.patch").read_text()
    assert "wrote " in call(project, "patches.new", "third", "--series=p")
    assert 'name = "third"' in (project / "p/series.toml").read_text()


def test_words_that_cannot_be_used(project: Path) -> None:
    before = snapshot(project / "p")
    for code, words, said in (
        (2, ("patches.import", "--series=p"), "import needs a folder"),
        (2, ("patches.export",), "export needs a workbench"),
        (6, ("patches.export", "--from=go"), "is no workbench"),
        (2, ("patches.new", "mine"), "a new patch needs a series of yours"),
        (2, ("patches.new", "first", "--series=p"), "has a patch 'first' already"),
        (6, ("patches.refresh", "--go=1.22.10", "--source=go", "--series=nowhere"), "no series at"),
    ):
        assert said in call(project, *words, code=code)
    assert snapshot(project / "p") == before


def test_the_stock_series_is_changed_only_by_its_path() -> None:
    stock = resources.folder("patches")
    patches._require_own(stock, named=True)
    with pytest.raises(ConfigError, match="the stock series"):
        patches._require_own(stock, named=False)


def test_a_conflict(project: Path) -> None:
    needs("git")
    write(project / "p", {"first.patch": diff("src/one.txt", changed(4), changed(4, 5))})
    words = ("patches.import", "--go=1.22.10", "--source=go", "--series=p", "--to=bench")
    assert "--from VERSION" in call(project, *words, code=6)
    assert not (project / "bench").exists()
    other = call(project, "patches.refresh", "--go=1.22.10", "--source=go", "--series=p", code=6)
    assert "the patch first" in other


def test_an_import_that_stopped_ends_with_code_6_and_what_to_do(tmp_path: Path) -> None:
    steps = (ImportStep(name="first", state="conflict", evidence="e"),)
    stopped = Imported(folder=tmp_path, steps=steps, stopped="first", conflicts=("src/one.txt",))
    console = Console(stream=io.StringIO())
    with pytest.raises(PatchError, match=r"in conflict: src/one\.txt\n.*git rebase --continue; then patches\.export"):
        patches._show_import(console, stopped)
    assert "conflict" in console.stream.getvalue()  # type: ignore[attr-defined]
