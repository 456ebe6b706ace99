"""What a release is made of, as CycloneDX 1.6 (ECMA-424), from what its manifests say.

The patched toolchain is the subject, and Go's source its ancestor; each patch stands in the pedigree's notes and as
a component with its digest; the bootstrap toolchain made it and is not in it, which "excluded" says.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gobuild.core.model import Artifact, State
from gobuild.publish.builds import Build
from gobuild.vulns.facts import MODULES

SPACE = uuid.UUID("6f4d1f0e-54d0-5c86-9d63-9f0f5f2a7c3b")
"""The namespace of our serial numbers: a document of the same content has the same one."""


def installed_packages() -> dict[str, str]:
    """The versions of gobuild and of all Python packages that it needs, as they are installed here, by name."""
    found: dict[str, str] = {}
    todo = ["gobuild"]
    while todo:
        name = canonicalize_name(todo.pop())
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:  # a distributor may leave one out
            continue
        found[name] = package.version
        needed = [Requirement(text) for text in package.requires or ()]
        todo += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return dict(sorted(found.items()))


def bill_of_materials(
    name: str, builds: tuple[Build, ...], *, time: str, packages: Mapping[str, str]
) -> dict[str, Any]:
    """The bill of materials of one release, of the distribution `name`, whose own time is `time` (RFC 3339).

    `packages` are the Python packages of the environment that publishes. Of the same words it is the same document.
    """
    first = builds[0]
    made_from = {component["bom-ref"]: component for build in builds for component in _inputs(build)}
    # By name: the targets share the source archive.
    archives = {each.path.name: _archive(each, first.stamp) for build in builds for each in build.archives}
    body = {
        "metadata": {
            "timestamp": time,
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [_python(package, version) for package, version in packages.items()]},
            "component": _subject(name, builds),
        },
        "components": [*archives.values(), *made_from.values()],
        "dependencies": [
            {"ref": first.stamp, "dependsOn": sorted(ref for ref in made_from if not ref.startswith("bootstrap:"))}
        ],
    }
    serial = uuid.uuid5(SPACE, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
    } | body


def _subject(name: str, builds: tuple[Build, ...]) -> dict[str, Any]:
    first = builds[0]
    patches = {patch.name: patch for build in builds for patch in build.manifest.patches}
    notes = "; ".join(f"{patch.name}: {patch.state}" for patch in patches.values())
    return {
        "bom-ref": first.stamp,
        "type": "application",
        "name": name,
        "version": first.stamp.removeprefix("go"),
        "description": f"Go {first.version}, patched, for {', '.join(str(build.target) for build in builds)}",
        "licenses": [{"license": {"id": "BSD-3-Clause"}}],
        "purl": f"pkg:generic/{quote(name)}@{quote(first.stamp.removeprefix('go'))}",
        "pedigree": {
            "ancestors": [
                {
                    "type": "application",
                    "name": "go",
                    "version": str(first.version),
                    "purl": f"pkg:golang/std@{quote(str(first.version))}",
                }
            ],
            "patches": [
                {"type": "unofficial", "resolves": [{"type": "defect", "name": patch.name}]}
                for patch in patches.values()
                if patch.state is State.APPLIED
            ],
            "notes": notes or "no patches",
        },
    }


def _archive(archive: Artifact, stamp: str) -> dict[str, Any]:
    return {
        "bom-ref": f"file:{archive.path.name}",
        "type": "file",
        "name": archive.path.name,
        "version": stamp.removeprefix("go"),
        **_hashes(f"sha256:{archive.sha256}"),
        "properties": _properties(kind=archive.kind, size=str(archive.size)),
    }


def _inputs(build: Build) -> Iterator[dict[str, Any]]:
    """What one build was made from: the source, the patches, the bootstrap toolchain."""
    source, bootstrap = build.manifest.source, build.manifest.bootstrap
    for name in MODULES:  # by these names scanners of a bill of materials look for Go's vulnerabilities
        purl = f"pkg:golang/{name}@{quote(str(build.version))}"
        yield {"bom-ref": purl, "type": "library", "name": name, "version": str(build.version), "purl": purl}
    yield {
        "bom-ref": f"source:{source.digest}",
        "type": "application",
        "name": "go-source",
        "version": str(build.version),
        "description": f"Go's source before patching, from {source.origin}: {source.location}",
        **_hashes(source.digest),
        "properties": _properties(digest=source.digest, tree=source.tree),
    }
    for patch in build.manifest.patches:
        files = [{"name": "gobuild:file", "value": file} for file in patch.files]
        yield {
            "bom-ref": f"patch:{patch.name}:{patch.sha256[:12]}",
            "type": "file",
            "name": patch.name,
            "scope": "required" if patch.state is State.APPLIED else "excluded",
            "description": patch.reason,
            **_hashes(f"sha256:{patch.sha256}"),
            "properties": _properties(state=str(patch.state), evidence=patch.evidence) + files,
        }
    yield {
        "bom-ref": f"bootstrap:{bootstrap.digest}",
        "type": "application",
        "name": "go-bootstrap",
        "version": str(bootstrap.version),
        "scope": "excluded",
        "description": f"the Go toolchain that make.bash started from, from {bootstrap.origin}",
        **_hashes(bootstrap.digest),
        "properties": _properties(digest=bootstrap.digest),
    }


def _properties(**values: str) -> list[dict[str, str]]:
    return [{"name": f"gobuild:{key}", "value": value} for key, value in values.items()]


def _python(name: str, version: str) -> dict[str, Any]:
    return {
        "type": "application" if name == "gobuild" else "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{quote(name)}@{quote(version)}",
    }


def _hashes(digest: str) -> dict[str, Any]:
    """CycloneDX knows no h1 and no git commit: those stand in the properties alone."""
    kind, _, value = digest.partition(":")
    return {"hashes": [{"alg": "SHA-256", "content": value}]} if kind == "sha256" and value else {}
