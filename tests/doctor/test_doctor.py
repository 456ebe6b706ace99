"""The doctor on go commands that hang, die and lie; its bounds; what it leaves behind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from doctor_toys import SLEEP, VERSION, examined, fake, finding, room, says

from gobuild.core.errors import CommandError, ConfigError, ToolMissing
from gobuild.core.settings import Settings
from gobuild.doctor import Grade, latency, watch
from gobuild.doctor.examination import TOTAL, Topic
from gobuild.doctor.model import Case, Diagnosis, Finding
from gobuild.doctor.watch import OutOfTime, within

CLEAN, OWN = latency.CLEAN, latency.OWN
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what left its group is found by /proc")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang counts as one after a moment."""
    monkeypatch.setattr(latency, "LIMIT", 0.4)


def _sleepers() -> int:
    listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True)
    return sum(line.strip() == SLEEP for line in listed.stdout.splitlines())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("what", "grade", "seen"),
    [
        ("hangs", Grade.FAIL, "it hangs: no end within 0.4 s"),
        ("is killed", Grade.FAIL, "it was killed by signal 9 (SIGKILL)"),
        ("prints garbage", Grade.FAIL, "that are no version of Go"),
        ("never stops printing", Grade.FAIL, "it hangs: no end within 0.4 s"),
        ("is no program", Grade.FAIL, "it cannot be started: Exec format error"),
        pytest.param("leaves a daemon", Grade.WARN, "what it had started went on after it", marks=LINUX),
        pytest.param("hangs with a daemon", Grade.FAIL, "it hangs", marks=LINUX),
    ],
)
def test_a_broken_go_gets_its_verdict_and_leaves_no_process(tmp_path: Path, what: str, grade: Grade, seen: str) -> None:
    before = _sleepers()
    found = examined(fake(tmp_path, what), tmp_path, room(tmp_path, GODEBUG="gctrace=0"))
    says(finding(found, CLEAN), grade, seen)
    assert found.worst is Grade.FAIL  # none of them is a Go toolchain
    if what != "is no program":
        assert finding(found, "identity").grade is Grade.WARN  # such scripts are common, and no fault by themselves
    assert _sleepers() == before
    if grade is Grade.FAIL:
        # What fails in a clean environment is no variable's fault.
        assert finding(found, "GODEBUG alone").grade is Grade.SKIPPED
    shown = json.dumps([[each.seen, each.advice, each.name] for each in found.findings], ensure_ascii=False)
    assert not [each for each in shown if not each.isprintable()]


@pytest.mark.usefixtures("impatient")
@LINUX
def test_a_hang_is_captured_before_it_is_ended(tmp_path: Path) -> None:
    found = examined(fake(tmp_path, "hangs"), tmp_path, room(tmp_path))
    words = ("process go (1 threads: S in", "process sleep (1 threads: S in", "no answer to SIGQUIT")
    says(finding(found, f"hang, {CLEAN}"), Grade.WARN, *words)


@pytest.mark.slow
def test_a_slow_go_is_slow_and_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "ROUNDS", 1)
    found = examined(fake(tmp_path, "takes 2 s"), tmp_path, room(tmp_path))
    says(finding(found, CLEAN), Grade.WARN, "slow: 1 run: 2.")


@pytest.mark.slow
def test_the_worst_ends_in_30_seconds(tmp_path: Path) -> None:
    """A go that hangs only in the environment's checks and under every variable, beside a PATH that nobody can read."""
    go, before = fake(tmp_path, "hangs"), _sleepers()
    answers = '[ "$1" = version ] && [ -z "$GOGC$GODEBUG$GOFLAGS$LD_X$DYLD_X" ]'
    go.write_text(f"#!/bin/sh\n{answers} && exec echo {VERSION}\n{SLEEP}\n")
    os.mkfifo(fifo := tmp_path / "fake" / "fifo")
    env = room(tmp_path, GOGC="1", GODEBUG="x=1", GOFLAGS="-x", LD_X="1", DYLD_X="1", LD_PRELOAD=str(fifo))
    began = time.monotonic()
    found = examined(go, tmp_path, env)
    spent = time.monotonic() - began
    print(f"ended after {spent:.1f} s, {TOTAL:g} s planned")
    assert spent < 30
    assert finding(found, CLEAN).grade is Grade.OK
    says(finding(found, "DYLD_X alone"), Grade.FAIL, "-> unset DYLD_X: alone it is enough")
    says(finding(found, "GOGC alone"), Grade.SKIPPED, "no time was left")
    assert _sleepers() == before


def test_a_topic_that_ends_a_little_late_keeps_its_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(case: Case) -> dict[str, Any]:
        time.sleep(case.left + 1.3)  # as the dump of a hang and its end may take on a busy machine
        return {"measured": 1}

    only_late = (Topic(name="late", collect=late, diagnose=lambda _: iter(()), seconds=0.2),)
    monkeypatch.setattr("gobuild.doctor.examination.TOPICS", only_late)
    assert examined(fake(tmp_path, "answers"), tmp_path, room(tmp_path)).evidence == {"late": {"measured": 1}}


def test_a_program_by_go_that_hangs_tells_its_goroutine() -> None:
    """The dump of a real one (go1.22.10, linux/amd64, SIGQUIT), cut."""
    dump = (
        "SIGQUIT: quit\nPC=0x402cee m=0 sigcode=0\n\n"
        "goroutine 0 gp=0x521000 m=0 mp=0x5218c0 [idle]:\nruntime/internal/syscall.Syscall6()\n\t/x.s:36 +0xe\n\n"
        "goroutine 1 gp=0xc0000061c0 m=nil [sync.Mutex.Lock]:\nruntime.gopark(0xc00001c0b8?)\n\t/p.go:402 +0xce\n"
        "sync.runtime_SemacquireMutex(0x0?)\n\t/s.go:77 +0x25\nmain.main()\n\t/m.go:4 +0x7f\n"
    )
    run = {"seconds": 4.0, "ended": "hang", "code": None, "output": "", "dump": dump, "left": 0}
    entry = {"environment": CLEAN, "variable": "", "why": "", "runs": [run], "skipped": ""}
    part = {"measured": [entry], "captured": [{"environment": CLEAN}]}
    seen = list(latency.diagnose(part))[-1].seen
    assert "[sync.Mutex.Lock]: runtime.gopark < sync.runtime_SemacquireMutex < main.main" in seen


def test_a_variable_that_slows_go_down_is_named() -> None:
    def entry(name: str, variable: str, *seconds: float) -> dict[str, object]:
        runs = [
            {"seconds": each, "ended": "exit", "code": 0, "output": f"{VERSION}\n", "dump": "", "left": 0}
            for each in seconds
        ]
        return {"environment": name, "variable": variable, "why": "w" * bool(variable), "runs": runs, "skipped": ""}

    rows = [entry(CLEAN, "", 0.01, 0.02, 0.9), entry("A alone", "A", 0.5, 0.6), entry("B alone", "B", 0.03, 0.04)]
    found = {each.name: each for each in latency.diagnose({"measured": rows, "captured": []})}
    assert "min 0.010 s, median 0.020 s, max 0.900 s" in found[CLEAN].seen
    assert (found["A alone"].grade, found["B alone"].grade) == (Grade.WARN, Grade.OK)
    assert found["A alone"].advice.startswith("unset A")


def test_output_is_bounded_and_cut_at_lines(tmp_path: Path) -> None:
    words = ["sh", "-c", "yes 0123456789abcdef | head -c 3400000; printf end"]
    found = watch.watch(words, env={"PATH": os.defpath}, cwd=tmp_path, limit=20)
    lines = found.output.splitlines()
    assert (found.ended, found.code, len(found.output) < 3 * watch.KEPT) == ("exit", 0, True)
    assert lines[-1] == "end"
    assert {each for each in lines if "left out" not in each} == {"0123456789abcdef", "end"}


def test_a_tool_is_bounded_by_the_cases_deadline(tmp_path: Path) -> None:
    work = Case(
        go=tmp_path, root=None, environment={}, clean={}, cwd=tmp_path, scratch=tmp_path,
        deadline=time.monotonic() + 0.3, settings=Settings(),
    )  # fmt: skip
    with pytest.raises(ToolMissing):
        work.run(["/no/such/tool"], env={}, seconds=100)
    with pytest.raises(CommandError, match="did not end within"):
        work.run(["sleep", "1000"], env={"PATH": os.defpath}, seconds=100)
    with pytest.raises(CommandError, match="time was up"):
        work.run(["true"], env={"PATH": os.defpath}, seconds=100)


def test_work_without_end_is_left_alone() -> None:
    with pytest.raises(OutOfTime):
        within(0.05, lambda: time.sleep(5))
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_what_is_no_go_is_refused_before_any_work(tmp_path: Path) -> None:
    for go in (tmp_path / "no-such-go", tmp_path, None):
        with pytest.raises(ConfigError, match="there is no go"):
            examined(go, tmp_path, room(tmp_path, PATH=str(tmp_path)))


def test_a_warning_without_advice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="what to do"):
        Finding(group="g", name="n", grade=Grade.WARN, seen="s")
    skipped = Finding(group="g", name="n", grade=Grade.SKIPPED, seen="s")
    found = Diagnosis(subject="", when="", host="", findings=(skipped,), evidence={})
    assert found.worst is Grade.OK
