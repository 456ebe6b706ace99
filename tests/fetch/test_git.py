"""git: real repositories on this machine."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.builds import program
from workbench_fixtures import commit, git

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, FetchError, ResolveError, Unreachable, UnsafeArchive
from gobuild.core.model import Release
from gobuild.fetch.git import GitOrigin
from gobuild.resolve import resolve

OPEN = Callable[..., GitOrigin]


@pytest.fixture
def repository(toy_tree: Path) -> Path:
    git(toy_tree, "init", "--quiet", "--initial-branch=main")
    commit(toy_tree, "go1.22.10")
    return toy_tree


@pytest.fixture
def open_git(repository: Path, tmp_path: Path, console: Console) -> OPEN:
    def open_it(ref: str = "", *, request: str = "1.22", offline: bool = False, url: str = "") -> GitOrigin:
        return GitOrigin.parse(
            f"git+{url or repository.as_uri()}" + (f"@{ref}" if ref else ""),
            request=request,
            cache=tmp_path / "cache",
            console=console,
            offline=offline,
        )

    return open_it


def release_of(origin: GitOrigin) -> Release:
    return resolve(origin.request, origin.catalog())


def test_the_default_branch_a_tag_a_branch_and_a_commit(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "--annotate", "--message=a", "go1.22.10")
    git(repository, "branch", "release-branch.go1.22")
    (repository / "src/new.go").write_text("package new\n")
    files.write(repository / "bin/go", "what was built, and committed")
    commit(repository, "more")
    second = git(repository, "rev-parse", "HEAD")
    refs = {"": second, "go1.22.10": first, "release-branch.go1.22": first, second: second, first: first}
    for ref, wanted in refs.items():
        origin = open_git(ref)
        catalog = origin.catalog()
        assert (catalog.origin, catalog.identity) == ("git", f"git:{wanted}")
        source = origin.source(resolve("1.22", catalog), tmp_path / "go")
        assert (source.kind, source.digest) == ("git", f"git:{wanted}")
        assert source.location == f"{repository.as_uri()}@{ref or 'HEAD'}"
        assert (source.root / "src/new.go").is_file() == (wanted == second)
        assert source.added == ("PATENTS",)
        assert not (source.root / ".git").exists() and not (source.root / "bin").exists()
        assert (source.root / "src/make.bash").stat().st_mode & 0o777 == 0o755
        assert (source.root / "src/runtime/mfinal.go").stat().st_mode & 0o777 == 0o644


def test_only_the_commit_is_fetched(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    (repository / "src/new.go").write_text("package new\n")
    commit(repository, "more")
    open_git().catalog()
    (bare,) = (tmp_path / "cache/git").glob("[!.]*")
    assert git(bare, "rev-list", "--all", "--count") == "1"


def test_a_branch_that_moves(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    before = open_git("main").catalog().identity
    (repository / "src/new.go").write_text("package new\n")
    git(repository, "commit", "--quiet", "--amend", "--all", "--message", "another history")
    assert open_git("main", offline=True).catalog().identity == before
    commit(repository)
    assert open_git("main").catalog().identity == "git:" + git(repository, "rev-parse", "HEAD") != before


def test_offline(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="the cache holds no HEAD"):
        open_git(offline=True).catalog()
    digest = open_git().source(release_of(open_git()), tmp_path / "go").digest
    repository.rename(tmp_path / "gone")
    offline = open_git(offline=True)
    assert offline.source(release_of(offline), tmp_path / "again").digest == digest
    with pytest.raises(Unreachable, match="the cache holds no main"):
        open_git("main", offline=True).catalog()


def test_nothing_in_the_repository_runs_or_changes_what_is_written(
    repository: Path, open_git: OPEN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "ran"
    config = tmp_path / "gitconfig"
    hooks = tmp_path / "templates/hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trace}\n")
        (hooks / name).chmod(0o755)
    config.write_text(
        f"[init]\ntemplateDir = {hooks.parent}\n[core]\nhooksPath = {hooks}\nautocrlf = true\n"
        f'[filter "evil"]\nsmudge = "touch {trace}; cat"\nclean = cat\nrequired = true\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    (repository / ".gitattributes").write_text(
        "*.go filter=evil ident eol=crlf\nsrc/runtime/** export-ignore\nsrc/subst export-subst\n"
    )
    (repository / "src/subst").write_text("$Format:%H$ $Id$\n")
    commit(repository, "more")
    source = open_git().source(release_of(open_git()), tmp_path / "go")
    assert (source.root / "src/subst").read_text() == "$Format:%H$ $Id$\n"
    assert (source.root / "src/runtime/mfinal.go").read_bytes() == b"package runtime\n\nfunc runfinq() {\n}\n"
    assert not trace.exists()


def test_the_callers_own_repository_is_left_alone(
    repository: Path, open_git: OPEN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gobuild may run in a git hook, where GIT_DIR and its kind point at the repository that is committed to."""
    mine = tmp_path / "mine"
    mine.mkdir()
    git(mine, "init", "--quiet")
    for name, place in {"DIR": "", "WORK_TREE": "..", "INDEX_FILE": "index", "OBJECT_DIRECTORY": "objects"}.items():
        monkeypatch.setenv(f"GIT_{name}", str(mine / ".git" / place))
    before = sorted((path, path.stat().st_mtime_ns) for path in mine.rglob("*"))
    assert open_git().source(release_of(open_git()), tmp_path / "go").root.is_dir()
    assert sorted((path, path.stat().st_mtime_ns) for path in mine.rglob("*")) == before


def test_a_development_branch_has_no_version(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    (repository / "VERSION").unlink()
    commit(repository, "more")
    for request in ("1.22", "stable", "1.23.1"):
        with pytest.raises(ResolveError, match=r"it is of the line 1\.22") as caught:
            open_git(request=request).catalog()
        assert caught.value.hint.endswith("--go 1.22.0")
    for request in ("1.22.7", "go1.22rc3"):
        origin = open_git(request=request)
        release = release_of(origin)
        assert release.version.tag == f"go{request.removeprefix('go')}"
        assert origin.source(release, tmp_path / "go").release == release


def test_a_forks_own_suffix(repository: Path, open_git: OPEN) -> None:
    (repository / "VERSION").write_text("go1.22.10-acme1\n")
    commit(repository, "more")
    assert release_of(open_git()).version.tag == "go1.22.10"


def test_what_is_no_go(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    (repository / "src/make.bash").unlink()
    commit(repository, "more")
    with pytest.raises(FetchError, match=r"no src/make\.bash"):
        open_git().source(release_of(open_git()), tmp_path / "go")
    git(repository, "rm", "--quiet", "-r", "VERSION", "src/internal")
    commit(repository, "more")
    with pytest.raises(FetchError, match="not Go's source"):
        open_git().catalog()
    assert not (tmp_path / "go").exists()


def test_a_link_in_the_tree_is_refused(repository: Path, open_git: OPEN, tmp_path: Path) -> None:
    (repository / "src/link").symlink_to("../../..")
    commit(repository, "more")
    with pytest.raises(UnsafeArchive, match="no plain file"):
        open_git().source(release_of(open_git()), tmp_path / "work/go")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_ref_that_is_not_there(open_git: OPEN) -> None:
    for ref in ("nowhere", "0" * 40):
        with pytest.raises(FetchError, match=f"has no {ref}"):
            open_git(ref).catalog()


@pytest.mark.parametrize(
    "text",
    [
        "git+ext::sh -c touch% evil",
        "git+-oProxyCommand=evil",
        "git+ssh://-oProxyCommand=evil/x",
        "git+/home/me/go",
        "git+git@example.org:go.git",
        "git+https://",
        "git+ftp://example.org/go",
        "git+https://example.org/go@--upload-pack=evil",
        "git+https://example.org/go@a:b",
        "git+https://example.org/go@a..b",
        "git+https://example.org/go@a b",
    ],
)
def test_a_url_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        GitOrigin.parse(text, request="1.22", cache=tmp_path, console=Console(), offline=False)


def test_a_url_with_a_user_and_a_ref(tmp_path: Path) -> None:
    for text, url, ref in (
        ("git+ssh://git@example.org/a/go@feature/x", "ssh://git@example.org/a/go", "feature/x"),
        ("git+https://e.org/go.git", "https://e.org/go.git", "HEAD"),
    ):
        origin = GitOrigin.parse(text, request="1.22", cache=tmp_path, console=Console(), offline=False)
        assert (origin.url, origin.ref) == (url, ref)


def test_a_repository_that_does_not_answer(open_git: OPEN, tmp_path: Path, stream: io.StringIO) -> None:
    for url in ("http://me:s3cr3t@127.0.0.1:9/go", "https://s3cr3t@127.0.0.1:9/go", f"file://{tmp_path}/none"):
        with pytest.raises(Unreachable) as caught:
            open_git(url=url).catalog()
        assert "s3cr3t" not in str(caught.value) + stream.getvalue()
        assert caught.value.__cause__ is None
        assert "127.0.0.1:9" in caught.value.reason or "does not appear to be a git repository" in caught.value.reason
    for path in tmp_path.rglob("cache/git/**/*"):
        assert path.is_dir() or b"s3cr3t" not in path.read_bytes()


def test_a_machine_without_git(repository: Path, tmp_path: Path) -> None:
    words = [program("gobuild"), "plan", "--source", f"git+{repository.as_uri()}", "--go", "1.22", "--cache", "cache"]
    done = subprocess.run(words, cwd=tmp_path, env={"PATH": str(tmp_path)}, check=False, capture_output=True, text=True)
    assert "error: cannot run git\n  try: install git" in done.stderr


def test_gits_remedy_for_anothers_repository(repository: Path, open_git: OPEN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests' way to another owner
    with pytest.raises(FetchError, match="dubious ownership") as caught:
        open_git("main").catalog()
    assert caught.value.hint.startswith("git config --global --add safe.directory ")
    assert str(repository) in caught.value.hint
