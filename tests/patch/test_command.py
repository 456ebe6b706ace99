"""add-command on small trees: the lists of 1.25 to 1.27, none before, and what it must not write over."""

from pathlib import Path

import pytest
from patch_fixtures import write

from gobuild import patch
from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.edits.add_command import AddCommand
from gobuild.patch.tree import Tree

OLD = {
    "src/cmd/dist/build.go": "package main\n",
    "src/cmd/distpack/pack.go": 'package main\n\ncase "api", "dist", "distpack", "metadata":\n',
}
NEW = {
    "src/cmd/dist/build.go": "\ttoolsToInstall = slices.Concat(binExesIncludedInDistpack, toolsIncludedInDistpack)\n",
    "src/cmd/distpack/pack.go": "\t\t\t// Keep in sync with toolsIncludedInDistpack in cmd/dist/build.go.\n"
    '\t\t\tcase "asm", "cgo", "compile", "cover", "fix", "link", "preprofile", "vet":\n',
}
ADD = AddCommand(name="extra", sources=(("main.go", b"package main\n"), ("other.go", b"package main\n")))
ADDED = ("src/cmd/extra/main.go", "src/cmd/extra/other.go")


def tree(folder: Path, files: dict[str, str]) -> Tree:
    write(folder, files)
    return Tree(folder)


def test_before_1_25_the_source_is_enough(tmp_path: Path) -> None:
    there = tree(tmp_path, OLD)
    change = ADD.apply(there)
    assert (change.state, change.files) == (State.APPLIED, ADDED)
    assert change.evidence == "2 files in src/cmd/extra"
    there.commit()
    assert {name: (tmp_path / name).read_text() for name in OLD} == OLD
    assert ADD.apply(tree(tmp_path, {})).state is State.ALREADY_UPSTREAM


def test_from_1_25_on_it_stands_in_both_lists_once(tmp_path: Path) -> None:
    there = tree(tmp_path, NEW)
    change = ADD.apply(there)
    assert change.files == (*NEW, *ADDED)
    assert change.evidence.endswith("and in 2 lists of the tools that ship")
    there.commit()
    assert 'toolsIncludedInDistpack, []string{"cmd/extra"})\n' in (tmp_path / "src/cmd/dist/build.go").read_text()
    assert '"preprofile", "vet", "extra":\n' in (tmp_path / "src/cmd/distpack/pack.go").read_text()
    assert ADD.apply(tree(tmp_path, {})).state is State.ALREADY_UPSTREAM


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"src/cmd/extra/main.go": "package theirs\n"}, "src/cmd/extra/main.go is there already"),
        ({"src/cmd/extra/theirs.go": "package main\n"}, "src/cmd/extra is there already, with src/cmd/extra/theirs.go"),
        ({"src/cmd/dist/build.go": "toolsToInstall = other()\n"}, "src/cmd/dist/build.go lists the tools"),
        ({"src/cmd/distpack/pack.go": "// toolsIncludedInDistpack\n"}, "src/cmd/distpack/pack.go lists the tools"),
    ],
)
def test_what_it_does_not_know_stays_as_it_is(tmp_path: Path, change: dict[str, str], said: str) -> None:
    with pytest.raises(PatchError, match=said):
        ADD.apply(tree(tmp_path, NEW | change))
    with pytest.raises(PatchError, match=r"there is no src/cmd/dist/build\.go"):
        ADD.apply(tree(tmp_path / "empty", {"VERSION": "x"}))


def test_its_digest_is_of_every_source() -> None:
    other = AddCommand(name="extra", sources=(ADD.sources[0], ("other.go", b"package other\n")))
    assert ADD.content != other.content
    (stock,) = (each for each in patch.load_series("stock").patches if each.name == "gowrap")
    assert isinstance(stock.operation, AddCommand)
    assert [name for name, _ in stock.operation.sources] == [
        *("main.go", "options.go", "system.go", "system_darwin.go", "system_linux.go"),
    ]
