"""HTTP: a URL and a digest in, a whole and checked file in the cache out.

Knows nothing of Go. No credentials of a URL ever reach a message: not the user's, not those of a redirect.
"""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import requests
import truststore
import urllib3
from requests.adapters import HTTPAdapter

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import (
    ChecksumMismatch,
    DiskFull,
    FetchError,
    IncompleteDownload,
    NoConnection,
    Unreachable,
    disk_full_is_ours,
)

TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and seconds without a byte."""

TRIES = 3
PAUSE = 0.5
"""Seconds before the second try; twice as many before the third."""

_BLOCK = 1 << 20
_LARGEST = 32 << 20
"""Bytes of a document that is read into memory; go.dev's whole index is a tenth of that."""

T = TypeVar("T")

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name a file of certificates; the first that is set counts. The system's own count besides."""

CERTIFICATES = (
    "REQUESTS_CA_BUNDLE=FILE.pem (or SSL_CERT_FILE) with your company's certificates; the system's own count already"
)

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


def plain(url: str) -> str:
    """A URL without user, password, query and fragment: the part that may be shown."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read(url: str, *, pause: float | None = None) -> bytes:
    """A document, at most 32 MiB of it; asked for again where the server, or the way to it, had a hiccup.

    Raises:
        NoConnection: nothing is there.
        Unreachable: it is not to be had just now.
        FetchError: the answer is another, and would be so again.
    """
    return _tried(lambda: b"".join(_whole(url)), PAUSE if pause is None else pause)


def _whole(url: str) -> Iterator[bytes]:
    with _answer(url, {}) as response:
        _require(url, response)
        size = 0
        for block in response.iter_content(_BLOCK):
            size += len(block)
            if size > _LARGEST:
                raise FetchError(f"{plain(url)}: more than {_LARGEST >> 20} MiB", "another --index-url")
            yield block


def _tried(do: Callable[[], T], pause: float) -> T:
    """Does what may fail for a moment, in a few tries; what fails for good fails at once."""
    for attempt in range(1, TRIES):
        try:
            return do()
        except Unreachable:
            time.sleep(pause * 2 ** (attempt - 1))
    return do()


def _require(url: str, response: requests.Response) -> None:
    """Refuses an answer that is none.

    Raises:
        Unreachable: the server is in trouble, and may be out of it soon.
        FetchError: it would answer the same again.
    """
    if response.status_code in _TRY_AGAIN:
        raise Unreachable(f"{plain(url)}: HTTP {response.status_code}", "again later")
    if not response.ok:
        proxy = "the proxy's settings (HTTPS_PROXY), or " if response.status_code == 407 else ""
        raise FetchError(f"{plain(url)}: HTTP {response.status_code}", f"{proxy}another --source or --index-url")
    if urlsplit(url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise FetchError(
            f"{plain(url)}: redirected to {plain(response.url)}, which anybody could have written", "another address"
        )


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
        _require(url, response)
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
) -> Path:
    """A file, downloaded unless the cache has it already; checked in any case.

    It grows under the name `to` with ".part" behind it; a later run goes on where an interrupted one ended, if the
    server can. Other processes that want the same file wait for this one.

    Args:
        url: where from. Redirects are followed.
        to: where to.
        sha256: what its digest must be, 64 hex digits.
        size: in bytes, 0 where it is not known.
        console: shows the progress.
        pause: seconds before the second try.

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
    with files.exclusive_lock(to.with_name(f".{to.name}.lock"), f"downloading {to.name}", waiting=console.say):
        if to.is_file() and files.sha256(to) == sha256:
            return to
        files.require_room(to.parent, size - _size(part), f"downloading {to.name}")
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
    return to


def _fill(url: str, part: Path, size: int, came: Callable[[int], None], pause: float) -> bool:
    """Completes the part, in a few tries; tells whether it was begun by an earlier run."""
    resumed = _size(part) > 0
    shown = 0

    def at(position: int) -> None:
        nonlocal shown
        came(position - shown)
        shown = position

    try:
        _tried(lambda: _attempt(url, part, size, at), pause)
    except Unreachable as error:
        if not _size(part):
            _forget(part)
            raise
        raise IncompleteDownload(
            f"{error.reason}; {_size(part)} of {size or 'unknown'} bytes came in {TRIES} tries",
            "again: what came is kept, and a server that can goes on from there",
        ) from None
    return resumed


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
        _require(url, response)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise FetchError(
                f"{plain(url)}: a web page instead of {part.stem} (a network that asks you to sign in first?)",
                "in a browser: sign in, then again; or another --source",
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


class _Adapter(HTTPAdapter):
    """Trusts what the system trusts, as pip does, besides what requests is told to."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@contextmanager
def _answer(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    named = next((key for key in BUNDLES if os.environ.get(key)), "")
    if named and urlsplit(url).scheme == "https" and not Path(os.environ[named]).exists():
        raise FetchError(
            f"{plain(url)}: {named} names {os.environ[named]}, which is not there",
            f"{named} with the file of certificates that you mean, or without it",
        )
    ask = {"User-Agent": "gobuild", **headers}
    try:
        with requests.Session() as session:
            session.mount("https://", _Adapter())
            with session.get(url, headers=ask, stream=True, timeout=TIMEOUT) as response:
                yield response
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # "from None": the text of these errors has the URL, with all that is in it.
        kind, words, hint = why(error)
        raise kind(f"{plain(url)}: {words}", hint) from None


_PROXY = "the proxy's settings (HTTPS_PROXY, NO_PROXY), if this network has one"

_WHY: tuple[tuple[type[BaseException], type[FetchError], str, str], ...] = (
    (ssl.SSLCertVerificationError, FetchError, "its certificate is not trusted", CERTIFICATES),
    (requests.exceptions.ProxyError, NoConnection, "the proxy does not let it through", _PROXY),
    (urllib3.exceptions.ProxyError, NoConnection, "the proxy does not let it through", _PROXY),
    (socket.gaierror, NoConnection, "the name is not known", _PROXY),
    (urllib3.exceptions.NameResolutionError, NoConnection, "the name is not known", _PROXY),
    (requests.exceptions.SSLError, FetchError, "no TLS connection", CERTIFICATES),
    (ConnectionRefusedError, NoConnection, "connection refused", _PROXY),
    (requests.exceptions.ConnectTimeout, NoConnection, "no connection in time", _PROXY),
    (requests.exceptions.Timeout, Unreachable, "no answer in time", "again later"),
    (urllib3.exceptions.TimeoutError, Unreachable, "no answer in time", "again later"),
    (TimeoutError, Unreachable, "no answer in time", "again later"),
    (requests.exceptions.TooManyRedirects, FetchError, "too many redirects", "another address"),
    (ConnectionResetError, Unreachable, "the connection broke", "again later"),
    (urllib3.exceptions.NewConnectionError, NoConnection, "no connection", _PROXY),
    (urllib3.exceptions.ProtocolError, Unreachable, "the connection broke", "again later"),
)


def why(error: BaseException) -> tuple[type[FetchError], str, str]:
    """What a failed request means: the class, the reason in a few words without its URL, and what may cure it."""
    chain: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        each = todo.pop()
        if isinstance(each, BaseException) and each not in chain:
            chain.append(each)
            todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    for kind, *meaning in _WHY:
        if any(isinstance(each, kind) for each in chain):
            return cast("tuple[type[FetchError], str, str]", tuple(meaning))
    return Unreachable, "no connection", _PROXY
