"""Programs that only running shows to be wrong, or hostile: each ends with its verdict, and leaves nothing behind.

They are compiled by a real Go for darwin/arm64, with assembly that breaks one rule of Apple's convention, or changed
afterwards and signed anew: `verify` finds nothing in them.
"""

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from emulate_fixtures import run_guest
from verify_fixtures import LINUX, METAL, compiled, image, resigned, view

from gobuild.binary.pclntab import read_pclntab
from gobuild.core.goversion import Target
from gobuild.emulate.plan import Limits
from gobuild.emulate.run import Outcome

LIBC = "/usr/lib/libSystem.B.dylib"
IMPORTS = {
    "open": LIBC,
    "getpid": LIBC,
    "no_such_function": LIBC,
    "MTLCreateSystemDefaultDevice": METAL,
}

TRAMPOLINES = {
    # the third argument of open stays in x2; at [sp] stands the return address
    "variadic": ("$0", "BL libc_open(SB)"),
    "stack": ("$16", "SUB $8, RSP; BL libc_getpid(SB); ADD $8, RSP"),
    "platform": ("$0", "MOVD $1, R18_PLATFORM; BL libc_getpid(SB)"),
    "missing": ("$0", "BL libc_no_such_function(SB)"),
    "metal": ("$0", "BL libc_MTLCreateSystemDefaultDevice(SB)"),
}

ASSEMBLY = '#include "textflag.h"\n' + "".join(
    f"TEXT {name}<>(SB),NOSPLIT,{frame}\n\t{body}\n\tRET\n"
    f"GLOBL ·{name}(SB), RODATA, $8\nDATA ·{name}(SB)/8, ${name}<>(SB)\n"
    for name, (frame, body) in TRAMPOLINES.items()
)

GO = """package main

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

%s
var variadic, stack, platform, missing, metal uintptr

//go:linkname call syscall.syscall
func call(fn, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno)

type shape interface{ sides() int }
type square struct{ int }

func (square) sides() int { return 4 }

var kind shape = square{1}

func init() {
	for os.Args[1] == "loop" { // looks at memory, so that a loop that was not left where it stood goes wild
	}
}

func told(what string, err error) {
	if err == nil {
		println(what, "works")
		os.Exit(9)
	}
	println(what, err.Error())
}

func main() {
	path := append([]byte(os.TempDir()+"/new"), 0)
	switch os.Args[1] {
	case "variadic":
		call(variadic, uintptr(unsafe.Pointer(&path[0])), syscall.O_CREAT|syscall.O_WRONLY, 0o644)
	case "stack":
		call(stack, 0, 0, 0)
	case "platform":
		call(platform, 0, 0, 0)
	case "missing":
		call(missing, 0, 0, 0)
	case "metal":
		done := make(chan bool)
		func() {
			runtime.SetFinalizer(&[64]byte{}, func(*[64]byte) { call(metal, 0, 0, 0); done <- true })
		}()
		runtime.GC()
		<-done
	case "handler":
		for i := 0; i < 3; i++ {
			syscall.Kill(syscall.Getpid(), syscall.SIGURG)
		}
	case "constant":
		**(**uintptr)(unsafe.Pointer(&kind)) = 1 // the table of kind's methods
	case "bomb":
		for {
			_, err := syscall.ForkExec(os.Args[0], os.Args, &syscall.ProcAttr{})
			if err != nil && len(os.Args) == 2 {
				println("refused", err.Error())
				os.Args = append(os.Args, "once")
			}
		}
	case "memory":
		_, err := syscall.Mmap(-1, 0, 100<<30, syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		told("mmap", err)
	case "touch":
		data, _ := syscall.Mmap(-1, 0, 1<<30, syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		for i := 0; i < len(data); i += 4096 {
			data[i] = 1
		}
		println("touched all")
	case "files":
		for i := 0; ; i++ {
			if _, err := syscall.Open(os.Args[0], syscall.O_RDONLY, 0); err != nil {
				println(i, err.Error())
				return
			}
		}
	case "output":
		for i := 0; i < 100; i++ {
			os.Stdout.Write(make([]byte, 20_000))
			os.Stderr.Write(make([]byte, 20_000))
		}
	case "outside":
		told("root", os.WriteFile("/new", nil, 0o644))
		told("dots", os.WriteFile("/tmp/../../../../../.." + os.Args[2], nil, 0o644))
		if err := os.Symlink(os.Args[2], "/tmp/link"); err != nil {
			println("no link", err.Error())
		}
		told("link", os.WriteFile("/tmp/link", nil, 0o644))
		os.Symlink("../../../../../..", "/tmp/up")
		told("up", os.WriteFile("/tmp/up" + os.Args[2], nil, 0o644))
		told("host", func() error { _, err := os.ReadFile("/etc/hostname"); return err }())
	case "connect":
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: 80, Addr: [4]byte{192, 0, 2, 1}})
		}
		told("connect", err)
	}
}
"""


@pytest.fixture(scope="session")
def forged(get_goroot: Callable[[str, Target], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program; its first argument says what it does."""
    lines = "".join(f'//go:cgo_import_dynamic libc_{name} {name} "{library}"\n' for name, library in IMPORTS.items())
    source = {"main.go": GO % lines, "main_arm64.s": ASSEMBLY.replace("; ", "\n\t")}
    return compiled(get_goroot("1.22.10", LINUX), tmp_path_factory.mktemp("forged"), source=source)


@pytest.fixture
def attack(forged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs it, or another in its place, and sees that nothing of it is left: no process, no file, no socket."""
    scratch, temporary = tmp_path / "scratch", tmp_path / "temporary"
    scratch.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def run(*words: str, program: Path = forged, limits: Limits | None = None) -> Outcome:
        limits = limits or Limits(seconds=1800)
        outcome = run_guest(program.parent, f"/{program.name}", *words, scratch=scratch, limits=limits)
        assert not users_of(scratch)
        assert not list(temporary.iterdir())
        assert [each.name for each in forged.parent.iterdir() if each.is_file()] == [forged.name]
        return outcome

    return run


def users_of(folder: Path) -> list[str]:
    """The processes of this machine that have a folder, or something in it, open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor).startswith(str(folder)):
                found.append(str(descriptor))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("name", "kind", "told", "function"),
    [
        ("variadic", "breach", "mode of open is not extended", "main.main"),
        ("stack", "breach", "no multiple of 16", "main.main"),
        ("platform", "breach", "x18", "main.main"),
        ("missing", "unknown-import", "no_such_function is called", "main.main"),
        ("metal", "unknown-import", "MTLCreateSystemDefaultDevice is called", "runtime.runfinq"),
    ],
)
def test_a_call_against_the_rules(
    name: str, kind: str, told: str, function: str, attack: Callable[..., Outcome]
) -> None:
    (verdict,) = attack(name).verdicts
    assert verdict.kind == kind
    assert told in verdict.detail
    assert function in verdict.stack


def test_a_handler_that_clobbers_a_register(forged: Path, attack: Callable[..., Outcome], tmp_path: Path) -> None:
    """Runtime.sigtramp sets x19 where it should load what it has saved."""
    assert attack("handler") == Outcome(code=0)
    program = tmp_path / "clobbers"
    program.write_bytes(clobbering(forged.read_bytes()))
    program.chmod(0o755)
    (verdict,) = attack("handler", program=program).verdicts
    assert verdict.kind == "breach"
    assert "the handler of signal 16 changed registers" in verdict.detail


def clobbering(data: bytes) -> bytes:
    text, table = image(data).section("__text"), image(data).section("__gopclntab")
    assert text and table
    functions = read_pclntab(view(data), table.place).functions()
    sigtramp = next(each for each in functions if each.name == "runtime.sigtramp")
    for at in range(text.offset + sigtramp.start, text.offset + sigtramp.end, 4):
        (word,) = struct.unpack_from("<I", data, at)
        if word & 0xFFC003FF == 0xA9400000 | 31 << 5 | 19:  # LDP (RSP), (R19, …)
            return resigned(data[:at] + struct.pack("<I", 0xD2800033) + data[at + 4 :])  # MOVD $1, R19
    raise AssertionError("sigtramp restores nothing")


def test_a_write_to_constants(attack: Callable[..., Outcome]) -> None:
    outcome = attack("constant")
    assert outcome.code == 2
    assert b"[signal SIGBUS: bus error" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "limits", "told"),
    [
        ("loop", Limits(processor=4), "it took more than 4 s of the processor"),
        ("loop", Limits(seconds=3), "it did not end within 3 s"),
        ("touch", Limits(resident=400 << 20), "it touched more than 400 MB of memory"),
        ("output", Limits(output=1 << 20), "more than 1048576 bytes of output"),
        ("bomb", Limits(processor=12, processes=6), "it took more than 12 s of the processor"),
    ],
)
def test_a_limit_ends_it(name: str, limits: Limits, told: str, attack: Callable[..., Outcome]) -> None:
    outcome = attack(name, limits=limits)
    assert outcome.code == 137
    assert [(each.kind, each.detail) for each in outcome.verdicts] == [("limit", told)]
    written = 1_040_000 if name == "output" else 0  # what still fits
    assert len(outcome.stdout) + outcome.stderr.count(b"\0") == written
    refused = b"refused resource temporarily unavailable\n"
    assert outcome.stderr.replace(b"\0", b"").replace(refused, b"") == b""
    assert (refused in outcome.stderr) == (name == "bomb")


STARTED = """
import sys
from pathlib import Path

from emulate_fixtures import run_guest

root, scratch = map(Path, sys.argv[1:])
run_guest(root.parent, f"/{root.name}", "bomb", scratch=scratch)
"""


def test_the_end_of_whoever_watches_ends_it_all(forged: Path, tmp_path: Path) -> None:
    """Killed, a process can clean up nothing: what it has started sees to that itself."""
    script, scratch = tmp_path / "start.py", tmp_path / "scratch"
    script.write_text(STARTED)
    scratch.mkdir()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script, forged, scratch], env=env) as starter:
        processes = wait_for(lambda: {name.split("/")[2] for name in users_of(scratch)}, at_least=3)
        starter.kill()
    assert len(processes) >= 3, "the first one and some that it has forked"
    assert wait_for(lambda: users_of(scratch), at_least=0) == []


def wait_for(look: Callable[[], Collection[str]], *, at_least: int) -> Collection[str]:
    """Looks until there are so many, or for 0 until there is nothing more; a minute at most."""
    for _ in range(600):
        seen = look()
        if (len(seen) >= at_least) if at_least else not seen:
            break
        time.sleep(0.1)
    return seen


def test_no_more_files_than_it_may_open(attack: Callable[..., Outcome]) -> None:
    assert attack("files", limits=Limits(files=40)) == Outcome(code=0, stderr=b"37 too many open files\n")


def test_memory_that_there_is_not(attack: Callable[..., Outcome]) -> None:
    assert attack("memory") == Outcome(code=0, stderr=b"mmap cannot allocate memory\n")


def test_a_write_outside_of_scratch(attack: Callable[..., Outcome], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    outcome = attack("outside", str(victim / "new"))
    assert outcome.code == 0
    lines = outcome.stderr.decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["root", "dots", "link", "up", "host"]
    assert not list(victim.iterdir())
    assert {each.name for each in (tmp_path / "scratch").iterdir()} == {"link", "up"}


def test_a_connection_to_another_host(attack: Callable[..., Outcome]) -> None:
    outcome = attack("connect")
    assert (outcome.code, outcome.stderr.startswith(b"connect ")) == (0, True)
