# typed: strict
# frozen_string_literal: true

# Written by gobuild from the manifests of its builds.
class GoAcmeAT122 < Formula
  desc "Patched Go 1.22 toolchain"
  homepage "https://go.dev/"
  url "https://example.com/go1.22.10-acme1.p3f9c2a1.darwin-arm64.tar.gz"
  version "1.22.10-acme1.p3f9c2a1"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "BSD-3-Clause"

  keg_only :versioned_formula

  depends_on :macos

  on_macos do
    depends_on arch: :arm64
  end

  def install
    # Programs of other systems, kept as test data, would fail brew's audit of architectures.
    rm_r Dir["src/debug/{dwarf,elf,macho,pe}/testdata", "src/runtime/pprof/testdata"]
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
    EOS
  end

  test do
    (testpath/"hello.go").write <<~GO
      package main

      import (
      	"fmt"
      	"runtime"
      )

      func main() {
      	fmt.Println(runtime.Version())
      }
    GO
    ENV["GOENV"] = "off"
    ENV["GOTOOLCHAIN"] = "local"
    assert_match "go1.22.10-acme1.p3f9c2a1", shell_output("#{bin}/go version")
    assert_equal "go1.22.10-acme1.p3f9c2a1", shell_output("#{bin}/go run hello.go").strip
  end
end
