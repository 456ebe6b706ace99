"""The builds that the end-to-end tests share. Each costs minutes; each is made once, on one worker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.builds import Build, build
from verify_fixtures import WITH_METAL, compiled

from gobuild.model import Target

ALL_TASKS = "from gobuild.tasks import ns\n"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of downloads that starts empty, as on a new machine."""
    return tmp_path_factory.mktemp("cache")


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
def darwin(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Build]:
    """`invoke build --go 1.22`, the README's first command."""
    yield _done(build("--go", "1.22", folder=_project(tmp_path_factory.mktemp("first") / "project"), cache=cache))


@pytest.fixture(scope="session")
def darwin_again(tmp_path_factory: pytest.TempPathFactory, cache: Path, old_go: Path) -> Iterator[Build]:
    """The same from elsewhere: another folder, with spaces and quotes, another program, another bootstrap Go."""
    folder = tmp_path_factory.mktemp("second") / """an "odd" folder's name"""
    words = ("--go", "go1.22.10", "--bootstrap", str(old_go))
    yield _done(build(*words, folder=folder, cache=cache, argv=("gobuild", "build")))


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Build]:
    """A toolchain for this very machine, so that it can be run."""
    words = ("--go", "1.22", "--target", str(Target.host()), "--suffix", "acme1.{id}", "--name", "go-acme")
    yield _done(build(*words, folder=_project(tmp_path_factory.mktemp("native") / "project"), cache=cache))


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Build]:
    """The newest line that gobuild knows, for this very machine."""
    words = ("--go", "1.27", "--target", str(Target.host()), "--extra", "osinit-trace,toolchain-guard")
    yield _done(build(*words, folder=_project(tmp_path_factory.mktemp("newest") / "project"), cache=cache))


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Build]:
    """Nothing of ours: unpatched, unsuffixed, upstream's flags."""
    words = ("--go", "1.22.10", "--profile", "upstream", "--series", "none", "--suffix", "")
    yield _done(build(*words, folder=_project(tmp_path_factory.mktemp("upstream") / "project"), cache=cache))


@pytest.fixture(scope="session")
def old_go(get_goroot: Callable[[str, Target], Path]) -> Path:
    """Another Go to bootstrap from: go1.21.13."""
    return get_goroot("1.21.13", Target.host())


@pytest.fixture
def metal_program(go_wheel: Path, tmp_path: Path) -> Path:
    """A darwin/arm64 program that really links Metal."""
    return compiled(go_wheel, tmp_path, source=WITH_METAL)
