"""The rounds: every case of every round, one after the other.

Each round runs every case once, in the same order, so that whatever else the machine does hits all of them alike. Each
builder has a store of its own, which is empty at first. Inputs are fetched before the first round.

Removed files cost the next case time where ext4 has no journal, as in many virtual machines: when it makes a file it
then looks past every one removed in the last six minutes. Measured: laying out Go's source 0.9 s, beside a removed tree
up to 7 s, which a benchmark does to itself and no user's first build meets. So nothing is removed before the last case
has ended, make.bash, which removes most itself, comes last in a round, and the next round waits.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import figures
from bench.cost import commit, machine, timed
from bench.figures import CHANGED, COLD, MAKE, PACKAGE, PATCH, SAME, STARTUP, TOOLS, VERIFY, Round
from gobuild.core import files, resources
from gobuild.core.console import Console
from gobuild.core.errors import CommandError
from gobuild.core.manifest import NAME, Manifest, read_manifest
from gobuild.core.process import Runner, run
from gobuild.patch import load_series

QUICK = ("--version", "--help", "--list")
"""What does nothing but start."""

LINE = re.compile(r'^(\+.*copy\(line\[:\], )"gobuild-trace: unix="\)$', re.MULTILINE)
"""The one line of it that is changed: a text that the runtime writes. Each of the patch's variants has it once."""

ROOM = 5 << 30
"""Bytes on the disk for a round: measured for 1.22.10, 3 GB that stay, and make.bash's cache while it builds."""

FORGOTTEN = 370.0
"""Seconds after which ext4 takes a removed file's inode again (RECENTCY_MIN and RECENTCY_DIRTY in fs/ext4/ialloc.c)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What to measure (as the settings go and target), and an empty folder for everything that is made."""

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
        """Runs every case once. What was built stays, for the reason above; the caller removes `folder`."""
        at = self.folder / f"round-{number}"
        if number > 1 and _remembers():
            self.note(f"waiting {FORGOTTEN:.0f} s, until ext4 has forgotten what round {number - 1} removed")
            self.sleep(FORGOTTEN)
        files.require_room(at, ROOM, "a round")
        words = {"go": self.go, "target": self.target, "extra": PATCH, "builder": "direct"}
        found: Round = {}
        for name, folder, more in (
            (COLD, "cold", {}),
            (TOOLS, "tools", {"fresh": ""}),
            (SAME, "tools", {}),
            (CHANGED, "changed", {"series": str(self.folder / "changed")}),
            (MAKE, "make.bash", {"builder": "make.bash"}),
        ):
            self.note(f"round {number}: {name}")
            asked = words | more
            found[name] = self.build(asked, at / folder, store=at / f"store of {asked['builder']}")
        _require_agreement(found)
        self.note("verify alone, packaging alone")
        built = at / "make.bash"
        (archive,) = (path for path in (built / "dist").glob("go*.tar.gz") if not path.name.endswith(".src.tar.gz"))
        (state,) = (built / "build").glob("*/toolchain.json")
        found[VERIFY] = self._alone("verify", str(archive))
        found[PACKAGE] = self._alone("package", str(state))
        costs = [timed([sys.executable, "-m", "gobuild", flag], folder=at, run=self.run)[0] for flag in QUICK]
        found[STARTUP] = {"cost": max(costs, key=lambda cost: float(cost["cpu"]))}
        return found

    def build(self, words: Mapping[str, str], folder: Path, *, store: Path) -> dict[str, Any]:
        """A `gobuild build` of its own in a folder: what it cost, what its manifest says, and its archives' digests."""
        folder.mkdir(parents=True, exist_ok=True)
        dist = folder / "dist"
        said = {**words, "dist": str(dist), "work": str(folder / "build"), "store": str(store)}
        flags = [word for name, value in said.items() for word in (f"--{name}", value) if word]
        argv = [sys.executable, "-m", "gobuild", "build", *flags]
        cost, _ = timed(argv, folder=folder, log=folder / "output.log", run=self.run)
        (path,) = dist.glob(f"*.{NAME}")
        told = read_manifest(path, Manifest)
        if told.build.builder != words["builder"]:
            raise CommandError(f"{words['builder']} was asked for, and {told.build.builder} built {told.stamp}")
        return {
            "cost": cost,
            "stamp": told.stamp,
            "builder": told.build.builder,
            **{key: told.run[key] for key in ("seconds", "cpu_seconds", "peak_memory_mib")},
            "archives": {each.file: files.sha256(dist / each.file) for each in told.artifacts},
        }

    def _alone(self, *words: str) -> dict[str, Any]:
        cost, result = timed([sys.executable, "-m", "bench.alone", *words], folder=self.folder, run=self.run)
        said: dict[str, Any] = json.loads(result.output.splitlines()[-1])
        return said | {"cost": cost}


def _remembers() -> bool:
    """Whether there is an ext4 here, and none of them has a journal."""
    mounted, journals = Path("/proc/fs/ext4"), Path("/proc/fs/jbd2")
    return mounted.is_dir() and not any(journals.glob("*"))


def _require_agreement(found: Round) -> None:
    """What is compared must be the same toolchain, and a changed patch must make another one."""
    want = found[MAKE]["archives"]
    for name in (COLD, TOOLS, SAME):
        differ = sorted(file for file, _ in want.items() ^ found[name]["archives"].items())
        if differ:
            raise CommandError(f"{name}: other archives than make.bash's: {', '.join(dict.fromkeys(differ))}")
    if found[CHANGED]["stamp"] == found[MAKE]["stamp"]:
        raise CommandError(f"{CHANGED}: the stamp is still {found[MAKE]['stamp']}")


def changed_series(to: Path) -> None:
    """Writes a copy of the stock series in which every variant of `PATCH` has one other line."""
    stock = resources.folder("patches")
    for path in (each for each in sorted(stock.rglob("*")) if each.is_file()):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith(PATCH):
            text, count = LINE.subn(r'\1"gobuild-trace: bench unix=")', text)
            if count != 1:
                raise CommandError(f"{path.name} has {count} lines to change and not 1")
        files.write(to / path.relative_to(stock), text)
    load_series(str(to))


def measure(go: str, target: str, scratch: Path, rounds: int, to: str) -> None:
    """Runs the rounds. After each, the figures so far are shown, and written to a JSON file with a .md beside it."""
    console = Console()
    bench = Bench(go=go, target=target, folder=scratch, run=run, note=console.say)
    document: dict[str, Any] = {
        "schema": 1,
        "go": go,
        "target": target,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"invoke bench --go {go} --target {target} --rounds {rounds}",
        "commit": commit(),
        "machine": machine(),
        "load_before": os.getloadavg(),
        "rounds": [],
    }
    bench.prepare()
    for number in range(1, rounds + 1):
        document["rounds"].append(bench.round(number))
        figures.table(console, document)
        if to:
            files.write(Path(to), json.dumps(document, indent=1) + "\n")
            files.write(Path(to).with_suffix(".md"), figures.markdown(document))
