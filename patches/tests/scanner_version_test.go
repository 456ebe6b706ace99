// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch scanner-version: where scanners for known vulnerabilities
// look, a toolchain with a suffix has its release's version, and its own stands
// beside it; where the go command tells toolchains apart, it keeps its own.
// cmd/go and cmd/link have to be built from the patched source.
package proof

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const program = `package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

func main() {
	info, ok := debug.ReadBuildInfo()
	fmt.Println(runtime.Version(), ok, info.GoVersion)
}
`

// release is upstream's version, whatever this toolchain calls itself.
var release = regexp.MustCompile(`^go1[.0-9]+((rc|beta)[0-9]+)?`).FindString(runtime.Version())

// a version of a program, and what scanners are to read: the version, and ours beside it
var versions = []struct{ whole, version, ours string }{
	{release + "-proof.p1234567", release, release + "-proof.p1234567"},
	{release + "-proof1 X:rangefunc", release + " X:rangefunc", release + "-proof1"},
	{release, release, ""},
	{"go1.99-devel_abcdef", "go1.99-devel_abcdef", ""},
	{"devel go1.99-abcdef", "devel go1.99-abcdef", ""},
}

func TestScannersReadTheRelease(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module x\n\ngo 1.20\n")
	write(t, filepath.Join(dir, "x.go"), program)
	bin := filepath.Join(dir, "x")
	for _, goos := range []string{runtime.GOOS, "darwin"} {
		for i, want := range versions {
			if i > 0 && goos != runtime.GOOS {
				break // the linker writes it for all systems alike
			}
			run(t, dir, []string{"GOOS=" + goos, "GOARCH=arm64"}, goCommand(), "build", flag(want.whole), "-o", bin, ".")
			info, err := buildinfo.ReadFile(bin)
			if err != nil {
				t.Fatal(err)
			}
			ours, path := "", ""
			for _, setting := range info.Settings {
				if setting.Key == "gobuild_version" {
					ours += setting.Value
				}
				if setting.Key == "GOOS" {
					path = setting.Value
				}
			}
			if info.GoVersion != want.version || ours != want.ours || path != goos || info.Path != "x" {
				t.Errorf("%s for %s: scanners read %q, and %q as ours (%q for %q)", want.whole, goos, info.GoVersion, ours, info.Path, path)
			}
		}
	}
	run(t, dir, nil, goCommand(), "build", flag(versions[0].whole), "-o", bin, ".")
	if out := run(t, dir, nil, bin); out != versions[0].whole+" true "+versions[0].whole {
		t.Errorf("the program itself says %q", out)
	}
}

func TestTheGoCommandKeepsItsName(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "go")
	ours := release + "-proof1"
	run(t, dir, nil, goCommand(), "build", flag(ours), "-o", made, "cmd/go")
	if out := run(t, dir, nil, made, "env", "GOVERSION"); out != release {
		t.Errorf("go env GOVERSION is %q", out)
	}
	for _, name := range []string{"local", release, ours, release + "+auto", "path"} {
		if out := run(t, dir, []string{"GOTOOLCHAIN=" + name}, made, "version"); !strings.HasPrefix(out, "go version "+ours+" ") {
			t.Errorf("with GOTOOLCHAIN=%s, go version says %q", name, out)
		}
	}
	cmd := command(dir, []string{"GOTOOLCHAIN=" + release + "-other1"}, made, "list", "errors")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("another toolchain's name is taken for this one: %q", out)
	}
}

func flag(version string) string {
	return "-ldflags=-X 'runtime.buildVersion=" + version + "'"
}

func goCommand() string {
	return filepath.Join(runtime.GOROOT(), "bin", "go")
}

func command(dir string, env []string, words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
		"GOROOT="+runtime.GOROOT())
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func run(t *testing.T, dir string, env []string, words ...string) string {
	t.Helper()
	out, err := command(dir, env, words...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", words, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
