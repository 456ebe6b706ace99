"""What a trace tells of a start, and what is made of it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from emulate_fixtures import run_guest
from verify_fixtures import DARWIN

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.emulate.timeline import INITS, compare_traces, load_trace, render_page, render_text, write_trace

PHASES = ["runtime.osinit", "runtime.schedinit", "runtime.main", INITS, "main.main"]


@pytest.fixture(scope="module")
def traces(get_goroot: Callable[[str, Target], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The lines of JSON of two commands."""
    folder = tmp_path_factory.mktemp("traces")
    goroot = get_goroot("1.27.3", DARWIN)
    for word in ("version", "help"):
        assert run_guest(goroot, "/bin/go", word, trace=folder / f"{word}.jsonl").code == 0
    return {word: folder / f"{word}.jsonl" for word in ("version", "help")}


def test_a_start_has_its_phases_and_callers(traces: dict[str, Path]) -> None:
    trace = load_trace(traces["version"])
    assert [each.name for each in trace.phases() if each.name in PHASES] == PHASES
    numbers = [call["number"] for call in trace.calls]
    assert numbers == list(range(1, len(numbers) + 1))
    counts = [each["instructions"] for each in trace.events if "instructions" in each]
    assert counts == sorted(counts)
    assert counts[-1] > 1_000_000
    (said,) = [call for call in trace.calls if call["name"] == "write"]
    assert said["arguments"] == {"fd": 1, "buf": "go version go1.27.3 darwin/arm64\n", "nbyte": 33}
    assert "main.main" in said["stack"]
    assert said["group"] == "files"
    unknown = [call for call in trace.calls if not call["caller"]]
    assert len(unknown) < len(trace.calls) / 50
    opened = next(call for call in trace.calls if call["name"] == "open" and call["errno"])
    assert (opened["errno"], opened["result"]) == ("ENOENT", -1)
    assert "O_RDONLY" in opened["arguments"]["oflag"]
    assert trace.end is not None
    assert (trace.end["code"], trace.end["kind"]) == (0, "")
    assert {init.name for init in trace.inits()} >= {"os.init", "syscall.init.0"}


def test_each_process_has_its_phases(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    """1.27's go starts itself once more, for its telemetry: whatever that writes in between stands behind."""
    goroot = get_goroot("1.27.3", DARWIN)
    (tmp_path / "scratch").mkdir()
    run_guest(goroot, "/bin/go", "version", scratch=tmp_path / "scratch", trace=tmp_path / "t.jsonl")
    trace = load_trace(tmp_path / "t.jsonl")
    pids = [each["pid"] for each in trace.events]
    assert pids == sorted(pids)
    assert len(set(pids)) == 2
    names = [each.name for each in trace.phases() if each.calls]
    other = names.index("process 101")
    assert names[other + 1] == "process 101 /bin/go"
    assert "runtime.osinit" in names[:other]
    assert "runtime.osinit" in names[other:]
    assert sum(len(each.calls) for each in trace.phases()) == len(trace.calls)
    anchors = re.findall(r'id="(phase-[\d-]+)"', render_page(trace))
    assert len(set(anchors)) == len(anchors) > 8


def test_the_page_needs_nothing_and_lists_every_call(traces: dict[str, Path]) -> None:
    trace = load_trace(traces["version"])
    page = render_page(trace)
    assert not re.search(r"https?:|<script|<link|url\(|@import|src=", page)
    assert page.count('<td class="what') == len(trace.calls)
    assert all(f">{name}</th>" in page for name in PHASES)
    assert "prefers-color-scheme: dark" in page


def test_text_has_a_line_for_each_event(traces: dict[str, Path], tmp_path: Path) -> None:
    trace = load_trace(traces["version"])
    write_trace(traces["version"], tmp_path / "t.txt")
    lines = (tmp_path / "t.txt").read_text().splitlines()
    assert len(lines) == len(trace.events)
    assert any(re.search(r"write\(1, \"go version .*\", 33\) = 33  <- ", line) for line in lines)


def test_two_starts_are_compared(traces: dict[str, Path]) -> None:
    version, other = load_trace(traces["version"]), load_trace(traces["help"])
    assert compare_traces(version, version) == ([], "")
    differences, parting = compare_traces(version, other)
    assert parting.startswith("they part at call ")
    said = next(each for each in differences if "go version go1.27.3" in each.call)
    assert (said.before, said.after) == (1, 0)


HOSTILE = {
    "event": "call", "number": 1, "pid": 100, "thread": 1, "at": 0, "instructions": 0, "name": "open", "group": "files",
    "arguments": {"path": "</td><script>alert(1)</script>\x1b[31m"}, "result": -1, "errno": "ENOENT",
    "caller": "<b>", "stack": ['"><i>'],
}  # fmt: skip


def test_what_a_guest_says_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(HOSTILE) + "\n")
    page = render_page(load_trace(path))
    assert not any(each in page for each in ("<script>", "<b>&", "<i>"))
    assert "&lt;script&gt;" in page
    assert "\x1b" not in render_text(load_trace(path))


def test_a_trace_that_was_cut_and_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(HOSTILE) + "\n" + json.dumps(HOSTILE)[:40])
    trace = load_trace(path)
    assert (len(trace.calls), trace.end) == (1, None)
    assert "ended from outside" in render_page(trace)
    for text in ("no JSON\n", "[1]\n", '{"event": "call"}\n'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="is no trace: line 1"):
            load_trace(path)
    with pytest.raises(ConfigError, match="no name for a trace"):
        write_trace(path, tmp_path / "t.pdf")
