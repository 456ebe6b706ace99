// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch osinit-trace: a program writes four lines in order, with
// clocks that run forwards, when GOBUILD_TRACE=1 is in its environment, and
// none otherwise; and it is in a program for darwin/arm64 as well.
package proof

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const program = `package main

import (
	"os"
	"runtime"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		return // without any finalizer of its own
	}
	done := make(chan bool, 1)
	func() { runtime.SetFinalizer(new([64]byte), func(*[64]byte) { done <- true }) }()
	for i := 0; i < 200; i++ {
		runtime.GC()
		select {
		case <-done:
			println("finalized")
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	println("not finalized")
}
`

var (
	events = []string{"osinit begin", "osinit end", "finalizer goroutine begin", "finalizer goroutine ready"}
	line   = regexp.MustCompile(`^gobuild-trace: unix=(\d+)\.(\d{9}) mono=(\d+) (.+)$`)
)

func TestTheTraceIsWrittenWhereItIsAskedFor(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("there is no trace for " + runtime.GOOS)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(program), 0o666); err != nil {
		t.Fatal(err)
	}
	build(t, dir, "x")
	for _, asked := range [][]string{{"GOBUILD_TRACE=1"}, {"A=B", "GOBUILD_TRACE=1", "C="}} {
		start := time.Now()
		out := run(t, dir, asked)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != len(events)+1 || lines[len(events)] != "finalized" {
			t.Fatalf("with %q the program writes\n%s", asked, out)
		}
		last := int64(0)
		for i, event := range events {
			match := line.FindStringSubmatch(lines[i])
			if match == nil || match[4] != event {
				t.Fatalf("line %d is %q, not about %s", i+1, lines[i], event)
			}
			sec, _ := strconv.ParseInt(match[1], 10, 64)
			nsec, _ := strconv.ParseInt(match[2], 10, 64)
			if at := time.Unix(sec, nsec); at.Before(start.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("%s at %v, but the program ran from %v to %v", event, at, start, time.Now())
			}
			mono, _ := strconv.ParseInt(match[3], 10, 64)
			if mono < last || mono == 0 {
				t.Errorf("%s at %d, after something at %d", event, mono, last)
			}
			last = mono
		}
	}
	for _, not := range [][]string{{}, {"GOBUILD_TRACE="}, {"GOBUILD_TRACE=0"}, {"GOBUILD_TRACE=10"}, {"XGOBUILD_TRACE=1"}, {"GOBUILD_TRACE"}} {
		if out := run(t, dir, not); out != "finalized\n" {
			t.Errorf("with %q the program writes\n%s", not, out)
		}
	}
	if out := run(t, dir, nil, "GOBUILD_TRACE=1"); out != "" {
		t.Errorf("with GOBUILD_TRACE=1 as an argument the program writes\n%s", out)
	}

	build(t, dir, "mac", "GOOS=darwin", "GOARCH=arm64")
	mac, err := os.ReadFile(filepath.Join(dir, "mac"))
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range append(events, "GOBUILD_TRACE=1") {
		if !bytes.Contains(mac, []byte(event)) {
			t.Errorf("a program for darwin/arm64 does not hold the words %q", event)
		}
	}
}

func build(t *testing.T, dir, name string, target ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), "build", "-o", name, "x.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	cmd.Env = append(cmd.Env, target...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", target, err, out)
	}
}

// run runs the program with nothing but these in its environment, and returns all it writes.
func run(t *testing.T, dir string, env []string, words ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "x"), words...)
	cmd.Env = append([]string{}, env...) // not nil, which would be all of ours
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the program fails with %q: %v\n%s", env, err, out)
	}
	return string(out)
}
