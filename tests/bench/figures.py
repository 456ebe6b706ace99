"""The arithmetic: a row for each thing that was measured, with its spread over the rounds and its limit.

Ratios are made within a round and then compared over the rounds, so that what slowed one round down cancels out.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from gobuild.core.console import Console

MAKE, COLD, TOOLS = "make.bash", "direct, cold", "direct, tools stored"
CHANGED, SAME = "one line changed", "nothing changed"
"""The cases: make.bash, and direct with an empty store; direct again, the store holding the tools (and the toolchain,
which --fresh passes over); one line of a patch changed; the words of `TOOLS` again."""

VERIFY, PACKAGE, STARTUP = "verify", "package", "start-up"
"""What is timed alone: two stages, on the toolchain that make.bash built, and the slowest of what only starts."""

PATCH = "osinit-trace"
"""Applied in all cases: of the stock patches, the one that changes what is compiled into every program's runtime."""

Round = dict[str, Any]
"""For each case what `Bench.build` returns, and what `bench.alone` said, by the names above."""

BUILDS = ("make.bash", "direct tools", "direct")
"""The programs of a manifest's `run` that build; distpack does not."""

UNITS = {"ratio": ("{:.2f}", 1.0), "share": ("{:.1f} %", 100.0), "s": ("{:.2f} s", 1.0), "MB": ("{:.0f} MB", 1e-6)}
"""How a figure is written: the format, and the factor before it."""

COLUMNS = ("what", "at most", "median", "least to most", "")

IDLE = 0.05
"""The share of the machine's CPU time that others may have before we warn: beyond it they are in the third digit."""


def _built(run: Mapping[str, Any], key: str) -> float:
    return float(sum(run[key].get(program, 0.0) for program in BUILDS))


def _build(name: str, key: str = "seconds") -> Callable[[Round], float]:
    return lambda found: _built(found[name], key) / _built(found[MAKE], key)


def _command(name: str, key: str = "wall") -> Callable[[Round], float]:
    return lambda found: float(found[name]["cost"][key] / found[MAKE]["cost"][key])


def _cost(name: str, key: str) -> Callable[[Round], float]:
    return lambda found: float(found[name]["cost"][key])


def _alone(name: str) -> Callable[[Round], float]:
    return lambda found: float(found[name]["seconds"])


def _around(name: str) -> Callable[[Round], float]:
    """What is neither building nor distpack, of the whole process; the manifest's own share leaves out starting it."""

    def share(found: Round) -> float:
        run = found[name]
        programs = _built(run, "seconds") + float(run["seconds"].get("distpack", 0.0))
        return 1 - programs / float(run["cost"]["wall"])

    return share


def _peak(found: Round) -> float:
    return float(max(found[name]["peak_memory_mib"] for name in (MAKE, COLD, TOOLS, SAME, CHANGED))) * 2**20


MEASURES: tuple[tuple[str, str, float | None, Callable[[Round], float]], ...] = (
    ("direct, cold: the build's wall", "ratio", 0.46, _build(COLD)),
    ("direct, cold: the build's CPU", "ratio", 0.46, _build(COLD, "cpu_seconds")),
    ("direct, host tools in the store: the build's wall", "ratio", 0.35, _build(TOOLS)),
    ("one line of a runtime patch changed: the build's wall", "ratio", 0.40, _build(CHANGED)),
    ("one line of a runtime patch changed: the whole command's wall", "ratio", 0.40, _command(CHANGED)),
    ("direct, cold: the whole command's wall", "ratio", None, _command(COLD)),
    ("direct, cold: the whole command's CPU", "ratio", None, _command(COLD, "cpu")),
    ("direct, host tools in the store: the whole command's wall", "ratio", None, _command(TOOLS)),
    ("nothing changed: the whole command's wall", "s", 2.0, _cost(SAME, "wall")),
    ("around make.bash and distpack, of the whole run", "share", 0.05, _around(MAKE)),
    ("around the direct build (cold) and distpack, of the whole run", "share", 0.05, _around(COLD)),
    ("verify alone, its in-process part", "s", 1.2, _alone(VERIFY)),
    ("packaging alone (distpack)", "s", None, _alone(PACKAGE)),
    ("gobuild --version, --help, --list: CPU of the slowest", "s", 0.35, _cost(STARTUP, "cpu")),
    ("peak memory of gobuild's own process", "MB", 300e6, _peak),
    ("make.bash: the whole command's peak memory, all processes", "MB", None, _cost(MAKE, "memory")),
    ("direct, cold: the whole command's peak memory", "ratio", None, _command(COLD, "memory")),
)
"""What it is, its unit, the most that its median may be (issue 5; None for no limit), and how a round gives it. Ratios
are to make.bash in the same round. A build is the programs that build; a whole command is the process that the user
starts, from its first instruction to its last: it also resolves, unpacks, patches, verifies and packs."""


def rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """A row for each measure, over all rounds."""
    found: list[tuple[str, ...]] = []
    for what, unit, limit, of in MEASURES:
        values = [of(each) for each in rounds]
        form, factor = UNITS[unit]
        least, middle, most = (form.format(each(values) * factor) for each in (min, median, max))
        verdict = "" if limit is None else "OK" if median(values) <= limit else "over"
        at_most = "" if limit is None else form.format(limit * factor)
        found.append((what, at_most, middle, f"{least} to {most}", verdict))
    return found


def disturbed(rounds: Sequence[Round]) -> str:
    """One line where the machine was not idle; else ""."""
    costs = [run["cost"] for found in rounds for run in found.values()]
    others, stolen = (max(cost[key] or 0.0 for cost in costs) for key in ("others", "stolen"))
    words = [f"other processes took up to {others:.0%} of its CPU time"] if others > IDLE else []
    words += [f"its hypervisor took up to {stolen:.0%}"] if stolen > IDLE else []
    return f"the machine was not idle: {' and '.join(words)} during a case" if words else ""


def table(console: Console, document: Mapping[str, Any]) -> None:
    """The figures with the issue's limits, and what disturbed them."""
    title = f"Go {document['go']} for {document['target']}, {len(document['rounds'])} rounds; ratios are to make.bash"
    console.table(title, COLUMNS, rows(document["rounds"]))
    if warning := disturbed(document["rounds"]):
        console.warn(warning)


def markdown(document: Mapping[str, Any]) -> str:
    """The table with date, machine and command."""
    machine, warning = document["machine"], disturbed(document["rounds"])
    lines = [
        "# Builds, measured",
        "",
        f"Measured on {document['date'][:10]} by `{document['command']}` on {machine['cores']} cores of "
        f"{machine['cpu']} ({machine['system']}, {machine['memory_gib']:.0f} GiB), gobuild {document['commit']}, with "
        f"the stock patches and `{PATCH}`. In each round the archives of both builders were the same byte for byte. "
        "Ratios are to make.bash in the same round: of a build, which is the programs that build, or of the whole "
        "command, which also unpacks, patches, verifies and packs.",
        "",
        *(f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows(document["rounds"]))),
        *(["", f"{warning[0].upper()}{warning[1:]}."] if warning else []),
        "",
    ]
    return "\n".join(lines)
