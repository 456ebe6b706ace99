"""What a tap's remote is called by brew: the URL that git has comes in, USER/NAME and what to tap go out.

A remote may hold a password or a token. What goes out is written into a README and into formulae: none is left in it.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

UNKNOWN = "USER/TAP"
"""The name of a tap of which nobody knows where it will be."""

_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[A-Za-z0-9.-]+):(?!//)(?P<path>[^:]+)")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_PATH = re.compile(r"[A-Za-z0-9._~/+-]+")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """How a tap is tapped.

    Attributes:
        tap: its name, "acme/tools"; "" where the remote does not say it.
        url: what `brew tap` needs beside the name; "" where the name is enough, or nothing is known.
    """

    tap: str = ""
    url: str = ""


def address(remote: str) -> Address:
    """How brew taps what git fetches from a remote; of one that cannot be told, nothing is said.

    Args:
        remote: as git has it: a URL, or "git@host:path".
    """
    scp = _SCP.fullmatch(remote)
    try:
        parts = urlsplit(f"ssh://{scp['host']}/{scp['path']}" if scp else remote)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return Address()
    host, path = (parts.hostname or "").lower(), parts.path.strip("/")
    if parts.scheme not in ("http", "https", "ssh") or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        return Address()
    user, _, name = path.removesuffix(".git").lower().rpartition("/")
    tap = f"{user.rpartition('/')[2]}/{name.removeprefix('homebrew-')}"
    tap = tap if all(map(_WORD.fullmatch, tap.split("/"))) else ""
    if host == "github.com" and name.startswith("homebrew-") and path.count("/") == 1:
        return Address(tap=tap)
    login = "git@" if parts.scheme == "ssh" else ""  # never the remote's own: it may be a token
    return Address(tap=tap, url=f"{parts.scheme}://{login}{host}{port}/{path}")
