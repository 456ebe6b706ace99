"""What goes to dist/ goes together: all of it stands there at once, or nothing, and what is there already stays."""

import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gobuild.core import files
from gobuild.core.model import Artifact


@dataclass(slots=True)
class Delivery:
    """Files on their way to dist/, under temporary names in it."""

    dist: Path
    _staged: dict[Path, Path] = field(default_factory=dict)

    def add(self, path: Path, kind: str) -> Artifact:
        """Copies a file, and gives it a ``.sha256`` that `sha256sum -c` reads."""
        to, size, digest = self.dist / path.name, path.stat().st_size, files.sha256(path)
        if not _stands(to, size, digest):
            temporary = self._temporary(to)
            files.remove(temporary)  # a killed run's
            files.clone(path, temporary)
            digest = files.sha256(temporary)
        self.add_text(to.with_name(f"{to.name}.sha256"), f"{digest}  {to.name}\n", "digest")
        return Artifact(path=to, kind=kind, sha256=digest, size=size)

    def add_text(self, path: Path, text: str, kind: str) -> Artifact:
        """Writes a text of our own."""
        content = text.encode()
        digest = hashlib.sha256(content).hexdigest()
        if not _stands(path, len(content), digest):
            self._temporary(path).write_bytes(content)
        return Artifact(path=path, kind=kind, sha256=digest, size=len(content))

    def _temporary(self, to: Path) -> Path:
        return self._staged.setdefault(to, to.with_name(f".{to.name}.part"))

    def arrive(self) -> None:
        """Renames what is new to its own name. The last that was added, the manifest, is the last to stand there.

        An old one goes first: were the machine to stop between two renames, no manifest would name other bytes than
        stand beside it.
        """
        with _undisturbed():
            for last in list(self._staged)[-1:]:
                last.unlink(missing_ok=True)
            for to, temporary in self._staged.items():
                temporary.replace(to)

    def drop(self) -> None:
        """Removes what has not arrived."""
        for temporary in self._staged.values():
            temporary.unlink(missing_ok=True)


def _stands(path: Path, size: int, digest: str) -> bool:
    """Whether a file is there already, to the byte: then it stays, untouched."""
    if path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == size and files.sha256(path) == digest


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A block that Ctrl-C, or whatever else the program answers to, ends after it and not within."""
    heard: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other runs the program's answers
        handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        before = {each: handler for each, handler in handlers.items() if callable(handler)}
    for each in before:
        signal.signal(each, lambda number, _frame: heard.append(number))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in heard:
            signal.raise_signal(number)


@contextmanager
def delivery(dist: Path, waiting: Callable[[str], None]) -> Iterator[Delivery]:
    """Holds dist/ for one delivery; what was added in the block arrives when it ends well, and else dist/ is as it was.

    `waiting` is told when another gobuild delivers there just now.
    """
    with files.exclusive_lock(dist / files.LOCK, f"delivering to {dist}", waiting=waiting):
        made = Delivery(dist)
        try:
            yield made
            made.arrive()
        finally:
            made.drop()
