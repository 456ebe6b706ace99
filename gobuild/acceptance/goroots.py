"""A release's GOROOT as upstream ships it, and a second one with a series applied, both ready to run tests.

The second one is made of hard links where the file system can; a patch writes a new file, and leaves the old one alone.
What a patch changes in the library takes effect in the next program that is built. What it changes in the go command
or in a tool does not, so these are built anew.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gobuild import patch
from gobuild.build.direct import CODEGEN_INPUTS, is_test
from gobuild.core import files, goenv
from gobuild.core.errors import PatchError
from gobuild.core.goversion import Target
from gobuild.core.model import Outcome, Release, Source, State
from gobuild.core.process import Runner
from gobuild.patch import Patch

ROOM = 1 << 30
"""Bytes that the build caches of a release may need; measured: 1.22.10, the stock series, 640 MB."""

SHARED = ("asm", "compile", "go", "link")
"""What is built again where a patch changes what these programs share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goroots:
    """Two GOROOTs of one release, and where the go command may write.

    Attributes:
        plain: upstream's toolchain; nobody writes into it.
        patched: the same with the series applied, and its programs built anew where they changed.
        folder: build caches and temporary files.
        cache: the name of the patched one's build cache: a compiler that emits something else has one of its own.
    """

    plain: Path
    patched: Path
    folder: Path
    cache: str
    host: Target
    outcomes: tuple[Outcome, ...]

    def environment(self, goroot: Path, target: Target | None = None) -> dict[str, str]:
        """The go command's whole environment, for one of the two."""
        name = "gocache" if goroot == self.plain else self.cache
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        return goenv.closed(self.folder, goroot=goroot, target=target) | {"GOCACHE": str(self.folder / name)}


def link_tree(source: Path, into: Path) -> None:
    """A copy of a folder by hard links where the file system can; whoever changes a file there writes a new one."""

    def place(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:
            shutil.copy2(old, new)

    shutil.copytree(source, into, copy_function=place, symlinks=True)


def lay_out(
    plain: Path, release: Release, patches: Sequence[Patch], folder: Path, *, host: Target, run: Runner
) -> Goroots:
    """Makes the patched GOROOT below a folder, whose build caches serve the next time.

    Raises:
        PatchError: a patch does not fit, or a program of the toolchain does not compile with it.
    """
    patched = folder.absolute() / "patched"
    files.remove(patched)
    patched.parent.mkdir(parents=True, exist_ok=True)
    link_tree(plain, patched)
    source = Source(release=release, root=patched, kind="local", location=str(plain), digest="")
    outcomes = patch.patch(source, patches, stamp=release.version.tag).outcomes
    changed = sorted({name for each in outcomes if each.state is State.APPLIED for name in each.files})
    made = Goroots(
        plain=plain.absolute(),
        patched=patched,
        folder=folder.absolute(),
        cache=_cache_name(patched, changed),
        host=host,
        outcomes=outcomes,
    )
    build_programs(patched, programs_of(changed), env=made.environment(patched), host=host, run=run)
    return made


def _cache_name(root: Path, changed: Sequence[str]) -> str:
    """A build cache for each compiler: a release's tools tell the go command their version alone, and no digest."""
    emitting = [name for name in changed if name.startswith(("src/cmd/", *CODEGEN_INPUTS)) and not is_test(name)]
    if not emitting:
        return "gocache"
    lines = (f"{name} {files.sha256(root / name) if (root / name).exists() else ''}\n" for name in emitting)
    return f"gocache-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}"


def programs_of(changed: Sequence[str]) -> list[str]:
    """The programs of the toolchain in which these files are."""
    code = [name for name in changed if not is_test(name)]
    named = {match[1] for name in code if (match := re.match(r"src/cmd/([^/]+)/", name))}
    shared = named & {"internal", "vendor"} or any(
        name.startswith(CODEGEN_INPUTS) and not name.startswith("src/cmd/") for name in code
    )
    return sorted(named - {"internal", "vendor"} | {*(SHARED if shared else ())})


def build_programs(goroot: Path, programs: Sequence[str], *, env: Mapping[str, str], host: Target, run: Runner) -> None:
    """Builds programs of a toolchain anew, of its own source, and puts them in their places.

    Raises:
        PatchError: one does not compile.
    """
    if not programs:
        return
    new = goroot / "new"
    new.mkdir()
    words: list[str | Path] = [goroot / "bin/go", "build", "-o", f"{new}/", *(f"cmd/{name}" for name in programs)]
    done = run(words, env=env, cwd=goroot / "src/cmd", check=False)
    if done.code:
        raise PatchError(
            f"with these patches {', '.join(programs)} does not compile:\n{done.tail(30)}", "the patch first"
        )
    for name in programs:
        folder = "bin" if name in ("go", "gofmt") else f"pkg/tool/{host.underscored}"
        (new / name).replace(goroot / folder / name)
    new.rmdir()


@contextmanager
def tests_alone(made: Goroots, names: Sequence[str]) -> Iterator[Path]:
    """The plain GOROOT with the tests of a patch in it, and nothing else of the patch."""
    root = made.folder / "tests"
    files.remove(root)
    link_tree(made.plain, root)
    for name in names:
        (root / name).unlink(missing_ok=True)
        if (made.patched / name).exists():
            files.write(root / name, (made.patched / name).read_bytes())
    try:
        yield root
    finally:
        files.remove(root)
