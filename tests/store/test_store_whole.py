"""The store is whole at every moment: killed writers, two at once, readers while it is pruned, a full disk."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from needs import small_disk
from store_fixtures import KEY, Machine, content, some_files

from gobuild import store
from gobuild.store import entry_key

KILLS = 12
SIZE = 3 << 20
MORE = entry_key(of="more")

CHILD = """
import os, random, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from store_fixtures import Machine, some_files
from gobuild.store import entry_key, prune_store

what, root, folder, seed, stop = sys.argv[1:]
machine = Machine(Path(root))
put = some_files(Path(folder), int(seed), {size})
print("ready", flush=True)
turn, parent, end = 0, os.getppid(), time.monotonic() + 120
# A test that is killed leaves nobody behind, and one that waits in vain ends.
while not Path(stop).exists() and os.getppid() == parent and time.monotonic() < end:
    turn += 1
    if what == "put":
        assert machine.put(put), machine.said
        assert machine.put(put, entry_key(turn=turn % 3)), machine.said
    elif what == "prune":
        prune_store(machine.open().folder, 0)
        time.sleep(random.random() / 10)
    elif got := machine.get():
        assert got["go.zip"] == got["go.tar.gz"] and len(set(got["go"])) == 1, "bytes of two writers"
        print("got", flush=True)
print("told", machine.said)
"""


def _child(what: str, root: Path, folder: Path, stop: Path, *, seed: int = 1) -> "subprocess.Popen[str]":
    """A process that does something to a store again and again, until there is a file `stop`."""
    words = (what, str(root), str(folder), str(seed), str(stop))
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parents[1]), size=SIZE), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _ready(child: "subprocess.Popen[str]") -> None:
    assert child.stdout and child.stdout.readline() == "ready\n", child.communicate()


def _whole(machine: Machine) -> int:
    whole, damaged = store.verify_store(machine.open().folder)
    assert damaged == machine.said == []
    return len(whole)


@pytest.mark.slow
def test_killed_at_any_moment_no_entry_is_bad(tmp_path: Path) -> None:
    machine, chance, killed, seen = Machine(tmp_path / "store"), random.Random(5), 0, 0
    for attempt in range(KILLS):
        child = _child("put", machine.root, tmp_path / "in", tmp_path / "never", seed=attempt % 3 + 1)
        _ready(child)
        time.sleep(chance.random() / 2)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        killed += child.returncode == -signal.SIGKILL
        seen = max(seen, _whole(machine))
    print(f"{killed} of {KILLS} were killed in time, {len(list((machine.root / 'tmp').iterdir()))} left debris")
    assert killed >= KILLS // 3 and seen >= 2, (killed, seen)
    assert machine.put(some_files(tmp_path / "in")) and machine.get() == content(some_files(tmp_path / "in"))


@pytest.mark.slow
def test_two_writers_of_one_key_a_reader_and_somebody_who_prunes(tmp_path: Path) -> None:
    """All at once, and often; the reader gets the bytes of one writer, or nothing; nobody complains."""
    machine, stop = Machine(tmp_path / "store"), tmp_path / "stop"
    reader = _child("get", machine.root, tmp_path / "get", stop)
    others = [_child("put", machine.root, tmp_path / f"in{seed}", stop, seed=seed) for seed in (1, 2)]
    others.append(_child("prune", machine.root, tmp_path / "prune", stop))
    try:
        _ready(reader)
        for _ in range(5):
            assert reader.stdout and reader.stdout.readline() == "got\n", reader.communicate()
    finally:
        stop.touch()
        said = [child.communicate(timeout=60)[0] for child in (reader, *others)]
    assert [child.returncode for child in (reader, *others)] == [0] * 4, said
    assert all(each.endswith("told []\n") for each in said), said
    _whole(machine)


def test_a_store_that_can_only_be_read_is_read(tmp_path: Path) -> None:
    machine, put = Machine(tmp_path / "store"), some_files(tmp_path / "in")
    with small_disk(machine.root):
        machine.put(put)
        machine.put({"alone": put["go"]}, kind="tools")
        machine.place("alone", kind="tools").write_bytes(b"damaged")
        subprocess.run(["mount", "-o", "remount,ro", machine.root], check=True)
        assert machine.get() == content(put) and machine.said == []
        assert machine.put(put, MORE) is None
        assert machine.said.pop() == f"not stored: Read-only file system ({machine.root})"
        assert machine.get(kind="tools") is None
        assert machine.said[0].endswith("has another size): not used")
        assert machine.said[1] == f"not removed: Read-only file system ({machine.root})"


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "-o", "size=18m"):
        machine, before = Machine(disk / "store"), some_files(tmp_path / "in", size=SIZE)
        assert machine.put(before)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free - (1 << 20)))
        assert machine.put(some_files(tmp_path / "more", 9, SIZE)) is None
        assert machine.said == [f"not stored: No space left on device ({machine.root})"]
        machine.said.clear()
        assert machine.get() == content(before) and not list((disk / "store/tmp").iterdir())
        # Where it is the place for the files that is full, it is a miss as well.
        assert machine.open().get("toolchain", KEY, disk / "into") is None and not (disk / "into").exists()
        assert machine.said == [f"not taken from the store: No space left on device ({machine.root})"]
        machine.said.clear()
        assert _whole(machine) == 1
        # Room is made by pruning, on the full disk itself.
        (disk / "filler").unlink()
        (disk / "filler").write_bytes(bytes(free))
        assert store.prune_store(machine.open().folder, 0)[1] > SIZE
        assert machine.put(some_files(tmp_path / "more", 9, SIZE // 2), MORE)
