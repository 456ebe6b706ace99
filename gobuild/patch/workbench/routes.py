"""How a diff gets in that does not fit by gobuild's own rules: by git, by a three-way merge, by patch(1).

None of them may guess. git and patch(1) have to put every hunk where all of its old text stands: at the very line it
says, or, under the function that it names, at the only place in the file. What they make has to be what the hunks say.
git sees the names of a diff that was read before, and works on the index alone; patch(1) sees no name at all.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.core.process import run
from gobuild.patch.diff.conflict import Misfit
from gobuild.patch.diff.file_diff import FileDiff
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.render import hunk_lines
from gobuild.patch.diff.source_text import SourceText, lines_of
from gobuild.patch.diff.unified import Diff
from gobuild.patch.tree import Tree
from gobuild.patch.workbench.import_series import CommitChain

PATCH = "patch"
"""The program, by its name on PATH."""

_WORDS = ("--unified", "--fuzz=0", "--forward", "--force", "--binary", "--input=hunks", "--output=made", "file")

_MARKS = (b"<<<<<<< ours\n", b"||||||| what the patch expects\n", b"=======\n", b">>>>>>> the patch\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictSides:
    """A file in conflict: its content with both sides marked in it, and as it is with each side alone."""

    path: str
    marked: bytes
    base: bytes
    ours: bytes
    theirs: bytes


def by_git(chain: CommitChain, diff: Diff) -> str:
    """Notes in the chain's tree what `git apply` makes of it, and tells of it; "" where git does not take the diff."""
    words = [f"-p{1 if diff.strip is None else diff.strip}"]
    words += [f"--directory={diff.folder}"] if diff.folder else []
    git = chain.repository.git
    try:
        with chain.tree.trial():
            taken = _note_as_meant(diff, chain.tree)
            git("apply", "--cached", "--whitespace=nowarn", *words, "-", stdin=diff.content)
            if any(git("cat-file", "blob", f":{path}") != chain.tree.read_file(path) for path in taken):
                raise PatchError("git apply makes something else of it")
    except PatchError:
        return ""
    finally:
        git("read-tree", chain.head)
    return f"git apply takes it, by the text of its hunks alone: look at {', '.join(taken)}"


def by_patch(chain: CommitChain, diff: Diff) -> str:
    """The same by `patch -F0`, each file by itself.

    Raises:
        ToolMissing: patch(1), which may take it, is missing.
    """
    try:
        with chain.tree.trial() as before:
            taken = _note_as_meant(diff, chain.tree)
            for path in taken:
                files = [file for file in _named(diff, before).files if file.path == path]
                if _patched(before.read_file(path) or b"", files) != chain.tree.read_file(path):
                    raise PatchError("patch makes something else of it")
    except PatchError:
        return ""
    return f"patch -F0 takes it, by the text of its hunks alone: look at {', '.join(taken)}"


def by_clean_merge(chain: CommitChain, diff: Diff) -> str:
    """The same by `by_merge`, where no file is in conflict."""
    try:
        with chain.tree.trial():
            said, stuck = by_merge(chain, diff)
            if stuck:
                raise PatchError("in conflict")
    except PatchError:
        return ""
    return said


def by_merge(chain: CommitChain, diff: Diff) -> tuple[str, tuple[ConflictSides, ...]]:
    """The same by git's three-way merge with the content that it was made for, where that is in the workbench.

    Of a file in conflict nothing is noted: its sides are given.

    Raises:
        PatchError: a file is not there at all, or is not one of lines.
    """
    merged: list[str] = []
    stuck: list[ConflictSides] = []
    for file in _named(diff, chain.tree).files:
        if _fits(diff, file, chain.tree):
            continue
        current = _lines_there(diff, file, chain.tree)
        if (base := _made_for(chain, file)) is None:
            stuck.append(_marked(file, current))
            continue
        theirs = file.apply_to(base)[0] or b""
        content, clean = chain.repository.merge_file(current, base, theirs, "the patch")
        if clean:
            merged.append(file.path)
            chain.tree.write_file(file.path, content, executable=file.executable)
        else:
            sides = ConflictSides(path=file.path, marked=content, base=base, ours=current, theirs=theirs)
            stuck.append(sides)
    return f"merged by git with what it was made for: look at {', '.join(merged)}" if merged else "", tuple(stuck)


def _named(diff: Diff, tree: Tree) -> Diff:
    """A diff with one name for each file, the one that is there, where it gives two."""

    def one_name(file: FileDiff) -> FileDiff:
        there = [name for name in (file.path, file.other) if name and tree.read_file(name) is not None]
        return replace(file, path=there[0], other="") if file.other and len(there) == 1 else file

    return replace(diff, files=tuple(map(one_name, diff.files)))


def _fits(diff: Diff, file: FileDiff, tree: Tree) -> bool:
    """Notes what a diff does to one file, where that fits by gobuild's rules."""
    try:
        with tree.trial():
            if replace(diff, files=(file,)).apply(tree).state is not State.APPLIED:
                raise PatchError("there is nothing to do")
    except PatchError:
        return False
    return True


def _lines_there(diff: Diff, file: FileDiff, tree: Tree) -> bytes:
    """A file that changes under its own name; why it does not fit, where it is no text that is there."""
    current = tree.read_file(file.path)
    if current is None or b"\0" in current or not file.hunks or file.creates or file.deletes or not file.only_lines:
        replace(diff, files=(file,)).apply(tree)
        raise PatchError(f"{file.path} stands already as the patch would leave it")
    return current


def _note_as_meant(diff: Diff, tree: Tree) -> list[str]:
    """Notes what a diff says, hunks that do not fit by gobuild's rules where alone they can be meant; their files."""
    taken: dict[str, None] = {}
    for file in _named(diff, tree).files:
        if not _fits(diff, file, tree):
            content = _spliced(file, _lines_there(diff, file, tree))
            tree.write_file(file.path, content, executable=file.executable)
            taken[file.path] = None
    if not taken:
        raise PatchError("every file fits by itself")
    return list(taken)


def _spliced(file: FileDiff, current: bytes) -> bytes:
    """A file with every hunk at its line, or where its text stands alone, under the function that it names."""
    lines = lines_of(current)
    text = SourceText(lines, file.path)
    result: list[bytes] = []
    end = 0
    for hunk in file.hunks:
        places = text.occurrences(hunk.old)
        at = hunk.old_line - 1 if hunk.old_line - 1 in places else next(iter(places), -1)
        alone = len(places) == 1 and text.under(hunk.heading, at)
        if at < end or not (alone or at == hunk.old_line - 1):
            raise PatchError("its text stands nowhere, or in several places")
        result += [*lines[end:at], *hunk.new]
        end = at + len(hunk.old)
    return b"".join((*result, *lines[end:]))


def _patched(content: bytes, files: Sequence[FileDiff]) -> bytes | None:
    """What patch(1) makes of a file by hunks that are written out anew, in a folder of its own; None if it refuses."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        here = Path(scratch)
        (here / "file").write_bytes(content)
        for file in files:
            (here / "hunks").write_bytes(b"--- file\n+++ file\n" + b"".join(map(_written, file.hunks)))
            done = run([PATCH, *_WORDS], env=env, cwd=here, timeout=60, check=False)
            if done.code:
                return None
            (here / "made").replace(here / "file")
        return (here / "file").read_bytes()


def _written(hunk: Hunk) -> bytes:
    lines = f"@@ -{hunk.old_line},{len(hunk.old)} +{hunk.new_line},{len(hunk.new)} @@\n"
    return lines.encode() + b"".join(hunk_lines(hunk))


def _made_for(chain: CommitChain, file: FileDiff) -> bytes | None:
    """The content whose name the diff gives as the one before, if the workbench has it and the diff fits it."""
    name = file.blobs[0]
    if not name.strip("0"):
        return None
    try:
        base = chain.repository.git("cat-file", "blob", name)
        file.apply_to(base)
    except PatchError:
        return None
    return base


def _marked(file: FileDiff, current: bytes) -> ConflictSides:
    """A file with the hunks that fit, and both sides of each that does not, where most of its lines stand."""
    marked, grown = current, 0
    blocks = []
    for hunk in file.hunks:
        one = replace(file, hunks=(replace(hunk, old_line=max(hunk.old_line + grown, 1)),), blobs=("", ""))
        try:
            marked, size = one.apply_to(marked)[0] or b"", len(hunk.new)
        except Misfit as misfit:
            expected = misfit.conflict.expected if misfit.conflict else ()
            lines = lines_of(marked)
            at = expected[0][0] - 1 if expected else len(lines)
            sides = [_closed(side) for side in (lines[at : at + len(hunk.old)], hunk.old, hunk.new)]
            block = b"".join(part for pair in zip(_MARKS, (*sides, b""), strict=True) for part in pair)
            marked = b"".join((*lines[:at], block, *lines[at + len(hunk.old) :]))
            size = block.count(b"\n")
            blocks.append((block, sides))
        grown += size - len(hunk.old)
    versions = [marked, marked, marked]
    for block, sides in blocks:
        versions = [text.replace(block, side, 1) for text, side in zip(versions, sides, strict=True)]
    ours, base, theirs = versions
    return ConflictSides(path=file.path, marked=marked, base=base, ours=ours, theirs=theirs)


def _closed(lines: Sequence[bytes]) -> bytes:
    """Lines as one text with its line end: a mark stands on a line of its own."""
    text = b"".join(lines)
    return text if text.endswith(b"\n") or not text else text + b"\n"
