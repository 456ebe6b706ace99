"""A matrix on a real Dask cluster: a scheduler and two workers, each a process of its own, as `dask` starts them.

The toolchain is the toy (tests/matrix_fixtures.py), so that what takes time here is the cluster.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import matrix_fixtures
import pytest
from distributed import Client
from e2e.builds import CHECKOUT, processes_in, program
from matrix_fixtures import until

from gobuild.matrix import measure_capacity

pytestmark = pytest.mark.slow

TARGETS = "darwin/arm64,linux/amd64,linux/arm64"

ONCE_FOR_EVER = """
echo $GOOS/$GOARCH >>{tally}
if [ $GOOS = darwin ] && mkdir {tally}.first 2>/dev/null; then
    echo "Building Go for ever."
    sleep 300
fi
"""
"""What make.bash does first: it counts, and the first one for darwin never ends by itself."""


@dataclass(frozen=True, kw_only=True)
class Toy:
    """What is built, and by whom.

    Attributes:
        folder: everything of this test.
        variables: the environment of a user of it.
        tally: a line for each make.bash that was started.
        clients: the matrices that were started.
    """

    folder: Path
    variables: dict[str, str]
    tally: Path
    clients: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def started(self) -> list[str]:
        return sorted(self.tally.read_text().split()) if self.tally.exists() else []

    def of(self, name: str) -> dict[str, str]:
        """The environment of a machine of its own: another cache, store, work and dist."""
        own = {key: str(self.folder / name / key) for key in ("cache", "store", "work", "dist")}
        return self.variables | {f"INVOKE_GOBUILD_{key.upper()}": value for key, value in own.items()}

    def matrix(self, name: str, address: str, *words: str) -> "subprocess.Popen[str]":
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        client = subprocess.Popen(
            [program("gobuild"), "matrix", "--go", "1.22", "--target", TARGETS, "--cluster", address, *words],
            cwd=folder,
            env=self.of(name),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.clients.append(client)
        return client


@pytest.fixture
def toy(tmp_path: Path, toy_tree: Path, bootstrap: Path) -> Iterator[Toy]:
    tally = tmp_path / "tally"
    tree = matrix_fixtures.whole(toy_tree, ONCE_FOR_EVER.format(tally=tally))
    variables = os.environ | matrix_fixtures.words(tmp_path, tree, bootstrap)
    variables |= {"INVOKE_GOBUILD_SHARED_STORE": str(tmp_path / "shared"), "COLUMNS": "200"}
    made = Toy(folder=tmp_path, variables=variables, tally=tally)
    yield made
    for client in made.clients:
        client.kill()
        client.communicate()


@contextmanager
def _running(*words: str, cwd: Path, env: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    cwd.mkdir(parents=True, exist_ok=True)
    with (cwd / "said").open("wb") as said:
        process = subprocess.Popen([program("dask"), *words], cwd=cwd, env=env, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Cluster:
    """A scheduler on a free port, and workers in folders named after them."""

    def __init__(self, toy: Toy, stack: ExitStack) -> None:
        self.toy, self._stack = toy, stack
        place = toy.folder / "scheduler/address.json"
        words = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(place))
        stack.enter_context(_running(*words, cwd=place.parent, env=toy.variables))
        until(lambda: place.is_file() and place.read_text().endswith("}"))  # dask writes it in place
        self.address = str(json.loads(place.read_text())["address"])
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, name: str, *words: str, **more: str) -> None:
        folder = self.toy.folder / name
        own = ("--nthreads", "1", "--no-dashboard", "--name", name, "--local-directory", str(folder))
        argv = ("worker", self.address, "--host", "127.0.0.1", *own, *(words or ("--no-nanny",)))
        self.workers[name] = self._stack.enter_context(_running(*argv, cwd=folder, env=self.toy.of(name) | more))

    def names(self) -> dict[str, str]:
        """The workers' names by their addresses."""
        with Client(self.address, set_as_default=False) as client:
            return {address: its["name"] for address, its in client.scheduler_info(n_workers=-1)["workers"].items()}


@pytest.fixture
def cluster(toy: Toy) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = Cluster(toy, stack)
        for name in ("one", "two"):
            made.add(name)
        until(lambda: len(made.names()) == 2)
        yield made


def _said_by(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """What it prints until a line has these words."""
    seen = []
    for line in process.stdout or ():
        seen.append(line)
        if words in line:
            return seen
    raise AssertionError("".join(seen))


def _children(folder: Path) -> list[str]:
    """Builds and make.bash below a worker's folder; the worker itself was started in it."""
    return [words for words in processes_in(folder) if "dask" not in words]


def _is_whole(dist: Path) -> bool:
    return all(
        len(list(dist.glob(f"go1.22.10-toy.*.{each.replace('/', '-')}.gobuild.json"))) == 1
        for each in TARGETS.split(",")
    )


def test_a_worker_that_is_killed_has_its_job_run_again_and_nothing_is_done_twice(toy: Toy, cluster: Cluster) -> None:
    first = toy.matrix("first", cluster.address)
    *_, line = seen = _said_by(first, "build    for ever")
    second = toy.matrix("second", cluster.address)  # somebody else wants the same at the same time
    name = cluster.names()[line.split(" | ")[1]]
    assert _children(toy.folder / name), "make.bash should be at work"
    time.sleep(3)
    cluster.workers[name].kill()
    until(lambda: not _children(toy.folder / name))

    output = "".join(seen) + first.communicate(timeout=120)[0]
    other, _ = second.communicate(timeout=120)
    assert first.returncode == 0, output
    assert second.returncode == 0, other
    assert _is_whole(toy.folder / "first/dist")
    assert _is_whole(toy.folder / "second/dist")
    assert toy.started() == sorted([*TARGETS.split(","), "darwin/arm64"]), "each once, and the killed one again"
    survivor = next(address for address in cluster.names())
    assert f"darwin-arm64 | {survivor} | " in output
    (log,) = (toy.folder / "first/work").glob("*.darwin-arm64.log")
    assert "for ever" in log.read_text()
    assert survivor in log.read_text()

    third = toy.matrix("third", cluster.address)
    output, _ = third.communicate(timeout=120)
    assert third.returncode == 0, output
    assert output.count("from the store") >= 3
    assert _is_whole(toy.folder / "third/dist")
    assert len(toy.started()) == 4


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_job_ends_with_its_client(toy: Toy, cluster: Cluster, sign: signal.Signals, code: int) -> None:
    client = toy.matrix("first", cluster.address)
    *_, line = _said_by(client, "build    for ever")
    folder = toy.folder / cluster.names()[line.split(" | ")[1]]
    client.send_signal(sign)
    output, _ = client.communicate(timeout=60)
    assert client.returncode == code, output
    assert "Traceback" not in output
    until(lambda: not _children(folder))
    until(lambda: not list(folder.glob("**/go1.22.10*")))


def test_a_worker_that_is_told_to_stop_gives_its_job_away(toy: Toy, cluster: Cluster) -> None:
    client = toy.matrix("first", cluster.address)
    *_, line = seen = _said_by(client, "build    for ever")
    name = cluster.names()[line.split(" | ")[1]]
    cluster.workers[name].terminate()
    until(lambda: not _children(toy.folder / name))
    output = "".join(seen) + client.communicate(timeout=120)[0]
    assert client.returncode == 0, output
    assert _is_whole(toy.folder / "first/dist")


def test_a_nannys_new_worker_takes_the_job_of_the_one_that_died(toy: Toy) -> None:
    with ExitStack() as stack:
        cluster = Cluster(toy, stack)
        cluster.add("one", "--nanny", "--nthreads", "4")
        until(cluster.names)
        client = toy.matrix("first", cluster.address)
        seen = _said_by(client, "build    for ever")
        builds = [words for words in _children(toy.folder / "one") if "gobuild.tasks.child" in words]
        assert 1 <= len(builds) <= measure_capacity(toy.folder).builds, "whatever the threads"
        with Client(cluster.address, set_as_default=False) as asked:
            (pid,) = asked.run(os.getpid).values()
        os.kill(pid, signal.SIGKILL)
        output = "".join(seen) + client.communicate(timeout=120)[0]
        assert client.returncode == 0, output
        assert _is_whole(toy.folder / "first/dist")


def test_a_job_that_fails_is_told_and_the_others_are_done(toy: Toy, cluster: Cluster, toy_tree: Path) -> None:
    (toy.tally.with_name("tally.first")).mkdir()
    make = toy_tree / "src/make.bash"
    make.write_text(make.read_text().replace("set -e\n", "set -e\n[ $GOARCH = amd64 ] && exit 3\n", 1))
    client = toy.matrix("first", cluster.address)
    output, _ = client.communicate(timeout=120)
    assert client.returncode == 19, output
    assert "1 of 3 jobs failed" in output
    assert "make.bash failed" in output
    assert len(list((toy.folder / "first/dist").glob("*.gobuild.json"))) == 2


def test_a_worker_with_another_gobuild_is_refused(toy: Toy, cluster: Cluster) -> None:
    other = toy.folder / "other"
    for name in ("gobuild", "patches", "templates"):
        shutil.copytree(CHECKOUT / name, other / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "gobuild/patch/diff/unified.py").open("a") as module:
        module.write("# one more line\n")
    cluster.add("three", PYTHONPATH=str(other))
    until(lambda: len(cluster.names()) == 3)
    client = toy.matrix("first", cluster.address)
    output, _ = client.communicate(timeout=120)
    assert client.returncode == 19, output
    assert "workers that differ" in output
    assert "1 of 3 workers" in output
    assert toy.started() == []
