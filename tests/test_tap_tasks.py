"""`invoke tap.update` and `invoke tap.check`, as a user types them."""

import os
import subprocess
from pathlib import Path

import pytest
from e2e.builds import program
from needs import needs
from tap_fixtures import DARWIN, LINUX, built

from gobuild.publish.homebrew.tap import bare

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
    bare(tmp_path / "tap.git")
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
    ("words", "code", "said"),
    [
        (("tap.update",), 2, "which tap?"),
        (("tap.update", "--to", "tap.git"), 2, "no folder"),
        (("tap.update", "--to", "nowhere"), 2, "no git repository at"),
        (("tap.update", "--to", "tap.git", "--author", "me"), 2, "no author"),
        (("tap.check", "nowhere"), 2, "no git repository at"),
    ],
)
def test_what_cannot_be(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    bare(tmp_path / "tap.git")
    done = _invoke(tmp_path, *words)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
    assert "  try: " in done.stderr
