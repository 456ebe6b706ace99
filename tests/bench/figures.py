"""The arithmetic: rounds come in, a row for each thing that was measured goes out, with its spread and its limit.

Ratios are made within a round and then compared over the rounds, so that what slowed one round down cancels out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.rounds import CHANGED, COLD, MAKE, PACKAGE, SAME, STARTUP, TOOLS, VERIFY, Round

BUILDS = ("make.bash", "direct tools", "direct")
"""The programs of a manifest's `run` that build."""

PACKER = "distpack"
"""The one that does not."""

MIB, MB = 2**20, 10**6

WORDS = {"ratio": ("{:.2f}", 1.0), "share": ("{:.1f} %", 100.0), "s": ("{:.2f} s", 1.0), "MB": ("{:.0f} MB", 1.0)}
"""How a figure is written, by its unit: the format, and the factor before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure that every round gives.

    Attributes:
        what: what it is, for people.
        unit: a key of `WORDS`.
        of: from a round to the figure.
        limit: the most that it may be (issue 5); None where there is no limit.
    """

    what: str
    unit: str
    of: Callable[[Round], float]
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure over all rounds.

    Attributes:
        measure: what it is.
        values: one a round.
    """

    measure: Measure
    values: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """ "OK", "over", or "" where there is no limit: the median decides."""
        limit = self.measure.limit
        return "" if limit is None else "OK" if median(self.values) <= limit else "over"

    def cells(self) -> tuple[str, str, str, str, str]:
        """What it is, its limit, its median, its least and greatest, and the verdict."""
        limit, unit = self.measure.limit, self.measure.unit
        spread = f"{_figure(min(self.values), unit)} to {_figure(max(self.values), unit)}"
        at_most = "" if limit is None else _figure(limit, unit)
        return self.measure.what, at_most, _figure(median(self.values), unit), spread, self.verdict


def _figure(value: float, unit: str) -> str:
    form, factor = WORDS[unit]
    return form.format(value * factor)


def built(run: Mapping[str, Any], key: str) -> float:
    """Seconds of the programs that build: `key` is "seconds" (wall) or "cpu_seconds"."""
    return float(sum(run[key].get(program, 0.0) for program in BUILDS))


def _build(name: str, key: str = "seconds") -> Callable[[Round], float]:
    return lambda found: built(found[name], key) / built(found[MAKE], key)


def _command(name: str, key: str = "wall") -> Callable[[Round], float]:
    return lambda found: float(found[name]["cost"][key] / found[MAKE]["cost"][key])


def _around(name: str) -> Callable[[Round], float]:
    """What is neither building nor distpack, of the whole process; the manifest's own share leaves out starting it."""

    def share(found: Round) -> float:
        run = found[name]
        programs = built(run, "seconds") + float(run["seconds"].get(PACKER, 0.0))
        return 1 - programs / float(run["cost"]["wall"])

    return share


def _peak(found: Round) -> float:
    return float(max(found[name]["peak_memory_mib"] for name in (MAKE, COLD, TOOLS, SAME, CHANGED))) * MIB / MB


MEASURES = (
    Measure(what="direct, cold: the build's wall", unit="ratio", limit=0.46, of=_build(COLD)),
    Measure(what="direct, cold: the build's CPU", unit="ratio", limit=0.46, of=_build(COLD, "cpu_seconds")),
    Measure(what="direct, host tools in the store: the build's wall", unit="ratio", limit=0.35, of=_build(TOOLS)),
    Measure(what="one line of a runtime patch changed: the build's wall", unit="ratio", limit=0.40, of=_build(CHANGED)),
    Measure(
        what="one line of a runtime patch changed: the whole command's wall",
        unit="ratio",
        limit=0.40,
        of=_command(CHANGED),
    ),
    Measure(what="direct, cold: the whole command's wall", unit="ratio", of=_command(COLD)),
    Measure(what="direct, cold: the whole command's CPU", unit="ratio", of=_command(COLD, "cpu")),
    Measure(what="direct, host tools in the store: the whole command's wall", unit="ratio", of=_command(TOOLS)),
    Measure(
        what="nothing changed: the whole command's wall",
        unit="s",
        limit=2.0,
        of=lambda found: found[SAME]["cost"]["wall"],
    ),
    Measure(
        what="around make.bash and distpack, of the whole run",
        unit="share",
        limit=0.05,
        of=_around(MAKE),
    ),
    Measure(
        what="around the direct build (cold) and distpack, of the whole run",
        unit="share",
        limit=0.05,
        of=_around(COLD),
    ),
    Measure(what="verify alone, its in-process part", unit="s", limit=1.2, of=lambda found: found[VERIFY]["seconds"]),
    Measure(what="packaging alone (distpack)", unit="s", of=lambda found: found[PACKAGE]["seconds"]),
    Measure(
        what="gobuild --version, --help, --list: CPU of the slowest",
        unit="s",
        limit=0.35,
        of=lambda found: found[STARTUP]["cost"]["cpu"],
    ),
    Measure(what="peak memory of gobuild's own process", unit="MB", limit=300.0, of=_peak),
    Measure(
        what="make.bash: the whole command's peak memory, all processes",
        unit="MB",
        of=lambda found: float(found[MAKE]["cost"]["memory"]) / MB,
    ),
    Measure(what="direct, cold: the whole command's peak memory", unit="ratio", of=_command(COLD, "memory")),
)
"""Ratios are to make.bash in the same round. A build is the programs that build; a whole command is the process that
the user starts, from its first instruction to its last: it also resolves, unpacks, patches, verifies and packs."""


def rows(rounds: Sequence[Round]) -> tuple[Row, ...]:
    """A row for each measure, over all rounds."""
    return tuple(Row(measure=each, values=tuple(each.of(found) for found in rounds)) for each in MEASURES)


def load(rounds: Sequence[Round]) -> tuple[float, float | None]:
    """The most that other processes, and the hypervisor, took in any case: shares of the machine's CPU time."""
    costs = [run["cost"] for found in rounds for run in found.values()]
    stolen = [cost["stolen"] for cost in costs if cost["stolen"] is not None]
    return max(cost["others"] for cost in costs), max(stolen, default=None)
