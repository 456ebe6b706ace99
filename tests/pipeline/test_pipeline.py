"""The pipeline on a toy tree: a real make.bash of twenty lines, real processes, real failures; no compiler."""

import io
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from e2e.builds import processes_in, program
from goserver import source_archive

from gobuild import pipeline
from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import (
    BuildError,
    Busy,
    ConfigError,
    DiskFull,
    Refused,
    ToolMissing,
    VerifyError,
)
from gobuild.core.settings import Settings
from gobuild.matrix import jobs
from gobuild.pipeline.session import Session, prepare


@pytest.fixture
def session(tmp_path: Path, toy_tree: Path, bootstrap: Path) -> Session:
    """What a user says to build the toy for darwin/arm64, with an earlier release in dist/."""
    files.write(tmp_path / "dist/precious", "kept")
    settings = Settings(
        go="1.22.10", source=str(toy_tree), series="none", suffix="toy", bootstrap=str(bootstrap),
        dist=tmp_path / "dist", work=tmp_path / "work", cache=tmp_path / "cache",
    )  # fmt: skip
    return Session(settings=settings, console=Console(stream=io.StringIO()))


JOB = "go1.22.10-toy.darwin-arm64"


def printed(session: Session) -> str:
    assert isinstance(session.console.stream, io.StringIO)
    return session.console.stream.getvalue()


def _nothing_half_made(session: Session) -> None:
    assert [path.name for path in session.settings.dist.iterdir()] == ["precious"]
    assert not (session.settings.work / JOB / "go").exists()
    assert not (session.settings.work / JOB / "tmp").exists()


def test_a_toolchain_that_is_none_is_built_and_then_refused(session: Session, toy_tree: Path) -> None:
    before = (toy_tree / "VERSION").read_text()
    with pytest.raises(VerifyError, match="bin/go"):
        pipeline.build(session)
    assert "Building Go" not in printed(session)
    assert "build    toolchain1" in printed(session)
    # It stays to be looked at; dist/ knows nothing of it, and the user's own tree is as it was.
    assert (session.settings.work / JOB / "go/bin/darwin_arm64/go").is_file()
    assert (session.settings.work / JOB / "go/VERSION").read_text().startswith("go1.22.10-toy\n")
    assert (toy_tree / "VERSION").read_text() == before
    assert not (toy_tree / "bin").exists()
    assert [path.name for path in session.settings.dist.iterdir()] == ["precious"]


def test_make_bash_failing(session: Session, toy_tree: Path) -> None:
    (toy_tree / "src/make.bash").write_text("for i in $(seq 100); do echo line $i; done; exit 2\n")
    with pytest.raises(BuildError) as caught:
        pipeline.build(session)
    log = session.settings.work / JOB / "make.log"
    assert "line 81\n" in str(caught.value)
    assert "line 80\n" not in str(caught.value)
    assert str(log) in str(caught.value)
    assert len(log.read_text().splitlines()) == 100
    _nothing_half_made(session)


@pytest.mark.parametrize(
    ("script", "path", "room", "error", "said"),
    [
        ("echo done\n", "", 0, BuildError, "made no"),
        ('echo "write /x/y.o: no space left on device" >&2; exit 2\n', "", 0, DiskFull, "no space left"),
        ("", "/nonexistent", 0, ToolMissing, "bash"),
        ("", "", 1 << 60, DiskFull, "needs about"),
    ],
)
def test_nothing_half_made_is_left(
    session: Session, toy_tree: Path, monkeypatch: pytest.MonkeyPatch,
    script: str, path: str, room: int, error: type[Exception], said: str,
) -> None:  # fmt: skip
    (toy_tree / "src/make.bash").write_text(script)
    monkeypatch.setenv("PATH", path or os.environ["PATH"])
    monkeypatch.setattr(pipeline, "ROOM", room)
    with pytest.raises(error, match=said):
        pipeline.build(session)
    _nothing_half_made(session)


def test_what_goes_first_makes_room_and_stays_where_that_is_too_little(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = prepare(session).plan
    old = plan.tree / "bin/go"
    files.write(old, bytes(1000))
    monkeypatch.setattr(files, "free", lambda _folder: 100)
    with pytest.raises(DiskFull, match="needs about"), pipeline.cleanup_on_failure(plan, 1101):
        pytest.fail("it does not fit")
    assert old.exists()
    with pipeline.cleanup_on_failure(plan, 1100):
        assert not old.exists()


def _stubborn(session: Session, toy_tree: Path) -> "subprocess.Popen[str]":
    """A build in a process of its own, in the middle of a make.bash that heeds no signal but SIGKILL."""
    (toy_tree / "src/make.bash").write_text(
        "trap '' TERM INT HUP\necho Building Go for ever.\nsleep 321 & wait; sleep 321\n"
    )
    env = os.environ | jobs.to_environment(session.settings) | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [program("gobuild"), "build"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    for line in process.stderr:
        if "for ever" in line:
            return process
    raise AssertionError("it ended before make.bash was at work")


@pytest.mark.parametrize("signs", [(signal.SIGINT,) * 3, (signal.SIGTERM,), (signal.SIGHUP,)])
def test_interrupted_while_another_waits_at_the_door(
    session: Session, toy_tree: Path, signs: tuple[signal.Signals, ...]
) -> None:
    """A second Ctrl-C does not cut the clean-up short; a closed terminal ends it as well."""
    first = _stubborn(session, toy_tree)
    with pytest.raises(Busy, match=r"another gobuild is building go1\.22\.10-toy for darwin/arm64"):
        pipeline.build(session)
    assert (session.settings.work / JOB / "go").is_dir(), "the second must not clean up behind the first"
    for sign in signs:
        first.send_signal(sign)
        time.sleep(0.3)
    _, said = first.communicate(timeout=20)
    assert "error: interrupted; what was half made is removed" in said
    assert processes_in(session.settings.work) == []
    _nothing_half_made(session)


def test_clean_takes_only_builds(session: Session) -> None:
    with pytest.raises(VerifyError):
        pipeline.build(session)
    work = session.settings.work
    for name in ("notes", "go-notes", "goals.darwin-arm64"):
        (work / name).mkdir()
        (work / name / ".lock").touch()
    (work / "go-notes/.gobuild.lock").touch()
    assert pipeline.clean(work) == [work / JOB]
    assert sorted(path.name for path in work.iterdir()) == ["go-notes", "goals.darwin-arm64", "notes"]


@pytest.mark.parametrize("place", ["dist", "work", "cache"])
def test_a_place_that_is_a_file(session: Session, place: str, tmp_path: Path) -> None:
    taken, tarball = tmp_path / "taken", tmp_path / "source.tar.gz"
    taken.write_text("a file of mine")
    source_archive(Path(session.settings.source), tarball)
    said: dict[str, object] = {entry.name: getattr(session.settings, entry.name) for entry in fields(Settings)}
    said |= {place: taken, "source": str(tarball)}
    again = replace(session, settings=Settings.of(said))
    with pytest.raises(Refused, match="taken") as caught:
        pipeline.build(again)
    assert caught.value.exit_code == 17
    assert taken.read_text() == "a file of mine"
    assert "build    " not in printed(session), "it is refused before make.bash"


def test_the_source_may_be_the_folder_that_build_and_dist_stand_in(session: Session, toy_tree: Path) -> None:
    settings = replace(session.settings, dist=toy_tree / "dist", work=toy_tree / "build", suffix="toy.{id}")
    stamps = []
    for _ in range(2):
        with pytest.raises(VerifyError):
            pipeline.build(replace(session, settings=settings))
        (job,) = (toy_tree / "build").iterdir()
        stamps.append(job.name)
        assert not (job / "go/build").exists()
        assert not (job / "go/dist").exists()
    assert stamps[0] == stamps[1]


@pytest.mark.parametrize("word", ["work", "cache"])
@pytest.mark.parametrize("name", ["a;b", "a=>b", "Go 12:24"])
def test_a_folder_that_go_cannot_cope_with_is_refused(session: Session, word: str, name: str) -> None:
    odd = {word: session.settings.work.parent / name / word}
    with pytest.raises(ConfigError, match=r"-trimpath cannot cope|takes the path .* for several"):
        pipeline.build(replace(session, settings=replace(session.settings, **odd)))  # type: ignore[arg-type]
    assert not list(session.settings.work.glob("go*"))


@pytest.mark.parametrize(
    ("version", "words", "said"),
    [
        ("1.22.10", {"suffix": ""}, "would call itself as upstream's"),
        ("1.20.14", {"go": "1.20.14"}, r"go1\.20\.14 is older than 1\.21"),
    ],
)
def test_a_source_without_a_suffix_and_a_go_without_distpack_are_refused(
    session: Session, toy_tree: Path, version: str, words: dict[str, str], said: str
) -> None:
    (toy_tree / "VERSION").write_text(f"go{version}\ntime 2024-02-01T00:00:00Z\n")
    with pytest.raises(ConfigError, match=said):
        prepare(replace(session, settings=replace(session.settings, **words)))  # type: ignore[arg-type]


def test_time_is_told_apart(session: Session) -> None:
    from gobuild.pipeline.timing import Clock

    clock = Clock(session.console)
    with clock.stage("build"):
        clock.timed("make.bash", session.run)(["sleep", "0.2"], env={"PATH": "/usr/bin:/bin"}, cwd=Path("/"))
        time.sleep(0.1)
    assert 0.2 <= clock.programs["make.bash"] < clock.stages["build"]
    assert 0.1 <= clock.around < clock.total
    assert clock.measured()["peak_memory_mib"] > 10


def test_the_memory_of_whoever_starts_it_is_not_counted() -> None:
    held = bytearray(b"x") * (200 << 20)
    words = [sys.executable, "-c", "from gobuild.pipeline.timing import peak_memory as p; print(p())"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 5 << 20 < int(done.stdout) < len(held)
