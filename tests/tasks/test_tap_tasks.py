"""`tap.update` and `tap.check`, as a user types them."""

from pathlib import Path

import pytest
from inside import gobuild, refusals
from invoke.context import Context
from needs import needs
from tap_fixtures import DARWIN, LINUX, built

from gobuild.core.errors import ConfigError
from gobuild.publish.homebrew.tap import open_bare_tap
from gobuild.tasks import tap as tasks
from gobuild.tasks.tap import finished_builds

STAMP = "go1.22.10-acme1.p3f9c2a1"


def test_a_release_joins_a_tap_and_the_tap_is_checked(tmp_path: Path) -> None:
    needs("ruby")
    open_bare_tap(tmp_path / "tap.git")
    for target in (DARWIN, LINUX):
        built(tmp_path / "dist", STAMP, target)
    base = (tmp_path / "dist").as_uri()
    words = ("tap.update", "--to", "tap.git", "--name", "go-acme", "--base-url", base, "--bottles", "dist")
    done = gobuild(tmp_path, *words)
    assert done.code == 0, done.err
    assert "committed: go-acme, go-acme@1.22 1.22.10-acme1.p3f9c2a1 (new formulae)" in done.out
    assert "Next: git -C tap.git push" in done.out
    again = gobuild(tmp_path, *words)
    assert "nothing new: no commit was made" in again.out

    checked = gobuild(tmp_path, "tap.check", "tap.git")
    assert checked.code == 0, checked.out + checked.err
    assert "brew readall" in checked.out and "FAILED" not in checked.out

    (tmp_path / f"dist/{STAMP}.linux-amd64.tar.gz").write_bytes(b"other")
    broken = gobuild(tmp_path, "tap.check", "tap.git")
    assert broken.code == 8
    assert "Traceback" not in broken.err and "tap's checks failed" in broken.err


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
    done = gobuild(tmp_path, *words)
    assert done.code == 5, done.out + done.err
    assert "is not what its manifest says" in done.err
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
    assert gobuild(tmp_path, *words).code == 0
    built(tmp_path / "new", "go1.22.11-acme1.p1", LINUX)
    held = gobuild(tmp_path, *words, "--dist", "new")
    said = "go-acme@1.22 stays at 1.22.10-acme1.p3f9c2a1: go1.22.11-acme1.p1 is not there for darwin/arm64"
    assert said in held.out and "no commit was made" in held.out
    assert gobuild(tmp_path, *words, "--dist", "new", "--drop", "darwin/what").code == 2
    dropped = gobuild(tmp_path, *words, "--dist", "new", "--drop", "darwin/arm64")
    assert "committed: go-acme, go-acme@1.22 1.22.11-acme1.p1" in dropped.out, dropped.out + dropped.err
