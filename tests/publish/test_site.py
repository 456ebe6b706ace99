"""A published tree grows, and never changes what it offered."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from publish_toys import NEXT, SIGNER, STAMP, content_of, published, put_build

from gobuild.core.errors import ChecksumMismatch, ConfigError, PublishError
from gobuild.publish.site import generations
from gobuild.publish.supply import minisign

pytestmark = pytest.mark.usefixtures("git")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A tree with the build in dist/, which nobody has signed."""
    put_build(tmp_path / "dist")
    assert published(tmp_path / "site", tmp_path / "dist").unsigned == (STAMP,)
    return tmp_path / "site"


def test_a_release_joins_and_the_old_one_stays(site: Path, tmp_path: Path) -> None:
    before = content_of(site)
    put_build(tmp_path / "two", stamp=NEXT)
    second = published(site, tmp_path / "two")
    after = content_of(site)
    assert second.changed and len(second.added) == 1
    assert list(second.catalogue.releases) == [NEXT, STAMP]
    assets = [name for name in before if name.endswith((".tar.gz", ".zip", ".mod", ".info", ".gobuild.json"))]
    assert len(assets) >= 7  # five archives, a manifest, and bottles
    assert all(after[name] == before[name] for name in assets)
    for name in (f"dl/{NEXT}.linux-amd64.tar.gz", f"releases/{NEXT}/SHA256SUMS", f"releases/{NEXT}/index.html"):
        assert name in after
    name, home = f"dl/{STAMP}.linux-amd64.tar.gz", generations.generations_folder(site)
    assert content_of(home / "1") == before
    assert (home / "1" / name).samefile(home / "2" / name)
    assert os.readlink(site) == ".site-generations/2"


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    put_build(tmp_path / "dist")
    published(site, tmp_path / "dist", signer=SIGNER)
    before = content_of(site)
    again = published(site, tmp_path / "dist", signer=SIGNER)
    assert not again.changed and not again.added
    assert os.readlink(site) == ".site-generations/1"
    assert content_of(site) == before


def test_a_patch_without_a_reason_is_not_handed_out(tmp_path: Path) -> None:
    put_build(tmp_path / "dist", edit=lambda told: told["patches"][0].update(reason="TODO: why goenv-local exists"))
    with pytest.raises(PublishError, match="nobody has said why it has goenv-local") as caught:
        published(tmp_path / "site", tmp_path / "dist")
    assert "its reason in series.toml" in caught.value.hint
    assert not (tmp_path / "site").exists()


def test_two_trees_of_the_same_builds_have_the_same_papers(tmp_path: Path) -> None:
    put_build(tmp_path / "dist")
    contents = []
    for name in ("a", "b"):
        published(tmp_path / name, tmp_path / "dist", signer=SIGNER, base_url="https://go.acme.example")
        contents.append({key: value for key, value in content_of(tmp_path / name).items() if ".git/" not in key})
    assert contents[0] == contents[1]


def test_other_bytes_under_a_published_stamp_are_refused(site: Path, tmp_path: Path) -> None:
    before = content_of(site)
    put_build(tmp_path / "other", content="other")
    with pytest.raises(PublishError, match="is published already, with other bytes") as caught:
        published(site, tmp_path / "other")
    assert caught.value.exit_code == 9
    assert content_of(site) == before
    assert {path.name for path in generations.generations_folder(site).iterdir()} == {".gobuild.lock", "1", "served"}


def test_two_targets_of_a_stamp_must_share_their_source(site: Path, tmp_path: Path) -> None:
    put_build(tmp_path / "two", target="darwin/arm64")
    assert len(published(site, tmp_path / "two").catalogue.releases[STAMP]) == 2
    put_build(tmp_path / "three", target="linux/arm64", edit=lambda told: told["artifacts"][1].update(sha256="0" * 64))
    with pytest.raises(PublishError, match="shares its source with"):
        published(site, tmp_path / "three")


def test_an_archive_that_is_not_what_its_manifest_says_is_refused(tmp_path: Path) -> None:
    put_build(tmp_path / "dist")
    archive = tmp_path / "dist" / f"{STAMP}.linux-amd64.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    with pytest.raises(ChecksumMismatch, match="not what its manifest says"):
        published(tmp_path / "site", tmp_path / "dist")
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


def test_a_signed_release_is_not_joined_without_the_key(tmp_path: Path) -> None:
    put_build(tmp_path / "one")
    published(tmp_path / "site", tmp_path / "one", signer=SIGNER)
    put_build(tmp_path / "two", target="darwin/arm64")
    with pytest.raises(PublishError, match="needs a new signature"):
        published(tmp_path / "site", tmp_path / "two")
    published(tmp_path / "site", tmp_path / "two", signer=SIGNER)
    sums = (tmp_path / "site/releases" / STAMP / "SHA256SUMS").read_bytes()
    signature = (tmp_path / "site/releases" / STAMP / "SHA256SUMS.minisig").read_bytes()
    assert minisign.verify(SIGNER.secret.get_public_key(), sums, signature) == f"release:{STAMP}\tfile:SHA256SUMS"
    assert b"darwin-arm64.tar.gz" in sums and b"linux-amd64.tar.gz" in sums


def test_what_gobuild_has_not_made_is_left_alone_and_an_empty_folder_becomes_the_link(tmp_path: Path) -> None:
    put_build(tmp_path / "dist")
    (tmp_path / "folder/precious").mkdir(parents=True)
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "empty").mkdir()
    for what in ("folder", "file", "link"):
        with pytest.raises(ConfigError):
            published(tmp_path / what, tmp_path / "dist")
        assert not generations.generations_folder(tmp_path / what).exists()
    assert published(tmp_path / "empty", tmp_path / "dist").changed
    assert (tmp_path / "empty").is_symlink()


def test_old_generations_go_but_not_the_last_two(tmp_path: Path) -> None:
    site = tmp_path / "site"
    put_build(tmp_path / "dist")
    for number in range(1, 6):
        published(site, tmp_path / "dist", base_url=f"https://go{number}.acme.example")
    kept = sorted(path.name for path in generations.generations_folder(site).iterdir() if path.name.isdecimal())
    assert kept == ["3", "4", "5"]


def test_modes_are_part_of_what_is_published(tmp_path: Path) -> None:
    """Whatever the umask of a run: a web server reads all of the tree, also of one that an older gobuild has made."""
    site, home = tmp_path / "site", tmp_path / ".site-generations"

    def closed() -> set[str]:
        wrong = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, *site.resolve().rglob("*"), site.resolve())}
        return {f"{path.name} {mode:o}" for path, mode in wrong.items() if mode != (0o755 if path.is_dir() else 0o644)}

    put_build(tmp_path / "dist")
    old = os.umask(0o077)
    try:
        published(site, tmp_path / "dist")
        assert not closed()
        home.chmod(0o700)
        for path in site.resolve().rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        assert published(site, tmp_path / "dist").changed and not closed()
        for name, mode in (("dl", 0o750), ("index.html", 0o444)):  # one alone
            (site.resolve() / name).chmod(mode)
            assert published(site, tmp_path / "dist").changed and not closed()
    finally:
        os.umask(old)
    assert not published(site, tmp_path / "dist").changed


def test_what_a_killed_run_has_left_is_removed(site: Path, tmp_path: Path) -> None:
    """A part, a whole generation that no link came to point to, and a link that was not yet renamed."""
    home = tmp_path / ".site-generations"
    for left in ("2", "3.part"):
        (home / left / "dl").mkdir(parents=True)
    (tmp_path / ".site.0badcafe.part").symlink_to(".site-generations/2")
    (home / ".served.0badcafe.part").touch()
    (home / "mine.txt").write_text("not gobuild's")
    published(site, tmp_path / "dist", base_url="https://go.acme.example")
    assert sorted(path.name for path in home.iterdir()) == [".gobuild.lock", "1", "2", "mine.txt", "served"]
    assert (site / "releases" / STAMP / "SHA256SUMS").is_file()
    assert not list(tmp_path.glob(".site.*"))


def test_hostile_words_in_a_manifest_change_nothing_but_text(tmp_path: Path) -> None:
    """With every route: the same files under the same names, and no word of it is Ruby, JSON or a path of its own."""
    hostile = '#{`touch /tmp/owned`} </script> "];\\ %x(id) ../../x {{ 7*7 }}'

    def edit(document: dict[str, Any]) -> None:
        document["patches"][0] |= {"reason": hostile, "evidence": hostile, "files": [hostile, "../../../etc/passwd"]}
        document["source"] |= {"location": hostile, "origin": hostile, "kind": hostile}
        document["profile"] |= {"name": hostile, "note": hostile}
        document["gobuild"] = hostile
        document["checks"][0] |= {"subject": hostile, "seen": hostile}

    put_build(tmp_path / "plain")
    put_build(tmp_path / "bad", edit=edit)
    for name in ("plain", "bad"):
        published(tmp_path / f"{name}-site", tmp_path / name)
    sites = (content_of(tmp_path / f"{name}-site") for name in ("plain", "bad"))
    plain, bad = ({path for path in site if ".git/" not in path} for site in sites)
    assert plain == bad
    words = ["git", "-C", str(tmp_path / "bad-site/homebrew-go-acme.git"), "show", "HEAD:Formula/go-acme.rb"]
    formula = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "touch /tmp/owned" not in formula.replace("\\#{`touch", "")
    for paper in ("sbom.cdx.json", f"{STAMP}.linux-amd64.gobuild.json"):
        json.loads((tmp_path / "bad-site/releases" / STAMP / paper).read_text())
    page = (tmp_path / "bad-site/releases" / STAMP / "index.html").read_text()
    assert "&lt;/script&gt;" in page and page.count("</script>") == 1
