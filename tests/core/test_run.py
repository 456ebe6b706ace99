"""The one door for processes, with real processes."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gobuild.core.errors import CommandError, DiskFull, ToolMissing, os_errors_as_ours
from gobuild.core.process import Threads, kill_children_on_failure, run

ENV = {"PATH": "/usr/bin:/bin"}


def test_output_lines_log_and_code(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "log"
    words = ["sh", "-c", "echo one; echo two >&2; exit 3"]
    result = run(words, env=ENV, cwd=tmp_path, log=log, on_line=lines.append, check=False)
    assert (result.code, result.output) == (3, "one\ntwo\n")
    assert lines == ["one", "two"]
    assert log.read_text() == "one\ntwo\n"


def test_a_log_on_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="no space left on device: /dev/full"), os_errors_as_ours():
        run(["echo", "hello"], env=ENV, cwd=tmp_path, log=Path("/dev/full"))


def test_the_environment_is_whole_and_a_quoted_word_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    assert "GOFLAGS" not in run(["env"], env=ENV, cwd=tmp_path).output
    word = """it's a "$(word)" ; rm -rf"""
    assert run(["printf", "%s", word], env=ENV, cwd=tmp_path).output == word


def test_failure_shows_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "for i in $(seq 50); do echo line $i; done; exit 4"], env=ENV, cwd=tmp_path)
    assert "exit code 4" in str(caught.value)
    assert "line 50" in str(caught.value)
    assert "line 30" not in str(caught.value)


def test_a_missing_program_says_what_to_do_and_is_not_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"install no-such-tool"):
        run(["no-such-tool"], env=ENV, cwd=tmp_path)
    with pytest.raises(CommandError, match="no such folder"):
        run(["true"], env=ENV, cwd=tmp_path / "nowhere")


def test_the_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"did not end within 0\.5 s"):
        run(["sh", "-c", f"sleep 300 & echo $! > {tmp_path}/pid; wait"], env=ENV, cwd=tmp_path, timeout=0.5)
    assert not _alive(int((tmp_path / "pid").read_text()))


def test_an_interrupt_ends_what_another_thread_waits_for(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Threads(1) as beside, kill_children_on_failure():
            words = ["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 300"]
            beside.submit(run, words, env=ENV, cwd=tmp_path)
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.01)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 60
    assert not _alive(int((tmp_path / "pid").read_text()))


def test_a_failure_leaves_what_another_thread_of_the_program_has_started(tmp_path: Path) -> None:
    """Two builds in two threads: one fails, the other goes on."""
    words = ["sh", "-c", f"echo > {tmp_path}/began; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo well"]
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="one build failed"), kill_children_on_failure():
            other = pool.submit(run, words, env=ENV, cwd=tmp_path)
            while not (tmp_path / "began").exists():
                time.sleep(0.01)
            raise ValueError("one build failed")
        (tmp_path / "go").touch()
    assert other.result().output == "well\n"


def _alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    for _ in range(20):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except (ProcessLookupError, FileNotFoundError):
            return False
        time.sleep(0.05)
    return True
