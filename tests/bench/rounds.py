"""The rounds: a release and a target come in, every case of every round goes out, one after the other.

Each round runs every case once, in the same order, so that whatever else the machine does hits all of them alike. Each
builder has a store of its own, which is empty at first. Inputs are fetched before the first round.

Removed files cost the next case time where ext4 has no journal, as in many virtual machines: when it makes a file it
then looks past every one removed in the last six minutes. Measured: laying out Go's source 0.9 s, beside a removed tree
up to 7 s, which a benchmark does to itself and no user's first build meets. So nothing is removed before the last case
has ended, make.bash, which removes most itself, comes last in a round, and the next round waits.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import runs
from bench.child import timed
from bench.runs import Run
from gobuild.core import files, resources
from gobuild.core.errors import CommandError
from gobuild.core.process import Runner
from gobuild.patch import load_series

MAKE, COLD, TOOLS = "make.bash", "direct, cold", "direct, tools stored"
CHANGED, SAME = "one line changed", "nothing changed"
"""The cases: make.bash, and direct with an empty store; direct again, the store holding the tools (and the toolchain,
which --fresh passes over); one line of a patch changed; the words of `TOOLS` again."""

VERIFY, PACKAGE, STARTUP = "verify", "package", "start-up"
"""What is timed alone: two stages, on the toolchain that make.bash built, and the slowest of `QUICK`."""

QUICK = ("--version", "--help", "--list")
"""What does nothing but start."""

PATCH = "osinit-trace"
"""Applied in all cases: of the stock patches, the one that changes what is compiled into every program's runtime."""

LINE = re.compile(r'^(\+.*copy\(line\[:\], )"gobuild-trace: unix="\)$', re.MULTILINE)
"""The one line of it that is changed: a text that the runtime writes. Each of the patch's variants has it once."""

ROOM = 5 << 30
"""Bytes on the disk for a round: measured for 1.22.10, 3 GB that stay, and make.bash's cache while it builds."""

FORGOTTEN = 370.0
"""Seconds after which ext4 takes a removed file's inode again (RECENTCY_MIN and RECENTCY_DIRTY in fs/ext4/ialloc.c)."""

Round = dict[str, Any]
"""A `Run` for each case as a JSON object, and what `bench.alone` said, by the names above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What to measure, and where.

    Attributes:
        go, target: as the settings of these names.
        folder: an empty folder, for everything that is made.
        run: starts processes.
        note: told what is being measured.
        sleep: waits so many seconds.
    """

    go: str
    target: str
    folder: Path
    run: Runner
    note: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    def prepare(self) -> None:
        """Fills the cache with all inputs, and makes the series with the changed line."""
        self.note(f"the inputs of {self.go} for {self.target}")
        self._alone("fetch", self.go, self.target)
        changed_series(self.folder / "changed")

    def round(self, number: int) -> Round:
        """Runs every case once. What was built stays, for the reason above; the caller removes `folder`.

        Raises:
            DiskFull: there is no room for a round.
            CommandError: a build failed, or two that must be the same differ.
        """
        at = self.folder / f"round-{number}"
        if number > 1 and _remembers():
            self.note(f"waiting {FORGOTTEN:.0f} s, until ext4 has forgotten what round {number - 1} removed")
            self.sleep(FORGOTTEN)
        words = {"go": self.go, "target": self.target, "extra": PATCH, "builder": "direct"}
        changed = words | {"series": str(self.folder / "changed")}

        def case(name: str, folder: str, words: Mapping[str, str], fresh: bool = False) -> Run:
            self.note(f"round {number}: {name}")
            store = at / f"store of {words['builder']}"
            return runs.build(words, folder=at / folder, store=store, fresh=fresh, run=self.run)

        files.require_room(at, ROOM, "a round")
        found = {
            COLD: case(COLD, "cold", words),
            TOOLS: case(TOOLS, "tools", words, fresh=True),
            SAME: case(SAME, "tools", words),
            CHANGED: case(CHANGED, "changed", changed),
            MAKE: case(MAKE, "make.bash", words | {"builder": "make.bash"}),
        }
        alone = self._both_alone(at / "make.bash")
        agree(found)
        return {name: asdict(each) for name, each in found.items()} | alone

    def _both_alone(self, built: Path) -> Round:
        (state,) = (built / "build").glob("*/toolchain.json")
        self.note("verify alone, packaging alone")
        return {
            VERIFY: self._alone("verify", str(runs.toolchain(built / "dist"))),
            PACKAGE: self._alone("package", str(state)),
            STARTUP: self.startup(),
        }

    def startup(self) -> dict[str, Any]:
        """The cost of a command that only starts, the slowest."""
        words = [sys.executable, "-m", "gobuild"]
        costs = [timed([*words, flag], folder=self.folder, run=self.run)[0] for flag in QUICK]
        return {"cost": asdict(max(costs, key=lambda cost: cost.cpu))}

    def _alone(self, *words: str) -> dict[str, Any]:
        cost, result = timed([sys.executable, "-m", "bench.alone", *words], folder=self.folder, run=self.run)
        said: dict[str, Any] = json.loads(result.output.splitlines()[-1])
        return said | {"cost": asdict(cost)}


def _remembers() -> bool:
    """Whether there is an ext4 here, and none of them has a journal."""
    mounted, journals = Path("/proc/fs/ext4"), Path("/proc/fs/jbd2")
    return mounted.is_dir() and not any(journals.glob("*"))


def agree(found: Mapping[str, Run]) -> None:
    """What is compared must be the same toolchain, and a changed patch must make another one.

    Raises:
        CommandError: it is not so: the figures would mean nothing.
    """
    want = found[MAKE].archives
    for name in (COLD, TOOLS, SAME):
        if found[name].archives != want:
            differ = sorted(file for file, digest in want.items() if found[name].archives.get(file) != digest)
            raise CommandError(f"{name}: other archives than make.bash's: {', '.join(differ) or 'more of them'}")
    if found[CHANGED].stamp == found[MAKE].stamp:
        raise CommandError(f"{CHANGED}: the stamp is still {found[MAKE].stamp}")


def changed_series(to: Path) -> None:
    """Writes a copy of the stock series in which every variant of `PATCH` has one other line.

    Raises:
        CommandError: a variant has no such line, or more of them.
    """
    stock = resources.folder("patches")
    for path in (each for each in sorted(stock.rglob("*")) if each.is_file()):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith(PATCH):
            text, count = LINE.subn(r'\1"gobuild-trace: bench unix=")', text)
            if count != 1:
                raise CommandError(f"{path.name} has {count} lines to change and not 1")
        files.write(to / path.relative_to(stock), text)
    load_series(str(to))
