"""What a workbench remembers of its import: a small file within its .git, which every rebase leaves alone."""

from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PackageError, PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import SCHEMA, read_manifest, to_json

RECORD = ".git/gobuild.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """What was imported.

    Attributes:
        go, target, profile: what the patches were chosen for.
        series: the series' folder, or "none".
        patches: the names of those that a commit was to be made of, in order.
    """

    schema: int = SCHEMA
    go: GoVersion
    target: Target
    profile: str
    series: str
    patches: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "ImportRecord":
        """Reads it from a workbench; a folder that is none is a `PatchError`."""
        if not (folder / RECORD).is_file():
            raise PatchError(f"{folder} is no workbench: it has no {RECORD}", "the folder that patches.import made")
        try:
            return read_manifest(folder / RECORD, cls)
        except PackageError as error:
            raise PatchError(error.reason, "import the series again") from error

    def save(self, folder: Path) -> None:
        """Writes it into a workbench."""
        files.write(folder / RECORD, to_json(self))
