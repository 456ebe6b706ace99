"""`invoke tap.update` and `invoke tap.check`, as a user types them."""

import os
import subprocess
from pathlib import Path

import pytest
from e2e.builds import program
from inside import refusals
from invoke.context import Context
from needs import needs
from tap_fixtures import DARWIN, LINUX, built

from gobuild.core.errors import ConfigError
from gobuild.publish.homebrew.tap import open_bare_tap
from gobuild.tasks import tap as tasks
from gobuild.tasks.tap import finished_builds

STAMP = "go1.22.10-acme1.p3f9c2a1"


def _invoke(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "tasks.py").write_text(
        "from invoke import Collection\nfrom gobuild.tasks.tap import ns as tap\nns = Collection(tap)\n"
    )
    return subprocess.run(
        [program("invoke"), *words],
        cwd=folder,
        env=dict(os.environ) | {"COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_release_joins_a_tap_and_the_tap_is_checked(tmp_path: Path) -> None:
    needs("ruby")
    open_bare_tap(tmp_path / "tap.git")
    for target in (DARWIN, LINUX):
        built(tmp_path / "dist", STAMP, target)
    base = (tmp_path / "dist").as_uri()
    words = ("tap.update", "--to", "tap.git", "--name", "go-acme", "--base-url", base, "--bottles", "dist")
    done = _invoke(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "committed: go-acme, go-acme@1.22 1.22.10-acme1.p3f9c2a1 (new formulae)" in done.stdout
    assert "git push is yours to do" in done.stdout
    again = _invoke(tmp_path, *words)
    assert "nothing new: no commit was made" in again.stdout

    checked = _invoke(tmp_path, "tap.check", "tap.git")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "brew readall" in checked.stdout and "FAILED" not in checked.stdout

    (tmp_path / f"dist/{STAMP}.linux-amd64.tar.gz").write_bytes(b"other")
    broken = _invoke(tmp_path, "tap.check", "tap.git")
    assert broken.returncode == 8
    assert "Traceback" not in broken.stderr and "tap's checks failed" in broken.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "which tap?"),
        ({"to": "tap.git"}, "no folder"),
        ({"to": "nowhere"}, "no git repository at"),
        ({"to": "tap.git", "author": "me"}, "no author"),
    ],
)
def test_what_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, str], said: str) -> None:
    """In-process: that a message of ours is no traceback is shown once, above."""
    monkeypatch.chdir(tmp_path)
    open_bare_tap(tmp_path / "tap.git")
    with pytest.raises(ConfigError, match=said) as caught, refusals():
        tasks.update(Context(), **words)
    assert caught.value.hint


def test_a_tap_that_is_not_there_cannot_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no git repository at"), refusals():
        tasks.check_tap(Context(), "nowhere")


def test_an_archive_that_is_not_what_its_manifest_says_comes_into_no_tap(tmp_path: Path) -> None:
    """As publish does, tap.update hashes what joins, before a bottle is made of it."""
    open_bare_tap(tmp_path / "tap.git")
    archive = built(tmp_path / "dist", STAMP, LINUX).archive("toolchain").path
    with archive.open("ab") as file:
        file.write(b"x")
    words = ("tap.update", "--to", "tap.git", "--name", "go-acme", "--base-url", "https://x.example", "--bottles", "b")
    done = _invoke(tmp_path, *words)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "is not what its manifest says" in done.stderr
    assert not (tmp_path / "b").exists() and not (tmp_path / "tap.git/refs/heads/main").exists()


def test_of_many_stamps_the_newest_comes_first(tmp_path: Path) -> None:
    """As `Catalogue` promises, and as publish has it: acme10 before acme9."""
    dist = tmp_path / "dist"
    for suffix in ("acme9", "acme10"):
        built(dist, f"go1.22.10-{suffix}", LINUX)
    shelf = finished_builds(dist, "go-acme", "https://x.example", lambda _: None)
    assert list(shelf.releases) == ["go1.22.10-acme10", "go1.22.10-acme9"]


def test_a_platform_that_is_left_behind_has_to_be_said(tmp_path: Path) -> None:
    open_bare_tap(tmp_path / "tap.git")
    words = ("tap.update", "--to", "tap.git", "--name", "go-acme", "--base-url", "https://x.example")
    for target in (DARWIN, LINUX):
        built(tmp_path / "dist", STAMP, target)
    assert _invoke(tmp_path, *words).returncode == 0
    built(tmp_path / "new", "go1.22.11-acme1.p1", LINUX)
    held = _invoke(tmp_path, *words, "--dist", "new")
    said = "go-acme@1.22 stays at 1.22.10-acme1.p3f9c2a1: go1.22.11-acme1.p1 is not there for darwin/arm64"
    assert said in held.stdout and "no commit was made" in held.stdout
    assert _invoke(tmp_path, *words, "--dist", "new", "--drop", "darwin/what").returncode == 2
    dropped = _invoke(tmp_path, *words, "--dist", "new", "--drop", "darwin/arm64")
    assert "committed: go-acme, go-acme@1.22 1.22.11-acme1.p1" in dropped.stdout, dropped.stdout + dropped.stderr
