"""What a person sees, on terminals of any width, without one, and while something is under way."""

import io
import random
import re
import threading
import time
from itertools import pairwise

import pytest

from gobuild.core.console import Console
from gobuild.tasks.show import shares

DIGEST = "9e2aff59ef749b19146b6a48e365d0e7dae4e2bbfc5d9367b19b8a2acac2191468"[:64]
PATH = "dist/go1.22.10-gobuild.p36efb16.darwin-arm64.tar.gz"
ROWS = [(PATH, "64.0 MB", DIGEST), ("a b", "OK", "word " * 40)]


class Recorder(io.StringIO):
    """Notes when something is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.times = [time.monotonic()]

    def write(self, text: str) -> int:
        self.times.append(time.monotonic())
        return super().write(text)


def _terminal(width: int, monkeypatch: pytest.MonkeyPatch, *, term: str = "xterm", **variables: str) -> Console:
    for name, word in {"TERM": term, "FORCE_COLOR": "1", **variables}.items():
        monkeypatch.setenv(name, word)
    return Console(stream=Recorder(), width=width)


def _shown(console: Console) -> str:
    assert isinstance(console.stream, io.StringIO)
    return console.stream.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_path_and_no_digest_is_folded(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    console = _terminal(width, monkeypatch, NO_COLOR="1")
    console.table("files", ("file", "size", "sha256"), ROWS)
    console.verdict("made", f"{PATH}  64.0 MB", then=f"gobuild verify {PATH}")
    console.say(f"what is said of {PATH} goes on for more than a line, and is wrapped between its words only")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", _shown(console))
    assert shown.count(PATH) == 4 and DIGEST in shown
    assert ("┏" in shown) is (width == 200)
    lines = [line for line in shown.splitlines() if PATH not in line and DIGEST not in line]
    assert max(map(len, lines)) <= width


def test_a_pipe_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(stream=Recorder())
    console.table("files", ("file", "size", "sha256"), [*ROWS, ("x", "two\nlines", "")])
    console.say("word " * 100)
    lines = _shown(console).splitlines()
    assert lines[:3] == ["files", f"{'file':<{len(PATH)}}  size        sha256", f"{PATH}  64.0 MB     {DIGEST}"]
    assert lines[4].split() == ["x", "two;", "lines"] and len(lines) == 6
    assert all(line == line.rstrip() or line.startswith("word") for line in lines)


@pytest.mark.parametrize(
    ("term", "no_color", "drawn"), [("xterm", "", True), ("xterm", "1", True), ("dumb", "", False)]
)
def test_a_stage_shows_signs_of_life(term: str, no_color: str, drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    console = _terminal(80, monkeypatch, term=term, NO_COLOR=no_color)
    ticks, ended = [time.monotonic()], threading.Event()

    def tick() -> None:
        while not ended.wait(0.1):
            ticks.append(time.monotonic())

    beside = threading.Thread(target=tick)  # how late a thread is on this machine just now
    beside.start()
    with console.stage("verify") as at:
        at.note("[bold]12 files")
        if drawn:
            time.sleep(2.5)
    ended.set()
    beside.join()
    assert isinstance(console.stream, Recorder)
    late = max((later - earlier for earlier, later in pairwise(ticks)), default=0)
    shown = _shown(console)
    assert max(later - earlier for earlier, later in pairwise(console.stream.times)) < 2 + late
    assert ("\x1b[2K" in shown) is drawn and "12 files" in shown
    assert ("\x1b[32m" in shown) is (drawn and not no_color)


def test_what_is_under_way_does_not_stand_in_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    with console.stage("verify") as at:
        at.note("12 files")
    with console.board(["one"]) as note:
        note("one", "built", ended=True)
    console.verdict("well")
    out, err = capsys.readouterr()
    assert out == "✓ well\n"
    assert "12 files" in err and "one | built" in err


def test_the_shares_of_a_table_are_all_of_it() -> None:
    chance = random.Random(20)
    for _ in range(200):
        times = [chance.expovariate(1) for _ in range(chance.randrange(1, 12))]
        tenths = [round(10 * float(share.removesuffix(" %"))) for share in shares(times)]
        assert sum(tenths) == 1000
        assert all(abs(tenth / 1000 - each / sum(times)) < 0.0011 for tenth, each in zip(tenths, times, strict=True))
    assert shares([0.0, 0.0]) == ["0.0 %", "0.0 %"]
