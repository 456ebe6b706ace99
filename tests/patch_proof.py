"""The proof that a patch works: its own Go test, run by the toolchain that it was applied to; without it, it fails.

What a patch changes in the runtime takes effect in the next program that is built. What it changes in the go command or
in a tool does not, so these are built from the source first, and stand in a copy of the tree.
"""

import re
from pathlib import Path

from patch_fixtures import MAC, go, link_tree, write

from gobuild.core import files, goenv
from gobuild.core.goversion import Target
from gobuild.core.process import Result
from gobuild.emulate.plan import Limits, MountPlan, Plan
from gobuild.emulate.run import Outcome, run
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


def prove_on_darwin(goroot: Path, official: Path, patch: Patch, scratch: Path) -> tuple[bool, str]:
    """The same for darwin/arm64: the test is compiled here, and runs under emulation, with a go command of its own.

    That is the official one for darwin/arm64 of the same release, with what the patch changes in it compiled anew. What
    it builds comes from a cache that this host's go command has filled, as far as that is the same.
    """
    work = scratch.resolve() / f"{patch.name}-darwin"
    test = patch.folder / patch.test
    write(work / "proof", {"go.mod": "module proof\n\ngo 1.21\n", test.name: test.read_bytes()})
    tools = f"pkg/tool/{MAC.underscored}"
    for name in ("bin", tools):
        link_tree(official / name, work / "official" / name)
    for name in _rebuilt(patch):
        made = work / "official" / ("bin" if name in ("go", "gofmt") else tools) / name
        made.unlink(missing_ok=True)
        go(goroot, work.parent, "build", "-o", str(made), f"cmd/{name}", cwd=work / "proof", target=MAC)
    go(goroot, work.parent, "test", "-c", "-o", str(work / "proof/proof.test"), ".", cwd=work / "proof", target=MAC)
    outcome = _run_on_darwin(goroot, work)
    told = (outcome.stdout + outcome.stderr).decode(errors="replace") + "".join(map(str, outcome.verdicts))
    files.remove(work)
    return has_passed(outcome.code, told), told[-4000:]


def _run_on_darwin(goroot: Path, work: Path) -> Outcome:
    """Runs proof.test, which sees the GOROOT with darwin/arm64's programs, the build cache and a scratch folder."""
    for name in ("root/dev", "root/go", "root/proof", "root/cache", "root/tmp", "tmp"):
        (work / name).mkdir(parents=True)
    tools = f"pkg/tool/{MAC.underscored}"
    mounts = {"/": work / "root", "/go": goroot, "/go/bin": work / "official/bin"}
    mounts[f"/go/{tools}"] = work / "official" / tools
    writable = {"/proof": work / "proof", "/cache": work.parent / "gocache", "/tmp": work / "tmp"}
    plan = Plan(
        program="/proof/proof.test",
        argv=("/proof/proof.test", "-test.v"),
        mounts=tuple(
            MountPlan(at=at, host=str(host), writable=at in writable) for at, host in (mounts | writable).items()
        ),
        env=goenv.closed(Path("/tmp"), goroot=Path("/go")) | {"GOCACHE": "/cache", "TMPDIR": "/tmp", "PATH": "/go/bin"},
        cwd="/proof",
        limits=Limits(seconds=3600),
    )
    return run(plan)


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
