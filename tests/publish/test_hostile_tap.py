"""Taps that somebody else wrote: what would make git run or read something else is refused before git is started."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import needs
from publish_toys import NEXT, STAMP
from receive_fixtures import publish_signed, received

from gobuild.core.errors import GobuildError, VerifyError
from gobuild.core.model import Verdict
from gobuild.core.process import run
from gobuild.fetch import http
from gobuild.publish import homebrew
from gobuild.publish.homebrew.tap import Tap

pytestmark = pytest.mark.usefixtures("git")

TAP = "homebrew-go-acme.git"

Plant = Callable[[Path, str], str]
"""Makes a tap hostile; from its folder and a command to the file that must be named."""


def _config(text: str) -> Plant:
    def plant(folder: Path, command: str) -> str:
        with (folder / "config").open("a") as file:
            file.write(text.replace("COMMAND", command))
        return "config"

    return plant


def _promisor(folder: Path, command: str) -> str:
    _config(
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n"
        '[remote "origin"]\n\turl = "ext::sh -c COMMAND"\n\tpromisor = true\n[protocol "ext"]\n\tallow = always\n'
    )(folder, command)
    words = ["git", "--git-dir", str(folder), "rev-parse", "HEAD^{tree}"]
    tree = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    (folder / "objects" / tree[:2] / tree[2:]).unlink()
    return "config"


def _hook(folder: Path, command: str) -> str:
    (folder / "hooks").mkdir()
    hook = folder / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\n{command}\n")
    hook.chmod(0o755)
    return "hooks/reference-transaction"


def _alternates(folder: Path, _command: str) -> str:
    (folder / "objects/info").mkdir(exist_ok=True)
    (folder / "objects/info/alternates").write_text(f"{folder.parent}/elsewhere\n")
    return "objects/info/alternates"


def _include(folder: Path, command: str) -> str:
    (folder.parent / "included").write_text(f"[core]\n\tfsmonitor = {command}\n")
    return _config("[include]\n\tpath = ../included\n")(folder, command)


PLANTS: dict[str, Plant] = {
    "a promisor that is a command": _promisor,
    "fsmonitor": _config("[core]\n\tfsmonitor = COMMAND\n"),
    "fsmonitor, on the section's line": _config("[core] fsmonitor = COMMAND\n"),
    "hooksPath": _config("[core]\n\thooksPath = /tmp\n"),
    "a hook": _hook,
    "alternates": _alternates,
    "an include": _include,
    "an include on a condition": _config('[includeIf "gitdir:/"]\n\tpath = ../included\n'),
    "a filter": _config('[filter "evil"]\n\tclean = COMMAND\n\tsmudge = COMMAND\n\trequired = true\n'),
    "textconv": _config('[diff "evil"]\n\ttextconv = COMMAND\n'),
    "a line that goes on": _config("[user]\n\tname = a \\\n[core]\\\n\tfsmonitor = COMMAND\n"),
    "another remote's program": _config('[remote "origin"]\n\tuploadpack = COMMAND\n'),
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return publish_signed(tmp_path, STAMP, database=None)


@pytest.fixture
def no_git(monkeypatch: pytest.MonkeyPatch) -> list[Tap]:
    """The taps for which git was asked for."""
    asked: list[Tap] = []
    real = Tap._git

    def seen(tap: Tap) -> object:
        asked.append(tap)
        return real(tap)

    monkeypatch.setattr(Tap, "_git", seen)
    return asked


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_it_is_refused_by_name_before_git_is_started(
    site: Path, tmp_path: Path, no_git: list[Tap], plant: Plant
) -> None:
    mark = tmp_path / "ran"
    name = plant((site / TAP).resolve(), f"touch {mark}")
    no_git.clear()
    with pytest.raises(VerifyError, match=f"{TAP}/{name} is refused"):
        publish_signed(tmp_path, NEXT, database=None)
    with pytest.raises(VerifyError, match=f"{TAP}/{name} is refused"):
        homebrew.check_tap(homebrew.open_tap(site / TAP), run=run, blocks=http.stream_bytes, offline=True)
    report = received(site)
    assert [(each.subject, each.name) for each in report.failed] == [(TAP, "repository")]
    assert f"{TAP}/{name} is refused" in report.failed[0].seen
    assert not no_git and not mark.exists()


def test_git_itself_would_have_run_it(site: Path, tmp_path: Path) -> None:
    """The promisor is no paper tiger; and where a repository is not judged, git is still told to fetch nothing."""
    mark, folder = tmp_path / "ran", (site / TAP).resolve()
    script = tmp_path / "run.sh"
    script.write_text(f"touch {mark}\n")
    _promisor(folder, str(script))
    config = (folder / "config").read_text().replace("sh -c ", "sh ")
    (folder / "config").write_text(config)
    with pytest.raises(GobuildError):
        homebrew.open_tap(folder).entries()
    assert not mark.exists()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    words = ["git", "--git-dir", str(folder), "ls-tree", "HEAD"]
    subprocess.run(words, env=environment, capture_output=True, check=False)
    assert mark.exists()


def test_a_checkout_with_what_git_itself_writes_is_judged_sound(site: Path, tmp_path: Path) -> None:
    git = needs("git")
    own = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    subprocess.run([git, "clone", "-q", f"file://{(site / TAP).resolve()}", tmp_path / "clone"], check=True)
    for words in (["config", "user.name", "A B"], ["branch", "-q", "other"], ["gc", "-q"]):
        subprocess.run([git, *own, "-C", tmp_path / "clone", *words], check=True)
    homebrew.open_tap(tmp_path / "clone").refuse_unsafe()
    shutil.copytree((site / TAP).resolve(), tmp_path / TAP)
    subprocess.run([git, "--git-dir", tmp_path / TAP, "gc", "-q"], check=True)
    homebrew.open_tap(tmp_path / TAP).refuse_unsafe(published=True)


def test_a_tree_of_another_user_is_read_where_it_stands(site: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for folder, _, names in os.walk(site.resolve()):
        for each in (folder, *(f"{folder}/{name}" for name in names)):
            os.chown(each, 12345, 12345)
    report = received(site)
    assert not report.failed
    formulae = [each for each in report.checks if each.subject.endswith(".rb") and each.name == "text"]
    assert formulae and all(each.verdict is Verdict.OK for each in formulae)
