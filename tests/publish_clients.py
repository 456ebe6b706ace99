"""What real clients of a published tree need: a server that keeps what it was asked for, a go command with a home."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from goserver import answering


@dataclass(frozen=True, slots=True)
class Served:
    """A folder under an address without a slash at the end, and what was asked for, in order; errors twice."""

    url: str
    asked: list[str]


@contextmanager
def serving(folder: Path, **headers: str) -> Iterator[Served]:
    """Serves a folder by plain HTTP on this machine alone, as any static server does; with headers more."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *_args: object) -> None:
            asked.append(self.path)

        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            super().end_headers()

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))) as url:
        yield Served(url, asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A go command with a home of its own, as on a user's machine; the module cache is there."""

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
