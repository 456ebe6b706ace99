"""The manifest of a series: strict, and checked before any work begins."""

import re
from pathlib import Path

import pytest
from patch_fixtures import HOOK, MAC, entry, series_of, source, write

from gobuild import patch
from gobuild.core import resources
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import TARGETS, GoVersion, Target
from gobuild.core.model import PROFILES, State
from gobuild.patch import Patch, Series, load_folder, stamp

DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
ENTRY = entry("p")
EDIT = ENTRY.replace('"diff"', '"edit"').replace('file = "p.patch"\n', "")
LINUX = Target(goos="linux", goarch="amd64")
OPTIONAL = ("osinit-trace", "toolchain-guard", "gowrap")
"""The stock series' optional patches."""


def version(text: str) -> GoVersion:
    return GoVersion.parse(text)


def loaded(folder: Path, text: str | bytes) -> Series:
    return load_folder(write(folder, {"series.toml": text, "p.patch": DIFF}))


def stamped(patches: tuple[Patch, ...], identity: str = "", profile: str = "static", suffix: str = "acme.{id}") -> str:
    return stamp(version("1.22.10"), suffix=suffix, identity=identity, patches=patches, profile=PROFILES[profile])


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "names no patch", "[[patch]]"),
        ("patch = 1\n", "names no patch", "[[patch]]"),
        ("[patch\n", "no TOML", "README"),
        (b"\xff", "no TOML", "README"),
        ("\n[[patches]]\n" + ENTRY, "line 2: unknown key 'patches'", "[[patch]]"),
        ('extend = "stock"\n' + ENTRY, "line 1: unknown key 'extend'", 'extends = "stock"'),
        ('\nextends = "stok"\n' + ENTRY, "line 2: extends = 'stok'", '"stock"'),
        (ENTRY + 'extends = "stock"\n', "line 7, patch 'p': extends stands in a patch", "above the first"),
        (ENTRY + 'optional = "yes"\n', "line 7, patch 'p': optional = 'yes'", "true or false"),
        (ENTRY + ENTRY.replace(">=1.21", "<1.21") + "optional = true\n", "line 13, patch 'p': one variant is optional",
         "in all variants"),
        (ENTRY + 'test = "t_test.go"\n', "line 7, patch 'p': the file 't_test.go' cannot be read", "own folder"),
        (ENTRY + 'test = "../p.patch"\n', "line 7, patch 'p': the file '../p.patch' is outside", "own folder"),
        (ENTRY + 'test = "p.patch"\n', "line 7, patch 'p': the file 'p.patch' is no Go test", "_test.go"),
        (ENTRY + 'targts = ["darwin/arm64"]\n', "line 7, patch 'p': unknown key 'targts'", "did you mean 'targets'?"),
        (ENTRY + "\n" + ENTRY.replace('"p"', '"q"').replace("kind", "kinds"), "line 11, patch 'q': unknown key 'kinds'",
         "'kind'"),
        (ENTRY + 'zzz = "x"\n', "unknown key 'zzz'", "one of name, go"),
        (ENTRY.replace('reason = "r"\n', ""), "line 1, patch 'p': the key 'reason' is missing", "README"),
        (ENTRY.replace('name = "p"\n', ""), "patch 'number 1': the key 'name' is missing", "README"),
        (ENTRY.replace('"r"', '""'), "reason = ''", "not empty"),
        (ENTRY.replace('"r"', "7"), "reason = 7", "a text"),
        (ENTRY.replace('"p"\ngo', '"P x"\ngo'), "'P x' is no name", "lower-case"),
        (ENTRY.replace(">=1.21", "1.21+"), "line 3, patch 'p': go = '1.21+' is no version specifier", ">=1.21,<1.24"),
        (ENTRY + 'targets = ["darwin/m1"]\n', "no target 'darwin/m1'", "darwin/arm64"),
        (ENTRY + 'targets = "darwin/arm64"\n', "targets = 'darwin/arm64'", "a list"),
        (ENTRY + "targets = [1]\n", "targets = [1]", "a list of texts"),
        (ENTRY + 'profiles = ["fast"]\n', "no profile 'fast'", "static"),
        (ENTRY.replace('"diff"', '"script"'), "line 4, patch 'p': no kind 'script'", "diff, edit"),
        (ENTRY.replace('"diff"', '"edit"'), "'edit' does not go with the key 'file'", "README"),
        (ENTRY.replace('file = "p.patch"\n', ""), "'diff' needs the key 'file'", "README"),
        (ENTRY + "[patch.remove-hook]\n", "'diff' does not go with the key 'remove-hook'", "README"),
        (ENTRY.replace("p.patch", "q.patch"), "line 5, patch 'p': the file 'q.patch' cannot be read", "own folder"),
        (ENTRY.replace("p.patch", "../p.patch"), "outside of the series", "own folder"),
        (ENTRY.replace("p.patch", "/etc/passwd"), "outside of the series", "own folder"),
        (ENTRY.replace("p.patch", "link.patch"), "leads outside of the series", "own folder"),
        (ENTRY + ENTRY, "line 8, patch 'p': has the patch 'p' twice, both for go '>=1.21': also at line 2", "variants"),
        (EDIT, "'edit' needs the key 'remove-hook'", "README"),
        (EDIT + 'add-command = "../x"\n', "no program '../x'", "gowrap"),
        (EDIT + 'add-command = "gowrap"\n[patch.remove-hook]\n', "'edit' needs the key", "README"),
        (HOOK.replace("frameworks", "framework"), "unknown key 'framework'", "did you mean 'frameworks'?"),
        (HOOK.replace('dir = "src/runtime"\n', ""), "the key 'dir' is missing", "README"),
        (HOOK.replace("src/runtime", "src/../../x"), "dir = 'src/../../x'", "src/runtime"),
        (HOOK.replace("src/runtime", "/src"), "dir = '/src'", "src/runtime"),
        (HOOK.replace('["initMetal"]', "[]"), "init = []", "names"),
        (HOOK.replace('["initMetal"]', '["init Metal"]'), "init = ['init Metal']", "names"),
    ],
)  # fmt: skip
def test_damaged_manifests(tmp_path: Path, text: str | bytes, says: str, hint: str) -> None:
    write(tmp_path, {"p.patch": DIFF})
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "link.patch").symlink_to(tmp_path / "p.patch")
    with pytest.raises(PatchError) as caught:
        loaded(folder, text)
    assert "series.toml" in caught.value.reason
    assert says in caught.value.reason
    assert hint in caught.value.hint


def test_optional_patches_are_there_only_if_asked_for(tmp_path: Path) -> None:
    text = (
        ENTRY
        + ENTRY.replace('"p"', '"deep-trace"') + "optional = true\n"
        + ENTRY.replace('"p"', '"guard"').replace(">=1.21", ">=1.24") + "optional = true\n"
    )  # fmt: skip
    series = loaded(tmp_path, text)

    def names(*extra: str, go: str = "1.24.1") -> list[str]:
        return [one.name for one in series.select(version(go), MAC, "static", extra)]

    assert names() == ["p"]
    assert names("guard", "deep-trace") == ["p", "deep-trace", "guard"]
    assert names("deep-trace", go="1.22.10") == ["p", "deep-trace"]
    assert series.absent(version("1.22.10")) == ()
    with pytest.raises(ConfigError) as unknown:
        names("deep-trce")
    assert "no optional patch 'deep-trce'" in unknown.value.reason
    assert unknown.value.hint == "did you mean 'deep-trace', which is for >=1.21?"
    with pytest.raises(ConfigError) as other:
        names("zzz")
    assert other.value.hint == "one of deep-trace (for >=1.21), guard (for >=1.24)"
    with pytest.raises(ConfigError, match="the patch 'p' is no optional one: every build has it"):
        names("p")
    with pytest.raises(PatchError) as unfit:
        names("guard", go="1.22.10")
    assert unfit.value.reason == "the patch 'guard' is not for 1.22.10 darwin/arm64, profile static"
    assert "it is for >=1.24" in unfit.value.hint
    with pytest.raises(ConfigError, match="no optional patch 'guard' in the series none"):
        patch.load_series("none").select(version("1.24.1"), MAC, "static", ["guard"])


def test_a_test_is_found_and_changes_no_digest(tmp_path: Path) -> None:
    write(tmp_path / "a", {"tests/p_test.go": "package p\n"})
    (with_test,) = loaded(tmp_path / "a", ENTRY + 'test = "tests/p_test.go"\noptional = true\n').patches
    (without,) = loaded(tmp_path / "b", ENTRY).patches
    assert (with_test.test, without.test) == ("tests/p_test.go", "")
    assert with_test.sha256 == without.sha256


def test_a_series_extends_the_stock_one_and_replaces_by_name(tmp_path: Path) -> None:
    stock = patch.load_series("stock").patches
    text = 'extends = "stock"\n' + ENTRY + ENTRY.replace('"p"', '"link-uuid"')
    series = loaded(tmp_path, text)
    own = series.patches[-2:]
    assert [one.name for one in own] == ["p", "link-uuid"]
    assert {one.folder for one in own} == {tmp_path}
    assert series.patches[:-2] == tuple(one for one in stock if one.name != "link-uuid")
    chosen = series.select(version("1.27.3"), MAC, "static")
    assert [one.name for one in chosen] == [
        "mfinal-metal-init",
        "runtime-gpu-guard",
        "scanner-version",
        "goenv-local",
        "p",
        "link-uuid",
    ]
    (tmp_path / "series.toml").write_text('extends = "stock"\n')
    assert load_folder(tmp_path).patches == stock


def test_the_stock_series_cannot_extend_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"series.toml": 'extends = "stock"\n' + ENTRY, "p.patch": DIFF})
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path)
    with pytest.raises(PatchError, match="the stock series cannot extend itself"):
        patch.load_series("stock")


def test_a_patch_without_a_variant_for_the_version_is_told_of(tmp_path: Path) -> None:
    text = (
        ENTRY.replace('"p"', '"a"').replace(">=1.21", ">=1.21,<1.23") + 'until = "1.23"\n'
        + ENTRY.replace('"p"', '"b"').replace(">=1.21", "<1.22") + 'targets = ["darwin/arm64"]\n'
        + ENTRY
    )  # fmt: skip
    series = loaded(tmp_path, text)
    first, second = series.absent(version("1.23.1"))
    assert (first.name, first.state, first.sha256) == ("a", State.NOT_FOR_THIS_VERSION, "")
    assert first.evidence == "no variant is for this version: it is for >=1.21,<1.23; may go: 1.23"
    assert second.evidence == "no variant is for this version: it is for <1.22 (darwin/arm64)"
    assert series.absent(version("1.21.1")) == ()


def test_what_is_not_for_this_version_is_an_outcome_and_changes_no_stamp(tmp_path: Path) -> None:
    late = ENTRY.replace('"p"', '"late"').replace(">=1.21", ">=1.24")
    series, release = loaded(tmp_path, late + ENTRY), version("1.22.10")
    patches = series.select(release, MAC, "static")
    assert stamped(patches) == stamped(loaded(tmp_path, ENTRY).patches)
    root = write(tmp_path / "go", {"x": "a\n"})
    told = patch.patch(source(root), patches, stamp=stamped(patches), absent=series.absent(release))
    assert [(one.name, one.state) for one in told.outcomes] == [
        ("p", State.APPLIED),
        ("late", State.NOT_FOR_THIS_VERSION),
    ]


def test_which_series_the_setting_names(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(PatchError, match="there is no series at"):
            patch.load_series(str(place))
    assert patch.load_series("none").select(version("1.22.10"), MAC, "static") == ()
    assert patch.load_series("stock").folder == resources.folder("patches")
    loaded(tmp_path, ENTRY)
    (one,) = patch.load_series(str(tmp_path)).patches
    assert (one.name, one.file, one.reason, one.until) == ("p", "p.patch", "r", "")


def test_select_by_version_target_and_profile(tmp_path: Path) -> None:
    text = (
        ENTRY.replace('"p"', '"a"').replace(">=1.21", ">=1.21,<1.23")
        + ENTRY.replace('"p"', '"b"') + 'targets = ["darwin/arm64"]\n'
        + ENTRY.replace('"p"', '"c"') + 'profiles = ["upstream"]\n'
        + ENTRY.replace('"p"', '"a"').replace(">=1.21", ">=1.23")
    )  # fmt: skip
    series = loaded(tmp_path, text)

    def names(go: str, target: Target = MAC, profile: str = "static") -> str:
        return "".join(one.name for one in series.select(version(go), target, profile))

    assert names("1.22.10") == "ab"
    assert names("1.22.10", LINUX, "upstream") == "ac"
    assert names("1.23.0") == "ba"
    assert names("1.20.14") == ""
    assert names("1.28rc1") == "ba"


def test_variants_may_not_overlap(tmp_path: Path) -> None:
    series = loaded(tmp_path, ENTRY + ENTRY.replace(">=1.21", ">=1.23") + 'until = "x"\n')
    assert len(series.select(version("1.22.10"), MAC, "static")) == 1
    with pytest.raises(
        PatchError, match=r"two patches 'p' for 1\.23\.2 darwin/arm64: go = '>=1\.21' and go = '>=1\.23'"
    ):
        series.select(version("1.23.2"), MAC, "static")


def test_the_stamp_changes_with_what_changes_the_toolchain(tmp_path: Path) -> None:
    one, two = series_of(tmp_path, DIFF, DIFF.replace("+b", "+c"))
    made = [
        *(stamped(()), stamped((), "wheel"), stamped((), profile="upstream")),
        *(stamped(patches) for patches in ((one,), (two,), (one, two), (two, one))),
    ]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"go1\.22\.10-acme\.p[0-9a-f]{7}", name) for name in made)


def test_the_stamp_changes_with_words_and_the_patchs_digest_does_not(tmp_path: Path) -> None:
    """The reason stands in the toolchain's own manifest, and no two archives of one name may differ."""
    first = loaded(tmp_path, ENTRY).patches
    second = loaded(tmp_path, ENTRY.replace('"r"', '"another reason"')).patches
    assert first[0].sha256 == second[0].sha256
    assert stamped(first) != stamped(second)


def test_the_stamp_of_known_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden: what goes into a digest is what went into it in every release."""
    monkeypatch.setattr("gobuild.patch.version.installed", lambda _: "0.1.0")
    patches = loaded(tmp_path, ENTRY + HOOK).patches
    assert [one.sha256[:16] for one in patches] == ["814a62c28986083d", "83428e2df0159410"]
    assert stamped(patches, "wheel") == "go1.22.10-acme.pc01034a"
    assert (stamped((), suffix=""), stamped((), suffix="acme1")) == ("go1.22.10", "go1.22.10-acme1")


def test_the_stock_series_never_overlaps() -> None:
    series = patch.load_series("stock")
    releases = [f"1.{minor}.{number}" for minor in range(21, 29) for number in range(16)] + ["1.28rc1", "1.29beta1"]
    for release in releases:
        for target in TARGETS:
            for profile in PROFILES:
                names = [one.name for one in series.select(version(release), target, profile)]
                old = version(release) < version("1.24")
                assert names == [
                    "mfinal-metal-init",
                    "runtime-gpu-guard",
                    *(["link-uuid"] if old else []),
                    "scanner-version",
                    "goenv-local",
                ]
                absent = [one.name for one in series.absent(version(release))]
                assert absent == ([] if old else ["link-uuid"])
                extra = [one.name for one in series.select(version(release), target, profile, OPTIONAL)]
                assert extra == [*names, *OPTIONAL]
    assert all(one.reason and one.until for one in series.patches)
    assert all(one.description for one in series.patches if one.file)
