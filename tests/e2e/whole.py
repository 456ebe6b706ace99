"""What a whole patched toolchain must show of itself, on the machine it was built for."""

import os
import subprocess
from pathlib import Path

from gobuild.core.process import run


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
