"""patches.test on real Go: each kind of patch is named as what it is, and nothing of the release is changed."""

import difflib
from pathlib import Path

import pytest
from patch_fixtures import entry, snapshot, source, write

from gobuild.acceptance.goroots import lay_out
from gobuild.acceptance.gotest import Ran, run_tests
from gobuild.acceptance.patch_tests import Examiner, PatchVerdict, TestRow, chosen, packages_of
from gobuild.core import goenv
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.patch import Patch, load_folder

HEAD = 'package proof\n\nimport ("os"; "path"; "testing"; "time")\n\nvar _, _, _ = os.Args, time.Now, path.Join\n\n'

OWN = {
    "proven": 'func TestIt(t *testing.T) { if path.Proven() != 1 { t.Fatal("it is not") } }',
    "guarding": "func TestIt(t *testing.T) { path.Guarding() }",
    "blind": "func TestIt(t *testing.T) {}",
    "wrong": 'func TestIt(t *testing.T) { t.Fatal("said no") }',
    "mistyped": "func TestIt(t *testing.T) { path.Mistyped(1, 2) }",
    "hanging": "func TestIt(t *testing.T) { time.Sleep(time.Hour) }",
    "flaky": (
        "func TestIt(t *testing.T) {\n"
        '\tname := os.TempDir() + "/second"\n'
        '\tif _, err := os.Stat(name); err != nil { os.WriteFile(name, nil, 0o666); t.Fatal("the first time") }\n'
        "\tos.Remove(name)\n}"
    ),
    "partly": 'func TestIt(t *testing.T) { t.Run("a", func(t *testing.T) { t.Skip() }); path.Partly() }',
    "skipping": 'func TestIt(t *testing.T) { t.Skip("not here") }',
    "deaf": "func Helper(t *testing.T) {}",
}
"""The tests beside the series; each patch adds a function to the package path."""

BROUGHT = (
    'package path_test\n\nimport (\n\t"path"\n\t"testing"\n)\n\nfunc TestBringing(t *testing.T) { path.Bringing() }\n'
)


GUARD = 'package path_test\n\nimport "testing"\n\nfunc TestGuard(t *testing.T) {}\n'
"""It passes with the patch and without."""


def added(name: str, text: str) -> str:
    """A diff that adds a file."""
    lines = text.splitlines()
    return f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)


def function(name: str) -> str:
    return added(
        f"src/path/{name}.go", f"package path\n\n// {name.title()} is new.\nfunc {name.title()}() int {{ return 1 }}\n"
    )


def series(folder: Path) -> tuple[Patch, ...]:
    texts, diffs = {}, {}
    for name, body in OWN.items():
        diffs[name] = function(name)
        texts[f"{name}_test.go"] = HEAD + body + "\n"
    diffs["guarding"] += added("src/path/guard_test.go", GUARD)
    diffs |= {"bare": function("bare"), "bringing": function("bringing") + added("src/path/bringing_test.go", BROUGHT)}
    entries = [entry(name, more=f'test = "{name}_test.go"\n' if name in OWN else "") for name in diffs]
    write(folder, {**texts, **{f"{name}.patch": diff for name, diff in diffs.items()}, "series.toml": "".join(entries)})
    return load_folder(folder).patches


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, go_wheel: Path) -> dict[str, TestRow]:
    """What is said of each patch of a series in which all of them stand; the release is as it was."""
    folder = tmp_path_factory.mktemp("accept")
    patches = series(folder / "series")
    before = snapshot(go_wheel / "src/path")
    goroots = lay_out(go_wheel, source(folder).release, patches, folder / "w", host=Target.host(), run=run)
    examiner = Examiner(goroots=goroots, run=run, note=lambda _: None, limit=5)
    rows = list(examiner.rows(patches))
    assert snapshot(go_wheel / "src/path") == before
    assert {row.patches for row in rows[:-1]} == {(each.name,) for each in patches}
    assert rows[-1].patches == tuple(each.name for each in patches)
    named = {row.patches[0]: row for row in rows[:-1] if not row.test.startswith("path ^(TestGuard")}
    return named | {"path": rows[-1], "guard": next(row for row in rows if row not in (*named.values(), rows[-1]))}


@pytest.mark.parametrize(
    ("name", "verdict", "told"),
    [
        ("proven", PatchVerdict.PROVEN, "before, it does not compile"),
        ("blind", PatchVerdict.BLIND, ""),
        ("guarding", PatchVerdict.PROVEN, "before, it does not compile"),
        ("guard", PatchVerdict.PASSES, "passes without the patch too"),
        ("wrong", PatchVerdict.FAILS, "TestIt"),
        ("mistyped", PatchVerdict.NOT_COMPILED, "too many arguments in call to path.Mistyped"),
        ("hanging", PatchVerdict.HANGS, ""),
        ("flaky", PatchVerdict.FLAKY, "passed in one of 2 runs"),
        ("partly", PatchVerdict.SKIPPED, "in part: TestIt/a"),
        ("skipping", PatchVerdict.SKIPPED, "not here"),
        ("deaf", PatchVerdict.NO_TEST, ""),
        ("bare", PatchVerdict.NO_TEST, ""),
        ("bringing", PatchVerdict.PROVEN, "before, it does not compile"),
        ("path", PatchVerdict.PASSES, "passed"),
    ],
)
def test_each_kind_is_named_as_what_it_is(
    found: dict[str, TestRow], name: str, verdict: PatchVerdict, told: str
) -> None:
    row = found[name]
    assert row.verdict is verdict, row.output
    assert told in row.detail


def test_a_failure_of_upstreams_tests_is_said_of_the_patch_that_made_it(tmp_path: Path, go_wheel: Path) -> None:
    """One breaks path.Base, one its neighbour; a test that upstream fails as well is nobody's."""
    text = (go_wheel / "src/path/path.go").read_text()
    ends = "a/src/path/path.go", "b/src/path/path.go"
    changed = text.replace('\t\treturn "."\n', '\t\treturn ","\n').splitlines(keepends=True)
    broken = "".join(difflib.unified_diff(text.splitlines(keepends=True), changed, *ends))
    names = {"broken": broken, "other": added("src/unicode/utf8/other.go", "package utf8\n\nconst other = 1\n")}
    write(tmp_path / "s", {f"{name}.patch": diff for name, diff in names.items()})
    patches = load_folder(write(tmp_path / "s", {"series.toml": "".join(map(entry, names))})).patches
    goroots = lay_out(go_wheel, source(tmp_path).release, patches, tmp_path / "w", host=Target.host(), run=run)
    rows = Examiner(goroots=goroots, run=run, note=lambda _: None).rows(patches)
    packages = {row.test: row for row in rows if row.test}
    assert (packages["path"].patches, packages["path"].verdict) == (("broken",), PatchVerdict.FAILS)
    assert "Clean" in packages["path"].detail
    assert (packages["unicode/utf8"].patches, packages["unicode/utf8"].verdict) == (("other",), PatchVerdict.PASSES)


def test_a_program_of_the_toolchain_that_does_not_compile_is_the_patchs_fault(tmp_path: Path, go_wheel: Path) -> None:
    diff = added("src/cmd/gofmt/wrong.go", "package main\n\nvar wrong int = nothing\n")
    write(tmp_path / "s", {"wrong.patch": diff, "series.toml": entry("wrong")})
    patches = load_folder(tmp_path / "s").patches
    with pytest.raises(PatchError, match=r"gofmt does not compile:\n(.*\n)*.*undefined: nothing"):
        lay_out(go_wheel, source(tmp_path).release, patches, tmp_path / "w", host=Target.host(), run=run)


def test_a_patch_that_is_not_there(tmp_path: Path) -> None:
    patches = series(tmp_path)
    assert [each.name for each in chosen(patches, ["blind", "proven"])] == ["proven", "blind"]
    with pytest.raises(ConfigError, match=r"no patch 'prov'") as caught:
        chosen(patches, ["prov"])
    assert caught.value.hint == "did you mean proven?"


def test_the_packages_of_files() -> None:
    names = (
        "src/net/http/server.go",
        "src/net/http/testdata/a/b.txt",
        "src/runtime/asm_arm64.s",
        "go.env",
        "src/x.txt",
    )
    assert packages_of((*names, "src/vendor/golang.org/x/net/idna/go118.go")) == ["net/http", "runtime"]


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"x_test.go": "package x\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Skip() }\n"}, Ran.SKIPPED),
        ({"x.go": "package x\n"}, Ran.NOTHING),
        ({"x_test.go": "package x\n\nfunc (\n"}, Ran.NOT_COMPILED),
        ({"x_test.go": 'package x\n\nimport "nowhere.example/x"\n\nvar _ = x.X\n'}, Ran.NOT_COMPILED),
        ({"x_test.go": "package x\n\nimport \"os\"\n\nfunc init() { os.Exit(0) }\n"}, Ran.NOTHING),
        ({"x_test.go": "package x\n\nimport \"os\"\n\nfunc init() { os.Exit(3) }\n"}, Ran.FAILED),
    ],
)  # fmt: skip
def test_a_test_that_did_not_run_is_no_proof(tmp_path: Path, files: dict[str, str], state: Ran, go_wheel: Path) -> None:
    write(tmp_path / "m", {"go.mod": "module x\n\ngo 1.20\n", **files})
    (tmp_path / "tmp").mkdir()
    env = goenv.closed(tmp_path, goroot=go_wheel)
    (result,) = run_tests(go_wheel, ["."], env=env, cwd=tmp_path / "m", run=run, limit=60).values()
    assert result.state is state, result.output
