"""The builds that the end-to-end tests share. Each costs minutes; each is made once, on one worker."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.builds import Build, build, once
from verify_fixtures import WITH_METAL, compiled

from gobuild.core.goversion import Target

ALL_TASKS = "from gobuild.tasks import ns\n"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session see; pytest-xdist gives each a folder of its own below it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def cache(shared: Path) -> Path:
    """A cache of downloads that starts empty, as on a new machine."""
    return shared / "cache"


def _project(folder: Path) -> Path:
    """Somebody's project: a folder whose whole tasks.py is gobuild's."""
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text(ALL_TASKS)
    return folder


def _done(made: Build) -> Build:
    assert made.code == 0, made.output
    print(made.output)
    return made


@pytest.fixture(scope="session")
def darwin(shared: Path, cache: Path) -> Build:
    """`invoke build --go 1.22`, the README's first command, whatever the store may have by now."""
    words = ("--go", "1.22", "--fresh", "--details")
    return once(shared / "darwin", lambda at: _done(build(*words, folder=_project(at), cache=cache)))


@pytest.fixture(scope="session")
def darwin_again(shared: Path, cache: Path, old_go: Path) -> Build:
    """The same from elsewhere: a folder with spaces and quotes, another program, both builders, and from another Go."""
    words = ("--go", "go1.22.10", "--bootstrap", str(old_go), "--fresh", "--builder", "both")
    return once(
        shared / """an "odd" folder's name""",
        lambda at: _done(build(*words, folder=at, cache=cache, argv=("gobuild", "build"))),
    )


@pytest.fixture(scope="session")
def native(shared: Path, cache: Path) -> Build:
    """A toolchain for this very machine, so that it can be run."""
    words = ("--go", "1.22", "--target", str(Target.host()), "--suffix", "acme1.{id}", "--name", "go-acme")
    return once(shared / "native", lambda at: _done(build(*words, folder=_project(at), cache=cache)))


@pytest.fixture(scope="session")
def newest(shared: Path, cache: Path) -> Build:
    """The newest line that gobuild knows, for this very machine."""
    words = ("--go", "1.27", "--target", str(Target.host()), "--extra", "osinit-trace,toolchain-guard")
    return once(shared / "newest", lambda at: _done(build(*words, folder=_project(at), cache=cache)))


@pytest.fixture(scope="session")
def reproduced(shared: Path, cache: Path) -> Build:
    """Upstream's release from source, and compared with the official one: its report stands in `folder`."""
    words = ("--go", "1.22.10", "--report", "report.json")
    argv = ("invoke", "reproduce")
    return once(shared / "reproduced", lambda at: _done(build(*words, folder=_project(at), cache=cache, argv=argv)))


@pytest.fixture(scope="session")
def old_go(get_goroot: Callable[[str, Target], Path]) -> Path:
    """Another Go to bootstrap from: go1.21.13."""
    return get_goroot("1.21.13", Target.host())


@pytest.fixture
def metal_program(go_wheel: Path, tmp_path: Path) -> Path:
    """A darwin/arm64 program that really links Metal."""
    return compiled(go_wheel, tmp_path, source=WITH_METAL)
