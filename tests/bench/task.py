"""`invoke bench`. Every task of the repository loads this: what needs the test tools is imported when it measures."""

import tempfile
from pathlib import Path

from invoke import task
from invoke.context import Context

from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.goversion import Target

RELEASES, TARGETS = "1.22.10,1.24.11,1.27.3", "darwin/arm64,linux/amd64"
"""What issue 5 asks of the identity."""

ONE = ("1.22.10", "darwin/arm64")
"""What is measured by default."""


@task(
    help={
        "go": f"which Go; with --identity more with commas ({RELEASES})",
        "target": f"GOOS/GOARCH; with --identity more with commas ({TARGETS})",
        "rounds": "how often everything is measured",
        "to": "the folder to build in: 3 GB a round and 2 more, on the disk that is to be measured",
        "json": "the file for the figures, written after each round, with a table in Markdown beside it; with "
        "--identity by default tests/reports/identity.json",
        "identity": "build both ways and compare every byte, for releases, targets, patched and unpatched",
        "resume": "with --identity: pass over what the file says to be the same",
    },
    auto_shortflags=False,
)
def bench(
    _context: Context,
    go: str = "",
    target: str = "",
    rounds: str = "3",
    to: str = "build",
    json: str = "",
    identity: bool = False,
    resume: bool = False,
) -> None:
    """Measures make.bash and the direct build side by side, and what stands around them."""
    if not rounds.isdecimal() or not int(rounds):
        raise ConfigError(f"{rounds!r} rounds", "--rounds with a number from 1 on")
    targets = [str(Target.parse(each)) for each in (target or (TARGETS if identity else ONE[1])).split(",")]
    releases = (go or (RELEASES if identity else ONE[0])).split(",")
    if not identity and len(releases + targets) > 2:
        raise ConfigError("one release and one target are measured at a time", "--identity for more of them")
    if json and (Path(json).suffix != ".json" or Path(json).is_dir()):
        raise ConfigError(f"--json {json} is no name of a .json file", "bench.json")
    try:
        from bench import identity as proving
        from bench import rounds as measuring
    except ModuleNotFoundError as error:
        raise ToolMissing(f"the benchmark needs {error.name}", "pip install -e '.[test]'") from error
    place = Path(to).absolute()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as scratch:
        if identity:
            proving.prove(releases, targets, Path(scratch), json, resume=resume)
        else:
            measuring.measure(releases[0], targets[0], Path(scratch), int(rounds), json)
