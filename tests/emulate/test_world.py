"""No path leads out of the world, whatever the guest writes and whatever links there are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gobuild.emulate.darwin.errno import ELOOP, ENOENT, ENOTDIR, EROFS, DarwinError
from gobuild.emulate.kernel.world import Mount, Place, World

SECRET = "outside"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A root with links, a scratch folder at /tmp, and a secret beside both."""
    (tmp_path / "secret").write_text(SECRET)
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    (root / "a/b").mkdir(parents=True)
    scratch.mkdir()
    (root / "file").write_text("inside")
    for folder in (root, scratch):
        (folder / "up").symlink_to("../secret")
        (folder / "host").symlink_to(tmp_path / "secret")
        (folder / "parent").symlink_to("..")
        (folder / "loop").symlink_to("loop")
    (root / "a/b/home").symlink_to("/a")
    (root / "a/file").symlink_to("b/../../file")
    mounts = [
        (at, os.open(host, os.O_PATH), writable) for at, host, writable in (("/", root, False), ("/tmp", scratch, True))
    ]
    yield World(Mount(at=at, descriptor=descriptor, writable=writable) for at, descriptor, writable in mounts)
    for _, descriptor, _ in mounts:
        os.close(descriptor)


def content(place: Place) -> str:
    with place, os.fdopen(place.open(os.O_RDONLY)) as file:
        return file.read()


@pytest.mark.parametrize(
    "path",
    ["../secret", "/../secret", "/tmp/../../secret", "up", "/tmp/up", "host", "/tmp/host", "parent/secret",
     "/tmp/parent/secret", "a/../../secret", "a/b/home/../../secret", "/tmp/parent/parent/secret"],
)  # fmt: skip
def test_no_way_out(world: World, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        content(world.resolve(path.encode(), "/"))


@pytest.mark.parametrize("path", ["a/b/home/b/../file", "../../file", "/tmp/../file", "/tmp/parent/a/file", "a/file"])
def test_links_and_dots_within(world: World, path: str) -> None:
    assert content(world.resolve(path.encode(), "/")) == "inside"


@pytest.mark.parametrize(
    ("path", "number"), [("loop", ELOOP), ("", ENOENT), ("file/..", None), ("file/", ENOTDIR), ("a" * 300, None)]
)
def test_errors(world: World, path: str, number: int | None) -> None:
    with pytest.raises((DarwinError, OSError)) as caught:
        content(world.resolve(path.encode(), "/"))
    if number:
        assert isinstance(caught.value, DarwinError)
        assert caught.value.number == number


def test_only_scratch_is_writable(world: World) -> None:
    with world.resolve(b"/tmp/new", "/") as place:
        place.require_writable()
    for path in (b"/new", b"/tmp/../new", b"/tmp/parent/new"):
        with world.resolve(path, "/") as place, pytest.raises(DarwinError) as caught:
            place.require_writable()
        assert caught.value.number == EROFS


def test_a_folder_that_becomes_a_link_leads_nowhere(world: World, tmp_path: Path) -> None:
    """The last name is opened without following: a link put there after the walk is no way out either."""
    with world.resolve(b"/tmp/late", "/") as place:
        (tmp_path / "scratch/late").symlink_to(tmp_path / "secret")
        with pytest.raises(OSError, match="symbolic links"):
            place.open(os.O_RDONLY)
