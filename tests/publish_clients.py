"""What real clients of a published tree need: a server that keeps what it was asked for, a go command with a home."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from goserver import answering


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
