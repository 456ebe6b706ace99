"""A series over versions as a user asks for it: words, origins, the cache, what is printed, and the exit code."""

import json
import re
import resource
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from goserver import GoServer, serving, source_archive
from inside import Done, gobuild
from patch_fixtures import entry, snapshot, write
from toy_origin import ToyOrigin

from gobuild.core import files
from gobuild.core.errors import ConfigError, ResolveError
from gobuild.core.goversion import Target
from gobuild.pipeline.sources import releases

SEVEN = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
TOYS = ("1.97.1", "1.97.3", "1.98.0", "1.99.2")
SERIES = entry("local", reason="stay local") + entry("old-only", ">=1.21,<1.98", reason="an old thing")
LOCAL = "--- a/go.env\n+++ b/go.env\n@@ -1,3 +1,3 @@\n a=1\n b=2\n-GOTOOLCHAIN=auto\n+GOTOOLCHAIN=local\n"
OLD = "--- /dev/null\n+++ b/old\n@@ -0,0 +1 @@\n+old\n"


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ("all", "1.21.13 1.22.10 1.23.9"),
        ("1.21..1.23", "1.21.13 1.22.10 1.23.9"),
        ("1.21..1.21", "1.21.13"),
        ("1.23, 1.21", "1.21.13 1.23.9"),
        ("1.22.1", "1.22.1"),
        ("1.22..1.23,1.22.1,1.22.10", "1.22.1 1.22.10 1.23.9"),
        ("stable,oldstable", "1.22.10 1.23.9"),
        ("1.24rc1", "1.24rc1"),
    ],
)
def test_words_for_several_versions(request_: str, wanted: str) -> None:
    there = ToyOrigin("there", "1.20.14 1.21.13 1.22.1 1.22.10 1.23.9 1.24rc1").catalog()
    assert " ".join(str(each.version) for each in releases(request_, there)) == wanted


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        ("1.21..1.24", ResolveError, "there has no Go 1.23"),
        ("1.22..1.21", ConfigError, "no range"),
        ("1.21.3..1.22", ConfigError, "no range"),
        ("1.21..2.22", ConfigError, "no range"),
        ("1.21..", ConfigError, "no version of Go"),
        ("..", ConfigError, "no version of Go"),
        ("", ConfigError, "no version of Go"),
        ("1.21,", ConfigError, "no version of Go"),
    ],
)
def test_words_that_mean_nothing(request_: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        releases(request_, ToyOrigin("there", "1.21.13 1.22.10 1.24.1").catalog())
    with pytest.raises(ResolveError, match="no release from Go"):
        releases("all", ToyOrigin("there", "1.20.14").catalog())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoServer]:
    """A go.dev with four toys, whose go.env differs in the newest."""
    folder = tmp_path_factory.mktemp("toys")
    with serving() as started:
        for version in TOYS:
            third = "GOTOOLCHAIN=path" if version == "1.99.2" else "GOTOOLCHAIN=auto"
            toy = {"VERSION": f"go{version}\n", "src/make.bash": "", "go.env": f"a=1\nb=2\n{third}\n"}
            name = f"go{version}.src.tar.gz"
            started.add(f"go{version}", name, source_archive(write(folder / version, toy), folder / name))
        yield started


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, {"s/series.toml": SERIES, "s/local.patch": LOCAL, "s/old-only.patch": OLD})


def ask(project: Path, server: GoServer, *words: str) -> Done:
    origin = {"--source": "archive", "--index-url": server.url, "--series": "s", "--cache": "cache"}
    given = [word for flag, value in origin.items() if flag not in words for word in (flag, value)]
    return gobuild(project, "patches.status", *given, *words)


def test_the_table_the_legend_and_the_evidence(project: Path, server: GoServer) -> None:
    done = ask(project, server, "--go", "1.97..1.98")
    assert done.code == 0, done.err
    assert re.search(r"^patch +1\.97\.3 +1\.98\.0$", done.out, re.MULTILINE)
    assert re.search(r"^local +applied +applied$", done.out, re.MULTILINE)
    assert re.search(r"^old-only +applied +—$", done.out, re.MULTILINE)
    assert "\n—: not for this version: no variant of it is\n" in done.out
    assert "old-only on 1.98.0: no variant is for this version: it is for >=1.21,<1.98" in done.out


def test_a_conflict_is_exit_code_6_with_both_sides(project: Path, server: GoServer) -> None:
    done = ask(project, server, "--html", "out/status page.html")
    assert done.code == 6
    assert re.search(r"^local +applied +applied +conflict$", done.out, re.MULTILINE)
    assert "> 3  GOTOOLCHAIN=auto" in done.out
    assert "> 3  GOTOOLCHAIN=path" in done.out
    assert "\nerror: 1 conflict: local on 1.99.2\n  try: " in done.err
    page = (project / "out/status page.html").read_text()
    assert "GOTOOLCHAIN=path" in page


def test_json_alone_is_on_standard_output(project: Path, server: GoServer) -> None:
    done = ask(project, server, "--json")
    assert done.code == 6
    document = json.loads(done.out)
    assert (document["versions"], document["conflicts"]) == (["1.97.3", "1.98.0", "1.99.2"], 1)
    local = document["patches"][0]["versions"]["1.99.2"]
    assert local["state"] == "conflict"
    assert local["conflict"]["found"][2] == [3, "GOTOOLCHAIN=path"]


def test_the_cache_is_used_offline_and_a_changed_source_is_unpacked_again(project: Path, server: GoServer) -> None:
    ask(project, server, "--go", "1.97.1")
    (kept,) = (project / "cache/sources").glob("go1.97.1.*")
    before = snapshot(kept)
    asked = len(server.asked)
    again = ask(project, server, "--go", "1.97.1", "--offline")
    assert (again.code, "unpacking" in again.out, len(server.asked)) == (0, False, asked)
    assert snapshot(kept) == before
    (kept / "go/go.env").write_text("a=1\nb=2\nGOTOOLCHAIN=path\n")
    healed = ask(project, server, "--go", "1.97.1", "--offline")
    assert healed.code == 0
    assert "was changed: it is unpacked again" in healed.out
    assert {name: content for name, (content, _) in snapshot(kept / "go").items()} == {
        name.removeprefix("go/"): content for name, (content, _) in before.items() if name.startswith("go/")
    }


def test_a_folder_of_ones_own_is_looked_at_and_not_kept(project: Path, server: GoServer, toy_tree: Path) -> None:
    before = snapshot(toy_tree)
    done = ask(project, server, "--source", str(toy_tree), "--json")
    assert json.loads(done.out)["versions"] == ["1.22.10"]
    assert done.code == 6
    assert snapshot(toy_tree) == before
    assert not list((project / "cache").glob("sources/*"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--go", "1.90..1.99"), 3, "has no Go 1.90"),
        (("--go", "1.99..1.97"), 2, "is no range of Go's lines"),
        (("--series", "nowhere"), 6, "there is no series at nowhere"),
        (("--extra", "trace"), 2, "no optional patch 'trace'"),
        (("--html", "s"), 2, "s is a folder"),
    ],
)
def test_what_cannot_be_asked(project: Path, server: GoServer, words: tuple[str, ...], code: int, says: str) -> None:
    done = ask(project, server, *words)
    assert done.code == code
    assert done.err.startswith("error: ")
    assert says in done.err
    assert not (project / "cache/sources").exists()


def used() -> float:
    """Seconds of a processor that children have used: a busy machine does not change these much."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


@pytest.mark.slow
def test_seven_versions_take_under_ten_seconds_once_cached(
    tmp_path: Path, get_wheel: Callable[[str, Target], Path]
) -> None:
    for version in SEVEN:
        wheel = get_wheel(version, Target.host())
        place = tmp_path / "cache/wheels" / wheel.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, place)
        files.write(place.with_name(f"{place.name}.sha256"), files.sha256(place))
    words = ["patches.status", "--source", "wheel", "--offline", "--cache", "cache", "--go", "1.21..1.27", "--json"]
    argv = [str(Path(sysconfig.get_path("scripts")) / "gobuild"), *words]
    taken = []
    for _ in range(2):
        began = used()
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        taken.append(used() - began)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["versions"] == list(SEVEN)
        assert document["conflicts"] == 0
    assert taken[1] < 10
