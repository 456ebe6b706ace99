"""The tap: real git makes, clones and serves it; nobody's files are lost, and no file is changed in place."""

import io
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from needs import needs
from publish_clients import serving
from publish_toys import catalogue, content_of
from tap_fixtures import DARWIN, LINUX, built, formula_in
from toy_manifest import toy_patch

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.fetch import http
from gobuild.publish.builds import Build
from gobuild.publish.homebrew import (
    Tap,
    TapOptions,
    TapUrls,
    check_tap,
    open_bare_tap,
    open_tap,
    update_tap,
    version_in,
    write_tap,
)
from gobuild.publish.homebrew.formula_spec import parse_formula
from gobuild.tasks import tap as tasks

pytestmark = pytest.mark.usefixtures("git")


OLD, NEW = "go1.22.10-acme1.p3f9c2a1", "go1.27.3-acme1.p8e097f0"
TAP = "homebrew-go-acme.git"
SSH = "ssh://git@git.acme.example/it/own.git"
PLACE = TapUrls(archives="https://dl.example.com/v1")


def _git(*words: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    people = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        [needs("git"), *words], cwd=cwd, env=clean | people, capture_output=True, text=True, check=True
    ).stdout


def test_a_tree_grows_by_a_commit_a_release(tmp_path: Path) -> None:
    tree, dist = tmp_path / "tree", tmp_path / "dist"
    old = [built(dist, OLD, target) for target in (DARWIN, LINUX)]
    write_tap(catalogue(*old), tree)
    there = open_tap(tree / TAP)
    assert sorted(there.entries()) == ["Formula/go-acme.rb", "Formula/go-acme@1.22.rb", "README.md"]
    assert len(list((tree / "bottles").iterdir())) == 4

    write_tap(catalogue(*old, *(built(dist, NEW, target) for target in (DARWIN, LINUX))), tree)
    said = _git("log", "--format=%an <%ae>%n%s", cwd=there.folder).splitlines()
    assert said == [
        "gobuild <gobuild@localhost>",
        "go-acme, go-acme@1.27 1.27.3-acme1.p8e097f0",
        "gobuild <gobuild@localhost>",
        "go-acme, go-acme@1.22 1.22.10-acme1.p3f9c2a1 (new formulae)",
    ]
    assert "go-acme: was 1.22.10-acme1.p3f9c2a1" in _git("log", "-1", "--format=%b", cwd=there.folder)
    assert version_in(formula_in(there, "go-acme")) == "1.27.3-acme1.p8e097f0"
    assert version_in(formula_in(there, "go-acme@1.22")) == "1.22.10-acme1.p3f9c2a1"
    _git("fsck", "--strict", cwd=there.folder)


def test_a_new_generation_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    """The staged tree shares its files with the served one: what is rewritten must be written anew."""
    first, second = tmp_path / "first", tmp_path / "second"
    old = built(tmp_path / "dist", OLD, LINUX)
    write_tap(catalogue(old), first)
    before = content_of(first)
    write_tap(catalogue(old), first)
    assert content_of(first) == before  # where nothing is new nothing is written
    subprocess.run(["cp", "-al", first, second], check=True)
    write_tap(catalogue(old, built(tmp_path / "dist", NEW, LINUX)), second)
    assert content_of(first) == before
    for tree, count in ((first, "1"), (second, "2")):
        assert _git("rev-list", "--count", "HEAD", cwd=tree / TAP).strip() == count


def test_clones_of_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    old = built(tmp_path / "dist", OLD, LINUX)
    write_tap(catalogue(old), tree, TapOptions(bottles=False))
    with serving(tree) as served:
        _git("clone", "--quiet", f"{served.url}/{TAP}", "over-http", cwd=tmp_path)
        _git("clone", "--quiet", (tree / TAP).as_uri(), "from-file", cwd=tmp_path)
        write_tap(catalogue(old, built(tmp_path / "dist", NEW, LINUX)), tree, TapOptions(bottles=False))
        for name in ("over-http", "from-file"):
            _git("pull", "--quiet", "--ff-only", cwd=tmp_path / name)
            text = (tmp_path / name / "Formula/go-acme.rb").read_text()
            assert version_in(text) == "1.27.3-acme1.p8e097f0"
    assert "bottle do" not in text


def _checkout(tmp_path: Path) -> Path:
    """A user's own tap, with something of theirs in it."""
    folder = tmp_path / "homebrew-tap"
    (folder / "Formula").mkdir(parents=True)
    (folder / "Aliases").mkdir()
    (folder / "Formula/theirs.rb").write_text("class Theirs < Formula\nend\n")
    (folder / "README.md").write_text("Our tap.\n")
    (folder / "Aliases/go-acme@1.22").symlink_to("../Formula/theirs.rb")
    _git("init", "--quiet", "--initial-branch", "trunk", cwd=folder)
    _git("add", "-A", cwd=folder)
    _git("commit", "--quiet", "-m", "theirs", cwd=folder)
    return folder


def test_a_users_checkout_keeps_what_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _checkout(tmp_path)
    (folder / "Formula/theirs.rb").write_text("class Theirs < Formula\n  # not yet committed\nend\n")
    (folder / "notes.txt").write_text("mine\n")
    hook = folder / ".git/hooks/reference-transaction"  # git runs it where a branch moves
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    shelf = catalogue(built(tmp_path / "dist", OLD, LINUX))
    (made,) = update_tap(shelf, open_tap(folder, author="Ann <ann@example.com>"), PLACE)
    assert made == "go-acme, go-acme@1.22 1.22.10-acme1.p3f9c2a1 (new formulae)"
    assert _git("log", "-1", "--format=%an %D", cwd=folder).strip() == "Ann HEAD -> trunk"
    # The alias went, since brew refuses one that is called as a formula is; all else is as it was.
    assert _git("status", "--short", cwd=folder).splitlines() == [" M Formula/theirs.rb", "?? notes.txt"]
    assert not (folder / "Aliases/go-acme@1.22").exists()
    assert (folder / "README.md").read_text() == "Our tap.\n"
    assert "https://dl.example.com/v1/go1.22" in (folder / "Formula/go-acme.rb").read_text()
    assert update_tap(shelf, open_tap(folder), PLACE) == ()


@pytest.mark.parametrize(
    ("remote", "tapped"),
    [
        ("https://ann:hunter2@github.com/acme/homebrew-own.git", ["brew trust acme/own", "brew tap acme/own"]),
        ("git@git.acme.example:it/own.git", [f"brew trust {SSH}", f"brew tap it/own {SSH}"]),
        ("", ["brew trust USER/TAP", "brew tap USER/TAP"]),
    ],
)
def test_a_tap_of_the_users_own_is_called_what_its_remote_says(tmp_path: Path, remote: str, tapped: list[str]) -> None:
    _git("init", "--quiet", "homebrew-own", cwd=tmp_path)
    if remote:
        _git("remote", "add", "origin", remote, cwd=tmp_path / "homebrew-own")
    dist = tmp_path / "dist"
    built(dist, OLD, LINUX)
    tasks.update(Context(), to=str(tmp_path / "homebrew-own"), dist=str(dist), name="go-acme", base_url=PLACE.archives)
    said = (tmp_path / "homebrew-own/README.md").read_text()
    lines = said.splitlines()
    at = lines.index(tapped[0])
    assert lines[at + 1] == tapped[1]
    assert lines[at + 2] == f"brew install {tapped[1].split()[2]}/go-acme"
    written = "".join(path.read_text() for path in (tmp_path / "homebrew-own/Formula").iterdir())
    assert "acme/go-acme" not in said + written and "hunter2" not in said + written
    assert f"        brew trust {SSH if SSH in tapped[0] else '#{tap}'}\n" in written


def test_what_a_commit_would_overwrite_stops_it(tmp_path: Path) -> None:
    folder = _checkout(tmp_path)
    (folder / "Formula/go-acme.rb").write_text("# mine, not yet committed\n")
    head = _git("rev-parse", "HEAD", cwd=folder)
    with pytest.raises(ConfigError, match=r"would overwrite.*go-acme\.rb"):
        update_tap(catalogue(built(tmp_path / "dist", OLD, LINUX)), open_tap(folder), PLACE)
    assert (folder / "Formula/go-acme.rb").read_text() == "# mine, not yet committed\n"
    assert _git("rev-parse", "HEAD", cwd=folder) == head
    assert _git("status", "--short", cwd=folder) == "?? Formula/go-acme.rb\n"


def test_a_formula_of_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    there = open_bare_tap(tmp_path / "tap.git")
    there.commit({"Formula/go-acme.rb": "class GoAcme < Formula\nend\n"}, "theirs")
    with pytest.raises(ConfigError, match="gobuild did not write"):
        update_tap(catalogue(built(tmp_path / "dist", OLD, LINUX)), there, PLACE)


def test_an_empty_checkout_and_a_linked_one(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    _git("init", "--quiet", cwd=folder)
    update_tap(catalogue(built(tmp_path / "dist", OLD, LINUX)), open_tap(folder), PLACE)
    assert _git("status", "--short", cwd=folder) == ""
    _git("worktree", "add", "--quiet", "-b", "side", "../side", cwd=folder)
    update_tap(catalogue(built(tmp_path / "dist", NEW, LINUX)), open_tap(tmp_path / "side"), PLACE)
    assert _git("status", "--short", cwd=tmp_path / "side") == ""
    assert (tmp_path / "side/Formula/go-acme@1.27.rb").is_file()
    assert not (folder / "Formula/go-acme@1.27.rb").exists()


def test_no_branch_and_no_author(tmp_path: Path) -> None:
    folder = _checkout(tmp_path)
    _git("checkout", "--quiet", "--detach", cwd=folder)
    with pytest.raises(ConfigError, match="no branch"):
        update_tap(catalogue(built(tmp_path / "dist", OLD, LINUX)), open_tap(folder), PLACE)
    for author in ("Ann", "Ann <a b>", "A\nB <a@b>", " <a@b>"):
        with pytest.raises(ConfigError, match="no author"):
            Tap(folder=folder, work=None, author=author)


def test_candidates_and_passed_over_releases(tmp_path: Path) -> None:
    """Homebrew takes 1.28rc1 for newer than 1.28.0, and of two digests the one it likes."""
    dist, told = tmp_path / "dist", list[str]()
    offers = [
        built(dist, stamp, LINUX)
        for stamp in ("go1.28rc1-acme1", "go1.27.3-acme1.p8e097f0", "go1.27.3-acme1.p36efb16", "go1.27.2-acme9")
    ]
    there = open_bare_tap(tmp_path / "tap.git")
    update_tap(catalogue(*offers), there, PLACE, note=told.append)
    assert sorted(there.entries()) == ["Formula/go-acme.rb", "Formula/go-acme@1.27.rb", "README.md"]
    newest = next(stamp for stamp in catalogue(*offers).releases if "1.27.3" in stamp)
    assert f"go{version_in(formula_in(there, 'go-acme'))}" == newest
    (passed,) = {"go1.27.3-acme1.p8e097f0", "go1.27.3-acme1.p36efb16"} - {newest}
    assert f"no formula is of {passed}: {newest} is newer" in told[0] and "acme.1.{id}" in told[0]
    write_tap(catalogue(offers[0]), tmp_path / "candidate")
    assert not (tmp_path / "candidate").exists()


def test_the_formula_of_a_line_that_has_ended_says_so_where_that_is_wanted(tmp_path: Path) -> None:
    """1.22 ended when 1.24 came; 1.27 gets fixes. Where a patch brings fixes, there is nothing to warn of."""
    mending = [toy_patch("mend-http") | {"fixes": ["GO-2025-3563"]}]
    idle = [toy_patch("mend-http", "nothing to do") | {"fixes": ["GO-2025-3563"]}]
    warning = '\n\n  deprecate! date: "2025-02-11", because: :unsupported\n'
    for number, (patches, deprecate, warned) in enumerate(
        (([], True, True), ([], False, False), (mending, True, False), (idle, True, True))
    ):
        dist = tmp_path / f"dist{number}"
        offers = [built(dist, OLD, LINUX, patches=patches), built(dist, NEW, LINUX)]
        there = open_bare_tap(tmp_path / f"{number}.git")
        update_tap(catalogue(*offers), there, PLACE, deprecate=deprecate)
        found = {name: formula_in(there, name) for name in ("go-acme", "go-acme@1.22", "go-acme@1.27")}
        assert {name for name, text in found.items() if "deprecate!" in text} == ({"go-acme@1.22"} if warned else set())
        assert (warning in found["go-acme@1.22"]) == warned
        assert parse_formula(found["go-acme@1.22"]).ended == ("2025-02-11" if warned else "")


def test_a_hostile_manifest_is_text_or_refused(tmp_path: Path) -> None:
    """What people wrote (titles, reasons) is in no formula at all; names that are none are refused."""
    code = '#{system("id")}"; `id`\\'
    patch = {"name": "ours", "state": "applied", "reason": code, "evidence": code, "files": [code], "sha256": "a" * 64}
    profile = {"name": code, "cgo_enabled": code, "ldflags": code, "note": code}
    offer = built(tmp_path / "dist", OLD, LINUX, patches=[patch], profile=profile)
    there = open_bare_tap(tmp_path / "tap.git")
    update_tap(catalogue(offer), there, PLACE)
    for name in there.entries():
        assert "system(" not in (there.read_file(name) or "")
    assert "names = %w[ours]" in formula_in(there, "go-acme")
    bad = replace(offer.manifest.patches[0], name="x] + [`id`")
    named = replace(offer, manifest=replace(offer.manifest, patches=(bad,)))
    with pytest.raises(ConfigError, match="no patch's name"):
        update_tap(catalogue(named), there, PLACE)
    stamped = replace(offer, manifest=replace(offer.manifest, stamp="go1.22.10-#{`id`}"))
    with pytest.raises(ConfigError, match="no stamp"):
        update_tap(catalogue(stamped), open_bare_tap(tmp_path / "another.git"), PLACE)
    for name in ("go", "Go-Acme", "../x", "go-acme;id"):
        with pytest.raises(ConfigError):
            update_tap(catalogue(offer, name=name), there, PLACE)


def _receipt(bottle: Path) -> dict[str, Any]:
    with tarfile.open(bottle) as tar:
        name = next(each for each in tar.getnames() if each.endswith("INSTALL_RECEIPT.json"))
        return dict(json.load(tar.extractfile(name) or io.BytesIO()))


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_published_later_is_newer_whatever_its_digest(tmp_path: Path, whole: bool) -> None:
    """With the default suffix half of all patched again were below the tap's in brew's order, and never reached it.

    brew compares the scheme first, then the version (keg.rb, scheme_and_version). Where it is the same, `brew audit`
    of 6.0.18 says "Stable: version should not decrease (from A to B)"; where it leaps, "`version_scheme` should only
    increment by 1".
    """
    there, bottles = open_bare_tap(tmp_path / "tap.git"), tmp_path / "bottles"
    place = TapUrls(archives="https://x.example/dl", bottles="https://x.example/b")
    suffixes = ("gobuild.p36efb16", "gobuild.p9abcdef", "gobuild.p1e0aaaa", "gobuild.1.pfffffff", "gobuild.10.p0000000")
    offers = list[Build]()
    for scheme, suffix in enumerate(suffixes):
        offers = [*(offers if whole else []), built(tmp_path / "dist", f"go1.22.10-{suffix}", LINUX)]
        update_tap(catalogue(*offers, before=there.stamps()), there, place, bottles=bottles)
        for name in ("go-acme", "go-acme@1.22"):
            found = parse_formula(formula_in(there, name))
            assert (found.version, found.scheme) == (f"1.22.10-{suffix}", scheme)
            receipt = _receipt(bottles / f"{name}-1.22.10-{suffix}.x86_64_linux.bottle.tar.gz")
            assert receipt["source"]["versions"]["version_scheme"] == scheme
        assert update_tap(catalogue(*offers, before=there.stamps()), there, place, bottles=bottles) == ()
    assert not check_tap(there, run=run, blocks=http.stream_bytes, offline=True).failed
    # What is older by its number, or by when it came, stays behind, on offer alone as well.
    for suffix in (suffixes[0], "gobuild.9.pfffffff"):
        old = built(tmp_path / "old", f"go1.22.10-{suffix}", LINUX)
        assert update_tap(catalogue(old, before=there.stamps()), there, place, bottles=bottles) == ()
    update_tap(catalogue(built(tmp_path / "dist", NEW, LINUX)), there, place)
    assert parse_formula(formula_in(there, "go-acme")).scheme == len(suffixes) - 1  # the number of Go says it


AMD = Target.parse("darwin/amd64")


def _serves(there: Tap, name: str) -> tuple[str, set[str]]:
    found = parse_formula(formula_in(there, name))
    return found.version, set(map(str, found.targets))


def test_a_formula_leaves_no_platform_behind_unsaid(tmp_path: Path) -> None:
    """Whoever has it there would be refused by `depends_on` at the next upgrade."""
    dist, told, there = tmp_path / "dist", list[str](), open_bare_tap(tmp_path / "tap.git")
    three = [built(dist, OLD, target) for target in (DARWIN, LINUX, AMD)]
    update_tap(catalogue(*three), there, PLACE)
    newer = built(dist, "go1.22.11-acme1.p1", AMD)
    assert update_tap(catalogue(*three, newer), there, PLACE, note=told.append) == ()
    assert told == [
        f"{name} stays at {OLD[2:]}: go1.22.11-acme1.p1 is not there for darwin/arm64, linux/amd64"
        for name in ("go-acme@1.22", "go-acme")
    ]
    # dist/ may hold the new release alone: what the tap itself says counts.
    assert update_tap(catalogue(newer), there, PLACE) == ()
    whole = [newer, *(built(dist, "go1.22.11-acme1.p1", target) for target in (DARWIN, LINUX))]
    update_tap(catalogue(*whole), there, PLACE, note=told.append)
    assert len(told) == 3 and told[-1].startswith("the tap:")
    assert _serves(there, "go-acme") == ("1.22.11-acme1.p1", {"darwin/amd64", "darwin/arm64", "linux/amd64"})
    # The same release with fewer platforms in dist/, and an older one, change nothing either.
    assert update_tap(catalogue(newer), there, PLACE) == ()
    assert update_tap(catalogue(*three), there, PLACE, note=told.append) == ()
    assert told[-1] == "go-acme stays at 1.22.11-acme1.p1: what is offered is older"


def test_the_newest_of_all_serves_who_had_it(tmp_path: Path) -> None:
    """A new line for Linux alone has its own formula; the one without a version stays."""
    dist, there = tmp_path / "dist", open_bare_tap(tmp_path / "tap.git")
    offers = [built(dist, OLD, DARWIN), built(dist, OLD, LINUX), built(dist, NEW, LINUX)]
    update_tap(catalogue(*offers), there, PLACE)
    assert _serves(there, "go-acme") == (OLD[2:], {"darwin/arm64", "linux/amd64"})
    assert _serves(there, "go-acme@1.27") == (NEW[2:], {"linux/amd64"})
