"""Unpatched, unsuffixed, upstream's flags: the very binaries that the Go team signs and ships."""

import tarfile
from pathlib import Path

import pytest
from e2e.builds import Build
from e2e.plain_macho import stripped

pytestmark = pytest.mark.slow


def test_all_nineteen_binaries_equal_the_official_ones(upstream: Build, darwin_wheel: Path) -> None:
    ours = {}
    with tarfile.open(upstream.one("go1.22.10.darwin-arm64.tar.gz")) as tar:
        for member in tar:
            name = member.name.removeprefix("go/")
            if member.isfile() and name.startswith(("bin/", "pkg/tool/")):
                content = tar.extractfile(member)
                assert content
                ours[name] = content.read()
    official = {
        path.relative_to(darwin_wheel).as_posix(): path.read_bytes()
        for folder in ("bin", "pkg/tool")
        for path in (darwin_wheel / folder).rglob("*")
        if path.is_file()
    }
    assert ours.keys() == official.keys()
    assert len(ours) == 19
    differing = [name for name in ours if stripped(ours[name]) != stripped(official[name])]
    assert differing == []
    # The comparison can fail: one bit of one official binary is enough.
    go = bytearray(official["bin/go"])
    go[len(go) // 2] ^= 1
    assert stripped(bytes(go)) != stripped(ours["bin/go"])


def test_nothing_of_ours_is_in_it(upstream: Build) -> None:
    with tarfile.open(upstream.one("go1.22.10.darwin-arm64.tar.gz")) as tar:
        version = tar.extractfile("go/VERSION")
        assert version
        assert version.read() == b"go1.22.10\ntime 2024-11-27T20:27:20Z\n"
        assert "go/gobuild.json" not in tar.getnames()
