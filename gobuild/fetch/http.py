"""HTTP by one session with one policy: documents, bytes as they come, and files that are checked and kept.

Knows nothing of Go. No credentials of a URL ever reach a message: not the user's, not those of a redirect.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import requests
import truststore
import urllib3
from requests.adapters import HTTPAdapter

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ChecksumMismatch, FetchError, IncompleteDownload, NoConnection, Unreachable

TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and seconds without a byte."""

TRIES = 3
PAUSE = 1.0
"""Seconds before the third try; the second comes at once."""

LONGEST_WAIT = 30
"""Seconds that a server's Retry-After may ask for."""

_BLOCK = 1 << 20
_LARGEST = 32 << 20
"""Bytes of a document that is read into memory; go.dev's whole index is a tenth of that."""

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name a file of certificates; the first that is set counts. The system's own count besides."""

CERTIFICATES = (
    "REQUESTS_CA_BUNDLE=FILE.pem (or SSL_CERT_FILE) with your company's certificates; the system's own count already"
)

_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)

_UNCODED = {"Accept-Encoding": "identity"}

T = TypeVar("T")
_Blocks = Callable[[requests.Response], Iterator[bytes]]


class _BrokenBody(Unreachable):
    """An answer began well, and broke off."""


def redact_url(url: str) -> str:
    """A URL without user, password, query and fragment: the part that may be shown."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def fetch_document(url: str) -> bytes:
    """A document, at most 32 MiB of it.

    Raises:
        Unreachable: it is not to be had just now, is larger, or (NoConnection) nothing is there.
        FetchError: the answer is another, and would be so again.
    """
    return _tried(lambda: b"".join(_limited(url, {}, lambda answer: answer.iter_content(_BLOCK), _LARGEST)))


def stream_bytes(url: str, largest: int) -> Iterator[bytes]:
    """A file's bytes as they come, at most `largest`, for a caller who checks them on their way.

    Raises:
        FetchError: the server does not have it.
        Unreachable: it is not to be had, or is larger.
    """
    return _limited(url, _UNCODED, _blocks, largest)


def _limited(url: str, headers: Mapping[str, str], blocks: _Blocks, largest: int) -> Iterator[bytes]:
    with _answer(url, headers) as response:
        _require(url, response)
        size = 0
        for block in blocks(response):
            size += len(block)
            if size > largest:
                raise Unreachable(f"{redact_url(url)}: more than {largest} bytes")
            yield block


def download(url: str, to: Path, *, sha256: str, size: int = 0, console: Console) -> Path:
    """A file, downloaded to `to` unless it is there already; its digest is checked in any case.

    It grows under the name `to` with ".part" behind it; a later run goes on where an interrupted one ended, if the
    server can. Other processes that want the same file wait for this one. A size of 0 is one that is not known.

    Raises:
        ChecksumMismatch: what came is not what was asked for; it is gone again.
        IncompleteDownload: three tries have not brought all of it; what came is kept for the next run.
        Unreachable: the server does not answer, or (NoConnection) nothing is there.
        FetchError: it does not have the file, or sends a web page instead.
        DiskFull: there is no room for all of it. OSError: there is none any more; what came is gone again.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    part, doing = to.with_name(f"{to.name}.part"), f"downloading {to.name}"
    with files.exclusive_lock(to.with_name(f".{to.name}.lock"), doing, waiting=console.say):
        if to.is_file() and files.sha256(to) == sha256:
            return to
        begun = _size(part)
        files.require_room(to.parent, size - begun, doing)
        try:
            with console.download(to.name, size or None) as came:
                got = _complete(url, part, size, came)
                if got != sha256 and begun:  # the first half may be another file's, or what a crash has left of it
                    part.unlink()
                    got = _complete(url, part, size, came)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                part.unlink(missing_ok=True)
            raise
        if got != sha256:
            part.unlink()
            raise ChecksumMismatch(
                f"{redact_url(url)} is not the file it should be\n  expected sha256 {sha256}\n  received sha256 {got}",
                "again later, or another --index-url: the file there was changed, or the connection changes it",
            )
        part.replace(to)
    return to


def _complete(url: str, part: Path, size: int, came: Callable[[int], None]) -> str:
    """Brings what a part still lacks, in a few tries; returns its digest."""
    try:
        _tried(lambda: _append(url, part, size, came))
    except Unreachable as error:
        if not _size(part):
            raise
        raise IncompleteDownload(
            f"{error.reason}; {_size(part)} of {size or 'unknown'} bytes came in {TRIES} tries",
            "again: what came is kept, and a server that can goes on from there",
        ) from None
    return files.sha256(part)


def _tried(work: Callable[[], T]) -> T:
    """Does again what broke off in the middle; what failed before, `_Retry` has tried already."""
    for _ in range(TRIES - 1):
        with suppress(_BrokenBody):
            return work()
    return work()


def _append(url: str, part: Path, size: int, came: Callable[[int], None]) -> None:
    """One request: for the rest, or for all where nothing is there. Whether both are one file's, the digest says."""
    have = _size(part)
    if size and have == size:
        return
    ask = {"Range": f"bytes={have}-"} if have else {}
    with _answer(url, {**_UNCODED, **ask}) as response:
        partial = response.status_code == 206
        if response.status_code == 416 or (
            partial and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        ):
            part.unlink(missing_ok=True)
            raise _BrokenBody(f"{redact_url(url)}: the server cannot go on from byte {have}")
        _require(url, response)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise FetchError(
                f"{redact_url(url)}: a web page instead of {part.stem} (a network that asks you to sign in first?)",
                "in a browser: sign in, then again; or another --source",
            )
        have = have if partial else 0
        with part.open("ab" if partial else "wb") as file:
            for block in _blocks(response):
                have += file.write(block)
                came(have)
                if size and have > size:
                    return  # no file of ours; its digest will say so
    if have < size:
        raise _BrokenBody(f"{redact_url(url)}: the connection ended early")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _blocks(response: requests.Response) -> Iterator[bytes]:
    # Undecoded: some servers call a .tar.gz a tar with Content-Encoding gzip. And read1, not read, which throws away
    # what it has gathered when the connection breaks.
    while block := response.raw.read1(_BLOCK, decode_content=False):
        yield block


def _require(url: str, response: requests.Response) -> None:
    """Refuses an answer that is none: Unreachable where the server is in trouble for now, else FetchError."""
    if response.status_code in _TRY_AGAIN:
        raise Unreachable(f"{redact_url(url)}: HTTP {response.status_code}", "again later")
    if not response.ok:
        proxy = "the proxy's settings (HTTPS_PROXY), or " if response.status_code == 407 else ""
        raise FetchError(f"{redact_url(url)}: HTTP {response.status_code}", f"{proxy}another --source or --index-url")
    way = [url, *(each.url for each in response.history[1:]), response.url]
    open_to_all = next((each for each in way if urlsplit(each).scheme != "https"), "")
    if urlsplit(url).scheme == "https" and open_to_all:
        raise FetchError(
            f"{redact_url(url)}: redirected to {redact_url(open_to_all)}, which anybody could have written",
            "another address",
        )


class _Retry(urllib3.Retry):
    """A few tries for what may fail for a moment: no connection, no answer, a server in trouble."""

    def increment(self, *args: Any, **named: Any) -> "_Retry":
        # A certificate that nobody trusts is not trusted the next time either.
        left = self.new(total=0) if isinstance(named.get("error"), urllib3.exceptions.SSLError) else self
        return super(_Retry, left).increment(*args, **named)

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        wait = super().get_retry_after(response)
        return None if wait is None else min(wait, LONGEST_WAIT)


class _Adapter(HTTPAdapter):
    """Trusts what the system trusts, as pip does, besides what requests is told to."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@contextmanager
def _answer(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """An answer, whatever its status; what fails is asked for again as `_Retry` says, and is one of our errors then."""
    named = next((key for key in BUNDLES if os.environ.get(key)), "")
    if named and urlsplit(url).scheme == "https" and not Path(os.environ[named]).exists():
        raise FetchError(
            f"{redact_url(url)}: {named} names {os.environ[named]}, which is not there",
            f"{named} with the file of certificates that you mean, or without it",
        )
    retry = _Retry(total=TRIES - 1, status_forcelist=_TRY_AGAIN, backoff_factor=PAUSE / 2, raise_on_status=False)
    began = False
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter(max_retries=retry))
            ask = {"User-Agent": "gobuild", **headers}
            with session.get(url, headers=ask, stream=True, timeout=TIMEOUT) as response:
                began = True
                yield response
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # "from None": the text of these errors has the URL, with all that is in it.
        kind, words, hint = why(error)
        raise (_BrokenBody if began else kind)(f"{redact_url(url)}: {words}", hint) from None


_PROXY = "the proxy's settings (HTTPS_PROXY, NO_PROXY), if this network has one"

_WHY: tuple[tuple[type[BaseException], type[FetchError], str, str], ...] = (
    (ssl.SSLCertVerificationError, FetchError, "its certificate is not trusted", CERTIFICATES),
    (urllib3.exceptions.ProxyError, NoConnection, "the proxy does not let it through", _PROXY),
    (socket.gaierror, NoConnection, "the name is not known", _PROXY),
    (requests.exceptions.SSLError, FetchError, "no TLS connection", CERTIFICATES),
    (ConnectionRefusedError, NoConnection, "connection refused", _PROXY),
    (requests.exceptions.ConnectTimeout, NoConnection, "no connection in time", _PROXY),
    (urllib3.exceptions.TimeoutError, Unreachable, "no answer in time", "again later"),
    (TimeoutError, Unreachable, "no answer in time", "again later"),
    (requests.exceptions.TooManyRedirects, FetchError, "too many redirects", "another address"),
    (urllib3.exceptions.ProtocolError, Unreachable, "the connection broke", "again later"),
    (urllib3.exceptions.NewConnectionError, NoConnection, "no connection", _PROXY),
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
