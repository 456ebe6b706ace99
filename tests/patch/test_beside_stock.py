"""A series beside the stock one: who wrote what a patch does not find, what is left out, what the builder is given."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from patch_fixtures import MAC, apply, copy_parts, entry, source, write

from gobuild import patch
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import PROFILES, State
from gobuild.core.settings import Settings
from gobuild.patch import Patch, Series, load_folder, series_of, stamp, status

RELEASE = GoVersion.parse("1.22.10")
LOCAL = """\
--- a/go.env
+++ b/go.env
@@ -7,6 +7,4 @@
 GOPROXY=https://proxy.golang.org,direct
 GOSUMDB=sum.golang.org
{blank}
-# Automatically download newer toolchains as directed by go.mod files.
-# See https://go.dev/doc/toolchain for details.
-GOTOOLCHAIN=auto
+GOTOOLCHAIN=local
""".format(blank=" ")
"""What distributions do to go.env, as our own patch does before them."""


RESERVED = """GOROOT GOROOT_FINAL GOROOT_BOOTSTRAP GOFLAGS GOCACHE GOPROXY GODEBUG GO_GCFLAGS GO_LDFLAGS BOOT_GO_LDFLAGS
CGO_CFLAGS CC CC_FOR_TARGET LD_PRELOAD DYLD_INSERT_LIBRARIES BASH_ENV IFS PATH HOME TMPDIR LC_ALL HTTPS_PROXY CPATH"""
"""Variables that are somebody else's."""


@pytest.fixture
def parts(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> Path:
    """What the stock patches look at of the real 1.22.10."""
    goroot = get_goroot("1.22.10", Target.parse("linux/amd64"))
    return copy_parts(
        goroot, tmp_path / "go", "go.env", "src/runtime", "src/cmd/link", "src/cmd/go/internal", "VERSION"
    )


def chosen(series: Series) -> tuple[Patch, ...]:
    return series.select(RELEASE, MAC, "static")


def test_a_conflict_with_a_stock_patch_names_it_and_the_way_out(parts: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", {"0001-local.patch": LOCAL})
    with pytest.raises(PatchError) as caught:
        apply(parts, chosen(series_of(Settings(series=str(folder), extends="stock"))))
    said = "go.env was changed before it by goenv-local of the stock series; without it this patch would apply"
    assert caught.value.reason.endswith(said)
    assert caught.value.hint == '--without goenv-local, or without = ["goenv-local"] in series.toml'
    # Where leaving it out would not help, that is not the way out.
    other = write(tmp_path / "o", {"0001-local.patch": LOCAL.replace("sum.golang.org", "sum.example.invalid")})
    with pytest.raises(PatchError, match="without it this patch would not apply either") as neither:
        apply(parts, chosen(series_of(Settings(series=str(other), extends="stock"))))
    assert "--without" not in neither.value.hint
    # The way out is one, by a flag and by a key.
    flagged = series_of(Settings(series=str(folder), extends="stock", without="goenv-local"))
    keys = 'extends = "stock"\nwithout = ["goenv-local"]\nlist = "folder"\n'
    listed = load_folder(write(folder, {"series.toml": keys}))
    assert [one.name for one in chosen(flagged)] == [one.name for one in chosen(listed)]
    assert (flagged.extends, flagged.without) == (listed.extends, listed.without) == ("stock", ("goenv-local",))
    done = patch.patch(source(parts), chosen(listed), stamp="go1.22.10-t1", series=listed)
    assert "GOTOOLCHAIN=local" in (parts / "go.env").read_text()
    assert (done.extends, done.without) == ("stock", ("goenv-local",))


def test_the_stamp_is_that_of_the_patches_which_are_applied(tmp_path: Path) -> None:
    """What is left out stands in no digest: a series without it, however that was said, is the same toolchain."""

    def stamped(series: Series) -> str:
        return stamp(
            RELEASE, suffix="x.{id}", identity="", patches=chosen(series), profile=PROFILES["static"],
            environment=series.environment,
        )  # fmt: skip

    folder = write(tmp_path / "p", {"goenv-local.patch": LOCAL})
    replaced, left_out = Settings(series=str(folder), extends="stock"), Settings(without="goenv-local")
    assert stamped(series_of(left_out)) != stamped(series_of(Settings()))
    assert stamped(series_of(replaced)) == stamped(load_folder(folder, extends="stock", without=["goenv-local"]))
    given = write(tmp_path / "e", {"p.patch": LOCAL, "series.toml": 'list = "folder"\n'})
    plain = stamped(load_folder(given))
    write(given, {"series.toml": 'list = "folder"\nbuild.environment = { GOROOT_OVERRIDE = "1" }\n'})
    one = stamped(load_folder(given))
    write(given, {"series.toml": 'list = "folder"\nbuild.environment = { GOROOT_OVERRIDE = "2" }\n'})
    assert len({plain, one, stamped(load_folder(given))}) == 3


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('extends = "stock"\nwithout = ["goenv-lokal"]\n', "has no patch 'goenv-lokal'", "did you mean 'goenv-local'?"),
        ('without = ["goenv-local"]\n[[patch]]\n', "does not extend the stock series", "--extends stock"),
        ('extends = "stock"\nwithout = "goenv-local"\n', "line 2: without = 'goenv-local'", "a list"),
        ('list = "all"\n', "line 1: list = 'all'", '"folder"'),
        ('list = "folder"\n[[patch]]\n', 'both list = "folder" and [[patch]]', "[[patch]]"),
        ("build = 1\n", "line 1: build = 1", "[build]"),
        ("[build]\ndirekt = true\n", "line 2: [build] has direkt = True", "direct = true"),
        ("[build]\ndirect = 1\n", "[build] has direct = 1", "direct = true"),
        ('[build]\n\nenvironment = { PATH = "x" }\n', "line 3: the variable PATH is not the series' to set", "GOEXPER"),
    ],
)
def test_what_may_not_stand_above_the_patches(tmp_path: Path, text: str, says: str, hint: str) -> None:
    whole = text + entry("p").removeprefix("[[patch]]\n") if text.endswith("[[patch]]\n") else text
    with pytest.raises((PatchError, ConfigError)) as caught:
        load_folder(write(tmp_path, {"series.toml": whole, "p.patch": LOCAL}))
    assert says in caught.value.reason
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"extends": "mine"}, "the setting extends is 'mine'"),
        ({"extends": "stock"}, "the setting extends means nothing for the series stock"),
        ({"without": "goenv-local", "series": "none"}, "the setting without means nothing for the series none"),
        ({"without": "Goenv local"}, "the setting without has 'Goenv local'"),
    ],
)
def test_flags_that_say_nothing(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        Settings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("GOROOT_OVERRIDE", "1", True),
        ("GOEXPERIMENT", "nodwarf5,systemcrypto", True),
        ("MS_GO_NOSYSTEMCRYPTO", "a=b, c", True),
        ("GO_OPENSSL_VERSION_OVERRIDE", "3", True),
        *((name, "1", False) for name in RESERVED.split()),
        *((name, "1", False) for name in ("lower", "1A", "A-B", "A=B", "")),
        *(("MINE", value, False) for value in ("/usr", "a:/usr", "x=/usr", "~/x", "../x", "C:\\x", "a /b")),
        *(("MINE", value, False) for value in ("", "a\nb", "é", 1, ["x"], "x" * 201)),
        ("MINE", "either/or", True),
    ],
)
def test_which_variables_a_series_may_give(tmp_path: Path, name: str, value: object, good: bool) -> None:
    said = json.dumps(value, ensure_ascii=False)
    text = f'extends = "stock"\n[build]\nenvironment = {{ {json.dumps(name)} = {said} }}\n'
    write(tmp_path, {"series.toml": text})
    if good:
        assert load_folder(tmp_path).environment == {name: value}
        return
    with pytest.raises(PatchError, match=r"series\.toml line [13]: ") as caught:
        load_folder(tmp_path)
    assert caught.value.hint


def test_nothing_that_go_reads_can_be_given(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    """Go's own list of its variables, and what cmd/dist asks for, against ours."""
    goroot = get_goroot("1.25.5", Target.parse("linux/amd64"))
    text = (goroot / "src/internal/cfg/cfg.go").read_text()
    known = text.partition("const KnownEnv = `")[2].partition("`")[0].split()
    dist = "".join(path.read_text() for path in (goroot / "src/cmd/dist").glob("*.go"))
    asked = {*known, *re.findall(r'os\.(?:Getenv|Setenv|Unsetenv)\("([A-Z][A-Z0-9_]*)"', dist)}
    assert len(asked) > 60
    for name in asked - {"GOEXPERIMENT"}:
        write(tmp_path, {"series.toml": f'extends = "stock"\nbuild.environment = {{ {name} = "1" }}\n'})
        with pytest.raises(PatchError, match=f"the variable {name} is not"):
            load_folder(tmp_path)


def change(old: str, new: str) -> str:
    return f"--- a/a.go\n+++ b/a.go\n@@ -1,3 +1,3 @@\n package a\n \n-{old}\n+{new}\n"


def test_a_conflict_within_a_series_names_who_changed_the_file(tmp_path: Path) -> None:
    other = "--- a/b.go\n+++ b/b.go\n@@ -1 +1 @@\n-b\n+B\n"
    half = change("new", "half") + other.replace("b.go", "test/c.go")
    diffs = {"one": change("old", "new"), "beside": other, "two": change("old", "two"), "half": half}
    diffs["three"] = change("odd", "three")
    folder = write(tmp_path / "p", {f"{name}.patch": text for name, text in diffs.items()})
    write(folder, {"series": "".join(f"{name}.patch\n" for name in diffs)})
    root = write(tmp_path / "go", {"a.go": "package a\n\nold\n", "b.go": "b\n"})
    matrix = status(load_folder(folder), {RELEASE: root}, target=MAC, profile="static")
    said = {row.patch.name: row.outcomes[0].evidence.rpartition("\n    ")[2] for row in matrix.rows}
    assert said["two"] == "a.go was changed before it by one; without it this patch would apply"
    # Not by half, of which nothing was applied; whose own evidence says what the source lacks.
    assert said["three"] == "a.go was changed before it by one; without it this patch would not apply either"
    assert "test/c.go, which this source does not have (a wheel has no test" in said["half"]
    assert "--source archive" in said["half"]
    with pytest.raises(PatchError) as caught:
        apply(root, load_folder(folder).patches[:3])
    # A patch without an entry is not told to narrow it.
    assert "series.toml" not in caught.value.hint
    assert "patches.import --from" in caught.value.hint


def test_a_patch_of_version_is_told_what_becomes_of_it(tmp_path: Path) -> None:
    diff = "--- a/VERSION\n+++ b/VERSION\n@@ -1,2 +1,2 @@\n-go1.22.10\n+go1.22.10-mine\n time 2024-11-27T20:27:20Z\n"
    root = write(tmp_path / "go", {"VERSION": "go1.22.10\ntime 2024-11-27T20:27:20Z\n"})
    (outcome,) = apply(root, load_folder(write(tmp_path / "p", {"v.patch": diff})).patches).outcomes
    assert outcome.state is State.APPLIED
    assert outcome.evidence.endswith("the time alone stays: the toolchain's stamp becomes the first line")
    assert (root / "VERSION").read_text() == "go1.22.10-t1\ntime 2024-11-27T20:27:20Z\n"
