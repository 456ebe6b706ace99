"""The benchmark's arithmetic and what it shows, on measurements that were made up to be told apart; never a time."""

import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench import cost, figures, identity, task
from bench.figures import CHANGED, COLD, MAKE, PACKAGE, SAME, STARTUP, TOOLS, VERIFY, Round
from bench.rounds import QUICK, Bench, changed_series
from e2e.builds import CHECKOUT, captured
from toy_manifest import toy_manifest

from gobuild.core import files, resources
from gobuild.core.errors import CommandError, ConfigError
from gobuild.core.goversion import Target
from gobuild.core.process import Result, run

QUIET = {"others": 0.01, "stolen": 0.0}


def _run(wall: float, seconds: dict[str, float], cpu: dict[str, float]) -> dict[str, Any]:
    cost = {"wall": wall, "cpu": sum(cpu.values()) + 10, "memory": wall * 1e6, **QUIET}
    return {
        "cost": cost,
        "stamp": "go1.22.10-gobuild.p1",
        "builder": "direct",
        "seconds": {"resolve": 1.0, "fetch": 5.0, "patch": 1.0, "verify": 9.0, "package": 11.0, **seconds},
        "cpu_seconds": cpu,
        "peak_memory_mib": 80,
        "archives": {},
    }


def _round(direct: float = 140.0) -> Round:
    return {
        MAKE: _run(430.0, {"make.bash": 400.0, "distpack": 21.0}, {"make.bash": 800.0, "distpack": 70.0}),
        COLD: _run(220.0, {"direct tools": 40.0, "direct": direct}, {"direct tools": 60.0, "direct": 270.0}),
        TOOLS: _run(180.0, {"direct tools": 1.0, "direct": direct}, {"direct": 270.0}),
        CHANGED: _run(200.0, {"direct tools": 1.0, "direct": direct}, {"direct": 270.0}),
        SAME: _run(1.5, {}, {}),
        VERIFY: {"seconds": 0.8, "cost": {"wall": 3.0, "cpu": 2.0, **QUIET}},
        STARTUP: {"cost": {"wall": 0.3, "cpu": 0.25, **QUIET}},
        PACKAGE: {"seconds": 41.0, "cost": {"wall": 42.0, "cpu": 70.0, **QUIET}},
    }


@pytest.fixture
def document() -> dict[str, Any]:
    """Three rounds, the second of which was slow."""
    return {
        "go": "1.22.10",
        "target": "darwin/arm64",
        "date": "2026-11-23T15:00:00+00:00",
        "command": "invoke bench --go 1.22.10",
        "commit": "0123456",
        "machine": {"system": "Linux x86_64", "cpu": "a <fast> one", "cores": 2, "memory_gib": 24.1},
        "rounds": [_round(140.0), _round(180.0), _round(132.0)],
    }


def test_a_ratio_is_made_in_its_round_and_the_median_decides(document: dict[str, Any]) -> None:
    cells = {what: figure for what, *figure in figures.rows(document["rounds"])}
    assert len(cells) == len(figures.MEASURES)
    # (40 + 140) / 400, (40 + 180) / 400, (40 + 132) / 400: distpack is no part of a build.
    assert cells["direct, cold: the build's wall"] == ["0.46", "0.45", "0.43 to 0.55", "OK"]
    assert cells["direct, cold: the build's CPU"] == ["0.46", "0.41", "0.41 to 0.41", "OK"]
    assert cells["direct, host tools in the store: the build's wall"] == ["0.35", "0.35", "0.33 to 0.45", "over"]
    changed = "one line of a runtime patch changed: the whole command's wall"
    assert cells[changed] == ["0.40", "0.47", "0.47 to 0.47", "over"]
    assert cells["nothing changed: the whole command's wall"] == ["2.00 s", "1.50 s", "1.50 s to 1.50 s", "OK"]
    assert cells["peak memory of gobuild's own process"] == ["300 MB", "84 MB", "84 MB to 84 MB", "OK"]  # 80 MiB
    assert cells["direct, cold: the whole command's peak memory"][1] == "0.51"  # 220 MB of 430 MB
    assert cells["packaging alone (distpack)"] == ["", "41.00 s", "41.00 s to 41.00 s", ""]
    # 430 s from start to end, 400 of them make.bash and 21 distpack; 220 s, of them direct 180, 220 and 172.
    assert cells["around make.bash and distpack, of the whole run"] == ["5.0 %", "2.1 %", "2.1 % to 2.1 %", "OK"]
    around = cells["around the direct build (cold) and distpack, of the whole run"]
    assert around == ["5.0 %", "18.2 %", "0.0 % to 21.8 %", "over"]


def test_a_machine_that_was_not_idle_is_told_of(document: dict[str, Any]) -> None:
    assert figures.disturbed(document["rounds"]) == ""
    document["rounds"][1][COLD]["cost"]["others"] = 0.4
    said = "he machine was not idle: other processes took up to 40% of its CPU time during a case"
    assert figures.disturbed(document["rounds"]) == f"t{said}"
    text = figures.markdown(document)
    assert text.endswith(f"\nT{said}.\n")
    assert "| direct, cold: the build's wall | 0.46 | 0.45 | 0.43 to 0.55 | OK |" in text
    assert "Measured on 2026-11-23 by `invoke bench --go 1.22.10` on 2 cores of a <fast> one" in text


def test_a_process_costs_what_its_children_cost_and_the_memory_is_that_of_all_together(tmp_path: Path) -> None:
    hold = "import time; held = b'1' * 60_000_000\nwhile time.process_time() < 0.3: pass\ntime.sleep(2)"
    start = f"import subprocess, sys; two = [subprocess.Popen([sys.executable, '-c', {hold!r}]) for _ in '12']"
    words = [sys.executable, "-c", f"{start}\nfor each in two: each.wait()"]
    found, _ = cost.timed(words, folder=tmp_path, run=run)
    assert 0.6 <= found["cpu"] < 10 and found["wall"] >= 2 and found["others"] >= 0
    assert 120_000_000 < found["memory"] < 400_000_000


def test_the_callers_own_settings_reach_no_measured_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_GOBUILD_SUFFIX", "mine")
    monkeypatch.setenv("INVOKE_GOBUILD_CACHE", "there")
    show_it = "import os; print({name for name in os.environ if name.startswith('INVOKE_')})"
    _, result = cost.timed([sys.executable, "-c", show_it], folder=tmp_path, run=run)
    assert result.output == "{'INVOKE_GOBUILD_CACHE'}\n"


def test_one_line_of_the_runtime_patch_is_changed_and_nothing_else(tmp_path: Path) -> None:
    changed_series(tmp_path)
    stock, ours, theirs = resources.folder("patches"), '"gobuild-trace: unix="', '"gobuild-trace: bench unix="'
    paths = [path for path in stock.rglob("*") if path.is_file()]
    texts = {path.name: (path.read_text(), (tmp_path / path.relative_to(stock)).read_text()) for path in paths}
    changed = {name for name, (before, after) in texts.items() if before != after}
    assert changed == {"osinit-trace-1.21.patch", "osinit-trace-1.25.patch"}
    assert all(texts[name][0].replace(ours, theirs, 1) == texts[name][1] for name in changed)


class Recorder:
    """In the place of a runner: keeps the words, and leaves behind what a build or a measured part leaves."""

    def __init__(self, changes: dict[str, Any] | None = None) -> None:
        self.words: list[str] = []
        self.changes = changes or {}

    def __call__(self, argv: Sequence[str | Path], *, cwd: Path, **_how: Any) -> Result:
        words = tuple(map(str, argv))
        said = "{}"
        if "build" in words:
            flags = {name: value for name, value in itertools.pairwise(words) if name.startswith("--")}
            stores = len(list(Path(flags["--store"]).glob("*")))
            self.words.append(f"{flags['--builder']} {stores}{' fresh' if '--fresh' in words else ''}")
            self._build(flags, changed="--series" in flags)
        else:
            self.words.append(words[3])
            said = json.dumps({"seconds": 1.0})
        return Result(argv=words, code=0, output=said)

    def _build(self, flags: dict[str, str], *, changed: bool) -> None:
        dist, stamp = Path(flags["--dist"]), f"go1.22.10-p{int(changed)}"
        inside = f"{flags['--builder']} made this" if self.changes.get("bytes") else "the same"
        contents = {f"{stamp}.darwin-arm64.tar.gz": inside.encode(), f"{stamp}.src.tar.gz": b"source"}
        for name, content in contents.items():
            files.write(dist / name, content)
        document = toy_manifest(stamp, "darwin/arm64", contents)
        document["build"]["builder"] = self.changes.get("builder", flags["--builder"])
        files.write(dist / f"{stamp}.darwin-arm64.gobuild.json", json.dumps(document))
        files.write(Path(flags["--work"]) / stamp / "toolchain.json", "{}")
        files.write(Path(flags["--store"]) / stamp, "an entry")


def _bench(folder: Path, recorder: Recorder) -> Bench:
    def sleep(seconds: float) -> None:
        recorder.words.append(f"waits {seconds:.0f}")

    bench = Bench(go="1.22.10", target="darwin/arm64", folder=folder, run=recorder, note=print, sleep=sleep)
    bench.prepare()
    return bench


@pytest.mark.parametrize("journal", [True, False])
def test_a_round_runs_every_case_on_the_store_that_it_is_about_and_the_next_waits_where_removed_files_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    monkeypatch.setattr("bench.rounds._remembers", lambda: not journal)
    recorder = Recorder()
    bench = _bench(tmp_path, recorder)
    rounds = [bench.round(number) for number in (1, 2)]
    cases = ["direct 0", "direct 1 fresh", "direct 1", "direct 1", "make.bash 0", "verify", "package", *QUICK]
    assert recorder.words == ["fetch", *cases, *([] if journal else ["waits 370"]), *cases]
    assert set(rounds[0]) == {MAKE, COLD, TOOLS, SAME, CHANGED, VERIFY, PACKAGE, STARTUP}
    json.dumps(rounds)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"builder": "make.bash"}, "direct was asked for, and make.bash built"), ({"bytes": True}, "other archives than")],
)
def test_figures_that_would_mean_nothing_are_not_made(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    bench = _bench(tmp_path, Recorder(changes))
    with pytest.raises(CommandError, match=said):
        bench.round(1)


def _prove(folder: Path, compare: Callable[[str, str, str], identity.Entry], resume: bool) -> list[identity.Entry]:
    targets, record = [str(Target.host()), "darwin/amd64"], folder / "identity.json"
    entries = identity.compare_all(["1.22.10"], targets, compare, record=record, resume=resume, note=print)
    assert json.loads(record.read_text()) == entries
    return entries


def test_the_identity_is_recorded_and_resumed_and_no_entry_is_lost_to_a_failed_build(tmp_path: Path) -> None:
    asked, differ = list[tuple[str, str, str]](), ["bin/go"]

    def compare(go: str, target: str, patches: str) -> identity.Entry:
        asked.append((go, target, patches))
        found = {"against": identity.AGAINST[patches], "executables": 19, "wall": {"direct": 81.0}}
        return found | {"differ": list(differ), "same": not differ}

    def failing(_go: str, _target: str, _patches: str) -> identity.Entry:
        raise CommandError("no room")

    assert {row[-1] for row in identity.rows(_prove(tmp_path, compare, False))} == {"differ: bin/go"}
    targets = ("darwin/amd64", str(Target.host()))
    assert asked == [("1.22.10", target, kind) for kind in ("unpatched", "patched") for target in targets]
    assert {row[-1] for row in identity.rows(_prove(tmp_path, failing, True))} == {"no room"}
    differ.clear()
    entries = _prove(tmp_path, compare, True)
    assert {row[-1] for row in identity.rows(entries)} == {"OK"}
    assert _prove(tmp_path, failing, True) == entries


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"rounds": "0"}, "'0' rounds"),
        ({"target": "plan9/arm64"}, "plan9"),
        ({"go": "1.22,1.27"}, "one release and one target"),
        ({"json": "bench.png"}, "bench.png"),
    ],
)
def test_words_that_cannot_be_used_are_refused_before_anything_is_built(
    words: dict[str, Any], said: str, tmp_path: Path
) -> None:
    at = tmp_path / "at"
    with pytest.raises(ConfigError, match=re.escape(said)):
        task.bench.body(None, to=str(at), **words)
    assert not at.exists()


def test_the_tasks_load_where_the_test_tools_are_not_installed() -> None:
    words = "import sys; sys.modules['psutil'] = None; import tasks; tasks.bench.body(None)"
    done = captured(sys.executable, "-c", words, cwd=CHECKOUT, ok=False)
    assert "ToolMissing" in done.stderr
    assert "the benchmark needs psutil\n  try: pip install -e '.[test]'" in done.stderr
