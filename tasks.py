"""gobuild's own tasks, and those of its repository."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from invoke import Collection, task
from invoke.context import Context

import gobuild.tasks
from gobuild.core.errors import CommandError
from gobuild.tasks.boundary import guard

sys.path.append(str(Path(__file__).parent / "tests"))
from bench.task import bench  # beside the tests, which no installed gobuild has


def _run(*words: str) -> None:
    """A tool of this virtual environment, with the terminal as it is; a failure ends the task with its code."""
    tool = Path(sysconfig.get_path("scripts")) / words[0]
    code = subprocess.run([tool, *words[1:]], check=False).returncode
    if code:
        raise CommandError(f"{words[0]} found something (exit code {code})")


@task
def lint(_context: Context) -> None:
    """Checks style (ruff) and the house's dependency direction (import-linter)."""
    _run("ruff", "check", ".")
    _run("ruff", "format", "--check", ".")
    _run("lint-imports", "--no-cache")


@task
def types(_context: Context) -> None:
    """Checks types (mypy --strict)."""
    _run("mypy")


@task(pre=[lint, types], help={"quick": "leave out what builds a whole toolchain"}, auto_shortflags=False)
def test(_context: Context, quick: bool = False) -> None:
    """Runs lint, types and all tests; whole builds run side by side."""
    # A module's tests share builds, so they stay together; in the order collected, the longest modules come first.
    beside = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")
    _run("pytest", *(["-m", "not slow"] if quick else []), *beside)


ns = Collection(lint, types, test, bench)
guard(ns)
for each in gobuild.tasks.ns.tasks.values():
    ns.add_task(each)
for group in gobuild.tasks.ns.collections.values():
    ns.add_collection(group)
ns.configure(gobuild.tasks.ns.configuration())
