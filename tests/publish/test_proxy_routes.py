"""The settings that a user pastes: run as they stand, and with values that try to be more than text."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import needs
from publish_clients import Client, serving
from publish_toys import KEY, catalogue, flip, toy_build

from gobuild.core.errors import PublishError
from gobuild.core.goversion import GoVersion, Target, checks_records
from gobuild.publish import download_index, proxy
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.install import install_instructions
from gobuild.publish.sumdb import database
from gobuild.publish.sumdb.note import Verifier

STAMP = "go1.99.1-acme1"


def lines_of(offered: Catalogue, name: str, database: Verifier | None = KEY.verifier) -> tuple[str, ...]:
    found = install_instructions(offered, STAMP, Path("no tree"), database=database)
    (lines,) = (each.lines for each in found if each.name == name)
    return lines


def shelf(tree: Path, *builds: Build) -> Catalogue:
    """Places builds in a tree, with a proxy, a database and an index; of the dist beside it, where none are named."""
    offered = catalogue(*(builds or [toy_build(tree.parent / "dist")]))
    proxy.write_proxy(offered, tree)
    database.update_database(offered, tree, key=KEY)
    download_index.write_downloads(offered, tree)
    return offered


@pytest.mark.parametrize("name", ["gotoolchain", "copy", "path"])
@pytest.mark.parametrize(
    "release", ["1.22.10", *(pytest.param(each, marks=pytest.mark.slow) for each in ("1.21.13", "1.25.5", "1.27.2"))]
)
def test_the_lines_do_what_they_say(
    name: str, release: str, get_goroot: Callable[[str, Target], Path], tmp_path: Path
) -> None:
    """In a module, too, which asks for a newer Go than there is."""
    tree = tmp_path / "a tree"
    offered = shelf(tree)
    client = Client(goroot=get_goroot(release, Target.host()), home=tmp_path / "home")
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.98\n")
    with serving(tree) as served:
        offered = catalogue(*offered.builds, base_url=f"{served.url}/")
        done = client.paste(*lines_of(offered, name), cwd=tree if name == "copy" else client.home.parent)
        assert done.returncode == 0 and done.stdout.endswith(f"go version {STAMP} {Target.host()}\n"), done.stdout
    # From then on the name on PATH is enough: no proxy, no database, no network.
    later = client.go("version", GOTOOLCHAIN=STAMP, GOPROXY="off", GOSUMDB="sum.golang.org")
    assert later.stdout == f"go version {STAMP} {Target.host()}\n"


@pytest.mark.parametrize("name", ["gotoolchain", "path"])
def test_pasted_lines_stop_at_what_was_changed(name: str, go_wheel: Path, tmp_path: Path) -> None:
    """At a prompt the next line runs whatever became of the one before; these do not."""
    tree = tmp_path / "tree"
    offered = shelf(tree)
    for archive in (tree / "dl" / offered.builds[0].archive("toolchain").path.name, *tree.glob("proxy/**/*.zip")):
        flip(archive, 150)  # in the content of an entry
    client = Client(goroot=go_wheel, home=tmp_path / "home")
    with serving(tree) as served:
        offered = catalogue(*offered.builds, base_url=served.url)
        done = client.paste(*lines_of(offered, name), cwd=tmp_path)
    assert done.returncode != 0 and "go version" not in done.stdout, done.stdout
    assert not (client.home / ".local").exists() and not (client.home / "sdk").exists()


@pytest.mark.parametrize("name", ["gotoolchain", "copy"])
def test_pasted_lines_run_nothing_that_another_build_s_record_vouches_for(
    name: str, go_wheel: Path, tmp_path: Path
) -> None:
    """go1.22.10 believes any signed record (golang/go#79070): the digest in the lines has to stop it."""
    assert not checks_records(GoVersion.parse("1.22.10"))
    tree, ran = tmp_path / "tree", tmp_path / "ran"
    offered = shelf(tree, toy_build(tmp_path / "dist"), toy_build(tmp_path / "dist", release="1.99.2"))
    toy_build(tmp_path / "evil", word=f"\ntouch {ran}")
    for pattern, source in (
        (f"proxy/golang.org/toolchain/@v/*{STAMP}*.zip", next((tmp_path / "evil").glob("*.zip"))),
        (f"proxy/sumdb/acme.example/sumdb/lookup/golang.org/*{STAMP}*", next(tree.glob("proxy/sumdb/**/*1.99.2*"))),
    ):
        (path,) = tree.glob(pattern)
        path.unlink()
        shutil.copy(source, path)
    client = Client(goroot=go_wheel, home=tmp_path / "home")
    with serving(tree) as served:
        settings = {"GOTOOLCHAIN": STAMP, "GOPROXY": f"{served.url}/proxy", "GOSUMDB": str(KEY.verifier)}
        Client(goroot=go_wheel, home=tmp_path / "bare").go("version", **settings)
        assert ran.exists(), "without the lines it is run"
        ran.unlink()
        offered = catalogue(*offered.builds, base_url=served.url)
        done = client.paste(*lines_of(offered, name), cwd=tree if name == "copy" else tmp_path)
    assert done.returncode != 0 and "FAILED" in done.stdout, done.stdout
    assert not ran.exists()
    assert not (client.home / ".local").exists()


def test_a_go_that_passes_gotoolchain_over_is_not_linked_under_the_name(go_wheel: Path, tmp_path: Path) -> None:
    """As those before 1.21 do; it would be called what it is not."""
    tree = tmp_path / "tree"
    offered = shelf(tree)
    old = tmp_path / "old/bin/go"
    old.parent.mkdir(parents=True)
    old.write_text(f'#!/bin/sh\nGOTOOLCHAIN=local exec {go_wheel}/bin/go "$@"\n')
    old.chmod(0o755)
    client = Client(goroot=tmp_path / "old", home=tmp_path / "home")
    done = client.paste(*lines_of(offered, "copy-unchecked", None), cwd=tree)
    assert done.returncode != 0, done.stdout
    assert not (client.home / ".local").exists()


def test_without_a_database_there_is_no_route_over_http(tmp_path: Path, go_wheel: Path) -> None:
    tree = tmp_path / "tree"
    offered = shelf(tree)
    found = install_instructions(offered, STAMP, tmp_path)
    assert [route.name for route in found] == ["copy-unchecked", "path", "go.mod", "setup-go", "setup-go-plain", "mise"]
    needs("curl")  # which the pasted lines download with
    copy = found[0]
    assert "The SHA-256 in these lines is all that is checked." in copy.words
    done = Client(goroot=go_wheel, home=tmp_path / "home").paste(*copy.lines, cwd=tree)
    assert done.returncode == 0 and done.stdout.endswith(f"go version {STAMP} {Target.host()}\n"), done.stdout


def test_every_platform_has_its_archive(tmp_path: Path) -> None:
    targets = [Target.parse(each) for each in ("darwin/arm64", "linux/amd64")]
    offered = catalogue(*(toy_build(tmp_path, target=target) for target in targets))
    paths = [route for route in install_instructions(offered, STAMP, tmp_path) if route.name == "path"]
    assert [route.title.split()[-1] for route in paths] == ["darwin/arm64", "linux/amd64"]
    for route, offer, program in zip(paths, offered.builds, ("shasum -a 256 -c", "sha256sum -c"), strict=True):
        archive = offer.archive("toolchain")
        assert f"echo '{archive.sha256}  {archive.path.name}' | {program} &&" in route.lines


def test_an_address_is_text_in_every_language(tmp_path: Path) -> None:
    address = "https://acme.example/$(touch${IFS}x)/`id`;&|#'"
    offered = catalogue(toy_build(tmp_path), base_url=address)
    for route in install_instructions(offered, STAMP, tmp_path, database=KEY.verifier):
        if not route.name.startswith("setup-go"):
            for line in route.lines:
                if "acme.example/$" in line:
                    (word,) = (word for word in shlex.split(line) if address in word)
                    assert "$(touch" in word
        else:
            assert f'    go-download-base-url: "{address}/dl' in "\n".join(route.lines)


def test_from_a_file_address_only_what_go_itself_reads(tmp_path: Path) -> None:
    offered = catalogue(toy_build(tmp_path), base_url=tmp_path.as_uri())
    found = install_instructions(offered, STAMP, tmp_path, database=KEY.verifier)
    assert [route.name for route in found] == ["gotoolchain", "copy", "path", "go.mod"]


def test_a_stamp_that_cannot_be_published_has_no_routes(tmp_path: Path) -> None:
    offered = catalogue(toy_build(tmp_path, suffix="acme.007"))
    with pytest.raises(PublishError, match="semver"):
        install_instructions(offered, "go1.99.1-acme.007", tmp_path)
