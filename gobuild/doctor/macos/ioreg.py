"""Snapshots of the graphics accelerators, as `ioreg` tells them: bytes come in, nodes and their differences go out.

    ioreg -a -r -l -c IOAccelerator      XML
    ioreg -r -l -w 0 -c IOAccelerator    text: what the doctor itself asks for, a tenth of the XML's size

Read are the accelerators' class, state, busy count and time, power state, probe score, PerformanceStatistics, AGCInfo
and the processes that have them open; nothing else of the registry. It takes no snapshot: `graphics` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gobuild.core.errors import ConfigError
from gobuild.core.printable import printable
from gobuild.doctor.macos import ioregtext

LARGEST = 32 << 20
"""Bytes of a saved snapshot; one of a Mac with several GPUs has less than 3 MB."""

STATISTICS = 200
"""How many figures of an accelerator are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A node of IOAccelerator.

    Attributes:
        name, kind: the node's name and its class.
        id: the registry's number of it, by which two snapshots are joined.
        model: "Apple M1 Pro".
        busy: how many of its drivers are still being matched or started; 0 is idle.
        busy_ms: milliseconds that it was ever busy so.
        power, power_max: the power state and the highest there is.
        score: the driver's IOProbeScore.
        statistics: PerformanceStatistics and AGCInfo, what is a number there.
        clients: "pid 390, WindowServer": who has it open.
    """

    name: str
    kind: str = ""
    id: int = 0
    model: str = ""
    busy: int | None = None
    busy_ms: int | None = None
    power: int | None = None
    power_max: int | None = None
    score: int | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What differs between two snapshots; "—" stands for nothing there."""

    node: str
    what: str
    before: str
    after: str


PLAIN = tuple(each.name for each in fields(Accelerator) if each.name not in ("name", "id", "statistics", "clients"))
TITLES = {
    "kind": "class",
    "busy": "busy count",
    "busy_ms": "busy, ms",
    "power": "power state",
    "power_max": "highest power state",
    "score": "probe score",
}


def read(data: bytes) -> tuple[Accelerator, ...]:
    """Reads a snapshot, whichever form it has.

    Raises:
        ValueError: it is neither, or damaged.
    """
    text = data.lstrip()
    if text.startswith((b"<?xml", b"<plist")):
        nodes = ioregtext.from_plist(data)
    elif not text or text.startswith((b"+-o", b"|")):
        nodes = ioregtext.from_text(data.decode("utf-8", errors="replace"))
    else:
        raise ValueError("no output of ioreg: it begins neither as XML nor with +-o")
    return tuple(_accelerator(each) for each in nodes if _is_accelerator(each))


def _is_accelerator(node: Mapping[str, Any]) -> bool:
    """The nodes that drive a GPU; their clients stand below them and are of other classes."""
    return isinstance(node.get("PerformanceStatistics"), Mapping) or "IOAccelRevision" in node


def _accelerator(node: Mapping[str, Any]) -> Accelerator:
    power = node.get("IOPowerManagement")
    power = power if isinstance(power, Mapping) else {}
    figures: dict[str, int] = {}
    for name in ("PerformanceStatistics", "AGCInfo"):
        group = node.get(name)
        for key, value in group.items() if isinstance(group, Mapping) else ():
            if isinstance(value, int) and not isinstance(value, bool) and len(figures) < STATISTICS:
                figures[text_of(key)] = value
    clients = node.get("clients")
    return Accelerator(
        name=text_of(node.get("IORegistryEntryName")) or "?",
        kind=text_of(node.get("IOObjectClass") or node.get("IOClass")),
        id=number_of(node.get("IORegistryEntryID")) or 0,
        model=text_of(node.get("model")),
        busy=number_of(node.get("IOServiceBusyState")),
        busy_ms=_milliseconds(node.get("IOServiceBusyTime")),
        power=number_of(power.get("CurrentPowerState")),
        power_max=number_of(power.get("MaxPowerState")),
        score=number_of(node.get("IOProbeScore")),
        statistics=figures,
        clients=tuple(sorted({text_of(each) for each in clients})) if isinstance(clients, list) else (),
    )


def text_of(value: object) -> str:
    """A text of the registry's, at most 200 characters; "" for anything else."""
    if isinstance(value, bytes):  # a model may stand there as data that ends in a NUL
        value = value.rstrip(b"\0").decode("utf-8", errors="replace")
    return printable(value[:200]) if isinstance(value, str) else ""


def number_of(value: object) -> int | None:
    """A number of the registry's; None for anything else, Yes and No included."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _milliseconds(value: object) -> int | None:
    """IOServiceBusyTime is in nanoseconds."""
    number = number_of(value)
    return None if number is None else number // 1_000_000


def changes(before: Iterable[Accelerator], after: Iterable[Accelerator]) -> tuple[Change, ...]:
    """What differs between two snapshots, node by node, joined by the registry's number or else the name."""
    old, new = _keyed(before), _keyed(after)
    found: list[Change] = []
    for key in [*old, *(each for each in new if each not in old)]:
        first, second = old.get(key), new.get(key)
        node = (first or second or Accelerator(name="?")).name
        if first is None or second is None:
            found.append(Change(node=node, what="node", before=_there(first), after=_there(second)))
            continue
        pairs = [(TITLES.get(name, name), getattr(first, name), getattr(second, name)) for name in PLAIN]
        figures = [*first.statistics, *(each for each in second.statistics if each not in first.statistics)]
        pairs += [(each, first.statistics.get(each), second.statistics.get(each)) for each in figures]
        pairs += [("opened by", "", each) for each in second.clients if each not in first.clients]
        pairs += [("opened by", each, "") for each in first.clients if each not in second.clients]
        found += [
            Change(node=node, what=what, before=shown(one), after=shown(other))
            for what, one, other in pairs
            if one != other
        ]
    return tuple(found)


def _keyed(nodes: Iterable[Accelerator]) -> dict[tuple[str, int], Accelerator]:
    """By number; several of the same name without one are told apart by their order."""
    found: dict[tuple[str, int], Accelerator] = {}
    for each in nodes:
        key = ("", each.id) if each.id else (each.name, 0)
        while key in found:
            key = (each.name, key[1] + 1)
        found[key] = each
    return found


def _there(node: Accelerator | None) -> str:
    return "there" if node else "—"


def shown(value: object) -> str:
    """A value for people; a dash where there is none."""
    return "—" if value is None or value == "" else str(value)


def compare(a: Path, b: Path) -> tuple[Change, ...]:
    """Compares two saved snapshots: `invoke doctor.compare A B`.

    Args:
        a: a file with ioreg's output, in either form.
        b: another, taken later.

    Returns:
        What differs; empty where nothing does.

    Raises:
        ConfigError: a file is not there, too large, no output of ioreg, or holds no accelerator.
    """
    return changes(_saved(a), _saved(b))


def rows(found: Sequence[Change]) -> list[tuple[str, str, str, str]]:
    """The comparison's table, below `COLUMNS`."""
    return [(each.node, each.what, each.before, each.after) for each in found]


COLUMNS = ("accelerator", "what", "before", "after")


def _saved(path: Path) -> tuple[Accelerator, ...]:
    hint = "ioreg -a -r -l -c IOAccelerator > FILE"
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ConfigError(f"{path} has more than {LARGEST >> 20} MiB, which no snapshot has", hint)
        nodes = read(data)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint) from error
    except ValueError as error:
        raise ConfigError(f"{path}: {printable(str(error))[:300]}", hint) from error
    if not nodes:
        raise ConfigError(f"{path} holds no accelerator", hint)
    return nodes
