"""A published tree is the old one or the new one, whatever ends the change: kill, a full disk, another at work."""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from needs import small_disk
from publish_toys import NEXT, STAMP, content_of, published, put_build

from gobuild.core import files
from gobuild.publish.site import generations

pytestmark = pytest.mark.usefixtures("git")

TRIES = 12
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from publish_toys import published

published(Path(sys.argv[1]), *map(Path, sys.argv[2:]))
"""


def _old_and_next(folder: Path) -> dict[str, bytes]:
    """Publishes a build to the site in a folder, and puts the next one into two/; returns the site's content."""
    put_build(folder / "one")
    published(folder / "site", folder / "one")
    put_build(folder / "two", stamp=NEXT)
    return content_of(folder / "site")


def _child(*words: Path, limit: int = 0) -> "subprocess.Popen[str]":
    def bound() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parents[1])), *map(str, words)],
        preexec_fn=bound,  # noqa: PLW1509  (the child is single-threaded Python)
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_killed_at_any_moment_the_tree_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    """Many real SIGKILLs, spread over the whole run; a reader looks before and after each."""
    site, old = tmp_path / "site", _old_and_next(tmp_path)
    began = time.monotonic()
    _child(tmp_path / "probe", tmp_path / "two").communicate()
    whole = time.monotonic() - began
    chance, killed, done = random.Random(4), 0, 0
    for attempt in range(TRIES):
        child = _child(site, tmp_path / "two")
        # Python's start is the first part of the run and touches nothing: most kills fall behind it.
        time.sleep(whole * (0.25 + 0.75 * (attempt + chance.random()) / TRIES))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        if child.stderr:
            child.stderr.close()
        now = content_of(site)
        if now != old:
            done += 1
            assert f"releases/{NEXT}/index.html" in now and f"dl/{NEXT}.linux-amd64.tar.gz" in now
            assert old.keys() - now.keys() == set()
            # Back to the old tree, for the next try.
            files.remove(site)
            site.symlink_to(".site-generations/1")
    assert killed >= TRIES // 3, f"{killed} of {TRIES} were killed in time, {done} had published"
    made = published(site, tmp_path / "two")
    assert made.changed and len(made.catalogue.builds) == 2
    # Those that were served before the way back are kept: their readers have seen them.
    left = {path.name for path in generations.generations_folder(site).iterdir()}
    assert {name for name in left if not name.isdecimal()} == {".gobuild.lock", "served"} and "1" in left
    assert sorted(path.name for path in tmp_path.glob(".site*")) == [".site-generations"]


def test_two_at_once_both_arrive(tmp_path: Path) -> None:
    put_build(tmp_path / "one")
    put_build(tmp_path / "two", stamp=NEXT)
    children = [_child(tmp_path / "site", tmp_path / name) for name in ("one", "two")]
    for child in children:
        assert child.wait(60) == 0, child.communicate()[1]
        child.communicate()
    about = json.loads((tmp_path / "site/tree.json").read_text())
    assert about["stamps"] == [NEXT, STAMP]


def test_a_reader_never_sees_half_a_tree(tmp_path: Path) -> None:
    """Whoever follows the link finds all that the manifest names, at every moment of a change."""
    site, stop = tmp_path / "site", threading.Event()
    bad: list[object] = []
    put_build(tmp_path / "dist")
    published(site, tmp_path / "dist")

    def read() -> None:
        while not stop.is_set():
            root = site.resolve()
            try:
                about = json.loads((root / "tree.json").read_text())
                wanted = [root / "releases" / stamp / "SHA256SUMS" for stamp in about["stamps"]]
                bad.extend(path for path in [*wanted, root / "index.html"] if not path.is_file())
            except (OSError, ValueError) as error:
                bad.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(3):
            put_build(tmp_path / str(number), stamp=f"go1.27.{number}-acme1")
            published(site, tmp_path / str(number))
    finally:
        stop.set()
        reader.join()
    assert not bad


def test_a_write_that_fails_leaves_the_old_tree(tmp_path: Path) -> None:
    """The system refuses the file's next byte (RLIMIT_FSIZE), as a quota would."""
    site, old = tmp_path / "site", _old_and_next(tmp_path)
    child = _child(site, tmp_path / "two", limit=2000)
    said = child.communicate()[1]
    assert child.returncode != 0 and "File too large" in said
    assert content_of(site) == old
    assert {path.name for path in generations.generations_folder(site).iterdir()} == {".gobuild.lock", "1", "served"}


def test_a_full_disk_leaves_the_old_tree(tmp_path: Path) -> None:
    with small_disk(disk := tmp_path / "disk", "-o", "size=18m"):
        site, old = disk / "site", _old_and_next(disk)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free - 8192))
        child = _child(site, disk / "two")
        said = child.communicate()[1]
        assert child.returncode != 0 and "MiB are free" in said
        assert content_of(site) == old
        # And where the room went after the check.
        with (
            pytest.raises(Exception, match=r"[Nn]o space left"),
            generations.next_generation(site, waiting=lambda _: None) as made,
        ):
            (made.tree / "large").write_bytes(bytes(1 << 20))
        assert content_of(site) == old
