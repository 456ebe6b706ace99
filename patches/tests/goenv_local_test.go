// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch goenv-local: a go.mod line that asks for a newer Go is
// an error, not a download; the environment still decides.
package proof

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTheToolchainStays(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module x\n\ngo 1.99.1\n", "x.go": "package x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	// An empty GOTOOLCHAIN is none at all: go.env decides.
	if out, err := goCommand(dir, "", "env", "GOTOOLCHAIN"); err != nil || out != "local" {
		t.Errorf("go env GOTOOLCHAIN says %q, not local: %v", out, err)
	}
	out, err := goCommand(dir, "", "list", ".")
	if err == nil || !strings.Contains(out, "requires go >= 1.99.1") || !strings.Contains(out, "GOTOOLCHAIN=local") {
		t.Errorf("with go 1.99.1 in go.mod, go list says %q: %v", out, err)
	}
	if out, err := goCommand(dir, "auto", "env", "GOTOOLCHAIN"); err != nil || out != "auto" {
		t.Errorf("with GOTOOLCHAIN=auto, go env GOTOOLCHAIN says %q: %v", out, err)
	}
}

func goCommand(dir, toolchain string, words ...string) (string, error) {
	cmd := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), words...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN="+toolchain)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
