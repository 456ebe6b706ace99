"""The formula: every platform finds a url, and nothing in it becomes code."""

import itertools
import subprocess
from pathlib import Path

import pytest
from needs import needs

from gobuild.errors import ConfigError
from gobuild.model import TARGETS, GoVersion, Target
from gobuild.publish.homebrew import Download, class_name, downloads, formula, formula_name, ruby

VERSION = GoVersion.parse("1.22.10")
STAMP = "go1.22.10-acme1.p3f9c2a1"

PROBE = r"""
# Loads a formula under one platform with just enough of Homebrew's words, and prints what it would download.
class Formula
  def self.test = nil  # or Ruby's own Kernel#test would answer
  def self.method_missing(name, *args, **words, &block)
    case name
    when :on_macos then block.call if ENV["OS"] == "darwin"
    when :on_linux then block.call if ENV["OS"] == "linux"
    when :on_arm then block.call if ENV["CPU"] == "arm64"
    when :on_intel then block.call if ENV["CPU"] == "amd64"
    when :depends_on then puts "depends #{args.first || words[:arch]}"
    when :url, :sha256, :version then (@said ||= {})[name] = args.first
    end
  end
  def self.said = @said
end
load ARGV[0]
said = Object.const_get(ARGV[1]).said
puts said[:url], said[:sha256], said[:version]
"""


def _download(target: Target) -> Download:
    digest = f"{TARGETS.index(target):x}" * 64
    return Download(target=target, url=f"https://example.com/{STAMP}.{target.dashed}.tar.gz", sha256=digest)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_ruby_finds_each_platforms_own_archive(tmp_path: Path, count: int) -> None:
    probe = tmp_path / "probe.rb"
    probe.write_text(PROBE)
    for chosen in itertools.combinations(TARGETS, count):
        path = tmp_path / "go-acme@1.22.rb"
        path.write_text(formula("go-acme", VERSION, STAMP, map(_download, chosen), pinned=True))
        for target in TARGETS:
            said = subprocess.run(
                [needs("ruby"), "-W0", probe, path, "GoAcmeAT122"],
                env={"OS": target.goos, "CPU": target.goarch},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
            # brew refuses the whole tap where a platform has no url, so there is always one.
            assert said[-1] == STAMP.removeprefix("go")
            if target in chosen:
                assert said[-3:-1] == [_download(target).url, _download(target).sha256]
            else:
                assert any(line.startswith("depends") for line in said)


def test_the_golden_formula() -> None:
    golden = Path(__file__).parent / "golden/go-acme@1.22.rb"
    text = formula("go-acme", VERSION, STAMP, [_download(Target.parse("darwin/arm64"))], pinned=True)
    assert text == golden.read_text()


def test_the_caveat_tells_of_gotoolchain_only_where_it_is_so() -> None:
    text = formula("go-acme", VERSION, STAMP, [_download(Target.parse("darwin/arm64"))], pinned=False)
    assert "GOTOOLCHAIN=local, so that" not in text


@pytest.mark.parametrize("text", ['a "b" \\ c', "#{`id`}", "#$0 #@x", "\\#{x}", "it's"])
def test_no_text_becomes_code(text: str) -> None:
    program = f"print {ruby(text)}"
    assert subprocess.run([needs("ruby"), "-e", program], capture_output=True, text=True, check=True).stdout == text


def test_a_text_of_two_lines_is_refused() -> None:
    with pytest.raises(ConfigError):
        ruby("a\nb")


def test_names() -> None:
    assert formula_name("go-acme", VERSION) == "go-acme@1.22"
    assert class_name("go-acme@1.22") == "GoAcmeAT122"


def test_bad_downloads_are_refused() -> None:
    one = _download(TARGETS[0])
    for bad in ([], [one, one], [Download(target=TARGETS[0], url="https://x", sha256="beef")]):
        with pytest.raises(ConfigError):
            formula("go-acme", VERSION, STAMP, bad, pinned=True)


def test_downloads_come_from_manifests() -> None:
    artifacts = [
        {"file": "go.tar.gz", "kind": "toolchain", "sha256": "a" * 64, "size": 1},
        {"file": "go.src.tar.gz", "kind": "source", "sha256": "b" * 64, "size": 1},
    ]
    (one,) = downloads([{"build": {"target": "linux/amd64"}, "artifacts": artifacts}], "https://example.com/dl/")
    assert one == Download(target=Target.parse("linux/amd64"), url="https://example.com/dl/go.tar.gz", sha256="a" * 64)
