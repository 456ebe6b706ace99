"""Toy builds to publish, with every file that a real one has; and what real clients need: a server, a home."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from goserver import answering
from toy_manifest import structured, toy_manifest

from gobuild.core.model import Target
from gobuild.publish.catalogue import Archive, Offer, Shelf

SCRIPT = """#!/bin/sh
# What the go command runs once it has switched to this toolchain.
[ "$1" = env ] && { (cd "$(dirname "$(readlink -f "$0")")/.." && pwd); exit; }
echo "go version STAMP toy"
"""


def toy_offer(
    folder: Path, *, release: str = "1.99.1", suffix: str = "acme1", target: Target | None = None, word: str = ""
) -> Offer:
    """A build whose toolchain is three shell scripts. With another `word` it has other bytes under the same names."""
    target = target or Target.host()
    stamp = f"go{release}-{suffix}"
    files = {name: SCRIPT.replace("STAMP", stamp) + f"# {word}\n" for name in ("bin/go", "bin/gofmt")}
    files |= {"VERSION": f"{stamp}\n", "pkg/tool/toy/compile": "#!/bin/sh\n"}
    files |= {"lib/README": "Go 1.24 and later look into lib before they run a toolchain.\n"}
    module = f"v0.0.1-{stamp}.{target.dashed}"
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        f"{stamp}.{target.dashed}.tar.gz": ("toolchain", _tar(files)),
        f"{stamp}.src.tar.gz": ("source", _tar({"VERSION": f"{stamp}\n"})),
        f"{module}.zip": ("module", _zip(f"golang.org/toolchain@{module}/", files)),
        f"{module}.mod": ("module", b"module golang.org/toolchain\n"),
        f"{module}.info": (
            "module",
            json.dumps({"Version": module, "Time": "2026-01-02T03:04:05Z"}).encode(),
        ),
    }
    archives = []
    for name, (kind, content) in made.items():
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        archives.append(Archive(path=folder / name, kind=kind, sha256=digest, size=len(content)))
    told = toy_manifest(stamp, target, {name: content for name, (_, content) in made.items()})
    return Offer(manifest=structured(told), archives=tuple(archives))


def shelf(*offers: Offer, base_url: str = "https://go.acme.example") -> Shelf:
    """A shelf, newest first."""
    ordered = sorted(offers, key=lambda offer: (offer.version.pep440, offer.stamp), reverse=True)
    return Shelf(name="go-acme", base_url=base_url, offers=tuple(ordered))


def _tar(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"go/{name}")
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


def _zip(prefix: str, files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(prefix + name, (2026, 1, 2, 3, 4, 4)), text)
    return packed.getvalue()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a folder as any static server does, and keeps what it was asked for."""

    def log_message(self, format: str, *_args: object) -> None:
        asked = getattr(self.server, "asked", None)
        if isinstance(asked, list):
            asked.append(self.path)


@dataclass(frozen=True, slots=True)
class Served:
    """A folder under an address.

    Attributes:
        url: without a slash at the end.
        asked: the paths that were asked for, in order; errors are there twice.
    """

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serves a folder by plain HTTP on this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    with answering(server) as url:
        served = Served(url=url)
        server.asked = served.asked  # type: ignore[attr-defined]
        yield served


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A go command with a home of its own, as on a user's machine.

    Attributes:
        goroot: the toolchain it belongs to.
        home: its home; the module cache is there.
    """

    goroot: Path
    home: Path

    def variables(self, **more: str) -> dict[str, str]:
        """Its whole environment."""
        self.home.mkdir(parents=True, exist_ok=True)
        path = f"{self.home}/.local/bin:{self.goroot}/bin:/usr/local/bin:/usr/bin:/bin"
        # -modcacherw: so that pytest can remove the folder.
        own = {"PATH": path, "HOME": str(self.home), "GOFLAGS": "-modcacherw", "GOENV": "off", "GOTOOLCHAIN": "local"}
        return own | more

    def go(self, *words: str, cwd: Path | str | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
        """Runs it; standard output and error are both in `stdout`."""
        return self._run([str(self.goroot / "bin/go"), *words], cwd, more)

    def paste(self, *lines: str, cwd: Path | str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Runs lines as a user pastes them: a prompt does not stop at one that fails."""
        return self._run(["bash", "-c", "\n".join(lines)], cwd, more)

    def _run(self, argv: list[str], cwd: Path | str | None, more: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            argv,
            cwd=cwd or self.home.parent,
            env=self.variables(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )


def flip(path: Path, at: int) -> None:
    """Changes one byte of a file, which may be a hard link that others share: a new file takes its place."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)
