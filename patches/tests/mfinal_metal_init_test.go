// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch mfinal-metal-init: a program for darwin/arm64 that has
// a finalizer links nothing that talks to the GPU. Upstream's source passes
// without the patch; a source with a Metal hook fails until it is applied.
package proof

import (
	"debug/macho"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const program = `package main

import "runtime"

func main() {
	x := new([64]byte)
	runtime.SetFinalizer(x, func(*[64]byte) { println("finalized") })
	x = nil
	runtime.GC()
}
`

var gpu = regexp.MustCompile(`/(Metal|MetalKit|MetalPerformanceShaders|IOKit|IOSurface|OpenGL|OpenCL|QuartzCore|CoreGraphics)\.framework/`)

func TestAProgramLinksNoGPUFramework(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(program), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), "build", "-o", "x", "x.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	file, err := macho.Open(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(libraries, "\n"), "/libSystem.") {
		t.Errorf("the program links %q, and not libSystem: this is no program for macOS", libraries)
	}
	for _, library := range libraries {
		if gpu.MatchString(library) {
			t.Errorf("every program links %s", library)
		}
	}
}
