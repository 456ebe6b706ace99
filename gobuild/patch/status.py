"""The state of every patch of a series on every version of Go, found in memory.

Patches build on one another as in a build. One that conflicts or cannot be read is left out for those behind it; an
optional one that was not asked for is tried at its place, and taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Outcome, State
from gobuild.patch.apply import try_patch
from gobuild.patch.diff.unified import Diff
from gobuild.patch.series import Patch, Series, Unreadable
from gobuild.patch.tree import Tree

KEYS = ("state", "evidence", "files", "sha256", "conflict")
"""What the matrix's JSON has of an outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRow:
    """One patch over all versions, an outcome each; of variants it is the last one."""

    patch: Patch
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Patches, in the order of the series, by versions; without those `left_out`, which are for other builds."""

    series: str
    target: Target
    profile: str
    versions: tuple[GoVersion, ...]
    rows: tuple[PatchRow, ...]
    unreadable: tuple[Outcome, ...] = ()  # of the whole series, for whatever build they are
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what is sloppy in a patch, and does no harm
    without: tuple[str, ...] = ()  # the stock patches that the series is to be without

    @property
    def conflicts(self) -> tuple[tuple[GoVersion, Outcome], ...]:
        """Every conflict, and on which version."""
        return tuple(
            (version, outcome)
            for row in self.rows
            for version, outcome in zip(self.versions, row.outcomes, strict=True)
            if outcome.state is State.CONFLICT
        )

    def to_json(self) -> dict[str, Any]:
        """The matrix as JSON."""
        return {
            "schema": 1,
            "series": self.series,
            "target": str(self.target),
            "profile": self.profile,
            "versions": [str(version) for version in self.versions],
            "conflicts": len(self.conflicts),
            "unreadable": len(self.unreadable),
            "patches": [
                {
                    **{key: getattr(row.patch, key) for key in ("name", "kind", "optional", "reason", "until")},
                    "versions": {
                        str(version): {key: value for key, value in asdict(outcome).items() if key in KEYS}
                        for version, outcome in zip(self.versions, row.outcomes, strict=True)
                    },
                }
                for row in self.rows
            ],
            "left_out": list(self.left_out),
            "without": list(self.without),
            "notes": list(self.notes),
        }


def status(
    series: Series,
    sources: Mapping[GoVersion, Path],
    *,
    target: Target,
    profile: str,
    extra: Sequence[str] = (),
) -> Matrix:
    """What would become of every patch of a series on every version's source; nothing is changed in these folders.

    The optional patches that `extra` names stay applied for those behind them.
    """
    names = {patch.name: patch for patch in series.patches if patch.for_build(target, profile)}
    versions = tuple(sorted(sources))
    columns: list[dict[str, Outcome]] = []
    for version in versions:
        tree = Tree(sources[version])
        patches = series.candidates(version, target, profile)
        column: dict[str, Outcome] = {}
        applied: list[Patch] = []
        for one in patches:
            kept = not one.optional or one.name in extra
            column[one.name] = try_patch(one, tree, keep=kept, before=applied)
            if kept and column[one.name].state is State.APPLIED:
                applied.append(one)
        columns.append(column)
    return Matrix(
        series=str(series.folder),
        target=target,
        profile=profile,
        versions=versions,
        rows=tuple(
            PatchRow(patch=last, outcomes=tuple(column.get(name) or series.not_for(last) for column in columns))
            for name, last in names.items()
        ),
        unreadable=tuple(
            Outcome(name=patch.name, reason=patch.reason, state=State.UNREADABLE, evidence=why.reason, sha256="")
            for patch in series.patches
            if isinstance(why := patch.operation, Unreadable)
        ),
        without=series.without,
        notes=tuple(
            f"{patch.name}: {patch.file} {note}"
            for patch in series.patches
            if isinstance(diff := patch.operation, Diff)
            for note in diff.notes
        ),
        left_out=tuple(dict.fromkeys(patch.name for patch in series.patches if patch.name not in names)),
    )
