"""A plain quilt series: quilt's own words, taken as they are or refused by name."""

import os
from pathlib import Path

import pytest
from needs import needs
from patch_fixtures import apply, entry, write

from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.process import run
from gobuild.patch import load_folder

QUILTED = """\
Description: makes a into b
 and says at length why
Author: A. Person <a@example.invalid>
---
Index: go/a
===================================================================
--- go.orig/a
+++ go/a
@@ -1 +1 @@
-a
+b
"""
MAIL = """\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: A. Person <a@example.invalid>
Subject: [PATCH 2/3] cmd/x: a subject that goes on
 in the next line

Why.
---
--- a/sub/c
+++ b/sub/c
@@ -1 +1 @@
-c
+C
"""
BARE = "--- a.orig\n+++ a\n@@ -1 +1 @@\n-b\n+B\n"
NEW = "--- x/n\t1970-01-01 00:00:00.000000000 +0000\n+++ y/n\t2024-01-01 00:00:00.000000000 +0000\n@@ -0,0 +1 @@\n+n\n"
GONE = "--- x/g\t2024-01-01 00:00:00.000000000 +0000\n+++ y/g\t1970-01-01 01:00:00.000000000 +0100\n@@ -1 +0,0 @@\n-g\n"
SERIES = "# a comment\n\nfirst.patch\n0002-Some_Mail.diff -p1  # another\n  bare.patch -p0\nsub/new.patch\ngone.patch\n"


def folder(root: Path, series: str = SERIES, **more: str) -> Path:
    files = {"series": series, "first.patch": QUILTED, "0002-Some_Mail.diff": MAIL, "bare.patch": BARE}
    return write(root, {**files, "sub/new.patch": NEW, "gone.patch": GONE, **more})


def test_a_quilt_series_is_for_every_version(tmp_path: Path) -> None:
    series = load_folder(folder(tmp_path / "s"))
    told = [(one.name, one.file, one.reason) for one in series.patches]
    assert told == [
        ("first", "first.patch", "makes a into b"),
        ("0002-some-mail", "0002-Some_Mail.diff", "cmd/x: a subject that goes on in the next line"),
        ("bare", "bare.patch", "from a quilt series"),
        ("new", "sub/new.patch", "from a quilt series"),
        ("gone", "gone.patch", "from a quilt series"),
    ]
    for version in ("1.4", "1.22.10", "1.28rc1", "1.99.9"):
        chosen = series.select(GoVersion.parse(version), Target.parse("linux/arm64"), "static")
        assert chosen == series.patches
    assert "Index:" not in series.patches[0].description


def test_it_applies(tmp_path: Path) -> None:
    root = write(tmp_path / "go", {"a": "a\n", "sub/c": "c\n", "g": "g\n"})
    apply(root, load_folder(folder(tmp_path / "s")).patches)
    assert {name: (root / name).read_text() for name in ("a", "sub/c", "n")} == {"a": "B\n", "sub/c": "C\n", "n": "n\n"}
    assert not (root / "g").exists()


def test_series_toml_comes_first(tmp_path: Path) -> None:
    own = {"series.toml": entry("only"), "only.patch": "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-b\n+B\n"}
    assert [one.name for one in load_folder(folder(tmp_path, **own)).patches] == ["only"]


@pytest.mark.parametrize(
    ("series", "says"),
    [
        ("# nothing\n", "names no patch"),
        ("first.patch\n+guard bare.patch\n", "line 2: '+guard' is a guard"),
        ("-guard bare.patch\n", "line 1: '-guard' is a guard"),
        ("bare.patch -p10\n", "line 1: '-p10' is not supported"),
        ("bare.patch -p2\n", "line 1: bare.patch line 1: names the file 'a.orig', which does not read FOLDER/FOLDER/"),
        ("bare.patch -p0 -R\n", "line 1: '-R' is not supported"),
        ("bare.patch -p0 -p1\n", "line 1: bare.patch has -p0 and -p1"),
        ("bare.patch\n", "line 1: bare.patch line 1: names the file 'a.orig'"),
        ("first.patch\r\n", "line 1: has a CRLF line end"),
        ("\nmissing.patch\n", "line 2: the file 'missing.patch' cannot be read"),
        ("../first.patch\n", "line 1: the file '../first.patch' is outside"),
        ("link.patch\n", "line 1: the file 'link.patch' leads outside"),
        ("first.patch\nsub/first.patch\n", "line 2: the patch 'first' twice: also at line 1"),
        ("---.patch\n", "is a guard"),
        ("up.patch -p0\n", "line 1: up.patch line 1: names a file outside of the source: '../a'"),
        ("up.patch -p1\n", "line 1: up.patch line 2: names a file outside of the source: 'x/../a'"),
        ("root.patch -p0\n", "line 1: root.patch line 1: names the file '/etc/passwd'"),
        ("root.patch -p1\n", "line 1: root.patch line 1: names the file '/etc/passwd'"),
        ("git.patch -p1\n", "git's own"),
    ],
)
def test_what_is_refused(tmp_path: Path, series: str, says: str) -> None:
    def names(name: str) -> str:
        return f"--- {name}\n+++ {name}\n@@ -1 +1 @@\n-a\n+b\n"

    write(tmp_path, {"outside.patch": QUILTED})
    bad = {
        "sub/first.patch": QUILTED,
        "up.patch": names("../a").replace("+++ ../a", "+++ x/../a"),
        "root.patch": names("/etc/passwd"),
        "git.patch": names("x/.git/config"),
    }
    root = folder(tmp_path / "s", series, **bad)
    (root / "link.patch").symlink_to(tmp_path / "outside.patch")
    with pytest.raises(PatchError) as caught:
        load_folder(root)
    assert says in caught.value.reason
    assert str(root / "series") in caught.value.reason
    assert caught.value.hint
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("strip", ["1", "0", "ab"])
def test_what_the_real_quilt_writes(tmp_path: Path, strip: str) -> None:
    quilt = needs("quilt")
    root = write(tmp_path / "go", {"src/a.go": "package a\n\nvar x = 1\n", "gone": "g\n"})
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "QUILT_PATCHES": str(tmp_path / "s"), "QUILT_PC": ".pc"}

    def call(*words: str) -> None:
        run([quilt, "--quiltrc", "-", *words], env=env, cwd=root)

    (tmp_path / "s").mkdir()
    call("new", "one.patch")
    call("add", "src/a.go", "src/n.go", "gone")
    (root / "src/a.go").write_text("package a\n\nvar x = 2\n")
    (root / "src/n.go").write_text("package a\n")
    (root / "gone").unlink()
    call("refresh", "-p", strip)
    call("pop", "-a")
    assert "x = 1" in (root / "src/a.go").read_text()
    apply(root, load_folder(tmp_path / "s").patches)
    assert "x = 2" in (root / "src/a.go").read_text()
    assert (root / "src/n.go").read_text() == "package a\n"
    assert not (root / "gone").exists()
