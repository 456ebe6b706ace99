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
from needs import needs
from store_fixtures import FACTS, KEY, Machine, blobs, content, some_files

from gobuild import store
from gobuild.store import key

KILLS = 12
SIZE = 3 << 20

CHILD = """
import os, random, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from store_fixtures import FACTS, KEY, Machine, content, some_files
from gobuild.store import key, prune

what, root, folder, seed, stop = sys.argv[1:]
machine = Machine(Path(root))
put = some_files(Path(folder), int(seed), {size})
print("ready", flush=True)
turn, parent, end = 0, os.getppid(), time.monotonic() + 120
# A test that is killed leaves nobody behind, and one that waits in vain ends.
while not Path(stop).exists() and os.getppid() == parent and time.monotonic() < end:
    turn += 1
    if what == "put":
        assert machine.open().put("toolchain", KEY, put, FACTS), machine.said
        assert machine.open().put("toolchain", key(turn=turn % 3), put, FACTS), machine.said
    elif what == "prune":
        prune(machine.open().folder, 0, waiting=lambda text: None)
        time.sleep(random.random() / 10)
    else:
        opened = machine.open()
        if found := opened.get("toolchain", KEY):
            got = content(opened, found, Path(folder) / "out")
            assert got["go.zip"] == got["go.tar.gz"] and len(set(got["bin/go"])) == 1, "bytes of two writers"
            print("got", flush=True)
print("told", machine.said)
"""


def _child(what: str, root: Path, folder: Path, stop: Path, *, seed: int = 1) -> "subprocess.Popen[str]":
    """A process that does something to a store again and again, until there is a file `stop`."""
    words = (what, str(root), str(folder), str(seed), str(stop))
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent), size=SIZE), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _ready(child: "subprocess.Popen[str]") -> None:
    assert child.stdout and child.stdout.readline() == "ready\n", child.communicate()


def _whole(machine: Machine, said: list[str]) -> store.Checked:
    found = store.verify(machine.open().folder, waiting=said.append)
    assert found.damaged == () and said == [] and machine.said == []
    return found


@pytest.mark.slow
def test_killed_at_any_moment_no_entry_is_bad(tmp_path: Path) -> None:
    """Many real SIGKILLs, spread over several puts; after each, everything in the store is whole."""
    machine, chance, killed = Machine(tmp_path / "store"), random.Random(5), 0
    debris = seen = 0
    for attempt in range(KILLS):
        child = _child("put", machine.root, tmp_path / "in", tmp_path / "never", seed=attempt % 3 + 1)
        _ready(child)
        time.sleep(chance.random() / 2)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        killed += child.returncode == -signal.SIGKILL
        debris += len(list((machine.root / "tmp").glob("*")))
        seen = max(seen, _whole(machine, []).entries)
    print(f"{killed} of {KILLS} were killed in time, {debris} left debris")
    assert killed >= KILLS // 3 and seen >= 2, (killed, seen)
    opened = machine.open()
    assert opened.put("toolchain", KEY, some_files(tmp_path / "in"), FACTS)
    assert not list((machine.root / "tmp").iterdir()), "the next who adds clears away what the killed have left"
    store.prune(opened.folder, 0, waiting=machine.said.append)
    assert not blobs(machine.root)


@pytest.mark.slow
def test_two_writers_of_one_key_a_reader_and_somebody_who_prunes(tmp_path: Path) -> None:
    """All at once, and often; the reader always gets the whole bytes of one writer, or nothing."""
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
    _whole(machine, [])


def test_nobody_removes_while_somebody_adds(tmp_path: Path) -> None:
    """prune waits for who is between a blob and its entry, and says so."""
    machine, stop = Machine(tmp_path / "store"), tmp_path / "stop"
    folder = machine.open().folder
    with folder.adding():
        blob = folder.keep(some_files(tmp_path / "in")["go.zip"])
        child = _child("prune", machine.root, tmp_path / "other", stop)
        _ready(child)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        stop.touch()
        folder.open(blob).close()
    child.communicate(timeout=20)
    assert child.returncode == 0 and not blobs(machine.root)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """The system refuses the file's next byte (RLIMIT_FSIZE), as a quota would."""
    machine = Machine(tmp_path / "store")
    before = machine.open().put("toolchain", KEY, some_files(tmp_path / "in", size=SIZE), FACTS)
    more = some_files(tmp_path / "more", 7, SIZE)
    said = (
        "import resource, signal, sys; from pathlib import Path; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2); from gobuild.store import Store;"
        f"s = Store.open(Path({str(machine.root)!r}), say=print);"
        f"print(s.put('toolchain', {KEY!r}, {{'x': Path({str(more['bin/go'])!r})}}, {{}}))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == f"not stored: File too large ({machine.root})\nNone\n", done
    assert machine.open().get("toolchain", KEY) == before and not list((machine.root / "tmp").iterdir())
    assert _whole(machine, []).entries == 1


def test_a_store_that_can_only_be_read_is_read(tmp_path: Path) -> None:
    needs("mount")
    machine = Machine(tmp_path / "store")
    machine.root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", machine.root], check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        put = some_files(tmp_path / "in")
        made = machine.open().put("toolchain", KEY, put, FACTS)
        machine.open().put("tools", KEY, {"alone": put["bin/go"]}, {})
        (bad,) = (path for path in blobs(machine.root) if path.stat().st_size == 1000)
        subprocess.run(["mount", "-o", "remount,ro", machine.root], check=True)
        assert machine.open().get("toolchain", KEY) == made and machine.said == []
        assert machine.open().put("tools", key(of="more"), put, {}) is None
        assert machine.said.pop() == f"not stored: Read-only file system ({machine.root})"
        subprocess.run(["mount", "-o", "remount,rw", machine.root], check=True)
        bad.unlink()
        subprocess.run(["mount", "-o", "remount,ro", machine.root], check=True)
        assert machine.open().get("tools", KEY) is None
        assert "is gone), and stays: Read-only file system" in machine.said[0]
    finally:
        subprocess.run(["umount", "--lazy", machine.root], check=True)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    needs("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=18m", "tmpfs", str(disk)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        machine = Machine(disk / "store")
        before = machine.open().put("toolchain", KEY, some_files(tmp_path / "in", size=SIZE), FACTS)
        assert before
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free - (1 << 20)))
        assert machine.open().put("toolchain", key(of="more"), some_files(tmp_path / "in", 9, SIZE), FACTS) is None
        assert machine.said == [f"not stored: No space left on device ({machine.root})"]
        machine.said.clear()
        opened = machine.open()
        found = opened.get("toolchain", KEY)
        assert found == before and content(opened, found, tmp_path / "out") and not list((disk / "store/tmp").iterdir())
        assert _whole(machine, []).entries == 1
        # Room is made by pruning, on the full disk itself, once nobody holds the files open any more.
        del opened
        (disk / "filler").unlink()
        (disk / "filler").write_bytes(bytes(free))
        assert store.prune(machine.open().folder, 0, waiting=machine.said.append)[1] == found.size
        assert machine.open().put("toolchain", key(of="more"), some_files(tmp_path / "in", 9, SIZE // 2), FACTS)
    finally:
        # Lazily: the stores opened above keep open what they have checked.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
