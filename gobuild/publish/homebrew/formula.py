"""A Homebrew formula: what is known of one release comes in, the formula's text goes out.

It reads and writes no file but the template, and runs no brew: what brew was seen to demand of such a formula, or
demands in its source, is in the template and in the rules below.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from gobuild.core.errors import ConfigError
from gobuild.core.manifest import Manifest
from gobuild.core.model import GoVersion, Target
from gobuild.core.render import render
from gobuild.core.settings import NAME, PATCH, SUFFIX

OURS = "# Written by gobuild from the manifests of its builds."
"""The line by which a formula of ours is known: no other file of a tap is ever overwritten."""

CPUS = {"arm": "arm64", "intel": "x86_64"}
"""Homebrew's word for a CPU's block, and its word in `depends_on arch:`."""

SYSTEMS = {"darwin": "macos", "linux": "linux"}
"""Homebrew's word for each GOOS, in the order that `brew style` wants the blocks in."""

MOVED = ("LICENSE", "README.md")
"""The files that brew moves from libexec to the keg's top (metafiles.rb) and that Go's archives may have."""

TEST_DATA = ("src/debug/dwarf", "src/debug/elf", "src/debug/macho", "src/debug/pe", "src/runtime/pprof")
"""Packages whose testdata/ holds programs of other systems, which `brew audit --strict` refuses in a keg."""

HOMEPAGE = "https://go.dev/"

KEG_ONLY = "it stays on one line of Go, beside any other go"
"""Why a versioned formula is keg-only. Not `:versioned_formula`: for that reason alone brew loads the sibling NAME with
NAME@1.22 (formula.rb, link_overwrite_formulae_names), and refuses it where its tap is not trusted."""

_URL = re.compile(r"(https?://[A-Za-z0-9]|file:///)[A-Za-z0-9._~:/@%+=,\[\]-]*")
_SSH = re.compile(r"ssh://git@[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/+-]+")
_STAMP = re.compile(rf"go[0-9]+\.[0-9]+(\.[0-9]+)?((rc|beta)[0-9]+)?(-{SUFFIX.pattern})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One platform's archive.

    Attributes:
        target: what it runs on.
        url: where it is served.
        sha256: 64 hex digits, of the bytes that are served.
    """

    target: Target
    url: str
    sha256: str

    @property
    def cpu(self) -> str:
        """Homebrew's word for GOARCH, as in `on_arm`."""
        return "arm" if self.target.goarch == "arm64" else "intel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poured:
    """One platform's bottle, as the `bottle do` block tells of it.

    Attributes:
        tag: Homebrew's name of the platform: "arm64_big_sur".
        sha256: 64 hex digits.
    """

    tag: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One operating system's block of the formula.

    Every platform must find a url or brew refuses the whole tap: so one download stands at the top as the default,
    the others override it, and a platform that was not built is refused by `depends_on`.

    Attributes:
        word: Homebrew's word for GOOS.
        only_cpu: what `depends_on arch:` must ask for, empty where both were built.
        overrides: the downloads that are not the formula's default.
    """

    word: str
    only_cpu: str
    overrides: tuple[Download, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a formula says.

    Attributes:
        formula: its name: "go-acme@1.22", or "go-acme" for the newest release.
        version: the Go release.
        stamp: what the toolchain calls itself.
        downloads: one for each platform that was built; at least one.
        pinned: whether the toolchain's go.env says GOTOOLCHAIN=local.
        page: the page that lists the releases; "" where none is served.
        scheme: brew's version_scheme; a higher one is newer, whatever the version.
        tap: what the tap is called, "acme/go-acme"; "" where that is not known.
        tap_url: what `brew tap` needs beside the name, "" for nothing.
        loose: whether it stands in no tap, from where brew installs nothing.
        patches: the names of the patches that the toolchain's own manifest must tell of; None asks nothing.
        uuid: whether its linker writes LC_UUID by default.
        cgo: whether it uses cgo where nothing is said; None where nobody knows.
        root_url: where the bottles are served.
        bottles: one for each platform that has one.
    """

    formula: str
    version: GoVersion
    stamp: str
    downloads: tuple[Download, ...]
    pinned: bool
    page: str = ""
    scheme: int = 0
    tap: str = ""
    tap_url: str = ""
    loose: bool = False
    patches: tuple[str, ...] | None = None
    uuid: bool = False
    cgo: bool | None = None
    root_url: str = ""
    bottles: tuple[Poured, ...] = ()

    @property
    def name(self) -> str:
        """The formula's name without a version."""
        return self.formula.partition("@")[0]

    @property
    def versioned(self) -> bool:
        """Whether it is of one line of Go."""
        return "@" in self.formula

    @property
    def desc(self) -> str:
        """What it is, under 80 characters; never beginning with the formula's own name (`brew style`)."""
        line = f"Go {self.version.line}" if self.versioned else "Go"
        choices = (f"Patched {line} toolchain", f"Toolchain of {line} with patches")
        plain = self.name.replace("-", "")
        return next(each for each in choices if not each.replace(" ", "").lower().startswith(plain))


def formula_name(name: str, version: GoVersion) -> str:
    """The name of a versioned formula: "go-acme@1.22"."""
    return f"{name}@{version.line}"


def class_name(formula: str) -> str:
    """The Ruby class brew looks for in FORMULA.rb, as Formulary.class_s makes it: go-acme@1.22 is GoAcmeAT122."""
    name, at, version = formula.partition("@")
    words = "".join(word.capitalize() for word in name.split("-"))
    return words + ("AT" + version.replace(".", "") if at else "")


def tap_name(name: str) -> str:
    """What the README proposes to call the tap: "acme/go-acme" for go-acme. Whoever taps it may choose another."""
    return f"{name.removeprefix('go-')}/{name}"


def ruby(text: str) -> str:
    """A text as a Ruby string literal in which nothing is code: no `#{...}`, `#$x` or `#@x` is left.

    Raises:
        ConfigError: the text has a control character.
    """
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise ConfigError(f"{text!r} cannot stand in a formula", "a text of one line")
    return '"' + re.sub(r'([\\"#])', r"\\\1", text) + '"'


def served(url: str) -> str:
    """A URL that may stand in a formula, a README and a shell's command line as it is.

    Raises:
        ConfigError: it has a character that one of them would act upon.
    """
    if "@" in urlsplit(url).netloc:
        where = urlsplit(url).hostname or "it"  # never the URL itself: it may hold a password
        raise ConfigError(f"the URL at {where} names a user, and all of it would be published", "one without USER@")
    if not _URL.fullmatch(url) or not urlsplit(url).path.lstrip("/").isascii() or ".." in url.split("/"):
        raise ConfigError(f"{url!r} is no URL for a tap", "https://HOST/PATH, other characters as %XX")
    return url


def tappable(url: str) -> str:
    """A URL that `brew tap` may be given, and that may stand where `served` ones may.

    Raises:
        ConfigError: as `served`.
    """
    return url if _SSH.fullmatch(url) else served(url)


def downloads(manifests: Iterable[Manifest], base_url: str) -> list[Download]:
    """The toolchain archives that manifests tell of.

    Args:
        manifests: outer manifests of one stamp.
        base_url: where the archives are served.

    Raises:
        ConfigError: a file's name that is no plain name.
    """
    found = []
    for manifest in manifests:
        for artifact in manifest.artifacts:
            if artifact.kind == "toolchain":
                file = artifact.file
                if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file):
                    raise ConfigError(f"{file!r} is no archive's name", "the manifest as gobuild wrote it")
                url = f"{base_url.rstrip('/')}/{quote(file)}"
                found.append(Download(target=manifest.build.target, url=url, sha256=artifact.sha256))
    return found


def _systems(ordered: list[Download]) -> list[System]:
    systems = []
    for goos, word in SYSTEMS.items():
        mine = [download for download in ordered if download.target.goos == goos]
        if mine:
            only = CPUS[mine[0].cpu] if len(mine) == 1 else ""
            overrides = tuple(download for download in mine if download is not ordered[0])
            systems.append(System(word=word, only_cpu=only, overrides=overrides))
    return systems


def _checked(recipe: Recipe) -> list[Download]:
    """The downloads in the order of the blocks.

    Raises:
        ConfigError: a value that no formula can have.
    """
    base, at, line = recipe.formula.partition("@")
    if not NAME.fullmatch(base) or base == "go" or (at and line != recipe.version.line):
        raise ConfigError(f"{recipe.formula!r} is no formula's name", "lower-case words with hyphens, such as go-acme")
    if not _STAMP.fullmatch(recipe.stamp) or not recipe.stamp.startswith(recipe.version.tag):
        raise ConfigError(f"{recipe.stamp!r} is no stamp of {recipe.version.tag}", "the manifest as gobuild wrote it")
    if not recipe.versioned and not recipe.version.stable:
        raise ConfigError(
            f"{recipe.stamp} is no release: Homebrew takes {recipe.version} for newer than the release it leads to",
            "the formula of a line, or wait for the release",
        )
    ordered = sorted(recipe.downloads, key=lambda download: (download.target.goos, download.cpu))
    targets = [download.target for download in ordered]
    if not ordered or len(set(targets)) != len(targets):
        raise ConfigError("a formula needs exactly one download for each platform")
    for name in recipe.patches or ():
        if not PATCH.fullmatch(name):
            raise ConfigError(f"{name!r} is no patch's name", "lower-case words with hyphens")
    for sha256 in [*(each.sha256 for each in ordered), *(each.sha256 for each in recipe.bottles)]:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ConfigError(f"{sha256!r} is no SHA-256", "64 hex digits")
    if recipe.tap and not re.fullmatch(rf"{NAME.pattern}/{NAME.pattern}", recipe.tap):
        raise ConfigError(f"{recipe.tap!r} is no tap's name", "USER/NAME, in lower case")
    if recipe.tap_url:
        tappable(recipe.tap_url)
    for poured in recipe.bottles:
        if not re.fullmatch("[a-z0-9_]+", poured.tag):
            raise ConfigError(f"{poured.tag!r} is no bottle's tag")
    return ordered


def _bottles(recipe: Recipe) -> list[tuple[str, str]]:
    """The lines of the bottle block, "tag: " padded so that the digests stand in one column, as `brew style` wants."""
    places = ("arm64_", "", "arm64_linux", "x86_64_linux")

    def place(poured: Poured) -> int:
        if poured.tag in places:
            return places.index(poured.tag)
        return 0 if poured.tag.startswith("arm64_") else 1

    width = max((len(poured.tag) for poured in recipe.bottles), default=0) + 2
    return [(f"{poured.tag}: ".ljust(width), poured.sha256) for poured in sorted(recipe.bottles, key=place)]


def text(recipe: Recipe) -> str:
    """Renders a formula.

    Returns:
        The text of its .rb file.

    Raises:
        ConfigError: a name, stamp, digest or platform that cannot be used, a platform twice, or no download.
    """
    ordered = _checked(recipe)
    filters: dict[str, Callable[..., str]] = {"ruby": ruby}  # through which every value goes there
    return render(
        "formula.rb.j2",
        filters=filters,
        recipe=recipe,
        ours=OURS,
        class_name=class_name(recipe.formula),
        version=recipe.stamp.removeprefix("go"),
        homepage=f"{recipe.page.rstrip('/')}/" if recipe.page else HOMEPAGE,
        default=ordered[0],
        systems=_systems(ordered),
        bottles=_bottles(recipe),
        test_data=TEST_DATA,
        keg_only=KEG_ONLY,
    )


def formula(name: str, version: GoVersion, stamp: str, downloads: Iterable[Download], *, pinned: bool) -> str:
    """Renders the formula of one line that stands beside the archives in dist/, in no tap yet.

    Args:
        name: the formula's name without a version, "go-acme".
        version: the release.
        stamp: what the toolchain calls itself.
        downloads: one for each platform that was built; at least one.
        pinned: whether the toolchain's go.env says GOTOOLCHAIN=local.

    Returns:
        The text of NAME@LINE.rb.

    Raises:
        ConfigError: as `text`.
    """
    recipe = Recipe(
        formula=formula_name(name, version),
        version=version,
        stamp=stamp,
        downloads=tuple(downloads),
        pinned=pinned,
        loose=True,
    )
    return text(recipe)
