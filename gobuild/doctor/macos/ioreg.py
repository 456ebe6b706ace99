"""The Mac's graphics accelerators: what ``ioreg -a`` says of them before a go command runs, and while one hangs.

A GPU driver that never comes to rest makes whoever asks IOKit for it wait; and a go command that has an accelerator
open is not upstream's.
"""

import plistlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from gobuild.core.errors import ConfigError
from gobuild.core.printable import printable
from gobuild.doctor.macos.tools import ask, last_line
from gobuild.doctor.model import BROKEN, MACOS, Case, Finding

IOREG = ("/usr/sbin/ioreg", "-a", "-r", "-l", "-d", "2", "-c", "IOAccelerator")
"""Two levels: the accelerators, and who has them open."""

TOPIC = "macOS graphics"

LARGEST = 32 << 20
"""Bytes of a saved snapshot; one of a Mac with several GPUs has less than 3 MB."""

COLUMNS = ("accelerator", "what", "before", "after")

Snapshot = Mapping[str, Mapping[str, Any]]
"""What stands at each accelerator: {"AGXAcceleratorG13X": {"busy count": 0, "Device Utilization %": 2}}."""


def read_ioreg(data: bytes, *, clients: str = "pid ") -> Snapshot:
    """Reads what ``ioreg -a`` prints, or ValueError; of clients ("pid 390, WindowServer") those that begin so."""
    try:
        top = plistlib.loads(data, fmt=plistlib.FMT_XML) if data.strip() else []
        found: dict[str, dict[str, str | int]] = {}
        for node in top if isinstance(top, list) else [top]:
            name = _registry_text(node["IORegistryEntryName"])
            number = node.get("IORegistryEntryID", 0)
            found[f"{name} {number:#x}" if name in found else name] = _values(node, clients)
    except (*BROKEN, ExpatError) as error:
        raise ValueError(f"no output of ioreg -a: {error}") from error
    return found


def _values(node: Mapping[str, Any], clients: str) -> dict[str, str | int]:
    power = node.get("IOPowerManagement", {})
    creators = [_registry_text(each.get("IOUserClientCreator")) for each in node.get("IORegistryEntryChildren", [])]
    values = {
        "class": _registry_text(node.get("IOObjectClass")),
        "model": _registry_text(node.get("model")),
        "busy count": node.get("IOServiceBusyState"),
        "busy, ms": node.get("IOServiceBusyTime", 0) // 1_000_000,
        "power state": power.get("CurrentPowerState"),
        "highest power state": power.get("MaxPowerState"),
        "probe score": node.get("IOProbeScore"),
        "opened by": "; ".join(sorted({each for each in creators if each.startswith(clients)})),
        **node.get("PerformanceStatistics", {}),
        **node.get("AGCInfo", {}),
    }
    return {printable(str(key)): value for key, value in values.items() if isinstance(value, int | str) and value != ""}


def _registry_text(value: object) -> str:
    """A text of the registry's; a model may stand there as data that ends in a NUL."""
    text = value.rstrip(b"\0").decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value or "")
    return printable(text[:200])


def changes(before: Snapshot, after: Snapshot) -> list[tuple[str, str, str, str]]:
    """What differs between two snapshots, as rows of `COLUMNS`; "—" stands for nothing there."""
    rows = []
    for node in {**before, **after}:
        if node in before and node in after:
            old, new = before[node], after[node]
        else:
            old, new = ({"node": "there"} if node in each else {} for each in (before, after))
        rows += [
            (node, what, str(old.get(what, "—")), str(new.get(what, "—")))
            for what in {**old, **new}
            if old.get(what) != new.get(what)
        ]
    return rows


def compare(before: Path, after: Path) -> list[tuple[str, str, str, str]]:
    """Compares two files with the output of ``ioreg -a -r -l -c IOAccelerator``."""
    return changes(_saved(before), _saved(after))


def _saved(path: Path) -> Snapshot:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 20} MiB, which no snapshot has")
        if nodes := read_ioreg(data):
            return nodes
        raise ValueError("it holds no accelerator")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or printable(str(error))[:300]
        raise ConfigError(f"{path}: {reason}", "ioreg -a -r -l -c IOAccelerator > FILE") from error


def snapshot(case: Case, *, pid: int = 0) -> dict[str, Any]:
    """The accelerators as they are now; of who has them open only process `pid`."""
    said = ask(IOREG, case=case, seconds=4)
    if "text" not in said:
        return said
    try:
        return {"nodes": read_ioreg(said["text"].encode(), clients=f"pid {pid},")}
    except ValueError as error:
        return {"skipped": f"{error}; ioreg: {last_line(said['text'])}"}


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says what state each accelerator is in."""
    if not part["nodes"]:
        yield MACOS.skipped("accelerators", "ioreg knows no accelerator")
    for name, values in part["nodes"].items():
        named = ("class", "model", "busy count", "power state", "highest power state", "probe score")
        seen = ", ".join(f"{what} {values[what]}" for what in named if what in values) or "no state told"
        if values.get("busy count"):
            advice = "its driver is still being started: what asks IOKit for it waits so long. Wait, or restart the Mac"
            yield MACOS.warn(f"accelerator {name}", seen, advice)
        else:
            yield MACOS.ok(f"accelerator {name}", seen)


def diagnose_hang(before: Mapping[str, Any], during: Mapping[str, Any], pid: int) -> Iterator[Finding]:
    """Says what the accelerators did while a process hung, and whether it had one open."""
    if reason := before.get("skipped") or during.get("skipped"):
        yield MACOS.skipped("hang: accelerators", reason)
        return
    nodes = during["nodes"]
    users = [name for name, each in nodes.items() if each.get("opened by") or each.get("fLastSubmissionPID") == pid]
    if users:
        seen = f"the process that hung had {', '.join(users)} open, or was the last to give it work"
        yield MACOS.fail("hang: GPU", seen, "upstream Go uses no GPU: gobuild verify GO names what this one links")
    different = [f"{node}: {what} {old} -> {new}" for node, what, old, new in changes(before["nodes"], nodes)]
    yield MACOS.ok("hang: accelerators", "; ".join(different[:30]) or "no difference to before")
