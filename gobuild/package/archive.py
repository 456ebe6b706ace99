"""distpack, Go's own packager: it is run on a toolchain, and its archives are looked into before anybody gets them.

What stands in an archive is distpack's business (src/cmd/distpack/pack.go).
"""

import tarfile
import zipfile
from pathlib import Path

from gobuild.core import files, goenv
from gobuild.core.errors import CommandError, PackageError
from gobuild.core.manifest import archive_names
from gobuild.core.model import Toolchain
from gobuild.core.process import Runner


def distpack(toolchain: Toolchain, *, scratch: Path, run: Runner) -> tuple[Path, ...]:
    """Runs distpack on a toolchain; returns the files it made, still inside GOROOT, in the order of `archive_names`.

    Raises:
        PackageError: it failed, made other files than it should, or an archive lacks Go's licence or the stamp.
    """
    made = toolchain.goroot / "pkg" / "distpack"
    files.remove(made)
    (scratch / "tmp").mkdir(parents=True, exist_ok=True)
    try:
        tool = _tool(toolchain, scratch, run)
        variables = goenv.closed(scratch, goroot=toolchain.goroot, target=toolchain.target)
        run([tool], env=variables, cwd=toolchain.goroot)
    except CommandError as error:
        raise PackageError(f"distpack failed: {error.reason}", "build again") from error
    expected = archive_names(toolchain.source.stamp, toolchain.target)
    found = {path.name for path in made.iterdir()} if made.is_dir() else set()
    if found != set(expected):
        raise PackageError(f"distpack made {sorted(found)} instead of {sorted(expected)}", "build again")
    for name, kind in expected.items():
        if not name.endswith((".mod", ".info")):
            _inspect(made / name, kind, toolchain.source.stamp)
    return tuple(made / name for name in expected)


def _tool(toolchain: Toolchain, scratch: Path, run: Runner) -> Path:
    """make.bash leaves distpack in pkg/tool up to Go 1.24; later ones build it when asked (go.dev/issue/71867)."""
    if toolchain.packer and toolchain.packer.is_file():
        return toolchain.packer
    goroot = toolchain.goroot.absolute()
    ready = goroot / "pkg" / "tool" / toolchain.host.underscored / "distpack"
    if ready.is_file():
        return ready
    tool = scratch.absolute() / "distpack"
    run(
        [goroot / "bin" / "go", "build", "-o", tool, "cmd/distpack"],
        env=goenv.closed(scratch, goroot=goroot, target=toolchain.host),
        cwd=goroot / "src",
    )
    return tool


def _inspect(archive: Path, kind: str, stamp: str) -> None:
    """Looks into an archive before anybody gets it: Go's licence and the stamp must be there."""
    texts = _heads(archive)
    if b"The Go Authors" not in texts.get("LICENSE", b""):
        raise PackageError(f"{archive.name} lacks Go's licence", "put Go's LICENSE into the source's top folder")
    if texts.get("VERSION", b"").split(b"\n")[0].decode() != stamp:
        raise PackageError(f"the {kind} archive {archive.name} does not carry the stamp {stamp}", "build again")


def _heads(archive: Path) -> dict[str, bytes]:
    """LICENSE and VERSION in an archive's top folder. Go's archives are sorted, upper case first."""
    wanted, found = {"LICENSE", "VERSION"}, dict[str, bytes]()
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as pack:
            for name in pack.namelist():
                *folders, base = name.split("/")
                if len(folders) == 2 and base in wanted:  # the module's top folder is golang.org/toolchain@VERSION
                    found[base] = pack.read(name)
        return found
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            top, _, base = member.name.partition("/")
            if top == "go" and base in wanted and (content := tar.extractfile(member)):
                found[base] = content.read()
            if found.keys() == wanted:
                break
    return found
