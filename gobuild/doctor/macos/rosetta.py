"""Whether the go command is for this Mac's processor, or runs translated by Rosetta."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.core.process import Runner
from gobuild.doctor.macos import asking
from gobuild.doctor.macos.asking import ask, found, skipped, why_skipped, words
from gobuild.doctor.model import Finding, Grade, Job

SYSCTL, UNAME = "/usr/sbin/sysctl", "/usr/bin/uname"

CPUS = {0x01000007: "x86_64", 0x0100000C: "arm64"}
"""CPU_TYPE_X86_64 and CPU_TYPE_ARM64 (mach/machine.h)."""

MACHO, FAT = 0xFEEDFACF, 0xCAFEBABE
"""MH_MAGIC_64, little-endian in the file, and FAT_MAGIC, big-endian (mach-o/loader.h, fat.h)."""


def architectures(header: bytes) -> list[str]:
    """What processors a Mach-O file is for, by its first bytes; none for another file."""
    if len(header) >= 8 and struct.unpack_from("<I", header)[0] == MACHO:
        return [_cpu(struct.unpack_from("<I", header, 4)[0])]
    if len(header) >= 8 and struct.unpack_from(">I", header)[0] == FAT:
        count = struct.unpack_from(">I", header, 4)[0]
        ends = (
            range(8, min(8 + 20 * count, len(header) - 19), 20) if count <= 16 else ()
        )  # a Java class has the same magic
        return [_cpu(struct.unpack_from(">I", header, at)[0]) for at in ends]
    return []


def _cpu(number: int) -> str:
    return CPUS.get(number, f"CPU type {number:#x}")


def collect(job: Job, *, run: Runner) -> dict[str, Any]:
    """Asks sysctl and uname, and reads the first bytes of the go command."""
    if not asking.here():
        return dict(asking.NOT_HERE)
    return {
        # Of the process that asks, which is as this one: a universal program follows its parent.
        "proc_translated": ask([SYSCTL, "-n", "sysctl.proc_translated"], job=job, run=run, seconds=2),
        "arm64": ask([SYSCTL, "-n", "hw.optional.arm64"], job=job, run=run, seconds=2),
        "uname": ask([UNAME, "-m"], job=job, run=run, seconds=2),
        "go": _header(job.go),
    }


def _header(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return architectures(file.read(400))
    except OSError:
        return []


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Compares the go command's processor with the machine's: under Rosetta uname says x86_64, hw.optional.arm64 1."""
    yield from skipped("Rosetta", part)
    if why_skipped(part):
        return
    arm = words(part, "arm64").strip() == "1" or words(part, "uname").strip() == "arm64"
    machine = "arm64" if arm else words(part, "uname").strip()[:20] or "unknown"
    listed = part.get("go")
    cpus = [each[:40] for each in listed[:16] if isinstance(each, str)] if isinstance(listed, list) else []
    seen = f"go is for {', '.join(cpus)}, the machine is {machine}"
    if not cpus or machine == "unknown":
        yield found("Rosetta", Grade.SKIPPED, f"{seen or ''}: not told what go or the machine is")
    elif machine in cpus:
        yield found("Rosetta", Grade.OK, seen)
    elif arm and "x86_64" in cpus:
        yield found(
            "Rosetta", Grade.WARN, f"{seen}: Rosetta translates it, which makes it slower", "a darwin/arm64 toolchain"
        )
    else:
        yield found("Rosetta", Grade.FAIL, f"{seen}: it cannot run here", f"a toolchain for darwin/{machine}")
    if words(part, "proc_translated").strip() == "1":
        yield found(
            "Rosetta: shell",
            Grade.WARN,
            "the doctor itself runs translated, and so does whatever universal program it starts",
            "arch -arm64 in front of the command, or a terminal and a Python for arm64",
        )
