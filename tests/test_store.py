"""The store's local level: the same bytes come out, or nothing does."""

import errno
import fcntl
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import FACTS, KEY, Machine, blobs, content, some_files

from gobuild import store
from gobuild.core import files
from gobuild.core.errors import UnsafeArchive
from gobuild.store import key


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "store")


def _entry(machine: Machine) -> Path:
    return machine.root / f"entries/toolchain/{KEY}.json"


def test_a_key_is_what_its_parts_say_and_nothing_else() -> None:
    assert key(b=[1, "ü"], a={"y": None, "x": True}) == key(a={"x": True, "y": None}, b=(1, "ü"))
    different = {key(a=1), key(a="1"), key(a=[1]), key(b=1), key(a=1, b=None), key(a={"a": 1}), key(a=1.5)}
    assert len(different) == 7
    assert key(a=1) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"  # sha256 of {"a":1}
    for bad in (Path("x"), float("nan"), {1, 2}, b"x"):
        with pytest.raises((TypeError, ValueError)):
            key(a=bad)


def test_what_was_put_in_comes_out(machine: Machine, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    assert machine.open().get("toolchain", KEY) is None and not machine.root.exists()
    made = machine.open().put("toolchain", KEY, put, FACTS)
    later = machine.open()
    found = later.get("toolchain", KEY)
    assert found == made and found is not None and found.facts == FACTS and found.what == "go1.22.10-acme1 darwin/arm64"
    assert content(later, found, tmp_path / "out") == {name: path.read_bytes() for name, path in put.items()}
    assert os.access(tmp_path / "out/bin/go", os.X_OK) and not os.access(tmp_path / "out/go.zip", os.X_OK)
    assert later.get("toolchain", key(of="another")) is None and later.get("tools", KEY) is None
    assert len(blobs(machine.root)) == 2 and not machine.said and not list((machine.root / "tmp").iterdir())


def test_a_placed_file_is_its_users_own(machine: Machine, tmp_path: Path) -> None:
    opened = machine.open()
    made = opened.put("toolchain", KEY, some_files(tmp_path / "in"), FACTS)
    assert made
    (tmp_path / "go").write_text("an older one, which goes")
    opened.place(made, "bin/go", tmp_path / "go")
    with (tmp_path / "go").open("r+b") as file:
        file.write(b"changed")
    assert machine.open().get("toolchain", KEY) == made
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in blobs(machine.root))


def _json(change: Callable[[dict[str, Any]], object]) -> Callable[[Machine], None]:
    def damage(machine: Machine) -> None:
        document = json.loads(_entry(machine).read_text())
        change(document)
        _entry(machine).write_text(json.dumps(document))

    return damage


def _flip(machine: Machine) -> None:
    path = blobs(machine.root)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def _cut(machine: Machine) -> None:
    blobs(machine.root)[0].chmod(0o644)
    os.truncate(blobs(machine.root)[0], 10)


def _named(name: str) -> Callable[[Machine], None]:
    return _json(lambda document: document["files"].update({name: document["files"]["go.zip"]}))


def _blob(**values: object) -> Callable[[Machine], None]:
    return _json(lambda document: document["files"]["go.zip"].update(values))


DAMAGE: dict[str, Callable[[Machine], object]] = {
    "a byte of a blob": _flip,
    "a blob cut short": _cut,
    "no blob": lambda machine: blobs(machine.root)[0].unlink(),
    "an entry cut short": lambda machine: os.truncate(_entry(machine), 100),
    "an empty entry": lambda machine: os.truncate(_entry(machine), 0),
    "no JSON": lambda machine: _entry(machine).write_bytes(b"\xff\x00{"),
    "deep JSON": lambda machine: _entry(machine).write_text("[" * 100_000),
    "another schema": _json(lambda document: document.update(schema=2)),
    "another's": _json(lambda document: document.update(key="0" * 64)),
    "another kind's": _json(lambda document: document.update(kind="tools")),
    "no time": _json(lambda document: document.update(made="yesterday")),
    "more keys": _json(lambda document: document.update(more=1)),
    "fewer keys": _json(lambda document: document.pop("files")),
    "a list for files": _json(lambda document: document.update(files=[1])),
    "a name that climbs": _named("../../etc/passwd"),
    "a name inside that climbs": _named("a/../../b"),
    "an absolute name": _named("/etc/passwd"),
    "a hidden name": _named(".bashrc"),
    "a name with a line": _named("a\nb"),
    "a digest that climbs": _blob(sha256="../" * 21 + "x"),
    "a list for facts": _json(lambda document: document.update(facts=[1])),
    "no facts": _json(lambda document: document.update(facts=None)),
    "a time before time": _json(lambda document: document.update(made="0001-01-01T00:00:00+23:00")),
    "another size": _blob(size=7),
    "a size beyond all disks": _blob(size=10**30),
    "a negative size": _blob(size=-1),
    "setuid": _blob(mode=0o4755),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_dropped_and_told(
    machine: Machine, tmp_path: Path, damage: Callable[[Machine], object]
) -> None:
    put = some_files(tmp_path / "in")
    made = machine.open().put("toolchain", KEY, put, FACTS)
    damage(machine)
    assert machine.open().get("toolchain", KEY) is None
    assert not _entry(machine).exists()
    assert len(machine.said) == 1 and f"toolchain {KEY[:12]} is damaged" in machine.said[0]
    assert machine.open().get("toolchain", KEY) is None and len(machine.said) == 1
    opened = machine.open()
    again = opened.put("toolchain", KEY, put, FACTS)
    assert again and made and again.files == made.files
    assert machine.open().get("toolchain", KEY) == again


def test_put_repairs_a_blob_that_another_entry_left_damaged(machine: Machine, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    machine.open().put("toolchain", KEY, put, FACTS)
    _flip(machine)
    machine.open().put("toolchain", key(of="another"), put, FACTS)
    assert machine.open().get("toolchain", KEY) and not machine.said


def test_a_bad_name_or_key_of_our_own_is_a_mistake_and_stores_nothing(machine: Machine, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    for kind, word, name in (("Tools", KEY, "a"), ("tools", "../x", "a"), ("tools", KEY, "../a")):
        with pytest.raises(ValueError):
            machine.open().put(kind, word, {name: put["go.zip"]}, {})
    assert not list(machine.root.glob("entries/*/*"))


def test_the_least_used_goes_first_and_shared_blobs_stay(machine: Machine, tmp_path: Path) -> None:
    for number in range(3):
        name = key(number=number)
        more = tmp_path / f"{number}.bin"
        more.write_bytes(bytes([number]) * 10_000)
        shared = tmp_path / "shared.bin"
        shared.write_bytes(bytes(5000))
        machine.open().put("toolchain", name, {"own": more, "shared": shared}, {"stamp": f"go{number}"})
        os.utime(machine.root / f"entries/toolchain/{name}.json", (1000 + number,) * 2)
    machine.open().get("toolchain", key(number=0))  # used now: the oldest is the newest
    (machine.root / "blobs/sha256/00").mkdir(exist_ok=True)
    (machine.root / "blobs/sha256/00" / ("0" * 64)).write_bytes(bytes(77))
    folder = machine.open().folder
    assert [held.entry.what for held in store.entries(folder)] == ["go0", "go2", "go1"]
    assert store.size(store.entries(folder)) == 35_000
    gone, freed = store.prune(folder, 26_000, dry=True, waiting=machine.said.append)
    assert [held.entry.what for held in gone] == ["go1"] and freed == 10_077 and len(blobs(machine.root)) == 5
    assert store.prune(folder, 26_000, waiting=machine.said.append)[1] == 10_077
    assert machine.open().get("toolchain", key(number=1)) is None
    assert machine.open().get("toolchain", key(number=0)) and machine.open().get("toolchain", key(number=2))
    assert store.prune(folder, 26_000, waiting=machine.said.append) == ([], 0)
    assert len(store.prune(folder, 0, waiting=machine.said.append)[0]) == 2 and not blobs(machine.root)
    assert not machine.said


def test_whoever_has_got_an_entry_can_place_it_though_it_was_pruned(machine: Machine, tmp_path: Path) -> None:
    put = some_files(tmp_path / "in")
    machine.open().put("toolchain", KEY, put, FACTS)
    reader = machine.open()
    found = reader.get("toolchain", KEY)
    store.prune(machine.open().folder, 0, waiting=machine.said.append)
    assert found and content(reader, found, tmp_path / "out")["go.zip"] == put["go.zip"].read_bytes()
    assert reader.get("toolchain", KEY) is None and not machine.said


def test_a_folder_is_one_blob(machine: Machine, tmp_path: Path) -> None:
    tree = tmp_path / "cache"
    (tree / "ab/empty").mkdir(parents=True)
    for number in range(300):
        (tree / f"ab/{number:03}-d").write_bytes(os.urandom(number))
    (tree / ("long" * 40)).write_bytes(b"long")
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    made = machine.open().put("tools", KEY, {"gocache": tree}, {})
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
    again = machine.open().put("tools", KEY, {"gocache": tree}, {})
    assert made and again and made.files == again.files and len(blobs(machine.root)) == 1
    opened = machine.open()
    found = opened.get("tools", KEY)
    assert found
    opened.place(found, "gocache", tmp_path / "out")
    assert files.dirhash(tmp_path / "out") == files.dirhash(tree) and os.access(tmp_path / "out/run", os.X_OK)
    (tree / "link").symlink_to("run")
    assert machine.open().put("tools", KEY, {"gocache": tree}, {}) is None
    assert "neither a file nor a folder" in machine.said[0] and machine.open().get("tools", KEY) == found


def _climber(at: Path) -> None:
    with tarfile.open(at, "w") as tar:
        info = tarfile.TarInfo("../escaped")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"bad"))


def _bomb(at: Path) -> None:
    with tarfile.open(at, "w:gz") as tar:
        info = tarfile.TarInfo("large")
        info.size = 8 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))


@pytest.mark.parametrize("evil", [_climber, _bomb])
def test_a_hostile_tar_in_the_store_is_not_unpacked(
    machine: Machine, tmp_path: Path, evil: Callable[[Path], None]
) -> None:
    """Whoever may write to a shared store can put in any bytes; they cannot leave the folder, or fill the disk."""
    evil(tmp_path / "evil")
    machine.open().put("tools", KEY, {"gocache": tmp_path / "evil"}, {})
    path = machine.root / f"entries/tools/{KEY}.json"
    path.write_text(path.read_text().replace(f'"mode": {0o644}', f'"mode": {0o40755}'))
    opened = machine.open()
    found = opened.get("tools", KEY)
    assert found
    with pytest.raises(UnsafeArchive):
        opened.place(found, "gocache", tmp_path / "out/cache")
    assert not (tmp_path / "out/escaped").exists() and not list((tmp_path / "out").iterdir())


def test_what_is_damaged_is_not_removed_under_somebody_who_adds(machine: Machine, tmp_path: Path) -> None:
    machine.open().put("toolchain", KEY, some_files(tmp_path / "in"), FACTS)
    _flip(machine)
    with machine.open().folder.adding():
        assert machine.open().get("toolchain", KEY) is None
        assert _entry(machine).exists() and len(blobs(machine.root)) == 2
    assert machine.open().get("toolchain", KEY) is None and len(machine.said) == 1
    assert not _entry(machine).exists() and len(blobs(machine.root)) == 1


def _no_links(*_words: object, **_more: object) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def test_locks_are_taken_as_nfs_wants_them(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux's NFS client makes a POSIX lock of flock's, which wants the file open for what it locks (nfs4proc.c)."""
    flock = fcntl.flock

    def as_on_nfs(file: Any, how: int) -> None:
        mode = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
        refused = os.O_WRONLY if how & fcntl.LOCK_SH else os.O_RDONLY
        if mode == refused:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    kept = machine.open().put("tools", KEY, some_files(tmp_path / "in"), FACTS)
    assert kept is not None and not machine.said
    assert machine.open().get("tools", KEY) == kept


def test_inputs_go_by_their_digest(machine: Machine, tmp_path: Path) -> None:
    archive = tmp_path / "go1.22.10.src.tar.gz"
    archive.write_bytes(b"source" * 1000)
    blob = machine.open().add(archive)
    assert blob and blob.sha256 == files.sha256(archive)
    (stored,) = blobs(machine.root)
    assert stored.samefile(archive), "a hard link: no second copy on the disk"
    archive.unlink()
    opened = machine.open()
    assert opened.blob(blob.sha256) == stored and opened.blob("0" * 64) is None
    assert opened.take(blob.sha256, tmp_path / "again") and (tmp_path / "again").read_bytes() == b"source" * 1000
    assert (tmp_path / "again").samefile(stored) and not opened.take("0" * 64, tmp_path / "never")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "link", _no_links)
        assert machine.open().take(blob.sha256, tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == b"source" * 1000 and not (tmp_path / "again").samefile(stored)
    # An entry that names other bytes than its key says.
    path = machine.root / f"entries/input/{blob.sha256}.json"
    other = machine.root / f"entries/input/{'0' * 64}.json"
    other.write_text(path.read_text().replace(f'"key": "{blob.sha256}"', f'"key": "{"0" * 64}"'))
    assert machine.open().get("input", "0" * 64) and not machine.open().take("0" * 64, tmp_path / "never")
    assert machine.open().blob("0" * 64) is None


def test_a_store_that_cannot_be_written_is_told_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    machine = Machine(tmp_path / "file/store")
    assert machine.open().get("toolchain", KEY) is None
    assert machine.open().put("toolchain", KEY, some_files(tmp_path / "in"), FACTS) is None
    assert any(said.startswith("not stored: ") and str(machine.root) in said for said in machine.said)
    machine = Machine(tmp_path / "store")
    assert machine.open().put("toolchain", KEY, {"gone": tmp_path / "gone"}, FACTS) is None
    assert "No such file" in machine.said[0]


def test_verify_finds_all_damage(machine: Machine, tmp_path: Path) -> None:
    quiet = machine.said.append
    assert store.verify(machine.open().folder, waiting=quiet) == store.Checked(entries=0, blobs=0, size=0, damaged=())
    put = some_files(tmp_path / "in")
    machine.open().put("toolchain", KEY, put, FACTS)
    machine.open().put("toolchain", key(of="another"), {"go.zip": put["go.zip"]}, FACTS)
    machine.open().put("tools", KEY, {"alone": put["bin/go"]}, {})
    whole = store.verify(machine.open().folder, waiting=quiet)
    assert (whole.entries, whole.blobs, whole.damaged) == (3, 2, ())
    assert whole.size == sum(path.stat().st_size for path in blobs(machine.root))
    (path,) = (path for path in blobs(machine.root) if path.name == files.sha256(put["go.zip"]))
    path.chmod(0o644)
    path.write_bytes(b"other")
    (machine.root / f"entries/tools/{'1' * 64}.json").write_text("{}")
    found = store.verify(machine.open().folder, waiting=quiet)
    assert len(found.damaged) == 4 and sum(each.startswith("blob") for each in found.damaged) == 1
    assert store.verify(machine.open().folder, waiting=quiet).damaged == ()
    assert machine.open().get("tools", KEY) and machine.open().get("toolchain", KEY) is None and not machine.said


def test_a_clone_is_the_same_file_on_its_own(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    source.chmod(0o555)
    files.clone(source, tmp_path / "clone")
    assert (tmp_path / "clone").read_bytes() == source.read_bytes()
    assert (tmp_path / "clone").stat().st_mode & 0o777 == 0o755
    with pytest.raises(FileExistsError):
        files.clone(source, tmp_path / "clone")
    with source.open("rb") as file:
        file.seek(1000)
        source.unlink()
        files.clone(file, tmp_path / "late")
        assert file.tell() == 1000, "a file that several threads read keeps its place"
    assert (tmp_path / "late").read_bytes() == (tmp_path / "clone").read_bytes()
    files.clone(Path("/proc/self/status") if Path("/proc/self/status").exists() else source, tmp_path / "odd")
    assert (tmp_path / "odd").stat().st_size, "a file whose size the system does not tell"
