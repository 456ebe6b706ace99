"""Which images are wanted, of which finished builds they are made, and how they are labelled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gobuild.core.errors import ConfigError, PackageError
from gobuild.core.goversion import Target
from gobuild.isolate.image.oci import RFC3339
from gobuild.publish.builds import Build, find_builds

TEST, TOOLCHAIN = "test", "toolchain"
IMAGES = (TOOLCHAIN, TEST)
"""In the order in which they are made: what only copies comes before what compiles."""
PLATFORMS = (Target(goos="linux", goarch="amd64"), Target(goos="linux", goarch="arm64"))

NO_PREEMPTION = "GODEBUG=asyncpreemptoff=1"
"""Turns off the signals by which Go's scheduler interrupts loops (runtime's documentation of GODEBUG)."""

USER = "65532:65532"
"""Nobody of the system's: what the test image runs as."""

PATH = "PATH=/usr/local/go/bin:/root/go/bin:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall be written."""

    dist: Path
    stamp: str = ""  # which of the builds in `dist`; empty where there is only one
    images: tuple[str, ...] = IMAGES
    # Exactly these; empty for both test images, and for the toolchains that dist has
    platforms: tuple[Target, ...] = ()
    # A toolchain that runs here, to compile the test program; None takes this machine's from dist
    goroot: Path | None = None
    preemption: bool = True
    certificates: Path | None = None  # a PEM file with the TLS roots of the images
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.images or set(self.images) - set(IMAGES):
            raise ConfigError(f"no image {', '.join(self.images)!r}", "of " + " and ".join(IMAGES))
        if others := set(self.platforms) - set(PLATFORMS):
            raise ConfigError(f"there are no images for {others.pop()}", "of " + ", ".join(map(str, PLATFORMS)))

    @property
    def debug(self) -> list[str]:
        """What the test image has in its environment."""
        return [] if self.preemption else [NO_PREEMPTION]


def choose_builds(wanted: Wanted, *, needed: Iterable[str]) -> dict[Target, Build]:
    """The builds of one stamp that stand in dist, by their targets; none where only a GOROOT is needed."""
    if wanted.goroot and TOOLCHAIN not in needed:
        return {}
    if not wanted.dist.is_dir():
        raise ConfigError(f"there is no folder {wanted.dist}", "--dist with the folder of finished builds")
    found = [each for each in find_builds(wanted.dist) if wanted.stamp in ("", each.stamp)]
    stamps = sorted({each.stamp for each in found})
    if not stamps:
        raise PackageError(f"{wanted.dist} holds no build {wanted.stamp}".rstrip(), "invoke build first")
    if len(stamps) > 1:
        raise PackageError(f"{wanted.dist} holds builds of {', '.join(stamps)}", "--stamp with one of them")
    chosen = {each.target: each for each in found}
    missing = set(wanted.platforms or PLATFORMS) - chosen.keys()
    if TOOLCHAIN in needed and (missing if wanted.platforms else missing == set(PLATFORMS)):
        raise PackageError(
            f"{wanted.dist} has no {stamps[0]} for {' and '.join(sorted(map(str, missing)))}",
            "invoke build --target linux/amd64 (or linux/arm64), or --image test for the test image alone",
        )
    return chosen


def make_labels(
    title: str, stamp: str, created: datetime | None, builds: Iterable[Build], further: Mapping[str, str]
) -> dict[str, str]:
    """An image's labels (annotations.md); `created` is None where nobody knows it before the image is built."""
    sources = {each.manifest.source.digest for each in builds if each.manifest.source.kind == "git"}
    known = {"title": title, "version": stamp, "licenses": "BSD-3-Clause"}
    known |= {"created": created.strftime(RFC3339)} if created else {}
    known |= {"revision": sources.pop().removeprefix("git:")} if len(sources) == 1 else {}
    return {f"org.opencontainers.image.{key}": value for key, value in known.items()} | dict(further)
