"""A patch's own test for darwin/arm64: compiled here, and run under emulation with a go command of its own."""

import re
from pathlib import Path

from patch_fixtures import MAC, go, write

from gobuild.core import files, goenv
from gobuild.emulate.plan import Limits, MountPlan, Plan
from gobuild.emulate.run import run
from gobuild.patch import Patch


def prove_on_darwin(goroot: Path, official: Path, patch: Patch, scratch: Path) -> tuple[bool, str]:
    """Whether the test passes in a GOROOT that is left as it is, and what was written; a build cache stays.

    The programs are those of the official release for darwin/arm64. What they build comes from a cache that this host's
    go command has filled, as far as that is the same.
    """
    work, test = scratch.resolve() / f"{patch.name}-darwin", patch.folder / patch.test
    tools = f"pkg/tool/{MAC.underscored}"
    write(work / "proof", {"go.mod": "module proof\n\ngo 1.21\n", test.name: test.read_bytes()})
    go(goroot, work.parent, "test", "-c", "-o", str(work / "proof/proof.test"), ".", cwd=work / "proof", target=MAC)
    for name in ("dev", "go", "proof", "cache", "tmp"):
        (work / "root" / name).mkdir(parents=True)
    (work / "tmp").mkdir()
    env = goenv.closed(Path("/tmp"), goroot=Path("/go")) | {"GOCACHE": "/cache", "TMPDIR": "/tmp", "PATH": "/go/bin"}
    mounts = {"/": work / "root", "/go": goroot, "/go/bin": official / "bin", f"/go/{tools}": official / tools}
    writable = {"/proof": work / "proof", "/cache": work.parent / "gocache", "/tmp": work / "tmp"}
    plan = Plan(
        program="/proof/proof.test",
        argv=("/proof/proof.test", "-test.v"),
        mounts=tuple(
            MountPlan(at=at, host=str(host), writable=at in writable) for at, host in (mounts | writable).items()
        ),
        env=env,
        cwd="/proof",
        limits=Limits(seconds=3600),
    )
    outcome = run(plan)
    told = (outcome.stdout + outcome.stderr).decode(errors="replace") + "".join(map(str, outcome.verdicts))
    files.remove(work)
    # One that was skipped, or was not there, proves nothing.
    ran = re.search(r"^--- PASS: ", told, re.MULTILINE) and not re.search(r"^\s*--- SKIP: ", told, re.MULTILINE)
    return outcome.code == 0 and bool(ran), told[-4000:]
