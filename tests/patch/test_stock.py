"""The stock series on real Go source."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from patch_fixtures import MAC, copy_parts, go, headers, link_tree, source, write

from gobuild import patch
from gobuild.core import files
from gobuild.core.errors import CommandError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import PatchedSource, State
from gobuild.core.process import run
from gobuild.patch.edits.remove_hook import RemoveHook

PARTS = ("src/runtime", "src/cmd/link", "src/cmd/go/internal", "go.env", "VERSION")
UUID = "00112233445566778899aabbccddeeff"


def stocked(root: Path, release: str, stamp: str) -> PatchedSource:
    patches = patch.load_series("stock").select(GoVersion.parse(release), MAC, "static")
    return patch.patch(source(root, release), patches, stamp=stamp)


def test_the_stock_series_on_1_22_10_once_and_again(tmp_path: Path, go_wheel: Path) -> None:
    root = copy_parts(go_wheel, tmp_path / "go", *PARTS)
    done = stocked(root, "1.22.10", "go1.22.10-t1")
    assert [(outcome.name, outcome.state) for outcome in done.outcomes] == [
        ("mfinal-metal-init", State.NOTHING_TO_DO),
        ("runtime-gpu-guard", State.APPLIED),
        ("link-uuid", State.APPLIED),
        ("scanner-version", State.APPLIED),
        ("goenv-local", State.APPLIED),
    ]
    metal, guard, link, _, _ = done.outcomes
    assert metal.evidence.startswith("nothing to remove: this source has no Metal initialisation")
    assert "mfinal.go runfinq" in metal.evidence
    assert guard.files == ("src/runtime/gpu_import_test.go",)
    assert [Path(file).name for file in link.files] == ["elf.go", "lib.go", "main.go"]
    assert (root / "VERSION").read_text() == "go1.22.10-t1\ntime 2024-11-27T20:27:20Z\n"
    for file in link.files:
        found = run([go_wheel / "bin/gofmt", "-l", root / file], env={"HOME": str(tmp_path)}, cwd=tmp_path)
        assert found.output == ""
    before, after = ((each / "go.env").read_text() for each in (go_wheel, root))
    assert re.findall(r"^GOTOOLCHAIN=.*", after, re.MULTILINE) == ["GOTOOLCHAIN=local"]
    assert "Automatically download" not in after
    rest = [line for line in after.splitlines() if "GOTOOLCHAIN" not in line and "patched" not in line]
    assert all(line in before.splitlines() for line in rest)
    states = [outcome.state for outcome in stocked(root, "1.22.10", "go1.22.10-t2").outcomes]
    assert states == [State.NOTHING_TO_DO, *[State.ALREADY_UPSTREAM] * 4]


def test_every_stock_patch_has_a_test_and_its_variants_share_it(go_wheel: Path) -> None:
    patches = patch.load_series("stock").patches
    tests = sorted({each.folder / each.test for each in patches if each.test})
    assert len(tests) == len({each.name for each in patches}) == len({(each.name, each.test) for each in patches})
    assert {file.name for file in tests} == {file.name for file in tests[0].parent.iterdir()}
    found = run([go_wheel / "bin/gofmt", "-l", *tests], env={"HOME": "/nonexistent"}, cwd=go_wheel)
    assert found.output == ""


def test_the_frameworks_are_the_same_wherever_they_are_listed() -> None:
    series = {each.name: each for each in patch.load_series("stock").patches}
    hook = series["mfinal-metal-init"].operation
    assert isinstance(hook, RemoveHook)
    guard = re.findall(r'^\+\t"(\w+)": +true,$', series["runtime-gpu-guard"].operation.content.decode(), re.MULTILINE)
    test = (series["mfinal-metal-init"].folder / series["mfinal-metal-init"].test).read_text(encoding="utf-8")
    tested = re.search(r"`/\(([\w|]+)\)\\\.framework/`", test)
    assert tested
    assert sorted(hook.frameworks) == sorted(guard) == sorted(tested[1].split("|"))


@pytest.mark.slow
@pytest.mark.parametrize("release", ["1.21.13", "1.22.10", "1.23.2", "1.23.9"])
def test_the_patched_linker_writes_lc_uuid(
    tmp_path: Path, get_goroot: Callable[[str, Target], Path], release: str
) -> None:
    root = link_tree(get_goroot(release, Target.host()), tmp_path / "go")
    program = write(tmp_path / "x", {"go.mod": "module x\n\ngo 1.20\n", "x.go": "package main\n\nfunc main() {}\n"})
    words = ("build", "-p", "2", "-trimpath", "-o")

    def uuid(*flags: str, target: Target = MAC) -> str:
        files.remove(tmp_path / "made")  # what is there already would not be linked again
        go(root, tmp_path, *words, f"{tmp_path}/made", *flags, ".", cwd=program, target=target)
        return headers(tmp_path / "made").uuid

    assert uuid() == ""
    stocked(root, release, f"go{release}-t1")
    go(root, tmp_path, *words, f"{tmp_path}/link", "cmd/link", cwd=program)
    (tmp_path / "link").replace(root / "pkg/tool" / Target.host().underscored / "link")
    made = uuid()
    assert made[12] == "3", "the version of a UUID that is a hash (RFC 4122, 4.1.3)"
    assert uuid() == made
    assert uuid(f"-ldflags=-B=0x{UUID}") == UUID
    assert uuid("-ldflags=-B=none") == ""
    assert uuid("-ldflags=-B=gobuildid")
    assert uuid(target=Target.parse("darwin/amd64"))
    with pytest.raises(CommandError, match="too long"):
        uuid(f"-ldflags=-B=0x{UUID}00")
