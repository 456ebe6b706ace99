"""What the doctor's tests share: programs that stand in for a broken go, and an examination in a bare room."""

import json
import os
import random
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from gobuild.core.errors import ConfigError
from gobuild.core.settings import Settings
from gobuild.doctor import Diagnosis, Finding, Grade, diagnosis_document, examine, load
from gobuild.doctor.examination import TOPICS

VERSION = "go version go1.22.10 linux/amd64"

SLEEP = f"sleep 1000.{os.getpid()}"
"""What hangs, and is known among the processes of other tests' workers."""

FAKES = {
    "hangs": SLEEP,
    "is killed": "kill -9 $$",
    "takes 2 s": f"sleep 2; echo {VERSION}",
    "prints garbage": r"head -c 3000 /dev/urandom; printf '\033[31mred\033]0;title\007\342\200\256'",
    "leaves a daemon": f"(setsid {SLEEP} &) ; echo {VERSION}",
    "hangs with a daemon": f"(setsid sh -c \"trap '' TERM QUIT; {SLEEP}\" &) ; {SLEEP}",
    "prints its environment": "env",
    "answers": f"echo {VERSION}",
    "never stops printing": "yes",
    "is no program": "",
}
"""Shell scripts, by what is wrong with them."""


def fake(folder: Path, what: str) -> Path:
    """A go command that does this; an empty script is a file of garbage."""
    path = folder / "fake" / "go"
    path.parent.mkdir(parents=True)
    path.write_bytes(f"#!/bin/sh\n{FAKES[what]}\n".encode() if FAKES[what] else b"\x7fELF\0\xff garbage")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def room(folder: Path, **variables: str) -> dict[str, str]:
    """An environment with a home of its own, and what else is given."""
    home = folder / "home"
    home.mkdir(exist_ok=True, parents=True)
    return {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C", **variables}


def examined(
    go: Path | None, folder: Path, environment: Mapping[str, str], cwd: Path | None = None, against: Path | None = None
) -> Diagnosis:
    """An examination that leaves the network and this machine's caches alone."""
    settings = Settings(offline=True, cache=folder / "no-cache", dist=folder / "no-dist")
    return examine(go, settings=settings, environment=environment, cwd=cwd or folder, against=against)


def only(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Leaves all topics out but these."""
    patch.setattr("gobuild.doctor.examination.TOPICS", [each for each in TOPICS if each.name in names])


def fuzzed(found: Diagnosis, path: Path, rounds: int = 150) -> int:
    """Loads as many documents, each with one value replaced by one of another kind; how many were refused."""
    source, refused = random.Random(6), 0
    for _ in range(rounds):
        told = json.loads(json.dumps(diagnosis_document(found)))
        node, key = told, "evidence"
        for _ in range(source.randrange(1, 8)):
            below = node[key]
            keys = list(below) if isinstance(below, dict) else range(len(below)) if isinstance(below, list) else ()
            if not keys:
                break
            node, key = below, source.choice(list(keys))
        node[key] = source.choice([None, 3, -1.5, "x", [], {}, ["x"], {"x": 1}, [[]], True, 10**400])
        path.write_text(json.dumps(told))
        try:
            load(path)
        except ConfigError:
            refused += 1
    return refused


def says(found: Finding, grade: Grade, *words: str) -> None:
    """It has this grade, and says all of these, as what was seen or as advice."""
    told = f"{found.seen} -> {found.advice}"
    assert (found.grade, [each for each in words if each not in told]) == (grade, []), found


def finding(found: Diagnosis, name: str, group: str = "") -> Finding:
    """The one finding of this name."""
    (only,) = [each for each in found.findings if each.name == name and each.group.startswith(group)]
    return only
