"""HTTP: a URL and a digest in, a whole and checked file in the cache out.

Knows nothing of Go. No credentials of a URL ever reach a message: not the user's, not those of a redirect.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from gobuild import files
from gobuild.console import Console
from gobuild.errors import (
    ChecksumMismatch,
    DiskFull,
    FetchError,
    IncompleteDownload,
    Unreachable,
    disk_full_is_ours,
)
from gobuild.store import Store

TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and seconds without a byte."""

TRIES = 3
PAUSE = 0.5
"""Seconds before the second try; twice as many before the third."""

_BLOCK = 1 << 20
_LARGEST = 32 << 20
"""Bytes of a document that is read into memory; go.dev's whole index is a tenth of that."""

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


def plain(url: str) -> str:
    """A URL without user, password, query and fragment: the part that may be shown."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read(url: str) -> bytes:
    """A document, at most 32 MiB of it.

    Raises:
        Unreachable: it is not to be had.
    """
    with _answer(url, {}) as response:
        if not response.ok:
            raise Unreachable(f"{plain(url)}: HTTP {response.status_code}")
        if urlsplit(url).scheme == "https" and urlsplit(response.url).scheme != "https":
            raise Unreachable(f"{plain(url)}: redirected to {plain(response.url)}, which anybody could have written")
        blocks, size = [], 0
        for block in response.iter_content(_BLOCK):
            blocks.append(block)
            size += len(block)
            if size > _LARGEST:
                raise Unreachable(f"{plain(url)}: more than {_LARGEST >> 20} MiB")
        return b"".join(blocks)


def blocks(url: str, largest: int) -> Iterator[bytes]:
    """A file's bytes as they come, for a caller who checks them on their way and keeps what it wants.

    Args:
        url: where from.
        largest: how many bytes it may have.

    Raises:
        FetchError: the server does not have it.
        Unreachable: it is not to be had, or is larger.
    """
    with _answer(url, {"Accept-Encoding": "identity"}) as response:
        if response.status_code in (404, 410):
            raise FetchError(f"{plain(url)}: HTTP {response.status_code}", "another address")
        if not response.ok:
            raise Unreachable(f"{plain(url)}: HTTP {response.status_code}")
        if urlsplit(url).scheme == "https" and urlsplit(response.url).scheme != "https":
            raise Unreachable(f"{plain(url)}: redirected to {plain(response.url)}, which anybody could have written")
        size = 0
        # Undecoded, as in `download`; read1, not read, which throws away what it has when the connection breaks.
        while block := response.raw.read1(_BLOCK, decode_content=False):
            size += len(block)
            if size > largest:
                raise Unreachable(f"{plain(url)}: more than {largest} bytes")
            yield block
        said = response.headers.get("Content-Length", "")
        if said.isdecimal() and int(said) != size:
            raise Unreachable(f"{plain(url)}: the connection ended early")


def download(
    url: str,
    to: Path,
    *,
    sha256: str,
    size: int = 0,
    console: Console,
    pause: float = PAUSE,
    store: Store | None = None,
) -> Path:
    """A file, downloaded unless the cache or the store has it already; checked in any case.

    It grows under the name `to` with ".part" behind it; a later run goes on where an interrupted one ended, if the
    server can. Other processes that want the same file wait for this one.

    Args:
        url: where from. Redirects are followed.
        to: where to.
        sha256: what its digest must be, 64 hex digits.
        size: in bytes, 0 where it is not known.
        console: shows the progress.
        pause: seconds before the second try.
        store: asked for the file before the network, and given it afterwards.

    Returns:
        `to`.

    Raises:
        ChecksumMismatch: what came is not what was asked for; it is gone again.
        IncompleteDownload: three tries have not brought all of it; what came is kept for the next run.
        Unreachable: three tries have brought nothing.
        FetchError: the server does not have it.
        DiskFull: there is no room.
    """
    part = to.with_name(f"{to.name}.part")
    with files.alone(to.with_name(f".{to.name}.lock"), f"downloading {to.name}", waiting=console.say):
        if to.is_file() and files.sha256(to) == sha256:
            return to
        with disk_full_is_ours(f"taking {to.name} from the store"):
            if store and store.take(sha256, to):
                return to
        files.room(to.parent, size - _size(part), f"downloading {to.name}")
        try:
            with disk_full_is_ours(f"downloading {to.name}"), console.download(to.name, size or None) as came:
                resumed = _fill(url, part, size, came, pause)
                got = files.sha256(part)
                if got != sha256 and resumed:
                    # The first half may be another file's, or what a crash has left of it.
                    files.remove(part)
                    _fill(url, part, size, came, pause)
                    got = files.sha256(part)
        except DiskFull:
            _forget(part)
            raise
        if got != sha256:
            _forget(part)
            raise ChecksumMismatch(
                f"{plain(url)} is not the file it should be\n  expected sha256 {sha256}\n  received sha256 {got}",
                "again later, or another --index-url: the file there was changed, or the connection changes it",
            )
        part.replace(to)
        _forget(part)
    if store:
        store.add(to)
    return to


def _fill(url: str, part: Path, size: int, came: Callable[[int], None], pause: float) -> bool:
    """Completes the part, in a few tries; tells whether it was begun by an earlier run."""
    resumed = _size(part) > 0
    shown = 0

    def at(position: int) -> None:
        nonlocal shown
        came(position - shown)
        shown = position

    for attempt in range(1, TRIES + 1):
        try:
            _attempt(url, part, size, at)
            return resumed
        except Unreachable as error:
            if attempt == TRIES:
                if not _size(part):
                    _forget(part)
                    raise
                raise IncompleteDownload(
                    f"{error.reason}; {_size(part)} of {size or 'unknown'} bytes came in {TRIES} tries",
                    "again: what came is kept, and a server that can goes on from there",
                ) from None
            time.sleep(pause * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _attempt(url: str, part: Path, size: int, at: Callable[[int], None]) -> None:
    """One request: for the rest, if the server told last time how to know the same file again, else for all."""
    mark = _mark(part)
    have = _size(part)
    if size and have == size:
        return
    validator = mark.read_text(encoding="latin-1") if have and have < (size or have + 1) and mark.is_file() else ""
    ask = {"Range": f"bytes={have}-", "If-Range": validator} if validator else {}
    with _answer(url, {"Accept-Encoding": "identity", **ask}) as response:
        if response.status_code == 416:
            _forget(part)
            raise Unreachable(f"{plain(url)}: the server cannot go on from byte {have}")
        if response.status_code in _TRY_AGAIN:
            raise Unreachable(f"{plain(url)}: HTTP {response.status_code}")
        if not response.ok:
            raise FetchError(
                f"{plain(url)}: HTTP {response.status_code}",
                "another --source or --index-url"
                + (", or the proxy's settings" if response.status_code == 407 else ""),
            )
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status_code == 206 and not goes_on:
            _forget(part)
            raise Unreachable(f"{plain(url)}: the server answered with another range than {have}-")
        if not goes_on:
            have = 0
            _remember(mark, response.headers)
        at(have)
        with part.open("ab" if goes_on else "wb") as file:
            # Undecoded: some servers call a .tar.gz a tar with Content-Encoding gzip. And read1, not read, which
            # throws away what it has gathered when the connection breaks.
            while block := response.raw.read1(_BLOCK, decode_content=False):
                file.write(block)
                have += len(block)
                at(have)
                if size and have > size:
                    return  # no file of ours; its digest will say so
    if have < size:
        raise Unreachable(f"{plain(url)}: the connection ended early")


def _remember(mark: Path, headers: Mapping[str, str]) -> None:
    """Keeps what If-Range can ask for (RFC 9110, section 13.1.5): a strong ETag, or the date."""
    etag = headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    if validator:
        mark.write_text(validator, encoding="latin-1")
    else:
        mark.unlink(missing_ok=True)


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


@contextmanager
def _answer(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    try:
        with requests.get(url, headers={"User-Agent": "gobuild", **headers}, stream=True, timeout=TIMEOUT) as response:
            yield response
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # "from None": the text of these errors has the URL, with all that is in it.
        raise Unreachable(f"{plain(url)}: {why(error)}", "the proxy's settings, if this network has one") from None


_WHY: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.ProxyError, "the proxy does not let it through"),
    (urllib3.exceptions.ProxyError, "the proxy does not let it through"),
    (socket.gaierror, "the name is not known"),
    (urllib3.exceptions.NameResolutionError, "the name is not known"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (requests.exceptions.SSLError, "no TLS connection"),
    (ConnectionRefusedError, "connection refused"),
    (requests.exceptions.ConnectTimeout, "no connection in time"),
    (requests.exceptions.Timeout, "no answer in time"),
    (urllib3.exceptions.TimeoutError, "no answer in time"),
    (TimeoutError, "no answer in time"),
    (requests.exceptions.TooManyRedirects, "too many redirects"),
    (urllib3.exceptions.ProtocolError, "the connection broke"),
    (ConnectionResetError, "the connection broke"),
)


def why(error: BaseException) -> str:
    """The reason of a failed request in a few words, without its URL."""
    chain: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        each = todo.pop()
        if isinstance(each, BaseException) and each not in chain:
            chain.append(each)
            todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    for kind, words in _WHY:
        if any(isinstance(each, kind) for each in chain):
            return words
    return "no connection"
