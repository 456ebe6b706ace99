// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch toolchain-guard: whatever asks for another toolchain,
// the go command refuses, says how to override it, and does not run it; what
// needs no other toolchain goes on as before. cmd/go has to be built from the
// patched source.
package proof

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// other is a toolchain that is on PATH, where the go command looks first, and says when it is run.
const other = "go1.99.1"

const otherRuns = "the other toolchain runs"

type guarded struct {
	t     *testing.T
	dir   string // the module
	goenv string // what go env -w would write
}

func TestTheGoCommandDoesNotSwitch(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the other toolchain is a shell script")
	}
	g := &guarded{t: t, dir: t.TempDir(), goenv: filepath.Join(t.TempDir(), "env")}
	bin := t.TempDir()
	g.write(filepath.Join(bin, other), "#!/bin/sh\necho "+otherRuns+"\n")
	if err := os.Chmod(filepath.Join(bin, other), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	g.write(filepath.Join(g.dir, "x.go"), "package x\n")
	g.write(filepath.Join(g.dir, "dep", "go.mod"), "module example.com/dep\n\ngo 1.99.1\n")
	g.write(filepath.Join(g.dir, "dep", "dep.go"), "package dep\n")
	g.mod("go 1.20")

	g.refused("GOTOOLCHAIN="+other, []string{"GOTOOLCHAIN=" + other}, "list", ".")
	g.refused("GOTOOLCHAIN="+other+"+path", []string{"GOTOOLCHAIN=" + other + "+path"}, "list", ".")
	g.refused("GOTOOLCHAIN="+other, []string{"GOTOOLCHAIN=" + other, "GOBUILD_ALLOW_SWITCH=0"}, "build", ".")
	for _, mode := range []string{"GOTOOLCHAIN=auto", "GOTOOLCHAIN=path", "GOTOOLCHAIN=local+path"} {
		g.mod("go 1.20\n\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ./dep")
		g.refused("module ./dep", []string{mode}, "mod", "download") // which finds out later than the others do
		for _, lines := range []string{"go 1.99.1", "go 1.21\n\ntoolchain " + other} {
			g.mod(lines)
			g.refused("go.mod", []string{mode}, "list", ".")
		}
		g.mod("go 1.20")
	}
	g.write(g.goenv, "GOTOOLCHAIN="+other+"\nGOBUILD_ALLOW_SWITCH=1\n") // the file may not lift the guard
	g.refused("GOTOOLCHAIN="+other, nil, "list", ".")

	// From there, the user has to find the way back.
	version := g.answers(nil, "env", "GOVERSION")
	if out := g.answers(nil, "version"); !strings.HasPrefix(out, "go version "+version) {
		t.Errorf("go version says %q in the toolchain %s", out, version)
	}
	g.answers(nil, "env", "-u", "GOTOOLCHAIN")
	if out := g.answers(nil, "list", "."); out != "x" {
		t.Errorf("after go env -u GOTOOLCHAIN, go list says %q", out)
	}

	// This very toolchain, by whatever name, is no other.
	for _, same := range []string{"local", version, "auto", "path", "local+auto"} {
		if out := g.answers([]string{"GOTOOLCHAIN=" + same}, "list", "."); out != "x" {
			t.Errorf("with GOTOOLCHAIN=%s, go list says %q", same, out)
		}
	}

	g.mod("go 1.99.1")
	if out, err := g.run([]string{"GOTOOLCHAIN=local"}, "list", "."); err == nil || !strings.Contains(out, "requires go >= 1.99.1") {
		t.Errorf("with GOTOOLCHAIN=local, go list says %q: %v", out, err)
	}
	// Allowed, it switches as it always did.
	for _, toolchain := range []string{other, "auto", "path"} {
		if out := g.answers([]string{"GOTOOLCHAIN=" + toolchain, "GOBUILD_ALLOW_SWITCH=1"}, "list", "."); out != otherRuns {
			t.Errorf("with GOTOOLCHAIN=%s and GOBUILD_ALLOW_SWITCH=1, go list says %q", toolchain, out)
		}
	}
}

// refused checks that the go command fails with the guard's words, which name what asks for the other toolchain.
func (g *guarded) refused(by string, env []string, words ...string) {
	g.t.Helper()
	out, err := g.run(env, words...)
	if err == nil || strings.Contains(out, otherRuns) {
		g.t.Errorf("with %q, go %q is not refused: %q", env, words, out)
		return
	}
	if strings.Contains(out, "go: go: ") {
		g.t.Errorf("with %q, go %q says twice who speaks: %q", env, words, out)
	}
	for _, want := range []string{"go: refusing to switch to ", " as " + by, "GOBUILD_ALLOW_SWITCH=1"} {
		if !strings.Contains(out, want) {
			g.t.Errorf("with %q, go %q does not say %q: %q", env, words, want, out)
		}
	}
}

// answers returns what the go command says, which must not fail.
func (g *guarded) answers(env []string, words ...string) string {
	g.t.Helper()
	out, err := g.run(env, words...)
	if err != nil {
		g.t.Fatalf("with %q, go %q fails: %v\n%s", env, words, err, out)
	}
	return out
}

func (g *guarded) run(env []string, words ...string) (string, error) {
	cmd := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), words...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "GOENV="+g.goenv, "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=", "GOBUILD_ALLOW_SWITCH=")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (g *guarded) mod(lines string) {
	g.t.Helper()
	g.write(filepath.Join(g.dir, "go.mod"), "module x\n\n"+lines+"\n")
}

func (g *guarded) write(path, text string) {
	g.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		g.t.Fatal(err)
	}
}
