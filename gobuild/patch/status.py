"""The state of every patch of a series on every version of Go, found in memory.

Patches build on one another as in a build. One that conflicts is left out for those behind it; an optional one that
was not asked for is tried at its place, and taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Outcome, State
from gobuild.patch.apply import try_patch
from gobuild.patch.series import Patch, Series
from gobuild.patch.tree import Tree

DEFAULT_TARGET = Target(goos="darwin", goarch="arm64")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRow:
    """One patch over all versions, an outcome each; of variants it is the last one."""

    patch: Patch
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Patches, in the order of the series, by versions.

    `left_out` names the patches that are for no build of this target and profile.
    """

    series: str
    target: Target
    profile: str
    versions: tuple[GoVersion, ...]
    rows: tuple[PatchRow, ...]
    left_out: tuple[str, ...] = ()

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
            "patches": [
                {
                    **{key: getattr(row.patch, key) for key in ("name", "kind", "optional", "reason", "until")},
                    "versions": {
                        str(version): _outcome_to_json(outcome)
                        for version, outcome in zip(self.versions, row.outcomes, strict=True)
                    },
                }
                for row in self.rows
            ],
            "left_out": list(self.left_out),
        }


def status(
    series: Series,
    sources: Mapping[GoVersion, Path],
    *,
    target: Target = DEFAULT_TARGET,
    profile: str = "static",
    extra: Sequence[str] = (),
) -> Matrix:
    """What would become of every patch of a series on every version's source; nothing is changed in these folders.

    The optional patches that `extra` names stay applied for those behind them.

    Raises:
        ConfigError: one of `extra` is no optional patch of the series.
        PatchError: there is no source at one of the folders; or two variants of one patch are for one version.
    """
    series.require_optional(extra)
    names = {patch.name: patch for patch in series.patches if patch.for_build(target, profile)}
    versions = tuple(sorted(sources))
    columns = [_column(series, version, sources[version], target, profile, extra) for version in versions]
    return Matrix(
        series=str(series.folder),
        target=target,
        profile=profile,
        versions=versions,
        rows=tuple(
            PatchRow(patch=last, outcomes=tuple(column.get(name) or series.not_for(last) for column in columns))
            for name, last in names.items()
        ),
        left_out=tuple(dict.fromkeys(patch.name for patch in series.patches if patch.name not in names)),
    )


def _column(
    series: Series, version: GoVersion, root: Path, target: Target, profile: str, extra: Sequence[str]
) -> dict[str, Outcome]:
    """What becomes of the patches that fit one version, by name."""
    tree = Tree(root)
    patches: tuple[Patch, ...] = series.candidates(version, target, profile)
    return {patch.name: try_patch(patch, tree, keep=not patch.optional or patch.name in extra) for patch in patches}


def _outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "state": str(outcome.state),
        "evidence": outcome.evidence,
        "files": list(outcome.files),
        "sha256": outcome.sha256,
        "conflict": asdict(outcome.conflict) if outcome.conflict else None,
    }
