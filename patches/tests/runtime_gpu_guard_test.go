// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

// Proof of the patch runtime-gpu-guard: the runtime's own tests pass as it
// is, and fail, naming file, line and framework, when somebody brings a
// framework that talks to the GPU into it.
package proof

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const guard = "TestNoGPUFrameworkImports"

// brought is what somebody might bring in, and the words in which the guard has to say so; none: it has to pass.
var brought = []struct{ name, file, text, want string }{
	{"import", "zz_metal_darwin.go",
		"//go:cgo_import_dynamic libc_X X \"/System/Library/Frameworks/Metal.framework/Versions/A/Metal\"\n",
		"zz_metal_darwin.go:3: links the framework Metal"},
	{"bare import", "zz_iokit_windows.go",
		"//go:cgo_import_dynamic _ _ \"/System/Library/Frameworks/IOKit.framework/Versions/A/IOKit\"\n",
		"zz_iokit_windows.go:3: links the framework IOKit"},
	{"flag", "zz_flag_ios.go",
		"//go:cgo_ldflag \"-framework\"\n//go:cgo_ldflag \"OpenGL\"\n",
		"zz_flag_ios.go:4: links the framework OpenGL"},
	{"cgo", filepath.Join("cgo", "zz_metal.go"),
		"/*\n#cgo darwin LDFLAGS: -framework QuartzCore -framework Metal\n*/\nimport \"C\"\n",
		filepath.Join("cgo", "zz_metal.go") + ":4: links the framework Metal"},
	{"comment", "zz_comment_darwin.go",
		"// Once there was: //go:cgo_import_dynamic libc_X X \"/System/Library/Frameworks/Metal.framework/Versions/A/Metal\"\n",
		""},
	{"string", "zz_string_darwin.go",
		"const x = `\n//go:cgo_import_dynamic libc_X X \"/System/Library/Frameworks/Metal.framework/Versions/A/Metal\"\n`\n",
		""},
}

func TestTheGuardFailsWhenAFrameworkIsBroughtBack(t *testing.T) {
	goroot, dir := runtime.GOROOT(), t.TempDir()
	if !has(t, filepath.Join(goroot, "src", "runtime"), "func "+guard+"(") {
		t.Fatalf("the tests of the runtime have no %s", guard) // nothing to build, which takes a while
	}
	binary := filepath.Join(dir, "runtime.test")
	build := exec.Command(filepath.Join(goroot, "bin", "go"), "test", "-c", "-o", binary, "runtime")
	build.Dir = filepath.Join(goroot, "src")
	build.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c runtime: %v\n%s", err, out)
	}

	out, failed := run(binary, filepath.Join(goroot, "src", "runtime"))
	if failed != nil || !strings.Contains(out, "--- PASS: "+guard) {
		t.Fatalf("%s does not pass on the runtime as it is: %v\n%s", guard, failed, out)
	}

	copied := filepath.Join(dir, "src", "runtime")
	for _, sub := range []string{"", "cgo"} {
		copyGo(t, filepath.Join(goroot, "src", "runtime", sub), filepath.Join(copied, sub))
	}
	for _, one := range brought {
		path := filepath.Join(copied, one.file)
		text := "package " + filepath.Base(filepath.Dir(path)) + "\n\n" + one.text
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		out, failed := run(binary, copied)
		if one.want == "" && failed != nil {
			t.Errorf("%s: %s fails: %v\n%s", one.name, guard, failed, out)
		}
		if one.want != "" && (failed == nil || !strings.Contains(out, one.want)) {
			t.Errorf("%s: %s does not say %q: %v\n%s", one.name, guard, one.want, failed, out)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// has reports whether one of a package's test files holds a text.
func has(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}

// run runs the guard alone, on the runtime in a folder, as go test would.
func run(binary, dir string) (string, error) {
	cmd := exec.Command(binary, "-test.run=^"+guard+"$", "-test.v")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}

func copyGo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o777); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(from, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", from, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
