"""The go command and its tools answer under emulation what those of the same release for linux answer natively.

Both see the same paths: in the guest's world the toolchain for darwin/arm64 stands where that for linux stands here.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from filelock import FileLock
from platformdirs import user_cache_path

from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.emulate.plan import EPOCH, Limits, MountPlan, Plan
from gobuild.emulate.run import run

DARWIN, LINUX = Target(goos="darwin", goarch="arm64"), Target(goos="linux", goarch="amd64")
VERSIONS = ("1.21.13", "1.22.10", "1.24.11", "1.27.3")

OF_THE_HOST = {"GOHOSTARCH", "GOHOSTOS", "GOTOOLDIR", "GOTELEMETRYDIR", "GOGCCFLAGS"}
"""What `go env` says of the machine that it runs on; the flags name a temporary folder of a new name in each run."""

OTHER = "other"
"""A cache that the emulated program has no part in."""

UNFORMATTED = 'package  p\nimport ("os"; "fmt")\nfunc f( a int ) {fmt.Println( a,os.Args )}\n'
BROKEN = "package p\n\nfunc f( {\n\tvar 1x = ]\n"

VETTED = """// %s
package main

import (
	"fmt"
	"os"
	"sync"
)

type guarded struct {
	sync.Mutex
	text string `json:text`
}

func show(each guarded) {
	fmt.Printf("%%d\\n", each.text)
	fmt.Sprint("lost")
}

func main() {
	show(guarded{text: os.Args[0]})
	return
	fmt.Println("never")
}
"""
WARMING = """package main

import (
	"fmt"
	"os"
	"sync"
)

func main() { fmt.Println(os.Args, sync.NewCond(nil)) }
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said, and its exit code."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A release twice: for this machine, and for the emulator; both work in one folder."""

    native: Path
    emulated: Path
    work: Path

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of both."""
        return {
            "HOME": str(self.work),
            "TMPDIR": str(self.work),
            "PATH": os.defpath,
            "GOCACHE": str(self.work / "gocache"),
            "GOENV": "off",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOOS": DARWIN.goos,
            "GOARCH": DARWIN.goarch,
            "CGO_ENABLED": "0",
        }

    def emulate(self, program: str, *words: str, cwd: str = ".") -> Answer:
        """Runs a program of the toolchain for darwin/arm64."""
        root = self.work / "root"
        for each in (self.native, self.work):
            (root / str(each.parent).lstrip("/")).mkdir(parents=True, exist_ok=True)
        path = str(self.native / program)
        plan = Plan(
            program=path,
            argv=(path, *words),
            mounts=(
                MountPlan(at="/", host=str(root)),
                MountPlan(at=str(self.native), host=str(self.emulated)),
                MountPlan(at=str(self.work), host=str(self.work), writable=True),
            ),
            env=self.env,
            cwd=str(self.work / cwd),
            limits=Limits(seconds=1800, processor=120),
        )
        outcome = run(plan)
        assert outcome.verdicts == ()
        return Answer(outcome.code, outcome.stdout.decode(), outcome.stderr.decode())

    def ask(self, program: str, *words: str, cwd: str = ".", cache: str = "gocache") -> Answer:
        """Runs the same program of the toolchain for linux."""
        path, env = str(self.native / program), self.env | {"GOCACHE": str(self.work / cache)}
        done = subprocess.run([path, *words], cwd=self.work / cwd, env=env, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(params=VERSIONS)
def pair(request: pytest.FixtureRequest, get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> Pair:
    version = request.param
    return Pair(native=get_goroot(version, LINUX), emulated=get_goroot(version, DARWIN), work=tmp_path.resolve())


def test_gofmt(pair: Pair) -> None:
    """A file to format, one to leave alone and one that is no Go."""
    for name, text in {"a.go": UNFORMATTED, "b.go": "package p\n", "c.go": BROKEN}.items():
        files.write(pair.work / name, text)
    words = ("-l", "-d", "a.go", "b.go", "c.go")
    answer = pair.emulate("bin/gofmt", *words)
    assert answer == pair.ask("bin/gofmt", *words)
    assert answer.code == 2
    assert "+func f(a int) { fmt.Println(a, os.Args) }" in answer.stdout
    assert "c.go:3:9: expected" in answer.stderr


def test_go_env(pair: Pair) -> None:
    emulated, native = (
        json.loads(each.stdout) for each in (pair.emulate("bin/go", "env", "-json"), pair.ask("bin/go", "env", "-json"))
    )
    differing = {name for name in emulated.keys() | native.keys() if emulated.get(name) != native.get(name)}
    assert differing <= OF_THE_HOST
    assert (emulated["GOHOSTOS"], emulated["GOHOSTARCH"]) == ("darwin", "arm64")
    assert emulated["GOTOOLDIR"] == str(pair.native / "pkg/tool/darwin_arm64")
    assert len(emulated) > 30


@pytest.mark.slow
def test_every_tool_says_its_version(pair: Pair) -> None:
    """Or its usage, with the words and the exit code that it has natively."""
    here, there = (f"pkg/tool/{each.underscored}" for each in (LINUX, DARWIN))
    names = sorted(each.name for each in (pair.emulated / there).iterdir())
    assert {"asm", "compile", "link", "vet"} <= set(names)
    asked = {name: "-h" if name == "doc" else "-V=full" for name in names}
    emulated = {name: pair.emulate(f"{there}/{name}", word) for name, word in asked.items()}
    assert emulated == {name: pair.ask(f"{here}/{name}", word) for name, word in asked.items()}


@pytest.mark.slow
def test_go_list_std(pair: Pair) -> None:
    answer = pair.emulate("bin/go", "list", "std")
    assert answer == pair.ask("bin/go", "list", "std", cache=OTHER)
    assert answer.stdout.count("\n") > 200


@pytest.fixture
def warm(pair: Pair) -> Pair:
    """With what vet must know of the standard library in its cache, and nothing of the module."""
    kept = user_cache_path("gobuild-tests", appauthor=False) / "verify-gocache"
    files.write(pair.work / "warming/go.mod", "module warming\n\ngo 1.21\n")
    files.write(pair.work / "warming/main.go", WARMING)
    with FileLock(f"{kept}.lock"):
        assert not pair.ask("bin/go", "vet", ".", cwd="warming", cache=str(kept)).code
        for name in ("gocache", OTHER):
            shutil.copytree(kept, pair.work / name, copy_function=os.link)
    trimmed = pair.work / "gocache/trim.txt"
    trimmed.unlink(missing_ok=True)
    trimmed.write_text(str(EPOCH))
    return pair


@pytest.mark.slow
def test_go_vet(warm: Pair) -> None:
    """Of a module with mistakes, by the emulated vet; five analyzers find something."""
    files.write(warm.work / "vetted/go.mod", "module vetted\n\ngo 1.21\n")
    files.write(warm.work / "vetted/main.go", VETTED % uuid4())  # what no cache has
    answer = warm.emulate("bin/go", "vet", ".", cwd="vetted")
    native = warm.ask("bin/go", "vet", ".", cwd="vetted", cache=OTHER)
    # Since 1.27 at the latest, vet tells of its analyzers in another order in each run, natively too.
    assert sorted(answer.stderr.splitlines()) == sorted(native.stderr.splitlines())
    assert (answer.code, answer.stdout) == (native.code, native.stdout) == (1, "")
    assert [word for word in ("lock by value", "wrong type", "not used", "struct field tag", "unreachable")
            if word not in answer.stderr] == []  # fmt: skip
