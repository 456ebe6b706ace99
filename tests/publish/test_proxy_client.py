"""The real go command as the judge: what it takes from the proxy and the checksum database, and what it refuses.

The toolchains are toys, so that each try takes a moment; `e2e/test_gotoolchain.py` has whole ones.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from publish_clients import Client, Served, serving
from publish_toys import DATABASE, KEY, catalogue, flip, toy_build

from gobuild.core.goversion import GoVersion, Target, checks_records
from gobuild.publish import proxy
from gobuild.publish.builds import Build
from gobuild.publish.sumdb import database
from gobuild.publish.sumdb.note import NoteSigner

STAMP = "go1.99.1-acme1"
LOOKUP = f"{DATABASE}/lookup/golang.org/*"


def published(tree: Path, *offers: Build) -> Path:
    proxy.write_proxy(catalogue(*offers), tree)
    database.update_database(catalogue(*offers), tree, key=KEY)
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return published(tmp_path / "tree", toy_build(tmp_path / "dist"))


@pytest.fixture
def served(tree: Path) -> Iterator[Served]:
    with serving(tree) as found:
        yield found


@pytest.fixture
def client(go_wheel: Path, tmp_path: Path) -> Client:
    return Client(goroot=go_wheel, home=tmp_path / "home")


def over_http(served: Served, stamp: str = STAMP) -> dict[str, str]:
    return {"GOTOOLCHAIN": stamp, "GOPROXY": f"{served.url}/proxy", "GOSUMDB": str(KEY.verifier)}


def only(tree: Path, pattern: str) -> Path:
    (found,) = tree.glob(pattern)
    return found


def test_over_http_it_asks_for_four_files_and_checks(client: Client, served: Served) -> None:
    done = client.go("version", **over_http(served))
    assert done.returncode == 0 and done.stdout.endswith(f"go version {STAMP} {Target.host()}\n"), done.stdout
    module = f"golang.org/toolchain/@v/v0.0.1-{STAMP}."
    database = f"/{DATABASE}"
    assert [path.replace(module, "MODULE.").split("linux")[0] for path in served.asked] == [
        "/proxy/MODULE.",
        f"{database}/supported",
        f"{database}/lookup/golang.org/toolchain@v0.0.1-{STAMP}.",
        f"{database}/tile/8/0/000.p/1",
    ]
    # At each later use it asks the database again, from its cache; so without the setting it is refused.
    assert client.go("version", **over_http(served) | {"GOPROXY": "off"}).returncode == 0
    later = client.go("version", GOTOOLCHAIN=STAMP, GOPROXY="off", GOSUMDB="off")
    assert later.returncode != 0 and "checksum database disabled" in later.stdout


def test_over_http_nothing_is_taken_without_a_database(client: Client, served: Served) -> None:
    for more in ({}, {"GONOSUMDB": "golang.org/toolchain"}, {"GONOSUMDB": "*"}):
        done = client.go("version", **over_http(served) | {"GOSUMDB": "off"} | more)
        assert done.returncode != 0
        assert "checksum database disabled by GOSUMDB=off" in done.stdout


def _another_zip(tree: Path) -> None:
    """Other bytes in a good zip, so that only the hash can tell."""
    path = only(tree, f"proxy/golang.org/toolchain/@v/*{STAMP}*.zip")
    toy_build(tree.parent / "forged", word="x")
    path.unlink()
    shutil.copy(only(tree.parent / "forged", "*.zip"), path)


def _another_key(tree: Path) -> None:
    path = only(tree, LOOKUP)
    record, _, _ = path.read_bytes().partition(b"\n\n")
    text = KEY.verifier.open((tree / DATABASE / "latest").read_bytes())
    path.unlink()
    path.write_bytes(record + b"\n\n" + NoteSigner(name=KEY.name, seed=bytes(32)).sign(text))


def _flipped(pattern: str, at: str) -> Callable[[Path], None]:
    """Flips the byte of a file in the first group of an expression."""

    def harm(tree: Path) -> None:
        path = only(tree, pattern)
        match = re.search(at.encode(), path.read_bytes(), re.DOTALL)
        assert match
        flip(path, match.start(1))

    return harm


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_another_zip, "checksum mismatch"),
        (_flipped("proxy/golang.org/toolchain/@v/*.zip", "^.{150}(.)"), "zip"),
        (_flipped(f"{DATABASE}/tile/8/0/000.p/1", "^.{5}(.)"), "downloaded inconsistent tile"),
        (_flipped(LOOKUP, "(?:amd64|arm64) h1:(.)"), "cannot authenticate record data in server response"),
        (_flipped(LOOKUP, r"go\.sum database tree\n1\n(.)"), "invalid signature for key acme.example/sumdb"),
        (_flipped(LOOKUP, r"— acme\.example/sumdb .{20}(.)"), "invalid signature for key acme.example/sumdb"),
        (_another_key, "note has no verifiable signatures"),
    ],
    ids=["zip", "raw zip", "tile", "record", "root", "signature", "key"],
)
def test_one_changed_byte_is_refused_by_the_go_command(
    client: Client, tree: Path, served: Served, harm: Callable[[Path], None], words: str
) -> None:
    harm(tree)
    done = client.go("version", **over_http(served))
    assert done.returncode != 0
    assert words in done.stdout, done.stdout
    assert f"go version {STAMP}" not in done.stdout


SLOW = (pytest.param(each, marks=pytest.mark.slow) for each in ("1.21.13", "1.25.5", "1.26.2", "1.26.3", "1.27.2"))


@pytest.mark.parametrize("release", ["1.22.10", *SLOW])
def test_another_build_s_signed_record_is_refused_by_those_that_are_said_to(
    tmp_path: Path, get_goroot: Callable[[str, Target], Path], release: str
) -> None:
    """Who controls the server swaps a lookup and a zip; every byte of the lookup is signed (golang/go#79070)."""
    tree = published(tmp_path / "tree", toy_build(tmp_path / "dist"), toy_build(tmp_path / "dist", release="1.99.2"))
    _another_zip(tree)
    asked, other = (only(tree, f"{DATABASE}/lookup/golang.org/*{each}-acme1*") for each in ("1.99.1", "1.99.2"))
    asked.unlink()
    shutil.copy(other, asked)
    client = Client(goroot=get_goroot(release, Target.host()), home=tmp_path / "home")
    with serving(tree) as served:
        done = client.go("version", **over_http(served))
    if checks_records(GoVersion.parse(release)):
        assert done.returncode != 0
        assert "checksum missing from sumdb response" in done.stdout, done.stdout
        assert "toy" not in done.stdout
    else:
        assert done.stdout.endswith(f"go version {STAMP} {Target.host()}\n"), done.stdout


def test_from_which_go_on_the_check_holds() -> None:
    held = {
        "1.21.13": False, "1.25.9": False, "1.25.10": True, "1.26rc1": False, "1.26.2": False, "1.26.3": True,
        "1.27rc1": True, "1.27.0": True, "1.30": True,
    }  # fmt: skip
    assert {each: checks_records(GoVersion.parse(each)) for each in held} == held


def test_a_client_goes_along_with_a_growing_log_and_not_with_a_forked_one(client: Client, tmp_path: Path) -> None:
    dist, tree = tmp_path / "dist", tmp_path / "tree"
    first, second, third = (toy_build(dist, release=f"1.99.{number}") for number in range(3))
    published(tree, first)
    with serving(tree) as served:
        assert client.go("version", **over_http(served, first.stamp)).returncode == 0
        published(tree, first, second)
        assert client.go("version", **over_http(served, second.stamp)).returncode == 0
        # The head in the first lookup is of the smaller tree, and still good: to this client and to a new one.
        assert client.go("version", **over_http(served, first.stamp)).returncode == 0
        new = Client(goroot=client.goroot, home=tmp_path / "new")
        assert new.go("version", **over_http(served, first.stamp)).returncode == 0
    # The same key signs another history: a hash was changed after the fact, and one more release is there.
    forked = published(tmp_path / "forked", toy_build(tmp_path / "evil", release="1.99.0", word="evil"), second)
    published(forked, toy_build(tmp_path / "evil", release="1.99.0", word="evil"), second, third)
    with serving(forked) as served:
        done = client.go("version", **over_http(served, third.stamp))
        assert done.returncode != 0
        assert "go.sum database server misbehavior detected!" in done.stdout, done.stdout
        # Who saw nothing before cannot know.
        naive = Client(goroot=client.goroot, home=tmp_path / "naive")
        assert naive.go("version", **over_http(served, third.stamp)).returncode == 0
