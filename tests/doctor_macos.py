"""A Mac that is not there: recorded output in place of Apple's tools. For doctor/test_macos_*.py."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.process import Result
from gobuild.core.settings import Settings
from gobuild.doctor.model import Case, Finding

DATA = Path(__file__).parent / "data/doctor"

Said = str | int | tuple[int, str] | Exception
"""What a tool says, the signal or code it ends with in silence, both, or that it is not there, or hangs."""


def sample(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def case(folder: Path, **how: Any) -> Case:
    folder.mkdir(exist_ok=True)
    made = Case(
        go=Path("/usr/local/go/bin/go"),
        root=Path("/usr/local/go"),
        environment={"HOME": str(folder / "home")},
        clean={"HOME": str(folder)},
        cwd=folder,
        scratch=folder,
        settings=Settings(),
        deadline=time.monotonic() + 60,
    )
    return replace(made, **how)


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {each.name: each for each in findings if each.group == "macOS"}


class Recorded:
    """Starts nothing: what a tool says is chosen by the first key that all stands in its words."""

    def __init__(self, says: Mapping[str, Said]) -> None:
        self.says = says
        self.asked: list[tuple[str, ...]] = []
        self.limits: list[float] = []

    def __call__(self, argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, limit: float) -> Result:
        words = tuple(map(str, argv))
        self.asked.append(words)
        self.limits.append(limit)
        tool = Path(words[0]).name
        said = next((value for key, value in self.says.items() if set(key.split()) <= {*words, tool}), "")
        if isinstance(said, Exception):
            raise said
        code, output = said if isinstance(said, tuple) else (said, "") if isinstance(said, int) else (0, said)
        if tool in ("sample", "spindump") and not isinstance(said, int):  # they write a file
            Path(words[words.index("-file" if tool == "sample" else "-o") + 1]).write_text(output, encoding="utf-8")
            output = ""
        return Result(argv=words, code=code, output=output)


MISSING = ToolMissing("cannot run it: No such file or directory")
HANGS = CommandError("it did not end within 4 s and was stopped")
