"""A commit against a patch: whether the two do the same, and the one .patch file that says what a commit does.

Its form is fixed: the heading of `gobuild.patch.workbench.message`, git's diffstat, git's diff with blobs' names of
twelve digits, files in git's order.
"""

import re
import tempfile
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.core.model import State
from gobuild.patch.apply import try_patch
from gobuild.patch.diff.file_diff import FileDiff
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.render import render_file
from gobuild.patch.diff.unified import Diff
from gobuild.patch.series import Patch
from gobuild.patch.tree import Tree
from gobuild.patch.workbench import message
from gobuild.patch.workbench.entries import placeholder
from gobuild.patch.workbench.message import PatchMessage
from gobuild.patch.workbench.repository import Commit, FileChange, Repository


def does_same(repository: Repository, commit: Commit, patch: Patch) -> bool:
    """Whether a patch does to a commit's parent what the commit does, no more and no less."""
    changes = changes_of(repository, commit, patch.name)
    with tempfile.TemporaryDirectory(prefix="gobuild-", dir=repository.folder / ".git") as scratch:
        root = Path(scratch) / "tree"
        if isinstance(patch.operation, Diff):
            repository.lay_out_files(commit.parent, patch.operation.names, root)
        else:
            repository.lay_out(commit.parent, root)
        tree = Tree(root)
        outcome = try_patch(patch, tree)
        return (
            outcome.state is State.APPLIED
            and set(outcome.files) == set(changes)
            and all(
                tree.read_file(path) == repository.blob(change.after)
                and (not change.after or tree.is_executable(path) == change.executable)
                for path, change in changes.items()
            )
        )


def changes_of(repository: Repository, commit: Commit, name: str) -> dict[str, FileChange]:
    """What a commit changes as the patch of a name: the placeholder that it began with goes once there is more."""
    changes = repository.changes(commit)
    path, content = placeholder(name)
    stands = path in changes and repository.blob(changes[path].after) == content
    if stands and len(changes) > 1:
        del changes[path]
    return changes


def canonical_patch(repository: Repository, commit: Commit, name: str, said: PatchMessage, old: Diff | None) -> bytes:
    """A commit as a .patch file, read and applied to the commit's parent as a build would.

    `old` is what the patch was before. On a file that it does the same to, its hunks are kept, with the context that
    somebody trimmed to make them fit several versions.

    Raises:
        PatchError: the commit holds what no patch can do, or its message would not be read back as it is.
    """
    changes = changes_of(repository, commit, name)
    if not changes:
        raise PatchError(f"{commit.short} changes nothing", "git rebase --interactive, and drop it")
    if odd := next((path for path in changes if re.search(r'["\\\x00-\x1f\x7f]', path)), None):
        raise PatchError(f"{commit.short} has a file that no patch can name: {odd!r}", "a name without quotes")
    kept = {}
    for file in old.files if old else ():
        change = changes.get(file.path)
        if change and _makes(repository, file, change):
            kept[file.path] = render_file(file, repository.blob(change.before), executable=change.executable)
    sections = [kept.get(path) or repository.diff_of(commit, path) for path in changes]
    content = message.patch_heading(said, repository.diffstat(commit, changes)).encode() + b"".join(sections)
    try:
        operation = parse_diff(content)
    except PatchError as error:
        raise PatchError(f"{commit.short} cannot be a patch: {error.reason}", error.hint) from error
    patch = Patch(folder=repository.folder, name=name, go=">=1", reason=said.subject, operation=operation)
    if message.parse_prose(patch.description, name).kept != said.kept:
        raise PatchError(
            f"the message of {commit.short} would be read back as another one",
            "git commit --amend: no line of it is --- alone, or begins with diff --git",
        )
    if not does_same(repository, commit, patch):
        raise PatchError(f"{commit.short} as a patch would not apply to its own parent", "more lines of context")
    return content


def require_p1(patch: Patch, diff: Diff) -> None:
    """Refuses to write anew what stands beside others in its file, or whose series would go on saying -p0 of it."""
    if patch.mail:
        raise PatchError(
            f"{patch.name} is one of several patches in {patch.folder / patch.file}",
            "git mailsplit makes a file of each; or gobuild patches.adopt a series of them",
        )
    key = "strip" if diff.strip not in (None, 1) else "dir" if diff.folder else ""
    if key:
        form = f"-p{diff.strip}" if key == "strip" else f"{diff.folder}/-rooted"
        raise PatchError(
            f"{patch.folder / patch.file} is a {form} patch, and would be written as a -p1 one of GOROOT",
            f"gobuild patches.adopt makes one of it, which needs no {key}",
        )


def _makes(repository: Repository, file: FileDiff, change: FileChange) -> bool:
    """Whether a patch's lines of a file do to it what a commit does."""
    if not file.only_lines or change.changes_mode:
        return False
    try:
        content, _ = file.apply_to(repository.blob(change.before))
    except PatchError:
        return False
    return content == repository.blob(change.after) and (
        not change.after or file.executable in (None, change.executable)
    )
