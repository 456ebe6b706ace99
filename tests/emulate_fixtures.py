"""Guests: how a test runs a darwin/arm64 program."""

from pathlib import Path

from gobuild.emulate.plan import Limits, MountPlan, Plan
from gobuild.emulate.run import Outcome, run


def run_guest(
    root: Path,
    program: str,
    *words: str,
    scratch: Path | None = None,
    env: dict[str, str] | None = None,
    stdin: bytes = b"",
    trace: Path | None = None,
    limits: Limits | None = None,
    cpus: int = 1,
    macos: int = 15,
    slide: int = 0,
) -> Outcome:
    """Runs a program of a folder that the guest sees as its root; a scratch folder is its /tmp."""
    mounts = [MountPlan(at="/", host=str(root))]
    if scratch:
        mounts.append(MountPlan(at="/tmp", host=str(scratch), writable=True))
    plan = Plan(
        program=program,
        argv=(program, *words),
        mounts=tuple(mounts),
        env={"HOME": "/tmp", "TMPDIR": "/tmp", "PATH": "/bin", **(env or {})},
        trace=str(trace or ""),
        limits=limits or Limits(processor=60),
        cpus=cpus,
        macos=macos,
        slide=slide,
    )
    return run(plan, stdin=stdin)
