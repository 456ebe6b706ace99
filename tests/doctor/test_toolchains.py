"""The doctor on real toolchains: environments with one thing wrong each, files that do not belong, old releases."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from doctor_toys import examined, fake, finding, only, room, says
from e2e.builds import Build
from goserver import serving
from inside import gobuild
from needs import needs

from gobuild import doctor
from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.core.settings import Settings
from gobuild.doctor import Diagnosis, Grade, examine, integrity, latency, preload, switching, toolchain
from gobuild.doctor.model import BINARY
from gobuild.fetch import index

UNKNOWN = "go: unknown GOEXPERIMENT gpu"

PREPARED: tuple[tuple[str, dict[str, str], str, Grade, str], ...] = (
    ("nothing set", {}, latency.OWN, Grade.OK, "5 runs"),
    ("the article's cure", {"GOEXPERIMENT": "nogpu"}, "GOEXPERIMENT", Grade.FAIL, UNKNOWN),
    ("one of two unknown", {"GOEXPERIMENT": "loopvar,nogpu"}, "GOEXPERIMENT", Grade.FAIL, f"nogpu: {UNKNOWN}"),
    ("a known experiment", {"GOEXPERIMENT": "loopvar"}, "GOEXPERIMENT", Grade.WARN, "this toolchain knows it"),
    ("an unknown flag", {"GOFLAGS": "-nogpu"}, "GOFLAGS", Grade.FAIL, "unknown flag -nogpu"),
    ("a wrapper of tools", {"GOFLAGS": "-toolexec=/x/y"}, "GOFLAGS", Grade.WARN, "through that program"),
    ("another GOROOT", {"GOROOT": "{old}"}, "GOROOT", Grade.FAIL, "(go1.21.13), and this go's own is"),
    ("its own GOROOT by a link", {"GOROOT": "{link}"}, "GOROOT", Grade.OK, "which is this go's own"),
    ("another toolchain", {"GOTOOLCHAIN": "go1.99.0"}, "GOTOOLCHAIN", Grade.WARN, "go1.99.0 is used in place of"),
    ("an unknown setting", {"GODEBUG": "nogpu=1,gctrace=0"}, "GODEBUG", Grade.WARN, "knows no nogpu,"),
    ("a known setting", {"GODEBUG": "asyncpreemptoff=1"}, "GODEBUG", Grade.OK, "settings this toolchain knows"),
    ("a preloaded library", {"LD_PRELOAD": "{library}"}, "LD_PRELOAD", Grade.WARN, "2 functions run when it is loaded"),
    ("a library that is gone", {"LD_PRELOAD": "/no/such.so"}, "LD_PRELOAD", Grade.WARN, "No such file"),
    ("a library by its name", {"LD_PRELOAD": "libnone.so"}, "LD_PRELOAD", Grade.WARN, "in folders of its own"),
)
"""A name, the variables, the finding that must tell, its grade and words."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "c.c").write_text("__attribute__((constructor)) static void hello(void) {}\n")
    subprocess.run([needs("gcc", "cc"), "-shared", "-fPIC", "-o", folder / "c.so", folder / "c.c"], check=True)
    return folder / "c.so"


def _judge(
    root: Path, folder: Path, row: tuple[str, dict[str, str], str, Grade, str], fill: Mapping[str, Path]
) -> None:
    called, variables, name, grade, words = row
    env = room(folder, **{key: value.format(**fill) for key, value in variables.items()})
    found = examined(root, folder, env)
    says(finding(found, name), grade, words)
    if UNKNOWN in words:
        says(finding(found, name), grade, "-> unset GOEXPERIMENT (go env -u GOEXPERIMENT")
        says(finding(found, "GOEXPERIMENT alone"), Grade.FAIL, f"exit code 2: {UNKNOWN}")
        says(finding(found, latency.CLEAN), Grade.OK)
        says(finding(found, latency.OWN), Grade.FAIL)
    if grade is not Grade.OK:
        # Nothing else is blamed: one setting, and what follows from it.
        blamed = {each.name.removesuffix(" alone") for each in found.findings if each.grade is Grade.FAIL}
        assert blamed <= {name, latency.OWN}, f"{called}: {blamed}"


@pytest.fixture
def each(
    get_goroot: Callable[[str, Target], Path], library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], None]:
    """Judges the first environment with all topics, the others with those that an environment can change."""

    def judge(root: Path) -> None:
        fill = {"old": get_goroot("1.21.13", Target.host()), "library": library, "link": tmp_path / "link"}
        fill["link"].symlink_to(root)
        for number, row in enumerate(PREPARED):
            _judge(root, tmp_path / str(number), row, fill)
            only(monkeypatch, "start latency", "environment")
        monkeypatch.undo()

    return judge


@pytest.mark.slow
def test_an_upstream_toolchain_in_each_environment(go_wheel: Path, each: Callable[[Path], None]) -> None:
    each(go_wheel)


@pytest.mark.slow
def test_a_patched_toolchain_in_each_environment(native: Build, each: Callable[[Path], None], tmp_path: Path) -> None:
    (root,) = native.work.glob("*/go")
    each(root)
    env = room(tmp_path / "auto", GOTOOLCHAIN="auto")
    archive = native.one(f"go*.{Target.host().dashed}.tar.gz")
    found = examined(root, tmp_path / "auto", env, against=archive)
    says(finding(found, "GOTOOLCHAIN"), Grade.WARN, "silently replaces the patched toolchain")
    says(finding(found, "files"), Grade.OK)
    says(finding(found, "identity"), Grade.OK, "4 applied")


def _snapshot(*folders: Path) -> dict[str, str]:
    found = {}
    for path in [each for folder in folders for each in folder.rglob("*")]:
        told = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = f"{told.st_mode:o} {told.st_mtime_ns} {content}"
    return found


@pytest.mark.slow
def test_nothing_is_written_anywhere(
    get_goroot: Callable[[str, Target], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go 1.27, which counts its runs in the home folder unless it is told not to, in a folder that asks for newer."""
    root = get_goroot("1.27.3", Target.host())
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp))
    monkeypatch.setattr("tempfile.tempdir", None)
    own = [tmp_path / name for name in ("home", "cwd", "cache")]
    places = [*own, tmp, root / "bin", root / "pkg", root / "src/cmd"]
    for place in own:
        place.mkdir()
    (tmp_path / "cwd/go.mod").write_text("module x\n\ngo 1.99\n\ntoolchain go1.99.1\n")
    env = room(tmp_path, GOCACHE=str(tmp_path / "cache/go"), GOTOOLCHAIN="auto", GOPATH=str(tmp_path / "cache/gopath"))
    before = _snapshot(*places)
    found = examined(root, tmp_path, env, cwd=tmp_path / "cwd")
    assert _snapshot(*places) == before
    assert finding(found, latency.OWN).grade is Grade.OK
    says(finding(found, "go.mod"), Grade.WARN, "go switches to that toolchain")


def test_the_users_file_of_go_env_w_is_heard(go_wheel: Path, tmp_path: Path) -> None:
    env = room(tmp_path)
    files.write(tmp_path / "home/.config/go/env", "GOEXPERIMENT=nogpu\nGOTOOLCHAIN=local\n")
    found = examined(go_wheel, tmp_path, env)
    says(finding(found, "GOEXPERIMENT"), Grade.FAIL, "set in ~/.config/go/env by go env -w")
    says(finding(found, latency.CLEAN), Grade.OK)
    says(finding(found, latency.OWN), Grade.FAIL, "or the file of go env -w")
    says(finding(found, "GOTOOLCHAIN"), Grade.OK, "go env -w wins")


@pytest.fixture(scope="module")
def overlaid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a small toolchain, and beside it what is left of that after an unpack over an old one."""
    folder = tmp_path_factory.mktemp("overlaid")
    root = folder / "go"
    for name in ("VERSION", *(f"src/runtime/f{each}.go" for each in range(40))):
        files.write(root / name, "go1.22.10\ntime 2024-11-27T20:27:20Z\n" if name == "VERSION" else f"package {name}\n")
        os.utime(root / name, (1732739240, 1732739240))
    with tarfile.open(folder / "go.tar.gz", "w:gz") as tar:
        tar.add(root, "go")
    return folder


def _files(root: Path, folder: Path, against: Path | None) -> doctor.Finding:
    go = root / "bin/go"
    if not go.exists():
        files.write(go, "#!/bin/sh\necho go version go1.22.10 linux/amd64\n")
        go.chmod(0o755)
        os.utime(go, (1732739240, 1732739240))
    return finding(examined(root, folder, room(folder), against=against), "files")


def test_files_of_an_older_release_are_found(overlaid: Path, tmp_path: Path) -> None:
    root = shutil.copytree(overlaid / "go", tmp_path / "go")
    assert _files(root, tmp_path, None).grade is Grade.OK
    (root / "src/runtime/old.go").write_text("package runtime\n")
    says(_files(root, tmp_path, None), Grade.WARN, "src/runtime/old.go")
    (root / "src/runtime/f1.go").unlink()
    os.truncate(root / "src/runtime/f2.go", 3)
    instead = examined(root / "bin/go", tmp_path, room(tmp_path))
    assert finding(instead, "verify", BINARY.name).grade is Grade.FAIL  # a script in place of a GOROOT's own go
    by_content = _files(root, tmp_path, overlaid / "go.tar.gz")
    changed = (
        "1 changed: src/runtime/f2.go",
        "1 missing: src/runtime/f1.go",
        "2 left over: bin/go, src/runtime/old.go",
    )
    says(by_content, Grade.FAIL, *changed)
    (root / "VERSION").write_text("go1.22.11\n")
    says(_files(root, tmp_path, overlaid / "go.tar.gz"), Grade.FAIL, "is of go1.22.10, and this GOROOT of go1.22.11")
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes((overlaid / "go.tar.gz").read_bytes()[:500])
    assert _files(root, tmp_path, damaged).grade is Grade.FAIL  # asked for, and not done


def test_a_module_is_compared_as_gos_command_unpacks_it(tmp_path: Path) -> None:
    root, top = tmp_path / "go", "golang.org/toolchain@v0.0.1-go1.22.10.linux-amd64"
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as pack:
        for name in ("VERSION", "go.mod", "src/_go.mod", "src/a.go", "misc/kept_in_the_archive_alone.go"):
            path = root / name.replace("src/_go.mod", "src/go.mod")
            files.write(path, "go1.22.10\n")
            if not name.startswith("misc"):
                pack.write(path, f"{top}/{name}")
        pack.writestr(f"{top}/bin/go", "")
    verdict = _files(root, tmp_path, tmp_path / "m.zip")
    assert "1 changed: bin/go" in verdict.seen
    assert "missing" not in verdict.seen
    assert "left over" not in verdict.seen


@pytest.mark.parametrize(
    ("stamp", "newest", "grades"),
    [
        ("go1.27.3", ["1.27.3", "1.26.6"], (Grade.OK, Grade.OK)),
        ("go1.26.4-acme1", ["1.27.3", "1.26.6"], (Grade.WARN, Grade.OK)),
        ("go1.22.12", ["1.27.3", "1.26.6", "1.22.12"], (Grade.OK, Grade.WARN)),
        ("go1.28rc1", ["1.27.3", "1.26.6"], (Grade.OK, Grade.OK)),
        ("devel go1.28", ["1.27.3"], (Grade.SKIPPED,)),
        ("go1.27.3", [], (Grade.SKIPPED,)),
    ],
)
def test_how_far_behind(stamp: str, newest: list[str], grades: tuple[Grade, ...]) -> None:
    found = list(toolchain.diagnose_releases({"stamp": stamp, "source": "a table", "newest": newest}))
    assert tuple(each.grade for each in found) == grades, found


def _switching(
    stamp: str,
    env: str = "",
    file: str = "",
    root: str = "",
    patches: tuple[str, ...] = (),
    *,
    allowed: bool = False,
    **lines: str,
) -> dict[str, Grade]:
    places = [
        {"place": place, "value": value}
        for place, value in (("the environment", env), ("go env -w", file), ("GOROOT/go.env", root))
    ]
    files = [{"path": "/x/go.mod", **lines}] if lines else []
    part = {"places": places, "files": files, "allowed": allowed}
    return {each.name: each.grade for each in switching.judge_switching(part, stamp, patches)}


def test_who_wins_and_what_switches() -> None:
    acme = "go1.22.10-acme1"
    assert _switching(acme, root="local")["GOTOOLCHAIN"] is Grade.OK
    assert _switching(acme, root="auto")["GOTOOLCHAIN"] is Grade.WARN
    assert _switching("go1.22.10", root="auto")["GOTOOLCHAIN"] is Grade.OK
    assert _switching(acme, env="local", file="auto", root="auto")["GOTOOLCHAIN"] is Grade.OK
    assert _switching(acme, file="go1.23.1", root="local")["GOTOOLCHAIN"] is Grade.WARN
    assert _switching(acme, env=f"{acme}+auto")["GOTOOLCHAIN"] is Grade.WARN
    assert _switching(acme, env="local", go="1.22.10")["go.mod"] is Grade.OK
    assert _switching(acme, env="local", go="1.23")["go.mod"] is Grade.FAIL
    assert _switching(acme, env="auto", go="1.23")["go.mod"] is Grade.WARN
    assert _switching(acme, env="auto", go="1.21", toolchain="go1.23.1")["go.mod"] is Grade.WARN
    assert _switching(acme, env="local", go="1.21", toolchain="go1.23.1")["go.mod"] is Grade.OK
    assert _switching("go1.28rc1", env="local", go="1.28")["go.mod"] is Grade.OK
    assert _switching("", env="local", go="1.28")["go.mod"] is Grade.SKIPPED


def test_a_guarded_toolchain_does_not_switch() -> None:
    acme, guard = "go1.24.11-acme1", ("toolchain-guard",)
    assert _switching(acme, env="go1.25.1", patches=guard)["GOTOOLCHAIN"] is Grade.FAIL
    assert _switching(acme, env="go1.25.1", patches=guard, allowed=True)["GOTOOLCHAIN"] is Grade.WARN
    assert _switching(acme, env="auto", patches=guard, go="1.26") == {"GOTOOLCHAIN": Grade.OK, "go.mod": Grade.FAIL}
    assert _switching(acme, env="auto", go="1.26") == {"GOTOOLCHAIN": Grade.WARN, "go.mod": Grade.WARN}


def test_a_release_s_name_is_this_toolchain_where_the_go_command_takes_it_so() -> None:
    for patches, grade in (((), Grade.WARN), (("scanner-version",), Grade.OK)):
        assert _switching("go1.24.11-acme1", env="go1.24.11", patches=patches)["GOTOOLCHAIN"] is grade


GOTOOLCHAINS = (
    "local", "auto", "path", "local+auto", "local+path", "go1.22.10", "go1.22.10+auto", "go1.22.10-acme1",
    "1.25.1", "latest", "default", "LOCAL", "auto+x", "auto+path", "path+auto", "local+", "go1.22.10+x", "bash", "go2",
    "gccgo-go1.22", "go1.x", "go1.22.10+", " local", "stable",
)  # fmt: skip


@pytest.mark.parametrize("value", GOTOOLCHAINS)
def test_gotoolchain_is_taken_where_go_takes_it(go_wheel: Path, tmp_path: Path, value: str) -> None:
    """Real go, with no proxy: a valid one that is not there ends with another message."""
    env = room(tmp_path, GOTOOLCHAIN=value, GOPROXY="off", GOENV="off")
    done = subprocess.run([go_wheel / "bin/go", "version"], env=env, capture_output=True, text=True, check=False)
    refused = "invalid GOTOOLCHAIN" in done.stderr
    assert (_switching("go1.22.10", env=value)["GOTOOLCHAIN"] is Grade.FAIL) is refused, done.stderr


def test_a_twin_on_path_is_found_and_not_run(go_wheel: Path, tmp_path: Path) -> None:
    for name, compiler in (("one", b"1"), ("two", b"2"), ("same", b"1")):
        for file, content in (("bin/go", (go_wheel / "bin/go").read_bytes()), ("pkg/tool/x/compile", compiler)):
            files.write(tmp_path / name / file, content)  # nobody may execute it
    env = room(tmp_path, PATH=f"{tmp_path}/one/bin:{tmp_path}/two/bin:{tmp_path}/same/bin")
    found = examined(tmp_path / "one/bin/go", tmp_path, env)
    says(finding(found, "GOCACHE"), Grade.WARN, f"{tmp_path}/two/bin/go says go1.22.10 as well")


def test_mixed_architectures_are_told() -> None:
    mixed = {"linux/amd64": ["bin/go", "pkg/tool/linux_amd64/asm"], "darwin/arm64": ["pkg/tool/linux_amd64/link"]}
    verdict = toolchain._machine_finding(mixed)
    says(verdict, Grade.FAIL, "in a folder of another machine: pkg/tool/linux_amd64/link")


def test_libraries_of_macos_are_read(darwin_wheel: Path, tmp_path: Path) -> None:
    """Google's signed gofmt stands in for a library."""
    library, cut = str(darwin_wheel / "bin/gofmt"), tmp_path / "cut.dylib"
    cut.write_bytes(Path(library).read_bytes()[:100])
    told, other = preload.read_preloaded({"DYLD_INSERT_LIBRARIES": f"{library}:{cut}"})
    assert told["parts"] == [{"machine": "arm64", "signed": True, "constructors": 0}]
    assert "cannot be read" in other["problem"]


def test_a_flipped_byte_is_a_failed_check(go_wheel: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    data = bytearray((go_wheel / "bin/gofmt").read_bytes())
    data[len(data) // 2] ^= 1
    go.write_bytes(data)
    go.chmod(0o755)
    found: Diagnosis = examined(go, tmp_path, room(tmp_path))
    assert [each.name for each in found.findings if each.group == BINARY.name and each.grade is Grade.FAIL]


def test_a_distributions_go_is_not_called_damaged() -> None:
    """Debian's 1.19.8, as its checks ended; the same of a toolchain that gobuild built is a failure."""
    failed = {"subject": "bin/go", "verdict": "FAILED", "seen": "CGO_ENABLED=1", "expected": "CGO_ENABLED=0"}
    part = {
        "problem": "",
        "by gobuild": False,
        "checks": [failed | {"name": "settings"}, failed | {"name": "build ID"}],
    }
    assert [each.grade for each in integrity.diagnose_checks(part)] == [Grade.WARN] * 2
    assert [each.grade for each in integrity.diagnose_checks(part | {"by gobuild": True})] == [Grade.FAIL] * 2
    alone = part | {"checks": [failed | {"name": "build ID"}]}
    assert [each.grade for each in integrity.diagnose_checks(alone)] == [Grade.FAIL]
    cut = part | {"checks": [failed | {"name": "settings"}, failed | {"name": "format", "seen": "cut"}]}
    assert [each.grade for each in integrity.diagnose_checks(cut)] == [Grade.WARN, Grade.FAIL]


def test_the_command_line(go_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GOEXPERIMENT", "nogpu")
    here = ("doctor", "--path", str(go_wheel), "--offline", "--json")
    made = gobuild(tmp_path, *here, "--html", "p.html", "--bundle", "b.zip")
    assert (made.code, json.loads(made.out)["worst"]) == (20, "FAIL"), made.err
    assert "GOEXPERIMENT" in made.err
    assert (tmp_path / "p.html").read_text().startswith("<!DOCTYPE html>")
    again = gobuild(tmp_path, "doctor", "--from", "b.zip")
    assert (again.code, UNKNOWN in again.out) == (20, True)
    monkeypatch.delenv("GOEXPERIMENT")
    well = gobuild(tmp_path, *here)
    assert well.code == 0, well.err
    (tmp_path / "well.json").write_text(well.out)
    # A release that is behind is a WARN.
    assert gobuild(tmp_path, "doctor", "--from", "well.json", "--strict").code == 20
    for words in (
        ("--from", "b.zip", "--path", "x"),
        ("--from", "b.zip", "--html", "./b.zip"),
        ("--bundle", "no/such/b.zip"),
        ("--bundle", "both", "--html", "both"),
    ):
        refused = gobuild(tmp_path, "doctor", *words)
        assert (refused.code, refused.err.startswith("error: ")) == (2, True), refused.err
    # What cannot be written in the end is shown all the same.
    monkeypatch.setattr("os.access", lambda *_: True)
    lost = gobuild(tmp_path, "doctor", "--from", "b.zip", "--html", "/proc/p.html")
    assert (lost.code, UNKNOWN in lost.out) == (17, True)


def test_other_tasks_do_not_import_the_doctor() -> None:
    ask = "import sys, gobuild.tasks; print([each for each in sys.modules if each.startswith('gobuild.doctor')])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_index_is_asked_or_its_copy_read_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "ASK", 0.5)
    cache, go = tmp_path / "cache", fake(tmp_path / "go", "prints its environment")
    (go.parent.parent / "VERSION").write_text("go1.22.10\n")

    def seen(url: str, *, offline: bool = False) -> doctor.Finding:
        settings = Settings(index_url=url, cache=cache, dist=tmp_path / "dist", offline=offline)
        return finding(examine(go, settings=settings, environment=room(tmp_path), cwd=tmp_path), "patch release")

    with serving() as server:
        for version in ("go1.22.10", "go1.22.11", "go1.27.3"):
            server.add(version, f"{version}.src.tar.gz", b"")
        url = server.url
        says(seen(url), Grade.WARN, "1 patch release behind 1.22.11", "asked now")
        assert not cache.exists()
        index.fetch_index(url, origin="go.dev", cache=cache)
        server.delay = 30
        says(seen(url), Grade.WARN, "the cache's copy of the index, of 20", "no answer within 0.5 s")
    says(seen(url, offline=True), Grade.WARN, "(offline, as asked)")


def test_certificates_that_are_not_there_hide_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests raises a plain OSError for them; the releases were "all of it SKIPPED", and the last line OK."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/ca.pem")
    go = fake(tmp_path / "go", "answers")
    (go.parent.parent / "VERSION").write_text("go1.22.10\n")
    settings = Settings(index_url="https://127.0.0.1:1/dl/", cache=tmp_path / "cache", dist=tmp_path / "dist")
    verdict = finding(examine(go, settings=settings, environment=room(tmp_path), cwd=tmp_path), "gets fixes")
    says(verdict, Grade.WARN, "gobuild's own table")
    assert "/no/such/ca.pem" in verdict.seen or "certificate" in verdict.seen
