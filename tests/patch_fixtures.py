"""What the tests of patching share: sources, series, and a runtime that really initialises Metal."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from gobuild.acceptance import goroots
from gobuild.binary.macho import read_macho
from gobuild.binary.macho_types import MachO
from gobuild.binary.view import View
from gobuild.core import goenv
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Outcome, PatchedSource, Release, Source
from gobuild.core.process import Result, run
from gobuild.patch import Patch, load_folder, patch

MAC = Target(goos="darwin", goarch="arm64")

HOOK = """
[[patch]]
name = "metal"
go = ">=1.21"
kind = "edit"
reason = "a hook of somebody's"
[patch.remove-hook]
what = "Metal initialisation"
dir = "src/runtime"
once = ["metalInitOnce"]
init = ["initMetal"]
functions = ["runfinq", "runFinalizers"]
frameworks = ["Metal", "IOKit", "OpenGL"]
"""

METAL = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"

ONCE = """
// metalInitOnce guards initMetal.
var metalInitOnce metalOnce

// metalOnce is sync.Once, which the runtime cannot import.
type metalOnce struct {
	done atomic.Uint32
}

// Do calls f the first time.
func (o *metalOnce) Do(f func()) {
	if o.done.CompareAndSwap(0, 1) {
		f()
	}
}
"""

INIT = f"""
// initMetal asks for the default device.
//
//go:nosplit
func initMetal() {{
	libcCall(unsafe.Pointer(abi.FuncPCABI0(libc_MTLCreateSystemDefaultDevice_trampoline)), nil)
}}
func libc_MTLCreateSystemDefaultDevice_trampoline()

//go:cgo_import_dynamic libc_MTLCreateSystemDefaultDevice MTLCreateSystemDefaultDevice "{METAL}"
"""

TRAMPOLINE = """
// Metal wants no arguments.
TEXT runtime·libc_MTLCreateSystemDefaultDevice_trampoline(SB),NOSPLIT,$0
	BL	libc_MTLCreateSystemDefaultDevice(SB)
	RET
"""

START = "	fing = gp\n	unlock(&finlock)\n"
CALL = "	metalInitOnce.Do(initMetal)\n"


def source(root: Path, version: str = "1.22.10") -> Source:
    release = Release(version=GoVersion.parse(version), origin="local")
    return Source(release=release, root=root, kind="local", location=str(root), digest="")


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's content and mode, to see that nothing at all was changed."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def entry(name: str, go: str = ">=1.21", more: str = "", *, reason: str = "r") -> str:
    """An entry of series.toml for a diff."""
    return f'[[patch]]\nname = "{name}"\ngo = "{go}"\nkind = "diff"\nfile = "{name}.patch"\nreason = "{reason}"\n{more}'


def series_of(folder: Path, *diffs: str | bytes) -> tuple[Patch, ...]:
    """A series of diffs, loaded."""
    named = {f"p{number}": diff for number, diff in enumerate(diffs, 1)}
    write(folder, {f"{name}.patch": diff for name, diff in named.items()})
    return load_folder(write(folder, {"series.toml": "".join(entry(name) for name in named)})).patches


def apply(root: Path, patches: tuple[Patch, ...], stamp: str = "go1.22.10-t1") -> PatchedSource:
    return patch(source(root), patches, stamp=stamp)


def remove_hook(root: Path, folder: Path, manifest: str = HOOK) -> Outcome:
    """Applies an edit, and gives what became of it."""
    (outcome,) = apply(root, load_folder(write(folder, {"series.toml": manifest})).patches).outcomes
    return outcome


def copy_parts(goroot: Path, into: Path, *parts: str) -> Path:
    """A few files and folders of a GOROOT."""
    for part in parts:
        (into / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (goroot / part).is_dir() else shutil.copy)(goroot / part, into / part)
    return into


def link_tree(goroot: Path, into: Path) -> Path:
    """A whole GOROOT by hard links where the file system can, which a patch must leave alone."""
    goroots.link_tree(goroot, into)
    return into


def taint(root: Path) -> None:
    """Puts the hook into a real runtime: a once, a function, a trampoline, a directive, and the call."""

    def add(name: str, text: str, after: str = "") -> None:
        path = root / "src/runtime" / name
        old = path.read_text(encoding="utf-8")
        assert old.count(after) == 1 or not after
        new = old.replace(after, after + text) if after else old + text
        path.unlink()  # it may be a hard link to what others use
        path.write_text(new, encoding="utf-8")

    add("mfinal.go", CALL, START)
    add("mfinal.go", ONCE)
    add("sys_darwin.go", INIT)
    add("sys_darwin_arm64.s", TRAMPOLINE)


def go(goroot: Path, folder: Path, *words: str, cwd: Path, target: Target | None = None, check: bool = True) -> Result:
    """Runs the go command of a GOROOT, its cache and all that it writes in a folder."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    env = goenv.closed(folder, goroot=goroot, target=target)
    return run([goroot / "bin/go", *words], env=env, cwd=cwd, timeout=1200, check=check)


def headers(binary: Path) -> MachO:
    """A Mach-O file's headers."""
    data = binary.read_bytes()
    return read_macho(View(data=data, size=len(data)))


def install_names(binary: Path) -> set[str]:
    """The libraries that a Mach-O file names."""
    return {name for _, name in headers(binary).dylibs}
