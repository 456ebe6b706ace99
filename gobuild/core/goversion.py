"""A version of Go, and what a toolchain runs on: in Go's words and order."""

import platform
import re
from dataclasses import dataclass
from functools import cached_property, total_ordering

from packaging.version import Version

from gobuild.core.errors import ConfigError

_VERSION = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(?:(beta|rc)(\d+))?")


@total_ordering
@dataclass(frozen=True, kw_only=True, eq=False)
class GoVersion:
    """A version of Go as its release tags write it (https://go.dev/doc/toolchain#version).

    The patch is None where the tag has none ("go1.20", "go1.28rc1"); the stage is "", "beta" or "rc".
    """

    major: int
    minor: int
    patch: int | None = None
    stage: str = ""
    serial: int = 0

    @classmethod
    def parse(cls, text: str) -> "GoVersion":
        """Reads "1.22.10", "go1.22.10", "1.22" or "1.28rc1"; anything else is a `ConfigError`."""
        match = _VERSION.fullmatch(text.strip())
        if not match or (match[3] and match[4]):
            raise ConfigError(f"{text!r} is no version of Go", "a version such as 1.22, 1.22.10 or 1.28rc1")
        return cls(
            major=int(match[1]),
            minor=int(match[2]),
            patch=int(match[3]) if match[3] else None,
            stage=match[4] or "",
            serial=int(match[5] or 0),
        )

    def __str__(self) -> str:
        patch = "" if self.patch is None else f".{self.patch}"
        return f"{self.line}{patch}{self.stage}{self.serial if self.stage else ''}"

    @property
    def tag(self) -> str:
        """What git and go.dev call the release: "go1.22.10"."""
        return f"go{self}"

    @property
    def line(self) -> str:
        """The language version, which all patch releases share: "1.22"."""
        return f"{self.major}.{self.minor}"

    @property
    def stable(self) -> bool:
        """Whether this is a release, not a beta or a release candidate."""
        return not self.stage

    @cached_property
    def pep440(self) -> Version:
        """The same as a Python version, whose order and specifiers are Go's own: 1.22rc1 < 1.22.0 < 1.22.10."""
        return Version(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GoVersion) and self.pep440 == other.pep440

    def __lt__(self, other: "GoVersion") -> bool:
        return self.pep440 < other.pep440

    def __hash__(self) -> int:
        return hash(self.pep440)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a toolchain runs on: GOOS and GOARCH."""

    goos: str
    goarch: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Reads "darwin/arm64"; what is not one of `TARGETS` is a `ConfigError`."""
        goos, _, goarch = text.partition("/")
        target = cls(goos=goos, goarch=goarch)
        if target not in TARGETS:
            raise ConfigError(f"no target {text!r}", "one of " + ", ".join(map(str, TARGETS)))
        return target

    @classmethod
    def host(cls) -> "Target":
        """The machine this runs on, in Go's words; a `ConfigError` where gobuild does not run on it."""
        machine = platform.machine().lower()
        goarch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
        return cls.parse(f"{platform.system().lower()}/{goarch}")

    def __str__(self) -> str:
        return f"{self.goos}/{self.goarch}"

    @property
    def dashed(self) -> str:
        """As Go's archives are named: "darwin-arm64"."""
        return f"{self.goos}-{self.goarch}"

    @property
    def underscored(self) -> str:
        """As GOROOT's folders are named: "darwin_arm64"."""
        return f"{self.goos}_{self.goarch}"


TARGETS = tuple(
    Target(goos=goos, goarch=goarch)
    for goos, goarch in (("darwin", "arm64"), ("darwin", "amd64"), ("linux", "amd64"), ("linux", "arm64"))
)

RECORDS_CHECKED = "Go 1.25.10 and 1.26.3"
"""From which releases on the go command refuses a checksum database's signed record of another module than it asked
about (golang/go#79070, CVE-2026-42501, GO-2026-4984)."""


def checks_records(version: GoVersion) -> bool:
    """Whether a go command of that version refuses a checksum database's signed record of another module."""
    first = "1.25.10" if version.line == "1.25" else "1.26.3"
    return version >= GoVersion.parse(first)
