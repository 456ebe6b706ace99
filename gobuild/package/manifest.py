"""What a build writes down: the manifests of a toolchain, and the finished toolchain itself, to be packed once more."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import PackageError
from gobuild.core.manifest import (
    NAME,
    SCHEMA,
    ArtifactRecord,
    BootstrapOrigin,
    BuildRecord,
    InnerManifest,
    KnownVulnerabilities,
    Manifest,
    SourceOrigin,
    SourceTree,
    read_manifest,
    structure,
    to_json,
    unstructure,
)
from gobuild.core.model import Artifact, PatchedSource, Profile, Report, State, Toolchain


def inner_manifest(patched: PatchedSource, profile: Profile, *, tree: str) -> InnerManifest:
    """The manifest that stands inside the toolchain. `tree` is the dirhash of the source before it was patched."""
    return InnerManifest(
        stamp=patched.stamp,
        gobuild=installed("gobuild"),
        release=patched.source.release.version,
        source=SourceTree(kind=patched.source.kind, tree=tree, added=patched.source.added),
        # What is not for this version decides no byte: it is told beside the archives only.
        patches=tuple(each for each in patched.outcomes if each.state is not State.NOT_FOR_THIS_VERSION),
        profile=profile,
        environment=patched.environment,
    )


def outer_manifest(
    toolchain: Toolchain,
    report: Report,
    artifacts: Iterable[Artifact],
    *,
    tree: str,
    run: dict[str, Any],
    signing: Mapping[str, str] | None = None,
    vulnerabilities: KnownVulnerabilities | None = None,
) -> Manifest:
    """The manifest that stands beside the archives; its fields say what each argument is."""
    source, bootstrap = toolchain.source.source, toolchain.bootstrap
    return Manifest(
        stamp=toolchain.source.stamp,
        gobuild=installed("gobuild"),
        release=source.release.version,
        source=SourceOrigin(
            kind=source.kind,
            tree=tree,
            added=source.added,
            origin=source.release.origin,
            location=source.location,
            digest=source.digest,
            newer=source.release.newer,
        ),
        patches=toolchain.source.outcomes,
        extends=toolchain.source.extends,
        without=toolchain.source.without,
        profile=toolchain.profile,
        environment=toolchain.source.environment,
        signing=dict(signing or {}),
        bootstrap=BootstrapOrigin(version=bootstrap.version, origin=bootstrap.origin, digest=bootstrap.digest),
        build=BuildRecord(
            target=toolchain.target,
            host=toolchain.host,
            builder=toolchain.builder,
            environment=toolchain.environment,
        ),
        checks=report.checks,
        artifacts=tuple(
            ArtifactRecord(file=each.path.name, kind=each.kind, sha256=each.sha256, size=each.size)
            for each in artifacts
        ),
        vulnerabilities=vulnerabilities,
        run=run,
    )


def other_targets(path: Path, stamp: str) -> list[Manifest]:
    """The manifests beside this one that are of the same stamp: the same release built for other targets."""
    beside = sorted(path.parent.glob(f"{stamp}.*.{NAME}"))
    return [read_manifest(each, Manifest) for each in beside if each != path]


def require_same_archives(manifest: Manifest, others: Iterable[Manifest]) -> None:
    """Makes sure that no archive would be overwritten which another target's manifest names.

    Raises:
        PackageError: the source archive of one stamp differs by target, as patches for one target alone make it.
    """
    ours = {artifact.file: artifact.sha256 for artifact in manifest.artifacts}
    for other in others:
        for artifact in other.artifacts:
            if ours.get(artifact.file, artifact.sha256) != artifact.sha256:
                raise PackageError(
                    f"{artifact.file} stands in dist/ already, with other content, for {other.build.target}",
                    "a suffix with {id}, which tells the two apart, or another --dist",
                )


def decisive_parts(manifest: Manifest) -> tuple[Any, ...]:
    """What of a manifest makes two toolchains two: release, source, patches and flags."""
    tried = [each for each in manifest.patches if each.state is not State.NOT_FOR_THIS_VERSION]
    source, profile = manifest.source, manifest.profile
    return (
        str(manifest.release),
        (source.kind, source.digest if source.kind in ("git", "local") else ""),
        sorted((each.name, each.sha256) for each in tried),
        [profile.name, profile.cgo, profile.ldflags],
        manifest.environment,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedToolchain:
    """A toolchain written down, its own folders as they lie in the job's; and its source's dirhash before patching."""

    schema: int = SCHEMA
    tree: str
    toolchain: Toolchain


def dump_toolchain(toolchain: Toolchain, tree: str, job: Path) -> dict[str, Any]:
    """A finished toolchain as JSON, for `load_toolchain`. `job` is the folder that it stands in."""
    relative = _moved(toolchain, lambda path: path.relative_to(job))
    return dict(unstructure(FinishedToolchain(tree=tree, toolchain=relative)))


def _moved(toolchain: Toolchain, move: Callable[[Path], Path]) -> Toolchain:
    """The same toolchain in another place."""
    patched = toolchain.source
    source = replace(patched.source, root=move(patched.source.root))
    packer = toolchain.packer and move(toolchain.packer)
    return replace(toolchain, source=replace(patched, source=source), packer=packer)


def load_toolchain(document: object, job: Path) -> tuple[Toolchain, str]:
    """The toolchain, in the folder that it stands in now, and the dirhash of its source before it was patched.

    Raises:
        PackageError: it is no such document.
    """
    try:
        return _placed(structure(document, FinishedToolchain), job)
    except ValueError as error:
        raise PackageError(f"this is no finished toolchain of gobuild's: {error}", "build again") from error


def _placed(finished: FinishedToolchain, job: Path) -> tuple[Toolchain, str]:
    toolchain = finished.toolchain
    for path in (toolchain.goroot, toolchain.packer or toolchain.goroot):
        if path.is_absolute() or ".." in path.parts:
            raise PackageError(f"a toolchain that leads out of its folder {job}", "build again")
    return _moved(toolchain, job.joinpath), finished.tree


def write_toolchain(toolchain: Toolchain, tree: str, path: Path) -> None:
    """Writes down a finished toolchain beside its folder, for `read_toolchain`. The file's presence says "finished"."""
    files.write(path, to_json(dump_toolchain(toolchain, tree, path.parent)))


def read_toolchain(path: Path) -> tuple[Toolchain, str]:
    """Reads what `write_toolchain` wrote; returns what `load_toolchain` does.

    Raises:
        PackageError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise PackageError(
            f"no finished toolchain in {path.parent}",
            "run invoke build with the same words first; with --fresh, if the store answered it",
        )
    return _placed(read_manifest(path, FinishedToolchain), path.parent)
