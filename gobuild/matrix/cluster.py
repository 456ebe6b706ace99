"""The jobs of a matrix on a Dask cluster: words and results travel, toolchains go through the shared store.

A worker that dies has its job run again on another, as often as distributed's allowed-failures lets it; a job that
somebody else's matrix runs there just now is waited for and not run twice. TLS, and whom to trust, is the business of
Dask's own configuration.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gobuild.core import files
from gobuild.core.console import Console, Note
from gobuild.core.errors import ConfigError, MatrixError, ToolMissing
from gobuild.core.settings import Settings
from gobuild.matrix.jobs import FAILED, VARIABLES, JobResult, MatrixJob, to_environment
from gobuild.store import entry_key

if TYPE_CHECKING:
    from distributed import Client, Future

ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^@/\s]+:\d+")
"""A scheduler's address, without credentials."""

ANSWER = 30
"""Seconds in which the scheduler must answer."""

PLACES = ("dist", "work", "cache", "store", "bootstrap")
SIGNING = ("sign", "sign_password_env", "sign_password_file", "entitlements", "timestamp_url", "notarize", "trust")
"""Settings that stay on this machine: those of places, and of signing. The store has toolchains unsigned, so keys need
not travel: whoever places one signs it."""

PATHS = ("series", "source", "policy")
"""Settings that may name a file or folder, which must then be the same on every worker."""

WORDS = {"series": ("stock", "none"), "source": ("auto", "archive", "wheel")}
"""What those settings may be instead; besides git+URL."""

MISSING = "pip install 'gobuild[cluster]'"


def require_usable(address: str, settings: Settings) -> None:
    """Refuses what no cluster could do."""
    if not ADDRESS.fullmatch(address):
        raise ConfigError("--cluster is no scheduler's address", "tcp://HOST:8786, or tls://HOST:8786")
    if not settings.shared_store:
        raise ConfigError("a cluster needs a store that its workers share with you", "--shared-store URL")
    if settings.source.startswith("git+http") and "@" in urlsplit(settings.source.removeprefix("git+")).netloc:
        raise ConfigError("the URL in the setting source holds credentials", "git's own credentials, on every worker")
    try:
        import distributed  # noqa: F401, PLC0415  (an extra; the main job needs no cluster)
    except ImportError as error:
        raise ToolMissing("--cluster needs the Python package distributed", MISSING) from error


def run_there(address: str, jobs: Sequence[MatrixJob], *, console: Console, note: Note) -> tuple[JobResult, ...]:
    """Runs jobs, which differ in release and target alone, on a cluster; what they make is in the shared store then.

    Where the user ends the run, the jobs are cancelled, and their workers end what they were at.
    """
    from distributed import Client  # noqa: PLC0415

    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:  # a refused connection, a failed handshake, no certificate
        raise MatrixError(f"no Dask scheduler answers at {address}: {error}", "dask scheduler") from error
    with client:
        from gobuild.matrix import worker  # noqa: PLC0415

        paths = _paths(jobs[0].settings)
        expected = worker.worker_facts(paths)
        _require_alike(client, address, paths, expected, console)
        client.register_plugin(worker.Keeper())
        futures = {}
        for job in jobs:
            key, words = _key(job, expected), _sent(job.settings)
            _follow(client, key, job, note)
            futures[client.submit(worker.work_on_job, job.name, words, paths, expected, key=key)] = job
        try:
            return _gather(client, futures, note)
        except BaseException:
            with contextlib.suppress(OSError):  # the scheduler is gone; it would cancel them, were it there
                client.cancel(list(futures))
            raise


def _paths(settings: Settings) -> dict[str, str]:
    """The files and folders that settings name, absolute."""
    found = {}
    for name in PATHS:
        value = getattr(settings, name)
        if value and value not in WORDS.get(name, ()) and not value.startswith("git+"):
            found[name] = str(Path(value).expanduser().absolute())
    return found


def _sent(settings: Settings) -> dict[str, str]:
    """The settings that travel: none of this machine alone, and no URL with a password in it."""
    store = settings.shared_store
    changed = _paths(settings) | {"shared_store": store if "://" in store else str(Path(store).absolute())}
    left_out = {*PLACES, *SIGNING, *(("index_url",) if "@" in urlsplit(settings.index_url).netloc else ())}
    words = to_environment(settings) | {VARIABLES + name.upper(): value for name, value in changed.items()}
    return {name: value for name, value in words.items() if name.removeprefix(VARIABLES).lower() not in left_out}


def _key(job: MatrixJob, expected: Mapping[str, str]) -> str:
    """What the scheduler knows the job by: two that would do the very same are one, whoever asks."""
    return f"gobuild-{job.name}-{entry_key(settings=_sent(job.settings), expected=dict(expected))[:16]}"


def _require_alike(
    client: "Client", address: str, paths: Mapping[str, str], expected: Mapping[str, str], console: Console
) -> None:
    """Raises MatrixError where there is no worker, or one that would build something else."""
    from gobuild.matrix import worker  # noqa: PLC0415

    # First what every Python can answer: a worker without gobuild cannot even read the second question.
    versions = client.run(version, "gobuild", on_error="return")
    if not versions:
        raise MatrixError(f"{address} has no worker", "dask worker, with --nthreads 1")
    asked = [address for address, found in versions.items() if found == version("gobuild")]
    found = client.run(worker.worker_facts, dict(paths), workers=asked, on_error="return") if asked else {}
    rows = []
    for each, its in versions.items():
        facts = found.get(each)
        if not isinstance(facts, dict):  # what it could not answer, and why
            rows.append((each, "gobuild", str(its if facts is None else facts), version("gobuild")))
            continue
        rows += [(each, name, facts[name], expected[name]) for name in expected if facts[name] != expected[name]]
    if rows:
        console.table("workers that differ", ("worker", "what", "there", "here"), rows)
        raise MatrixError(
            f"{len({row[0] for row in rows})} of {len(versions)} workers differ", "the same on all of them"
        )


def _follow(client: "Client", key: str, job: MatrixJob, note: Note) -> None:
    """Whatever the job prints comes here, line by line, and goes to its log as well."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    files.remove(job.log)

    def line(event: tuple[float, Any]) -> None:
        said = event[1]
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"{said['worker']} | {said['line']}\n")
        note(job.name, f"{said['worker']} | {said['line']}")

    client.subscribe_topic(key, line)


def _gather(
    client: "Client", futures: Mapping["Future[dict[str, Any]]", MatrixJob], note: Note
) -> tuple[JobResult, ...]:
    """Waits for all of them. What Dask itself says of a job (its workers died, nobody has its result) is a failure."""
    from distributed import as_completed  # noqa: PLC0415

    ended = {}
    for future in as_completed(futures, loop=client.loop):
        job = futures[future]
        if future.status == "finished":
            found = JobResult(name=job.name, log=job.log, **future.result())
        else:
            reason = f"{future.status}: {future.exception() if future.status == 'error' else 'no result'}"
            found = JobResult(name=job.name, ended=FAILED, seconds=0.0, log=job.log, reason=reason)
        note(job.name, found.summary, ended=True)
        ended[job.name] = found
    return tuple(ended[job.name] for job in futures.values())
