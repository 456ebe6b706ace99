"""What a builder said before it failed: its log comes in, an error for the user goes out."""

from pathlib import Path

from gobuild.core.errors import BuildError, DiskFull


def explain(builder: str, log: Path) -> BuildError | DiskFull:
    """The error to raise for a builder that failed.

    Args:
        builder: what it is called: "make.bash".
        log: all of its output.
    """
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]) if log.exists() else ""
    if "no space left on device" in tail.lower() or "disk quota exceeded" in tail.lower():
        return DiskFull(f"{builder} found no space left on the device:\n{tail}", "free some room, or give --work")
    return BuildError(f"{builder} failed; its last lines were:\n{tail}", f"read the whole log: {log}")
