"""What is measured inside a process of its own: ``python -m bench.alone verify|package|fetch ...``.

Its last line of output is a JSON object with the seconds; importing and preparing are not in them.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cost import PASSED
from gobuild import fetch, package
from gobuild.core import archives
from gobuild.core.console import Console
from gobuild.core.errors import ToolMissing
from gobuild.core.goversion import Target
from gobuild.core.process import Result, run
from gobuild.core.settings import Settings
from gobuild.package import manifest
from gobuild.pipeline.session import Session, prepare
from gobuild.pipeline.timing import peak_memory
from gobuild.verify import inputs, require, runner


def verify(archive: str, scratch: Path) -> dict[str, Any]:
    """Every check of a whole toolchain that needs no other program: no probe is compiled, no tool is asked."""
    archives.unpack(Path(archive), scratch / "unpacked")
    os.environ["PATH"] = ""  # no second opinions
    way = runner.VerifyOptions(host=Target.host(), run=_nobody, scratch=scratch)
    began, used = time.monotonic(), time.process_time()
    report = runner.run_checks(inputs.open_folder(scratch / "unpacked" / "go", None), way, no_probe="left out")
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    require(report)
    programs = {check.subject for check in report.checks if check.name == "format"}
    return {"seconds": seconds, "cpu_seconds": cpu, "checks": len(report.checks), "programs": len(programs)}


def _nobody(*_words: Any, **_how: Any) -> Result:
    """In the place of a runner: verify takes a tool that is not there for a check to skip."""
    raise ToolMissing("left out")


def pack(state: str, scratch: Path) -> dict[str, Any]:
    """distpack on a finished toolchain, and nothing beside it; where it has to be built first, that is left out."""
    toolchain, _ = manifest.read_toolchain(Path(state))
    took: list[float] = []

    def call(*words: Any, **how: Any) -> Result:
        began = time.monotonic()
        result = run(*words, **how)
        took.append(time.monotonic() - began)
        return result

    package.distpack(toolchain, scratch=scratch, run=call)
    return {"seconds": took[-1]}


def get(go: str, target: str, scratch: Path) -> dict[str, Any]:
    """Brings all inputs into the cache, so that no round pays for them."""
    console = Console(stream=sys.stderr)
    settings = Settings.of({"go": go, "target": target}, {key: os.environ.get(name) for name, key in PASSED.items()})
    prepared = prepare(Session(settings=settings, console=console))
    words: dict[str, Any] = {"host": prepared.plan.host, "reached": prepared.reached, "run": run, "console": console}
    fetch.bootstrap(settings, prepared.plan.release, **words)
    fetch.same_release_toolchain(settings, prepared.plan.release, **words)
    prepared.reached.source(prepared.plan.release, scratch / "source")
    return {}


if __name__ == "__main__":
    name, *given = sys.argv[1:]
    place = Path(tempfile.mkdtemp(dir=Path.cwd()))  # stays, as all that a benchmark makes: see bench.rounds
    task: Callable[..., dict[str, Any]] = {"verify": verify, "package": pack}.get(name, get)
    print(json.dumps(task(*given, place) | {"peak_memory_mib": peak_memory() >> 20}))
