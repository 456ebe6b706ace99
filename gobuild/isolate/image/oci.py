"""Writes an OCI image layout, a folder that any client reads, by the OCI image specification 1.1.

Every document has sorted keys, no space and no time but the one it is given: equal images have equal digests.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.core.manifest import load_json

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"

REF = "org.opencontainers.image.ref.name"
OURS = "invalid.gobuild.layout"
"""The annotation of an index.json by which a layout of gobuild's is known."""

LARGEST = 1 << 20
"""Bytes of an index.json; ours have about 2 kB."""

RFC3339 = "%Y-%m-%dT%H:%M:%SZ"
"""How times are written, all in UTC."""

KEY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
"""A label's key. annotations.md asks for reverse domain names; this is the grammar of their parts in distribution's."""

BY_THE_USER = tuple(
    f"org.opencontainers.image.{key}" for key in ("authors", "url", "documentation", "source", "vendor")
)
"""The keys of the specification's own that a user may give; the others are known better here."""

Descriptor = dict[str, Any]
"""What points to a blob (descriptor.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of an image; `diff_id` and `size` are the uncompressed tar's, `says` is for the image's history."""

    descriptor: Descriptor
    diff_id: str
    size: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OciImage:
    """One image for one platform, its layers from the lowest up; its labels are its manifest's annotations too."""

    target: Target
    created: datetime
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name in the layout: "test-amd64", or "toolchain" for all platforms; with the bytes of its layers."""

    name: str
    platforms: tuple[str, ...]
    digest: str
    packed: int
    unpacked: int


def parse_label(text: str) -> tuple[str, str]:
    """A label that a user gives as KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not KEY.fullmatch(key) or len(key) > 255:
        raise ConfigError(f"a label is {ascii(key)[:80]}", "KEY=VALUE, with a key such as com.example.team")
    if key.startswith(("org.opencontainers.", "invalid.gobuild.")) and key not in BY_THE_USER:
        raise ConfigError(f"the label {key} is not yours to give", "of those names, " + ", ".join(BY_THE_USER))
    if not value.isprintable() or len(value) > 4096:
        raise ConfigError(f"the value of the label {key} is too long, or has characters that nobody sees", "plain text")
    if re.search(r"://[^/\s]*@", value):
        raise ConfigError(f"the URL in the label {key} holds credentials", "a URL without a name and a password in it")
    return key, value


def require_replaceable(folder: Path) -> None:
    """Refuses a place where something stands that is no layout of ours."""
    plain = folder.is_dir() and not folder.is_symlink()
    found = {path.name for path in folder.iterdir()} if plain else set()
    ours = found == {"oci-layout", "index.json", "blobs"} and _is_ours(folder / "index.json")
    if (found and not ours) or (not plain and os.path.lexists(folder)):
        raise ConfigError(
            f"what stands in {folder} is no image layout of gobuild's, and is not replaced",
            "a folder that does not exist yet, or holds a layout that gobuild wrote",
        )


def _is_ours(index: Path) -> bool:
    try:
        with index.open("rb") as file:
            return OURS in load_json(file.read(LARGEST))["annotations"]
    except (OSError, ValueError, LookupError, TypeError):
        return False


@dataclass(frozen=True, slots=True)
class Layout:
    """An image layout while it is written, in a folder that is empty in the beginning."""

    folder: Path

    def add_file(self, path: Path, media_type: str) -> Descriptor:
        """Moves a finished file among the blobs."""
        digest, size = files.sha256(path), path.stat().st_size
        blobs = self.folder / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        path.replace(blobs / digest)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}

    def add_json(self, media_type: str, **document: object) -> Descriptor:
        """Writes a JSON document as a blob."""
        (self.folder / "new").write_bytes(_json(document))
        return self.add_file(self.folder / "new", media_type)

    def add_image(self, image: OciImage) -> Descriptor:
        """Writes an image's configuration and manifest; the descriptor has its platform."""
        platform = {"architecture": image.target.goarch, "os": image.target.goos}
        if image.target.goarch == "arm64":
            platform["variant"] = "v8"  # image-index.md's table
        created = image.created.strftime(RFC3339)
        config = self.add_json(
            CONFIG,
            **platform,
            created=created,
            config={**image.config, "Labels": dict(image.labels)},
            rootfs={"type": "layers", "diff_ids": [layer.diff_id for layer in image.layers]},
            history=[{"created": created, "created_by": layer.says} for layer in image.layers],
        )
        manifest = self.add_json(
            MANIFEST,
            schemaVersion=2,
            mediaType=MANIFEST,
            config=config,
            layers=[layer.descriptor for layer in image.layers],
            annotations=dict(image.labels),
        )
        return {**manifest, "platform": platform}

    def finish(self, images: Mapping[str, Sequence[OciImage]]) -> tuple[Reference, ...]:
        """Writes the images, and what makes the folder a layout: NAME is an index of the platforms of NAME-GOARCH."""
        named: list[tuple[str, Descriptor, Sequence[OciImage]]] = []
        for name, group in images.items():
            manifests = [self.add_image(each) for each in group]
            index = self.add_json(INDEX, schemaVersion=2, mediaType=INDEX, manifests=manifests)
            named.append((name, index, group))
            for each, manifest in zip(group, manifests, strict=True):
                named.append((f"{name}-{each.target.goarch}", manifest, (each,)))
        top = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{**descriptor, "annotations": {REF: name}} for name, descriptor, _ in named],
            "annotations": {OURS: "1"},
        }
        files.write(self.folder / "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        files.write(self.folder / "index.json", _json(top))
        return tuple(
            Reference(
                name=name,
                platforms=tuple(str(each.target) for each in group),
                digest=descriptor["digest"],
                packed=sum(layer.descriptor["size"] for each in group for layer in each.layers),
                unpacked=sum(layer.size for each in group for layer in each.layers),
            )
            for name, descriptor, group in named
        )


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
