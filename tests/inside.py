"""The `gobuild` program run in this process: what a user types in, what is printed and the exit code out.

tests/tasks/test_cli.py starts the real script; this spares the other tests a Python of their own for every question.
"""

import contextlib
import copy
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from unittest import mock

from invoke.exceptions import Exit

from gobuild.cli import GobuildConfig, GobuildProgram
from gobuild.tasks import ns


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of it."""

    code: int
    out: str
    err: str


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Around a task that is called as a function: our error, of which the boundary has made an Exit for invoke."""
    try:
        yield
    except Exit as error:
        raise error.__cause__ or error from None


def gobuild(folder: Path, *words: str, columns: str = "160") -> Done:
    """Runs `gobuild WORDS` in a folder."""
    # invoke takes the help out of a task when it makes its parser.
    tasks = copy.deepcopy(ns)
    program = GobuildProgram(
        name="gobuild", binary="gobuild", namespace=tasks, config_class=GobuildConfig, version=version("gobuild")
    )
    out, err, code = io.StringIO(), io.StringIO(), 0
    settings = {"COLUMNS": columns, "NO_COLOR": "1", "no_proxy": "127.0.0.1"}
    streams = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
    with contextlib.chdir(folder), mock.patch.dict(os.environ, settings), streams[0], streams[1]:
        try:
            program.run(["gobuild", *words])
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code=code, out=out.getvalue(), err=err.getvalue())
