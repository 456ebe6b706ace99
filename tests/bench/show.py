"""What a person sees of a benchmark: its document comes in, a table, a picture and the README's text go out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import figures
from bench.rounds import MAKE, PATCH
from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError
from gobuild.core.render import render

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
"""Between them stands the README's text."""

COLUMNS = ("what", "at most", "median", "least to most", "")

IDLE = 0.05
"""The share of the machine's CPU time that others may have before we warn: beyond it they are in the third digit."""


def table(console: Console, document: Mapping[str, Any]) -> None:
    """The figures with the issue's limits, and what disturbed them."""
    found = figures.rows(document["rounds"])
    title = (
        f"Go {document['go']} for {document['target']}, {_rounds(document)}; ratios are to make.bash in the same round"
    )
    console.table(title, COLUMNS, [row.cells() for row in found])
    if warning := disturbed(document):
        console.warn(warning)


def disturbed(document: Mapping[str, Any]) -> str:
    """One line where the machine was not idle; else ""."""
    others, stolen = figures.load(document["rounds"])
    words = [f"other processes took up to {others:.0%} of its CPU time"] if others > IDLE else []
    words += [f"its hypervisor took up to {stolen:.0%}"] if stolen and stolen > IDLE else []
    return f"the machine was not idle: {' and '.join(words)} during a case" if words else ""


def _rounds(document: Mapping[str, Any]) -> str:
    count = len(document["rounds"])
    return f"{count} round{'s' if count > 1 else ''}"


def markdown(document: Mapping[str, Any], picture: str = "") -> str:
    """The README's table, with date, machine and command.

    Args:
        document: what a run measured.
        picture: the path of the picture, relative to the README; empty for none.
    """
    machine = document["machine"]
    lines = [
        f"Measured on {document['date'][:10]} by `{document['command']}` on {machine['cores']} cores of "
        f"{machine['cpu']} ({machine['system']}, {machine['memory_gib']:.0f} GiB), gobuild {document['commit']}, with "
        f"the stock patches and `{PATCH}`. In each of the {_rounds(document)} the archives of both builders were the "
        "same byte for byte. Ratios are to make.bash in the same round: of a build, which is the programs that build, "
        "or of the whole command, which also unpacks, patches, verifies and packs.",
        "",
        *([f"![where the time goes]({picture})", ""] if picture else []),
        *_rows(COLUMNS, [row.cells() for row in figures.rows(document["rounds"])]),
    ]
    warning = disturbed(document)
    return "\n".join([*lines, *(["", f"{warning[0].upper()}{warning[1:]}."] if warning else []), ""])


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]


def fill(readme: Path, text: str) -> None:
    """Puts a text between the README's two marks.

    Raises:
        ConfigError: it has not both of them, once and in this order.
    """
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or END in after:
        raise ConfigError(f"{readme.name} has no place for the table", f"{BEGIN} and {END} on lines of their own")
    files.write(readme, f"{before}{BEGIN}\n{text}{END}{after}")


WIDTH, LEFT, STEP = 880, 170, 58
"""Pixels: the picture's width, where the bars begin, and from one bar to the next."""


def picture(document: Mapping[str, Any]) -> str:
    """An SVG: a bar for each case, with its parts, all on one scale of seconds; for light and dark pages."""
    bars = figures.bars(document["rounds"])
    whole = next(bar.total for bar in bars if bar.name == MAKE)
    scale = (WIDTH - LEFT - 190) / max(bar.total for bar in bars)
    names = [*figures.PARTS, "the rest"]
    drawn = []
    for bar in bars:
        at, parts = float(LEFT), list[dict[str, Any]]()
        for name, seconds in bar.parts.items():
            parts.append({"kind": names.index(name), "name": name, "x": at, "width": seconds * scale, "s": seconds})
            at += seconds * scale
        long = [part for part in parts if part["s"] >= 0.5]
        told = " · ".join(f"{part['name']} {part['s']:.0f} s" for part in long) if len(parts) > 1 else ""
        ratio = f", {bar.total / whole:.2f} of make.bash" if 0.01 <= bar.total / whole != 1 else ""
        drawn.append({"name": bar.name, "parts": parts, "end": at, "told": told, "total": _seconds(bar.total) + ratio})
    return render(
        "bench.svg.j2",
        html=True,
        title=f"Go {document['go']} for {document['target']}: wall time, median of {_rounds(document)}",
        width=WIDTH,
        left=LEFT,
        step=STEP,
        bars=drawn,
        names=names,
    )


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
