"""Finished builds in no time: archives laid out as distpack's, whose go is a script, and manifests of them."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toy_manifest import toy_manifest, toy_patch

from gobuild.core.model import Target
from gobuild.publish.builds import find, names
from gobuild.publish.catalogue import Offer, Shelf, newest_first
from gobuild.publish.homebrew import Tap

MTIME = 1732739240
PATCHES = ("mfinal-metal-init", "goenv-local")
DARWIN, LINUX = Target.parse("darwin/arm64"), Target.parse("linux/amd64")
MODULE = {".zip": b"a zip", ".mod": b"module golang.org/toolchain\n", ".info": b"{}\n"}


def _tar(path: Path, entries: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), MTIME
            info.mode = 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(info, io.BytesIO(content))


def toolchain(stamp: str, target: Target, *, pinned: bool = True) -> dict[str, bytes]:
    """The entries of an archive."""
    said = f"go version {stamp} {target}"
    inner = {"stamp": stamp, "patches": [{"name": name} for name in PATCHES]}
    return {
        "go/LICENSE": b"The toy's licence.\n",
        "go/PATENTS": b"None.\n",
        "go/VERSION": f"{stamp}\ntime 2024-11-27T20:27:20Z\n".encode(),
        "go/bin/go": f"#!/bin/sh\necho '{said}'\n".encode(),
        "go/bin/gofmt": b"#!/bin/sh\n",
        "go/go.env": b"GOPROXY=direct\nGOTOOLCHAIN=" + (b"local\n" if pinned else b"auto\n"),
        "go/gobuild.json": json.dumps(inner).encode(),
        "go/src/debug/elf/testdata/gcc-386": b"a program of another system",
        "go/src/runtime/pprof/testdata/test32": b"another",
        "go/src/runtime/proc.go": b"package runtime\n" * 500,
    }


def built(dist: Path, stamp: str, target: Target, *, pinned: bool = True, **more: Any) -> Offer:
    """Puts a finished build into a folder."""
    dist.mkdir(parents=True, exist_ok=True)
    contents = {}
    for name, kind in names(stamp, target).items():
        path = dist / name
        if kind == "module":
            path.write_bytes(MODULE[path.suffix])
        elif kind == "toolchain":
            _tar(path, toolchain(stamp, target, pinned=pinned))
        else:
            _tar(path, {"go/VERSION": stamp.encode()})
        contents[name] = path.read_bytes()
    document = toy_manifest(stamp, target, contents) | {"patches": [toy_patch(each) for each in PATCHES]} | more
    told = dist / f"{stamp}.{target.dashed}.gobuild.json"
    told.write_text(json.dumps(document))
    (offer,) = (found.offer for found in find(dist) if found.manifest == told.name)
    return offer


def shelf_of(
    *offers: Offer, base_url: str = "https://dl.example.com/go", name: str = "go-acme", before: Sequence[str] = ()
) -> Shelf:
    """A shelf, ordered as it should be."""
    return Shelf(name=name, base_url=base_url, offers=newest_first(offers, lambda offer: offer, before=before))


def formula_in(there: Tap, name: str) -> str:
    """A formula of a tap."""
    text = there.read(f"Formula/{name}.rb")
    assert text is not None, there.names()
    return text
