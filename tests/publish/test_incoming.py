"""What a stranger put into a tree is not signed by the next run: each forgery is refused by its name."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import needs
from publish_toys import KEY, NEXT, SIGNER, STAMP, content_of, published, put_build, secret_key, write_public_key
from receive_fixtures import received

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, ConfigError, GobuildError, PublishError
from gobuild.core.process import run
from gobuild.publish.builds import find_builds
from gobuild.publish.homebrew.tap import Tap
from gobuild.publish.paths import path_in_tree
from gobuild.publish.site import generations
from gobuild.publish.sumdb.note import NoteSigner
from gobuild.publish.supply import attestations
from gobuild.publish.supply.signing import GnupgSigner, MinisignSigner, ReleaseSigner, gpg_environment

pytestmark = pytest.mark.usefixtures("git")

EVIL = "go1.27.9-acme1.p9"


def _next(site: Path, *sources: Path, signer: ReleaseSigner | None = SIGNER, named: tuple[str, ...] = ()) -> None:
    """The publisher's run, with a checksum database."""
    published(site, *sources, signer=signer, key=KEY, named=named)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A tree with one signed release for a Mac and Linux; a further build is in the folder `two`."""
    put_build(tmp_path / "dist")
    put_build(tmp_path / "dist", target="darwin/arm64")
    _next(tmp_path / "site", tmp_path / "dist")
    put_build(tmp_path / "two", stamp=NEXT)
    return tmp_path / "site"


def _put(site: Path, name: str | Path, content: bytes) -> None:
    path = site.resolve() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _plant(site: Path, stamp: str, target: str = "linux/amd64", content: str = "") -> None:
    """Puts a build into a tree as a stranger with its web root can: archives, over others too, and manifest."""
    made = site.parent / "evil"
    put_build(made, stamp=stamp, target=target, content=content)
    for found in find_builds(made):
        for archive in found.archives:
            _put(site, path_in_tree(found, archive), archive.path.read_bytes())
        _put(site, f"releases/{stamp}/{found.manifest_name}", found.text)


def _listed(site: Path, stamp: str) -> None:
    """The stranger's own list, which nobody signs."""
    tree = site.resolve()
    sums = {path.name: files.sha256(path) for path in (tree / "bottles").glob(f"*-{stamp[2:]}.*")}
    for path in (tree / "releases" / stamp).glob("*.gobuild.json"):
        sums[path.name] = files.sha256(path)
        sums |= {each["file"]: each["sha256"] for each in json.loads(path.read_text())["artifacts"]}
    lines = (f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    _put(site, f"releases/{stamp}/SHA256SUMS", "".join(lines).encode())


def _planted(site: Path) -> str:
    _plant(site, EVIL)
    return EVIL


def _planted_with_a_list(site: Path) -> str:
    _plant(site, EVIL)
    _listed(site, EVIL)
    return EVIL


def _signature_removed(site: Path) -> str:
    """With another archive; the module is left, since the checksum database would notice."""
    for path in (site.resolve() / "releases" / STAMP).glob("*.minisig"):
        path.unlink()
    name, manifest = f"{STAMP}.linux-amd64.tar.gz", f"releases/{STAMP}/{STAMP}.linux-amd64.gobuild.json"
    _put(site, f"dl/{name}", b"evil")
    document = json.loads((site / manifest).read_text())
    (listed,) = (each for each in document["artifacts"] if each["file"] == name)
    listed |= {"sha256": hashlib.sha256(b"evil").hexdigest(), "size": len(b"evil")}
    _put(site, manifest, json.dumps(document).encode())
    return STAMP


def _signature_of_another(site: Path) -> str:
    other = MinisignSigner(secret=secret_key(b"12345678", bytes(range(32))))
    for name in attestations.SIGNED:
        path, comment = site / "releases" / STAMP / name, attestations.trusted_comment(STAMP, name)
        _put(site, f"releases/{STAMP}/{name}.minisig", other.sign(path, comment))
    return f"{STAMP}/SHA256SUMS"


def _archive_swapped(site: Path) -> str:
    name = f"{STAMP}.linux-amd64.tar.gz"
    _put(site, f"dl/{name}", (site / "dl" / name).read_bytes()[:-1] + b"x")
    return name


def _target_planted(site: Path) -> str:
    _plant(site, STAMP, "linux/arm64")
    return f"{STAMP}.linux-arm64.gobuild.json"


def _target_removed(site: Path) -> str:
    name = f"{STAMP}.darwin-arm64.gobuild.json"
    (site / "releases" / STAMP / name).unlink()
    return name


def _bottle_swapped(site: Path) -> str:
    bottle = sorted((site / "bottles").glob("go-acme@1.22-*.tar.gz"))[0]
    _put(site, f"bottles/{bottle.name}", bottle.read_bytes() + b"evil")
    return bottle.name


def _bottle_of_the_next_release(site: Path) -> str:
    """One that the next run would have found, and taken for its own."""
    name = f"go-acme-{NEXT.removeprefix('go')}.x86_64_linux.bottle.tar.gz"
    _put(site, f"bottles/{name}", b"evil")
    return name


def _link(site: Path) -> str:
    shutil.move(site.resolve() / "dl", site.parent / "elsewhere")
    (site / "dl").symlink_to(site.parent / "elsewhere")
    return "dl in the tree is no plain"


FORGERIES: list[Callable[[Path], str]] = [
    *(_planted, _planted_with_a_list, _signature_removed, _signature_of_another, _archive_swapped, _target_planted),
    *(_target_removed, _bottle_swapped, _bottle_of_the_next_release, _link),
]


@pytest.mark.parametrize("forge", FORGERIES, ids=[each.__name__ for each in FORGERIES])
def test_a_forgery_is_refused_by_name_before_git_or_a_key_is_touched(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forge: Callable[[Path], str]
) -> None:
    name = forge(site)
    before = content_of(site)

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("git or a key was touched")

    monkeypatch.setattr(Tap, "_git", touched)
    monkeypatch.setattr(MinisignSigner, "sign", touched)
    monkeypatch.setattr(NoteSigner, "sign", touched)
    with pytest.raises((PublishError, ChecksumMismatch), match=name.replace("+", r"\+")) as caught:
        _next(site, tmp_path / "two")
    assert caught.value.hint
    assert content_of(site) == before


def test_what_is_named_is_signed_and_its_bottles_are_made_anew(site: Path, tmp_path: Path) -> None:
    for path in (site.resolve() / "releases" / STAMP).glob("*.minisig"):
        path.unlink()
    good = content_of(site)
    bottle = _bottle_swapped(site)
    with pytest.raises(PublishError, match="nobody signed") as caught:
        _next(site)
    assert f"--sign-unsigned {STAMP}" in caught.value.hint
    _next(site, named=(STAMP,))
    assert content_of(site)[f"bottles/{bottle}"] == good[f"bottles/{bottle}"]
    write_public_key(SIGNER, tmp_path / "minisign.pub")
    assert received(site, sumdb=str(KEY.verifier)).ok
    with pytest.raises(ConfigError, match=f"no release {EVIL} in the tree"):
        _next(site, named=(EVIL,))


def test_a_database_alone_vouches_for_no_stranger_either(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "unsigned"
    _next(other, tmp_path / "dist", signer=None)
    _plant(other, EVIL)
    _listed(other, EVIL)
    with pytest.raises(PublishError, match=f"{EVIL} for linux/amd64 stands in the tree, neither signed nor logged"):
        _next(other, signer=None)
    _next(other, signer=None, named=(EVIL,))
    _next(other, tmp_path / "two", signer=None)


def test_a_module_is_compared_with_the_log(tmp_path: Path) -> None:
    site, dist = tmp_path / "site", tmp_path / "dist"
    put_build(dist)
    _next(site, dist, signer=None)
    _plant(site, STAMP, content="evil")
    _listed(site, STAMP)
    with pytest.raises(PublishError, match=f"v0.0.1-{STAMP}.linux-amd64 was logged with other hashes"):
        _next(site, signer=None)


def test_going_back_by_the_link_does_not_fork_the_log(site: Path, tmp_path: Path) -> None:
    _next(site, tmp_path / "two")
    home = generations.generations_folder(site)
    longer = content_of(site)
    site.unlink()
    site.symlink_to(f"{home.name}/1")
    put_build(tmp_path / "three", stamp="go1.27.4-acme1.p3")
    for _ in range(2):
        with pytest.raises(PublishError, match="generation 2 has 3 records in the checksum database"):
            _next(site, tmp_path / "three")
    assert {path.name for path in home.iterdir() if path.name.isdecimal()} == {"1", "2"}
    site.unlink()
    site.symlink_to(f"{home.name}/2")
    assert content_of(site) == longer
    _next(site, tmp_path / "three")


def test_a_generation_that_was_served_is_kept_and_its_number_is_not_given_twice(tmp_path: Path) -> None:
    site, home = tmp_path / "site", tmp_path / ".site-generations"
    put_build(tmp_path / "dist")
    for number in (1, 2, 3):
        published(site, tmp_path / "dist", base_url=f"https://go{number}.example")
    site.unlink()
    site.symlink_to(f"{home.name}/1")
    published(site, tmp_path / "dist", base_url="https://go4.example")
    assert sorted(path.name for path in home.iterdir() if path.name.isdecimal()) == ["1", "2", "3", "4"]
    assert site.resolve().name == "4"


def test_gpg_knows_its_own_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    words = ["--batch", "--passphrase", "", "--quick-generate-key", "a@b.example", "ed25519", "sign", "never"]
    subprocess.run([needs("gpg"), *words], env=gpg_environment(), check=True, capture_output=True)
    signer = GnupgSigner(user="a@b.example", run=run)
    put_build(tmp_path / "dist")
    put_build(tmp_path / "two", stamp=NEXT)
    try:
        _next(tmp_path / "site", tmp_path / "dist", signer=signer)
        _next(tmp_path / "site", tmp_path / "two", signer=signer)
        _bottle_swapped(tmp_path / "site")
        with pytest.raises(GobuildError, match="is not what SHA256SUMS says"):
            _next(tmp_path / "site", signer=signer)
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False, env=gpg_environment())
