"""`gobuild emulate` and `gobuild trace.compare`, as typed."""

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import inside
import pytest
import small
from platformdirs import user_cache_path
from verify_fixtures import LINUX, compiled

from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.tasks.prove.emulate import as_words

GOBUILD = Path(sysconfig.get_path("scripts")) / "gobuild"

PROGRAM = """package main

import "os"

func main() {
	for _, word := range append(os.Args[1:], os.Getenv("COLOUR"), os.Getenv("SECRET")) {
		os.Stdout.WriteString("<" + word + ">\\n")
	}
	for len(os.Args) == 2 && os.Args[1] == "loop" {
	}
	buffer := make([]byte, 10)
	n, _ := os.Stdin.Read(buffer)
	os.Stdout.Write(buffer[:n])
	if len(os.Args) > 2 {
		os.WriteFile("/tmp/left", []byte("here"), 0o644)
	}
	os.Exit(3)
}
"""

TEST = """package m

import (
	"os"
	"runtime"
	"testing"
)

func TestFiles(t *testing.T) {
	data, err := os.ReadFile("testdata/given")
	if err != nil || string(data) != "given" {
		t.Error(string(data), err)
	}
	if os.WriteFile("new", nil, 0o644) == nil {
		t.Error("the module can be written to")
	}
	if err := os.WriteFile(t.TempDir()+"/new", nil, 0o644); err != nil {
		t.Error(err)
	}
	t.Log(runtime.GOOS, runtime.GOARCH, Half(2))
}

func TestFails(t *testing.T) { t.Error("it fails") }
"""


TEST_SUB = """package sub

import (
	"os"
	"testing"
)

func TestSub(t *testing.T) {
	data, err := os.ReadFile("../testdata/given")
	if err != nil || string(data) != "given" {
		t.Error(string(data), err)
	}
}
"""


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("gobuild emulate --go-test /t/x.test", "gobuild emulate --go-test /t/x.test"),
        ("gobuild emulate --go-test /t/x.test -test.v -a", "gobuild emulate --go-test /t/x.test --args=-test.v -a"),
        ("gobuild emulate --cpus 2 --go-test x --", "gobuild emulate --cpus 2 --go-test x --args=--"),
        ("gobuild emulate x --args v", "gobuild emulate x --args v"),
        ("gobuild verify --go-test x -y", "gobuild verify --go-test x -y"),
    ],
)
def test_the_words_of_go_test(typed: str, words: str) -> None:
    assert " ".join(as_words(typed.split(" "))) == words


@pytest.fixture(scope="module")
def program(get_goroot: Callable[[str, Target], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    return compiled(get_goroot("1.22.10", LINUX), folder, source={"main.go": PROGRAM})


def gobuild(folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    env = dict(os.environ) | {"NO_COLOR": "1", "COLUMNS": "160", "SECRET": "of the host"}
    return subprocess.run(
        [GOBUILD, *words], cwd=folder, env=env, input="typed", capture_output=True, text=True, check=False, timeout=600
    )


def test_output_and_exit_code_are_the_programs(program: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    words = (
        "--args",
        "'a b' c",
        "--env",
        "COLOUR=red",
        "--scratch",
        scratch,
        "--trace",
        "t.jsonl",
        "--trace",
        "t.html",
    )
    done = gobuild(tmp_path, "emulate", program, *words)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == "<a b>\n<c>\n<red>\n<>\ntyped"
    assert (scratch / "left").read_text() == "here"
    assert "main.main" in (tmp_path / "t.html").read_text()
    same = gobuild(tmp_path, "trace.compare", "t.jsonl", "t.jsonl")
    assert (same.returncode, same.stdout) == (0, "nothing differs\n")


def test_what_macos_would_not_start(program: Path, tmp_path: Path) -> None:
    done = gobuild(tmp_path, "emulate", program, "--macos", "10")
    assert (done.returncode, "newer than the running macOS 10" in done.stderr) == (23, True)
    assert done.stderr.startswith("error: refused: ")
    broken = tmp_path / "broken"
    data = program.read_bytes()
    broken.write_bytes(data[:0x8000] + bytes([data[0x8000] ^ 1]) + data[0x8001:])
    done = gobuild(tmp_path, "emulate", broken)
    assert (done.returncode, "code signature: the page at" in done.stderr) == (23, True)


def test_a_limit_and_a_trace_all_the_same(program: Path, tmp_path: Path) -> None:
    done = gobuild(tmp_path, "emulate", program, "--args=loop", "--time-limit=3", "--trace=t.txt")
    assert done.returncode == 24
    assert done.stderr.startswith("error: limit: it did not end within 3 s\n  try: --time-limit")
    assert "-- runtime.osinit" in (tmp_path / "t.txt").read_text()


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    done = gobuild(tmp_path, "emulate", "/bin/ls")
    assert (done.returncode, "an ELF file, not a thin 64-bit Mach-O file" in done.stderr) == (22, True)


def test_without_the_engine(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = inside.gobuild(tmp_path, "emulate", str(program))
    assert (done.code, "pip install gobuild[emulate]" in done.err) == (10, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "there is no program nowhere"),
        (("x", "--cpus", "many"), "--cpus is 'many'"),
        (("x", "--env", "NAME"), "--env 'NAME'"),
        (("x", "--trace", "t.pdf"), "t.pdf is no name for a trace"),
        (("x", "--args", "'"), "--args '"),
        (("x", "--root", "empty"), "is not below"),
    ],
)
def test_a_word_that_cannot_be_used(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(small.macho())
    (tmp_path / "empty").mkdir()
    done = gobuild(tmp_path, "emulate", *words)
    assert (done.returncode, said in done.stderr) == (2, True)


@pytest.mark.slow
def test_go_test_runs_the_packages_of_a_module(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    module = tmp_path / "module"
    texts = {
        "go.mod": "module m\n\ngo 1.21\n",
        "m.go": "package m\n\nfunc Half(n int) int { return n / 2 }\n",
        "m_test.go": TEST,
        "testdata/given": "given",
        "sub/sub_test.go": TEST_SUB,
    }
    for name, text in texts.items():
        files.write(module / name, text)
    goroot = get_goroot("1.22.10", LINUX)
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "GOOS": "darwin", "GOARCH": "arm64", "GOTOOLCHAIN": "local"}
    env["GOCACHE"] = str(user_cache_path("gobuild-tests", appauthor=False) / "verify-gocache")

    def go_test(*words: str) -> tuple[int, list[str]]:
        argv = [str(goroot / "bin/go"), "test", "-vet=off", "-exec", f"{GOBUILD} emulate --go-test", *words]
        done = subprocess.run(argv, cwd=module, env=env, capture_output=True, text=True, check=False, timeout=900)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    code, lines = go_test("-v", "./...")
    assert code == 1
    assert [line.split(" (")[0] for line in lines if line.startswith("---")] == [
        "--- PASS: TestFiles",
        "--- FAIL: TestFails",
        "--- PASS: TestSub",
    ]
    assert any("darwin arm64" in line for line in lines)
    assert [line.split()[:2] for line in lines if line.startswith(("ok", "FAIL\t"))] == [["FAIL", "m"], ["ok", "m/sub"]]
    assert not (module / "new").exists()
    code, lines = go_test("-run=TestFiles", "-cover", ".")
    assert (code, len(lines)) == (0, 1), lines
    assert lines[0].startswith("ok  \tm\t")
    assert lines[0].endswith("coverage: 100.0% of statements")
