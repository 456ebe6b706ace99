"""What goes to dist/ goes together: files come in one by one, and stand there all at once or not at all.

It knows nothing of what the files are.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gobuild import files
from gobuild.model import Artifact
from gobuild.plan import LOCK


@dataclass(slots=True)
class Delivery:
    """Files on their way to dist/, under temporary names in it.

    Attributes:
        dist: the folder.
    """

    dist: Path
    _staged: dict[Path, Path] = field(default_factory=dict)

    def add(self, path: Path, kind: str) -> Artifact:
        """Copies a file, and gives it a ``.sha256`` that `sha256sum -c` reads."""
        to = self.dist / path.name
        shutil.copyfile(path, self._temporary(to))
        digest = files.sha256(self._staged[to])
        checksum = to.with_name(f"{to.name}.sha256")
        self._temporary(checksum).write_text(f"{digest}  {to.name}\n", encoding="utf-8")
        return Artifact(path=to, kind=kind, sha256=digest, size=path.stat().st_size)

    def write(self, path: Path, text: str, kind: str) -> Artifact:
        """Writes a text of our own."""
        temporary = self._temporary(path)
        temporary.write_text(text, encoding="utf-8")
        return Artifact(path=path, kind=kind, sha256=files.sha256(temporary), size=temporary.stat().st_size)

    def _temporary(self, to: Path) -> Path:
        return self._staged.setdefault(to, to.with_name(f".{to.name}.part"))

    def arrive(self) -> None:
        """Renames everything to its own name. The last that was added, the manifest, is the last to stand there.

        An old one goes first: were the machine to stop between two renames, no manifest would name other bytes than
        stand beside it.
        """
        *_, last = self._staged
        last.unlink(missing_ok=True)
        for to, temporary in self._staged.items():
            temporary.replace(to)

    def drop(self) -> None:
        """Removes what has not arrived."""
        for temporary in self._staged.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def delivery(dist: Path, waiting: Callable[[str], None]) -> Iterator[Delivery]:
    """Holds dist/ for one delivery; what was added in the block arrives when it ends well.

    Args:
        dist: the folder; made where it is missing.
        waiting: told when another gobuild delivers there just now.

    Raises:
        OSError: there is no room, or no right to write; dist/ is as it was.
    """
    with files.alone(dist / LOCK, f"delivering to {dist}", waiting=waiting):
        made = Delivery(dist)
        try:
            yield made
            made.arrive()
        finally:
            made.drop()
