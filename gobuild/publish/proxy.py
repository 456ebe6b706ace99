"""The GOTOOLCHAIN proxy: a static module proxy with golang.org/toolchain alone (https://go.dev/ref/mod#goproxy-protocol)."""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PublishError, VerifyError
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import MODULE, VERSIONS, copy_to_tree, module_version

GO_MOD = f"module {MODULE}\n"
"""All that the module's go.mod says; distpack writes it."""


def write_proxy(catalogue: Catalogue, tree: Path) -> None:
    """Writes proxy/golang.org/toolchain/@v of a staged tree: .zip, .mod and .info of every build, and the list.

    What stands there is added to, never changed.

    Raises:
        PublishError: a file is not what its name says, or was published before with other bytes.
    """
    for build in catalogue.builds:
        _check_small(build)
        for suffix in (".mod", ".info", ".zip"):
            copy_to_tree(build, build.archive("module", suffix), tree)
    # Go sorts for itself; the order here is only for people, and the same in every run.
    ordered = sorted(catalogue.builds, key=lambda build: (build.version.pep440, build.stamp, build.target.dashed))
    files.write(tree / VERSIONS / "list", "".join(f"{module_version(build)}\n" for build in ordered))


def _check_small(build: Build) -> None:
    version = module_version(build)
    said = build.archive("module", ".info").path.read_bytes()
    try:
        right = json.loads(said)["Version"] == version
    except (ValueError, KeyError, TypeError):
        right = False
    if not right or build.archive("module", ".mod").path.read_bytes() != GO_MOD.encode():
        raise PublishError(f"the .info or .mod of {version} is not of that version", "build it again")


def go_mod_hash(content: bytes) -> str:
    """The "h1:" of a go.mod, as x/mod/sumdb/dirhash makes it of a folder with that file alone."""
    return files.hash1([("go.mod", hashlib.sha256(content).hexdigest())])


def zip_hash(path: Path, version: str) -> str:
    """The "h1:" of a module's zip: dirhash.Hash1 over its entries, whose names must begin with module and version.

    Raises:
        VerifyError: it is no zip, or has entries that the go command would not unpack.
    """
    prefix = f"{MODULE}@{version}/"
    lines: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as pack:
            for info in pack.infolist():
                name = info.filename
                if not name.startswith(prefix) or name.endswith("/") or "\n" in name or name in lines:
                    raise VerifyError(f"{path.name} is not the module of that version: {name!r}", "build it again")
                with pack.open(info) as content:
                    digest = hashlib.sha256()
                    while block := content.read(1 << 20):
                        digest.update(block)
                lines[name] = digest.hexdigest()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise VerifyError(f"{path.name} is no whole zip: {error}", "build it again") from error
    return files.hash1(lines.items())
