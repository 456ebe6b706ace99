"""What runs on a worker of a Dask cluster: jobs, as many at a time as fit, as children of the worker's process.

Nothing secret travels: credentials, the cache and a proxy are those of the worker's own environment. Only where
`distributed` is installed can this be imported.
"""

import functools
import os
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dask.typing import Key
from distributed import Reschedule, Worker, WorkerPlugin, get_worker

from gobuild.core import files, resources
from gobuild.core.process import run
from gobuild.matrix.capacity import measure_capacity
from gobuild.matrix.jobs import FAILED, VARIABLES, child_command, parse_result
from gobuild.pipeline.toolchain_cache import code_fingerprint

OWN = ("CACHE", "STORE", "BOOTSTRAP", "INDEX_URL")
"""Settings that are the worker's own, where the client sends none."""

_running: dict[Key, threading.Event] = {}
"""The jobs under way in this process, and how each is told to end."""

_first = threading.Lock()
"""Lets the threads of a worker make one semaphore for all of them."""


@functools.cache
def _turns(folder: str) -> threading.Semaphore:
    """As many builds at a time as fit, however many threads the worker has.

    Not by Dask's own "resources": a task for which no worker had any yet is not thought of again when one gets some.
    """
    return threading.Semaphore(measure_capacity(Path(folder)).builds)


class Keeper(WorkerPlugin):
    """Ends builds that nobody waits for: their job was cancelled, or the worker stops."""

    name = f"gobuild-{version('gobuild')}"
    idempotent = True
    """Two clients share one: taking the first's away would end its builds."""

    def transition(self, key: Key, start: str, finish: str, **_: Any) -> None:
        """The scheduler no longer wants the key. Dask itself lets what runs in a thread run on."""
        if key in _running and start in ("executing", "long-running") and finish == "released":
            _running[key].set()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """The worker stops."""
        for stop in _running.values():
            stop.set()


def worker_facts(paths: Mapping[str, str]) -> dict[str, str]:
    """What must be the same wherever a matrix's jobs run: gobuild, its patches, and what settings name by paths."""
    found = {"gobuild": code_fingerprint(), "patches": files.dirhash(resources.folder("patches"))}
    for name, path in paths.items():
        place = Path(path)
        found[name] = files.dirhash(place) if place.is_dir() else files.sha256(place) if place.is_file() else "missing"
    return found


def work_on_job(
    name: str, variables: dict[str, str], paths: dict[str, str], expected: dict[str, str]
) -> dict[str, Any]:
    """Does one job, if this worker is like the client: it may have come after the others were asked.

    `variables` are the settings as `to_environment` makes them, without places and secrets; `expected` is what
    `worker_facts` said on the client. Returns the fields of a `JobResult` that are known here.

    Raises:
        distributed.Reschedule: the build was told to end. Whoever still wants it gets it from another worker.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    answer = {"worker": str(worker.address), "seconds": 0.0}
    if (found := worker_facts(paths)) != expected:
        wrong = ", ".join(fact for fact in expected if found[fact] != expected[fact])
        return answer | {"ended": FAILED, "reason": f"it differs from the client: {wrong}"}
    stop = _running.setdefault(key, threading.Event())
    folder = Path(worker.local_directory).absolute() / "gobuild" / name
    own = {VARIABLES + each: os.environ[VARIABLES + each] for each in OWN if VARIABLES + each in os.environ}
    places = {f"{VARIABLES}{place.upper()}": str(folder / place) for place in ("work", "dist")}
    words, environment = child_command(own | variables | places, os.environ)
    with _first:
        turns = _turns(worker.local_directory)
    try:
        while not turns.acquire(timeout=1):
            if stop.is_set():
                raise Reschedule
        began = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            result = run(
                words,
                env=environment,
                cwd=folder,
                check=False,
                stop=stop,
                on_line=lambda line: worker.log_event(key, {"name": name, "worker": worker.address, "line": line}),
            )
        finally:
            files.remove(folder)
            turns.release()
    finally:
        _running.pop(key, None)
    if stop.is_set():
        raise Reschedule
    ended, reason = parse_result(result.code, result.output)
    return answer | {"ended": ended, "reason": reason, "seconds": time.monotonic() - began}
