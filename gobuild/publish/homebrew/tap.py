"""A tap as a git repository, bare or with a work tree: files become a commit, and whatever else it holds stays.

Commits are made from objects, without git's index and without hooks, filters or the user's own configuration; a work
tree is brought along afterwards, and only where that loses nothing of the user's. git never changes in place what it
writes here, so a bare repository may share its files with an older generation by hard links. Nothing is pushed.
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
from gobuild.publish.homebrew.safety import refuse_unsafe_repository

if TYPE_CHECKING:
    import git

AUTHOR = "gobuild <gobuild@localhost>"
"""Who commits, where nobody is named."""

BRANCH = "main"

_AUTHOR = re.compile(r"([^<>\x00-\x1f]*[^<>\x00-\x1f\s]) <[^<>\s\x00-\x1f]+>")

_CONFIG = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false")

_ALONE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
}
"""The environment of a git that heeds neither the user nor the machine, asks nobody and fetches nothing."""

_BARE = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tlogAllRefUpdates = false\n"
"""git appends to a reflog in place, which would change an older generation that shares the file: so there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A repository that is there: git's folder (the bare repository, or .git), and the checkout where there is one."""

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

    def refuse_unsafe(self, *, published: bool = False) -> None:
        """Raises VerifyError for what would make git run or read something else (`refuse_unsafe_repository`)."""
        refuse_unsafe_repository(self.common, bare=self.work is None, published=published)

    def entries(self) -> dict[str, tuple[str, int]]:
        """The mode ("100644") and size in bytes of each file of the newest commit; a submodule has -1 bytes."""
        with self._git() as repository:
            listed = repository.ls_tree("-r", "-z", "-l", "HEAD") if _head(repository) else ""
        found = {}
        for entry in filter(None, listed.split("\0")):
            about, path = entry.split("\t", 1)
            mode, _, _, size = about.split()
            found[path] = mode, -1 if size == "-" else int(size)
        return found

    def read_file(self, path: str) -> str | None:
        """The text of a file in the newest commit; None where there is none."""
        with self._git() as repository:
            if not _head(repository) or not repository.ls_tree("-z", "--name-only", "HEAD", "--", path):
                return None
            content = repository.cat_file("blob", f"HEAD:{path}", strip_newline_in_stdout=False, stdout_as_string=False)
            return bytes(content).decode("utf-8", "surrogateescape")

    def stamps(self) -> list[str]:
        """The releases that commits of ours have brought, newest first (`messages.commit_message`)."""
        with self._git() as repository:
            log = repository.log("--format=%B") if _head(repository) else ""
        return list(dict.fromkeys(re.findall(r"^(go[0-9]\S*), made from go", log, re.MULTILINE)))

    def remote_url(self) -> str:
        """The URL of the remote "origin", whatever it holds; "" where there is none."""
        with self._git() as repository:
            return str(repository.config("--local", "--get", "remote.origin.url", with_exceptions=False))

    def commit(self, changes: Mapping[str, str | None], message: str) -> None:
        """Makes one commit of files changed, added or (None) removed."""
        with self._git() as repository, tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
            branch = repository.symbolic_ref("-q", "HEAD", with_exceptions=False)
            if not branch:
                raise ConfigError(f"no branch is checked out in {self.work or self.folder}", f"git checkout {BRANCH}")
            before = _head(repository)
            tree = _write_tree(repository, before, changes, Path(scratch))
            words = Path(scratch) / "message"
            words.write_text(message, encoding="utf-8")
            after = repository.commit_tree(tree, *(["-p", before] if before else []), "-F", str(words))
            if self.work:
                self._update_work_tree(self.work, before, after)
            # Only if nobody else has moved the branch since.
            repository.update_ref("-m", message.splitlines()[0], branch, after, before or "0" * len(after))
            if self.work is None:
                repository.update_server_info()  # what a server that knows no git must have

    def _update_work_tree(self, work: Path, before: str, after: str) -> None:
        """Brings the work tree and git's index to the new commit; git refuses where that would lose anything."""
        index = {"GIT_WORK_TREE": str(work), "GIT_INDEX_FILE": str(self.folder / "index")}
        try:
            with self._git() as repository, repository.custom_environment(**index):
                start = before or repository.hash_object("-t", "tree", "-w", os.devnull)
                repository.read_tree("-m", "-u", start, after)
        except CommandError as error:
            raise ConfigError(
                f"{work} has changes that a commit would overwrite: {error.reason}",
                "git commit them, or git stash, then the same words again",
            ) from None

    @contextmanager
    def _git(self) -> Iterator["git.Git"]:
        """The door to git; its failures become ours."""
        try:
            import git  # noqa: PLC0415  it looks for the program as it is imported, and gobuild must run without
        except ImportError as error:
            raise ToolMissing("cannot run git", "install git") from error
        try:
            repository = git.Git(self.folder)
            repository.update_environment(**self._environment())
            repository.set_persistent_git_options(c=_CONFIG)
            yield repository
        except git.GitCommandNotFound as error:
            raise ToolMissing("cannot run git", "install git") from error
        except git.GitCommandError as error:
            lines = re.sub(r"^\s*stderr: '|'$", "", str(error.stderr).strip()).strip().splitlines()
            reason = " ".join(line.strip() for line in lines[:3])
            if "No space left on device" in reason:
                raise DiskFull(f"no space left on the device for {self.folder}", "free some room") from None
            raise CommandError(f"git failed in {self.folder}: {reason}") from None

    def _environment(self) -> dict[str, str]:
        """One repository alone, whatever GIT_DIR the caller has, and no configuration but its own."""
        name, _, mail = self.author.rpartition(" ")
        who = {"NAME": name, "EMAIL": mail.strip("<>")}
        people = {f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in who.items()}
        here = {
            "GIT_DIR": str(self.folder),
            "GIT_OBJECT_DIRECTORY": str(self.common / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
            "GIT_LITERAL_PATHSPECS": "1",
        }
        return _ALONE | people | here


def open_tap(path: Path, *, author: str = AUTHOR) -> Tap:
    """Finds the tap at a path: a checkout or a bare repository."""
    if (path / "HEAD").is_file() and (path / "objects").is_dir():
        return Tap(folder=path.absolute(), work=None, author=author)
    if not (path / ".git").exists():
        raise ConfigError(f"there is no git repository at {path}", "git clone the tap, or git init a new one")
    git_folder = path / ".git"
    if git_folder.is_file():  # a work tree of its own (git-worktree(1)), or a submodule
        git_folder = path / git_folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    return Tap(folder=git_folder.resolve(), work=path.absolute(), author=author)


def open_bare_tap(folder: Path, *, author: str = AUTHOR) -> Tap:
    """Opens the bare repository of a published tree; where there is none, makes an empty one."""
    tap = Tap(folder=folder.absolute(), work=None, author=author)
    tap.refuse_unsafe(published=True)
    if not (folder / "HEAD").is_file():  # `git init` would heed templates, GIT_DIR and GIT_WORK_TREE
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        files.write(folder / "HEAD", f"ref: refs/heads/{BRANCH}\n")
    files.write(folder / "config", _BARE)
    return tap


def clone_tap(address: str, folder: Path, *, run: Runner) -> Tap:
    """Clones somebody's tap over file, http or https, bare: nothing of theirs is checked out or run.

    Nothing stands in the folder yet; its parent is git's home meanwhile.
    """
    environment = _ALONE | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder.parent),
        "GIT_ALLOW_PROTOCOL": "file:http:https",
        "LC_ALL": "C.UTF-8",
    }
    options = [word for each in _CONFIG for word in ("-c", each)]
    how = ("--quiet", "--bare", "--no-hardlinks", "--template=")
    run(["git", *options, "clone", *how, "--", address, folder], env=environment, cwd=folder.parent, timeout=300)
    return open_tap(folder)


def _head(repository: "git.Git") -> str:
    """The newest commit; "" where there is none yet."""
    return str(repository.rev_parse("-q", "--verify", "HEAD^{commit}", with_exceptions=False))


def _write_tree(repository: "git.Git", before: str, changes: Mapping[str, str | None], scratch: Path) -> str:
    """Writes the tree of a commit's files and the changes over them."""
    content = scratch / "content"
    with repository.custom_environment(GIT_INDEX_FILE=str(scratch / "index")):
        repository.read_tree(*([before] if before else ["--empty"]))
        for path, text in changes.items():
            if text is None:
                repository.update_index("--force-remove", "--", path)
                continue
            content.write_bytes(text.encode("utf-8", "surrogateescape"))
            blob = repository.hash_object("-w", "--no-filters", str(content))
            repository.update_index("--add", "--replace", "--cacheinfo", f"100644,{blob},{path}")
        return str(repository.write_tree())
