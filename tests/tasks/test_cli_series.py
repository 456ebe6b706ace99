"""A folder of patches, by the tasks that a person calls: its states, what a build would do with it, and its import."""

from pathlib import Path

import pytest
from inside import gobuild
from needs import needs
from patch_fixtures import entry, write
from workbench_fixtures import NUMBERS, changed, diff, tree

SOURCE = ("--go=1.22.10", "--source=go")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source of 1.22.10, and a folder of four patches, of which two cannot be read and one conflicts."""
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", str(tmp_path / "cache"))
    tree(tmp_path / "go", files={"src/make.bash": "#!/bin/sh\n", "LICENSE": "x\n", "PATENTS": "x\n"})
    write(
        tmp_path / "p",
        {
            "0001-one.patch": diff("src/one.txt", NUMBERS, changed(4)),
            "0002-two.patch": "no diff\n",
            "0003-three.patch": diff("src/one.txt", NUMBERS, changed(5)).replace("line 4", "lost 4"),
            "0004-four.patch": "",
        },
    )
    return tmp_path


def call(project: Path, *words: str, code: int = 0) -> str:
    done = gobuild(project, *words)
    assert done.code == code, done.out + done.err
    return " ".join((done.out + done.err).split())


def test_all_states_are_shown_at_once(project: Path) -> None:
    said = call(project, "patches.status", "--series=p", *SOURCE, code=6)
    for words in (
        "0002-two: 0002-two.patch holds no unified diff",
        "0004-four: 0004-four.patch is empty",
        "src/one.txt was changed before it by 0001-one; without it this patch would not apply either",
        "error: 2 unreadable: 0002-two, 0004-four; 1 conflict: 0003-three on 1.22.10",
        "patches.adopt makes a series of what git can read; invoke patches.import opens the conflict in git",
    ):
        assert words in said
    assert "series.toml" not in said


def test_a_build_does_not_begin(project: Path) -> None:
    said = call(project, "plan", "--series=p", *SOURCE, code=6)
    assert "2 patches of the series p cannot be read: p: 0002-two.patch holds no unified diff" in said
    assert "p: 0004-four.patch is empty" in said


def test_plan_says_what_will_build_it(project: Path) -> None:
    good = project / "good"
    write(good, {"one.patch": diff("src/one.txt", NUMBERS, changed(4))})
    words = ("--extends=stock", "--without=goenv-local,link-uuid", *SOURCE)
    said = call(project, "plan", "--series=good", *words)
    for said_so in (
        "mfinal-metal-init, runtime-gpu-guard, scanner-version, one",
        "the stock patches come first",
        "left out of the stock series: goenv-local, link-uuid",
        "make.bash for",
        "make.bash: a source of your own may have another compiler than upstream's",
    ):
        assert said_so in said.replace("│ │ ", "").replace(" │", "")
    alone = call(project, "plan", "--series=good", *SOURCE).replace("│ │ ", "").replace(" │", "")
    assert "does not extend the stock one: without mfinal-metal-init, runtime-gpu-guard, link-uuid" in alone
    assert "(--extends stock)" in alone
    begun = {"two.patch": diff("src/two.txt", NUMBERS, changed(4)), "series.toml": entry("two", reason="TODO: why")}
    write(project / "begun", begun)
    said = call(project, "plan", "--series=begun", *SOURCE).replace("│ │ ", "").replace(" │", "")
    assert "nobody has said yet why there is two: its reason, which publish asks for" in said
    write(good, {"series.toml": 'list = "folder"\nbuild.environment = { GOROOT_OVERRIDE = "1" }\n'})
    assert "the builder is given GOROOT_OVERRIDE=1" in call(project, "plan", "--series=good", *SOURCE)


def test_an_import_of_nothing_shows_no_table(project: Path) -> None:
    needs("git")
    said = call(project, "patches.import", "--series=none", "--to=w", *SOURCE)
    assert "evidence" not in said
    assert "has the plain source; then patches.export --from" in said
