"""URLs of a tap: which may stand in a formula or be tapped, and what brew calls a git remote."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from gobuild.core.errors import ConfigError

_URL = re.compile(r"(https?://[A-Za-z0-9]|file:///)[A-Za-z0-9._~:/@%+=,\[\]-]*")
_SSH = re.compile(r"ssh://git@[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/+-]+")
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[A-Za-z0-9.-]+):(?!//)(?P<path>[^:]+)")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_PATH = re.compile(r"[A-Za-z0-9._~/+-]+")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]*")


def download_url(url: str) -> str:
    """A URL that may stand in a formula, a README and a shell's command line as it is; any other is refused."""
    if "@" in urlsplit(url).netloc:
        where = urlsplit(url).hostname or "it"  # never the URL itself: it may hold a password
        raise ConfigError(f"the URL at {where} names a user, and all of it would be published", "one without USER@")
    if not _URL.fullmatch(url) or not urlsplit(url).path.lstrip("/").isascii() or ".." in url.split("/"):
        raise ConfigError(f"{url!r} is no URL for a tap", "https://HOST/PATH, other characters as %XX")
    return url


@dataclass(frozen=True, slots=True, kw_only=True)
class TapUrls:
    """Where the folders of archives and of bottles, the page that lists the releases, and the tap are served.

    `tap` is "" where the tap's name ("acme/go-acme") is enough, both where nobody knows them.
    """

    archives: str = ""
    bottles: str = ""
    page: str = ""
    tap: str = ""
    tap_name: str = ""

    def __post_init__(self) -> None:
        for url in filter(None, (self.archives, self.bottles, self.page)):
            download_url(url)
        if self.tap and not _SSH.fullmatch(self.tap):
            download_url(self.tap)


def tap_remote(remote: str) -> tuple[str, str]:
    """How brew taps a git remote, "https://…" or "git@host:path": the tap's name, and the URL that it needs besides.

    The name is "" where the remote does not say it, the URL "" where the name is enough; no password is in them.
    """
    scp = _SCP.fullmatch(remote)
    try:
        parts = urlsplit(f"ssh://{scp['host']}/{scp['path']}" if scp else remote)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "", ""
    host, path = (parts.hostname or "").lower(), parts.path.strip("/")
    if parts.scheme not in ("http", "https", "ssh") or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        return "", ""
    user, _, name = path.removesuffix(".git").lower().rpartition("/")
    tap = f"{user.rpartition('/')[2]}/{name.removeprefix('homebrew-')}"
    tap = tap if all(map(_WORD.fullmatch, tap.split("/"))) else ""
    if host == "github.com" and name.startswith("homebrew-") and path.count("/") == 1:
        return tap, ""
    login = "git@" if parts.scheme == "ssh" else ""  # never the remote's own: it may be a token
    return tap, f"{parts.scheme}://{login}{host}{port}/{path}"
