"""Downloads that go wrong, as a user sees them: a server of ours on this machine, the real program, one message."""

import hashlib
import io
import os
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from goserver import GoServer, serving, source_archive

VERSION = "1.99.1"
FILE = f"go{VERSION}.src.tar.gz"


@pytest.fixture
def server() -> Iterator[GoServer]:
    """A go.dev with nothing in it."""
    with serving() as started:
        yield started


@pytest.fixture
def archive(toy_tree: Path, tmp_path: Path) -> bytes:
    """A source archive of a Go that does not exist, so that no pinned digest knows it."""
    (toy_tree / "VERSION").write_text(f"go{VERSION}\ntime 2024-11-27T20:27:20Z\n")
    return source_archive(toy_tree, tmp_path / FILE)


def _with(archive: bytes, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """The archive with one more entry."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=whole, mode="w:gz") as new:
        for member in old:
            new.addfile(member, old.extractfile(member))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        new.addfile(info)
    return whole.getvalue()


def _build(server: GoServer, folder: Path, go: str = "1.99") -> "subprocess.CompletedProcess[str]":
    bootstrap = folder / "bootstrap/bin/go"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text("#!/bin/sh\necho go version go1.99.0 linux/amd64\n")
    bootstrap.chmod(0o755)
    (folder / "dist").mkdir(exist_ok=True)
    (folder / "dist/precious").write_text("kept")
    words = ["--go", go, "--source", "archive", "--series", "none", "--suffix", "toy", "--bootstrap", "bootstrap"]
    return subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "gobuild",
            "build",
            *words,
            "--index-url",
            server.url,
            "--cache",
            "cache",
        ],
        cwd=folder,
        env=dict(os.environ) | {"COLUMNS": "160", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _refused(done: "subprocess.CompletedProcess[str]", code: int, *words: str, folder: Path) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "\n  try: " in done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert [path.name for path in (folder / "dist").iterdir()] == ["precious"]
    assert not list(folder.glob("build/*/go"))


def test_a_wrong_checksum(server: GoServer, archive: bytes, tmp_path: Path) -> None:
    server.add(f"go{VERSION}", FILE, archive)
    changed = archive[:-1] + bytes([archive[-1] ^ 1])
    server.files[FILE] = changed
    digests = [hashlib.sha256(each).hexdigest() for each in (archive, changed)]
    _refused(_build(server, tmp_path), 5, *digests, folder=tmp_path)
    assert not [path for path in (tmp_path / "cache/downloads").iterdir() if not path.name.endswith(".lock")]


def test_a_download_that_breaks_off_and_goes_on_the_next_time(server: GoServer, archive: bytes, tmp_path: Path) -> None:
    server.add(f"go{VERSION}", FILE, archive)
    server.truncate = len(archive) // 10
    _refused(_build(server, tmp_path), 13, "bytes came in 3 tries", folder=tmp_path)
    server.truncate = None
    server.asked.clear()
    again = _build(server, tmp_path)
    # It goes on where it ended, builds the toy, and fails on the toy's binaries, which are none.
    assert again.returncode == 8, again.stderr
    ranges = [asked for path, asked in server.asked if FILE in path]
    assert ranges
    assert all(asked.startswith("bytes=") for asked in ranges)


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("go/../../evil", tarfile.REGTYPE, ""),
        ("/evil", tarfile.REGTYPE, ""),
        ("go/evil", tarfile.SYMTYPE, "/etc/passwd"),
        ("go/evil", tarfile.LNKTYPE, "../../evil"),
    ],
)
def test_an_archive_that_would_leave_its_folder(
    server: GoServer, archive: bytes, tmp_path: Path, name: str, kind: bytes, link: str
) -> None:
    server.add(f"go{VERSION}", FILE, _with(archive, name, kind, link))
    _refused(_build(server, tmp_path), 12, name, folder=tmp_path)
    assert not list(tmp_path.rglob("evil"))


def test_an_unknown_version(server: GoServer, archive: bytes, tmp_path: Path) -> None:
    server.add(f"go{VERSION}", FILE, archive)
    _refused(_build(server, tmp_path, go="1.99.7"), 3, "1.99.7", "1.99.1", folder=tmp_path)


def test_a_server_that_is_down(server: GoServer, tmp_path: Path) -> None:
    server.status = 503
    _refused(_build(server, tmp_path), 4, "503", folder=tmp_path)
