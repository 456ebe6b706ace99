"""How a release was made: in-toto statements with SLSA provenance, one a build, from what the manifests say.

in-toto Statement v1 (https://in-toto.io/Statement/v1), SLSA's predicate v1 (https://slsa.dev/provenance/v1). It is
no claim to a SLSA level above 1, since the machine that builds also writes it.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from gobuild.core.manifest import Manifest
from gobuild.publish.builds import Build

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:gobuild:build:v1"
"""What the parameters mean: the README's table of the manifest."""


def digest_set(digest: str) -> dict[str, str]:
    """A digest of the manifest's as in-toto writes it (in-toto/attestation, spec/v1/digest_set.md).

    >>> digest_set("git:" + 40 * "a")["gitCommit"][:3]
    'aaa'
    """
    kind, _, value = digest.partition(":")
    if kind == "h1":
        return {"dirHash": base64.b64decode(value).hex()}
    return {{"sha256": "sha256", "git": "gitCommit"}[kind]: value}


def statement(build: Build, builder: str) -> dict[str, Any]:
    """The provenance of one build, an in-toto statement. `builder` vouches for the machine that built: a URI."""
    told, digest = build.manifest, hashlib.sha256(build.text).hexdigest()
    return {
        "_type": STATEMENT,
        "subject": [{"name": each.path.name, "digest": {"sha256": each.sha256}} for each in build.archives],
        "predicateType": PREDICATE,
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


def json_lines(statements: Iterable[dict[str, Any]]) -> str:
    """Statements as JSON Lines, which *.intoto.jsonl holds."""
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in statements)
