"""Go's source from a git repository, upstream's or a fork's.

The commit alone is fetched, into a bare repository in the cache, and written out by ``git archive``. Nothing that the
repository holds can run or change what is written: there is no work tree, and hooks, filters and attributes are off.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gobuild.core import archives, files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, DiskFull, FetchError, ToolMissing, Unreachable
from gobuild.core.model import Catalog, Release, Source
from gobuild.fetch import goroot, http

if TYPE_CHECKING:
    import git

SCHEMES = ("https", "http", "ssh", "file")
"""How git may be spoken to. "ext::COMMAND" runs commands."""

_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")

_ATTRIBUTES = "* -text -ident -filter -working-tree-encoding -export-ignore -export-subst\n"
"""Every byte as it is in the commit; info/attributes overrides what the tree says (gitattributes(5))."""

_CONFIG = ("core.hooksPath=/dev/null", "http.lowSpeedLimit=1000", "http.lowSpeedTime=60", "gc.auto=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOrigin:
    """One commit of a repository: what a branch, a tag, 40 digits or "HEAD" stands for; offline, stood for last.

    The version asked for, `request`, counts where the tree does not tell its own.
    """

    url: str
    ref: str
    request: str
    cache: Path
    console: Console
    offline: bool = False

    @classmethod
    def parse(cls, text: str, *, request: str, cache: Path, console: Console, offline: bool) -> "GitOrigin":
        """Reads "git+URL" or "git+URL@REF"."""
        whole = text.removeprefix("git+")
        try:
            parts = urlsplit(whole)
        except ValueError as error:
            raise ConfigError(f"{whole!r} is no URL", "git+https://HOST/PATH@REF") from error
        path, _, ref = parts.path.rpartition("@") if "@" in parts.path else (parts.path, "", "")
        url = whole[: len(whole) - len(ref) - 1] if ref else whole
        host = parts.hostname or ""
        if parts.scheme not in SCHEMES or host.startswith("-") or not (host or parts.scheme == "file") or not path:
            raise ConfigError(
                f"{http.redact_url(whole)!r} is no repository that can be fetched",
                "git+https://HOST/PATH@REF, git+ssh://USER@HOST/PATH@REF or git+file:///PATH@REF",
            )
        if ref and (not _REF.fullmatch(ref) or ".." in ref):
            raise ConfigError(f"{ref!r} is no branch, tag or commit", "a name such as go1.22.10, or 40 hex digits")
        return cls(url=url, ref=ref or "HEAD", request=request, cache=cache, console=console, offline=offline)

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        return "git"

    def catalog(self) -> Catalog:
        """The one release that the commit is. Fetches it."""
        with self._repository() as repository:
            commit = self._commit(repository)

            def read(name: str) -> str:
                listed = repository.ls_tree("--name-only", commit, name)
                return repository.cat_file("blob", f"{commit}:{name}") if listed else ""

            version = goroot.version_of(read, self.request)
        release = Release(version=version, origin=self.name)
        return Catalog(origin=self.name, releases=(release,), identity=f"git:{commit}")

    def source(self, release: Release, into: Path) -> Source:
        """Writes the commit's tree to `into`."""
        with self._repository() as repository, files.atomic_write(into) as root:
            commit = self._kept(repository) or self._commit(repository)
            with tempfile.TemporaryDirectory(dir=self._folder.parent, prefix=".tar-") as scratch:
                tar = Path(scratch) / "source.tar"
                with tar.open("wb") as file:
                    repository.archive("--format=tar", commit, output_stream=file)
                archives.unpack(tar, root, lambda name: name if goroot.is_source(name) else None)
            added = goroot.complete_source(root, release.version)
        location = f"{http.redact_url(self.url)}@{self.ref}"
        return Source(release=release, root=into, kind="git", location=location, digest=f"git:{commit}", added=added)

    @property
    def _folder(self) -> Path:
        return self.cache / "git" / hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def _mine(self) -> str:
        """Where the commit is kept: a ref of our own for each ref asked for."""
        return f"refs/gobuild/{hashlib.sha256(self.ref.encode()).hexdigest()[:16]}"

    def _commit(self, repository: "git.Git") -> str:
        """Fetches the commit that the ref stands for now; offline, finds the one fetched last."""
        kept, what = self._kept(repository), f"{self.ref} of {http.redact_url(self.url)}"
        if kept and (self.offline or kept == self.ref):
            return kept
        if self.offline:
            raise Unreachable(f"the cache holds no {what}", "once without --offline")
        self.console.say(f"fetching {what}")
        ssh = os.environ.get("GIT_SSH_COMMAND") or repository.config("--default", "ssh", "--get", "core.sshCommand")
        repository.update_environment(GIT_SSH_COMMAND=f"{ssh} -oBatchMode=yes -oConnectTimeout=10")
        wanted = f"+{self.ref}:{self._mine}"
        repository.fetch("--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", self.url, wanted)
        return self._kept(repository)

    def _kept(self, repository: "git.Git") -> str:
        found = repository.for_each_ref(self._mine, "--format=%(objectname) %(*objectname)").split()
        return found[-1] if found else ""

    @contextmanager
    def _repository(self) -> Iterator["git.Git"]:
        """The bare repository in the cache, for one process at a time; git's failures become ours."""
        try:
            import git  # noqa: PLC0415  it looks for the program as it is imported, and gobuild must run without
        except ImportError as error:
            raise ToolMissing("cannot run git", "install git, or another --source") from error
        folder = self._folder
        doing = f"fetching {http.redact_url(self.url)}"
        with files.exclusive_lock(folder.with_name(f".{folder.name}.lock"), doing, waiting=self.console.say):
            try:
                _make(folder)
                yield _git(git.Git(folder), folder)
            except git.GitCommandNotFound as error:
                raise ToolMissing("cannot run git", "install git, or another --source") from error
            except git.GitCommandError as error:
                raise self._failure(str(error.stderr)) from None

    def _failure(self, stderr: str) -> FetchError | DiskFull:
        said = re.sub(r"//[^/@\s]*@", "//", stderr).strip().strip("'")
        lines = [line.strip() for line in said.splitlines() if re.match(r"\s*(stderr: ')?(fatal|error|ssh):", line)]
        reason = re.sub(r"^stderr: '", "", lines[0]) if lines else (said.splitlines() or ["git failed"])[-1]
        where = http.redact_url(self.url)
        if "No space left on device" in said:
            return DiskFull(f"no space left on the device while fetching {where}", "another place by --cache")
        if "couldn't find remote ref" in said or "not our ref" in said:
            return FetchError(f"{where} has no {self.ref}", "a branch, a tag, or all 40 digits of a commit")
        if remedy := re.search(r"git config --global --add safe\.directory \S.*", said):
            # The repository is another user's; git's own remedy is the one that works.
            return FetchError(f"{where}: {reason}", remedy[0].strip())
        return Unreachable(f"{where}: {reason}", "the URL, and what git itself says: git ls-remote URL")


def _make(folder: Path) -> None:
    """An empty bare repository. ``git init`` would heed templates, GIT_DIR and GIT_WORK_TREE."""
    for name in ("objects", "refs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    files.write(folder / "config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    files.write(folder / "info/attributes", _ATTRIBUTES)
    files.write(folder / "HEAD", "ref: refs/heads/main\n")


def _git(repository: "git.Git", folder: Path) -> "git.Git":
    """The door to git: no other repository than ours, whatever GIT_DIR the caller has; and nobody to ask."""
    repository.update_environment(
        GIT_DIR=str(folder),
        GIT_OBJECT_DIRECTORY=str(folder / "objects"),
        GIT_ALTERNATE_OBJECT_DIRECTORIES="",
        GIT_ALLOW_PROTOCOL=":".join(SCHEMES),
        GIT_TERMINAL_PROMPT="0",
        GIT_ASKPASS="",
        GIT_ATTR_NOSYSTEM="1",
    )
    repository.set_persistent_git_options(c=_CONFIG)
    return repository
