"""What macOS says when it kills a program or does not load it, and what that means: the table reasons.toml."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gobuild.doctor.model import Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that macOS says in a line; FAIL where it is why a program ended, WARN where it may be."""

    name: str
    words: re.Pattern[str]
    grade: Grade
    means: str
    cure: str
    source: str


_TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_CURES: dict[str, str] = _TABLE["cures"]

SIGN_ANEW, NOTARIZE = _CURES["sign anew"], _CURES["notarize"]

REASONS = tuple(
    Reason(
        **row
        | {"words": re.compile(row["words"]), "grade": Grade(row.get("grade", "FAIL"))}
        | {"cure": _CURES.get(row["cure"], row["cure"])}
    )
    for row in _TABLE["reasons"]
)


def explain(text: str) -> Iterator[tuple[Reason, str]]:
    """Finds what is known in a text of many lines: each reason once, with its line, whose first in the table it is."""
    told: set[str] = set()
    for line in text.splitlines()[:20_000]:
        reason = next((each for each in REASONS if each.words.search(line[:4000])), None)
        if reason and reason.name not in told:
            told.add(reason.name)
            yield reason, line[:600].strip()
