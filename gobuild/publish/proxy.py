"""The GOTOOLCHAIN proxy: a static module proxy with golang.org/toolchain alone (https://go.dev/ref/mod#goproxy-protocol)."""

import hashlib
import re
import zipfile
import zlib
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PublishError, VerifyError
from gobuild.core.manifest import load_json
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import MODULE, VERSIONS, copy_to_tree, module_version

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def write_proxy(catalogue: Catalogue, tree: Path) -> None:
    """Writes proxy/golang.org/toolchain/@v of a staged tree: .zip, .mod and .info of every build, and the list.

    Raises:
        PublishError: a .mod or .info is not what its name says; or as `copy_to_tree`.
    """
    for build in catalogue.builds:
        version = module_version(build)
        parse_info(build, build.archive("module", ".info").path.read_bytes())
        if build.archive("module", ".mod").path.read_bytes() != f"module {MODULE}\n".encode():  # as distpack writes it
            raise PublishError(f"the .mod of {version} is damaged", "build it again")
        for suffix in (".mod", ".info", ".zip"):
            copy_to_tree(build, build.archive("module", suffix), tree)
    # Go sorts for itself; the order here is only for people, and the same in every run.
    files.write(tree / VERSIONS / "list", "".join(f"{module_version(build)}\n" for build in catalogue.oldest_first))


def parse_info(build: Build, content: bytes) -> str:
    """The time of a module by its .info, RFC 3339: upstream's in VERSION, and that of every archive entry.

    Raises:
        PublishError: it is not the .info of that build.
    """
    version = module_version(build)
    try:
        info = load_json(content)
        if info["Version"] == version and _TIME.fullmatch(info["Time"]):
            return str(info["Time"])
    except (ValueError, KeyError, TypeError):
        pass
    raise PublishError(f"the .info of {version} is damaged", "build it again")


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
                digest = hashlib.sha256()
                with pack.open(info) as content:
                    while block := content.read(1 << 20):
                        digest.update(block)
                lines[name] = digest.hexdigest()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise VerifyError(f"{path.name} is no whole zip: {error}", "build it again") from error
    return files.hash1(lines.items())
