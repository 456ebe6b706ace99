"""A commit against a patch: whether the two do the same, and the .patch file that says what the commit does.

Its form is fixed: the heading of `gobuild.patch.workbench.message`, git's diffstat, git's diff with blobs' names of
twelve digits, files in git's order.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.apply import try_patch
from gobuild.patch.diff import parse
from gobuild.patch.diff.unified import Diff, FileDiff
from gobuild.patch.series import Patch
from gobuild.patch.tree import Tree
from gobuild.patch.workbench import message
from gobuild.patch.workbench.message import PatchMessage
from gobuild.patch.workbench.repository import Commit, Repository

_SECTION = re.compile(rb"^diff --git ", re.MULTILINE)
_FOOTER = re.compile(rb"\n-- \n\d+\.[^\n]*\n\s*\Z")


def does_same(repository: Repository, commit: Commit, patch: Patch) -> bool:
    """Whether a patch does to a commit's parent what the commit does, no more and no less.

    Raises:
        PatchError: the commit holds what no patch can do.
    """
    changes = repository.changes(commit)
    diffs = patch.operation.files if isinstance(patch.operation, Diff) else ()
    paths = tuple(file.path for file in diffs)
    if diffs and set(paths) != set(changes):
        return False
    modes = {file.path: _mode(file) for file in diffs if _mode(file)}
    with checkout(repository, commit.parent, paths) as root:
        tree = Tree(root)
        outcome = try_patch(patch, tree, keep=True)
        return (
            outcome.state is State.APPLIED
            and set(outcome.files) == set(changes)
            and all(tree.read_file(path) == _content(repository, blob) for path, (_, blob) in changes.items())
            and all(modes.get(path) in (None, "", mode) for path, (mode, _) in changes.items())
        )


def canonical_patch(repository: Repository, commit: Commit, said: PatchMessage, old: Diff | None) -> bytes:
    """A commit as a .patch file.

    Args:
        repository: a workbench's.
        commit: what to say.
        said: the heading.
        old: what the patch was before. The part on a file that does the same as it did is taken from it as it stands,
            and so keeps the context that somebody trimmed to make it fit several versions.

    Raises:
        PatchError: the commit holds what no patch can do.
    """
    changes = repository.changes(commit)
    sections = _sections(repository.diff_of(commit))
    if not changes:
        raise PatchError(f"{commit.short} changes nothing", "git rebase --interactive, and drop it")
    if odd := sorted(set(changes) - set(sections)):
        raise PatchError(f"{commit.short} has a file that no patch can name: {odd[0]!r}", "a name without quotes")
    before = _sections(old.content) if old else {}
    both = [file for file in (old.files if old else ()) if file.path in before and file.path in sections]
    if both:
        with checkout(repository, commit.parent, tuple(file.path for file in both)) as root:
            for file in both:
                mode, blob = changes[file.path]
                if _leaves(file, root) == (_content(repository, blob),) and _mode(file) in ("", mode):
                    sections[file.path] = before[file.path]
    return message.patch_heading(said, repository.diffstat(commit)).encode() + b"".join(sections.values())


def checked(repository: Repository, commit: Commit, name: str, said: PatchMessage, content: bytes) -> None:
    """Reads a patch made of a commit as a build would, and applies it to the commit's parent.

    Raises:
        PatchError: it would not do or say what the commit does and says.
    """
    try:
        operation = parse.parse_diff(content)
    except PatchError as error:
        raise PatchError(f"{commit.short} cannot be a patch: {error.reason}", error.hint) from error
    patch = Patch(folder=repository.folder, name=name, go=">=1", reason=said.subject, operation=operation)
    if message.parse_prose(patch.description, name).said != said.said:
        raise PatchError(
            f"the message of {commit.short} would be read back as another one",
            "git commit --amend: no line of it is --- alone, or begins with diff --git",
        )
    if not does_same(repository, commit, patch):
        raise PatchError(
            f"{commit.short} as a patch would not apply to its own parent",
            "lines of context that stand there once",
        )


@contextmanager
def checkout(repository: Repository, commit: str, paths: tuple[str, ...]) -> Iterator[Path]:
    """A commit's files of these paths in a passing folder within .git; all its files where no path is named.

    Yields:
        The folder.
    """
    with tempfile.TemporaryDirectory(prefix="gobuild-", dir=repository.folder / ".git") as scratch:
        root = Path(scratch) / "tree"
        root.mkdir()
        if paths:
            repository.lay_out(commit, paths, root)
        else:
            repository.lay_out_all(commit, root)
        yield root


def _mode(file: FileDiff) -> str:
    """The mode a diff gives a file; "" where it leaves it."""
    return "" if file.executable is None else "100755" if file.executable else "100644"


def _content(repository: Repository, blob: str) -> bytes | None:
    return repository.blob(blob) if blob else None


def _leaves(file: FileDiff, root: Path) -> tuple[bytes | None] | None:
    """What one file's diff leaves of it; None where it does not apply."""
    tree = Tree(root)
    try:
        change = Diff(description="", files=(file,), content=b"").apply(tree)
    except PatchError:
        return None
    return (tree.read_file(file.path),) if change.state is State.APPLIED else None


def _sections(content: bytes) -> dict[str, bytes]:
    """A git diff's parts, by the path each is on; empty where it is no git diff, whose parts cannot be told apart."""
    starts = [match.start() for match in _SECTION.finditer(content)]
    found = {}
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        names = content[start:end].split(b"\n", 1)[0].removeprefix(b"diff --git ").decode(errors="replace")
        path = names[2 : 2 + (len(names) - 5) // 2]
        if names != f"a/{path} b/{path}":
            return {}
        found[path] = _FOOTER.sub(b"\n", content[start:end]) if end == len(content) else content[start:end]
    return found
