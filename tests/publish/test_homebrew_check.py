"""tap.check: Ruby's syntax, what a formula of ours installs, and the digests of what is served."""

import re
import shutil
from pathlib import Path

import pytest
from needs import needs
from publish_clients import serving
from publish_toys import catalogue
from tap_fixtures import DARWIN, LINUX, built, formula_in

from gobuild.core.model import Check, Verdict
from gobuild.core.process import run
from gobuild.fetch import http
from gobuild.publish.homebrew import Tap, TapUrls, check_tap, open_bare_tap, update_tap

pytestmark = pytest.mark.usefixtures("git")


OLD, NEW = "go1.22.10-acme1.p3f9c2a1", "go1.27.3-acme1.p8e097f0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tap of two releases, whose archives and bottles stand in dist/."""
    folder = tmp_path_factory.mktemp("made")
    dist = folder / "dist"
    offers = [built(dist, OLD, DARWIN), built(dist, OLD, LINUX), built(dist, NEW, LINUX)]
    url = dist.as_uri()
    tap = open_bare_tap(folder / "tap.git")
    update_tap(catalogue(*offers), tap, TapUrls(archives=url, bottles=url), bottles=dist, drop=frozenset({DARWIN}))
    return folder


@pytest.fixture
def tap(made: Path, tmp_path: Path) -> Tap:
    """A tap to break."""
    shutil.copytree(made / "tap.git", tmp_path / "tap.git")
    return open_bare_tap(tmp_path / "tap.git")


def _failed(tap: Tap) -> list[Check]:
    return list(check_tap(tap, run=run, blocks=http.stream_bytes).failed)


def test_a_good_tap(tap: Tap) -> None:
    needs("ruby")
    report = check_tap(tap, run=run, blocks=http.stream_bytes)
    assert not report.failed
    digests = [each.seen for each in report.checks if each.name == "digest"]
    assert len(digests) == 3 + 4 and "go-acme@1.22-1.22.10-acme1.p3f9c2a1.arm64_big_sur.bottle.tar.gz" in digests
    skipped = {each.name for each in report.checks if each.verdict is Verdict.SKIPPED}
    assert "brew readall" in skipped and "brew audit --strict" in skipped


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ("Ruby syntax", "  def install\n", "  def install\n    )\n"),
        ("Ruby syntax", "  def install\n", "  def install\n    unused = 1\n"),  # readall takes a warning for an error
        ("formula", "linux-amd64.tar.gz", "linux-386.tar.gz"),
        ("digest", '  sha256 "', f'  sha256 "{"0" * 64}"\n  # "'),
    ],
)
def test_what_is_broken_is_found(tap: Tap, check: str, good: str, bad: str) -> None:
    needs("ruby")
    text = formula_in(tap, "go-acme@1.22")
    assert good in text
    tap.commit({"Formula/go-acme@1.22.rb": text.replace(good, bad, 1)}, "break it")
    assert check in {each.name for each in _failed(tap)}


def test_one_file_with_two_digests_is_found(tap: Tap) -> None:
    other = re.sub('^  sha256 "[0-9a-f]+"', f'  sha256 "{"0" * 64}"', formula_in(tap, "go-acme"), flags=re.MULTILINE)
    tap.commit({"Formula/go-acme.rb": other}, "another digest")
    assert any("has another SHA-256 in Formula/go-acme" in check.seen for check in _failed(tap))


def test_without_ruby_the_syntax_is_skipped(tap: Tap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    syntax = [each for each in check_tap(tap, run=run, blocks=http.stream_bytes).checks if each.name == "Ruby syntax"]
    assert {(each.verdict, each.seen) for each in syntax} == {(Verdict.SKIPPED, "there is no ruby on PATH")}


def test_digests_of_what_is_served(tap: Tap, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "dist", tmp_path / "dist")
    for name in ("go-acme", "go-acme@1.22", "go-acme@1.27"):
        moved = formula_in(tap, name).replace(made.as_uri(), tmp_path.as_uri())
        tap.commit({f"Formula/{name}.rb": moved}, "move it")
    assert not _failed(tap)
    archive = tmp_path / f"dist/{NEW}.linux-amd64.tar.gz"
    archive.write_bytes(archive.read_bytes() + b"!")
    for bottle in (tmp_path / "dist").glob("*big_sur*"):
        bottle.unlink()
    seen = [each.seen for each in _failed(tap) if each.name == "digest"]
    assert len(seen) == 2
    assert any("No such file" in each for each in seen) and any(NEW in each for each in seen)


def _move_newest(tap: Tap, made: Path, url: str) -> None:
    text = formula_in(tap, "go-acme").replace((made / "dist").as_uri(), url)
    tap.commit({"Formula/go-acme.rb": text}, "elsewhere")


def test_a_server_that_cannot_be_reached_is_no_verdict(tap: Tap, made: Path) -> None:
    _move_newest(tap, made, "http://127.0.0.1:9/dl")
    for offline, why in ((False, "127.0.0.1:9 cannot be reached from here"), (True, "--offline: 127.0.0.1:9")):
        checks = check_tap(tap, run=run, blocks=http.stream_bytes, offline=offline).checks
        digests = [each for each in checks if each.name == "digest" and each.verdict is Verdict.SKIPPED]
        assert {each.seen for each in digests} == {why}


def test_a_server_is_asked_and_believed(tap: Tap, made: Path) -> None:
    """Some servers call a .tar.gz a tar with Content-Encoding gzip: brew hashes what comes, and so does this."""
    with serving(made / "dist", Content_Encoding="gzip") as served:
        _move_newest(tap, made, url := served.url)
        assert not _failed(tap)
        good = formula_in(tap, "go-acme")
        tap.commit({"Formula/go-acme.rb": good.replace(f"{url}/go1", f"{url}/gone/go1")}, "gone")
        (failed,) = _failed(tap)
        assert (failed.name, "404" in failed.seen) == ("digest", True)


def test_formulae_of_others_are_theirs(tap: Tap) -> None:
    needs("ruby")
    theirs = 'class Theirs < Formula\n  url "u"\n  on_linux { depends_on "x" }\nend\n'
    tap.commit({"Formula/theirs.rb": theirs, "Formula/wrong.rb": "class Wrong <\n"}, "theirs")
    checks = check_tap(tap, run=run, blocks=http.stream_bytes).checks
    skipped = {each.subject for each in checks if each.verdict is Verdict.SKIPPED and each.name == "formula"}
    assert skipped == {"Formula/theirs.rb", "Formula/wrong.rb"}
    assert [(each.subject, each.name) for each in _failed(tap)] == [("Formula/wrong.rb", "Ruby syntax")]


def test_a_tap_without_a_formula(tmp_path: Path) -> None:
    assert [each.seen for each in _failed(open_bare_tap(tmp_path / "t.git"))] == ["no formula below Formula/"]
