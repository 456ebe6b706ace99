"""What `invoke bench` does: rounds, or the identity; each writes what it found and shows it."""

import io
import json as codec
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import figures, identity
from bench.cost import machine
from bench.rounds import Bench
from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import CommandError
from gobuild.core.process import run
from gobuild.core.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
REPORT = CHECKOUT / "tests/reports/identity.json"


def measure(go: str, target: str, scratch: Path, rounds: int, json: str) -> None:
    """Runs the rounds. After each, the figures so far are shown, and written to a JSON file with a .md beside it."""
    console = Console()
    bench = Bench(go=go, target=target, folder=scratch, run=run, note=console.say)
    document: dict[str, Any] = {
        "schema": 1,
        "go": go,
        "target": target,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"invoke bench --go {go} --target {target} --rounds {rounds}",
        "commit": _commit(),
        "machine": machine(),
        "load_before": os.getloadavg(),
        "rounds": [],
    }
    bench.prepare()
    for number in range(1, rounds + 1):
        document["rounds"].append(bench.round(number))
        figures.table(console, document)
        if json:
            files.write(Path(json), codec.dumps(document, indent=1) + "\n")
            files.write(Path(json).with_suffix(".md"), figures.markdown(document))


def prove(releases: list[str], targets: list[str], scratch: Path, json: str, *, resume: bool) -> None:
    """Compares both builders' bytes; where they differ or a build fails, the record has all that was found."""
    console, record = Console(), Path(json or REPORT)
    names = {key: f"INVOKE_GOBUILD_{key.upper()}" for key in ("index_url", "cache", "source")}
    base = Settings.of({"store": str(scratch / "store")}, {key: os.environ.get(name) for key, name in names.items()})
    prover = identity.Prover(scratch, base, run=run, console=Console(stream=io.StringIO()))
    entries = identity.prove(
        releases, targets, prover.compare, record=record, commit=_commit(), resume=resume, note=console.say
    )
    console.table("make.bash and direct, byte for byte", identity.COLUMNS, identity.rows(entries))
    console.say(f"wrote {record}")
    if wrong := [entry for entry in entries if not entry.get("same")]:
        raise CommandError(f"{len(wrong)} of {len(entries)} comparisons are not the same bytes, or could not be made")


def _commit() -> str:
    """This checkout's commit, with "-dirty" where files are changed."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = run(words, env=dict(os.environ), cwd=CHECKOUT, check=False)
    return done.output.strip() if done.code == 0 else "an unknown commit"
