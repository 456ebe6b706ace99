"""`publish` and `verify-release` as a user types them: every word that cannot be used has its message, no traceback."""

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e.builds import captured
from inside import gobuild, refusals
from invoke.context import Context
from needs import needs
from publish_toys import NEXT, SIGNER, STAMP, content_of, published, put_build, secret_key, write_public_key
from receive_fixtures import received

from gobuild.core.errors import ConfigError, FetchError, GobuildError, PublishError, VerifyError
from gobuild.publish.site import generations
from gobuild.publish.supply.signing import MinisignSigner
from gobuild.release import require_pass
from gobuild.release.mirror import open_mirror
from gobuild.tasks import publishing

OTHER = MinisignSigner(secret=secret_key(b"87654321", bytes(range(32))))


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    put_build(tmp_path / "dist")
    return tmp_path / "dist"


def _publish(**words: Any) -> None:
    with refusals():
        publishing.publish(Context(), **({"name": "go-acme"} | words))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({}, "publish needs a place"),
        ({"to": "afile"}, "is no tree that gobuild publishes to"),
        ({"to": "afile/sub"}, "afile is a file, and nothing can stand below it"),
        ({"to": "afile/sub/sub"}, "afile is a file, and nothing can stand below it"),
        ({"to": "/"}, "cannot be a link to a tree"),
        ({"to": "x/.."}, "cannot be a link to a tree"),
        ({"to": "site", "base_url": "https://x.example?x=1"}, "is no URL for a tap"),
        ({"to": "site", "from_": ["empty"]}, "there is no finished build in empty"),
        ({"to": "site", "from_": ["nowhere"]}, "there is no folder"),
        ({"to": "site", "sign_key": "nowhere"}, "cannot be read"),
        ({"to": "site", "resign": True}, "nobody can sign the releases anew"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    dist: Path, tmp_path: Path, words: dict[str, Any], says: str
) -> None:
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=says) as caught:
        _publish(**words)
    assert caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [(("verify-release", "dist"), "public key"), (("ci.workflow",), "--to"), (("ci.wanted",), "--base-url is missing")],
)
def test_what_a_task_needs_is_asked_for(dist: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = gobuild(tmp_path, *words)
    assert (done.code, says in done.err) == (2, True)


def test_an_empty_folder_on_a_tree_that_is_there_is_an_error_too(dist: Path, tmp_path: Path) -> None:
    published(tmp_path / "site", dist)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="there is no finished build in empty"):
        _publish(to="site", from_=["dist", "empty"])
    for path in dist.iterdir():
        path.unlink()
    _publish(to="site")  # the standard folder was not named, and need not have anything
    with pytest.raises(ConfigError, match="there is no finished build to publish"):
        _publish(to="new")


@pytest.mark.parametrize("where", ["http://[", "http://a b:c/", "http://x:99999/", "https://", "http://x?y", "nowhere"])
def test_what_is_no_place_of_a_tree_is_refused(where: str) -> None:
    with pytest.raises(ConfigError):
        open_mirror(where)


def test_a_folder_by_its_file_url_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert open_mirror((tmp_path / "a b").as_uri()).address == (tmp_path / "a b").as_uri()


def test_a_tree_whose_list_leads_elsewhere_is_the_publishers_fault(dist: Path, tmp_path: Path) -> None:
    published(tmp_path / "site", dist, signer=SIGNER)
    write_public_key(SIGNER, tmp_path / "minisign.pub")
    about = (tmp_path / "site").resolve() / "tree.json"
    about.chmod(0o644)
    about.write_text('{"stamps": ["../../../etc"], "taps": []}')
    with pytest.raises(FetchError, match=r"'\.\./\.\./\.\./etc', which is no stamp") as caught:
        received("site")
    assert caught.value.exit_code == 4 and "--stamp" not in caught.value.hint


def test_a_strangers_link_is_left_alone(dist: Path, tmp_path: Path) -> None:
    """A site may be called * and be a neighbour of others."""
    for name in (".other.0badcafe.part", ".*.sub.0badcafe.part", ".*.mine.part"):
        (tmp_path / name).symlink_to("nowhere")
    (tmp_path / ".*.0badcafe.part").symlink_to(".*-generations/9")
    published(tmp_path / "*", dist)
    assert sorted(path.name for path in tmp_path.glob(".*.part")) == [
        ".*.mine.part",
        ".*.sub.0badcafe.part",
        ".other.0badcafe.part",
    ]


def test_who_signs_late_looks_at_the_archives_again(dist: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    published(site, dist)
    archive = site.resolve() / "dl" / f"{STAMP}.src.tar.gz"
    archive.chmod(0o644)
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    before = content_of(site)
    with pytest.raises(GobuildError, match="not what its manifest says"):
        published(site, signer=SIGNER, named=(STAMP,))
    assert content_of(site) == before


def test_one_key_takes_anothers_place(dist: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    published(site, dist, signer=SIGNER)
    put_build(tmp_path / "two", stamp=NEXT)
    with pytest.raises(GobuildError, match=f"{STAMP}/SHA256SUMS in the tree: it was signed with the key"):
        published(site, tmp_path / "two", signer=OTHER)
    write_public_key(OTHER, tmp_path / "minisign.pub")
    old = (SIGNER.trust(),)
    published(site, tmp_path / "two", signer=OTHER, signed_by=old)
    with pytest.raises(GobuildError, match="it was signed with the key"):
        require_pass(received(site))
    published(site, signer=OTHER, resign=True, signed_by=old)
    require_pass(received(site))


def test_no_child_is_given_the_password(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper stands before git on PATH, and writes down what it was started with."""
    git, record = needs("git"), tmp_path / "record"
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.write_text(f'#!/bin/sh\n{{ env; echo "argv: $*"; }} >>"{record}"\nexec "{git}" "$@"\n')
    wrapper.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GOBUILD_SIGN_PASSWORD", "correct horse")
    words = [needs("minisign"), "-G", "-W", "-p", "minisign.pub", "-s", "key"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    _publish(to="site", sign_key="key")
    said = record.read_text()
    assert said.count("argv: ") >= 3 and "PATH=" in said
    assert "correct horse" not in said and "GOBUILD_SIGN_PASSWORD" not in said
    assert "GOBUILD_SIGN_PASSWORD" not in os.environ


def test_a_tree_that_is_damaged_is_said_so(dist: Path, tmp_path: Path) -> None:
    published(tmp_path / "site", dist)
    (generations.generations_folder(tmp_path / "site") / "1" / "tree.json").unlink()
    with pytest.raises(PublishError, match="is damaged"):
        _publish(to="site")


def _macos(name: str) -> Any:
    def edit(told: Any) -> None:
        check = {"subject": "bin/go", "name": "platform", "verdict": "OK", "seen": name, "expected": ""}
        told["checks"].insert(0, check)

    return edit


def _said(site: Path) -> str:
    tap = site / "homebrew-go-acme.git"
    return captured(needs("git"), f"--git-dir={tap}", "show", "HEAD:Formula/go-acme.rb").stdout


@pytest.mark.usefixtures("git")
def test_without_bottles(dist: Path, tmp_path: Path) -> None:
    """The flag that the message names is there; what an earlier run has made is served on."""
    put_build(dist, stamp=NEXT, target="darwin/arm64", edit=_macos("macOS 99.0, SDK 99.0"))
    with pytest.raises(GobuildError, match="needs macOS 99") as caught:
        _publish(to="site")
    assert "--no-bottles" in (caught.value.hint or "") and not (tmp_path / "site").exists()
    _publish(to="site", no_bottles=True)
    assert not (tmp_path / "site/bottles").exists() and "bottle do" not in _said(tmp_path / "site")
    (tmp_path / "other").mkdir()
    put_build(tmp_path / "other/dist")
    _publish(to="with", from_=["other/dist"])
    before = _said(tmp_path / "with")
    _publish(to="with", no_bottles=True)
    assert "bottle do" in before and _said(tmp_path / "with") == before


def test_a_hostile_tap_is_refused_before_a_key_is_read(dist: Path, tmp_path: Path) -> None:
    published(tmp_path / "site", dist)
    with ((tmp_path / "site").resolve() / "homebrew-go-acme.git" / "config").open("a") as file:
        file.write("[core]\n\tfsmonitor = evil\n")
    with pytest.raises(VerifyError, match=r"homebrew-go-acme\.git/config is refused"):
        _publish(to="site", sign_key="there-is-no-such-key")
