"""What `invoke bench` does: rounds, or the identity; each writes what it found and shows it."""

import io
import json as codec
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import identity, show
from bench.child import machine
from bench.rounds import Bench
from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import CommandError
from gobuild.core.process import run
from gobuild.core.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
REPORTS = CHECKOUT / "tests" / "reports"


def measure(go: str, target: str, scratch: Path, rounds: int, json: str) -> None:
    """Runs the rounds. After each, the figures so far are shown and written.

    Args:
        go, target: as the settings of these names.
        scratch: an empty folder.
        rounds: how many.
        json: the file to write, and a .md beside it; empty for none.

    Raises:
        CommandError: a build failed, or made other bytes than it must.
    """
    console = Console()
    _warn_if_busy(console)
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
        show.table(console, document)
        if json:
            files.write(Path(json), codec.dumps(document, indent=1) + "\n")
            files.write(Path(json).with_suffix(".md"), show.markdown(document))


def prove(releases: list[str], targets: list[str], scratch: Path, json: str, *, resume: bool) -> None:
    """Compares both builders' bytes; see `identity.prove`.

    Raises:
        CommandError: they differ somewhere, or a build failed. The record has all that was found.
    """
    console, record = Console(), Path(json or REPORTS / "identity.json")
    base = Settings.of({"store": str(scratch / "store")}, _configured())
    prover = identity.Prover(scratch, base, run=run, console=Console(stream=io.StringIO()))
    entries = identity.prove(
        releases, targets, record=record, prover=prover, commit=_commit(), resume=resume, note=console.say
    )
    console.table("make.bash and direct, byte for byte", identity.COLUMNS, identity.rows(entries))
    console.say(f"wrote {record}")
    if wrong := [entry for entry in entries if not entry.get("same")]:
        raise CommandError(f"{len(wrong)} of {len(entries)} comparisons are not the same bytes, or could not be made")


def _warn_if_busy(console: Console) -> None:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > show.IDLE * cores:
        console.warn(f"a load average of {load:.1f} on {cores} cores: ratios from an idle machine mean more")


def _configured() -> dict[str, str]:
    """What the environment says of the settings that decide where things come from."""
    names = {key: f"INVOKE_GOBUILD_{key.upper()}" for key in ("index_url", "cache", "source")}
    return {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def _commit() -> str:
    """This checkout's commit, with "-dirty" where files are changed."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = run(words, env=dict(os.environ), cwd=CHECKOUT, check=False)
    return done.output.strip() if done.code == 0 else "an unknown commit"
