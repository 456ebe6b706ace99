"""The ways in: our tasks.py, somebody's own, and the console script; settings by flag, variable and file."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.builds import CHECKOUT, captured, program

ALL = "from gobuild.tasks import ns\n"
BESIDE = """\
from invoke import Collection, task
import gobuild.tasks

@task
def mine(c):
    print("mine")

@task
def library(c):
    gobuild.build(gobuild.Session(settings=gobuild.Settings(target="plan9/mips")))

ns = Collection(mine, library, gobuild.tasks)
gobuild.tasks.guard(ns)
"""


def _run(folder: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = dict(os.environ) | {"NO_COLOR": "1", "COLUMNS": "160"} | variables
    return captured(program(words[0]), *words[1:], cwd=folder, env=env, ok=False, timeout=60)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tasks are all gobuild's."""
    (tmp_path / "tasks.py").write_text(ALL)
    return tmp_path


PATCHES = ("patches.status", "patches.import", "patches.export", "patches.refresh", "patches.new")
STORE = ("store.list", "store.verify", "store.prune")
TASKS = ("build", "clean", "identify", "package", "plan", "verify", *PATCHES, *STORE)


@pytest.mark.parametrize(
    ("program", "tasks", "shown"),
    [
        ("invoke", None, (*TASKS, "lint", "test", "types", "bench")),
        ("invoke", ALL, TASKS),
        ("invoke", BESIDE, (*(f"gobuild.{each}" for each in TASKS), "mine")),
        ("gobuild", "", TASKS),
    ],
)
def test_the_tasks_are_there_in_every_door(
    tmp_path: Path, program: str, tasks: str | None, shown: tuple[str, ...]
) -> None:
    (tmp_path / "tasks.py").write_text(tasks or "")
    listed = _run(CHECKOUT if tasks is None else tmp_path, program, "--list").stdout
    assert set(shown) <= set(re.findall(r"^  (\S+)", listed, re.MULTILINE))


def test_started_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    line = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" plan'
    found = captured("bash", "-c", line, program("gobuild"), cwd=tmp_path, ok=False, timeout=60)
    assert found.returncode == 2
    assert found.stderr == "error: the folder that this was started in is gone\n  try: cd into one that is there\n"


def test_every_setting_is_a_flag_with_help_and_a_task_may_have_flags_of_its_own(project: Path) -> None:
    built, status = (_run(project, "invoke", "--help", task).stdout for task in ("build", "patches.status"))
    for flag in ("--go=STRING", "--target=STRING", "--index-url=STRING", "--offline "):
        assert flag in built
    for flag in ("--json ", "--html=STRING", "--extra=STRING", "--go=STRING", "1.21..1.27"):
        assert flag in status
    assert "--html" not in built


@pytest.mark.parametrize("program", ["invoke", "gobuild"])
@pytest.mark.parametrize(
    ("task", "key", "word", "code", "said"),
    [
        ("patches.status", "SERIES", "nowhere", 6, "no series at nowhere"),
        ("plan", "TARGET", "plan9/mips", 2, "no target 'plan9/mips'"),
        ("plan", "OFLINE", "1", 2, "did you mean INVOKE_GOBUILD_OFFLINE?"),
    ],
)
def test_a_setting_from_the_environment(
    project: Path, program: str, task: str, key: str, word: str, code: int, said: str
) -> None:
    done = _run(project, program, task, **{f"INVOKE_GOBUILD_{key}": word})
    assert (done.returncode, said in done.stderr) == (code, True)
    assert done.stderr.startswith("error: ") and "\n  try: " in done.stderr and "Traceback" not in done.stderr


def test_the_group_beside_tasks_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(BESIDE)
    (tmp_path / "invoke.yaml").write_text("gobuild:\n  series: nowhere\n")
    done = _run(tmp_path, "invoke", "gobuild.patches.status")
    assert (done.returncode, "no series at nowhere" in done.stderr) == (6, True)
    assert _run(tmp_path, "invoke", "mine").stdout == "mine\n"
    done = _run(tmp_path, "invoke", "library")
    assert done.returncode == 2 and done.stderr.startswith("error: no target"), done.stderr


@pytest.mark.parametrize(("program", "file"), [("invoke", "invoke.yaml"), ("gobuild", "gobuild.yaml")])
def test_a_setting_from_a_file_and_the_flag_over_it(project: Path, program: str, file: str) -> None:
    (project / file).write_text("gobuild:\n  target: plan9/mips\n")
    assert "no target 'plan9/mips'" in _run(project, program, "plan").stderr
    assert "no target 'os2/vax'" in _run(project, program, "plan", "--target", "os2/vax").stderr


@pytest.mark.parametrize(("line", "said"), [("sufix: acme1", "did you mean suffix?"), ("go: 1.20", "quotes")])
def test_an_unknown_key_and_a_version_that_yaml_took_for_a_number(project: Path, line: str, said: str) -> None:
    (project / "invoke.yaml").write_text(f"gobuild:\n  {line}\n")
    done = _run(project, "invoke", "plan")
    assert (done.returncode, said in done.stderr) == (2, True)


@pytest.mark.parametrize("program", ["invoke", "gobuild"])
@pytest.mark.parametrize(
    "words",
    [
        ("publish", "--to", "site", "--sign-key", ""),
        ("publish", "--to", "site", "--sumdb-key", ""),
        ("publish", "--to", "site", "--base-url", ""),
        ("publish", "--to", "site", "--from", ""),
        ("plan", "--go", ""),
        ("plan", "--target", " "),
        ("matrix", "--go", ""),
        ("identify", ""),
        ("verify", ""),
    ],
)
def test_an_empty_word_is_refused(project: Path, program: str, words: tuple[str, ...]) -> None:
    done = _run(project, program, *words)
    assert (done.returncode, "is an empty word" in done.stderr) == (2, True)
    assert sorted(each.name for each in project.iterdir()) == ["tasks.py"]


def test_help_behind_a_task_of_a_plain_invoke_says_where_it_belongs(project: Path) -> None:
    for words in (("verify", "--help"), ("verify-release", "-h"), ("patches.new", "--help")):
        done = _run(project, "invoke", *words)
        assert (done.returncode, "gobuild TASK --help" in done.stderr) == (2, True), done.stderr
    assert "Usage: inv" in _run(project, "invoke", "--help", "verify").stdout


def test_no_suffix_is_a_word(project: Path) -> None:
    words = ("plan", "--suffix", "", "--target", "plan9/mips")
    assert "no target 'plan9/mips'" in _run(project, "gobuild", *words).stderr


def test_a_yes_in_a_file_is_taken_back_by_a_flag(project: Path) -> None:
    (project / "gobuild.yaml").write_text("gobuild:\n  offline: true\n  index_url: http://127.0.0.1:9/\n")
    words = ("plan", "--source", "archive", "--cache", "c")
    asked_nobody, told = _run(project, "gobuild", *words), _run(project, "gobuild", *words, "--no-offline")
    assert "127.0.0.1:9" not in asked_nobody.stderr
    assert (told.returncode, "127.0.0.1:9" in told.stderr) == (4, True)
    assert "were both given" in _run(project, "gobuild", *words, "--no-offline", "--offline").stderr


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--trust", "gone.pem"), 2),
        (("--policy", "gone.toml"), 2),
        (("--sign", "gone.p12", "--sign-password-file", "gone"), 2),
        (("--bootstrap", "gone"), 14),
    ],
)
def test_a_plan_looks_at_what_a_build_needs(project: Path, toy_tree: Path, flags: tuple[str, ...], code: int) -> None:
    words = ("plan", "--source", str(toy_tree), "--go", "1.22.10", "--series", "none")
    plan = _run(project, "gobuild", *words)
    assert (plan.returncode, "66 known vulnerabilities, 3 not for darwin/arm64" in plan.stdout) == (0, True)
    done = _run(project, "gobuild", *words, *flags)
    assert (done.returncode, "gone" in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize("asked", ["--list", "plan --help", "cache.list --cache ."])
def test_a_reader_who_has_seen_enough(tmp_path: Path, asked: str) -> None:
    (tmp_path / "wheels/x").mkdir(parents=True)
    line = f'"$0" {asked} | (exec true); echo "${{PIPESTATUS[0]}}"'
    done = captured("bash", "-c", line, program("gobuild"), cwd=tmp_path, timeout=60)
    assert (done.stdout, "rror" in done.stderr) == ("141\n", False)


def test_a_cache_is_shown_and_pruned(project: Path) -> None:
    cache = project / "c"
    for name, age in (("sources/go1.22.10.wheel/go/VERSION", 200), ("wheels/a.whl", 100), ("wheels/a.whl.sha256", 0)):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes(1000))
        for each in (cache / name, cache / Path(*Path(name).parts[:2])):
            os.utime(each, (10**9 - age, 10**9 - age))
    (cache / "sources/.go1.22.10.wheel.lock").touch()
    (cache / "sources/.old.part").mkdir()
    os.utime(cache / "sources/.old.part", (10**9, 10**9))
    listed = _run(project, "gobuild", "cache.list", "--cache", str(cache)).stdout
    assert "2 entries, 3.0 kB" in listed and listed.index("a.whl") < listed.index("go1.22.10.wheel")
    words = ("gobuild", "cache.prune", "--cache", str(cache), "--keep")
    assert "1 entry would go" in _run(project, *words, "2kB", "--dry-run").stdout
    assert (cache / "sources/go1.22.10.wheel").is_dir()
    assert "1 entry removed, 1.0 kB" in _run(project, *words, "2kB").stdout
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == [
        ".go1.22.10.wheel.lock",
        "a.whl",
        "a.whl.sha256",
    ]
    assert not (cache / "sources/.old.part").exists()
    assert "1 entry removed, 2.0 kB" in _run(project, *words, "0").stdout


SLOW = """\
import time
from invoke import Collection, Program, task
from gobuild.tasks.boundary import guard

@task
def slow(c):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(3)

@task
def other(c):
    pass

ns = Collection(slow, other)
guard(ns)
Program(namespace=ns).run(["x", "slow"])
"""


def test_an_interrupt_is_answered_before_the_clean_up(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "interrupted: removing what is half made\n"
    assert process.poll() is None
    _, rest = process.communicate(timeout=60)
    assert (process.returncode, rest.count("error: "), "Traceback" in rest) == (130, 1, False)
