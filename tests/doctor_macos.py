"""A Mac that is not there: recorded output in place of Apple's tools. For test_doctor_macos*.py."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gobuild.core.errors import CommandError, ToolMissing
from gobuild.core.process import Result
from gobuild.core.settings import Settings
from gobuild.doctor.model import Job

DATA = Path(__file__).parent / "data/doctor"

Said = str | int | tuple[int, str] | Exception
"""What a tool says, the signal or code it ends with in silence, both, or that it is not there, or hangs."""


def sample(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def job(folder: Path, **how: Any) -> Job:
    folder.mkdir(exist_ok=True)
    made = Job(
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


class Recorded:
    """A runner that starts nothing: what a tool says is chosen by the first key that all stands in its words."""

    def __init__(self, says: Mapping[str, Said]) -> None:
        self.says = says
        self.asked: list[tuple[str, ...]] = []
        self.limits: list[float | None] = []

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Result:
        words = tuple(map(str, argv))
        self.asked.append(words)
        self.limits.append(timeout)
        said = next(
            (value for key, value in self.says.items() if set(key.split()) <= {*words, Path(words[0]).name}), ""
        )
        if isinstance(said, Exception):
            raise said
        if isinstance(said, tuple):
            return Result(argv=words, code=said[0], output=said[1])
        for flag in ("-file", "-o"):  # sample and spindump write a file
            if flag in words and Path(words[0]).name in ("sample", "spindump") and isinstance(said, str):
                Path(words[words.index(flag) + 1]).write_text(said, encoding="utf-8")
                return Result(argv=words, code=0, output="")
        return Result(
            argv=words, code=said if isinstance(said, int) else 0, output=said if isinstance(said, str) else ""
        )


MISSING = ToolMissing("cannot run it: No such file or directory")
HANGS = CommandError("it did not end within 4 s and was stopped")
