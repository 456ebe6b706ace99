"""The manifest, ``gobuild.json``: what a toolchain was made from, by what, and how it was checked.

Two documents of one schema. The one inside the toolchain, stamped before make.bash, says only what decides its
bytes: not the bootstrap toolchain, the building machine, the target or the time, so that two machines that build
the same thing get the same archives, and one source archive serves all targets. The one beside the archives says
everything. The README documents both, key by key.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import cattrs

from gobuild.core import files
from gobuild.core.errors import PackageError
from gobuild.core.model import Artifact, Check, GoVersion, Outcome, PatchedSource, Profile, Report, State, Toolchain

NAME = "gobuild.json"
SCHEMA = 1


def inner(patched: PatchedSource, profile: Profile, *, tree: str) -> dict[str, Any]:
    """The manifest that stands inside the toolchain.

    Args:
        patched: the source that will be built.
        profile: how it will be built.
        tree: the dirhash of the source before it was patched.

    Returns:
        A JSON document: its keys are the first half of the outer manifest's.
    """
    return {
        "schema": SCHEMA,
        "stamp": patched.stamp,
        "gobuild": installed("gobuild"),
        "release": str(patched.source.release.version),
        "source": {"kind": patched.source.kind, "tree": tree, "added": list(patched.source.added)},
        # What is not for this version decides no byte: it is told beside the archives only.
        "patches": [_told(outcome) for outcome in patched.outcomes if outcome.state is not State.NOT_FOR_THIS_VERSION],
        "profile": {
            "name": profile.name,
            "cgo_enabled": profile.cgo,
            "ldflags": profile.ldflags,
            "note": profile.says,
        },
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "state": str(outcome.state),
        "reason": outcome.reason,
        "evidence": outcome.evidence,
        "files": list(outcome.files),
        "sha256": outcome.sha256,
    }


def outer(
    toolchain: Toolchain,
    report: Report,
    artifacts: Iterable[Artifact],
    *,
    tree: str,
    run: dict[str, Any],
    signing: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The manifest that stands beside the archives.

    Args:
        toolchain: what was packaged.
        report: how it was checked.
        artifacts: the archives.
        tree: the dirhash of the source before it was patched.
        run: what the run measured of itself.
        signing: who signed the programs, and how; empty where they are as Go's linker made them.

    Returns:
        A JSON document.
    """
    source, release = toolchain.source.source, toolchain.source.source.release
    document = inner(toolchain.source, toolchain.profile, tree=tree)
    document["patches"] = [_told(outcome) for outcome in toolchain.source.outcomes]
    document["source"] |= {
        "origin": release.origin,
        "location": source.location,
        "digest": source.digest,
        "newer": str(release.newer) if release.newer else None,
    }
    return (
        document
        | ({"signing": dict(signing)} if signing else {})
        | {
            "bootstrap": {
                "version": str(toolchain.bootstrap.version),
                "origin": toolchain.bootstrap.origin,
                "digest": toolchain.bootstrap.digest,
            },
            "build": {
                "target": str(toolchain.target),
                "host": str(toolchain.host),
                "builder": toolchain.builder,
                "environment": toolchain.environment,
            },
            "checks": told(report),
            "artifacts": [
                {"file": artifact.path.name, "kind": artifact.kind, "sha256": artifact.sha256, "size": artifact.size}
                for artifact in artifacts
            ],
            "run": run,
        }
    )


def told(report: Report) -> list[dict[str, str]]:
    """A report as the manifest has it."""
    return [
        {
            "subject": check.subject,
            "name": check.name,
            "verdict": str(check.verdict),
            "seen": check.seen,
            "expected": check.expected,
            # Only where a policy decided: a manifest without one stays the same bytes.
            **({"severity": str(check.severity), "reason": check.reason} if check.reason else {}),
        }
        for check in report.checks
    ]


def report_of(told: Iterable[Mapping[str, Any]]) -> Report:
    """The report that `told` made that of.

    Raises:
        PackageError: it is none.
    """
    try:
        return Report(checks=tuple(_converter().structure(dict(each), Check) for each in told))
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        raise PackageError("these are no checks of gobuild's", "build again") from error


def text(document: dict[str, Any]) -> str:
    """A document as it is written: two documents that are equal are the same bytes."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """Reads a manifest of any kind.

    Raises:
        PackageError: it is damaged, or of a schema this gobuild does not know.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema = document["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError(f"{path} is no manifest of gobuild's", "build again") from error
    if schema != SCHEMA:
        raise PackageError(f"{path} has schema {schema}, and this gobuild knows {SCHEMA}", "use the newer gobuild")
    return dict(document)


def others(path: Path, stamp: str) -> list[dict[str, Any]]:
    """The manifests beside this one that are of the same stamp: the same release built for other targets."""
    beside = sorted(path.parent.glob(f"{stamp}.*.{NAME}"))
    return [read(each) for each in beside if each != path]


def agree(document: dict[str, Any], others: Iterable[dict[str, Any]]) -> None:
    """Makes sure that no archive would be overwritten which another target's manifest names.

    Raises:
        PackageError: the source archive of one stamp differs by target, as patches for one target alone make it.
    """
    ours = {artifact["file"]: artifact["sha256"] for artifact in document["artifacts"]}
    for other in others:
        for artifact in other["artifacts"]:
            if ours.get(artifact["file"], artifact["sha256"]) != artifact["sha256"]:
                raise PackageError(
                    f"{artifact['file']} stands in dist/ already, with other content, for {other['build']['target']}",
                    "a suffix with {id}, which tells the two apart, or another --dist",
                )


@cache
def _converter() -> cattrs.Converter:
    """One for all: it compiles a function a class, and a report has hundreds of checks."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    converter.register_unstructure_hook(GoVersion, str)
    converter.register_structure_hook(GoVersion, lambda value, _: GoVersion.parse(value))
    return converter


def state(toolchain: Toolchain, tree: str, job: Path) -> dict[str, Any]:
    """A finished toolchain written down, for `toolchain_of`; its own folders are told as they lie in the job's.

    Args:
        toolchain: the toolchain.
        tree: the dirhash of its source before it was patched.
        job: the folder that it stands in.
    """
    kept = _placed(toolchain, lambda path: path.relative_to(job))
    return {"schema": SCHEMA, "tree": tree, "toolchain": _converter().unstructure(kept)}


def _placed(toolchain: Toolchain, move: Callable[[Path], Path]) -> Toolchain:
    """The same toolchain in another place."""
    patched = toolchain.source
    source = replace(patched.source, root=move(patched.source.root))
    packer = toolchain.packer and move(toolchain.packer)
    return replace(toolchain, source=replace(patched, source=source), packer=packer)


def toolchain_of(state: Mapping[str, Any], job: Path) -> tuple[Toolchain, str]:
    """The toolchain, in the folder that it stands in now, and the dirhash of its source before it was patched.

    Raises:
        PackageError: it is no such state.
    """
    try:
        toolchain = _converter().structure(state["toolchain"], Toolchain)
        places = (toolchain.goroot, toolchain.packer or toolchain.goroot)
        if any(path.is_absolute() or ".." in path.parts for path in places):
            raise ValueError
        return _placed(toolchain, job.joinpath), str(state["tree"])
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        raise PackageError("this is no finished toolchain of gobuild's", "build again") from error


def keep(toolchain: Toolchain, tree: str, path: Path) -> None:
    """Writes down a finished toolchain beside its folder, for `recall`. The file's presence says "finished"."""
    files.write(path, text(state(toolchain, tree, path.parent)))


def decides(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a manifest, inner or outer, makes two toolchains two: release, source, patches and flags."""
    tried = [each for each in document["patches"] if each["state"] != State.NOT_FOR_THIS_VERSION]
    source = document["source"]
    return (
        document["release"],
        (source["kind"], source["digest"] if source["kind"] in ("git", "local") else ""),
        sorted((each["name"], each["sha256"]) for each in tried),
        [document["profile"][key] for key in ("name", "cgo_enabled", "ldflags")],
    )


def recall(path: Path) -> tuple[Toolchain, str]:
    """Reads what `keep` wrote.

    Returns:
        The toolchain, and the dirhash of its source before it was patched.

    Raises:
        PackageError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise PackageError(
            f"no finished toolchain in {path.parent}",
            "run invoke build with the same words first; with --fresh, if the store answered it",
        )
    document = read(path)
    try:
        return toolchain_of(document, path.parent)
    except PackageError as error:
        raise PackageError(f"{path} is damaged", "build again") from error
