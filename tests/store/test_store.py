"""The store's local level: the same bytes come out, or nothing does."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import FACTS, KEY, Machine, content, some_files

from gobuild import store
from gobuild.core import files
from gobuild.store import StoreFolder, entry_key

OTHER = entry_key(of="another")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "store")


def test_a_key_is_what_its_parts_say_and_nothing_else() -> None:
    assert entry_key(b=[1, "ü"], a={"y": None, "x": True}) == entry_key(a={"x": True, "y": None}, b=(1, "ü"))
    parts: list[dict[str, Any]] = [{"a": 1}, {"a": "1"}, {"a": [1]}, {"b": 1}, {"a": 1, "b": None}, {"a": 1.5}]
    assert len({entry_key(**each) for each in parts}) == len(parts)
    assert entry_key(a=1) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"  # sha256 of {"a":1}
    for bad in (Path("x"), float("nan"), {1, 2}, b"x"):
        with pytest.raises((TypeError, ValueError)):
            entry_key(a=bad)


def test_what_was_put_in_comes_out(machine: Machine, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    assert machine.get() is None and not machine.root.exists()
    made = machine.put(put)
    found = machine.open().get("toolchain", KEY, tmp_path / "out")
    assert found == made and found is not None
    assert (found.facts, found.label) == (FACTS, "go1.22.10-acme1 darwin/arm64")
    assert content({name: tmp_path / "out" / name for name in put}) == content(put)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o644}
    assert machine.get(OTHER) is None and machine.get(kind="tools") is None
    assert not machine.said and not list((machine.root / "tmp").iterdir())
    # What came out is the user's own, and what goes in replaces what was there.
    (tmp_path / "out/go").write_bytes(b"changed")
    assert machine.get() == content(put)
    machine.put(more := some_files(tmp_path / "more", 3))
    assert machine.get() == content(more)


def _json(change: Callable[[dict[str, Any]], object]) -> Callable[[Machine], None]:
    def damage(machine: Machine) -> None:
        document = json.loads(machine.place("entry.json").read_text())
        change(document)
        machine.place("entry.json").write_text(json.dumps(document))

    return damage


def _flip(machine: Machine) -> None:
    path = machine.place("go.zip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _named(name: str) -> Callable[[Machine], None]:
    return _json(lambda document: document["files"].update({name: document["files"]["go.zip"]}))


def _file(**values: object) -> Callable[[Machine], None]:
    return _json(lambda document: document["files"]["go.zip"].update(values))


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Machine], None]:
    def damage(machine: Machine) -> None:
        path = machine.place(name)
        path.rename(machine.root / "whole")
        make(path)

    return damage


DAMAGE: dict[str, Callable[[Machine], object]] = {
    "a byte of a file": _flip,
    "a file cut short": lambda machine: os.truncate(machine.place("go.zip"), 10),
    "no file": lambda machine: machine.place("go.zip").unlink(),
    "a link to a whole file": _instead("go.zip", lambda path: path.symlink_to("../../../whole")),
    "a pipe": _instead("go.zip", os.mkfifo),
    "a folder for a file": _instead("go.zip", Path.mkdir),
    "a pipe for an entry": _instead("entry.json", os.mkfifo),
    "a link for an entry": _instead("entry.json", lambda path: path.symlink_to("../../whole")),
    "an entry cut short": lambda machine: os.truncate(machine.place("entry.json"), 100),
    "an empty entry": lambda machine: os.truncate(machine.place("entry.json"), 0),
    "no JSON": lambda machine: machine.place("entry.json").write_bytes(b"\xff\x00{"),
    "deep JSON": lambda machine: machine.place("entry.json").write_text("[" * 100_000),
    "another schema": _json(lambda document: document.update(schema=1)),
    "another's": _json(lambda document: document.update(key="0" * 64)),
    "another kind's": _json(lambda document: document.update(kind="tools")),
    "no time": _json(lambda document: document.update(made="yesterday")),
    "more keys": _json(lambda document: document.update(more=1)),
    "fewer keys": _json(lambda document: document.pop("files")),
    "a list for files": _json(lambda document: document.update(files=[1])),
    "a name that climbs": _named("../../etc/passwd"),
    "a name inside a folder": _named("a/b"),
    "an absolute name": _named("/etc/passwd"),
    "a hidden name": _named(".bashrc"),
    "a name with a line": _named("a\nb"),
    "the entry itself": _named("entry.json"),
    "a digest that is none": _file(sha256="../" * 21 + "x"),
    "a list for facts": _json(lambda document: document.update(facts=[1])),
    "no facts": _json(lambda document: document.update(facts=None)),
    "a time before time": _json(lambda document: document.update(made="0001-01-01T00:00:00+23:00")),
    "another size": _file(size=7),
    "a size beyond all disks": _file(size=10**30),
    "more than any entry has": _file(size=9 << 30),
    "a negative size": _file(size=-1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_dropped_and_told(machine: Machine, tmp_path: Path, damage: Callable[[Machine], object]) -> None:
    put = some_files(tmp_path / "in")
    machine.put(put)
    damage(machine)
    assert machine.get() is None
    assert not machine.place("").exists()
    assert len(machine.said) == 1 and f"toolchain {KEY[:12]} is damaged" in machine.said[0]
    assert machine.get() is None and len(machine.said) == 1
    assert machine.put(put) and machine.get() == content(put)


@pytest.mark.parametrize(
    "what", [lambda path: path.write_text("x"), lambda path: path.mkdir(), lambda path: path.symlink_to("/etc")]
)
def test_what_stands_in_an_entrys_place(machine: Machine, tmp_path: Path, what: Callable[[Path], object]) -> None:
    machine.place("").parent.mkdir(parents=True)
    what(machine.place(""))
    assert machine.get() is None
    assert machine.put(some_files(tmp_path / "in")) and machine.get()
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    ("kind", "key", "name"),
    [
        ("input", KEY, "a"),
        ("tmp", KEY, "a"),
        ("tools", "../x", "a"),
        ("tools", KEY, "../a"),
        ("tools", KEY, "entry.json"),
    ],
)
def test_a_bad_name_or_key_stores_nothing(machine: Machine, tmp_path: Path, kind: str, key: str, name: str) -> None:
    with pytest.raises(ValueError):
        machine.put({name: some_files(tmp_path / "in")["go.zip"]}, key, kind)
    assert not machine.root.exists()


def test_the_least_used_goes_first(machine: Machine, tmp_path: Path) -> None:
    def labels() -> list[str]:
        return [entry.label for entry, _ in store.list_entries(folder)]

    names = [entry_key(number=number) for number in range(3)]
    for number, name in enumerate(names):
        (tmp_path / "own").write_bytes(bytes([number]) * 10_000)
        machine.open().put("toolchain", name, {"own": tmp_path / "own"}, {"stamp": f"go{number}"})
        os.utime(machine.place("entry.json", name), (1000 + number,) * 2)
    machine.get(names[0])  # used now: the oldest is the newest
    files.write(machine.place("entry.json", "0" * 64), "no entry")
    folder = machine.open().folder
    assert labels() == ["go0", "go2", "go1"]
    gone, freed = store.prune_store(folder, 26_000, dry=True)
    assert [entry.label for entry, _ in gone] == ["go1"] and 10_000 < freed < 11_000 and len(folder.list_keys()) == 4
    assert store.prune_store(folder, 26_000) == (gone, freed)
    assert labels() == ["go0", "go2"] and machine.get(names[1]) is None and machine.get(names[2])
    assert len(folder.list_keys()) == 2, "what is no entry went as well"
    assert store.prune_store(folder, 26_000) == ([], 0)
    assert len(store.prune_store(folder, 0)[0]) == 2 and folder.list_keys() == []
    assert not machine.said
    assert store.prune_store(StoreFolder(tmp_path / "none"), 0) == ([], 0) and not (tmp_path / "none").exists()


def test_what_a_killed_run_has_left_goes_after_a_day(machine: Machine, tmp_path: Path) -> None:
    for name, age in (("old", 2 * 86_400), ("new", 60)):
        files.write(machine.root / "tmp" / name / "go", "half")
        os.utime(machine.root / "tmp" / name, (time.time() - age,) * 2)
    machine.put(some_files(tmp_path / "in"))
    assert [path.name for path in (machine.root / "tmp").iterdir()] == ["new"]


def test_an_entry_that_is_pruned_or_replaced_while_it_is_read_is_a_miss_and_not_damaged(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, clone = some_files(tmp_path / "in"), files.clone
    machine.put(put)

    def pruned(source: Path, at: Path) -> None:
        clone(source, at)
        store.prune_store(machine.open().folder, 0)

    monkeypatch.setattr(files, "clone", pruned)
    assert machine.get() is None and machine.said == []
    monkeypatch.undo()
    machine.put(put)

    def replaced(source: Path, at: Path) -> None:
        monkeypatch.undo()
        machine.put(some_files(tmp_path / "other", 7))
        clone(source, at)

    monkeypatch.setattr(files, "clone", replaced)
    assert machine.get() is None and machine.said == []
    assert machine.get() == content(some_files(tmp_path / "other", 7))


def test_a_store_that_cannot_be_written_is_told_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    machine = Machine(tmp_path / "file/store")
    assert machine.get() is None
    machine.said.clear()
    assert machine.put(some_files(tmp_path / "in")) is None
    assert machine.said == [f"not stored: Not a directory ({machine.root})"]
    machine = Machine(tmp_path / "store")
    assert machine.put({"gone": tmp_path / "gone"}) is None
    assert machine.said == [f"not stored: No such file or directory ({machine.root})"]


def test_verify_finds_all_damage(machine: Machine, tmp_path: Path) -> None:
    folder = machine.open().folder
    assert store.verify_store(folder) == ([], [])
    put = some_files(tmp_path / "in")
    made = [machine.put(put), machine.put(put, OTHER), machine.put({"alone": put["go"]}, kind="tools")]
    whole, damaged = store.verify_store(folder)
    assert damaged == [] and sorted(map(str, whole)) == sorted(map(str, made))
    _flip(machine)
    machine.place("go", OTHER).unlink()
    files.write(machine.place("entry.json", "1" * 64, "tools"), "{}")
    whole, damaged = store.verify_store(folder)
    assert whole == made[2:]
    assert sorted(damaged) == sorted(
        [
            f"toolchain {KEY[:12]}: go.zip has other bytes",
            f"toolchain {OTHER[:12]}: a file of it is gone",
            f"tools {'1' * 12}: it cannot be read",
        ]
    )
    assert store.verify_store(folder) == (made[2:], []) and len(folder.list_keys()) == 1 and not machine.said
