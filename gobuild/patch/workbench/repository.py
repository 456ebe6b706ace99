"""A scratch git repository: commits made and read, trees laid out, diffs written. It knows no series.

Everything goes through GitPython, imported when it is first needed: gobuild runs without git. Whatever the user's
machine has in the way of hooks, templates, aliases, attributes and configuration is off for what is done here; the
user's own git commands in the folder are the user's. Every commit made here is the same wherever it is made.
"""

import re
import shlex
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gobuild.core import files
from gobuild.core.errors import DiskFull, PatchError, ToolMissing
from gobuild.patch.diff.render import ABBREVIATION
from gobuild.patch.workbench.git_config import ATTRIBUTES, DIFF, OPTIONS, SETTINGS, environment
from gobuild.patch.workbench.message import AUTHOR, DATE, PatchMessage, parse_commit_message

if TYPE_CHECKING:
    import git

BRANCH = "patches"
BASE = "base"
"""The branch that holds a commit a patch, and the tag of the plain source below them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of the branch; `id` and `parent` have 40 digits."""

    id: str
    parent: str
    message: PatchMessage

    @property
    def short(self) -> str:
        """The commit for people."""
        return f"{self.id[:10]} ({self.message.subject})"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What a commit does to a file, by the blobs before and after; "" where it is not there.

    `executable` is whether it can be run, afterwards where it is still there.
    """

    executable: bool
    changes_mode: bool
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository with a work tree, whose .git is ours.

    Commits can be built beside the work tree's own index, of files in another folder, `source`.
    """

    folder: Path
    git_python: "git.Git"
    index: Path
    source: Path

    @classmethod
    def make(cls, folder: Path) -> "Repository":
        """An empty one, made by hand: `git init` would heed templates, GIT_DIR and somebody's name for a branch."""
        for name in ("objects", "refs"):
            (folder / ".git" / name).mkdir(parents=True)
        files.write(folder / ".git/config", SETTINGS)
        files.write(folder / ".git/info/attributes", ATTRIBUTES)
        files.write(folder / ".git/HEAD", f"ref: refs/heads/{BRANCH}\n")
        return cls.at(folder)

    @classmethod
    def at(cls, folder: Path) -> "Repository":
        """The one that is there."""
        try:
            import git  # noqa: PLC0415  it looks for the program as it is imported
        except ImportError as error:
            raise ToolMissing("cannot run git", "install git, or put it on PATH") from error
        folder = folder.absolute()
        return cls(folder=folder, git_python=git.Git(folder), index=folder / ".git/index", source=folder)

    def beside(self, name: str, source: Path) -> "Repository":
        """The same repository with an index of its own, over files that stand elsewhere and are only read."""
        return replace(self, index=self.folder / ".git" / name, source=source.absolute())

    def git(self, *words: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> bytes:
        """Runs git; its standard output. What fails is a `PatchError`, `ToolMissing` or `DiskFull`."""
        import git  # noqa: PLC0415

        options = [word for option in OPTIONS for word in ("-c", option)]
        command = [git.Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *options, *words]
        try:
            with tempfile.TemporaryFile(dir=self.folder / ".git") as file:
                file.write(stdin)
                file.seek(0)
                output = self.git_python.execute(
                    command,
                    istream=file,
                    env={**environment(self.folder / ".git", self.source, self.index), **(env or {})},
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                )
        except git.GitCommandNotFound as error:
            raise ToolMissing("cannot run git", "install git, or put it on PATH") from error
        except git.GitCommandError as error:
            raise _failure(words, str(error.stderr)) from None
        return output if isinstance(output, bytes) else str(output).encode()

    def git_text(self, *words: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
        """Runs git; its output as a text without the last line end."""
        return self.git(*words, env=env, stdin=stdin).decode(errors="replace").rstrip("\n")

    def add_all(self) -> None:
        """Puts every file of `source` into the index, those that its .gitignore names too."""
        # A threshold of one byte puts all contents into one pack, instead of ten thousand files of their own.
        self.git("-c", "core.bigFileThreshold=1", "-c", "core.compression=1", "add", "--all", "--force")

    def stage(self, path: str, content: bytes | None, *, executable: bool) -> None:
        """Puts a file's content into the index, or takes the file out of it."""
        if content is None:
            self.git("update-index", "--force-remove", "--", path)
            return
        blob = self.git_text("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
        self.git("update-index", "--add", "--cacheinfo", f"{'100755' if executable else '100644'},{blob},{path}")

    def commit(self, message: str, parent: str, *, author: tuple[str, str] = AUTHOR, date: str = DATE) -> str:
        """Makes a commit of the index, and gives its 40 digits. No branch moves."""
        tree = self.git_text("write-tree")
        who = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1], "GIT_AUTHOR_DATE": date}
        parents = ("-p", parent) if parent else ()
        return self.git_text("commit-tree", tree, *parents, "-F", "-", env=who, stdin=message.encode())

    def stage_conflict(self, path: str, sides: Sequence[bytes | None], *, executable: bool) -> None:
        """Puts a file into the index as one in conflict: its base, ours and theirs, None where a side has none."""
        lines = [f"0 {'0' * 40}\t{path}\n"]
        for number, content in enumerate(sides, 1):
            if content is not None:
                blob = self.git_text("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
                lines.append(f"{'100755' if executable else '100644'} {blob} {number}\t{path}\n")
        self.git("update-index", "--index-info", stdin="".join(lines).encode())

    def unmerged(self) -> tuple[str, ...]:
        """The files in conflict."""
        return self.names("diff", "--diff-filter=U")

    def names(self, *words: str) -> tuple[str, ...]:
        """The files that one of git's diffs is of."""
        found = self.git_text(*words, "--name-only", "--no-renames", "-z").split("\0")
        return tuple(name for name in found if name)

    def merge_file(self, ours: bytes, base: bytes, theirs: bytes, label: str) -> tuple[bytes, bool]:
        """A three-way merge of one file's contents, and whether it met no conflict."""
        with tempfile.TemporaryDirectory(prefix="gobuild-", dir=self.folder / ".git") as scratch:
            for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
                (Path(scratch) / name).write_bytes(content)
            titles = [word for title in ("ours", "base", label) for word in ("-L", title)]
            names = [f"{scratch}/{name}" for name in ("ours", "base", "theirs")]
            try:
                self.git("merge-file", "--diff3", *titles, *names)
                clean = True
            except PatchError:
                clean = False
            return (Path(scratch) / "ours").read_bytes(), clean

    def rebase_onto_branch(self, commits: Sequence[str]) -> tuple[Commit, tuple[str, ...]] | None:
        """Rebases commits onto the branch by three-way merges; where that stops, its commit and files in conflict."""
        todo = self.folder / ".git/gobuild-todo"
        files.write(todo, "".join(f"pick {commit}\n" for commit in commits))
        editor = {"GIT_SEQUENCE_EDITOR": f"cp -- {shlex.quote(str(todo))}"}
        try:
            self.git("rebase", "--interactive", "--empty=drop", "--no-autosquash", "HEAD", env=editor)
        except PatchError:
            if not self.rebasing:
                raise
            return self.read_commit("REBASE_HEAD"), self.unmerged()
        finally:
            todo.unlink(missing_ok=True)
        return None

    @property
    def rebasing(self) -> bool:
        """Whether a rebase is under way."""
        return any((self.folder / ".git" / name).exists() for name in ("rebase-merge", "rebase-apply"))

    def read_commit(self, name: str) -> Commit:
        """Reads a commit; a merge, which is no patch, is refused."""
        said = self.git_text("show", "--no-patch", "--no-color", "--format=%H%n%P%n%an%n%ae%n%B", name)
        digits, parents, author, email, text = said.split("\n", 4)
        if " " in parents:
            raise PatchError(f"{digits[:10]} is a merge, which is no patch", "git rebase, so that all is in one line")
        return Commit(id=digits, parent=parents, message=parse_commit_message(text, author=author, email=email))

    def commits_above_base(self) -> list[Commit]:
        """The commits above the base, the oldest first; the base has to be below them, and none may be a merge."""
        base = self.git_text("rev-parse", f"refs/tags/{BASE}^{{commit}}")
        if self.git_text("merge-base", base, "HEAD") != base:
            raise PatchError(f"HEAD does not stand on the tag {BASE}", f"git checkout {BRANCH}, or rebase onto {BASE}")
        found = self.git_text("rev-list", "--reverse", "--topo-order", f"{base}..HEAD").split()
        return [self.read_commit(name) for name in found]

    def changes(self, commit: Commit) -> dict[str, FileChange]:
        """What a commit changes, by path; refused where it makes something else than plain files."""
        words = self.git_text("diff-tree", "-r", "-z", "--no-renames", commit.parent, commit.id).split("\0")
        found = {}
        for entry, path in zip(words[0::2], words[1::2], strict=False):
            old, new, before, after, _ = entry.removeprefix(":").split(" ")
            if new not in ("000000", "100644", "100755"):
                raise PatchError(f"{commit.short} makes {path} a file of mode {new}", "plain files only")
            found[path] = FileChange(
                executable="100755" in ((new,) if after.strip("0") else (old,)),
                changes_mode=old != new and "000000" not in (old, new),
                before=before.strip("0") and before,
                after=after.strip("0") and after,
            )
        return found

    def blob(self, name: str) -> bytes | None:
        """A blob's content, by its digits; None for ""."""
        return self.git("cat-file", "blob", name) if name else None

    def lay_out_files(self, commit: str, paths: Sequence[str], into: Path) -> None:
        """Writes those of some files that a commit's tree has below a folder, which is made."""
        into.mkdir()
        listed = self.git_text("ls-tree", "-z", commit, "--", *paths).split("\0") if paths else []
        for entry in filter(None, listed):
            told, path = entry.split("\t", 1)
            mode, _, blob = told.split(" ")
            if mode in ("100644", "100755"):
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                (into / path).write_bytes(self.blob(blob) or b"")
                (into / path).chmod(int(mode, 8) & 0o777)

    def lay_out(self, commit: str, into: Path) -> None:
        """Writes a commit's tree below a folder, and an index beside that."""
        beside = replace(self, index=into.with_name("index"))
        beside.git("read-tree", commit)
        beside.git("checkout-index", "--all", f"--prefix={into}/")

    def diff_of(self, commit: Commit, path: str) -> bytes:
        """A commit's diff of one file in the canonical form, the same wherever and by whichever git it is made."""
        words = ("diff-tree", "-r", "-p", f"--abbrev={ABBREVIATION}", *DIFF, commit.parent, commit.id)
        return self.git(*words, "--", f":(literal){path}")

    def diffstat(self, commit: Commit, paths: Collection[str]) -> str:
        """A commit's diffstat of some of its files, 80 columns wide."""
        out = [f":(exclude,literal){path}" for path in self.changes(commit) if path not in paths]
        words = ("diff-tree", "-r", "--stat=80", *DIFF[:4], commit.parent, commit.id)
        return self.git_text(*words, *(("--", ".", *out) if out else ())) + "\n"

    def uncommitted(self) -> tuple[list[str], list[str]]:
        """The tracked files that are not as HEAD has them, and the files that git does not track."""
        words = self.git_text("status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal").split("\0")
        entries = [(word[:2], word[3:]) for word in words if word]
        return [path for kind, path in entries if kind != "??"], [path for kind, path in entries if kind == "??"]


def _failure(words: Sequence[str], stderr: str) -> PatchError | DiskFull:
    word = next(word for word in words if not word.startswith("-") and "=" not in word)
    said = re.sub(r"^\s*stderr: '|'$", "", stderr.strip()).strip()
    # git's checkout does not repeat the system's reason.
    if "No space left on device" in said or "unable to write file" in said:
        return DiskFull("no space left on the device while git wrote", "free some room, or use another folder")
    lines = [line for line in said.splitlines() if re.match(r"(fatal|error):", line)] or said.splitlines()[-1:]
    return PatchError(f"git {word}: {lines[0] if lines else 'failed'}", "what git says of the folder: git status")
