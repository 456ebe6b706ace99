"""The text of a Homebrew formula, made from what is known of one release.

What brew demands of such a formula, as it was tried or by its source, is in the template and in the rules below.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import Manifest
from gobuild.core.render import render
from gobuild.core.settings import NAME, PATCH, SUFFIX
from gobuild.publish.homebrew.urls import TapUrls

OURS = "# Written by gobuild from the manifests of its builds."
"""The line by which a formula of ours is known: no other file of a tap is ever overwritten."""

CPUS = {"arm": "arm64", "intel": "x86_64"}
"""Homebrew's word for a CPU's block, and its word in `depends_on arch:`."""

SYSTEMS = {"darwin": "macos", "linux": "linux"}
"""Homebrew's word for each GOOS, in the order that `brew style` wants the blocks in."""

_STAMP = re.compile(rf"go[0-9]+\.[0-9]+(\.[0-9]+)?((rc|beta)[0-9]+)?(-{SUFFIX.pattern})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One platform's archive."""

    target: Target
    url: str
    sha256: str

    @property
    def cpu(self) -> str:
        """Homebrew's word for GOARCH, as in `on_arm`."""
        return "arm" if self.target.goarch == "arm64" else "intel"


Bottle = tuple[str, str]
"""Homebrew's tag of a platform, "arm64_big_sur", and the SHA-256 of its bottle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a formula says."""

    formula: str  # its name: "go-acme@1.22", or "go-acme" for the newest release
    version: GoVersion
    stamp: str
    downloads: tuple[Download, ...]
    pinned: bool  # whether the toolchain's go.env says GOTOOLCHAIN=local
    urls: TapUrls
    scheme: int = 0  # brew's version_scheme; a higher one is newer, whatever the version
    loose: bool = False  # whether it stands in no tap, from where brew installs nothing
    patches: tuple[str, ...] | None = None  # the names that the toolchain's own manifest must have; None asks nothing
    uuid: bool = False  # whether its linker writes LC_UUID by default
    cgo: bool | None = None  # whether it uses cgo where nothing is said; None where nobody knows
    bottles: tuple[Bottle, ...] = ()
    ended: str = ""  # YYYY-MM-DD: since when its line gets no fixes, where brew is to warn of that (deprecate!)

    @property
    def pkg_version(self) -> str:
        """Homebrew's version: the stamp without "go"."""
        return self.stamp.removeprefix("go")

    @property
    def versioned(self) -> bool:
        """Whether it is of one line of Go."""
        return "@" in self.formula

    @property
    def desc(self) -> str:
        """What it is, under 80 characters; never beginning with the formula's own name (`brew style`)."""
        line = f"Go {self.version.line}" if self.versioned else "Go"
        choices = (f"Patched {line} toolchain", f"Toolchain of {line} with patches")
        plain = self.formula.partition("@")[0].replace("-", "")
        return next(each for each in choices if not each.replace(" ", "").lower().startswith(plain))


def formula_name(name: str, version: GoVersion) -> str:
    """The name of a versioned formula: "go-acme@1.22"."""
    return f"{name}@{version.line}"


def formula_path(formula: str) -> str:
    """Where a formula stands in a tap."""
    return f"Formula/{formula}.rb"


def class_name(formula: str) -> str:
    """The Ruby class brew looks for in FORMULA.rb, as Formulary.class_s makes it: go-acme@1.22 is GoAcmeAT122."""
    name, at, version = formula.partition("@")
    words = "".join(word.capitalize() for word in name.split("-"))
    return words + ("AT" + version.replace(".", "") if at else "")


def tap_name(name: str) -> str:
    """What the README proposes to call the tap: "acme/go-acme" for go-acme. Whoever taps it may choose another."""
    return f"{name.removeprefix('go-')}/{name}"


def ruby(text: str) -> str:
    """A text as a Ruby string literal in which nothing is code: no `#{...}`, `#$x` or `#@x` is left."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise ConfigError(f"{text!r} cannot stand in a formula", "a text of one line")
    return '"' + re.sub(r'([\\"#])', r"\\\1", text) + '"'


def downloads(manifests: Iterable[Manifest], base_url: str) -> list[Download]:
    """The toolchain archives of outer manifests, as they are served below a URL."""
    found = []
    for manifest in manifests:
        for artifact in (each for each in manifest.artifacts if each.kind == "toolchain"):
            file = artifact.file
            _require(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file), f"{file!r} is no archive's name")
            url = f"{base_url.rstrip('/')}/{quote(file)}"
            found.append(Download(target=manifest.build.target, url=url, sha256=artifact.sha256))
    return found


def _require(good: object, otherwise: str, hint: str = "the manifest as gobuild wrote it") -> None:
    if not good:
        raise ConfigError(otherwise, hint)


def _require_usable(recipe: Recipe) -> None:
    """Refuses a value that no formula can have: each of them becomes a part of a program."""
    base, at, line = recipe.formula.partition("@")
    named = NAME.fullmatch(base) and base != "go" and line == (recipe.version.line if at else "")
    _require(named, f"{recipe.formula!r} is no formula's name", "lower-case words with hyphens, such as go-acme")
    of_release = _STAMP.fullmatch(recipe.stamp) and recipe.stamp.startswith(recipe.version.tag)
    _require(of_release, f"{recipe.stamp!r} is no stamp of {recipe.version.tag}")
    _require(
        recipe.versioned or recipe.version.stable,
        f"{recipe.stamp} is no release: Homebrew takes {recipe.version} for newer than the release it leads to",
        "the formula of a line, or wait for the release",
    )
    targets = [download.target for download in recipe.downloads]
    _require(targets and len(set(targets)) == len(targets), "a formula needs exactly one download for each platform")
    for name in recipe.patches or ():
        _require(PATCH.fullmatch(name), f"{name!r} is no patch's name", "lower-case words with hyphens")
    for sha256 in [each.sha256 for each in recipe.downloads] + [sha256 for _, sha256 in recipe.bottles]:
        _require(re.fullmatch("[0-9a-f]{64}", sha256), f"{sha256!r} is no SHA-256", "64 hex digits")
    if recipe.ended:
        _require(re.fullmatch(r"\d{4}-\d\d-\d\d", recipe.ended, re.ASCII), f"{recipe.ended!r} is no day", "YYYY-MM-DD")
    for tag, _ in recipe.bottles:
        _require(re.fullmatch("[a-z0-9_]+", tag), f"{tag!r} is no bottle's tag")


def _system_blocks(ordered: list[Download]) -> list[dict[str, Any]]:
    """What stands in `on_macos` and `on_linux`.

    Every platform must find a url or brew refuses the whole tap: so the first download stands at the top as the
    default, the others override it, and a platform that was not built is refused by `depends_on`.
    """
    blocks = []
    for goos, word in SYSTEMS.items():
        mine = [download for download in ordered if download.target.goos == goos]
        if mine:
            overrides = [each for each in mine if each != ordered[0]]
            only_cpu = CPUS[mine[0].cpu] if len(mine) == 1 else ""
            blocks.append({"word": word, "only_cpu": only_cpu, "overrides": overrides})
    return blocks


def _bottle_lines(bottles: Iterable[Bottle]) -> list[tuple[str, str]]:
    """The bottle block's lines in `brew style`'s order: Macs with arm64, other Macs, Linux; the digests in a column."""
    ordered = sorted(bottles, key=lambda bottle: ("linux" in bottle[0], not bottle[0].startswith("arm64")))
    width = max((len(tag) for tag, _ in ordered), default=0) + 2
    return [(f"{tag}: ".ljust(width), sha256) for tag, sha256 in ordered]


def render_formula(recipe: Recipe) -> str:
    """Makes the text of a formula's .rb file."""
    _require_usable(recipe)
    ordered = sorted(recipe.downloads, key=lambda download: (download.target.goos, download.cpu))
    return render(
        "formula.rb.j2",
        filters={"ruby": ruby},  # through which every value goes there
        recipe=recipe,
        ours=OURS,
        class_name=class_name(recipe.formula),
        default=ordered[0],
        systems=_system_blocks(ordered),
        bottles=_bottle_lines(recipe.bottles),
    )


def formula(name: str, version: GoVersion, stamp: str, downloads: Iterable[Download], *, pinned: bool) -> str:
    """Makes the formula of one line that stands beside the archives in dist/, in no tap yet."""
    recipe = Recipe(
        formula=formula_name(name, version),
        version=version,
        stamp=stamp,
        downloads=tuple(downloads),
        pinned=pinned,
        urls=TapUrls(),
        loose=True,
    )
    return render_formula(recipe)
