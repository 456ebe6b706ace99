"""What a whole patched toolchain must show of itself, on the machine it was built for."""

import os
import subprocess
from pathlib import Path

from gobuild import patch
from gobuild.core.model import GoVersion, Target
from gobuild.core.process import run
from gobuild.patch.proof import prove


def unpacked(archive: Path, folder: Path) -> Path:
    """A toolchain's archive, unpacked by tar as a user would."""
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder / "go"


def the_runtime_is_sound(goroot: Path, scratch: Path) -> None:
    """`go vet runtime`, and the runtime's own tests of finalizers, cleanups and the guard that a patch adds."""
    scratch.mkdir()
    variables = {"PATH": os.defpath, "HOME": str(scratch), "GOENV": "off", "GOCACHE": str(scratch / "cache")}
    vetted = run([goroot / "bin/go", "vet", "runtime"], env=variables, cwd=goroot / "src")
    assert vetted.output == ""
    words = ["test", "-count=1", "-v", "-run=Finalizer|Cleanup|GPU", "runtime"]
    tested = run([goroot / "bin/go", *words], env=variables, cwd=goroot / "src").output
    assert "--- PASS: TestNoGPUFrameworkImports" in tested
    assert "--- PASS: TestFinalizerType" in tested
    assert "--- FAIL" not in tested


def every_patch_is_proven(goroot: Path, version: str, scratch: Path, extra: tuple[str, ...] = ()) -> None:
    """Each patch of the stock series passes its own test on the toolchain that was built with it."""
    patches = patch.series("stock").select(GoVersion.parse(version), Target.host(), "static", extra)
    assert len(patches) >= 3
    for each in patches:
        proof = prove(goroot, each, scratch=scratch, run=run)
        assert proof.passed, f"{each.name} on {version}\n{proof.output}"
