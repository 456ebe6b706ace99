"""Random changes of small trees, as git writes them: what gobuild makes of a diff is what git apply makes of it.

A tree is files of text, of bytes, empty ones and scripts; a change edits, renames, copies, swaps, deletes and adds.
"""

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from needs import needs
from patch_fixtures import snapshot
from workbench_fixtures import USER

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.tree import Tree

Files = dict[str, tuple[bytes, bool]]
"""Contents by path, and whether each can be run."""

NAMES = ("src/a.go", "src/b.go", "src/deep/c.go", "src/d d.sh", "src/ü.txt", "lib/x.syso", "top", "src/new.go")
WORDS = (b"one", b"two", b"three", b"\treturn", b"}", b"", b"func f() {", b"func g() {", b"\r", b"\xe9", b"// long")
FORMS = (
    ("-M",),
    ("-M", "-C", "--find-copies-harder"),
    ("-M30%", "-C30%", "--find-copies-harder", "--full-index"),
    ("--no-renames",),
    ("-M", "-B", "--unified=1"),
    ("-M", "--src-prefix=i/", "--dst-prefix=w/"),
    ("-M", "--no-prefix"),
    ("-M", "--unified=5", "-W"),
)
MAIL = b"From 1234567890 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] x\n\n---\n"


def content(chance: random.Random) -> bytes:
    kind = chance.randrange(10)
    if kind == 0:
        return b""
    if kind < 3:
        return b"\0" + chance.randbytes(chance.choice((3, 200, 9000)))
    lines = [chance.choice(WORDS) + b" %d" % chance.randrange(40) for _ in range(chance.randrange(1, 60))]
    return b"\n".join(lines) + b"\n" * chance.choice((0, 1, 1, 1))


def edited(chance: random.Random, old: bytes) -> bytes:
    """The content with something changed: in the middle, at either end, or by bytes where it is no text."""
    if b"\0" in old:
        at = chance.randrange(len(old) + 1)
        return old[:at] + chance.randbytes(chance.randrange(1, 5)) + old[at + chance.randrange(3) :]
    lines = old.splitlines(keepends=True)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.choice((0, len(lines), chance.randrange(len(lines) + 1)))
        added = [chance.choice(WORDS) + b" new %d\n" % chance.randrange(9) for _ in range(chance.randrange(3))]
        if at and not lines[at - 1].endswith(b"\n"):
            lines[at - 1] += b"\n"
        lines[at : at + chance.randrange(3)] = added
    return b"".join(lines)


def changed(chance: random.Random, old: Files) -> Files:
    new = dict(old)
    for _ in range(chance.choice((1, 1, 2, 4))):
        names, free = sorted(new), [name for name in NAMES if name not in new]
        one, two = chance.choice(names), chance.choice(names)
        what = chance.choice(("edit", "edit", "edit", "rename", "copy", "swap", "delete", "add", "mode", "anew"))
        if what in ("rename", "copy") and free:
            to = chance.choice(free)
            new[to] = edited(chance, new[one][0]) if chance.random() < 0.5 else new[one][0], new[one][1]
            if what == "rename":
                del new[one]
            elif chance.random() < 0.5:
                new[one] = edited(chance, new[one][0]), new[one][1]
        elif what == "swap":
            new[one], new[two] = new[two], new[one]
        elif what == "delete" and len(new) > 1:
            del new[one]
        elif what == "add" and free:
            new[chance.choice(free)] = content(chance), chance.random() < 0.3
        elif what == "mode":
            new[one] = new[one][0], not new[one][1]
        elif what == "anew":
            new[one] = content(chance), new[one][1]
        else:
            new[one] = edited(chance, new[one][0]), new[one][1]
    return new


def drifted(chance: random.Random, old: Files) -> Files:
    """What upstream might have made of it: lines put on top of some texts, or at their ends, or one changed."""
    new = dict(old)
    for path, (text, executable) in old.items():
        if text and b"\0" not in text and chance.random() < 0.6:
            more = b"// upstream\n" * chance.choice((1, 4, 30))
            lines = text.splitlines(keepends=True)
            at = chance.randrange(len(lines))
            lines[at : at + 1] = [b"// changed\n"] if at + 1 < len(lines) else []
            new[path] = chance.choice((more + text, text + more, b"".join(lines) or more)), executable
    return new


def lay_out(files: Files, root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, (text, executable) in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text)
        (root / path).chmod(0o755 if executable else 0o644)
    return root


def found(root: Path) -> Files:
    return {path: (text, bool(mode & 0o100)) for path, (text, mode) in snapshot(root).items()}


def git(folder: Path, *words: str, stdin: bytes = b"", check: bool = True) -> bytes | None:
    """Git's output, None where it fails."""
    env = {**USER, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run([needs("git"), *words], cwd=folder, env=env, input=stdin, capture_output=True, check=check)
    return None if done.returncode else done.stdout


def by_git(folder: Path, files: Files, diff: bytes, *words: str) -> Files | None:
    root = lay_out(files, folder / "theirs")
    return None if git(root, "apply", *words, "-", stdin=diff, check=False) is None else found(root)


def ours(folder: Path, files: Files, diff: bytes, strip: int | None = None) -> tuple[Files | None, str]:
    """What gobuild makes of it, and its state; None where it refuses, and why. A refusal changes nothing."""
    root = lay_out(files, folder / "ours")
    tree = Tree(root)
    try:
        change = parse_diff(diff, strip=strip).apply(tree)
    except PatchError as error:
        assert error.hint
        tree.commit()
        assert found(root) == files
        return None, error.reason
    tree.commit()
    return found(root), change.state


class Writer:
    """A repository in which git writes the diffs between trees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        git(folder, "init", "--quiet", "--template=")

    def tree(self, files: Files) -> str:
        for name in (name for name in self.folder.iterdir() if name.name != ".git"):
            shutil.rmtree(name) if name.is_dir() else name.unlink()
        for path, (text, executable) in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(text)
            (self.folder / path).chmod(0o755 if executable else 0o644)
        git(self.folder, "add", "--all")
        return (git(self.folder, "write-tree") or b"").decode().strip()

    def diff(self, old: Files, new: Files, *form: str) -> bytes:
        return git(self.folder, "diff-tree", "-r", "-p", "--binary", *form, self.tree(old), self.tree(new)) or b""


@pytest.mark.parametrize("seed", [1, 2])
def test_the_result_is_gits(tmp_path: Path, seed: int, many: int = 60) -> None:
    chance, writer, counts = random.Random(seed), Writer(tmp_path / "repo"), Counter[str]()
    while counts["cases"] < many:
        names = chance.sample(NAMES, 5)
        before = {name: (content(chance), chance.random() < 0.3) for name in names}
        after = changed(chance, before)
        form = FORMS[counts["cases"] % len(FORMS)]
        words, strip = (("-p0",), 0) if "--no-prefix" in form else ((), None)
        if not (diff := writer.diff(before, after, *form)):
            continue
        counts["cases"] += 1
        counts.update(word for word in ("rename from", "copy from", "GIT binary", "new mode") if word.encode() in diff)
        theirs = by_git(tmp_path, before, diff, *words)
        if theirs is None:  # with -B, git writes diffs that it does not take
            assert "-B" in form
            assert ours(tmp_path, before, diff, strip)[0] in (None, after)
            continue
        assert theirs == after
        made, state = ours(tmp_path, before, diff, strip)
        assert made == after, f"{state}\n{diff.decode(errors='replace')}"
        made, state = ours(tmp_path, after, diff, strip)
        counts["upstream"] += state == State.ALREADY_UPSTREAM
        assert made in (None, after) or made == by_git(tmp_path, after, diff, *words), diff.decode(errors="replace")
        other = drifted(chance, before)
        theirs, (made, state) = by_git(tmp_path, other, diff, *words), ours(tmp_path, other, diff, strip)
        counts["both moved"] += theirs is not None and made is not None and other != before
        counts["git alone"] += made is None and theirs is not None
        assert None in (theirs, made) or theirs == made or state == State.ALREADY_UPSTREAM, diff.decode(
            errors="replace"
        )
    # It is not by refusing that nothing differs.
    assert counts["upstream"] > many * 0.8
    assert counts["both moved"] > counts["git alone"]
    assert min(counts[word] for word in ("rename from", "copy from", "GIT binary", "new mode"))


@pytest.mark.parametrize("seed", [4, 5])
def test_several_diffs_of_one_file_are_applied_one_after_the_other(tmp_path: Path, seed: int, many: int = 20) -> None:
    """As mails of one file: each of them begins with what the one before it has made."""
    chance, writer, upstream = random.Random(seed), Writer(tmp_path / "repo"), 0
    for _ in range(many):
        states = [{name: (content(chance), False) for name in chance.sample(NAMES, 4)}]
        diffs: list[bytes] = []
        while len(diffs) < 3:
            states.append(changed(chance, states[-1]))
            if diff := writer.diff(states[-2], states[-1], "-M", "-C", "--find-copies-harder"):
                diffs.append(diff)
            else:
                del states[-1]
        box = b"".join(MAIL + diff + b"-- \n2.39.5\n\n" for diff in diffs)
        made, state = ours(tmp_path, states[0], box)
        assert made == states[-1], state + box.decode(errors="replace")
        made, state = ours(tmp_path, states[-1], box)
        assert made in (None, states[-1])
        upstream += state == State.ALREADY_UPSTREAM
    assert upstream > many * 0.7
