"""The checksum database against Go's own implementation: golang.org/x/mod/sumdb, as the go command has it vendored."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from publish_toys import DATABASE, KEY, catalogue, flip, toy_build
from verify_fixtures import compiled

from gobuild.core.goversion import GoVersion, Target
from gobuild.publish import proxy
from gobuild.publish.builds import Build
from gobuild.publish.paths import module_version
from gobuild.publish.sumdb import database, tlog
from gobuild.publish.sumdb.note import NoteSigner, Verifier

pytestmark = pytest.mark.slow

Oracle = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def oracle(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """A program that answers with Go's own code."""
    here = tmp_path_factory.mktemp("oracle")
    host = Target.host()
    source = here / f"source-{host.dashed}"
    shutil.copytree(go_wheel / "src/cmd/vendor/golang.org/x/mod", source / "mod")
    (source / "mod/go.mod").write_text("module golang.org/x/mod\n\ngo 1.21\n")
    main = (Path(__file__).parents[1] / "data/sumdb/oracle.go.txt").read_text()
    needed = "\n\nrequire golang.org/x/mod v0.0.0\n\nreplace golang.org/x/mod => ./mod\n"
    sources = {"go.mod": f"module oracle\n\ngo 1.21{needed}", "main.go": main}
    program = compiled(go_wheel, here, host, flags=("-trimpath", "-mod=mod"), source=sources)

    def ask(*words: object) -> "subprocess.CompletedProcess[str]":
        argv = [os.fspath(program), *map(str, words)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)

    return ask


def answered(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def many(folder: Path, count: int) -> list[Build]:
    """Offers that share their bytes but for the version: only what is logged differs."""
    toy = toy_build(folder)
    offers = []
    for number in range(count):
        version = GoVersion.parse(f"1.99.{number}")
        told = replace(toy.manifest, release=version, stamp=f"{version.tag}-acme1")
        offers.append(replace(toy, manifest=told))
    return offers


def test_keys_and_signatures_are_the_same(oracle: Oracle) -> None:
    text = tlog.Log([b"a\n"]).head().to_text()
    assert answered(oracle("sign", KEY.secret(), text)).encode() == KEY.sign(text)
    secret, public = answered(oracle("key", "acme.example")).splitlines()
    signer = NoteSigner.parse(secret)
    assert str(signer.verifier) == public and Verifier.parse(public) == signer.verifier
    assert signer.verifier.open(answered(oracle("sign", secret, text)).encode()) == text


def test_every_head_up_to_a_thousand_records_is_the_same(oracle: Oracle) -> None:
    log = tlog.Log([f"record {number}\n".encode() for number in range(1000)])
    heads = "".join(log.head(size).to_text() for size in range(1, 1001))
    assert answered(oracle("tree", 1000)) == heads


@pytest.mark.parametrize(
    ("old", "new"), [(0, 1), (1, 1), (0, 3), (255, 256), (200, 300), (256, 257), (511, 1025), (65535, 65537)]
)
def test_the_tiles_to_publish_are_the_same(old: int, new: int, oracle: Oracle) -> None:
    ours = [tile.path for tile in tlog.tiles(old, new) if tile.level >= 0]
    assert ours == answered(oracle("tiles", old, new)).splitlines()


def test_the_hash_of_a_zip_is_the_same(oracle: Oracle, tmp_path: Path) -> None:
    path = toy_build(tmp_path).archive("module", ".zip").path
    assert answered(oracle("zip", path)).strip() == proxy.zip_hash(path, path.stem)


def test_gos_client_follows_a_log_past_a_full_tile(
    oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published at 1, 200, 256, 300 and 600 records; the client goes along, and may come by at any of them."""
    monkeypatch.setattr(database, "zip_hash", lambda _path, version: f"h1:{tlog.record_hash(version.encode()).hex()}")
    offers = many(tmp_path / "dist", 600)
    trees: list[Path] = []
    for size in (1, 200, 256, 300, 600):
        tree = tmp_path / f"tree-{size}"
        if trees:
            shutil.copytree(trees[-1], tree)
        assert database.update_database(catalogue(*offers[:size]), tree, key=KEY).size == size
        trees.append(tree)
    versions = [module_version(offers[number]) for number in (0, 1, 199, 255, 256, 299, 599)]
    said = answered(oracle("lookup", KEY.verifier, *(tree / DATABASE for tree in trees), "--", *versions))
    assert said.count(f"golang.org/toolchain {versions[0]} h1:") == 5
    assert said.count(f"none {versions[-1]}\n") == 4 and said.count(f"golang.org/toolchain {versions[-1]} h1:") == 1
    assert said.endswith((trees[-1] / DATABASE / "latest").read_text())
    # Back to an older copy of the tree, as from a slow mirror: still the same history.
    answered(oracle("lookup", KEY.verifier, trees[-1] / DATABASE, trees[1] / DATABASE, "--", versions[0]))
    # One hash in an early tile, for a client that knows the whole log.
    shutil.copytree(trees[-1], tmp_path / "broken")
    flip(tmp_path / "broken" / DATABASE / "tile/8/0/000", 40)
    both = (trees[-1] / DATABASE, tmp_path / "broken" / DATABASE)
    broken = oracle("lookup", KEY.verifier, *both, "--", versions[-1], versions[1])
    assert broken.returncode != 0 and "security error: misbehaving server" in broken.stderr
    database.update_database(catalogue(*offers[1:400]), tmp_path / "forked", key=KEY)
    forked = oracle("lookup", KEY.verifier, trees[3] / DATABASE, tmp_path / "forked" / DATABASE, "--", versions[1])
    assert forked.returncode != 0 and "checking tree#200: downloaded inconsistent tile" in forked.stderr
