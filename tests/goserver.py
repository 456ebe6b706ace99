"""A real HTTP server on this machine that speaks go.dev's index, serves real archives, and breaks where a test says.

It answers as go.dev does: `/dl/?mode=json&include=all` is the index, `/dl/FILE` redirects to a file elsewhere.
"""

import hashlib
import json
import ssl
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gobuild.fetch import goroot

SECRET = "s3cr3t-t0ken"
"""In every address that the server redirects to; it must never be seen anywhere."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hangs up early is one of the tests.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@dataclass
class GoServer:
    """What the server has, how it behaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)  # what it serves below /dl/
    index: list[dict[str, Any]] = field(default_factory=list)  # the entries of the index
    ranges: bool = True  # whether it can go on from the middle
    elsewhere: str = ""  # where its files redirect to, instead of below /files/
    retry_after: str = ""  # what it asks to wait for, with a status
    truncate: int | None = None  # bytes of a body after which the connection breaks, for the next `times` answers
    times: int = 1_000
    delay: float = 0.0  # seconds before each answer
    status: int = 0  # answers everything with this status, for the next `times` answers
    page: bytes = b""  # answers everything with this web page
    asked: list[tuple[str, str]] = field(default_factory=list)  # the paths asked for, each with its Range header

    @cached_property
    def http(self) -> ThreadingHTTPServer:
        """The server itself, on a port of its own."""
        return _Quiet(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        """The address of the index."""
        return f"http://127.0.0.1:{self.http.server_port}/dl/"

    def add(
        self, version: str, filename: str, content: bytes, *, kind: str = "source", os: str = "", arch: str = ""
    ) -> None:
        """Lists a file under a release and serves it."""
        self.files[filename] = content
        entry: dict[str, object] = {"filename": filename, "os": os, "arch": arch, "version": version, "kind": kind}
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        listed = next((each["files"] for each in self.index if each["version"] == version), None)
        if listed is None:
            listed = []
            self.index.append({"version": version, "stable": "rc" not in version, "files": listed})
        listed.append(entry)


@contextmanager
def answering(server: HTTPServer) -> Iterator[str]:
    """Lets a server answer until the block ends; yields its address, without a slash at the end."""
    # shutdown() waits for the next poll: with socketserver's own half a second, each server would cost that much.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving() -> Iterator[GoServer]:
    """A server that runs until the block ends."""
    server = GoServer()
    with answering(server.http):
        yield server


@contextmanager
def secure(server: GoServer, folder: Path) -> Iterator[str]:
    """The same server once more, by TLS and with a certificate that it signed itself, certificate.pem in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "private.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    with _Quiet(("127.0.0.1", 0), _handler(server)) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        with answering(http) as url:
            yield f"https://localhost:{url.rpartition(':')[2]}/dl/"


def source_archive(root: Path, to: Path) -> bytes:
    """The .src.tar.gz of a GOROOT, with what Go's own has in it."""
    return _archive(root, to, goroot.is_source)


def host_archive(root: Path, to: Path) -> bytes:
    """The binary archive of a GOROOT."""
    return _archive(root, to, lambda name: name != "__init__.py")


def _archive(root: Path, to: Path, wanted: Callable[[str], bool]) -> bytes:
    with tarfile.open(to, "w:gz", compresslevel=1) as tar:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and wanted(name):
                tar.add(path, f"go/{name}")
    return to.read_bytes()


def _handler(server: GoServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers.get("Range", "")))
            time.sleep(server.delay)
            path = urlsplit(self.path).path
            if server.status and server.times > 0:
                server.times -= 1
                self._head(server.status, {"Retry-After": server.retry_after} if server.retry_after else {})
            elif server.page:
                self._body(server.page, "text/html")
            elif path == "/dl/":
                self._body(json.dumps(server.index).encode(), "application/json")
            elif path.startswith("/dl/") and path.removeprefix("/dl/") in server.files:
                to = server.elsewhere or f"/files/{path.removeprefix('/dl/')}"
                self._head(302, {"Location": f"{to}?token={SECRET}"})
            elif path.startswith("/files/") and SECRET in self.path:
                self._body(server.files[path.removeprefix("/files/")], "application/octet-stream")
            else:
                self.send_error(404)

        def _head(self, code: int, headers: dict[str, str], length: int = 0) -> None:
            self.send_response(code)
            for name, value in (headers | {"Content-Length": str(length)}).items():
                self.send_header(name, value)
            self.end_headers()

        def _body(self, content: bytes, kind: str) -> None:
            wanted = self.headers.get("Range", "")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if server.ranges and wanted else 0
            if start >= len(content) > 0:
                self.send_error(416)
                return
            partly = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            self._head(206 if start else 200, {"Content-Type": kind, **partly}, len(content) - start)
            rest = content[start:]
            if server.truncate is not None and server.times > 0 and kind == "application/octet-stream":
                server.times -= 1
                rest = rest[: server.truncate]
            self.wfile.write(rest)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
