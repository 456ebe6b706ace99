"""The ways in: our tasks.py, somebody's own, and the console script; settings by flag, variable and file."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
ALL = "from gobuild.tasks import ns\n"
BESIDE = """\
from invoke import Collection, task
import gobuild.tasks

@task
def mine(c):
    print("mine")

ns = Collection(mine, gobuild.tasks)
"""


def _run(folder: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    script = Path(sysconfig.get_path("scripts")) / words[0]
    return subprocess.run(
        [script, *words[1:]],
        cwd=folder,
        env=dict(os.environ) | {"NO_COLOR": "1", "COLUMNS": "160"} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tasks are all gobuild's."""
    (tmp_path / "tasks.py").write_text(ALL)
    return tmp_path


PATCHES = ("patches.status", "patches.import", "patches.export", "patches.refresh", "patches.new")
TASKS = ("build", "clean", "identify", "package", "plan", "verify", *PATCHES)


def test_our_own_tasks() -> None:
    listed = _run(CHECKOUT, "invoke", "--list").stdout
    for task in (*TASKS, "lint", "test", "types"):
        assert f"  {task} " in listed


def test_somebodys_whole_tasks_py(project: Path) -> None:
    listed = _run(project, "invoke", "--list").stdout
    for task in TASKS:
        assert f"  {task} " in listed


def test_beside_tasks_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(BESIDE)
    listed = _run(tmp_path, "invoke", "--list").stdout
    for task in (*(f"gobuild.{each}" for each in TASKS), "mine"):
        assert f"\n  {task}" in listed
    assert _run(tmp_path, "invoke", "mine").stdout == "mine\n"


def test_the_console_script(tmp_path: Path) -> None:
    listed = _run(tmp_path, "gobuild", "--list").stdout
    for task in TASKS:
        assert f"  {task} " in listed
    assert _run(tmp_path, "gobuild", "--version").stdout.startswith("gobuild 0.")


def test_started_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    script = Path(sysconfig.get_path("scripts")) / "gobuild"
    words = ["bash", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$0" plan', str(script)]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 2
    assert found.stderr == "error: the folder that this was started in is gone\n  try: cd into one that is there\n"


def test_every_setting_is_a_flag_with_help(project: Path) -> None:
    helped = _run(project, "invoke", "--help", "build").stdout
    for flag in ("--go=STRING", "--target=STRING", "--index-url=STRING", "--offline "):
        assert flag in helped


def test_a_task_may_have_flags_of_its_own_beside_the_settings(project: Path) -> None:
    helped = _run(project, "invoke", "--help", "patches.status").stdout
    for flag in ("--json ", "--html=STRING", "--extra=STRING", "--go=STRING", "1.21..1.27"):
        assert flag in helped
    assert "--html" not in _run(project, "invoke", "--help", "build").stdout


@pytest.mark.parametrize("program", ["invoke", "gobuild"])
def test_a_setting_from_the_environment_reaches_a_task_of_the_group(project: Path, program: str) -> None:
    done = _run(project, program, "patches.status", INVOKE_GOBUILD_SERIES="nowhere")
    assert (done.returncode, "no series at nowhere" in done.stderr) == (6, True)


def test_the_group_beside_tasks_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(BESIDE)
    (tmp_path / "invoke.yaml").write_text("gobuild:\n  series: nowhere\n")
    done = _run(tmp_path, "invoke", "gobuild.patches.status")
    assert (done.returncode, "no series at nowhere" in done.stderr) == (6, True)


@pytest.mark.parametrize("program", ["invoke", "gobuild"])
def test_a_setting_from_the_environment(project: Path, program: str) -> None:
    done = _run(project, program, "plan", INVOKE_GOBUILD_TARGET="plan9/mips")
    assert (done.returncode, "no target 'plan9/mips'" in done.stderr) == (2, True)


@pytest.mark.parametrize(("program", "file"), [("invoke", "invoke.yaml"), ("gobuild", "gobuild.yaml")])
def test_a_setting_from_a_file_and_the_flag_over_it(project: Path, program: str, file: str) -> None:
    (project / file).write_text("gobuild:\n  target: plan9/mips\n")
    assert "no target 'plan9/mips'" in _run(project, program, "plan").stderr
    assert "no target 'os2/vax'" in _run(project, program, "plan", "--target", "os2/vax").stderr


def test_an_unknown_key_in_a_file(project: Path) -> None:
    (project / "invoke.yaml").write_text("gobuild:\n  sufix: acme1\n")
    done = _run(project, "invoke", "plan")
    assert (done.returncode, "did you mean 'suffix'?" in done.stderr) == (2, True)


def test_a_version_that_yaml_took_for_a_number(project: Path) -> None:
    (project / "invoke.yaml").write_text("gobuild:\n  go: 1.20\n")
    done = _run(project, "invoke", "plan")
    assert (done.returncode, "quotes" in done.stderr) == (2, True)


@pytest.mark.parametrize("program", ["invoke", "gobuild"])
def test_an_error_is_one_message_without_a_traceback(project: Path, program: str) -> None:
    done = _run(project, program, "build", "--go", "latest", "--source", "nowhere.tar.gz")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "\n  try: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_verify_of_what_is_not_there(project: Path) -> None:
    done = _run(project, "invoke", "verify", "nowhere")
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
