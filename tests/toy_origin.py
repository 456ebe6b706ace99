"""An origin without bytes: it lists versions of Go, says what it gave, and fails where a test says."""

from dataclasses import dataclass, field
from pathlib import Path

from gobuild.core.errors import GobuildError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Catalog, Release, Source


@dataclass
class ToyOrigin:
    """It has these versions; `trouble` is its index's, `lacks` that of a toolchain that it lists."""

    name: str = "mirror"
    versions: str = "1.22.10"
    trouble: GobuildError | None = None
    lacks: GobuildError | None = None
    given: list[str] = field(default_factory=list)

    def catalog(self) -> Catalog:
        """What it has."""
        if self.trouble:
            raise self.trouble
        versions = map(GoVersion.parse, self.versions.split())
        releases = tuple(Release(version=version, origin=self.name) for version in versions)
        return Catalog(origin=self.name, releases=releases)

    def toolchains(self, host: Target) -> Catalog:
        """The same."""
        return self.catalog()

    def source(self, release: Release, into: Path) -> Source:
        """None is ever asked for."""
        raise AssertionError

    def toolchain(self, release: Release, host: Target) -> Bootstrap:
        """A toolchain that is nowhere."""
        if self.lacks:
            raise self.lacks
        self.given.append(str(release.version))
        return Bootstrap(goroot=Path("/nowhere"), version=release.version, origin=self.name, digest="sha256:0")
