"""tap.check: each rule of Homebrew's is seen to be broken where it is, and a good tap passes them all."""

import functools
import shutil
import subprocess
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from goserver import answering
from needs import needs
from tap_fixtures import DARWIN, LINUX, built, formula_in, shelf_of

from gobuild.core.model import Check, Target, Verdict
from gobuild.core.process import run
from gobuild.fetch import http
from gobuild.publish.homebrew import Place, Tap, check, update
from gobuild.publish.homebrew.read import Unreadable, parse
from gobuild.publish.homebrew.tap import bare

pytestmark = pytest.mark.usefixtures("git")


OLD, NEW = "go1.22.10-acme1.p3f9c2a1", "go1.27.3-acme1.p8e097f0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tap of two releases, whose archives and bottles stand in dist/."""
    folder = tmp_path_factory.mktemp("made")
    dist = folder / "dist"
    offers = [built(dist, OLD, DARWIN), built(dist, OLD, LINUX), built(dist, NEW, LINUX)]
    url = dist.as_uri()
    place, there = Place(archives=url, bottles=url), bare(folder / "tap.git")
    update(shelf_of(*offers), there, place, bottles=dist, drop=frozenset({DARWIN}))
    return folder


@pytest.fixture
def there(made: Path, tmp_path: Path) -> Tap:
    """A tap to break."""
    shutil.copytree(made / "tap.git", tmp_path / "tap.git")
    return bare(tmp_path / "tap.git")


def _failed(there: Tap) -> list[Check]:
    return list(check(there, run=run, blocks=http.stream_bytes).failed)


def test_a_good_tap(there: Tap) -> None:
    needs("ruby")
    report = check(there, run=run, blocks=http.stream_bytes)
    assert not report.failed
    digests = [each.seen for each in report.checks if each.name == "digest"]
    assert len(digests) == 3 + 4 and "go-acme@1.22-1.22.10-acme1.p3f9c2a1.arm64_big_sur.bottle.tar.gz" in digests
    skipped = {each.name for each in report.checks if each.verdict is Verdict.SKIPPED}
    assert "brew readall" in skipped and "brew audit --strict" in skipped


KEG_ONLY = 'keg_only "it stays on one line of Go, beside any other go"'

BREAKS = [
    ("name and class", "class GoAcmeAT122 <", "class GoAcme122 <"),
    ("first lines", "# typed: strict", "# typed: false"),
    ("stanzas", '  license "BSD-3-Clause"\n', ""),
    ("stanzas", '  license "BSD-3-Clause"\n\n  livecheck do', '\n  livecheck do\n  end\n  license "X"\n  bottle do'),
    ("stanzas", f"  {KEG_ONLY}\n", f"  {KEG_ONLY}\n\n  plist_options :x\n"),
    ("blocks", "    depends_on arch: :x86_64\n", '    depends_on arch: :x86_64\n    url "file:///x"\n'),
    ("platforms", '  sha256 "', '  sha256 "0'),
    ("platforms", "linux-amd64.tar.gz", "linux-arm64.tar.gz"),
    ("version", 'version "1.22.10', 'version "1.22.11'),
    ("version", 'version "1.22.10', 'version "v1.22.10'),
    ("version", '  version "1.22.10-acme1.p3f9c2a1"\n', ""),
    ("desc", "Patched Go 1.22", "A patched Go 1.22"),
    ("desc", "1.22 toolchain", "1.22 toolchain." + "x" * 60),
    ("keg_only", f"  {KEG_ONLY}\n", ""),
    ("keg_only", KEG_ONLY, 'keg_only "#{`id`}"'),
    # Homebrew 6.0.18, `brew install gobuild/go-gobuild/go-gobuild@1.22` on a fresh machine, exit 1: "Error: Refusing to
    # load formula gobuild/go-gobuild/go-gobuild from untrusted tap gobuild/go-gobuild." With words it installs.
    ("keg_only", KEG_ONLY, "keg_only :versioned_formula"),
    ("URLs", 'homepage "https://go.dev/"', 'homepage "go.dev"'),
    ("desc", 'desc "Patched', 'desc "#{`id`} Patched'),
    ("bottles", "arm64_big_sur:", "arm64_big_fur:"),
    ("bottles", "x86_64_linux: ", "arm64_linux:  "),
    ("Ruby syntax", "  def install\n", "  def install\n    )\n"),
    ("Ruby syntax", "  def install\n", "  def install\n    unused = 1\n"),  # readall takes a warning for an error
    ("shape", f"  {KEG_ONLY}", f"   {KEG_ONLY}"),
    ("shape", "  on_linux do\n", "  on_linux do |os|\n"),
]


@pytest.mark.parametrize(("rule", "good", "bad"), BREAKS)
def test_what_is_broken_is_found(there: Tap, rule: str, good: str, bad: str) -> None:
    needs("ruby")
    text = formula_in(there, "go-acme@1.22")
    assert good in text
    there.commit({"Formula/go-acme@1.22.rb": text.replace(good, bad, 1)}, "break it")
    assert rule in {each.name for each in _failed(there)}


def test_digests_of_what_is_served(there: Tap, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "dist", tmp_path / "dist")
    for name in ("go-acme", "go-acme@1.22", "go-acme@1.27"):
        moved = formula_in(there, name).replace(made.as_uri(), tmp_path.as_uri())
        there.commit({f"Formula/{name}.rb": moved}, "move it")
    assert not _failed(there)
    archive = tmp_path / f"dist/{NEW}.linux-amd64.tar.gz"
    archive.write_bytes(archive.read_bytes() + b"!")
    for bottle in (tmp_path / "dist").glob("*big_sur*"):
        bottle.unlink()
    seen = [each.seen for each in _failed(there) if each.name == "digest"]
    assert len(seen) == 2
    assert any("No such file" in each for each in seen) and any(NEW in each for each in seen)


def test_a_server_that_cannot_be_reached_is_no_verdict(there: Tap, made: Path) -> None:
    text = formula_in(there, "go-acme").replace((made / "dist").as_uri(), "http://127.0.0.1:9/dl")
    there.commit({"Formula/go-acme.rb": text}, "elsewhere")
    digests = [each for each in check(there, run=run, blocks=http.stream_bytes).checks if each.name == "digest"]
    assert {each.seen for each in digests if each.verdict is Verdict.SKIPPED} == {
        "127.0.0.1:9 cannot be reached from here"
    }
    offline = [
        each
        for each in check(there, run=run, blocks=http.stream_bytes, offline=True).checks
        if each.verdict is Verdict.SKIPPED
    ]
    assert "--offline: 127.0.0.1:9" in {each.seen for each in offline}


def test_a_server_is_asked_and_believed(there: Tap, made: Path) -> None:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(made / "dist")))
    with answering(server) as url:
        good = formula_in(there, "go-acme").replace((made / "dist").as_uri(), url)
        there.commit({"Formula/go-acme.rb": good}, "over HTTP")
        assert not _failed(there)
        there.commit({"Formula/go-acme.rb": good.replace(f"{url}/go1", f"{url}/gone/go1")}, "gone")
        (failed,) = _failed(there)
        assert (failed.name, "404" in failed.seen) == ("digest", True)


def test_a_server_that_says_gzip_of_an_archive_changes_no_digest(there: Tap, made: Path) -> None:
    """Some servers call a .tar.gz a tar with Content-Encoding gzip: brew hashes what comes, and so does this."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def end_headers(self) -> None:
            self.send_header("Content-Encoding", "gzip")
            super().end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(made / "dist")))
    with answering(server) as url:
        good = formula_in(there, "go-acme").replace((made / "dist").as_uri(), url)
        there.commit({"Formula/go-acme.rb": good}, "over HTTP")
        assert not _failed(there)


def test_what_formulae_are_to_one_another(there: Tap) -> None:
    newest = formula_in(there, "go-acme")
    there.commit({"Formula/go-acme.rb": newest.replace("1.27.3", "1.27.2")}, "behind")
    assert "go-acme is 1.27.2-acme1.p8e097f0, and there is 1.27.3" in str(_failed(there))
    there.commit({"Formula/go-acme.rb": newest, "Formula/sub/go-acme.rb": newest}, "twice")
    assert "go-acme stands there twice" in str(_failed(there))


def test_formulae_of_others_are_theirs(there: Tap) -> None:
    needs("ruby")
    theirs = 'class Theirs < Formula\n  url "u"\n  on_linux { depends_on "x" }\nend\n'
    there.commit({"Formula/theirs.rb": theirs, "Formula/wrong.rb": "class Wrong <\n"}, "theirs")
    checks = check(there, run=run, blocks=http.stream_bytes).checks
    skipped = {each.subject for each in checks if each.verdict is Verdict.SKIPPED and each.name == "rules"}
    assert skipped == {"Formula/theirs.rb", "Formula/wrong.rb"}
    assert [(each.subject, each.name) for each in _failed(there)] == [("Formula/wrong.rb", "Ruby syntax")]


def test_aliases(there: Tap, tmp_path: Path) -> None:
    def run_git(*words: str) -> str:
        return subprocess.run(
            [needs("git"), *words], cwd=tmp_path / "clone", check=True, capture_output=True, text=True
        ).stdout

    subprocess.run([needs("git"), "clone", "--quiet", there.folder, tmp_path / "clone"], check=True)
    folder = tmp_path / "clone/Aliases"
    folder.mkdir()
    (folder / "go-acme@1").symlink_to("../Formula/go-acme.rb")
    (folder / "go-acme@1.22").symlink_to("../Formula/go-acme.rb")
    (folder / "plain").write_text("no link")
    (folder / "gone").symlink_to("../Formula/gone.rb")
    run_git("add", "-A")
    run_git("-c", "user.name=t", "-c", "user.email=t", "commit", "--quiet", "-m", "aliases")
    from gobuild.publish.homebrew import at

    report = check(at(tmp_path / "clone"), run=run, blocks=http.stream_bytes)
    assert {each.subject for each in report.failed} == {"Aliases/go-acme@1.22", "Aliases/plain", "Aliases/gone"}


def test_a_tap_without_a_formula(tmp_path: Path) -> None:
    assert [each.seen for each in _failed(bare(tmp_path / "t.git"))] == ["no formula below Formula/"]


@pytest.mark.parametrize(
    "text", ["", "end\n", "class A < Cask\nend", "class A < Formula\n  end\nend", "puts 1\nclass A < Formula\nend"]
)
def test_what_is_no_formula(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text)


def test_platforms_are_told_apart() -> None:
    text = """class A < Formula
  url "u"
  version "1"
  sha256 "s"

  on_linux do
    depends_on arch: :x86_64

    on_intel do
      url "l"
      sha256 "t"
    end
  end
end
"""
    formula = parse(text)
    linux, mac = formula.on(Target.parse("linux/amd64")), formula.on(Target.parse("darwin/arm64"))
    assert (linux.url, linux.sha256, linux.refused) == ("l", "t", "")
    assert (mac.url, mac.refused, formula.on(Target.parse("linux/arm64")).refused) == ("u", "", "arch: :x86_64")
