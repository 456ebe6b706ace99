"""A folder of patches that nothing lists, one patch alone, mailboxes, and patches that cannot be read."""

from pathlib import Path

import pytest
from needs import needs
from patch_fixtures import MAC, apply, entry, write
from workbench_fixtures import commit, git

from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import PROFILES, State
from gobuild.core.settings import Settings
from gobuild.patch import load_folder, series_of, stamp, status
from gobuild.tasks.show import matrix_page

RELEASE = GoVersion.parse("1.22.10")


def change(old: str, new: str, path: str = "src/a.go") -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -1,3 +1,3 @@\n package a\n \n-{old}\n+{new}\n"


def mail(subject: str, diff: str) -> str:
    head = f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <a@example.invalid>\nSubject: {subject}\n\nWhy.\n---\n"
    return f"{head}{diff}-- \n2.39.0\n\n"


def go(word: str) -> str:
    return f"package a\n\n{word}\n"


def test_the_patches_of_a_folder_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = ["0010-last.diff", "0002-b.patch", "Z.patch", "a.patch", "é.patch", "0001-A.patch"]
    others = {"README.md": "x", "0000-cover-letter.patch": "x", "sub/0000-c.patch": "x", ".hidden.patch": "x"}
    write(tmp_path, {**{name: change("a", "b") for name in names}, **others})
    (tmp_path / "folder.patch").mkdir()
    listed = [one.file for one in load_folder(tmp_path).patches]
    assert listed == ["0001-A.patch", "0002-b.patch", "0010-last.diff", "Z.patch", "a.patch", "é.patch"]
    shell = git(tmp_path, "-c", "alias.ls=!LC_ALL=C ls *.patch *.diff -d -p | grep -v / | grep -v cover", "ls")
    assert listed == shell.splitlines()


def test_what_git_numbers_applies_in_its_order(tmp_path: Path) -> None:
    """Eleven commits, one on top of the other, by git format-patch itself."""
    repository = write(tmp_path / "r", {"src/a.go": go("0")})
    git(repository, "init", "--quiet")
    commit(repository, "base")
    for number in range(1, 12):
        write(repository, {"src/a.go": go(str(number))})
        commit(repository, f"运行时 {number}" if number == 3 else f"number {number}")
    git(repository, "format-patch", "--cover-letter", "-11", "-o", str(tmp_path / "p"))
    root = write(tmp_path / "go", {"src/a.go": go("0")})
    series = load_folder(tmp_path / "p")
    apply(root, series.patches)
    assert (root / "src/a.go").read_text() == go("11")
    assert (series.patches[2].name, series.patches[2].reason) == ("0003-3", "运行时 3")


def test_a_folder_has_the_digests_of_its_quilt_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden: by whichever way the same patches are named, the stamp is one."""
    monkeypatch.setattr("gobuild.patch.version.installed", lambda _: "0.1.0")
    files = {"0001-a.patch": change("a", "b"), "0002-b.patch": change("b", "c")}
    folder, listed = write(tmp_path / "f", files), write(tmp_path / "q", files)
    write(listed, {"series": "0001-a.patch\n0002-b.patch -p1\n"})
    write(tmp_path / "t", {**files, "series.toml": 'list = "folder"\n'})

    def stamped(path: Path) -> str:
        patches = load_folder(path).patches
        return stamp(RELEASE, suffix="x.{id}", identity="wheel", patches=patches, profile=PROFILES["static"])

    assert stamped(folder) == stamped(listed) == stamped(tmp_path / "t") == "go1.22.10-x.p3d5ea05"
    assert load_folder(folder).patches[0].sha256.startswith("2302357a993aa2c6")
    assert stamped(folder / "0001-a.patch") != stamped(folder)


def test_one_patch_is_a_series(tmp_path: Path) -> None:
    write(tmp_path, {"one.patch": change("a", "b"), "two.patch": "no patch"})
    series = series_of(Settings(series=str(tmp_path / "one.patch")))
    assert [one.name for one in series.patches] == ["one"]
    with pytest.raises(PatchError, match=r"two\.patch holds no unified diff"):
        load_folder(tmp_path / "two.patch")


@pytest.mark.parametrize(
    ("file", "subject", "name", "reason"),
    [
        ("0001-运行.patch", "=?UTF-8?q?=E8=BF=90=E8=A1=8C=E6=97=B6?= go", "0001", "运行时 go"),
        # A folded subject: between encoded words the fold is none, and a character may be cut in two.
        ("a.patch", "[PATCH 1/2] =?UTF-8?q?=E8=BF?=\n =?UTF-8?q?=90=E8=A1=8C?=\n =?UTF-8?b?5pe2?=", "a", "运行时"),
        ("a.patch", "one =?ISO-8859-1?Q?caf=E9?= two\n three", "a", "one café two three"),
        ("运行.patch", "=?nope?q?x?= y", "patch-75b269", "=?nope?q?x?= y"),
        ("a.patch", "=?UTF-8?q?=1B[31m?=", "a", "=?UTF-8?q?=1B[31m?="),
        ("a.patch", "=?UTF-8?b?a?=", "a", "=?UTF-8?b?a?="),
    ],
)
def test_names_and_reasons_in_any_script(tmp_path: Path, file: str, subject: str, name: str, reason: str) -> None:
    (one,) = load_folder(write(tmp_path, {file: mail(subject, change("a", "b"))})).patches
    assert (one.name, one.reason) == (name, reason)


def test_each_mail_of_a_mailbox_is_a_patch_and_has_its_words(tmp_path: Path) -> None:
    letter = f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <a@example.invalid>\nSubject: [PATCH 0/2] all\n\nHi.\n"
    box = letter + mail("[PATCH 1/2] first", change("a", "b")) + mail("[PATCH 2/2] second", change("b", "c"))
    write(tmp_path / "p", {"003-box.patch": box, "004-more.patch": change("c", "d")})
    patches = load_folder(tmp_path / "p").patches
    assert [(one.name, one.reason, one.mail) for one in patches] == [
        ("003-box-1", "first", 1), ("003-box-2", "second", 2), ("004-more", "from a quilt series", 0),
    ]  # fmt: skip
    assert patches[0].sha256 != patches[1].sha256
    root = write(tmp_path / "go", {"src/a.go": go("a")})
    assert [one.state for one in apply(root, patches).outcomes] == [State.APPLIED] * 3
    assert (root / "src/a.go").read_text() == go("d")


BAD = {
    "0001-fine.patch": change("a", "b"),
    "0002-cut.patch": change("b", "c").replace("-b\n", ""),
    "0003-prose.patch": "no diff at all\n",
    "0004-on.patch": change("b", "d"),
}


def test_all_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    series = write(tmp_path / "p", BAD)
    (series / "0005-gone.patch").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PatchError) as caught:
        load_folder(series)
    assert caught.value.reason.startswith(f"3 patches of the series {series} cannot be read:\n")
    for word in (
        "0002-cut.patch line 3: hunk 1",
        "0003-prose.patch holds no",
        "the file '0005-gone.patch' leads outside",
    ):
        assert word in caught.value.reason
    assert "patches.adopt" in caught.value.hint
    listed = "".join(entry(name, go="<1.22") for name in ("0001-fine", "0002-cut", "0003-prose"))
    write(series, {"series.toml": listed})
    with pytest.raises(PatchError, match=r"line 11, patch '0002-cut': 0002-cut\.p(.|\n)*line 17, patch '0003-prose': "):
        load_folder(series)


def test_what_cannot_be_read_is_a_state(tmp_path: Path) -> None:
    series = load_folder(write(tmp_path / "p", BAD), strict=False)
    trees = {RELEASE: write(tmp_path / "go", {"src/a.go": go("a")})}
    matrix = status(series, trees, target=MAC, profile="static")
    states = {row.patch.name: row.outcomes[0].state for row in matrix.rows}
    applied, unreadable = State.APPLIED, State.UNREADABLE
    assert states == {"0001-fine": applied, "0002-cut": unreadable, "0003-prose": unreadable, "0004-on": applied}
    assert [one.evidence for one in matrix.unreadable][1] == "0003-prose.patch holds no unified diff"
    assert matrix.to_json()["unreadable"] == 2
    assert matrix.conflicts == ()
    assert "<strong>2 unreadable</strong>" in matrix_page(matrix)
    with pytest.raises(PatchError, match="0002-cut"):
        apply(trees[RELEASE], series.patches)
    # One for other versions alone is told of as well: a build would refuse the series.
    write(tmp_path / "p", {"series.toml": entry("0001-fine") + entry("0003-prose", go="<1.21")})
    later = status(load_folder(tmp_path / "p", strict=False), trees, target=MAC, profile="static")
    assert [one.name for one in later.unreadable] == ["0003-prose"]


@pytest.mark.parametrize(
    ("keys", "path", "placing"),
    [
        ("strip = 2\n", "a/go/src/a.go", "strip=2"),
        ("strip = 0\n", "src/a.go", "strip=0"),
        ('dir = "src"\n', "a/a.go", "dir=src"),
        ('strip = 3\ndir = "src"\n', "x/y/z/a.go", "strip=3 dir=src"),
    ],
)
def test_where_a_patchs_names_begin(tmp_path: Path, keys: str, path: str, placing: str) -> None:
    """The result is patch(1)'s, and the digest another one than that of the same lines meant otherwise."""
    new = path if "strip" in keys else path.replace("a/", "b/", 1)
    diff = change("a", "b", "PATH").replace("a/PATH", path).replace("b/PATH", new)
    write(tmp_path / "p", {"series.toml": entry("p", more=keys), "p.patch": diff})
    (one,) = load_folder(tmp_path / "p").patches
    assert one.placing == placing
    root = write(tmp_path / "go", {"src/a.go": go("a")})
    apply(root, (one,))
    assert (root / "src/a.go").read_text() == go("b")
    other = write(tmp_path / "other", {"src/a.go": go("a")})
    strip = f"-p{dict(word.split('=') for word in placing.split()).get('strip', '1')}"
    folder = other / "src" if "dir" in placing else other
    git(folder, "-c", f"alias.p=!{needs('patch')} -s {strip} -d '{folder}' < '{tmp_path / 'p/p.patch'}'", "p")
    assert (other / "src/a.go").read_bytes() == (root / "src/a.go").read_bytes()
    (plain,) = load_folder(write(tmp_path / "q", {"series.toml": entry("p"), "p.patch": change("a", "b")})).patches
    (again,) = load_folder(write(tmp_path / "q", {"series.toml": entry("p", more=keys)}), strict=False).patches
    assert plain.sha256 != again.sha256


def test_deeper_names_in_quilts_list(tmp_path: Path) -> None:
    diff = change("a", "b", "PATH").replace("a/PATH", "a/go/src/a.go").replace("b/PATH", "b/go/src/a.go")
    (one,) = load_folder(write(tmp_path / "p", {"series": "p.patch -p2\n", "p.patch": diff})).patches
    root = write(tmp_path / "go", {"src/a.go": go("a")})
    apply(root, (one,))
    assert (root / "src/a.go").read_text() == go("b")
    assert one.placing == "strip=2"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("strip = 10\n", "strip = 10"),
        ("strip = true\n", "strip = True"),
        ("strip = -1\n", "strip = -1"),
        ('dir = "../x"\n', "dir = '../x'"),
        ('dir = "/src"\n', "dir = '/src'"),
        ('without = ["x"]\n', "without stands in a patch"),
    ],
)
def test_what_places_nothing_is_refused(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(PatchError, match=r"line 7, patch 'p': ") as caught:
        load_folder(write(tmp_path, {"series.toml": entry("p", more=more), "p.patch": change("a", "b")}))
    assert says in caught.value.reason
