"""reproduce and blast-radius: what a user types, with real executables in small toolchains, and a toy make.bash."""

import json
from pathlib import Path

import pytest
from compare_fixtures import Files, tar, toolchain, wheel
from goserver import serving
from inside import Done, gobuild
from matrix_fixtures import distpack
from patch_fixtures import entry, write
from toy_manifest import toy_manifest, toy_patch

from gobuild.binary.unsigned import unsigned
from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.patch import load_folder

TOOLS = "pkg/tool/darwin_arm64"
CLOSED = ("--index-url", "http://127.0.0.1:9/dl/")
HOST = Target.host()


@pytest.fixture
def official(darwin_wheel: Path) -> Files:
    return toolchain(darwin_wheel, "pack", "buildid")


@pytest.fixture
def rebuilt(official: Files) -> Files:
    """What our own build makes of the same source: the same without Apple's signature."""
    return {name: unsigned(data) if name.startswith(("bin/", TOOLS)) else data for name, data in official.items()}


def manifest(digest: str = "", **more: object) -> bytes:
    document = toy_manifest("go1.22.10-acme.p1", "darwin/arm64")
    document["patches"] = [
        toy_patch("ours") | {"files": ["src/runtime/mgc.go", "go.env"], "sha256": digest},
        toy_patch("idle", "nothing to do") | {"files": ["README"], "sha256": ""},
    ]
    document["profile"]["cgo_enabled"] = None
    for key, value in more.items():
        document[key] = document[key] | value if isinstance(value, dict) else value
    return json.dumps(document).encode()


def test_green(tmp_path: Path, official: Files, rebuilt: Files) -> None:
    tar(tmp_path / "ours.tar.gz", rebuilt)
    wheel(tmp_path / "official.whl", official)
    words = ("reproduce", "--ours", "ours.tar.gz", "--against", "official.whl", "--report", "report.json")
    done = gobuild(tmp_path, *words)
    assert (done.code, "error" in done.err) == (0, False)
    wrote, *_, verdict = done.out.splitlines()
    assert (wrote, verdict.endswith(" entries equal, 3 of them executables")) == ("wrote report.json", True)
    assert verdict.startswith("✓ Go 1.22.10 for darwin/arm64 is reproduced: ")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ok"], report["release"], report["target"]) == (True, "1.22.10", "darwin/arm64")
    assert [each["how"] for each in report["executables"]] == ["without the signature"] * 3
    assert str(tmp_path) not in json.dumps(report)
    told = gobuild(tmp_path, *words[:-2], "--json")
    assert json.loads(told.out) == report


def test_red(tmp_path: Path, official: Files, rebuilt: Files) -> None:
    """A bit of a function of one executable, and a text."""
    name = f"{TOOLS}/pack"
    signed = official[name]
    middle = signed.index(b"\xff Go build ID") + 0x4000
    code = signed[:middle] + bytes([signed[middle] ^ 0x20]) + signed[middle + 1 :]
    ours = tar(tmp_path / "ours.tar", rebuilt | {name: code, "go.env": b"GOTOOLCHAIN=local\n"})
    theirs = wheel(tmp_path / "official.whl", official)
    words = ("reproduce", "--ours", str(ours), "--against", str(theirs), "--report", "report.json")
    done = gobuild(tmp_path, *words)
    assert done.code == 8
    assert "Go 1.22.10 for darwin/arm64 is not reproduced: 2 entries are not the official one's" in done.err
    assert "go.env: size 18, official 505" in done.err
    assert f"{name}: " in done.err
    assert "(code) differs; no patch explains it" in done.err
    assert "Traceback" not in done.err
    report = json.loads((tmp_path / "report.json").read_text())
    (program,) = report["radius"]["executables"]
    assert [(each["kind"], each["by"]) for each in program["differences"]] == [("code", [])]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"VERSION": b"go1.22.10-acme1\n"}, "it is no rebuild of a release as it is"),
        ({"VERSION": b"devel go1.28-abc\n"}, "which is no release"),
        ({"VERSION": b"go1.22.9\n"}, "is go1.22.10, and ours.tar is go1.22.9"),
        ({"bin/go": b"#!/bin/sh\n"}, "for nothing known, not for darwin/arm64"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, official: Files, rebuilt: Files, changed: Files, said: str
) -> None:
    tar(tmp_path / "ours.tar", rebuilt | changed)
    tar(tmp_path / "official.tar", official)
    done = gobuild(tmp_path, "reproduce", "--ours", "ours.tar", "--against", "official.tar")
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "build").exists()


def test_words_that_cannot_be_used(tmp_path: Path, official: Files) -> None:
    tar(tmp_path / "official.tar", official)
    for words, said in (
        (("reproduce", "--ours", "nowhere"), "there is no nowhere"),
        (("reproduce", "--against", "nowhere"), "there is no nowhere"),
        (("reproduce", "--ours", "official.tar", "--report", "."), "is a folder"),
        (
            ("reproduce", "--ours", "official.tar", "--against", "official.tar", "--target", "linux/amd64"),
            "not for linux",
        ),
        (("blast-radius",), "needs a toolchain"),
        (("blast-radius", "--ours", "official.tar", "--target", "linux/amd64"), "for darwin/arm64 only, not for linux"),
    ):
        done = gobuild(tmp_path, *words)
        assert done.code == 2, done.err
        assert said in done.err


def test_no_official_release_to_be_had(tmp_path: Path, official: Files) -> None:
    tar(tmp_path / "ours.tar", official)
    done = gobuild(tmp_path, "reproduce", "--ours", "ours.tar", "--offline", "--cache", "empty", *CLOSED)
    assert done.code == 4
    assert "the official Go 1.22.10 for darwin/arm64 is nowhere to be had" in done.err


def test_the_official_archive_is_fetched_and_checked(
    tmp_path: Path, official: Files, rebuilt: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar(tmp_path / "ours.tar", rebuilt)
    content = tar(tmp_path / "official.tar.gz", official).read_bytes()
    name = "go1.22.10.darwin-arm64.tar.gz"
    with serving() as server:
        server.add("go1.22.10", name, content, kind="archive", os="darwin", arch="arm64")
        flags = {"--ours": "ours.tar", "--cache": "cache", "--source": "archive", "--index-url": server.url}
        words = ("reproduce", *(word for flag in flags.items() for word in flag))
        # The real 1.22.10 is pinned, and this is another.
        done = gobuild(tmp_path, *words)
        assert done.code == 5, done.err
        monkeypatch.setattr("gobuild.core.resources.table", lambda _name: {})
        done = gobuild(tmp_path, *words, "--report", "report.json")
        assert done.code == 0, done.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["official_source"]["origin"] == "127.0.0.1"
    assert report["official_source"]["digest"] == f"sha256:{files.sha256(tmp_path / 'official.tar.gz')}"


DIFF = """\
--- a/go.env
+++ b/go.env
@@ -1 +1 @@
-GOTOOLCHAIN=auto
+GOTOOLCHAIN=local
--- /dev/null
+++ b/src/runtime/mgc.go
@@ -0,0 +1 @@
+package runtime
"""

PATCHED = {"go.env": b"GOTOOLCHAIN=local\n", "src/runtime/mgc.go": b"package runtime\n"}


def blast(folder: Path, ours: Files, official: Files, *words: str, modes: dict[str, int] | None = None) -> Done:
    """blast-radius of one archive against another."""
    tar(folder / "ours.tar", ours, modes=modes)
    tar(folder / "official.tar", official)
    return gobuild(folder, "blast-radius", "--ours", "ours.tar", "--against", "official.tar", *words)


def series(folder: Path, diff: str = DIFF) -> str:
    """A series with the patch `ours`; returns the patch's digest."""
    (patch,) = load_folder(write(folder, {"ours.patch": diff, "series.toml": entry("ours")})).patches
    return patch.sha256


def test_blast_radius_explains_by_the_patch(tmp_path: Path, official: Files, rebuilt: Files) -> None:
    official["go.env"] = b"GOTOOLCHAIN=auto\n"
    digest = series(tmp_path / "series")
    ours = rebuilt | PATCHED | {"gobuild.json": manifest(digest)}
    done = blast(tmp_path, ours, official, "--series", "series")
    assert done.code == 0, done.err
    told = json.loads(blast(tmp_path, ours, official, "--series", "series", "--json").out)
    by = {each["name"]: each["by"] for each in told["files"]}
    assert by == {"go.env": ["ours"], "gobuild.json": ["gobuild's manifest"], "src/runtime/mgc.go": ["ours"]}
    assert (told["ok"], told["same_executables"], told["not_proven"]) == (True, 3, {})


@pytest.mark.parametrize(
    ("changed", "diff", "why"),
    [
        ({"go.env": b"GOTOOLCHAIN=local\nGOPROXY=https://evil.example\n"}, DIFF, "it makes another go.env of official"),
        ({"src/runtime/mgc.go": b"package runtime\nfunc init() {}\n"}, DIFF, "it makes another src/runtime/mgc.go of"),
        ({}, DIFF.replace("=local", "=path"), "the series series has no such patch of this content"),
        ({}, "", "the series patches has no such patch"),
    ],
    ids=["more in a file", "more in a new file", "another patch of the name", "no patch at hand"],
)
def test_a_claim_explains_nothing(
    tmp_path: Path, official: Files, rebuilt: Files, changed: Files, diff: str, why: str
) -> None:
    official["go.env"] = b"GOTOOLCHAIN=auto\n"
    digest = series(tmp_path / "claimed")
    words: tuple[str, ...] = ("--series", "series") if diff else ()
    if diff:
        series(tmp_path / "series", diff)
    ours = rebuilt | PATCHED | changed | {"gobuild.json": manifest(digest)}
    done = blast(tmp_path, ours, official, "--report", "r.json", *words)
    assert done.code == 8
    assert f"the patch ours is not proven: {why}" in " ".join(done.err.split())
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["not_proven"].keys() == {"ours"}
    unexplained = {each["name"] for each in told["files"] if not each["by"]}
    assert unexplained == (changed.keys() or PATCHED.keys())


def test_a_profile_explains_what_it_writes(tmp_path: Path, official: Files, rebuilt: Files) -> None:
    """What the manifest says of CGO_ENABLED counts only if cmd/dist wrote it down, and nothing else beside it."""
    name = "src/go/build/zcgo.go"
    official[name] = b'package build\n\nconst defaultCGO_ENABLED = ""\n'
    static = official[name].replace(b'""', b'"0"')
    profile = manifest(profile={"cgo_enabled": "0"}, patches=[])
    for content, code in ((static, 0), (static + b"func init() {}\n", 8)):
        done = blast(tmp_path, rebuilt | {name: content, "gobuild.json": profile}, official)
        assert done.code == code, done.err


@pytest.mark.parametrize(
    "changed",
    [
        {"src/runtime/mgc.go": b"package runtime\n"},
        {"VERSION": b"go1.22.10-acme1\ntime 2020-01-01T00:00:00Z\n"},
        {"pkg/tool/darwin_arm64/more": b"#!/bin/sh\n"},
    ],
    ids=["another file", "more in VERSION than the stamp", "a file more"],
)
def test_blast_radius_fails_on_what_nothing_explains(
    tmp_path: Path, official: Files, rebuilt: Files, changed: Files
) -> None:
    official["src/runtime/mgc.go"] = rebuilt["src/runtime/mgc.go"] = b"package runtime // ours\n"
    done = blast(tmp_path, rebuilt | {"gobuild.json": manifest()} | changed, official)
    assert done.code == 8
    assert "1 difference that no patch explains" in done.err
    assert next(iter(changed)) in done.err


def test_a_mode_is_explained_by_nothing(tmp_path: Path, official: Files, rebuilt: Files) -> None:
    modes = {"bin/go": 0o777, "go.env": 0o666}
    done = blast(tmp_path, rebuilt | {"gobuild.json": manifest()}, official, modes=modes)
    assert done.code == 8
    assert "2 differences that no patch explains" in done.err
    assert "bin/go: mode 0777, official 0755" in done.err


def test_a_manifest_that_is_none(tmp_path: Path, rebuilt: Files) -> None:
    done = blast(tmp_path, rebuilt | {"gobuild.json": b"{}"}, rebuilt)
    assert done.code == 8
    assert "no manifest of gobuild's" in done.err


PACKING = """\
mkdir -p ../pkg/tool/$host
cp ../pack.py ../pkg/tool/$host/distpack
for tool in asm compile link; do cp ../program ../pkg/tool/$target/$tool; done
cp ../program ../bin/$target/go; cp ../program ../bin/$target/gofmt
chmod 755 ../bin/$target/* ../pkg/tool/$target/* ../pkg/tool/$host/*
"""

TEXTS = ("LICENSE", "VERSION", "go.env", "src/runtime/mfinal.go")
PROGRAMS = ("bin/go", "bin/gofmt", *(f"{TOOLS}/{name}" for name in ("asm", "compile", "link")))


@pytest.fixture
def toy(toy_tree: Path, rebuilt: Files) -> Path:
    """The toy, which "builds" a real executable and packs it as distpack would."""
    make = toy_tree / "src/make.bash"
    make.write_text(make.read_text() + PACKING)
    (toy_tree / "program").write_bytes(rebuilt["bin/go"])
    packed = {name: name.replace("bin/", "bin/darwin_arm64/") for name in (*TEXTS, *PROGRAMS)}
    (toy_tree / "pack.py").write_text(distpack(packed))
    (toy_tree / "LICENSE").write_text("Copyright The Go Authors\n")
    return toy_tree


@pytest.mark.skipif(Target.parse("darwin/arm64") == HOST, reason="the toy cross-builds")
@pytest.mark.parametrize("changed", [False, True])
def test_from_source_to_the_verdict(tmp_path: Path, toy: Path, official: Files, go_wheel: Path, changed: bool) -> None:
    """The whole task, with a source of one's own, which may call itself as upstream's only to be compared."""
    texts = {name: (toy / name).read_bytes() for name in TEXTS}
    against = wheel(tmp_path / "official.whl", texts | dict.fromkeys(PROGRAMS, official["bin/go"]))
    if changed:
        (toy / "src/runtime/mfinal.go").write_text("package runtime // changed\n")
    words = ("--source", str(toy), "--go", "1.22.10", "--bootstrap", str(go_wheel), "--work", "work")
    done = gobuild(tmp_path, "reproduce", *words, "--against", str(against), "--report", "report.json", "--cache", "c")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["source"]["kind"] == "local"
    assert report["ok"] is not changed
    assert done.code == (8 if changed else 0), done.err
    assert ("src/runtime/mfinal.go: size" in done.err) is changed
    # Nothing is delivered, and nothing can be packed from it.
    assert not (tmp_path / "dist").exists()
    if changed:
        return
    packing = gobuild(tmp_path, "package", *words, "--suffix", "acme1", "--series", "none", "--cache", "c")
    assert packing.code == 9, packing.err
