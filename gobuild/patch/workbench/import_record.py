"""What a workbench remembers of its import: a small file within its .git."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion

RECORD = ".git/gobuild.json"
"""Within .git it belongs to no commit, and every rebase leaves it alone."""

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """What was imported.

    Attributes:
        go, target, profile: what the patches were chosen for.
        series: the series' folder, or "none".
        patches: the names of those that a commit was to be made of, in order.
    """

    go: str
    target: str
    profile: str
    series: str
    patches: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "ImportRecord":
        """Reads it from a workbench.

        Raises:
            PatchError: the folder is none.
        """
        try:
            content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if content.pop("schema") != SCHEMA:
                raise PatchError(f"{folder} was imported by another gobuild", "import the series again")
            return cls(**{**content, "patches": tuple(content["patches"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PatchError(
                f"{folder} is no workbench: {RECORD} cannot be read ({error})",
                "the folder that patches.import made, by --to",
            ) from error

    def save(self, folder: Path) -> None:
        """Writes it into a workbench."""
        files.write(folder / RECORD, json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n")

    @property
    def version(self) -> GoVersion:
        """`go`, parsed."""
        return GoVersion.parse(self.go)
