"""The formula: every platform finds a url, brew's style is kept, and nothing in it becomes code."""

import hashlib
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.builds import captured
from needs import needs
from toy_manifest import structured, toy_manifest

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import TARGETS, GoVersion, Target
from gobuild.core.manifest import ArtifactRecord
from gobuild.publish.homebrew import Download, TapUrls, downloads, formula, tap_remote
from gobuild.publish.homebrew.formula import Recipe, render_formula, ruby
from gobuild.publish.homebrew.formula_spec import parse_formula

VERSION = GoVersion.parse("1.22.10")
STAMP = "go1.22.10-acme1.p3f9c2a1"

PORT = "https://git.acme.example:8443/it/homebrew-own.git"

HARNESS = Path(__file__).parents[1] / "e2e/brew.rb"


def _evaluated(folder: Path, name: str, text: str) -> dict[Target, dict[str, Any]]:
    """What plain Ruby finds in a formula on each platform; the harness refuses what brew was seen to refuse."""
    (folder / f"{name}.rb").write_text(text)
    found = json.loads(captured(needs("ruby"), "-W0", HARNESS, folder / f"{name}.rb").stdout)["platforms"]
    systems, cpus = {"darwin": "macos", "linux": "linux"}, {"arm64": "arm", "amd64": "intel"}
    return {target: found[f"{systems[target.goos]}-{cpus[target.goarch]}"] for target in TARGETS}


def _download(target: Target) -> Download:
    digest = f"{TARGETS.index(target):x}" * 64
    return Download(target=target, url=f"https://example.com/{STAMP}.{target.dashed}.tar.gz", sha256=digest)


CHOICES = [chosen for count in (1, 2, 3, 4) for chosen in itertools.combinations(TARGETS, count)]


@pytest.mark.parametrize("chosen", CHOICES, ids=lambda chosen: "+".join(target.dashed for target in chosen))
def test_ruby_finds_each_platforms_own_archive(tmp_path: Path, chosen: tuple[Target, ...]) -> None:
    text = formula("go-acme", VERSION, STAMP, map(_download, chosen), pinned=True)
    for target, found in _evaluated(tmp_path, "go-acme@1.22", text).items():
        # brew refuses the whole tap where a platform has no url, so there is always one.
        assert found["version"] == STAMP.removeprefix("go")
        if target in chosen:
            assert (found["url"], found["sha256"]) == (_download(target).url, _download(target).sha256)
        # One of several requirements that a platform does not meet is enough for brew to refuse it.
        mine = [
            {"darwin": "macos"}.get(target.goos, "linux"),
            {"arch": {"amd64": "x86_64"}.get(target.goarch, "arm64")},
        ]
        assert (target in chosen) is all(required in mine for required in found["deps"])


def test_the_golden_formula() -> None:
    golden = Path(__file__).parents[1] / "golden/go-acme@1.22.rb"
    text = formula("go-acme", VERSION, STAMP, [_download(Target.parse("darwin/arm64"))], pinned=True)
    assert text == golden.read_text()


def test_the_caveat_tells_of_gotoolchain_only_where_it_is_so() -> None:
    text = formula("go-acme", VERSION, STAMP, [_download(Target.parse("darwin/arm64"))], pinned=False)
    assert "GOTOOLCHAIN=local, so that" not in text


CAVEATS = r"""
class Formula
  def self.test = nil  # or Ruby's own Kernel#test would answer
  def self.method_missing(*) = nil
  def tap = "acme/tools"
  def full_name = "acme/tools/#{ARGV[1]}"
  def opt_libexec = "/opt/x/libexec"
  def opt_bin = "/opt/x/bin"
end
HOMEBREW_PREFIX = "/opt"
load ARGV[0]
puts Object.const_get(ARGV[2]).new.caveats
"""


@pytest.mark.parametrize("url", ["https://go.acme.example/homebrew-go-acme.git", ""])
def test_the_caveats_name_the_tap_that_it_came_from(tmp_path: Path, url: str) -> None:
    """Not one made up from --name: brew itself knows what it was tapped as.

    By its URL, since Homebrew 6.0.18 and 7.0.0 know a tap with one by that: after `brew trust gobuild/go-gobuild`,
    7.0.0's `brew tap gobuild/go-gobuild URL` says "Error: Cannot tap gobuild/go-gobuild: invalid syntax in tap!".
    """
    (tmp_path / "f.rb").write_text(render_formula(replace(RECIPE, urls=TapUrls(tap=url))))
    (tmp_path / "caveats.rb").write_text(CAVEATS)
    words = (tmp_path / "caveats.rb", tmp_path / "f.rb", "go-acme@1.22", "GoAcmeAT122")
    said = captured(needs("ruby"), "-W0", *words).stdout
    lines = [line.strip() for line in said.splitlines()]
    at = lines.index(f"brew trust {url or 'acme/tools'}")
    assert lines[at + 1 : at + 3] == [f"brew tap acme/tools {url}".strip(), "brew install acme/tools/go-acme@1.22"]
    assert "acme/go-acme" not in said.replace("acme/tools/go-acme", "").replace(url, "")
    assert "/opt/x/bin is on PATH. The next upgrade takes that name away" in said and "export GOTOOLCHAIN" not in said


def test_what_stands_in_no_tap_says_how_it_is_installed() -> None:
    """Homebrew 6.0.18, `brew install dist/go-gobuild@1.23.rb`: "Error: Homebrew requires formulae to be in a tap"."""
    loose = formula("go-acme", VERSION, STAMP, [_download(TARGETS[0])], pinned=True)
    assert "#   brew install you/local/go-acme@1.22\n" in loose.partition("class ")[0]
    assert "brew tap-new" not in render_formula(RECIPE)


@pytest.mark.parametrize(
    ("remote", "tap", "url"),
    [
        ("https://github.com/Acme/homebrew-own.git", "acme/own", ""),
        ("git@github.com:acme/homebrew-own", "acme/own", ""),
        ("https://x-access-token:ghp_secret@github.com/acme/homebrew-own", "acme/own", ""),
        ("https://ghp_secret@github.com/acme/tools.git", "acme/tools", "https://github.com/acme/tools.git"),
        ("https://ann:secret@git.acme.example:8443/it/homebrew-own.git?token=secret", "it/own", PORT),
        ("ssh://secret@git.acme.example/a/it/homebrew-own", "it/own", "ssh://git@git.acme.example/a/it/homebrew-own"),
        ("secret@git.acme.example:it/own", "it/own", "ssh://git@git.acme.example/it/own"),
        ("https://git.acme.example/own.git", "", "https://git.acme.example/own.git"),
        ("https://git.acme.example/a b/$(secret)", "", ""),
        ("/srv/secret/homebrew-own.git", "", ""),
        ("file:///srv/secret.git", "", ""),
        ("../secret", "", ""),
        ("ext::sh -c secret", "", ""),
        ("https://x:secret@h:port/a/b", "", ""),
        ("", "", ""),
    ],
)
def test_what_a_remote_is_called(remote: str, tap: str, url: str) -> None:
    assert tap_remote(remote) == (tap, url)
    assert "secret" not in f"{tap}{url}"
    assert render_formula(replace(RECIPE, urls=TapUrls(tap_name=tap, tap=url)))


@pytest.mark.parametrize("text", ['a "b" \\ c', "#{`id`}", "#$0 #@x", "\\#{x}", "it's"])
def test_no_text_becomes_code(text: str) -> None:
    assert captured(needs("ruby"), "-e", f"print {ruby(text)}").stdout == text


@pytest.mark.parametrize("separator", ["\n", "\r", "\x00", "\x1b", "\x85", "\u2028"])
def test_a_text_with_a_control_character_is_refused(separator: str) -> None:
    with pytest.raises(ConfigError):
        ruby(f"a{separator}b")


RECIPE = Recipe(
    formula="go-acme@1.22",
    version=VERSION,
    stamp=STAMP,
    downloads=tuple(map(_download, TARGETS)),
    pinned=True,
    urls=TapUrls(bottles="https://example.com/go/bottles", page="https://example.com/go", tap_name="acme/go-acme"),
    patches=("link-uuid", "goenv-local"),
    uuid=True,
    cgo=False,
    bottles=tuple(
        (tag, f"{at}" * 64) for at, tag in enumerate(("x86_64_linux", "arm64_linux", "big_sur", "arm64_big_sur"))
    ),
)
KINDS = {
    "all": RECIPE,
    "scheme": replace(RECIPE, scheme=2),
    "ended": replace(RECIPE, ended="2025-02-11"),
    "the newest": replace(RECIPE, formula="go-acme"),
    "two systems": replace(RECIPE, downloads=(_download(TARGETS[0]), _download(TARGETS[2])), bottles=()),
    "three": replace(RECIPE, downloads=tuple(map(_download, TARGETS[:3])), cgo=None, patches=None, uuid=False),
    "linux": replace(RECIPE, downloads=(_download(TARGETS[3]),), pinned=False, urls=TapUrls(), bottles=()),
}


def test_rubocop_finds_nothing(tmp_path: Path) -> None:
    for kind, recipe in KINDS.items():
        path = tmp_path / f"{kind}/Formula/{recipe.formula}.rb"
        path.parent.mkdir(parents=True)
        path.write_text(render_formula(recipe))
    words = ("--cache", "false", "--config", Path(__file__).parents[1] / "data/rubocop.yml", tmp_path)
    done = captured(needs("rubocop"), *words, cwd=tmp_path, ok=False)
    assert f"{len(KINDS)} files inspected, no offenses detected" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_harness_finds_nothing(tmp_path: Path, kind: str) -> None:
    _evaluated(tmp_path, KINDS[kind].formula, render_formula(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_formula_can_be_read_again(kind: str) -> None:
    recipe = KINDS[kind]
    spec = parse_formula(render_formula(recipe))
    assert (spec.version, spec.scheme, spec.ended) == (STAMP[2:], recipe.scheme, recipe.ended)
    assert set(spec.downloads) == set(recipe.downloads) and set(spec.bottles) == set(recipe.bottles)
    files = dict(spec.files(recipe.formula))
    assert len(files) == len(recipe.downloads) + len(recipe.bottles)
    name = f"{recipe.formula.replace('@', '%40')}-{STAMP[2:]}.big_sur.bottle.tar.gz"
    assert not recipe.bottles or files[f"{recipe.urls.bottles}/{name}"] == "2" * 64


@pytest.mark.parametrize(
    ("line", "instead", "why"),
    [
        ("# Written by gobuild", "# Written by somebody", "gobuild did not write it"),
        ('  version "', '  version "v', "does not say what it installs"),
        ('  version "1.22.10-', '  version "1.22.11-', "is no archive of go1.22.11-"),
        ('    root_url "https://', '    root_url "#{`id`}https://', "does not say what it installs"),
        ("linux-arm64.tar.gz", "linux-386.tar.gz", "linux-386.tar.gz' is no archive of"),
        ("linux-arm64.tar.gz", "linux-arm64.tar.gz#{x}", "a url or sha256 that gobuild would not write"),
        ('sha256 "2', 'sha256 "0x', "a url or sha256 that gobuild would not write"),
        ("arm64_linux: ", '"arm64_linux": ', "a url or sha256 that gobuild would not write"),
        ("  def install", '  resource "x" do\n    url "https://x"\n  end\n\n  def install', "a url or sha256 that"),
    ],
)
def test_a_formula_that_somebody_changed_is_not_guessed_at(line: str, instead: str, why: str) -> None:
    text = render_formula(RECIPE)
    assert line in text
    with pytest.raises(ConfigError, match=re.escape(why)):
        parse_formula(text.replace(line, instead, 1))


def test_bottles_stand_in_brews_order_and_columns() -> None:
    lines = [line for line in render_formula(RECIPE).splitlines() if "cellar:" in line]
    tags = ["arm64_big_sur: ", "big_sur:       ", "arm64_linux:   ", "x86_64_linux:  "]
    assert lines == [
        f'    sha256 cellar: :any_skip_relocation, {tag}"{digit * 64}"' for tag, digit in zip(tags, "3210", strict=True)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"formula": "go"},
        {"formula": "go-acme@1.27"},
        {"formula": "go-acme\n@1.22"},
        {"formula": "Go"},
        {"stamp": 'go1.22.10-a"; `id`'},
        {"stamp": "go1.22.10-#{`id`}"},
        {"stamp": "go1.27.3-acme1"},
        {"patches": ("a] + [`id`",)},
        {"bottles": (("x: `id`, y", "0" * 64),)},
        {"bottles": (("big_sur", "#{`id`}"),)},
        {"formula": "go-acme", "version": GoVersion.parse("1.28rc1"), "stamp": "go1.28rc1-acme1"},
        {"downloads": ()},
        {"downloads": (_download(TARGETS[0]), _download(TARGETS[0]))},
        {"downloads": (Download(target=TARGETS[0], url="https://x", sha256="beef"),)},
    ],
)
def test_what_is_no_formula_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        render_formula(replace(RECIPE, **change))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://ann:hunter2@dl.example.com/go", "names a user"),
        ("https://x.example/#{`id`}", "no URL for a tap"),
        ("https://x.example/a b", "no URL for a tap"),
        ("https://x.example/$(id)", "no URL for a tap"),
        ("ssh://git@x.example/a;id", "names a user"),
        ("ftp://x.example", "no URL for a tap"),
        ("https://x/../y", "no URL for a tap"),
    ],
)
def test_a_hostile_url_is_refused_and_a_password_in_it_is_not_printed(url: str, why: str) -> None:
    for words in ({"archives": url}, {"archives": "https://x", "bottles": url}, {"archives": "https://x", "tap": url}):
        with pytest.raises(ConfigError, match=why) as caught:
            TapUrls(**words)
        assert "hunter2" not in str(caught.value)


def test_hostile_urls_are_text(tmp_path: Path) -> None:
    url = 'https://example.com/"; raise "#{raise} #$0 #@x\\'
    download = Download(target=TARGETS[0], url=url, sha256="0" * 64)
    text = render_formula(replace(RECIPE, downloads=(download,)))
    for said in _evaluated(tmp_path, RECIPE.formula, text).values():
        assert said["url"] == url


@pytest.mark.parametrize("name", ["patched-go", "toolchain-of-go", "p", "t", "go-acme"])
def test_the_description_does_not_begin_with_the_name(name: str) -> None:
    for named in (name, f"{name}@1.22"):
        desc = replace(RECIPE, formula=named).desc
        assert not desc.lower().replace(" ", "").startswith(name.replace("-", ""))
        assert desc[0].isupper() and len(f"{named}: {desc}") < 80


MANIFEST = structured(toy_manifest("go1.22.10-x", "linux/amd64", {"go1.22.10-x.linux-amd64.tar.gz": b"t"}))


@pytest.mark.parametrize("file", ["../x.tar.gz", "a/b.tar.gz", "a b.tar.gz", "#{x}", ""])
def test_a_hostile_file_name_is_refused(file: str) -> None:
    told = replace(MANIFEST, artifacts=(ArtifactRecord(file=file, kind="toolchain", sha256="a" * 64, size=1),))
    with pytest.raises(ConfigError):
        downloads([told], "https://example.com")


def test_downloads_come_from_manifests() -> None:
    (one,) = downloads([MANIFEST], "https://example.com/dl/")
    url = "https://example.com/dl/go1.22.10-x.linux-amd64.tar.gz"
    assert one == Download(target=Target.parse("linux/amd64"), url=url, sha256=hashlib.sha256(b"t").hexdigest())
