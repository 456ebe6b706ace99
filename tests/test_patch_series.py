"""The manifest of a series: strict, and checked before any work begins."""

import re
from pathlib import Path

import pytest
from patch_fixtures import HOOK, series_of, write

from gobuild import patch, resources
from gobuild.errors import PatchError
from gobuild.model import PROFILES, TARGETS, GoVersion, Target
from gobuild.patch import load, stamp

DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
ENTRY = '[[patch]]\nname = "p"\ngo = ">=1.21"\nkind = "diff"\nfile = "p.patch"\nreason = "r"\n'
MAC = Target(goos="darwin", goarch="arm64")
LINUX = Target(goos="linux", goarch="amd64")


def version(text: str) -> GoVersion:
    return GoVersion.parse(text)


def refusal(folder: Path, text: str | bytes) -> PatchError:
    write(folder, {"series.toml": text, "p.patch": DIFF})
    with pytest.raises(PatchError) as caught:
        load(folder)
    assert caught.value.hint
    assert "series.toml" in caught.value.reason
    return caught.value


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "names no patch", "[[patch]]"),
        ("patch = 1\n", "names no patch", "[[patch]]"),
        ("[patch\n", "no TOML", "README"),
        (b"\xff", "no TOML", "README"),
        ("[[patches]]\n" + ENTRY, "unknown key 'patches'", "[[patch]]"),
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
        (ENTRY + ENTRY, "the patch 'p' twice", "variants"),
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
    error = refusal(folder, text)
    assert says in error.reason
    assert hint in error.hint


def test_no_series(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="there is no series at"):
        load(tmp_path)
    with pytest.raises(PatchError, match="there is no series at"):
        patch.series(str(tmp_path / "nowhere"))


def test_which_series_the_setting_names(tmp_path: Path) -> None:
    assert patch.series("none").select(version("1.22.10"), MAC, "static") == ()
    assert patch.series("stock").folder == resources.folder("patches")
    write(tmp_path, {"series.toml": ENTRY, "p.patch": DIFF})
    (one,) = patch.series(str(tmp_path)).patches
    assert (one.name, one.file, one.reason, one.until) == ("p", "p.patch", "r", "")


def test_select_by_version_target_and_profile(tmp_path: Path) -> None:
    text = (
        ENTRY.replace('"p"', '"a"').replace(">=1.21", ">=1.21,<1.23")
        + ENTRY.replace('"p"', '"b"') + 'targets = ["darwin/arm64"]\n'
        + ENTRY.replace('"p"', '"c"') + 'profiles = ["upstream"]\n'
        + ENTRY.replace('"p"', '"a"').replace(">=1.21", ">=1.23")
    )  # fmt: skip
    series = load(write(tmp_path, {"series.toml": text, "p.patch": DIFF}))

    def names(go: str, target: Target = MAC, profile: str = "static") -> str:
        return "".join(one.name for one in series.select(version(go), target, profile))

    assert names("1.22.10") == "ab"
    assert names("1.22.10", LINUX, "upstream") == "ac"
    assert names("1.23.0") == "ba"
    assert names("1.20.14") == ""
    assert names("1.28rc1") == "ba"


def test_variants_may_not_overlap(tmp_path: Path) -> None:
    text = ENTRY + ENTRY.replace(">=1.21", ">=1.23") + 'until = "x"\n'
    series = load(write(tmp_path, {"series.toml": text, "p.patch": DIFF}))
    assert len(series.select(version("1.22.10"), MAC, "static")) == 1
    with pytest.raises(
        PatchError, match=r"two patches 'p' for 1\.23\.2 darwin/arm64: go = '>=1\.21' and go = '>=1\.23'"
    ):
        series.select(version("1.23.2"), MAC, "static")


def test_the_stamp_changes_with_what_changes_the_toolchain(tmp_path: Path) -> None:
    one, two = series_of(tmp_path, DIFF, DIFF.replace("+b", "+c"))
    made = [
        stamp(version("1.22.10"), suffix="acme.{id}", identity=identity, patches=patches, profile=PROFILES[profile])
        for identity, patches, profile in (
            ("", (), "static"),
            ("wheel", (), "static"),
            ("", (), "upstream"),
            ("", (one,), "static"),
            ("", (two,), "static"),
            ("", (one, two), "static"),
            ("", (two, one), "static"),
        )
    ]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"go1\.22\.10-acme\.p[0-9a-f]{7}", name) for name in made)


def test_the_stamp_changes_with_words_and_the_patchs_digest_does_not(tmp_path: Path) -> None:
    """The reason stands in the toolchain's own manifest, and no two archives of one name may differ."""
    write(tmp_path / "a", {"series.toml": ENTRY, "p.patch": DIFF})
    write(tmp_path / "b", {"series.toml": ENTRY.replace('"r"', '"another reason"'), "p.patch": DIFF})
    first, second = load(tmp_path / "a").patches, load(tmp_path / "b").patches
    assert first[0].sha256 == second[0].sha256
    made = {
        stamp(version("1.22.10"), suffix="x.{id}", identity="", patches=each, profile=PROFILES["static"])
        for each in (first, second)
    }
    assert len(made) == 2


@pytest.mark.parametrize(("suffix", "name"), [("", "go1.22.10"), ("acme1", "go1.22.10-acme1")])
def test_stamps_without_a_digest(suffix: str, name: str) -> None:
    assert stamp(version("1.22.10"), suffix=suffix, identity="", patches=(), profile=PROFILES["static"]) == name


def test_the_stock_series_never_overlaps() -> None:
    series = patch.series("stock")
    releases = [f"1.{minor}.{number}" for minor in range(21, 29) for number in range(16)] + ["1.28rc1", "1.29beta1"]
    for release in releases:
        for target in TARGETS:
            for profile in PROFILES:
                names = [one.name for one in series.select(version(release), target, profile)]
                old = version(release) < version("1.24")
                assert names == ["mfinal-metal-init", *(["link-uuid"] if old else []), "goenv-local"]
    assert all(one.reason and one.until for one in series.patches)
    assert all(one.description for one in series.patches if one.file)
