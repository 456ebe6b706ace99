"""Proving a patch: what counts as passed, what is built again, and that the stock patches' tests are in order.

The go command is a toy here, a shell script; tests/patch/test_versions.py has the real one.
"""

import re
from pathlib import Path

import pytest
from patch_fixtures import HOOK, series_of, snapshot, write

from gobuild import patch
from gobuild.core.errors import PatchError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.patch import Patch
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.proof import SHARED, prove, rebuilt

TOOLS = f"pkg/tool/{Target.host().underscored}"

TOY_GO = """#!/bin/sh
case $1 in
build)
	[ ! -f "$GOROOT/broken" ] || { echo "link.go:1: undefined: x"; exit 1; }
	out=$3; shift 3
	for one; do echo "built" >"$out${one#cmd/}"; done;;
test)
	echo "link: $(cat "$GOROOT/TOOLS/link"), go.mod: $(head -n 1 go.mod), $(ls)"
	cat "$GOROOT/says"; [ ! -f "$GOROOT/fails" ];;
esac
""".replace("TOOLS", TOOLS)

PASSES = "=== RUN   TestX\n--- PASS: TestX (0.00s)\nPASS\nok  \tproof\t0.001s\n"


def diff(*paths: str) -> str:
    return "".join(f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-old\n+new\n" for path in paths)


def one(folder: Path, *paths: str, test: str = "tests/x_test.go") -> Patch:
    """A patch that changes these files, with a test."""
    write(folder, {"p1.patch": diff(*paths), "tests/x_test.go": "package proof\n"})
    series_of(folder, diff(*paths))
    manifest = (folder / "series.toml").read_text()
    write(folder, {"series.toml": manifest + (f'test = "{test}"\n' if test else "")})
    return patch.load_folder(folder).patches[0]


def toy(root: Path, says: str = PASSES, **files: str) -> Path:
    write(root, {"bin/go": TOY_GO, f"{TOOLS}/link": "upstream\n", "says": says, **files})
    (root / "bin/go").chmod(0o755)
    return root


def test_a_test_that_passes_is_a_proof(tmp_path: Path) -> None:
    root = toy(tmp_path / "go")
    before = snapshot(root)
    proof = prove(root, one(tmp_path / "s", "src/runtime/x.go"), scratch=tmp_path / "sc", run=run)
    assert proof.passed
    assert proof.name == "p1"
    assert "link: upstream, go.mod: module proof, go.mod\nx_test.go" in proof.output
    assert snapshot(root) == before
    assert list((tmp_path / "sc").iterdir()) == []


@pytest.mark.parametrize(
    "says",
    [
        "testing: warning: no tests to run\nPASS\nok  \tproof\t0.001s [no tests to run]\n",
        "=== RUN   TestX\n--- SKIP: TestX (0.00s)\nPASS\nok  \tproof\t0.001s\n",
        PASSES + "--- SKIP: TestY (0.00s)\n",
        "=== RUN   TestX\n    --- SKIP: TestX/a (0.00s)\n--- PASS: TestX (0.00s)\nPASS\n",
        "",
    ],
)
def test_one_that_did_not_run_is_none(tmp_path: Path, says: str) -> None:
    proof = prove(toy(tmp_path / "go", says), one(tmp_path / "s", "go.env"), scratch=tmp_path / "sc", run=run)
    assert not proof.passed
    assert says.strip() in proof.output


def test_one_that_fails_is_none(tmp_path: Path) -> None:
    root = toy(tmp_path / "go", PASSES, fails="")
    assert not prove(root, one(tmp_path / "s", "go.env"), scratch=tmp_path / "sc", run=run).passed


def test_a_changed_tool_is_built_first_and_the_tree_stays_as_it_was(tmp_path: Path) -> None:
    root = toy(tmp_path / "a 'go' root")
    before = snapshot(root)
    proof = prove(root, one(tmp_path / "s", "src/cmd/link/x.go"), scratch=tmp_path / "s c", run=run)
    assert proof.passed
    assert "link: built" in proof.output
    assert snapshot(root) == before
    assert list((tmp_path / "s c").iterdir()) == []


def test_a_tool_that_cannot_be_built_is_no_proof(tmp_path: Path) -> None:
    root = toy(tmp_path / "go", broken="")
    proof = prove(root, one(tmp_path / "s", "src/cmd/link/x.go"), scratch=tmp_path / "sc", run=run)
    assert not proof.passed
    assert proof.output == "link.go:1: undefined: x"


@pytest.mark.parametrize(
    ("paths", "programs"),
    [
        (["src/runtime/x.go", "go.env"], ()),
        (["src/cmd/link/internal/ld/x.go"], ("link",)),
        (["src/cmd/link/x.go", "src/cmd/go/internal/toolchain/x.go"], ("go", "link")),
        (["src/cmd/link/x_test.go", "src/cmd/go.mod"], ()),
        (["src/cmd/internal/obj/x.go"], tuple(sorted(SHARED))),
    ],
)
def test_what_is_built_again(tmp_path: Path, paths: list[str], programs: tuple[str, ...]) -> None:
    assert rebuilt(one(tmp_path / "s", *paths)) == programs


def test_an_edit_of_a_command_is_built_again_too(tmp_path: Path) -> None:
    for folder, programs in (("src/runtime", ()), ("src/cmd/go", ("go",)), ("src/cmd/link/internal/ld", ("link",))):
        series = patch.load_folder(write(tmp_path, {"series.toml": HOOK.replace("src/runtime", folder)}))
        assert rebuilt(series.patches[0]) == programs


def test_without_a_test_or_a_go_command_there_is_no_proof(tmp_path: Path) -> None:
    root = toy(tmp_path / "go")
    with pytest.raises(PatchError, match="p1 names no test"):
        prove(root, one(tmp_path / "s", "go.env", test=""), scratch=tmp_path / "sc", run=run)
    told = one(tmp_path / "s2", "go.env")
    (tmp_path / "s2/tests/x_test.go").unlink()
    with pytest.raises(PatchError, match=r"x_test\.go: No such file"):
        prove(root, told, scratch=tmp_path / "sc", run=run)
    (root / "bin/go").unlink()
    with pytest.raises(ToolMissing, match="no go command"):
        prove(root, one(tmp_path / "s3", "go.env"), scratch=tmp_path / "sc", run=run)


def test_every_stock_patch_has_a_test_and_its_variants_share_it(go_wheel: Path) -> None:
    tests: dict[str, set[Path | None]] = {}
    for each in patch.load_series("stock").patches:
        tests.setdefault(each.name, set()).add(each.test_file)
    files = [file for variants in tests.values() for file in variants if file]
    assert len(files) == len(tests) == len(set(files))
    assert {file.name for file in files} == {file.name for file in files[0].parent.iterdir()}
    found = run([go_wheel / "bin/gofmt", "-l", *files], env={"HOME": "/nonexistent"}, cwd=go_wheel)
    assert found.output == ""


def test_the_frameworks_are_the_same_wherever_they_are_listed() -> None:
    series = {each.name: each for each in patch.load_series("stock").patches}
    hook = series["mfinal-metal-init"].operation
    assert isinstance(hook, RemoveHook)
    guard = re.findall(r'^\+\t"(\w+)": +true,$', series["runtime-gpu-guard"].operation.content.decode(), re.MULTILINE)
    file = series["mfinal-metal-init"].test_file
    assert file
    tested = re.search(r"`/\(([\w|]+)\)\\\.framework/`", file.read_text(encoding="utf-8"))
    assert tested
    assert sorted(hook.frameworks) == sorted(guard) == sorted(tested[1].split("|"))
