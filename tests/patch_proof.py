"""The proof that a patch works: its own Go test, run by the toolchain that it was applied to; without it, it fails.

What a patch changes in the runtime takes effect in the next program that is built. What it changes in the go command or
in a tool does not, so these are built from the source first, and stand in a copy of the tree.
"""

import re
from pathlib import Path

from patch_fixtures import go, link_tree, write

from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.core.process import Result
from gobuild.patch import Patch
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.add_command import AddCommand
from gobuild.patch.edits.remove_hook import RemoveHook

SHARED = ("go", "asm", "compile", "link")
"""What is built again where a patch changes a package below src/cmd/internal or src/cmd/vendor, which many share."""


def prove(goroot: Path, patch: Patch, scratch: Path) -> tuple[bool, str]:
    """Whether a patch's test passes in a GOROOT that is left as it is, and what go wrote; a build cache stays."""
    work = scratch.resolve() / patch.name
    test = patch.folder / patch.test
    write(work / "proof", {"go.mod": "module proof\n\ngo 1.21\n", test.name: test.read_bytes()})
    result = _test(goroot, _rebuilt(patch), work)
    files.remove(work)
    return has_passed(result.code, result.output), result.tail(40)


def has_passed(code: int, output: str) -> bool:
    """Whether a test ran, and passed: one that was skipped, or was not there, proves nothing."""
    ran = re.search(r"^--- PASS: ", output, re.MULTILINE)
    return code == 0 and bool(ran) and not re.search(r"^\s*--- SKIP: ", output, re.MULTILINE)


def _rebuilt(patch: Patch) -> list[str]:
    if isinstance(patch.operation, Diff):
        paths = [file.path for file in patch.operation.files if not file.path.endswith("_test.go")]
    else:
        assert isinstance(patch.operation, RemoveHook | AddCommand)
        paths = [f"{patch.operation.dir if isinstance(patch.operation, RemoveHook) else patch.operation.folder}/"]
    names = {match[1] for path in paths if (match := re.match(r"src/cmd/([^/]+)/", path))}
    shared = SHARED if names & {"internal", "vendor"} else ()
    return sorted(names - {"internal", "vendor"} | {*shared})


def _test(goroot: Path, programs: list[str], work: Path) -> Result:
    if programs:
        goroot = link_tree(goroot, work / "goroot")
        (work / "made").mkdir()
        words = ("build", "-o", f"{work}/made/", *(f"cmd/{name}" for name in programs))
        built = go(goroot, work.parent, *words, cwd=work / "proof", check=False)
        if built.code:
            return built
        for name in programs:
            place = goroot / ("bin" if name in ("go", "gofmt") else f"pkg/tool/{Target.host().underscored}") / name
            (work / "made" / name).replace(place)
    return go(goroot, work.parent, "test", "-count=1", "-v", ".", cwd=work / "proof", check=False)
