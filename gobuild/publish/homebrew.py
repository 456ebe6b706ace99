"""A Homebrew formula: the downloads of one release come in, the formula's text goes out.

It reads and writes no file but the template, and runs no brew: what brew was seen to demand of such a formula is
in the template and in the rules below.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gobuild.errors import ConfigError
from gobuild.model import GoVersion, Target
from gobuild.render import render


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


def _systems(ordered: list[Download]) -> list[System]:
    systems = []
    for goos, word in (("darwin", "macos"), ("linux", "linux")):  # the order `brew style` wants
        mine = [download for download in ordered if download.target.goos == goos]
        cpus = {"arm": "arm64", "intel": "x86_64"}
        if mine:
            only = cpus[mine[0].cpu] if len(mine) == 1 else ""
            overrides = tuple(download for download in mine if download is not ordered[0])
            systems.append(System(word=word, only_cpu=only, overrides=overrides))
    return systems


def formula_name(name: str, version: GoVersion) -> str:
    """The name of a versioned formula: "go-acme@1.22"."""
    return f"{name}@{version.line}"


def class_name(formula: str) -> str:
    """The Ruby class brew looks for in FORMULA.rb, as Formulary.class_s makes it: go-acme@1.22 is GoAcmeAT122."""
    name, at, version = formula.partition("@")
    words = "".join(word.capitalize() for word in name.split("-"))
    return words + ("AT" + version.replace(".", "") if at else "")


def ruby(text: str) -> str:
    """A text as a Ruby string literal in which nothing is code: no `#{...}`, `#$x` or `#@x` is left.

    Raises:
        ConfigError: the text has a control character.
    """
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ConfigError(f"{text!r} cannot stand in a formula", "a text of one line")
    return '"' + re.sub(r'([\\"#])', r"\\\1", text) + '"'


def downloads(manifests: Iterable[Mapping[str, Any]], base_url: str) -> list[Download]:
    """The toolchain archives that manifests tell of.

    Args:
        manifests: outer manifests of one stamp.
        base_url: where the archives are served.
    """
    return [
        Download(
            target=Target.parse(document["build"]["target"]),
            url=f"{base_url.rstrip('/')}/{quote(artifact['file'])}",
            sha256=artifact["sha256"],
        )
        for document in manifests
        for artifact in document["artifacts"]
        if artifact["kind"] == "toolchain"
    ]


def formula(name: str, version: GoVersion, stamp: str, downloads: Iterable[Download], *, pinned: bool) -> str:
    """Renders the formula of one release.

    Args:
        name: the formula's name without a version, "go-acme".
        version: the release.
        stamp: what the toolchain calls itself.
        downloads: one for each platform that was built; at least one.
        pinned: whether the toolchain's go.env says GOTOOLCHAIN=local.

    Returns:
        The text of NAME@LINE.rb.

    Raises:
        ConfigError: a digest that is none, a platform twice, or no download.
    """
    ordered = sorted(downloads, key=lambda download: (download.target.goos, download.cpu))
    targets = [download.target for download in ordered]
    if not ordered or len(set(targets)) != len(targets):
        raise ConfigError("a formula needs exactly one download for each platform")
    for download in ordered:
        if not re.fullmatch("[0-9a-f]{64}", download.sha256):
            raise ConfigError(f"{download.sha256!r} is no SHA-256", "64 hex digits")
    return render(
        "formula.rb.j2",
        filters={"ruby": ruby},  # through which every value goes there
        class_name=class_name(formula_name(name, version)),
        desc=f"Patched Go {version.line} toolchain",
        version=stamp.removeprefix("go"),
        stamp=stamp,
        pinned=pinned,
        default=ordered[0],
        systems=_systems(ordered),
    )
