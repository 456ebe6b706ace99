"""A diff as data, applied to a tree: all of its files or none.

As git has it, a rename or a copy begins with what was there before its mail: renames may swap two files, and a copy is
one of the file as it was, whatever the same mail does to that.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.diff.conflict import ADOPT, REFRESH
from gobuild.patch.diff.file_diff import FileDiff
from gobuild.patch.diff.position import left_over
from gobuild.patch.diff.source_text import SourceText, lines_of
from gobuild.patch.tree import Tree, TreeChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A diff: an operation on a tree.

    Attributes:
        prose: what stands before it in its file, every byte.
        files: in order; a file may come again.
        content: the bytes of its file; their digest is the patch's.
        strip: patch(1)'s -p; None where the names have a/ and b/.
        folder: what was put in front of its names.
        notes: what is harmless and yet not as it should be, each with its line.
    """

    prose: str
    files: tuple[FileDiff, ...]
    content: bytes
    strip: int | None
    folder: str = ""
    notes: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The prose, without the line "Index: FILE" and the rule below it that quilt and Subversion put there."""
        index = r"^Index: .*\n=*\n?"
        return (self.prose if self.strip is None else re.sub(index, "", self.prose, flags=re.MULTILINE)).strip()

    @property
    def names(self) -> tuple[str, ...]:
        """All files that it reads or changes, each once."""
        return tuple(dict.fromkeys(name for file in self.files for name in file.names))

    def apply(self, tree: Tree) -> TreeChange:
        """Notes the diff's changes in a tree, all of them or none.

        `State.ALREADY_UPSTREAM` where every file stands as the diff would leave it.
        """
        try:
            with tree.trial():
                files = [file for part in self._parts() for file in _apply(part, tree)]
        except PatchError:
            if not self._undoes(tree):
                raise
            places = ", ".join(file.path for file in self.files)
            return TreeChange(
                state=State.ALREADY_UPSTREAM,
                evidence=f"every line this patch would write stands in the source, where it would write it: {places}",
            )
        return TreeChange(
            state=State.APPLIED,
            evidence="; ".join(said for said, _ in files),
            files=tuple(sorted({name for _, names in files for name in names})),
        )

    def _parts(self) -> list[list[FileDiff]]:
        return [list(files) for _, files in itertools.groupby(self.files, key=lambda file: file.part)]

    def _undoes(self, tree: Tree) -> bool:
        try:
            with tree.trial(keep=False):
                return all(_undone(part, tree) for part in reversed(self._parts()))
        except PatchError:
            return False


def _apply(files: Sequence[FileDiff], tree: Tree) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Notes the changes of one mail; yields for each file a few words, and the names that change."""
    with tree.trial() as before:
        files = [_under_one_name(file, tree) for file in files]
        for file in files:
            if file.source:
                _existing_content(file, file.source, before)
                if not file.copies:
                    tree.delete_file(file.source)
        for file in files:
            yield (
                _note(file, tree, before),
                (file.path,) if file.copies or not file.source else (file.path, file.source),
            )


def _under_one_name(file: FileDiff, tree: Tree) -> FileDiff:
    """A file under one name, where its diff gives two (patch(1), which of several names is meant)."""
    if not file.other:
        return file
    there = [name for name in (file.path, file.other) if tree.has_file(name)]
    if len(there) > 1:
        why = f"names one file {' and '.join(there)}, and both are there"
        raise file.misfit(why, "write the one name that is meant into its lines --- and +++")
    return replace(file, path=there[0] if there else file.path, other="")


def _existing_content(file: FileDiff, name: str, tree: Tree) -> bytes:
    content = tree.read_file(name)
    if content is None:
        does = "changes" if name == file.path else "copies" if file.copies else "renames"
        raise file.misfit(f"{does} {name}, which this source does not have", _absent(name, tree, file.strip))
    return content


def _note(file: FileDiff, tree: Tree, before: Tree) -> str:
    """Notes a file's new content, and says a few words on it."""
    current: bytes | None
    executable: bool | None
    if file.source:
        current = _existing_content(file, file.source, before)
        if tree.read_file(file.path) is not None:
            does = "copies" if file.copies else "renames"
            raise file.misfit(f"{does} {file.source} to {file.path}, which is there already", REFRESH)
        executable = before.is_executable(file.source) if file.executable is None else file.executable
    else:
        current = tree.read_file(file.path) if file.creates else _existing_content(file, file.path, tree)
        executable = bool(file.executable) if file.creates else file.executable
        if file.only_mode and tree.is_executable(file.path) == executable:
            raise file.misfit(f"{file.path} {_can(file)} already", "has the source this patch already?")
    content, moved = file.apply_to(current)
    if content is None:
        tree.delete_file(file.path)
        return f"deleted {file.path}"
    tree.write_file(file.path, content, executable=executable)
    return _described(file, moved)


def _described(file: FileDiff, moved: int) -> str:
    if file.creates:
        return f"added {file.path}"
    said = []
    if file.source:
        said.append(f"{'copied' if file.copies else 'renamed'} {file.source} to {file.path}")
    if file.hunks:
        many = f"{len(file.hunks)} hunk" + "s" * (len(file.hunks) > 1)
        said.append(f"{many} in {file.path}" + (f" ({moved} moved)" if moved else ""))
    if file.binary:
        said.append(f"another content for {file.path}")
    if file.executable is not None:
        said.append(f"{file.path} {_can(file)}")
    return ", ".join(said)


def _can(file: FileDiff) -> str:
    return "can be run" if file.executable else "cannot be run"


def _undone(files: Sequence[FileDiff], tree: Tree) -> bool:
    """Whether all files of a mail stand as it would leave them, and nothing of what it takes out stands there as well.

    What it changed is undone in the tree, so that a copy can be compared with its source as that was.
    """
    moved: list[tuple[FileDiff, bytes | None]] = []
    for file in reversed([_under_one_name(file, tree) for file in files]):
        content = tree.read_file(file.path)
        if not _shows(file, content, tree):
            return False
        if file.source:
            moved.append((file, content if file.copies else file.reversed().apply_to(content)[0]))
            tree.delete_file(file.path)
        else:
            _note(file.reversed(), tree, tree)
    for file, content in moved:
        if not file.copies and (tree.read_file(file.source) is not None or content is None):
            return False
        if not file.copies and content is not None:
            tree.write_file(file.source, content)
    return all(
        file.apply_to(_existing_content(file, file.source, tree))[0] == content
        for file, content in moved
        if file.copies
    )


def _shows(file: FileDiff, content: bytes | None, tree: Tree) -> bool:
    """Whether a file has what a diff would leave there, as far as undoing that does not show it."""
    if file.creates or file.deletes:
        return not file.binary or file.binary.backward is not None
    if content is None or (file.executable is not None and tree.is_executable(file.path) != file.executable):
        return False
    if file.binary or file.copies:
        return file.copies or (file.binary is not None and file.binary.backward is not None)
    text = SourceText(lines_of(content), file.path)
    for hunk, at in zip(file.hunks, file.reversed().places(content), strict=True):
        # Lines of context stand in many places: without a line of its own, a hunk does not show where it was applied.
        if ("+" not in hunk.marks and at != max(hunk.new_line - 1, 0)) or left_over(text, hunk, at):
            return False
    return True


def _absent(path: str, tree: Tree, strip: int | None) -> str:
    """What may help where a source does not have a file, from whose name `strip` folders were taken."""
    if path.startswith(("test/", "api/", "doc/")) and not tree.list_files(path.split("/", maxsplit=1)[0]):
        return "a wheel has no test, api and doc folders: take a source that has, --source archive or git+URL"
    if tree.has_file(below := f"src/{path}"):
        zero = "-p0 would fit if the diff names it so, else " if strip else ""
        return f'{below} is there: {zero}dir = "src" in a series.toml; {ADOPT}'
    deeper = {
        (1 if strip is None else strip) + count: path.split("/", count)[-1] for count in range(1, path.count("/") + 1)
    }
    if fits := next((count for count, name in deeper.items() if tree.has_file(name)), 0):
        return f"{deeper[fits]} is there: -p{fits} would fit, or strip = {fits} in a series.toml; {ADOPT}"
    return REFRESH
