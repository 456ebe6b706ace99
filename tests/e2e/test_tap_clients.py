"""The tap of two real toolchains: a formula installed, tested, upgraded by `git pull` to the next release, removed.

By plain Ruby (brew.rb), which is no brew: what only brew can tell is in the README.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.builds import Build as Made
from e2e.builds import captured
from needs import needs

from gobuild.core.goversion import Target
from gobuild.core.model import Verdict
from gobuild.core.process import run
from gobuild.fetch import http
from gobuild.publish import homebrew
from gobuild.publish.builds import Build, find_builds
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.homebrew.bottle import bottle_tag

pytestmark = pytest.mark.slow

HARNESS = Path(__file__).parent / "brew.rb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A tree with one release, and then with two.

    Attributes:
        tree: the tree, as it is with both.
        clone: a clone of its tap from when there was one.
        old, new: the builds.
        prefix: where the formulae are installed.
        scratch: the home of `test do`, and Go's build cache.
    """

    tree: Path
    clone: Path
    old: Build
    new: Build
    prefix: Path
    scratch: Path

    def brew(self, *words: str | Path, formula: str) -> None:
        """Runs the harness on a formula of the clone."""
        path = self.clone / f"Formula/{formula}.rb"
        cache = {"GOCACHE": str(self.scratch / "gocache"), "HOME": str(self.scratch)}
        variables = {"PATH": os.environ["PATH"], **cache}
        done = captured(needs("ruby"), "-W0", HARNESS, *words, path, env=variables, cwd=self.scratch)
        assert json.loads(done.stdout)["errors"] == []


def _offer(build: Made) -> Build:
    (found,) = find_builds(build.dist)
    return found


def _write(tree: Path, *offers: Build, bottles: bool) -> None:
    for offer in offers:
        archive = offer.archive("toolchain").path
        (tree / "dl").mkdir(parents=True, exist_ok=True)
        if not (tree / "dl" / archive.name).exists():
            os.link(archive, tree / "dl" / archive.name)
    newest = sorted(offers, key=lambda offer: offer.version.pep440, reverse=True)
    homebrew.write_tap(
        Catalogue(name="go-acme", base_url=tree.as_uri(), builds=tuple(newest)),
        tree,
        homebrew.TapOptions(bottles=bottles),
    )


@pytest.fixture(scope="module")
def published(native: Made, newest: Made, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Two publications, and a clone in between."""
    folder = tmp_path_factory.mktemp("tap")
    old, new = _offer(native), _offer(newest)
    _write(folder / "tree", old, bottles=False)
    url = (folder / "tree" / homebrew.tap_folder("go-acme")).as_uri()
    subprocess.run([needs("git"), "clone", "--quiet", url, folder / "clone"], check=True)
    _write(folder / "tree", old, new, bottles=True)
    (folder / "scratch").mkdir()
    (folder / "prefix/bin").mkdir(parents=True)
    return Published(
        tree=folder / "tree",
        clone=folder / "clone",
        old=old,
        new=new,
        prefix=folder / "prefix",
        scratch=folder / "scratch",
    )


def _version(offer: Build) -> str:
    return offer.stamp.removeprefix("go")


def test_installed_upgraded_removed(published: Published) -> None:
    prefix = published.prefix
    (prefix / "bin/go").write_text("Homebrew's own go\n")
    published.brew("--install", prefix, formula="go-acme")
    assert [keg.name for keg in (prefix / "Cellar/go-acme").iterdir()] == [_version(published.old)]

    subprocess.run([needs("git"), "-C", published.clone, "pull", "--quiet", "--ff-only"], check=True)
    published.brew("--install", prefix, formula="go-acme")
    assert [keg.name for keg in (prefix / "Cellar/go-acme").iterdir()] == [_version(published.new)]
    assert sorted(path.name for path in (prefix / "bin").iterdir()) == ["go", "go-acme", published.new.stamp]
    # opt stays where it was, and leads to the new one: that is the GOROOT that users are told.
    variables = {"PATH": os.environ["PATH"], "HOME": str(published.scratch)}
    said = captured(prefix / "opt/go-acme/libexec/bin/go", "version", env=variables)
    assert f" {published.new.stamp} " in said.stdout

    published.brew("--uninstall", prefix, formula="go-acme")
    left = [path for path in prefix.rglob("*") if not path.is_dir()]
    assert left == [prefix / "bin/go"]


def _content(keg: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(keg)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in keg.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_poured_bottle_is_the_installed_formula(published: Published) -> None:
    """In both orders of the two tests: the clone may or may not have been brought up to date."""
    subprocess.run([needs("git"), "-C", published.clone, "pull", "--quiet", "--ff-only"], check=True)
    formula, tag = "go-acme@1.27", bottle_tag(published.new.manifest)
    name = f"{formula}-{_version(published.new)}.{tag}.bottle.tar.gz"
    poured = published.scratch / "poured"
    published.brew("--pour", published.tree / "bottles" / name, poured, formula=formula)
    keg = _content(poured / f"Cellar/{formula}/{_version(published.new)}")
    # What brew itself adds to a keg that it builds, and moves there.
    receipt, formula_in_it = keg.pop("INSTALL_RECEIPT.json"), keg.pop(f".brew/{formula}.rb")
    keg["libexec/LICENSE"] = keg.pop("LICENSE")
    assert b'"changed_files": []' in bytes(receipt) if isinstance(receipt, bytes) else False
    assert b"bottle do" not in formula_in_it if isinstance(formula_in_it, bytes) else False
    published.brew("--install", published.scratch / "built", formula=formula)
    assert keg == _content(published.scratch / f"built/Cellar/{formula}/{_version(published.new)}")
    assert keg["bin/go"] == "../libexec/bin/go"
    assert not [path for path in keg if "/elf/testdata/" in path]


def test_all_that_can_be_checked(published: Published) -> None:
    needs("ruby")
    tap = homebrew.open_tap(published.tree / homebrew.tap_folder("go-acme"))
    report = homebrew.check_tap(tap, run=run, blocks=http.stream_bytes)
    assert not report.failed
    digests = {check.seen for check in report.checks if check.name == "digest" and check.verdict is Verdict.OK}
    # Two archives; bottles of the two lines and of the newest.
    assert len(digests) == 5
    assert {path.name for path in (published.tree / "bottles").iterdir()} < digests
    assert str(Target.host()) == str(published.old.target)
