"""A matrix on this machine: real children that build the toy, planned, run beside each other, ended, told of."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import inside
import matrix_fixtures
import pytest
from e2e.builds import processes_in, program
from matrix_fixtures import until

from gobuild import fetch, matrix
from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, ResolveError, ToolMissing
from gobuild.core.settings import Settings
from gobuild.matrix import capacity, cluster, jobs
from gobuild.matrix.capacity import Capacity
from gobuild.pipeline.session import Session

GIB = 1 << 30


@pytest.fixture
def variables(tmp_path: Path, toy_tree: Path, bootstrap: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """A user's environment, in which the toy is what is built."""
    said = matrix_fixtures.words(tmp_path, matrix_fixtures.whole(toy_tree), bootstrap)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    return said


def _settings(variables: Mapping[str, str]) -> Settings:
    return Settings.of({name.removeprefix(jobs.VARIABLES).lower(): value for name, value in variables.items()})


def _before(toy_tree: Path, script: str) -> None:
    """Makes the toy's make.bash begin with this."""
    make = toy_tree / "src/make.bash"
    make.write_text(make.read_text().replace("set -e\n", f"set -e\n{script}\n", 1))


def test_what_was_asked_twice_is_one_job(tmp_path: Path, variables: Mapping[str, str]) -> None:
    words = ("matrix", "--go", "1.22,1.22.10", "--target", "darwin/arm64,linux/arm64", "--jobs", "2")
    done = inside.gobuild(tmp_path, *words)
    assert done.code == 0, done.out + done.err
    assert "2 jobs" in done.out
    assert "2 at a time" in done.out
    assert "linux-arm64 | [" in done.err, "lines have their job's name in front"
    stamps = {path.name.split(".darwin")[0].split(".linux")[0] for path in (tmp_path / "dist").glob("*.gobuild.json")}
    assert len(stamps) == 1
    assert len(list((tmp_path / "dist").glob("*.gobuild.json"))) == 2
    assert len(list((tmp_path / "work").glob("*.log"))) == 2
    again = inside.gobuild(tmp_path, *words)
    assert again.code == 0, again.out + again.err
    assert again.err.count("from the store in") == 2


def test_one_that_fails_stops_no_other(tmp_path: Path, variables: Mapping[str, str], toy_tree: Path) -> None:
    _before(toy_tree, '[ $GOOS = linux ] && { echo "the linker is out of sorts"; exit 2; }')
    done = inside.gobuild(
        tmp_path, "matrix", "--go", "1.22", "--target", "darwin/amd64,linux/arm64,darwin/arm64", "--jobs", "1"
    )
    assert done.code == 19
    assert "1 of 3 jobs failed" in done.err
    assert "the linker is out of sorts" in done.err
    (log,) = (tmp_path / "work").glob("*.linux-arm64.log")
    assert str(log) in done.err
    assert "the linker is out of sorts" in log.read_text()
    assert len(list((tmp_path / "dist").glob("*.gobuild.json"))) == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--go", "1.22,1.99"), 3),
        (("--target", "darwin/arm64,plan9/mips"), 2),
        (("--target", "darwin/arm64,linux/amd64", "--sign", "ad-hoc"), 2),
        (("--jobs", "-1"), 2),
        (("--cluster", "tcp://127.0.0.1:9"), 2),
        (("--cluster", "tcp://me:hunter2@127.0.0.1:9"), 2),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is(
    tmp_path: Path, variables: Mapping[str, str], words: tuple[str, ...], code: int
) -> None:
    go = () if "--go" in words else ("--go", "1.22")
    done = inside.gobuild(tmp_path, "matrix", *go, *words)
    assert done.code == code, done.err
    assert "hunter2" not in done.err
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "dist").exists()


FOR_EVER = "echo Building Go for ever.; sleep 321"


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_however_it_ends_no_build_outlives_it(
    tmp_path: Path, variables: Mapping[str, str], toy_tree: Path, sign: signal.Signals, code: int
) -> None:
    _before(toy_tree, FOR_EVER)
    words = [program("gobuild"), "matrix", "--go", "1.22", "--target", "darwin/arm64,darwin/amd64", "--jobs", "2"]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until(lambda: len([words for words in processes_in(tmp_path / "work") if "sleep" in words]) == 2)
        process.send_signal(sign)
        assert process.wait(60) == code
    finally:
        process.kill()
        process.communicate()
    until(lambda: not processes_in(tmp_path / "work"))
    until(lambda: not list((tmp_path / "work").glob("*/go")))
    assert not list((tmp_path / "dist").glob("*.json"))


def test_no_secret_is_in_a_childs_words_or_travels(tmp_path: Path, variables: Mapping[str, str]) -> None:
    settings = replace(
        _settings(variables), index_url="https://me:hunter2@go.example/dl/", shared_store="shared", sign="key.pem"
    )
    job = jobs.MatrixJob(name="x", settings=settings, log=tmp_path / "x.log")
    words, environment = jobs.child_command(
        jobs.to_environment(settings), {"PATH": "/bin", "INVOKE_GOBUILD_EXTRA": "not asked for"}
    )
    assert "hunter2" not in " ".join(words)
    assert environment["INVOKE_GOBUILD_INDEX_URL"] == settings.index_url
    assert environment["INVOKE_GOBUILD_EXTRA"] == ""
    assert environment["INVOKE_GOBUILD_OFFLINE"] == "False"
    sent = cluster._sent(job.settings)
    assert "hunter2" not in str(sent)
    assert not {name for name in sent if "SIGN" in name or "STORE" in name} - {"INVOKE_GOBUILD_SHARED_STORE"}
    assert Path(sent["INVOKE_GOBUILD_SHARED_STORE"]).is_absolute()
    assert cluster._key(job, {}) == cluster._key(replace(job, log=Path("other")), {})
    assert cluster._key(job, {}) != cluster._key(job, {"gobuild": "another"})


def test_a_child_gets_the_very_settings(variables: Mapping[str, str]) -> None:
    settings = replace(_settings(variables), fresh=True, extra="osinit-trace")
    assert _settings(jobs.to_environment(settings)) == settings


def test_a_password_in_the_source_does_not_travel(variables: Mapping[str, str]) -> None:
    settings = replace(
        _settings(variables), shared_store="/shared", source="git+https://me:hunter2@git.example/go@main"
    )
    with pytest.raises(ConfigError, match="source holds credentials") as caught:
        matrix.require_usable("tcp://127.0.0.1:9", settings)
    assert "hunter2" not in str(caught.value)


def test_a_cluster_needs_distributed(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ToolMissing, match=r"gobuild\[cluster\]"):
        matrix.require_usable("tcp://127.0.0.1:9", replace(_settings(variables), shared_store="/shared"))


def test_the_index_is_asked_once_a_line(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[fetch.Origin]] = []
    reach = fetch.first_reachable

    def count(origins: Sequence[fetch.Origin], **options: bool) -> fetch.SelectedOrigin:
        asked.append(origins)
        return reach(origins, **options)

    monkeypatch.setattr(fetch, "first_reachable", count)
    session = Session(settings=_settings(variables), console=Console(stream=io.StringIO()))
    planned = matrix.plan_jobs(session, ["1.22"], ["darwin/arm64", "linux/amd64", "linux/arm64"])
    assert (len(asked), len(planned)) == (1, 3)
    with pytest.raises(ResolveError):
        matrix.plan_jobs(session, ["1.22", "1.23"], ["darwin/arm64"])


@pytest.mark.parametrize(
    ("cores", "memory", "disk", "builds"),
    [
        (2, 8 * GIB, 90 * GIB, 1),  # one build keeps two cores busy
        (16, 64 * GIB, 90 * GIB, 8),
        (16, 8 * GIB, 90 * GIB, 3),
        (16, 64 * GIB, 5 * GIB, 3),
        (1, GIB // 2, GIB // 2, 1),  # it will fail by itself, and say why
    ],
)
def test_how_many_builds_fit(cores: int, memory: int, disk: int, builds: int) -> None:
    assert Capacity(cores=cores, memory=memory, disk=disk).builds == builds


GROUPS = {
    "none": ({}, 64, 16),
    "version 2, of the container": ({"memory.max": "1000\n", "cpu.max": "250000 100000\n"}, 1000, 2),
    "version 2, around it": ({"a/memory.max": "max\n", "memory.max": "2000\n", "a/cpu.max": "max 100000\n"}, 2000, 16),
    "version 1": (
        {
            "memory/a/memory.limit_in_bytes": "3000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cpu/a/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_quota_us": "50000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
        3000,
        1,
    ),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_a_containers_limits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    limits, memory, cores = GROUPS[kind]
    system = {
        "meminfo": "MemTotal: 99 kB\nMemAvailable: 64 kB\n",
        "self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/a\n0::/a\n",
    }
    for name, text in {**{f"proc/{name}": text for name, text in system.items()}, **limits}.items():
        files.write(tmp_path / name, text)
    monkeypatch.setattr(capacity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(capacity, "GROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    found = capacity.measure_capacity(tmp_path / "work")
    assert (found.memory, found.cores) == (memory if limits else 64 << 10, cores) and found.disk > 0


def test_a_terminal_has_a_living_line_for_each() -> None:
    stream = io.StringIO()
    console = Console(stream=stream, width=80)
    console.rich._force_terminal = True
    with console.board(["one", "two"]) as note:
        note("one", "[bold]build\x1b[2J")
        note("one", "built", ended=True)
    shown = stream.getvalue()
    assert all(word in shown for word in ("one", "waits", "built")) and "\x1b[2J" not in shown


def test_a_child_imports_nothing_from_the_folder_it_is_started_in(tmp_path: Path) -> None:
    (tmp_path / "difflib.py").write_text("raise SystemExit('imported from the current folder')")
    words, _ = jobs.child_command({}, {})
    done = subprocess.run(
        [*words[:-1], "--version"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout[:8], done.stderr) == (0, "gobuild ", "")
