"""Every task in every bad place: one message, a code of the README's table, and never a traceback.

The tasks are those of the collection: a new one is tried by itself, with what must be said to it set to a file that
cannot be read. Each runs in a real process without a superuser's rights.
"""

import copy
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from needs import needs

from gobuild.tasks import ns

CHECKOUT = Path(__file__).resolve().parents[2]
CODES = {0, *(int(code) for code in re.findall(r"\| (\d+) \|", (CHECKOUT / "README.md").read_text()))}

SECRET = "secret.tar.gz"
"""An input that cannot be read."""

WORDS = {
    "publish": ("--to", "site", "--from", "closed"),
    "reproduce": ("--ours", SECRET, "--against", SECRET),
    "blast-radius": ("--ours", SECRET, "--against", SECRET),
    "vulns": ("--path", SECRET),
    "gowrap": ("--goroot", "closed"),
    "launchd": ("--label", "a.b", "--program", "/a", "--gowrap", "/b", "--to", "closed/x"),
    "image": ("--to", "layout", "--dist", "closed", "--certificates", SECRET),
    "vm": ("--archive", SECRET, "--disk", "/d.raw", "--to", "vm"),
    "patches.import": ("--to", "bench", "--go", "1.22"),
    "patches.export": ("--from", "closed"),
    "patches.refresh": ("--go", "1.22"),
    "patches.new": ("mine", "--series", "closed"),
    "tap.update": ("--to", "closed", "--dist", "closed"),
    "keys.new": ("--to", "closed/key", "--name", "acme.example/sumdb"),
    "keys.show": ("--key", SECRET),
    "ci.workflow": ("--to", "closed/x.yml"),
    "ci.wanted": ("--base-url", "file:///nowhere"),
    "store.prune": ("--keep", "0"),
    "cache.prune": ("--keep", "0"),
}
"""What a task needs besides to come as far as to files."""

CONFIGURED = {
    "tab": b"gobuild:\n\ttarget: linux/amd64\n",
    "bracket": b"[",
    "list": b"- a\n- b\n",
    "nothing-below": b"gobuild:\n  # go: 1.22\n",
    "word-below": b"gobuild: x\n",
    "no-utf-8": b"gobuild:\n  go: \xff\xfe\n",
}
"""gobuild.yaml; besides, one that cannot be read, and a folder."""

PLACES = ("nobody", "home-of-somebody-else", "home-read-only", "cache-read-only", "input", "no-certificates")
SITUATIONS = (*PLACES, *CONFIGURED, "unreadable", "folder")


@cache
def _tried(situation: str, folder: Path) -> dict[str, tuple[int, str]]:
    """What became of every task there."""
    for name, mode in (("closed", 0o000), ("theirs", 0o000), ("mine", 0o500), ("cache", 0o500)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    (folder / SECRET).touch(0o000)
    variables = {"PATH": os.defpath, "NO_COLOR": "1", "HOME": str(folder), "INVOKE_GOBUILD_OFFLINE": "1"}
    match situation:
        case "nobody":
            del variables["HOME"]
        case "home-of-somebody-else":
            variables["HOME"] = str(folder / "theirs")
        case "home-read-only":
            variables["HOME"] = str(folder / "mine")
        case "cache-read-only":
            variables["INVOKE_GOBUILD_CACHE"] = str(folder / "cache")
        case "input":
            variables |= {"INVOKE_GOBUILD_SERIES": "closed", "INVOKE_GOBUILD_SOURCE": SECRET}
        case "no-certificates":
            variables |= {"REQUESTS_CA_BUNDLE": "/nowhere.pem", "INVOKE_GOBUILD_OFFLINE": "0"}
            variables |= {"INVOKE_GOBUILD_INDEX_URL": "https://127.0.0.1:9/", "INVOKE_GOBUILD_SOURCE": "archive"}
        case "unreadable":
            (folder / "gobuild.yaml").touch(0o000)
        case "folder":
            (folder / "gobuild.yaml").mkdir()
        case _:
            (folder / "gobuild.yaml").write_bytes(CONFIGURED[situation])
    tasks = sorted(ns.task_names)
    asked = [["--version"], *([name, *WORDS.get(name, _positional(name))] for name in tasks)]
    # A superuser's right to read anything would hide all of it.
    less = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*less, sys.executable, CHECKOUT / "tests/each_task.py", situation],
        cwd=folder,
        env=variables,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    for each in folder.iterdir():
        each.chmod(0o700)
    assert done.returncode == 0, done.stderr
    return dict(zip(("--version", *tasks), map(tuple, json.loads(done.stdout)), strict=True))


def _positional(name: str) -> tuple[str, ...]:
    return tuple(SECRET for each in copy.deepcopy(ns[name]).get_arguments() if each.positional)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each situation."""
    if os.geteuid() == 0:
        needs("setpriv")
    return {each: tmp_path_factory.mktemp(each) for each in SITUATIONS}


@pytest.mark.parametrize("task", ["--version", *sorted(ns.task_names)])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_one_message_and_no_traceback(situation: str, task: str, places: dict[str, Path]) -> None:
    code, output = _tried(situation, places[situation])[task]
    assert "Traceback" not in output, output
    assert code in CODES, output
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(errors) == (1 if code else 0), output
    if situation in {*CONFIGURED, "unreadable", "folder"} - {"nothing-below"} and task != "--version":
        assert code == (17 if situation in ("unreadable", "folder") else 2) and "gobuild.yaml" in output, output
    if situation in PLACES and task == "--version":
        assert code == 0 and output.startswith("gobuild "), output
