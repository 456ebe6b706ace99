"""A tap as a git repository, bare or with a work tree: files come in, a commit goes out, whatever else it holds stays.

Commits are made from objects, without git's index and without hooks, filters or the user's own configuration; a work
tree is brought along afterwards, and only where that loses nothing of the user's. Objects are never changed in place,
and git renames what it rewrites (refs, info/), so a bare repository may share its files with an older generation by
hard links. It pushes nowhere; `clone` fetches.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gobuild.core import files
from gobuild.core.errors import CommandError, ConfigError, DiskFull, ToolMissing
from gobuild.core.process import Runner
from gobuild.publish.homebrew.sound import sound

if TYPE_CHECKING:
    import git

AUTHOR = "gobuild <gobuild@localhost>"
"""Who commits, where nobody is named."""

BRANCH = "main"

_AUTHOR = re.compile(r"(?P<name>[^<>\x00-\x1f]*[^<>\x00-\x1f\s]) <(?P<mail>[^<>\s\x00-\x1f]+)>")

_CONFIG = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false")


ALONE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
}
"""The environment of a git that heeds neither the user nor the machine, asks nobody and fetches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A repository that is there.

    Attributes:
        folder: git's folder: the bare repository, or the checkout's .git.
        work: the checkout, None where there is none.
        author: "NAME <MAIL>", who commits.
    """

    folder: Path
    work: Path | None
    author: str = AUTHOR

    def __post_init__(self) -> None:
        if not _AUTHOR.fullmatch(self.author):
            raise ConfigError(f"{self.author!r} is no author", "NAME <MAIL>")

    @property
    def common(self) -> Path:
        """Where config and objects are: git's folder, or of a linked work tree the one that it shares."""
        shared = self.folder / "commondir"
        return self.folder / shared.read_text(encoding="utf-8").strip() if shared.is_file() else self.folder

    def judge(self, *, whole: bool = False) -> None:
        """Refuses a repository of somebody's that would make git run or read something else (`sound`).

        Raises:
            VerifyError: see there.
        """
        sound(self.common, bare=self.work is None, whole=whole)

    def names(self) -> list[str]:
        """The files of the newest commit, by their paths."""
        with self._git() as repository:
            listed = repository.ls_tree("-r", "-z", "--name-only", "HEAD") if _head(repository) else ""
        return [name for name in listed.split("\0") if name]

    def entries(self) -> dict[str, tuple[str, int]]:
        """The mode ("100644") and size in bytes of each file of the newest commit; a submodule has -1 bytes."""
        with self._git() as repository:
            listed = repository.ls_tree("-r", "-z", "-l", "HEAD") if _head(repository) else ""
        found = {}
        for entry in filter(None, listed.split("\0")):
            about, name = entry.split("\t", 1)
            mode, _, _, size = about.split()
            found[name] = mode, -1 if size == "-" else int(size)
        return found

    def links(self) -> dict[str, str]:
        """The symbolic links of the newest commit, and where they point to."""
        found = {}
        with self._git() as repository:
            listed = repository.ls_tree("-r", "-z", "HEAD") if _head(repository) else ""
            for entry in filter(None, listed.split("\0")):
                about, name = entry.split("\t", 1)
                if about.startswith("120000"):
                    found[name] = repository.cat_file("blob", about.split()[2])
        return found

    def read(self, name: str) -> str | None:
        """A file of the newest commit; None where there is none."""
        with self._git() as repository:
            if not _head(repository) or not repository.ls_tree("-z", "--name-only", "HEAD", "--", name):
                return None
            content = repository.cat_file("blob", f"HEAD:{name}", strip_newline_in_stdout=False, stdout_as_string=False)
            return bytes(content).decode("utf-8", "surrogateescape")

    def stamps(self) -> list[str]:
        """The releases that commits of ours have brought, newest first (`words.message`)."""
        with self._git() as repository:
            told = repository.log("--format=%B") if _head(repository) else ""
        return list(dict.fromkeys(re.findall(r"^(go[0-9]\S*), made from go", told, re.MULTILINE)))

    def remote(self) -> str:
        """The URL of the remote "origin", whatever it holds; "" where there is none."""
        with self._git() as repository:
            return str(repository.config("--local", "--get", "remote.origin.url", with_exceptions=False))

    def commit(self, changes: Mapping[str, str | None], message: str) -> bool:
        """Makes one commit of files changed, added or (None) removed.

        Returns:
            Whether there was anything to commit.

        Raises:
            ConfigError: no branch is checked out, or the work tree has changes of the user's in these files.
            CommandError: git failed, or somebody else committed meanwhile.
        """
        with self._git() as repository:
            branch = repository.symbolic_ref("-q", "HEAD", with_exceptions=False)
            if not branch:
                raise ConfigError(f"no branch is checked out in {self.work or self.folder}", f"git checkout {BRANCH}")
            before = _head(repository)
            tree = self._tree(repository, before, changes)
            if before and tree == repository.rev_parse(f"{before}^{{tree}}"):
                return False
            with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
                words = Path(scratch) / "message"
                words.write_text(message, encoding="utf-8")
                parents = ["-p", before] if before else []
                after = repository.commit_tree(tree, *parents, "-F", str(words))
            self._bring_along(repository, before, after)
            # Only if nobody else has moved the branch since.
            repository.update_ref("-m", message.splitlines()[0], branch, after, before or "0" * len(after))
            if self.work is None:
                repository.update_server_info()  # what a server that knows no git must have
        return True

    def _tree(self, repository: "git.Git", before: str, changes: Mapping[str, str | None]) -> str:
        """Writes the tree of the commit's files and the changes over them."""
        with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
            content = Path(scratch) / "content"
            with repository.custom_environment(GIT_INDEX_FILE=str(Path(scratch) / "index")):
                repository.read_tree(*([before] if before else ["--empty"]))
                for name, text in changes.items():
                    if text is None:
                        repository.update_index("--force-remove", "--", name)
                        continue
                    content.write_bytes(text.encode("utf-8", "surrogateescape"))
                    blob = repository.hash_object("-w", "--no-filters", str(content))
                    repository.update_index("--add", "--replace", "--cacheinfo", f"100644,{blob},{name}")
                return str(repository.write_tree())

    def _bring_along(self, repository: "git.Git", before: str, after: str) -> None:
        """Brings the work tree and git's index to the new commit; git refuses where that would lose anything."""
        if self.work is None:
            return
        import git  # noqa: PLC0415  as in `_git`

        start = before or repository.hash_object("-t", "tree", "-w", os.devnull)
        index = {"GIT_WORK_TREE": str(self.work), "GIT_INDEX_FILE": str(self.folder / "index")}
        try:
            with repository.custom_environment(**index):
                repository.read_tree("-m", "-u", start, after)
        except git.GitCommandError as error:
            raise ConfigError(
                f"{self.work} has changes that a commit would overwrite: {_said(error)}",
                "git commit them, or git stash, then the same words again",
            ) from None

    @contextmanager
    def _git(self) -> Iterator["git.Git"]:
        with _git(self.folder, self.common, _AUTHOR.fullmatch(self.author)) as repository:
            yield repository


def at(path: Path, *, author: str = AUTHOR) -> Tap:
    """Finds the tap at a path: a checkout or a bare repository.

    Raises:
        ConfigError: there is none.
    """
    if (path / "HEAD").is_file() and (path / "objects").is_dir():
        return Tap(folder=path.absolute(), work=None, author=author)
    if not (path / ".git").exists():
        raise ConfigError(f"there is no git repository at {path}", "git clone the tap, or git init a new one")
    git_folder = path / ".git"
    if git_folder.is_file():  # a work tree of its own (git-worktree(1)), or a submodule
        git_folder = path / git_folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    return Tap(folder=git_folder.resolve(), work=path.absolute(), author=author)


def bare(folder: Path, *, author: str = AUTHOR) -> Tap:
    """The bare repository in a folder of a published tree; an empty one is made where there is none.

    ``git init`` would heed templates, GIT_DIR and GIT_WORK_TREE.

    Raises:
        VerifyError: what is there is not as gobuild and git leave it.
    """
    there = Tap(folder=folder.absolute(), work=None, author=author)
    there.judge(whole=True)
    if not (folder / "HEAD").is_file():
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        files.write(folder / "HEAD", f"ref: refs/heads/{BRANCH}\n")
    # git appends to a reflog in place, which would change an older generation that shares the file.
    core = ("repositoryformatversion = 0", "filemode = true", "bare = true", "logAllRefUpdates = false")
    files.write(folder / "config", "".join(f"{line}\n" for line in ("[core]", *(f"\t{each}" for each in core))))
    return there


def clone(address: str, folder: Path, *, run: Runner) -> Tap:
    """Clones somebody's tap, bare: nothing of theirs is checked out or run.

    Args:
        address: where it is served, by file, http or https.
        folder: where it goes; nothing stands there yet. Its parent is git's home meanwhile.
        run: starts git.

    Raises:
        CommandError, ToolMissing: git failed, or is missing.
    """
    environment = ALONE | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder.parent),
        "GIT_ALLOW_PROTOCOL": "file:http:https",
        "LC_ALL": "C.UTF-8",
    }
    options = [word for each in _CONFIG for word in ("-c", each)]
    words: list[str | Path] = [
        "git",
        *options,
        "clone",
        "--quiet",
        "--bare",
        "--no-hardlinks",
        "--template=",
        "--",
        address,
        folder,
    ]
    run(words, env=environment, cwd=folder.parent, timeout=300)
    return at(folder)


def _head(repository: "git.Git") -> str:
    """The newest commit; "" where there is none yet."""
    return str(repository.rev_parse("-q", "--verify", "HEAD^{commit}", with_exceptions=False))


def _said(error: "git.GitCommandError") -> str:
    lines = re.sub(r"^\s*stderr: '|'$", "", str(error.stderr).strip()).strip().splitlines()
    return " ".join(line.strip() for line in lines[:3]) or "git failed"


def _environment(folder: Path, common: Path, author: re.Match[str] | None) -> dict[str, str]:
    """One repository alone, whatever GIT_DIR the caller has, and no configuration but its own."""
    people = {
        f"GIT_{who}_{what}": author[part]
        for who in ("AUTHOR", "COMMITTER")
        for what, part in (("NAME", "name"), ("EMAIL", "mail"))
        if author
    }
    return (
        people
        | ALONE
        | {
            "GIT_DIR": str(folder),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
            "GIT_LITERAL_PATHSPECS": "1",
        }
    )


@contextmanager
def _git(folder: Path, common: Path, author: re.Match[str] | None = None) -> Iterator["git.Git"]:
    """The door to git; its failures become ours."""
    try:
        import git  # noqa: PLC0415  it looks for the program as it is imported, and gobuild must run without
    except ImportError as error:
        raise ToolMissing("cannot run git", "install git") from error
    try:
        repository = git.Git(folder)
        repository.update_environment(**_environment(folder, common, author))
        repository.set_persistent_git_options(c=_CONFIG)
        yield repository
    except git.GitCommandNotFound as error:
        raise ToolMissing("cannot run git", "install git") from error
    except git.GitCommandError as error:
        said = _said(error)
        if "No space left on device" in said:
            raise DiskFull(f"no space left on the device while committing to {folder}", "free some room") from None
        raise CommandError(f"git failed in {folder}: {said}") from None
