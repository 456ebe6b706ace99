"""What a diff may say besides lines of one file: read where it means one thing alone, applied strictly, or refused."""

import base64
import re
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from patch_fixtures import apply, series_of, snapshot, write

from gobuild.core.errors import PatchError
from gobuild.core.model import Outcome, State
from gobuild.patch.diff.file_diff import blob_name
from gobuild.patch.diff.mailbox import split_mailbox
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.safe_read import MOST_BYTES, safe_read
from gobuild.patch.tree import Tree

TEXT = "one\ntwo\nthree\n"
HEAD = "diff --git a/b b/b\n"
EDIT = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"


def moved(old: str, new: str, *, does: str = "rename", hunks: str = "") -> str:
    head = f"diff --git a/{old} b/{new}\nsimilarity index 90%\n{does} from {old}\n{does} to {new}\n"
    return head + (f"--- a/{old}\n+++ b/{new}\n{hunks}" if hunks else "")


def edit(path: str, hunks: str = EDIT) -> str:
    return f"--- a/{path}\n+++ b/{path}\n{hunks}"


def mode(path: str, old: str = "100644", new: str = "100755") -> str:
    return f"diff --git a/{path} b/{path}\nold mode {old}\nnew mode {new}\n"


def applied(root: Path, files: Mapping[str, str | bytes], *diffs: str | bytes) -> tuple[dict[str, str], Outcome]:
    """What became of a tree's files, and of the last diff; a second time, all of it is upstream already."""
    go = write(root / "go", {"VERSION": "go1.22.10\n", **files})
    patches = series_of(root / "s", *diffs)
    outcome = apply(go, patches).outcomes[-1]
    found = {name: content.decode() for name, (content, _) in snapshot(go).items() if name != "VERSION"}
    assert [again.state for again in apply(go, patches[-1:]).outcomes] == [State.ALREADY_UPSTREAM]
    return found, outcome


def refusal(root: Path, files: Mapping[str, str | bytes], diff: str | bytes) -> PatchError:
    """Why a diff is refused, read or applied; not a byte is changed."""
    go = write(root / "go", files)
    before = snapshot(root)
    with pytest.raises(PatchError) as caught:
        parse_diff(diff if isinstance(diff, bytes) else diff.encode()).apply(Tree(go))
    assert snapshot(root) == before
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("files", "diff", "after", "evidence"),
    [
        ({"a": TEXT}, moved("a", "d/b"), {"d/b": TEXT}, "renamed a to d/b"),
        ({"a": TEXT}, moved("a", "b", hunks=EDIT), {"b": "one\n2\nthree\n"}, "renamed a to b, 1 hunk in b"),
        (
            {"a": "A", "b": TEXT},
            moved("a", "b") + moved("b", "a", hunks=EDIT),
            {"a": "one\n2\nthree\n", "b": "A"},
            "renamed a to b; renamed b to a, 1 hunk in a",
        ),
        ({"a": "A", "b": "B"}, moved("a", "b") + moved("b", "c"), {"b": "A", "c": "B"}, ""),
        ({"b": "B", "a": "A"}, moved("b", "c") + moved("a", "b"), {"b": "A", "c": "B"}, ""),
        # A copy is one of the file as it was, also where the same patch has changed that by then.
        ({"a": TEXT}, edit("a") + moved("a", "b", does="copy"), {"a": "one\n2\nthree\n", "b": TEXT}, ""),
        ({"a": TEXT}, moved("a", "b", does="copy", hunks=EDIT), {"a": TEXT, "b": "one\n2\nthree\n"}, "copied a to b"),
        ({"a": TEXT}, moved("a", "b", does="copy") + moved("a", "c"), {"b": TEXT, "c": TEXT}, ""),
        ({"a": TEXT}, moved("a", "b") + HEAD + edit("b"), {"b": "one\n2\nthree\n"}, ""),
        ({"e": ""}, edit("e", "@@ -0,0 +1 @@\n+a\n"), {"e": "a\n"}, ""),
        ({"e": "a\n"}, edit("e", "@@ -1 +0,0 @@\n-a\n"), {"e": ""}, ""),
    ],
)
def test_renames_and_copies(
    tmp_path: Path, files: dict[str, str], diff: str, after: dict[str, str], evidence: str
) -> None:
    found, outcome = applied(tmp_path, files, diff)
    assert found == after
    assert evidence in outcome.evidence
    assert set(outcome.files) == {name for name in {**files, **after} if files.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("files", "diff", "says"),
    [
        ({"a": TEXT, "b": "x"}, moved("a", "b"), "renames a to b, which is there already"),
        ({"a": TEXT, "b": "x"}, moved("a", "b", does="copy"), "copies a to b, which is there already"),
        ({"x": TEXT}, moved("a", "b"), "renames a, which this source does not have"),
        ({"b": TEXT}, moved("a", "b", hunks=EDIT), "renames a, which this source does not have"),
        ({"a": TEXT}, moved("a", "b", hunks=EDIT.replace("three", "3")), "b: hunk 1 (@@ -1,3 +1,3 @@) does not apply"),
        ({"a": TEXT}, edit("a") + moved("a", "b"), "line 8: renames a, which line 1 changes as well"),
        ({"a": TEXT}, moved("a", "b") + moved("b", "a") + edit("a") + edit("b", EDIT.replace("one", "1")), "line"),
        ({"a": TEXT}, moved("../a", "b"), "line 1: names a file outside of the source: '../a'"),
        ({"a": TEXT}, moved("a", "../b"), "line 1: names a file outside of the source: '../b'"),
        ({"a": TEXT}, moved("a", ".git/hooks/pre-commit", does="copy"), "git's own"),
        ({"a": TEXT}, moved("/a", "b"), "names the file '/a'"),
        ({"a": TEXT}, moved("a", "a"), "line 1: rename from a to a"),
        ({"a": TEXT}, moved("a", "b", hunks=EDIT).replace("+++ b/b", "+++ b/c"), "and other names as well"),
        ({"a": TEXT}, moved("a", "b").replace("rename to", "copy to"), "rename from a to none"),
        ({"a": TEXT}, moved("a", "b") + "rename to c\n", "line 5 says 'rename to' for the second time"),
        ({"a": TEXT}, edit("a").replace("--- a/a", "diff --git a/b b/b\n--- a/a"), "names b in its first line"),
        ({"a": TEXT}, edit("a" * 256), "line 1: names a file by 256 characters"),
        ({"a": TEXT}, edit("a", "@@ -0,0 +0,0 @@\n\\ No newline at end of file\n"), "changes nothing: line 3: hunk 1"),
        ({"a": TEXT}, mode("a", "100644", "120000"), "line 1: makes a a file of mode 120000"),
        ({"a": TEXT}, f"diff --git a/a b/a\nindex 1234567..89abcde 120000\n{edit('a')}", "mode 120000"),
        (
            {"a": TEXT},
            "diff --git a/a b/a\nindex 1234567..89abcde 100644\n",
            "has no hunks for a, whose content changes",
        ),
        ({}, "diff --git a/a b/a\nnew file mode 100644\nindex 0000000..89abcde\n", "has no hunks for a"),
        ({"a": "x\na\n"}, edit("a", "@@ -1 +1 @@\n-a\n+b\n"), "and its text stands elsewhere"),
        ({"a": "x\n"}, edit("a", "@@ -0,0 +1 @@\n+b\n"), "does not apply"),
        ({}, edit("a").replace("--- a/a", "--- /dev/null"), "line 1: says that a is new, and changes lines of it"),
        (
            {"a": TEXT},
            edit("a").replace("+++ b/a", "+++ /dev/null"),
            "line 1: says that a goes, and leaves lines of it",
        ),
        ({"a": TEXT}, edit("a") + "words\n@@ -3 +3 @@\n-three\n+3\n", "line 9: a hunk stands apart from its file"),
        ({"a": TEXT}, "--- a/a\n+++ b/a\nwords\n", "line 2: no hunk stands behind the names"),
        ({"a": TEXT}, edit("a", "@@ -1,3 +1,3 @\n"), "line 3 is no header of a hunk"),
        ({"a": TEXT}, edit("a", EDIT + " \n+lost\n"), "line 9: hunk 1 (@@ -1,3 +1,3 @@) goes on"),
        ({"a": TEXT}, edit("a", EDIT.replace("+2\n", "+2\n+3\n")), "line 8: hunk 1 (@@ -1,3 +1,3 @@) has more"),
        ({"a": TEXT}, edit("a", EDIT.replace("-two\n", "-two\n-three\n-four\n")), "line 7: hunk 1"),
        (
            {"go/src/x": TEXT, "src/x": TEXT},
            edit("src/x").replace("--- a/", "--- a/go/"),
            "names one file src/x and go/src/x, and both are there",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, files: dict[str, str], diff: str, says: str) -> None:
    assert says in refusal(tmp_path, files, diff).reason


def test_a_mode_changes_and_stays(tmp_path: Path) -> None:
    script = {"run.sh": "#!/bin/sh\n"}
    _, outcome = applied(tmp_path, script, mode("run.sh"))
    assert outcome.evidence == "run.sh can be run"
    assert (tmp_path / "go/run.sh").stat().st_mode & 0o777 == 0o755
    apply(tmp_path / "go", series_of(tmp_path / "2", moved("run.sh", "ran.sh")))
    assert (tmp_path / "go/ran.sh").stat().st_mode & 0o777 == 0o755
    both = mode("ran.sh", "100755", "100644") + edit("ran.sh", "@@ -1 +1,2 @@\n #!/bin/sh\n+true\n")
    apply(tmp_path / "go", series_of(tmp_path / "3", both))
    assert (tmp_path / "go/ran.sh").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("there", ["src/x", "go/src/x"])
def test_of_two_names_the_one_that_is_there_is_meant(tmp_path: Path, there: str) -> None:
    change = edit("src/x").replace("--- a/", "--- a/go/")
    found, outcome = applied(tmp_path, {there: TEXT}, change)
    assert (list(found), outcome.files) == ([there], (there,))


@pytest.mark.parametrize(("old", "new"), [("i/", "w/"), ("c/", "i/"), ("o/", "w/"), ("b/", "a/")])
def test_gits_other_prefixes(tmp_path: Path, old: str, new: str) -> None:
    diff = f"diff --git {old}src/x {new}src/x\n--- {old}src/x\n+++ {new}src/x\n{EDIT}"
    assert applied(tmp_path, {"src/x": TEXT}, diff)[1].files == ("src/x",)


@pytest.mark.parametrize(
    ("names", "strip", "hint"),
    [
        ("src/cmd/a", None, "-p0 would fit"),
        ("go/src/cmd/a", None, "-p1 would fit"),
        ("./go/src/cmd/a", None, "-p2 would fit"),
        ("x/y/z", None, "with a/ and b/ in front"),
        ("a/go/src/cmd/a", None, "src/cmd/a is there: -p2 would fit, or strip = 2 in a series.toml"),
        ("a/cmd/a", None, 'src/cmd/a is there: dir = "src" in a series.toml'),
        ("src/cmd/a", 1, "src/cmd/a is there: -p0 would fit if the diff names it so, else dir"),
        ("go/src/cmd/a", 0, "src/cmd/a is there: -p1 would fit, or strip = 1"),
        ("a/test/a", None, "a wheel has no test, api and doc folders"),
    ],
)
def test_what_would_fit_is_told(tmp_path: Path, names: str, strip: int | None, hint: str) -> None:
    tree = Tree(write(tmp_path, {"src/cmd/a": TEXT}))
    with pytest.raises(PatchError) as caught:
        parse_diff(f"--- {names}\n+++ {names}\n{EDIT}".encode(), strip=strip).apply(tree)
    assert hint in caught.value.hint


def test_a_folder_is_put_in_front_and_more_is_taken_off(tmp_path: Path) -> None:
    for name, strip, folder in (
        ("a/cmd/x", None, "src"),
        ("go/1/cmd/x", 2, "src"),
        ("cmd/x", 0, "src"),
        ("a/src/cmd/x", 1, ""),
    ):
        (file,) = parse_diff(f"--- {name}\n+++ {name}\n{EDIT}".encode(), strip=strip, folder=folder).files
        assert file.path == "src/cmd/x"
    (file,) = parse_diff(moved("x", "y").encode(), folder="src").files
    assert (file.source, file.path) == ("src/x", "src/y")
    with pytest.raises(PatchError, match="outside of the source"):
        parse_diff(edit("../x").encode(), folder="src")


@pytest.mark.parametrize(
    ("diff", "notes"),
    [
        ("diff --git a/a b/a\n" + edit("a"), []),
        ("diff --git a/a b/a\ndiff --git a/a b/a\n" + edit("a"), ["line 1: changes nothing in a"]),
        (
            mode("b", "100644", "100644") + HEAD.replace("a/b b/b", "a/a b/a") + edit("a"),
            ["line 1: changes nothing in b"],
        ),
        (edit("a") + "@@ -9 +9 @@\n-x\n+x\n", ["line 8: hunk 2 (@@ -9 +9 @@) changes nothing"]),
        (edit("a") + " \n \t\n", ["line 8: a blank line behind what hunk 1 (@@ -1,3 +1,3 @@) counts"]),
        (edit("a") + "-- \n2.30.1", ["line 9 has no newline, behind all that the hunks count"]),
        (edit("a") + "-- \n2.30.1\n\n", []),
    ],
)
def test_what_is_harmless_is_a_note(tmp_path: Path, diff: str, notes: list[str]) -> None:
    assert list(parse_diff(diff.encode()).notes) == notes
    assert applied(tmp_path, {"a": TEXT}, diff)[0] == {"a": "one\n2\nthree\n"}


def b85(data: bytes) -> bytes:
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    cuts = [data[at : at + 52] for at in range(0, len(data), 52)]
    return b"".join(
        letters[len(cut) - 1 :][:1] + base64.b85encode(cut, pad=True)[: -(-len(cut) // 4) * 5] + b"\n" for cut in cuts
    )


def binary(old: bytes, new: bytes, kind: bytes, data: bytes, size: int | None = None) -> bytes:
    names = blob_name(old).encode(), blob_name(new).encode()
    head = b"diff --git a/x b/x\nindex %s..%s 100644\nGIT binary patch\n" % names
    return head + b"%s %d\n%s\n" % (kind, len(data) if size is None else size, b85(zlib.compress(data)))


OLD, NEW = b"\0old content", b"\0old\0 new"
DELTA = bytes([len(OLD), len(NEW), 0x90, 4, 5]) + NEW[4:]


def test_a_binary_patch_is_for_one_content(tmp_path: Path) -> None:
    for number, diff in enumerate((binary(OLD, NEW, b"literal", NEW), binary(OLD, NEW, b"delta", DELTA))):
        tree = Tree(write(tmp_path / str(number), {"x": OLD}))
        assert parse_diff(diff).apply(tree).evidence == "another content for x"
        assert tree.read_file("x") == NEW
        assert "x is another file than the one" in refusal(tmp_path / f"n{number}", {"x": OLD + b"!"}, diff).reason
        # Without the way back, nothing tells that it is upstream.
        assert "x is another file than the one" in refusal(tmp_path / f"u{number}", {"x": NEW}, diff).reason


@pytest.mark.parametrize(
    ("diff", "says"),
    [
        (binary(OLD, OLD, b"literal", NEW), "does not make what its index line says"),
        (binary(OLD, NEW, b"delta", bytes([3, *DELTA[1:]])), "it is for 3 bytes, and there are 12"),
        (binary(OLD, NEW, b"delta", bytes([*DELTA[:3], 3, *DELTA[4:]])), "does not make the 9 bytes"),
        (binary(OLD, NEW, b"delta", bytes([12, 9, 0x91, 8, 9])), "it copies what is not there"),
        (binary(OLD, NEW, b"delta", bytes([12, 9, 0x80])), "it copies what is not there"),
        (binary(OLD, NEW, b"delta", bytes([12, 9, 0xFF])), "binary delta is damaged"),
        (binary(OLD, NEW, b"delta", bytes([12, 9, 0])), "an order that is none"),
        (binary(OLD, NEW, b"delta", bytes([12, 9, 9, 1])), "an order that is none"),
        (binary(OLD, NEW, b"delta", b"\xff" * 9), "line 4: its binary data is damaged: a number without an end"),
        (
            binary(OLD, NEW, b"delta", bytes([12, 0xFF, 0xFF, 0xFF, 0x7F])),
            "line 4: its binary data makes more than 16 MB",
        ),
        (binary(OLD, NEW, b"literal", bytes(500_000), 99), "it is not the 99 bytes that it says"),
        (binary(OLD, NEW, b"literal", NEW, 1 << 29), "larger than 16 MB"),
        (binary(OLD, NEW, b"literal", NEW, 8), "it is not the 8 bytes that it says"),
        (
            re.sub(rb"(literal 9\n).", rb"\1Z", binary(OLD, NEW, b"literal", NEW)),
            "a line of another length than it says",
        ),
        (binary(OLD, NEW, b"literal", NEW).replace(b"literal", b"vanilla"), "line 4 is neither literal nor delta"),
        (
            binary(OLD, NEW, b"literal", NEW).replace(blob_name(OLD).encode(), b"1234567"),
            "the whole names of its contents",
        ),
        (
            re.sub(rb"\nliteral.*", b"\n", binary(OLD, NEW, b"literal", NEW), flags=re.DOTALL),
            "neither literal nor delta",
        ),
    ],
)
def test_binary_patches_that_are_damaged_or_hostile(tmp_path: Path, diff: bytes, says: str) -> None:
    assert says in refusal(tmp_path, {"x": OLD}, diff).reason


HUNK = b"@@ -1 +1 @@\n-a\n+b\n"
MAIL = b"From 1234567 Mon Sep 17 00:00:00 2001\nSubject: x\n\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: edit("a", "").encode() + HUNK * 1_000_000, "more than 1,000,000 lines"),
        (lambda: edit("a", "").encode() + HUNK * 300_000, "more than 50,000 files and hunks"),
        (lambda: b"diff --git a/a b/a\n" * 900_000, "more than 50,000 files and hunks"),
        (lambda: (b"diff --git a/" + b"x " * 400 + b" b/y\n") * 40_000, "has no name"),
        (lambda: b"\n" * (1 << 26), "more than 1,000,000 lines"),
        (lambda: edit("a", "@@ -1,2 +1,999999 @@\n a\n").encode() + b"+b\n" * 900_000, "ends at line 900005"),
        (lambda: MAIL * 300_000, "more than 10000 mails"),
        (lambda: b"From " + b"1:11:11 1111" * 1_000_000 + b"\n", "no unified diff"),
        (lambda: binary(OLD, NEW, b"literal", bytes(100_000)) * 10_000, "larger than 16 MB"),
        (lambda: binary(OLD, NEW, b"literal", bytes(1 << 26), 99), "more than its size"),
    ],
)
def test_hostile_patches_end_soon(content: Callable[[], bytes], says: str) -> None:
    whole = content()  # made here: what a worker of the tests once had counts as every program's that it starts
    begin = time.process_time()
    with pytest.raises(PatchError, match=says):
        for mail in split_mailbox(whole):
            parse_diff(mail)
    assert time.process_time() - begin < 3


def test_a_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.patch").open("wb") as file:
        file.truncate(MOST_BYTES << 10)
    with pytest.raises(PatchError, match="has 65536 MB"):
        safe_read(tmp_path, "large.patch")


def test_many_hunks_of_one_file_are_found_soon(tmp_path: Path) -> None:
    lines = [b"line %d\n" % number for number in range(40_000)]
    hunks = b"".join(
        b"@@ -%d,3 +%d,3 @@\n " % (at + 1, at + 1) + b"%s-%s+new\n %s" % tuple(lines[at : at + 3])
        for at in range(0, 39_996, 4)
    )
    (tmp_path / "t").write_bytes(b"// more\n" + b"".join(lines))
    begin = time.process_time()
    change = parse_diff(b"--- a/t\n+++ b/t\n" + hunks).apply(Tree(tmp_path))
    assert change.evidence == "9999 hunks in t (9999 moved)"
    assert time.process_time() - begin < 3
