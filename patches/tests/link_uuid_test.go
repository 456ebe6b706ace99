// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch link-uuid: what the linker makes for Darwin has an
// LC_UUID without being asked, the same one for the same build, and -B still
// decides. cmd/link has to be built from the patched source.
package proof

import (
	"debug/macho"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

const loadCmdUUID = 0x1b // LC_UUID, mach-o/loader.h

func TestTheLinkerWritesLCUUID(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte("package main\n\nfunc main() {}\n"), 0o666); err != nil {
		t.Fatal(err)
	}

	made := build(t, dir, "arm64", "")
	if made == "" {
		t.Fatal("a program for darwin/arm64 has no LC_UUID")
	}
	if made[12] != '3' {
		t.Errorf("the UUID %s is not of version 3, the one of hashes (RFC 4122, 4.1.3)", made)
	}
	if again := build(t, dir, "arm64", ""); again != made {
		t.Errorf("the same build has the UUID %s, and then %s", made, again)
	}
	if build(t, dir, "amd64", "") == "" {
		t.Error("a program for darwin/amd64 has no LC_UUID")
	}
	const given = "00112233445566778899aabbccddeeff"
	if got := build(t, dir, "arm64", "-B=0x"+given); got != given {
		t.Errorf("-B=0x%s gives the UUID %q", given, got)
	}
	if got := build(t, dir, "arm64", "-B=none"); got != "" {
		t.Errorf("-B=none gives the UUID %s", got)
	}
}

// build links a program, and returns its UUID as hexadecimal digits; "" if it has none.
func build(t *testing.T, dir, goarch, ldflags string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), "build", "-ldflags="+ldflags, "-o", "x", "x.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOOS=darwin", "GOARCH="+goarch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build -ldflags=%s: %v\n%s", ldflags, err, out)
	}
	file, err := macho.Open(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, load := range file.Loads {
		raw := load.Raw()
		if file.ByteOrder.Uint32(raw) == loadCmdUUID {
			return hex.EncodeToString(raw[8:24])
		}
	}
	return ""
}
