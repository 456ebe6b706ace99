"""The proof that a patch works: its own Go test, run by the toolchain that it was applied to.

A test that passes with the patch is worth something only if it fails without it: prove both trees. What a patch changes
in the runtime takes effect in the next program that is built. What it changes in the go command or in a tool does not,
so these are built from the source first, with the tools that are there, and stand in a copy of the tree. The GOROOT
itself is not changed.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files, goenv
from gobuild.core.errors import PatchError, ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Result, Runner
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.series import Patch

SHARED = ("go", "asm", "compile", "link")
"""What is built again where a patch changes a package below src/cmd/internal or src/cmd/vendor, which many share."""

LIMIT = 1200.0
"""Seconds after which a build or a test is ended. On two cores a test takes less than one minute with a new cache."""

_OF_A_COMMAND = re.compile(r"src/cmd/([^/]+)/")
_PASSED = re.compile(r"^--- PASS: ", re.MULTILINE)
_SKIPPED = re.compile(r"^\s*--- SKIP: ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of a patch's test, with the last lines that `go` wrote.

    It has passed if it ran, and passed: one that was skipped, or was not there, proves nothing.
    """

    name: str
    passed: bool
    output: str


def prove(goroot: Path, patch: Patch, *, scratch: Path, run: Runner) -> Proof:
    """Runs a patch's test with the toolchain in a GOROOT, which must run on this machine.

    In `scratch` only the build cache stays, which makes the next proof of the same release faster.

    Raises:
        PatchError: the patch has no test.
        ToolMissing: the GOROOT has no go command.
    """
    test = patch.test_file
    if test is None:
        raise PatchError(
            f"the patch {patch.name} names no test", 'add a key such as test = "tests/x_test.go" to its entry'
        )
    if not (goroot / "bin/go").is_file():
        raise ToolMissing(
            f"there is no go command in {goroot}/bin", "build the toolchain for this machine, or put upstream's there"
        )
    work = scratch.resolve() / patch.name
    files.remove(work)
    try:
        module = work / "proof"
        module.mkdir(parents=True)
        (work / "tmp").mkdir()
        (module / "go.mod").write_text("module proof\n\ngo 1.21\n", encoding="utf-8")
        shutil.copyfile(test, module / test.name)
        result = _test(goroot.resolve(), rebuilt(patch), work, run)
    finally:
        files.remove(work)
    passed = result.code == 0 and bool(_PASSED.search(result.output)) and not _SKIPPED.search(result.output)
    return Proof(name=patch.name, passed=passed, output=result.tail(40))


def rebuilt(patch: Patch) -> tuple[str, ...]:
    """The programs that have to be built again before a patch takes effect in them, sorted; tests do not count."""
    if isinstance(patch.operation, Diff):
        paths = [file.path for file in patch.operation.files if not file.path.endswith("_test.go")]
    elif isinstance(patch.operation, RemoveHook):
        paths = [f"{patch.operation.dir}/"]
    else:
        paths = [f"{patch.operation.folder}/"]
    names: set[str] = set()
    for path in paths:
        if match := _OF_A_COMMAND.match(path):
            names.update(SHARED if match[1] in ("internal", "vendor") else (match[1],))
    return tuple(sorted(names))


def _test(goroot: Path, programs: Sequence[str], work: Path, run: Runner) -> Result:
    """Builds what has to be built, and runs go test; the result of whatever failed first."""
    if programs:
        goroot = _copied(goroot, work / "goroot")
        made = work / "made"
        made.mkdir()
        packages = [f"cmd/{name}" for name in programs]
        result = _go(goroot, ["build", "-o", f"{made}{os.sep}", *packages], work, run)
        if result.code != 0:
            return result
        tools = goroot / "pkg/tool" / Target.host().underscored
        for name in programs:
            place = (goroot / "bin" if name in ("go", "gofmt") else tools) / name
            place.unlink(missing_ok=True)  # never written to: it is a link to the one in the real GOROOT
            (made / name).rename(place)
    return _go(goroot, ["test", "-count=1", "-v", "."], work, run)


def _go(goroot: Path, words: Sequence[str], work: Path, run: Runner) -> Result:
    """Runs the go command of a GOROOT in the test's module, with nothing of the user's in its environment."""
    environment = goenv.closed(work, goroot=goroot) | {"GOCACHE": str(work.parent / "cache")}
    return run([str(goroot / "bin/go"), *words], env=environment, cwd=work / "proof", timeout=LIMIT, check=False)


def _copied(goroot: Path, into: Path) -> Path:
    """A GOROOT by hard links where the file system can: no file of it may be written to, only replaced."""

    def link_or_copy(old: str, new: str) -> None:
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError:
            shutil.copy2(old, new, follow_symlinks=False)

    shutil.copytree(goroot, into, symlinks=True, copy_function=link_or_copy, ignore=shutil.ignore_patterns(".git"))
    return into
