"""Whole toolchains by GOTOOLCHAIN: published, then fetched and run by a real go command of another version."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.builds import Build
from publish_clients import Client, Served, serving
from publish_toys import KEY, flip

from gobuild.publish import download_index, proxy
from gobuild.publish.builds import Build as Finished
from gobuild.publish.builds import read_build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.install import Instructions, install_instructions
from gobuild.publish.sumdb import database

pytestmark = pytest.mark.slow

PROGRAM = """package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Println("compiled by", runtime.Version()) }
"""


def finished(build: Build) -> Finished:
    """A finished build of this session, as `publish` takes it from its dist/."""
    return read_build(build.one("*.gobuild.json"), archives=build.dist)


@pytest.fixture(scope="module")
def shelf(native: Build, newest: Build) -> Catalogue:
    return Catalogue(name="go-acme", base_url="https://go.acme.example", builds=(finished(newest), finished(native)))


@pytest.fixture(scope="module")
def tree(shelf: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published twice: first one release, then the other as well, as it happens."""
    tree = tmp_path_factory.mktemp("published")
    for offers in (shelf.builds[1:], shelf.builds):
        part = Catalogue(name=shelf.name, base_url=shelf.base_url, builds=offers)
        proxy.write_proxy(part, tree)
        database.update_database(part, tree, key=KEY)
        download_index.write_downloads(part, tree)
    return tree


@pytest.fixture(scope="module")
def served(tree: Path) -> Iterator[Served]:
    with serving(tree) as found:
        yield found


@pytest.fixture
def client(old_go: Path, tmp_path: Path) -> Client:
    """go1.21.13, the oldest line that can switch toolchains."""
    return Client(goroot=old_go, home=tmp_path / "home")


def named(shelf: Catalogue, served: Served, stamp: str, name: str) -> Instructions:
    here = Catalogue(name=shelf.name, base_url=served.url, builds=shelf.builds)
    (route,) = (
        route
        for route in install_instructions(here, stamp, Path("no tap"), database=KEY.verifier)
        if route.name == name
    )
    return route


def compiles(client: Client, stamp: str, **more: str) -> None:
    """The toolchain, by whatever way it came, compiles and runs a program."""
    folder = client.home.parent / "program"
    folder.mkdir()
    (folder / "main.go").write_text(PROGRAM)
    done = client.go("run", "main.go", cwd=folder, GOTOOLCHAIN=stamp, **more)
    assert done.returncode == 0 and done.stdout.endswith(f"compiled by {stamp}\n"), done.stdout


def test_over_http_with_the_checksum_database_then_by_its_name_alone(
    client: Client, shelf: Catalogue, served: Served
) -> None:
    stamp = shelf.builds[1].stamp
    done = client.paste(*named(shelf, served, stamp, "gotoolchain").lines, cwd=client.home.parent)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith(f"go version {stamp} {shelf.builds[1].target}\n"), done.stdout
    assert any("/lookup/golang.org/toolchain@" in path for path in served.asked)
    # The link that the lines made is enough from then on; nothing may be fetched, nothing be asked.
    compiles(client, stamp, GOPROXY="off", GOSUMDB="sum.golang.org")


def test_from_a_copy_through_the_file_proxy(client: Client, shelf: Catalogue, served: Served, tree: Path) -> None:
    stamp = shelf.builds[0].stamp
    done = client.paste(*named(shelf, served, stamp, "copy").lines, cwd=tree)
    assert done.returncode == 0 and f"go version {stamp} " in done.stdout, done.stdout


def test_an_archive_by_its_name_on_path(client: Client, shelf: Catalogue, served: Served) -> None:
    stamp = shelf.builds[1].stamp
    done = client.paste(*named(shelf, served, stamp, "path").lines, cwd=client.home.parent)
    assert done.returncode == 0 and f"go version {stamp} " in done.stdout, done.stdout
    # A line in go.mod: an older go follows it, by the same name on PATH.
    folder = client.home.parent / "module"
    folder.mkdir()
    (folder / "go.mod").write_text(f"module acme.example/hello\n\ngo 1.21\n\ntoolchain {stamp}\n")
    auto = client.go("version", cwd=folder, GOTOOLCHAIN="auto", GOPROXY="off")
    assert auto.returncode == 0 and auto.stdout.startswith(f"go version {stamp} "), auto.stdout


def test_one_changed_byte_of_sixty_megabytes_is_refused(
    client: Client, shelf: Catalogue, tree: Path, tmp_path: Path
) -> None:
    """In the compressed content of an entry: the go command's unzip or its hash must see it, and the words say so."""
    bad, stamp = tmp_path / "bad", shelf.builds[1].stamp
    shutil.copytree(tree / "proxy", bad / "proxy", copy_function=os.link)
    (path,) = bad.glob(f"proxy/golang.org/toolchain/@v/*-{stamp}.*.zip")
    flip(path, path.stat().st_size // 2)
    with serving(bad) as served:
        words = {"GOPROXY": f"{served.url}/proxy", "GOSUMDB": str(KEY.verifier)}
        done = client.go("version", GOTOOLCHAIN=stamp, **words)
    assert done.returncode != 0 and "go version" not in done.stdout
    assert any(word in done.stdout for word in ("checksum", "zip", "flate")), done.stdout
