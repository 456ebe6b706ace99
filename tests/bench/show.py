"""What a person sees of a benchmark: a table on the terminal, and the same in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import figures
from bench.rounds import PATCH
from gobuild.core.console import Console

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


def markdown(document: Mapping[str, Any]) -> str:
    """The table with date, machine and command."""
    machine = document["machine"]
    lines = [
        "# Builds, measured",
        "",
        f"Measured on {document['date'][:10]} by `{document['command']}` on {machine['cores']} cores of "
        f"{machine['cpu']} ({machine['system']}, {machine['memory_gib']:.0f} GiB), gobuild {document['commit']}, with "
        f"the stock patches and `{PATCH}`. In each of the {_rounds(document)} the archives of both builders were the "
        "same byte for byte. Ratios are to make.bash in the same round: of a build, which is the programs that build, "
        "or of the whole command, which also unpacks, patches, verifies and packs.",
        "",
        *_rows(COLUMNS, [row.cells() for row in figures.rows(document["rounds"])]),
    ]
    warning = disturbed(document)
    return "\n".join([*lines, *(["", f"{warning[0].upper()}{warning[1:]}."] if warning else []), ""])


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
