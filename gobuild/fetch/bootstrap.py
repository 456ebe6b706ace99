"""The Go toolchain that make.bash starts from: the user's own, one on PATH, or the official one for this host."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import BootstrapError, CommandError, FetchError, ToolMissing
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Catalog, Release, Source
from gobuild.core.process import Runner
from gobuild.fetch import goroot

MINIMUM = (
    ("1.21", "1.17.13"),
    ("1.22", "1.20.6"),
    ("1.24", "1.22.6"),
)
"""From which line on which bootstrap toolchain is the least (`bootgo` in src/make.bash); later rows override. From
1.25 on Go N needs N-2, rounded down to an even line (https://go.dev/doc/install/source#go14)."""

_BOOTGO = re.compile(r"^bootgo=(\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
_SAYS = re.compile(r"go version (?:devel )?go(\d+\.\d+(?:\.\d+)?(?:(?:beta|rc)\d+)?)")


class ToolchainOrigin(Protocol):
    """An origin that has toolchains for this host."""

    @property
    def name(self) -> str:
        """What the manifest calls it."""

    def toolchains(self, host: Target) -> Catalog:
        """The releases whose toolchain it has."""

    def toolchain(self, release: Release, host: Target) -> Bootstrap:
        """One of them, in the cache."""


def minimum_bootstrap(version: GoVersion, source: Path | None = None) -> GoVersion:
    """The oldest Go that can build a release; where its source is there, src/make.bash is the authority."""
    said = _BOOTGO.search(goroot.read_text(source / "src/make.bash")) if source else None
    if said:
        return GoVersion.parse(said[1])
    if (version.major, version.minor) >= (1, 25):
        return GoVersion(major=1, minor=(version.minor - 2) // 2 * 2, patch=6)
    least = MINIMUM[0][1]
    for line, needs in MINIMUM:
        if version.minor >= GoVersion.parse(line).minor:
            least = needs
    return GoVersion.parse(least)


def require_bootstrap(bootstrap: Bootstrap, source: Source) -> None:
    """Asks the source itself whether the toolchain will do: a fork's make.bash may want a newer one than upstream's.

    Raises:
        BootstrapError: it will not.
    """
    least = minimum_bootstrap(source.release.version, source.root)
    if bootstrap.version < least:
        raise BootstrapError(
            f"this source's make.bash asks for Go {least}, and {bootstrap.goroot} is Go {bootstrap.version}",
            "--bootstrap with a newer one",
        )


def find_bootstrap(
    release: Release,
    *,
    host: Target,
    explicit: str,
    origins: Sequence[ToolchainOrigin],
    run: Runner,
    console: Console,
    environment: Mapping[str, str] = os.environ,
) -> Bootstrap:
    """Finds the toolchain to start from: the folder `explicit`, else a `go` on PATH, else the official one.

    Raises:
        BootstrapError: the one named will not do, or none is to be had.
        GobuildError: the official one could not be fetched.
    """
    least = minimum_bootstrap(release.version)
    if explicit:
        return _explicit(Path(explicit).expanduser().absolute(), release, least, run, environment)
    for go in _on_path(environment.get("PATH", "")):
        try:
            return _usable(_ask(go, run, environment), least)
        except (CommandError, ToolMissing, BootstrapError) as error:
            console.say(f"passing over {go}: {error.reason.splitlines()[0]}")
    return _official(release, least, host, origins)


def _explicit(
    folder: Path, release: Release, least: GoVersion, run: Runner, environment: Mapping[str, str]
) -> Bootstrap:
    go = folder / "bin/go"
    if not go.is_file():
        raise BootstrapError(f"{folder} is no Go toolchain: it has no bin/go", "the GOROOT of one (go env GOROOT)")
    try:
        return _usable(_named(go, folder, "--bootstrap", run, environment), least)
    except (CommandError, ToolMissing) as error:
        raise BootstrapError(f"{go} does not run: {error.reason}", "a toolchain for this machine") from error
    except BootstrapError as error:
        raise BootstrapError(
            f"{folder} cannot build Go {release.version}: {error.reason}", "another one, or none: gobuild finds one"
        ) from error


def _usable(found: Bootstrap, least: GoVersion) -> Bootstrap:
    if found.version < least:
        raise BootstrapError(f"it is Go {found.version}, and {least} is the least that will do")
    return found


def _on_path(path: str) -> Iterator[Path]:
    seen = set()
    for folder in path.split(os.pathsep):
        go = Path(folder) / "go"
        # os.access first: it says no where is_file raises, for a folder that this user may not enter.
        if folder and os.access(go, os.X_OK) and go.is_file() and go.resolve() not in seen:
            seen.add(go.resolve())
            yield go.absolute()


def _ask(go: Path, run: Runner, environment: Mapping[str, str]) -> Bootstrap:
    """What a `go` on PATH is, and where its GOROOT."""
    said = run([go, "env", "GOROOT"], env=_clean(environment), cwd=Path("/"), timeout=30).output.strip()
    root = Path(said.splitlines()[-1] if said else "")
    if not root.is_absolute() or not (root / "bin/go").is_file():
        raise BootstrapError("it tells no GOROOT with a bin/go in it")
    return _named(go, root, "PATH", run, environment)


def _named(go: Path, root: Path, origin: str, run: Runner, environment: Mapping[str, str]) -> Bootstrap:
    said = run([go, "version"], env=_clean(environment), cwd=Path("/"), timeout=30).output
    version = _SAYS.search(said)
    if not version:
        raise BootstrapError(f"`go version` says {said.strip()[:80]!r}")
    digest = f"sha256:{files.sha256(root / 'bin/go')}"
    return Bootstrap(goroot=root, version=GoVersion.parse(version[1]), origin=origin, digest=digest)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """No GOROOT, GOFLAGS or GOTOOLCHAIN of the caller's: the toolchain shall speak for itself."""
    kept = {key: environment[key] for key in ("PATH", "HOME", "TMPDIR") if key in environment}
    return {**kept, "GOTOOLCHAIN": "local", "GOENV": "off", "GOWORK": "off", "LC_ALL": "C"}


def _official(release: Release, least: GoVersion, host: Target, origins: Sequence[ToolchainOrigin]) -> Bootstrap:
    tried = []
    for origin in origins:
        try:
            chosen = _choose(release.version, least, origin.toolchains(host))
            if chosen:
                return origin.toolchain(chosen, host)
            tried.append(f"{origin.name}: nothing from Go {least} on")
        except (FetchError, ToolMissing) as error:
            tried.append(f"{origin.name}: {error.reason}")
    raise BootstrapError(
        f"no Go toolchain for {host} that can build Go {release.version} (it needs {least} or newer)"
        + "".join(f"\n  {each}" for each in tried),
        "--bootstrap with the folder of one",
    )


def _choose(version: GoVersion, least: GoVersion, catalog: Catalog) -> Release | None:
    """The same version; else the newest of its line, of the nearest newer line, or the newest there is."""
    fit = sorted(
        (
            each
            for each in catalog.releases
            if each.version >= least and (each.version.stable or each.version == version)
        ),
        key=lambda each: each.version,
    )
    if not fit:
        return None
    same = [each for each in fit if each.version == version] or [
        each for each in fit if each.version.line == version.line
    ]
    above = [each for each in fit if each.version > version]
    nearest = [each for each in above if each.version.line == above[0].version.line]
    return (same or nearest or fit)[-1]
