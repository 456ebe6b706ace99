"""Whether the go command is for this Mac's processor, or runs translated by Rosetta."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.binary.view import Malformed
from gobuild.doctor.macos.tools import ask, output_of
from gobuild.doctor.model import MACOS, Case, Finding
from gobuild.doctor.preload import read_parts

SYSCTL, UNAME = "/usr/sbin/sysctl", "/usr/bin/uname"


def architectures(path: Path) -> list[str]:
    """What processors a Mach-O file is for; none for another file."""
    with contextlib.suppress(OSError, Malformed):
        return [each["machine"] for each in read_parts(path) if each["signed"] is not None]
    return []


def collect(case: Case) -> dict[str, Any]:
    """Asks sysctl and uname, and reads the header of the go command."""
    return {
        # Of the process that asks, which is as this one: a universal program follows its parent.
        "proc_translated": ask([SYSCTL, "-n", "sysctl.proc_translated"], case=case, seconds=2),
        "arm64": ask([SYSCTL, "-n", "hw.optional.arm64"], case=case, seconds=2),
        "uname": ask([UNAME, "-m"], case=case, seconds=2),
        "go": architectures(case.go),
    }


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Compares the go command's processor with the machine's: under Rosetta uname says x86_64, hw.optional.arm64 1."""
    uname = output_of(part, "uname").strip()[:20].replace("x86_64", "amd64")
    arm = output_of(part, "arm64").strip() == "1" or uname == "arm64"
    machine = "arm64" if arm else uname or "unknown"
    seen = f"go is for {', '.join(part['go'])}, the machine is {machine}"
    if not part["go"] or machine == "unknown":
        yield MACOS.skipped("Rosetta", f"{seen}: not told what go or the machine is")
    elif machine in part["go"]:
        yield MACOS.ok("Rosetta", seen)
    elif arm and "amd64" in part["go"]:
        yield MACOS.warn("Rosetta", f"{seen}: Rosetta translates it, which makes it slower", "a darwin/arm64 toolchain")
    else:
        yield MACOS.fail("Rosetta", f"{seen}: it cannot run here", f"a toolchain for darwin/{machine}")
    if output_of(part, "proc_translated").strip() == "1":
        yield MACOS.warn(
            "Rosetta: shell",
            "the doctor itself runs translated, and so does whatever universal program it starts",
            "arch -arm64 in front of the command, or a terminal and a Python for arm64",
        )
