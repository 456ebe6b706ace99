"""`invoke bench`: words to one call.

Every task of the repository loads this module, the build on a machine without the test tools too: what needs them is
imported when somebody measures.
"""

import tempfile
from pathlib import Path

from invoke import task
from invoke.context import Context

from gobuild.core.errors import ConfigError, ToolMissing
from gobuild.core.model import Target
from gobuild.tasks.words import interruptible

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
        "json": "the file for the figures, written after each round (with --identity: tests/reports/identity.json)",
        "picture": "the file for a picture, .svg",
        "readme": "measure nothing: take the figures from --json, draw --picture and fill the README",
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
    picture: str = "",
    readme: bool = False,
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
    for word, value, end in (("--json", json, ".json"), ("--picture", picture, ".svg")):
        if value and (Path(value).suffix != end or Path(value).is_dir()):
            raise ConfigError(f"{word} {value} is no name of a {end} file", f"bench{end}")
    try:
        from bench import main
    except ModuleNotFoundError as error:
        raise ToolMissing(f"the benchmark needs {error.name}", "pip install -e '.[test]'") from error
    place = Path(to).absolute()
    with interruptible():
        if readme:
            main.write_readme(json, picture)
            return
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as scratch:
            if identity:
                main.prove(releases, targets, Path(scratch), json, resume=resume)
            else:
                main.measure(releases[0], targets[0], Path(scratch), int(rounds), json, picture)
