"""The Go toolchain that make.bash starts from: the user's own, one on PATH, or the official one for this host."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import BootstrapError, CommandError, FetchError, ToolMissing
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Release, Source
from gobuild.core.process import Runner
from gobuild.fetch import goroot
from gobuild.fetch.archive import ArchiveOrigin
from gobuild.fetch.wheel import WheelOrigin

OfficialOrigin = ArchiveOrigin | WheelOrigin

_BOOTGO = re.compile(r"^bootgo=(\d+\.\d+(?:\.\d+)?)$", re.MULTILINE)
_SAYS = re.compile(r"go version (?:devel )?go(\d+\.\d+(?:\.\d+)?(?:(?:beta|rc)\d+)?)")


def minimum_bootstrap(version: GoVersion, source: Path | None = None) -> GoVersion:
    """The oldest Go that can build a release; where its source is there, src/make.bash is the authority.

    From 1.22 on Go N needs N-2, rounded down to an even line (https://go.dev/doc/install/source#go14), of that the
    sixth patch release (`bootgo` in src/make.bash).
    """
    said = _BOOTGO.search(goroot.read_text(source / "src/make.bash")) if source else None
    if said:
        return GoVersion.parse(said[1])
    if version.minor < 22:
        return GoVersion(major=1, minor=17, patch=13)
    return GoVersion(major=1, minor=(version.minor - 2) // 2 * 2, patch=6)


def require_bootstrap(bootstrap: Bootstrap, source: Source) -> None:
    """Asks the source itself whether the toolchain will do: a fork's make.bash may want a newer one than upstream's."""
    least = minimum_bootstrap(source.release.version, source.root)
    if bootstrap.version < least:
        raise BootstrapError(
            f"this source's make.bash asks for Go {least}, and {bootstrap.goroot} is Go {bootstrap.version}",
            "--bootstrap with a newer one",
        )


def find_bootstrap(
    release: Release, *, host: Target, explicit: str, origins: Sequence[OfficialOrigin], run: Runner, console: Console
) -> Bootstrap:
    """Finds the toolchain to start from: the folder `explicit`, else a `go` on PATH, else the official one."""
    least = minimum_bootstrap(release.version)
    if explicit:
        return _explicit(Path(explicit).expanduser().absolute(), release, least, run)
    for go in _on_path():
        try:
            return _usable(go, _goroot(go, run), "PATH", least, run)
        except (CommandError, ToolMissing, BootstrapError) as error:
            console.say(f"passing over {go}: {error.reason.splitlines()[0]}")
    return _official(release, least, host, origins)


def _explicit(folder: Path, release: Release, least: GoVersion, run: Runner) -> Bootstrap:
    go = folder / "bin/go"
    if not go.is_file():
        raise BootstrapError(f"{folder} is no Go toolchain: it has no bin/go", "the GOROOT of one (go env GOROOT)")
    try:
        return _usable(go, folder, "--bootstrap", least, run)
    except (CommandError, ToolMissing) as error:
        raise BootstrapError(f"{go} does not run: {error.reason}", "a toolchain for this machine") from error
    except BootstrapError as error:
        raise BootstrapError(
            f"{folder} cannot build Go {release.version}: {error.reason}", "another one, or none: gobuild finds one"
        ) from error


def _on_path() -> Iterator[Path]:
    seen = set()
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        go = Path(folder) / "go"
        # os.access first: it says no where is_file raises, for a folder that this user may not enter.
        if folder and os.access(go, os.X_OK) and go.is_file() and go.resolve() not in seen:
            seen.add(go.resolve())
            yield go.absolute()


def _goroot(go: Path, run: Runner) -> Path:
    said = _ask(run, go, "env", "GOROOT").strip()
    root = Path(said.splitlines()[-1] if said else "")
    if not root.is_absolute() or not (root / "bin/go").is_file():
        raise BootstrapError("it tells no GOROOT with a bin/go in it")
    return root


def _usable(go: Path, root: Path, origin: str, least: GoVersion, run: Runner) -> Bootstrap:
    """What a `go` is, by its own word.

    Raises:
        BootstrapError: it is too old, or no Go.
    """
    said = _ask(run, go, "version")
    found = _SAYS.search(said)
    if not found:
        raise BootstrapError(f"`go version` says {said.strip()[:80]!r}")
    version = GoVersion.parse(found[1])
    if version < least:
        raise BootstrapError(f"it is Go {version}, and {least} is the least that will do")
    return Bootstrap(goroot=root, version=version, origin=origin, digest=f"sha256:{files.sha256(root / 'bin/go')}")


def _ask(run: Runner, go: Path, *words: str) -> str:
    """No GOROOT, GOFLAGS or GOTOOLCHAIN of the caller's: the toolchain shall speak for itself."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    clean = {**kept, "GOTOOLCHAIN": "local", "GOENV": "off", "GOWORK": "off", "LC_ALL": "C"}
    return run([go, *words], env=clean, cwd=Path("/"), timeout=30).output


def _official(release: Release, least: GoVersion, host: Target, origins: Sequence[OfficialOrigin]) -> Bootstrap:
    tried = []
    for origin in origins:
        try:
            fit = [each for each in origin.toolchains(host).releases if _fits(each.version, release.version, least)]
            if fit:
                return origin.toolchain(max(fit, key=lambda each: _rank(each.version, release.version)), host)
            tried.append(f"{origin.name}: nothing from Go {least} on")
        except (FetchError, ToolMissing) as error:
            tried.append(f"{origin.name}: {error.reason}")
    raise BootstrapError(
        f"no Go toolchain for {host} that can build Go {release.version} (it needs {least} or newer)"
        + "".join(f"\n  {each}" for each in tried),
        "--bootstrap with the folder of one",
    )


def _fits(found: GoVersion, version: GoVersion, least: GoVersion) -> bool:
    return found >= least and (found.stable or found == version)


def _rank(found: GoVersion, version: GoVersion) -> tuple[bool, bool, bool, int, GoVersion]:
    """The same version is best; else the newest of its line, of the nearest newer line, or the newest there is."""
    newer = found > version
    return found == version, found.line == version.line, newer, -found.minor if newer else 0, found
