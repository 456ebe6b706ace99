# typed: strict
# frozen_string_literal: true

# Written by gobuild from the manifests of its builds.
# Homebrew installs no formula from a file, only from a tap. One of your own is enough:
#   brew tap-new --no-git you/local
#   cp go-acme@1.22.rb "$(brew --repository you/local)/Formula/"
#   brew install you/local/go-acme@1.22
class GoAcmeAT122 < Formula
  desc "Patched Go 1.22 toolchain"
  homepage "https://go.dev/"
  url "https://example.com/go1.22.10-acme1.p3f9c2a1.darwin-arm64.tar.gz"
  version "1.22.10-acme1.p3f9c2a1"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "BSD-3-Clause"

  livecheck do
    skip "Written anew with every release that serves its platforms"
  end

  keg_only "it stays on one line of Go, beside any other go"

  depends_on :macos

  on_macos do
    depends_on arch: :arm64
  end

  def install
    # Programs of other systems, kept as test data, would fail brew's audit of architectures.
    rm_r Dir["{src/debug/{dwarf,elf,macho,pe},src/runtime/pprof}/testdata"]
    libexec.install Dir["*"]
    bin.install_symlink Dir[libexec/"bin/go*"]
    # The name that GOTOOLCHAIN looks for on PATH before it downloads anything.
    bin.install_symlink libexec/"bin/go" => "go1.22.10-acme1.p3f9c2a1"
  end

  def caveats
    <<~EOS
      This is a patched Go: its go.env says GOTOOLCHAIN=local, so that no go.mod line can
      silently replace it by upstream's. GOTOOLCHAIN in the environment and `go env -w` still can.

      Use #{opt_libexec} as GOROOT: it stays the same when the formula is upgraded.
      Another Go, from 1.21 on, runs this one by GOTOOLCHAIN=go1.22.10-acme1.p3f9c2a1
      where #{opt_bin} is on PATH. The next upgrade takes that name away:
      keep it out of profiles and of go.mod files that stay.
    EOS
  end

  test do
    # Nothing of the user's may answer in the toolchain's place.
    ENV["GOENV"] = "off"
    %w[GOROOT GOFLAGS GOTOOLCHAIN GOOS GOARCH CGO_ENABLED CC CXX].each { |name| ENV.delete(name) }
    go = bin/"go"
    assert_equal "go1.22.10-acme1.p3f9c2a1", (libexec/"VERSION").read.lines.first.strip
    assert_match "go1.22.10-acme1.p3f9c2a1 ", shell_output("#{go} version")
    assert_match "go1.22.10-acme1.p3f9c2a1 ", shell_output("#{bin/"go1.22.10-acme1.p3f9c2a1"} version")
    assert_equal libexec.realpath.to_s, shell_output("#{go} env GOROOT").strip
    assert_equal "local", shell_output("#{go} env GOTOOLCHAIN").strip

    (testpath/"hello.go").write <<~GO
      package main

      import (
      	"os"
      	"runtime"
      )

      func main() {
      	os.Stdout.WriteString(runtime.Version() + " " + runtime.GOOS)
      }
    GO
    assert_match "go1.22.10-acme1.p3f9c2a1 ", shell_output("#{go} run hello.go")

    # cgo, where a C compiler really works: without the Command Line Tools a Mac has none.
    (testpath/"cgo.go").write <<~GO
      package main

      // #include <pthread.h>
      // static int answer(void) { return 42; }
      import "C"

      func main() {
      	if C.answer() != 42 {
      		panic("cgo")
      	}
      }
    GO
    (testpath/"answer.c").write "#include <pthread.h>\nint main(void) { return 0; }\n"
    if shell_output("$(#{go} env CC) -pthread -o answer answer.c 2>&1 && echo compiled || true").include?("compiled")
      rm "answer.c"
      with_env(CGO_ENABLED: "1") do
        system go, "run", "cgo.go"
      end
    end

    # A program for a Mac: of the right kind, and it loads no GPU library.
    with_env(GOOS: "darwin", GOARCH: "arm64", CGO_ENABLED: "0") do
      system go, "build", "-o", "hello", "hello.go"
    end
    program = (testpath/"hello").binread
    magic, cpu = program.unpack("VV")
    assert_equal [0xfeedfacf, 0x0100000c], [magic, cpu]
    assert_empty program.scan(/(?:Metal|IOKit|OpenGL)\.framework/)

    # A go.mod line that wants a newer Go does not replace this one.
    (testpath/"go.mod").write "module example.com/m\n\ngo 1.999\n"
    assert_match "GOTOOLCHAIN=local", shell_output("#{go} list 2>&1", 1)
  end
end
