"""Values that go refuses: the real go command is asked first, and the doctor has to say the same of each."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from doctor_toys import examined, finding, only, room, says
from patch_fixtures import link_tree, write

from gobuild.core.goversion import Target
from gobuild.doctor import Diagnosis, Grade, latency
from gobuild.publish.sumdb.note import NoteSigner

Told = Callable[..., Diagnosis]
KEY = str(NoteSigner(name="acme.example/sumdb", seed=bytes(range(32))).verifier)
BUILD, GET, INSTALL = ("build", "-o", "m", "."), ("mod", "download", "x.example/y@v1.0.0"), ("install", ".")

REFUSED = (
    ("GO111MODULE", "of", BUILD, "unknown environment setting GO111MODULE"),
    ("GOBIN", "rel", INSTALL, "GOBIN must be an absolute path"),
    ("GOCACHE", "rel", BUILD, "GOCACHE is not an absolute path"),
    ("GOCACHE", "off", BUILD, "build cache is"),
    ("GOOS", "macos", BUILD, "unsupported GOOS/GOARCH pair macos/"),
    ("GOARCH", "x86_64", BUILD, "unsupported GOOS/GOARCH pair"),
    ("GOPROXY", "direkt", GET, "invalid proxy URL missing scheme"),
    ("GOPROXY", "off,/srv/proxy", (), ""),  # go comes to the second only after the first has been asked
    ("GOPROXY", "/srv/proxy", GET, "invalid proxy URL missing scheme"),
    ("GOPROXY", "ftp://x", GET, "invalid proxy URL scheme"),
    ("GOSUMDB", "on", GET, "GOSUMDB"),
    ("GOTMPDIR", "/no/such/folder", BUILD, "creating work dir"),
    ("GOWORK", "rel", BUILD, "invalid GOWORK"),
    ("GOWORK", "/no/such/go.work", BUILD, "reading go.work"),
)
TAKEN = (
    ("GO111MODULE", "auto", ("list", ".")),
    ("GOOS", "darwin", ()),  # the whole standard library would be compiled
    ("GOWORK", "off", ("list", ".")),
    ("GOWORK", "auto", ("list", ".")),
    ("GOPROXY", "https://a.example|direct", ()),
    ("GOSUMDB", "sum.golang.org https://s.example", ()),
    ("GOSUMDB", "off", ()),
)
VALUES = (*REFUSED, *((*each, "") for each in TAKEN))
"""A variable and its value; what a real go is asked under it, and what that says: "" for nothing."""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    texts = {"go.mod": "module m\n\ngo 1.20\n", "m.go": "package main\n\nfunc main() {}\n"}
    return write(tmp_path / "module", texts)


def asked(root: Path, module: Path, env: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    env = {"GOENV": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "GOPROXY": "off", "CGO_ENABLED": "0"} | env
    return subprocess.run([root / "bin/go", *words], env=env, cwd=module, capture_output=True, text=True, check=False)


@pytest.fixture
def told(go_wheel: Path, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the doctor says of an environment, for a go in the module's folder."""
    only(monkeypatch, "environment")
    return lambda root=go_wheel, **env: examined(root, tmp_path, room(tmp_path, **env), cwd=module)


@pytest.mark.parametrize("row", VALUES, ids=lambda row: f"{row[0]}={row[1]}")
def test_the_doctor_says_what_go_says(
    go_wheel: Path, module: Path, tmp_path: Path, told: Told, row: tuple[str, str, tuple[str, ...], str]
) -> None:
    name, value, words, answer = row
    refused = row in REFUSED
    if words:
        served = {"GOPROXY": module.parent.as_uri()} if name == "GOSUMDB" else {}
        if served:
            texts = {"v1.0.0.info": '{"Version": "v1.0.0"}', "v1.0.0.mod": "module x.example/y\n"}
            write(module.parent / "x.example/y/@v", texts)
        env = room(tmp_path, GOPATH=str(tmp_path / "gopath"), GOCACHE=str(tmp_path / "cache")) | served | {name: value}
        done = asked(go_wheel, module, env, *words)
        assert (done.returncode != 0, answer in done.stderr) == (refused, True), done
    found = told(**{name: value})
    if refused:
        says(finding(found, f"value of {name}"), Grade.FAIL, repr(value), f"unset {name}")
    else:
        assert finding(found, "other settings").grade is Grade.OK
        assert not [each for each in found.findings if each.grade is Grade.FAIL]


def test_a_proxy_without_a_scheme_is_https(go_wheel: Path, module: Path, tmp_path: Path, told: Told) -> None:
    done = asked(go_wheel, module, room(tmp_path, GOPATH=str(tmp_path / "g"), GOPROXY="localhost:1"), *GET)
    assert "https://localhost:1/" in done.stderr, done
    found = told(GOPROXY="localhost:1")
    says(finding(found, "value of GOPROXY"), Grade.WARN, "go asks https://localhost:1")


def test_by_go_env_w_it_counts_as_well(tmp_path: Path, told: Told) -> None:
    file = tmp_path / "env"
    file.write_text("GOSUMDB=on\nGO111MODULE=of\n")
    found = told(GOENV=str(file))
    failed = {each.name for each in found.findings if each.grade is Grade.FAIL}
    assert failed == {"value of GOSUMDB", "value of GO111MODULE"}


@pytest.mark.parametrize(
    ("release", "grade"), [("1.22.10", Grade.WARN), pytest.param("1.26.3", Grade.OK, marks=pytest.mark.slow)]
)
def test_a_database_of_ones_own_and_a_go_that_believes_any_record(
    get_goroot: Callable[[str, Target], Path], told: Told, release: str, grade: Grade
) -> None:
    root = get_goroot(release, Target.host())
    words = ("CVE-2026-42501", "Go 1.25.10 and 1.26.3") if grade is Grade.WARN else ()
    says(finding(told(root, GOSUMDB=KEY), "GOSUMDB"), grade, *words)
    for fine in ("sum.golang.org", "off"):
        assert not [each for each in told(root, GOSUMDB=fine).findings if each.name == "GOSUMDB"]


def test_patches_of_the_toolchain_itself_count(go_wheel: Path, tmp_path: Path, told: Told) -> None:
    root = link_tree(go_wheel, tmp_path / "go")
    patches = [{"name": name, "state": "applied"} for name in ("toolchain-guard", "sumdb-check")]

    def verdicts(stamp: str, **env: str) -> dict[str, Grade]:
        (root / "gobuild.json").write_text(json.dumps({"schema": 1, "stamp": stamp, "patches": patches}))
        env |= {"GOTOOLCHAIN": "go1.99.0", "GOSUMDB": KEY}
        return {each.name: each.grade for each in told(root, **env).findings}

    mine, other = verdicts("go1.22.10"), verdicts("go1.22.10-other")
    assert (mine["GOTOOLCHAIN"], mine["GOSUMDB"]) == (Grade.FAIL, Grade.OK)
    assert (other["GOTOOLCHAIN"], other["GOSUMDB"]) == (Grade.WARN, Grade.WARN)
    assert verdicts("go1.22.10", GOBUILD_ALLOW_SWITCH="1")["GOTOOLCHAIN"] is Grade.WARN


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("GOPATH", "rel", "go: GOPATH entry is relative"), ("GOMEMLIMIT", "1XB", "fatal error: malformed GOMEMLIMIT")],
)
def test_a_message_is_quoted_by_the_line_that_says_it(
    go_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    only(monkeypatch, "start latency")
    found = examined(go_wheel, tmp_path, room(tmp_path, **{name: value}))
    says(finding(found, latency.OWN), Grade.FAIL, words, "see the rows of single settings")
    says(finding(found, f"{name} alone"), Grade.FAIL)
