"""Small finished builds for the tests of what is published: real archives with a toy in them, under true manifests."""

import base64
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import minisign
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from toy_manifest import as_text, toy_manifest, toy_patch

from gobuild.core.goversion import Target
from gobuild.publish.builds import Build, read_build
from gobuild.publish.catalogue import Catalogue, newest_first
from gobuild.publish.site import Published, SiteSigning, publish
from gobuild.publish.sumdb.note import NoteSigner
from gobuild.publish.supply.signing import MinisignSigner, ReleaseSigner, Trust

STAMP = "go1.22.10-acme1.p1"
NEXT = "go1.27.3-acme1.p2"
TIME, MTIME = "2024-11-27T20:27:20Z", 1732739240

SCRIPT = """#!/bin/sh
# What the go command runs once it has switched to this toolchain.
[ "$1" = env ] && { (cd "$(dirname "$(readlink -f "$0")")/.." && pwd); exit; }
echo 'go version STAMP TARGET'
"""


def secret_key(number: bytes, seed: bytes) -> minisign.SecretKey:
    """A key of minisign's without a password, as `minisign -GW` writes it."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    data = b"Ed" + bytes(2) + b"B2" + bytes(48) + number + seed + public + bytes(32)
    return minisign.SecretKey.from_base64(base64.b64encode(data))


def write_public_key(signer: MinisignSigner, path: Path) -> None:
    """The public half of a key, as minisign writes it."""
    path.write_bytes(bytes(signer.secret.get_public_key()) + b"\n")


SIGNER = MinisignSigner(secret=secret_key(b"12345678", bytes(32)))
KEY = NoteSigner(name="acme.example/sumdb", seed=bytes(range(32)))
DATABASE = "proxy/sumdb/acme.example/sumdb"
"""The checksum database of this key, in a tree."""

Edit = Callable[[dict[str, Any]], None]


def toolchain_files(
    stamp: str, target: str, *, word: str = "", pinned: bool = True, patches: Sequence[str] = ("goenv-local",)
) -> dict[str, bytes]:
    """What stands in a toy's GOROOT. With another `word` it has other bytes."""
    script = SCRIPT.replace("STAMP", stamp).replace("TARGET", target) + f"# {word}\n"
    return {
        "bin/go": script.encode(),
        "bin/gofmt": script.encode(),
        "LICENSE": b"The Go Authors\n",
        "PATENTS": b"None.\n",
        "VERSION": f"{stamp}\ntime {TIME}\n".encode(),
        "go.env": b"GOPROXY=direct\nGOTOOLCHAIN=" + (b"local\n" if pinned else b"auto\n"),
        "gobuild.json": json.dumps({"stamp": stamp, "patches": [{"name": name} for name in patches]}).encode(),
        "lib/README": b"Go 1.24 and later look into lib before they run a toolchain.\n",
        "pkg/tool/toy/compile": b"#!/bin/sh\n",
        "src/debug/elf/testdata/gcc-386": b"a program of another system",
        "src/runtime/pprof/testdata/test32": b"another",
        "src/runtime/proc.go": b"package runtime\n" * 500,
    }


def as_tar(files: Mapping[str, bytes], prefix: str = "go/") -> bytes:
    """A .tar.gz whose bytes depend on nothing else."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{prefix}{name}")
            entry.size, entry.mtime, entry.mode = len(content), MTIME, 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _zip(files: Mapping[str, bytes], prefix: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(prefix + name, (2026, 1, 2, 3, 4, 4)), content)
    return packed.getvalue()


def put_build(
    dist: Path,
    *,
    stamp: str = STAMP,
    target: str = "linux/amd64",
    content: str = "",
    pinned: bool = True,
    patches: Sequence[str] = ("goenv-local",),
    edit: Edit | None = None,
) -> Path:
    """Puts a finished build into a folder, and returns its manifest, which `edit` may change before it is written.

    `content` changes the toolchain's bytes, and `pinned` says whether its go.env keeps newer toolchains out.
    """
    dist.mkdir(parents=True, exist_ok=True)
    tree = toolchain_files(stamp, target, word=content, pinned=pinned, patches=patches)
    version = f"v0.0.1-{stamp}.{target.replace('/', '-')}"
    contents = {
        f"{version.removeprefix('v0.0.1-')}.tar.gz": as_tar(tree),
        f"{stamp}.src.tar.gz": as_tar({name: tree[name] for name in ("VERSION", "LICENSE")}),
        f"{version}.zip": _zip(tree, f"golang.org/toolchain@{version}/"),
        f"{version}.mod": b"module golang.org/toolchain\n",
        f"{version}.info": f'{{"Version":"{version}", "Time":"{TIME}"}}\n'.encode(),
    }
    for name, data in contents.items():
        (dist / name).write_bytes(data)
    told = toy_manifest(stamp, target, contents) | {"patches": [toy_patch(name) for name in patches]}
    if edit:
        edit(told)
    manifest = dist / f"{version.removeprefix('v0.0.1-')}.gobuild.json"
    manifest.write_text(as_text(told), encoding="utf-8")
    return manifest


def toy_build(
    folder: Path, *, release: str = "1.99.1", suffix: str = "acme1", target: Target | None = None, word: str = ""
) -> Build:
    """The same, read: for this machine where no target is named."""
    stamp, target = f"go{release}-{suffix}", target or Target.host()
    return read_build(put_build(folder, stamp=stamp, target=str(target), content=word), archives=folder)


def catalogue(
    *builds: Build, base_url: str = "https://go.acme.example", name: str = "go-acme", before: Sequence[str] = ()
) -> Catalogue:
    """A catalogue, ordered as it should be."""
    return Catalogue(name=name, base_url=base_url, builds=newest_first(builds, before=before))


def published(
    site: Path,
    *sources: Path,
    signer: ReleaseSigner | None = None,
    key: NoteSigner | None = None,
    resign: bool = False,
    base_url: str = "",
    signed_by: tuple[Trust, ...] = (),
    named: tuple[str, ...] = (),
) -> Published:
    """As the task does."""
    signing = SiteSigning(signer=signer, resign=resign, signed_by=signed_by, named=named)
    return publish(sources, site, name="go-acme", base_url=base_url, signing=signing, sumdb_key=key)


def content_of(site: Path) -> dict[str, bytes]:
    """Every file of a tree, as a reader sees it through the link."""
    root = site.resolve()
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def flip(path: Path, at: int) -> None:
    """Changes one byte of a file, which may be a hard link that others share: a new file takes its place."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)
