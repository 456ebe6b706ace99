"""archive: go.dev's index and archives, from a real server on this machine."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from goserver import GoServer, host_archive, source_archive

from gobuild.core import resources
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, FetchError, Unreachable
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import GENERATED, Catalog, Release
from gobuild.core.process import run
from gobuild.fetch import index
from gobuild.fetch.archive import ArchiveOrigin, Pins
from gobuild.resolve import resolve

HOST = Target.host()
OPEN = Callable[..., ArchiveOrigin]


@pytest.fixture
def open_archive(server: GoServer, tmp_path: Path, console: Console) -> OPEN:
    def open_it(*, offline: bool = False, pins: Pins | None = None, url: str = "") -> ArchiveOrigin:
        return ArchiveOrigin(
            index_url=url or server.url, cache=tmp_path / "cache", console=console, offline=offline, pins=pins or {}
        )

    return open_it


def toy(server: GoServer, root: Path, tmp_path: Path) -> bytes:
    content = source_archive(root, tmp_path / "made.tar.gz")
    server.add("go1.22.10", "go1.22.10.src.tar.gz", content)
    return content


def one(catalog: Catalog) -> Release:
    (release,) = catalog.releases
    return release


@pytest.mark.slow
def test_the_real_source_and_toolchain(server: GoServer, open_archive: OPEN, go_wheel: Path, tmp_path: Path) -> None:
    content = toy(server, go_wheel, tmp_path)
    toolchain(server, go_wheel, tmp_path)
    archive = open_archive()
    release = resolve("1.22", archive.catalog(), known=[GoVersion.parse("1.22.12")])
    assert (release.origin, str(release.newer)) == ("127.0.0.1", "1.22.12")
    source = archive.source(release, tmp_path / "go")
    assert source.location == f"{server.url}go1.22.10.src.tar.gz"
    assert source.digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert source.added == ("LICENSE", "PATENTS"), "the tree was a wheel's, which has none"
    assert (source.root / "LICENSE").read_text() == resources.text("LICENSE")
    assert (source.root / "src/make.bash").stat().st_mode & 0o777 == 0o755
    assert (source.root / "src/runtime/mfinal.go").read_bytes() == (go_wheel / "src/runtime/mfinal.go").read_bytes()
    assert not any((source.root / name).exists() for name in GENERATED)
    found = archive.toolchain(one(archive.toolchains(HOST)), HOST)
    environment = {"GOTOOLCHAIN": "local", "GOENV": "off", "PATH": ""}
    said = run([found.goroot / "bin/go", "version"], env=environment, cwd=tmp_path)
    assert said.output == f"go version go1.22.10 {HOST}\n"


def toolchain(server: GoServer, root: Path, tmp_path: Path) -> str:
    """Serves a GOROOT as the host's official toolchain; gives its digest."""
    content = host_archive(root, tmp_path / "made.tar.gz")
    name = f"go1.22.10.{HOST.dashed}.tar.gz"
    server.add("go1.22.10", name, content, kind="archive", os=HOST.goos, arch=HOST.goarch)
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_toolchain_is_kept_while_whole(server: GoServer, open_archive: OPEN, toy_tree: Path, tmp_path: Path) -> None:
    run(["bash", "make.bash"], env={"PATH": os.environ["PATH"]}, cwd=toy_tree / "src")
    digest = toolchain(server, toy_tree, tmp_path)
    archive = open_archive()
    found = archive.toolchain(one(archive.toolchains(HOST)), HOST)
    assert (found.origin, found.digest, str(found.version)) == ("127.0.0.1", digest, "1.22.10")
    go = found.goroot / "bin/go"
    assert run([go, "version"], env={}, cwd=tmp_path).output == f"go version go1.22.10 {HOST}\n"

    inode = go.stat().st_ino
    offline = open_archive(offline=True)
    server.asked.clear()
    assert offline.toolchain(one(offline.toolchains(HOST)), HOST) == found
    assert go.stat().st_ino == inode
    (found.goroot / "src/runtime/mfinal.go").unlink()
    assert offline.toolchain(one(offline.toolchains(HOST)), HOST) == found
    assert (found.goroot / "src/runtime/mfinal.go").is_file()
    assert server.asked == [], "nothing was asked offline"


def test_the_index_has_another_digest(server: GoServer, open_archive: OPEN, toy_tree: Path, tmp_path: Path) -> None:
    content = toy(server, toy_tree, tmp_path)
    archive = open_archive(pins=resources.table("go_release_sha256.json"))
    release = one(archive.catalog())
    server.asked.clear()
    with pytest.raises(ChecksumMismatch) as caught:
        archive.source(release, tmp_path / "go")
    assert "1e94fd48be750d1fafb4d9b3b6dd31a6e9d2735d339bf2462bc97b64ca4c1037" in caught.value.reason
    assert hashlib.sha256(content).hexdigest() in caught.value.reason
    assert server.asked == [], "nothing was downloaded"
    right = {"1.22.10": {"src": hashlib.sha256(content).hexdigest()}}
    assert open_archive(pins=right).source(release, tmp_path / "go").root.is_dir()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"go1.22.10", "no JSON"),
        (b"{}", "not go.dev's index"),
        (
            b'[1, null, {"version": 3}, {"version": "go1.22.10"}, {"version": "acme", "files": []}]',
            "not go.dev's index",
        ),
    ],
)
def test_what_is_no_index(body: bytes, why: str, server: GoServer, open_archive: OPEN) -> None:
    server.page = body
    with pytest.raises(FetchError, match=why) as caught:
        open_archive().catalog()
    assert not isinstance(caught.value, Unreachable), "no reason to take another origin's release"


def test_an_index_cannot_name_a_file_elsewhere(server: GoServer, open_archive: OPEN) -> None:
    for version, name in (("go1.22.1", "../x.tar.gz"), ("go1.22.2", ".x.tar.gz"), ("go1.22.3", "a/b.tar.gz")):
        server.add(version, name, b"x")
    server.add("go1.22.4", "x.tar.gz", b"x")
    server.add("go1.9.2rc2", "y.tar.gz", b"x")
    assert [str(release.version) for release in open_archive().catalog().releases] == ["1.22.4"]


def test_offline_has_what_the_cache_holds(server: GoServer, open_archive: OPEN, toy_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"the cache holds no source archive from 127\.0\.0\.1") as caught:
        open_archive(offline=True).catalog()
    assert caught.value.hint == "once without --offline"
    toy(server, toy_tree, tmp_path)
    server.add("go1.22.12", "go1.22.12.src.tar.gz", b"never fetched")
    online = open_archive()
    source = online.source(resolve("1.22.10", online.catalog()), tmp_path / "go")

    offline = open_archive(offline=True)
    server.asked.clear()
    release = one(offline.catalog())
    assert str(release.version) == "1.22.10"
    assert offline.source(release, tmp_path / "again").digest == source.digest
    assert server.asked == []
    with pytest.raises(Unreachable, match="the cache holds no toolchain"):
        offline.toolchains(HOST)
    with pytest.raises(Unreachable):
        open_archive(offline=True, url="https://mirror.example/dl/").catalog()
    downloaded = tmp_path / "cache/downloads/go1.22.10.src.tar.gz"
    downloaded.write_bytes(downloaded.read_bytes()[:-1])
    with pytest.raises(FetchError, match=r"the cache holds no whole go1\.22\.10\.src\.tar\.gz"):
        offline.source(release, tmp_path / "third")


def test_the_kept_index_has_no_password(server: GoServer, open_archive: OPEN, toy_tree: Path, tmp_path: Path) -> None:
    toy(server, toy_tree, tmp_path)
    url = server.url.replace("http://", "http://me:secret@")
    catalog = open_archive(url=url).catalog()
    kept = (tmp_path / "cache/index.json").read_text()
    assert "secret" not in kept
    assert json.loads(kept)["asked"].startswith("20")
    assert index.cached_index(url, origin="127.0.0.1", cache=tmp_path / "cache") == catalog.releases
    (tmp_path / "cache/index.json").write_text(kept[:-20])
    assert index.cached_index(url, origin="127.0.0.1", cache=tmp_path / "cache") == ()
