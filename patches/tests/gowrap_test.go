// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch gowrap: the toolchain has the wrapper, it lets through
// what is allowed alone, and hands on an exit code.
package proof

import (
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestTheToolchainHasGowrap(t *testing.T) {
	gowrap := filepath.Join(runtime.GOROOT(), "pkg", "tool", runtime.GOOS+"_"+runtime.GOARCH, "gowrap")
	cmd := exec.Command(gowrap, "-env", "ALLOWED", "/bin/sh", "-c", "echo $ALLOWED$OTHER; exit 7")
	cmd.Env = []string{"ALLOWED=yes", "OTHER=no"}
	out, err := cmd.Output()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 7 || string(out) != "yes\n" {
		t.Errorf("pkg/tool's gowrap does not run a command: %q, %v", out, err)
	}
}
