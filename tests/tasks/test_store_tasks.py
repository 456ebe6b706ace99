"""The store as a user meets it: its tasks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import inside
import pytest
from store_fixtures import FACTS, KEY, Machine, some_files

from gobuild.core.errors import ConfigError
from gobuild.core.settings import Settings
from gobuild.store import open_store
from gobuild.tasks.store import parse_size

Said = tuple[int, str, str]


@pytest.fixture
def gobuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """The gobuild program, in this process: its exit code, its output, and its errors."""
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", str(tmp_path))

    def call(*words: str) -> Said:
        done = inside.gobuild(tmp_path, *words)
        return done.code, done.out, done.err

    return call


def test_list_verify_and_prune(gobuild: Callable[..., Said], tmp_path: Path) -> None:
    assert "0 entries" in gobuild("store.list")[1] and not (tmp_path / "store").exists()
    machine = Machine(tmp_path / "store")
    facts = {**FACTS, "stamp": "go1.22.10-\x1b[31mred"}
    machine.open().put("toolchain", KEY, some_files(tmp_path / "in", size=20_480), facts)
    code, shown, _ = gobuild("store.list")
    assert code == 0 and "1 entry, 61.4 kB" in shown and KEY[:12] in shown
    assert "\x1b" not in shown and "\\x1b[31mred darwin/arm64" in shown
    elsewhere = gobuild("store.verify", "--store", str(tmp_path / "store"), "--cache", "/nonexistent")
    assert elsewhere[:2] == (0, "✓ 1 entry, 3 files, 61.4 kB: all whole\n") and "error" not in elsewhere[2]
    assert "1 entry would go, 62." in gobuild("store.prune", "--keep", "0", "--dry-run")[1]
    assert "0 entries removed, 0 B" in gobuild("store.prune", "--keep", "1GB")[1] and machine.get()
    machine.place("go.zip").write_bytes(b"x")
    code, said, error = gobuild("store.verify")
    assert code == 8 and "the store had 1 damaged entry" in error and "removed: toolchain" in said
    assert gobuild("store.verify")[1] == "✓ 0 entries, 0 files, 0 B: all whole\n"
    machine.put(some_files(tmp_path / "in", size=20_480))
    assert "1 entry removed, 62." in gobuild("store.prune", "--keep", "0")[1]
    code, _, error = gobuild("store.prune")
    assert code == 2 and "--keep 20GB" in error
    (tmp_path / "file").touch()
    for words in (("list",), ("verify",), ("prune", "--keep", "0")):
        code, _, error = gobuild(f"store.{words[0]}", *words[1:], "--store", "file")
        assert code == 2 and "file is no folder" in error
    code, said, error = gobuild("store.list", "--shared-store", "s3://name:hunter2@bucket")
    assert code == 2 and "hunter2" not in said + error


def test_sizes() -> None:
    said = {"20GB": 20 * 10**9, "500 MB": 5 * 10**8, "0": 0, "1.5GiB": 3 << 29, "7k": 7000, "12": 12, "2t": 2 * 10**12}
    assert {word: parse_size(word) for word in said} == said
    for word in ("", "GB", "-1", "1e9", "20GBB", "nan", "1,5GB", "all"):
        with pytest.raises(ConfigError):
            parse_size(word)


def test_the_store_that_the_settings_mean(tmp_path: Path) -> None:
    told: list[str] = []
    settings = Settings(cache=tmp_path / "cache", shared_store=str(tmp_path / "team"))
    opened = open_store(settings, told.append)
    assert opened.folder.root == tmp_path / "cache/store" and opened.shared
    assert open_store(replace(settings, store="there", offline=True), told.append).shared is None
    with pytest.raises(ConfigError, match="credentials"):
        open_store(replace(settings, shared_store="s3://bucket/x?secret=1"), told.append)
