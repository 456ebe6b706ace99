"""Programs compiled for darwin/arm64 do what the same programs do natively, and the very same whenever they run."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from emulate_fixtures import run_guest
from verify_fixtures import DARWIN, LINUX, compiled

from gobuild.core.goversion import Target

IMPORTS = """package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var _ bytes.Buffer
var _ gzip.Reader
var _ = fmt.Sprint
var _ = io.EOF
var _ = pprof.StartCPUProfile
var _ = os.Exit
var _ = signal.Notify
var _ = runtime.GC
var _ = debug.SetGCPercent
var _ sync.Mutex
var _ atomic.Bool
var _ = syscall.Kill
var _ = time.Sleep
var _ unsafe.Pointer

"""

PANICS = """
type big struct{ a, b [100]int }

func message(f func()) (s string) {
	defer func() { s = fmt.Sprint(recover()) }()
	f()
	return "no panic"
}

//go:noinline
func load(p *big) int { return p.b[3] }

var zero, sink int

func main() {
	for i := 0; i < 3; i++ {
		fmt.Println(message(func() { load(nil) }))
	}
	fmt.Println(message(func() { sink = 1 / zero }))
	debug.SetPanicOnFault(true)
	address := uintptr(0x123456789000)
	fmt.Println(message(func() { sink = **(**int)(unsafe.Pointer(&address)) }))
	panic("the last one")
}
"""

SIGNALS = """
func main() {
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGHUP)
	syscall.Kill(syscall.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-c)
	syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
	fmt.Println(<-c)
	signal.Ignore(syscall.SIGHUP)
	syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
	signal.Reset(syscall.SIGUSR1)
	syscall.Kill(syscall.Getpid(), syscall.SIGUSR1)
	time.Sleep(time.Second)
	fmt.Println("not reached")
}
"""

GOROUTINES = """
//go:noinline
func spin(stop *int32) {
	for i := 0; *stop == 0; i++ { // no call, and no load that the compiler keeps
		sink = i
	}
}

var sink int

func main() {
	var group sync.WaitGroup
	var count atomic.Int64
	var mutex sync.Mutex
	lines := map[int]int{}
	for i := 0; i < 8; i++ {
		i := i
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 500; j++ {
				count.Add(1)
				if j%50 == 0 {
					runtime.Gosched()
				}
				mutex.Lock()
				lines[i]++
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	fmt.Println(count.Load(), lines)

	var stop atomic.Bool
	done := make(chan bool)
	go func() {
		for !stop.Load() {
		}
		done <- true
	}()
	time.Sleep(5 * time.Millisecond)
	stop.Store(true)
	fmt.Println(<-done)

	finalized := make(chan int, 100)
	for i := 0; i < 50; i++ {
		runtime.SetFinalizer(new([1000]int), func(*[1000]int) { finalized <- 1 })
	}
	runtime.GC()
	runtime.GC()
	for i := 0; i < 40; i++ {
		<-finalized
	}
	start := time.Now()
	time.Sleep(300 * time.Millisecond)
	fmt.Println(time.Since(start).Round(100 * time.Millisecond))
	select {
	case <-time.After(50 * time.Millisecond):
		fmt.Println("timed out")
	case <-done:
	}
	os.Exit(7)
}
"""

PREEMPTED = """
func main() {
	runtime.GOMAXPROCS(1)
	go func() {
		for {
		}
	}()
	time.Sleep(20 * time.Millisecond)
	fmt.Println("the endless loop was interrupted")
}
"""

PROFILED = """
//go:noinline
func burn(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += i ^ n
	}
	return sum
}

// Computes alone for half a second of the processor, while others have to be woken in time, and is asked by signals
// where it stands.
func main() {
	var profile bytes.Buffer
	fmt.Println(pprof.StartCPUProfile(&profile))
	woken := make(chan int, 100)
	go func() {
		for i := 0; i < 5; i++ {
			time.Sleep(10 * time.Millisecond)
			woken <- i
		}
	}()
	for start := time.Now(); time.Since(start) < 500*time.Millisecond; {
		burn(3_000_000)
	}
	fmt.Println(len(woken))
	pprof.StopCPUProfile()
	plain, _ := gzip.NewReader(&profile)
	content, err := io.ReadAll(plain)
	fmt.Println(bytes.Contains(content, []byte("main.burn")), err)
}
"""

FILES = """
func main() {
	folder, err := os.MkdirTemp("/tmp", "guest")
	fmt.Println(err)
	os.Chdir(folder)
	fmt.Println(os.WriteFile("a", []byte("hello"), 0o640), os.Mkdir("b", 0o755), os.Rename("a", "b/c"))
	info, err := os.Stat("b/c")
	fmt.Println(info.Name(), info.Size(), info.Mode(), err)
	entries, err := os.ReadDir(".")
	fmt.Println(entries, err)
	content, err := os.ReadFile("b/c")
	fmt.Println(string(content), err)
	_, err = os.Stat("missing")
	fmt.Println(err)
	fmt.Println(os.Remove("b"))
	fmt.Println(os.RemoveAll(folder))
	r, w, _ := os.Pipe()
	go func() {
		w.Write(make([]byte, 300000))
		w.Close()
	}()
	n, buffer := 0, make([]byte, 70000)
	for {
		m, err := r.Read(buffer)
		n += m
		if err != nil {
			fmt.Println(n, err)
			break
		}
	}
}
"""

PROGRAMS = {
    "panics": PANICS,
    "signals": SIGNALS,
    "goroutines": GOROUTINES,
    "preempted": PREEMPTED,
    "profiled": PROFILED,
    "files": FILES,
}


@pytest.mark.parametrize("version", ["1.22.10", pytest.param("1.27.3", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("cpus", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_it_does_the_same_as_natively(
    name: str, version: str, cpus: int, get_goroot: Callable[[str, Target], Path], tmp_path: Path
) -> None:
    goroot, source = get_goroot(version, LINUX), {"main.go": IMPORTS + PROGRAMS[name]}
    native = compiled(goroot, tmp_path, LINUX, flags=("-trimpath",), source=source)
    program = compiled(goroot, tmp_path, DARWIN, flags=("-trimpath",), source=source)
    (tmp_path / "scratch").mkdir()
    expected = subprocess.run([native], capture_output=True, check=False, env={"HOME": "/tmp"})
    traces = tmp_path / "first", tmp_path / "second"
    seen, again = (
        run_guest(tmp_path, f"/{program.name}", scratch=tmp_path / "scratch", cpus=cpus, trace=trace)
        for trace in traces
    )
    assert [each for each in seen.verdicts if each.kind != "signal"] == []
    assert seen.stdout.decode() == expected.stdout.decode()
    wanted = expected.returncode if expected.returncode >= 0 else 128 + NUMBERS[-expected.returncode]
    assert seen.code == wanted
    first = expected.stderr.splitlines()[:1]
    assert seen.stderr.splitlines()[:1] == first
    assert again == seen
    assert traces[0].read_bytes() == traces[1].read_bytes()


NUMBERS = {10: 30}
"""Darwin's number for a signal of Linux's, where they differ (SIGUSR1)."""
