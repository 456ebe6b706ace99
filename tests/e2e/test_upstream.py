"""Unpatched, unsuffixed, upstream's flags: the very binaries that the Go team signs and ships; and what patches change.

The `reproduced` fixture is a whole `invoke reproduce`, from source to the report; the archive that it made is looked at
further here.
"""

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from compare_fixtures import overlaid, tar
from e2e.builds import Build
from e2e.plain_macho import stripped
from inside import Done, gobuild

from gobuild.core.goversion import Target

pytestmark = pytest.mark.slow

DARWIN = Target(goos="darwin", goarch="arm64")
TOOLS = "pkg/tool/darwin_arm64"
REPORTS = Path(__file__).resolve().parents[1] / "reports"

CONSTANT = {
    "src/runtime/proc.go": ("const forcePreemptNS = 10 * 1000 * 1000", "const forcePreemptNS = 11 * 1000 * 1000")
}


UUID, SCANNERS = "link-uuid", "scanner-version"
LINKER = {
    "addbuildinfo": (UUID,), "(*Link).hostlink": (UUID,), "init": (UUID, SCANNERS), "Main": (UUID, SCANNERS),
    "(*Link).buildinfo": (SCANNERS,), "forScanners": (SCANNERS,),
}  # fmt: skip
"""The functions of cmd/link that stock patches change, and by which."""

COMMAND = ("envcmd.MkEnv", "envcmd.releaseVersion", "toolchain.Select")
"""Those of cmd/go that scanner-version changes."""


@pytest.fixture(scope="module")
def official(get_wheel: Callable[[str, Target], Path]) -> Path:
    """The official release, as its wheel has it."""
    return get_wheel("1.22.10", DARWIN)


@pytest.fixture(scope="module")
def rebuilt(reproduced: Build) -> Path:
    """The archive that `invoke reproduce` has made of the source."""
    (archive,) = reproduced.work.glob("*/go/pkg/distpack/go1.22.10.darwin-arm64.tar.gz")
    return archive


def _told(folder: Path, *words: str) -> tuple[Done, dict[str, object]]:
    done = gobuild(folder, *words, "--report", "report.json")
    return done, json.loads((folder / "report.json").read_text())


def test_the_release_is_reproduced(reproduced: Build) -> None:
    assert "9568 entries equal, 19 of them executables" in reproduced.output
    assert not reproduced.dist.exists()
    report = json.loads((reproduced.folder / "report.json").read_text())
    # The report of another day's run that stands in the repository says the same of every executable.
    kept = json.loads((REPORTS / "reproduce-go1.22.10-darwin-arm64.json").read_text())
    for key in ("ok", "release", "target", "counts", "executables", "failed", "skipped"):
        assert report[key] == kept[key]


def test_it_is_compared_without_being_built_again(rebuilt: Path, official: Path, tmp_path: Path) -> None:
    done, report = _told(tmp_path, "reproduce", "--ours", str(rebuilt), "--against", str(official))
    assert done.code == 0, done.err
    assert report["ok"]


def test_a_plain_reader_says_the_same(rebuilt: Path, darwin_wheel: Path) -> None:
    """gobuild's own comparison may not be its only judge."""
    ours = {}
    with tarfile.open(rebuilt) as archive:
        for member in archive:
            name = member.name.removeprefix("go/")
            if member.isfile() and name.startswith(("bin/", "pkg/tool/")):
                content = archive.extractfile(member)
                assert content
                ours[name] = content.read()
    assert len(ours) == 19
    assert [name for name in ours if stripped(ours[name]) != stripped((darwin_wheel / name).read_bytes())] == []


def test_nothing_of_ours_is_in_it(rebuilt: Path) -> None:
    with tarfile.open(rebuilt) as archive:
        version = archive.extractfile("go/VERSION")
        assert version
        assert version.read() == b"go1.22.10\ntime 2024-11-27T20:27:20Z\n"
        assert "go/gobuild.json" not in archive.getnames()


def test_one_changed_constant_of_the_runtime_is_red(
    rebuilt: Path, official: Path, go_wheel: Path, tmp_path: Path
) -> None:
    """Two of the toolchain's executables, made again from a runtime with another time slice, stand in the archive."""
    changed = {
        name: overlaid(go_wheel, tmp_path / package.rpartition("/")[2], package, CONSTANT)
        for name, package in (("bin/gofmt", "cmd/gofmt"), (f"{TOOLS}/pack", "cmd/pack"))
    }
    ours = tmp_path / "go1.22.10.darwin-arm64.tar"
    with tarfile.open(rebuilt) as archive, tarfile.open(ours, "w") as out:
        for member in archive:
            program = changed.get(member.name.removeprefix("go/"))
            if program is None:
                out.addfile(member, archive.extractfile(member) if member.isfile() else None)
                continue
            member.size = program.stat().st_size
            with program.open("rb") as content:
                out.addfile(member, content)
    done, report = _told(tmp_path, "reproduce", "--ours", str(ours), "--against", str(official))
    assert done.code == 8
    assert "is not reproduced: 2 entries are not the official one's" in done.err
    assert "2 executables: runtime.retake (code) differs; no patch explains it" in done.err
    radius = report["radius"]
    assert isinstance(radius, dict)
    found = {
        each["name"]: [(inside["kind"], inside["name"], inside["by"]) for inside in each["differences"]]
        for each in radius["executables"]
    }
    assert found == {name: [("code", "runtime.retake", [])] for name in ("bin/gofmt", f"{TOOLS}/pack")}


def test_the_blast_radius_of_the_stock_patches(darwin: Build, official: Path, tmp_path: Path) -> None:
    archive = darwin.one("go*.darwin-arm64.tar.gz")
    done, report = _told(tmp_path, "blast-radius", "--ours", str(archive), "--against", str(official))
    assert done.code == 0, done.err
    executables = report["executables"]
    assert isinstance(executables, list)
    assert len(executables) == 19
    code = {
        (each["name"].rpartition("/")[2], inside["name"], *inside["by"])
        for each in executables
        for inside in each["differences"]
        if inside["kind"] in ("code", "added", "removed", "types")
    }
    assert code == {
        *(("link", f"cmd/link/internal/ld.{name}", *by) for name, by in LINKER.items()),
        *(("go", f"cmd/go/internal/{name}", SCANNERS) for name in COMMAND),
        *((name, "go/build.defaultContext", "the profile") for name in ("go", "compile", "doc", "vet")),
    }


def test_without_its_manifest_nothing_is_explained(darwin: Build, official: Path, tmp_path: Path) -> None:
    wanted = ("VERSION", "bin/go", f"{TOOLS}/link")
    with tarfile.open(darwin.one("go*.darwin-arm64.tar.gz")) as archive:
        found = ((member, archive.extractfile(member)) for member in archive)
        patched = {member.name.removeprefix("go/"): content.read() for member, content in found if content}
    with zipfile.ZipFile(official) as pack:
        theirs = {name: pack.read(f"go/{name}") for name in wanted}
    ours = tar(tmp_path / "ours.tar", {name: patched[name] for name in wanted})
    against = tar(tmp_path / "official.tar", theirs)
    done, report = _told(tmp_path, "blast-radius", "--ours", str(ours), "--against", str(against))
    assert done.code == 8
    assert "bin/go: cmd/go/internal/envcmd.MkEnv (code) differs; no patch explains it" in done.err
    executables = report["executables"]
    assert isinstance(executables, list)
    unexplained = {inside["name"] for each in executables for inside in each["differences"] if not inside["by"]}
    patched_code = {f"cmd/link/internal/ld.{name}" for name in LINKER} | {f"cmd/go/internal/{name}" for name in COMMAND}
    assert unexplained == {"go/build.defaultContext", "load commands", *patched_code}
