"""Small finished builds for the tests of what is published: real archives with a toy in them, under true manifests."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy_manifest import toy_manifest

from gobuild.publish.site import Published, publish
from gobuild.publish.site.incoming import NOTHING_MORE, Rules
from gobuild.publish.site.parts import routes, ways
from gobuild.publish.supply import minisign
from gobuild.publish.supply.signing import Minisign

STAMP = "go1.22.10-acme1.p1"
NEXT = "go1.27.3-acme1.p2"
SIGNER = Minisign(secret=minisign.SecretKey(number=b"12345678", seed=bytes(32)))
TIME = "2024-11-27T20:27:20Z"

Edit = Callable[[dict[str, Any]], None]


def _tree(stamp: str, content: str) -> dict[str, bytes]:
    script = f"#!/bin/sh\necho 'go version {stamp} toy {content}'\n".encode()
    texts = {"VERSION": f"{stamp}\ntime {TIME}\n", "LICENSE": "The Go Authors\n", "go.env": "GOTOOLCHAIN=local\n"}
    return {name: text.encode() for name, text in texts.items()} | {"bin/go": script, "bin/gofmt": script}


def _tar(tree: dict[str, bytes]) -> bytes:
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(tree.items()):
            entry = tarfile.TarInfo(f"go/{name}")
            entry.size, entry.mtime, entry.mode = len(content), 1732739240, 0o755 if "bin/" in name else 0o644
            tar.addfile(entry, io.BytesIO(content))
    # gzip's header has the time of packing in bytes 4 to 8: the same toy has the same bytes.
    return to.getvalue()[:4] + bytes(4) + to.getvalue()[8:]


def _zip(tree: dict[str, bytes], prefix: str) -> bytes:
    to = io.BytesIO()
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in sorted(tree.items()):
            pack.writestr(zipfile.ZipInfo(f"{prefix}/{name}"), content)
    return to.getvalue()


def toy_build(
    dist: Path, *, stamp: str = STAMP, target: str = "linux/amd64", content: str = "", edit: Edit | None = None
) -> Path:
    """Puts a finished build into a folder.

    Args:
        dist: the folder.
        stamp, target: what it is.
        content: changes the toolchain's bytes.
        edit: changes the manifest before it is written.

    Returns:
        The manifest.
    """
    dist.mkdir(parents=True, exist_ok=True)
    tree, dashed = _tree(stamp, content), target.replace("/", "-")
    version = f"v0.0.1-{stamp}.{dashed}"
    contents = {
        f"{stamp}.{dashed}.tar.gz": _tar(tree),
        f"{stamp}.src.tar.gz": _tar({name: text for name, text in tree.items() if "bin/" not in name}),
        f"{version}.zip": _zip(tree, f"golang.org/toolchain@{version}"),
        f"{version}.mod": b"module golang.org/toolchain\n",
        f"{version}.info": f'{{"Version":"{version}", "Time":"{TIME}"}}\n'.encode(),
    }
    for name, data in contents.items():
        (dist / name).write_bytes(data)
    told = toy_manifest(stamp, target, contents)
    if edit:
        edit(told)
    manifest = dist / f"{stamp}.{dashed}.gobuild.json"
    manifest.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def published(
    site: Path,
    *sources: Path,
    signer: Minisign | None = None,
    resign: bool = False,
    base_url: str = "",
    bare: bool = False,
    rules: Rules = NOTHING_MORE,
) -> Published:
    """As the task does, with every route; or, `bare`, with none."""
    return publish(
        sources,
        site,
        name="go-acme",
        base_url=base_url,
        signer=signer,
        resign=resign,
        routes=() if bare else routes(key=None, author="A <a@b.example>", note=lambda _: None),
        ways=ways(None),
        rules=rules,
    )


def content_of(site: Path) -> dict[str, bytes]:
    """Every file of a tree, as a reader sees it through the link."""
    root = site.resolve()
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
