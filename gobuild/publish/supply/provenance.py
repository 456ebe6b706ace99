"""How a release was made: in-toto statements with SLSA provenance, one a build, from what the manifests say.

It is no claim to a SLSA level above 1, since the machine that builds also writes it.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from gobuild.core.manifest import Manifest
from gobuild.publish.builds import Build

BUILD_TYPE = "urn:gobuild:build:v1"
"""What the parameters mean: the README's table of the manifest."""


def digest_set(digest: str) -> dict[str, str]:
    """A digest of the manifest's as in-toto writes it (in-toto/attestation, spec/v1/digest_set.md)."""
    kind, _, value = digest.partition(":")
    if kind == "h1":
        return {"dirHash": base64.b64decode(value).hex()}
    return {{"sha256": "sha256", "git": "gitCommit"}[kind]: value}


def provenance_lines(builds: Iterable[Build], builder: str) -> str:
    """The provenance of builds, a JSON line each. `builder` vouches for the machine that built: a URI."""
    statements = (_statement(build, builder) for build in builds)
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in statements)


def _statement(build: Build, builder: str) -> dict[str, Any]:
    told, digest = build.manifest, hashlib.sha256(build.text).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": each.path.name, "digest": {"sha256": each.sha256}} for each in build.archives],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "go": str(build.version),
                    "stamp": build.stamp,
                    "target": str(build.target),
                    "profile": told.profile.name,
                    "patches": [patch.name for patch in told.patches],
                },
                "internalParameters": {"host": str(told.build.host), "environment": told.build.environment},
                "resolvedDependencies": list(_dependencies(told)),
            },
            "runDetails": {
                "builder": {"id": builder, "version": {"gobuild": told.gobuild}},
                "metadata": {"invocationId": f"urn:sha256:{digest}"},
                "byproducts": [{"name": build.manifest_name, "digest": {"sha256": digest}}],
            },
        },
    }


def _dependencies(manifest: Manifest) -> Iterator[dict[str, Any]]:
    source, bootstrap = manifest.source, manifest.bootstrap
    yield {
        "name": "source",
        "uri": f"pkg:golang/std@{quote(str(manifest.release))}",
        "digest": digest_set(source.digest),
        "annotations": {"origin": source.origin, "location": source.location},
    }
    yield {"name": "source tree", "digest": digest_set(source.tree)}
    for patch in manifest.patches:
        if patch.sha256:
            yield {
                "name": f"patch {patch.name}",
                "digest": {"sha256": patch.sha256},
                "annotations": {"state": str(patch.state)},
            }
    yield {
        "name": "bootstrap",
        "uri": f"pkg:golang/std@{quote(str(bootstrap.version))}",
        "digest": digest_set(bootstrap.digest),
        "annotations": {"origin": bootstrap.origin},
    }
