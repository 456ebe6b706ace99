"""Downloads that go wrong, as a user sees them: a server of ours, one message, and nothing half made."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from goserver import GoServer, serving, source_archive
from inside import Done, gobuild

VERSION = "1.99.1"
FILE = f"go{VERSION}.src.tar.gz"


@pytest.fixture
def archive(toy_tree: Path, tmp_path: Path) -> bytes:
    """A source archive of a Go that does not exist, so that no pinned digest knows it."""
    (toy_tree / "VERSION").write_text(f"go{VERSION}\ntime 2024-11-27T20:27:20Z\n")
    return source_archive(toy_tree, tmp_path / FILE)


@pytest.fixture
def server(archive: bytes) -> Iterator[GoServer]:
    """A go.dev that has it."""
    with serving() as started:
        started.add(f"go{VERSION}", FILE, archive)
        yield started


def _build(server: GoServer, folder: Path, go: str = "1.99") -> Done:
    bootstrap = folder / "bootstrap/bin/go"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text("#!/bin/sh\necho go version go1.99.0 linux/amd64\n")
    bootstrap.chmod(0o755)
    (folder / "dist").mkdir(exist_ok=True)
    (folder / "dist/precious").write_text("kept")
    words = ["--go", go, "--source", "archive", "--series", "none", "--suffix", "toy", "--bootstrap", "bootstrap"]
    return gobuild(folder, "build", *words, "--index-url", server.url, "--cache", "cache")


def _refused(done: Done, code: int, *words: str, folder: Path) -> None:
    assert done.code == code, done.out + done.err
    assert f"\n{done.err}".count("\nerror: ") == 1 and "\n  try: " in done.err
    assert [word for word in words if word not in done.err] == []
    assert [path.name for path in (folder / "dist").iterdir()] == ["precious"]
    assert not list(folder.glob("build/*/go"))


def test_a_wrong_checksum(server: GoServer, archive: bytes, tmp_path: Path) -> None:
    server.files[FILE] = changed = archive[:-1] + bytes([archive[-1] ^ 1])
    digests = [hashlib.sha256(each).hexdigest() for each in (archive, changed)]
    _refused(_build(server, tmp_path), 5, *digests, folder=tmp_path)
    assert not [path for path in (tmp_path / "cache/downloads").iterdir() if not path.name.endswith(".lock")]


def test_a_download_that_breaks_off_and_goes_on_the_next_time(server: GoServer, archive: bytes, tmp_path: Path) -> None:
    server.truncate = len(archive) // 10
    _refused(_build(server, tmp_path), 13, "bytes came in 3 tries", folder=tmp_path)
    server.truncate = None
    server.asked.clear()
    again = _build(server, tmp_path)
    # It goes on where it ended, builds the toy, and fails on the toy's binaries, which are none.
    assert again.code == 8, again.err
    ranges = [asked for path, asked in server.asked if FILE in path]
    assert ranges and all(asked.startswith("bytes=") for asked in ranges)


def test_an_archive_that_would_leave_its_folder(server: GoServer, archive: bytes, tmp_path: Path) -> None:
    more = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=more, mode="w:gz") as new:
        for member in old:
            new.addfile(member, old.extractfile(member))
        new.addfile(tarfile.TarInfo("go/../../evil"))
    server.index.clear()
    server.add(f"go{VERSION}", FILE, more.getvalue())
    _refused(_build(server, tmp_path), 12, "go/../../evil", folder=tmp_path)
    assert not list(tmp_path.rglob("evil"))


def test_an_unknown_version_and_a_server_that_is_down(server: GoServer, tmp_path: Path) -> None:
    server.status = 503
    _refused(_build(server, tmp_path), 4, "503", folder=tmp_path)
    server.status = 0
    _refused(_build(server, tmp_path, go="1.99.7"), 3, "1.99.7", "1.99.1", folder=tmp_path)
