"""Where a hang stands in the healthy start of the same go, which is run here under emulation (`gobuild.emulate`).

A tool's report of a Mac names the function of the system's that a thread is in, and Go's frames above it, often two of
them alone. The healthy start has every call with all of Go's frames; the calls that fit best are told. That a Mac's
frames are those of the emulated start was not tried on one.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.console import counted
from gobuild.core.errors import CommandError, ConfigError
from gobuild.doctor.macos import hang
from gobuild.doctor.macos.answer import Answer
from gobuild.doctor.model import MACOS, Diagnosis, Finding
from gobuild.emulate.guest import GuestOptions, program_plan
from gobuild.emulate.run import run
from gobuild.emulate.timeline import START, Trace, load_trace
from gobuild.verify import build_information

WORDS = ("version",)
"""What the doctor has every go do."""

QUIET = {"TEST_TELEMETRY_DIR": "/tmp/telemetry", "GOENV": "off", "GOTOOLCHAIN": "local"}  # noqa: S108  (the guest's)
"""As in the doctor's clean environment (`examination`)."""

CPUS = 8
"""Processors of the healthy start, as a Mac has them."""

ADVICE = "gobuild emulate GO --args version --trace start.html shows the healthy start, call by call"


def place_hangs(found: Diagnosis, go: Path) -> Diagnosis:
    """Adds to a diagnosis where each of its hangs stands in the healthy start of this go command, or GOROOT's.

    Raises:
        ConfigError: it is no go command, or not the one that hung.
        ToolMissing: there is no engine here.
        CommandError: it has no healthy start.
    """
    program = go / "bin/go" if go.is_dir() else go
    info = build_information(program) if program.is_file() else None
    if info is None:
        raise ConfigError(f"there is no go command {program}", "--reference with the darwin/arm64 go that hung")
    hung = str(found.evidence.get("environment", {}).get("stamp", ""))
    if hung not in ("", info.stamp):
        raise ConfigError(f"{program} is {info.stamp}, and {hung} hung", "--reference with the go of that very release")
    captures: Sequence[Mapping[str, Any]] = found.evidence.get("macOS hang", {}).get("captures", ())
    answers = [answer for each in captures if (answer := hang.find_answer(each))]
    trace = healthy_start(program) if answers else Trace(())
    added = (_finding(info.stamp, trace, each) for each in answers)
    return replace(found, findings=(*found.findings, *added))


def healthy_start(program: Path) -> Trace:
    """The calls of `go version`, run under emulation."""
    with tempfile.TemporaryDirectory(prefix="gobuild-") as folder:
        scratch, trace = Path(folder) / "scratch", Path(folder) / "trace"
        files.write(scratch / "telemetry/mode", "off 2024-01-01")
        options = GuestOptions(scratch=scratch, env=QUIET, trace=trace, cpus=CPUS)
        outcome = run(program_plan(program, WORDS, options))
        if outcome.code or outcome.verdicts:
            why = "; ".join(map(str, outcome.verdicts)) or f"exit code {outcome.code}"
            raise CommandError(f"{program} has no healthy start: {why}", "gobuild emulate GO --args version")
        return Trace(load_trace(trace).own)


def _finding(stamp: str, trace: Trace, answer: Answer) -> Finding:
    seen = f"{answer.thread}, held to the healthy start of {stamp}, {counted(len(trace.calls), 'call')}: "
    return MACOS.warn("hang: healthy start", (seen + place(trace, answer))[:2000], ADVICE)


def place(trace: Trace, answer: Answer) -> str:
    """Where in a healthy start a thread stands, in words."""
    if answer.kind == "loader":
        return "it has not come to the first one"
    if not answer.called:
        return "it is in none of them, but in Go's own code"
    called = _plain(answer.called)
    frames = [_plain(each) for each in answer.go]
    through = [each for each in frames if each.endswith("_trampoline")][:1]
    likely = [each for each in trace.calls if _plain(each["name"]) == called]
    likely = likely or [each for each in trace.calls if through and each["stack"][:1] == through]
    if not likely:
        return f"none of them is {answer.called}: it makes no such call that comes back"
    scores = [len({*frames}.intersection(each["stack"])) for each in likely]
    best = [each for each, score in zip(likely, scores, strict=True) if score == max(scores)]
    told = [_where(trace, each) for each in ([best[0]] if len(best) == 1 else [best[0], best[-1]])]
    return f"it is {told[0]}" if len(best) == 1 else f"it is one of {len(best)}, from {told[0]} to {told[1]}"


def _where(trace: Trace, call: Mapping[str, Any]) -> str:
    """A call by its phase and its place among those of its name."""
    number = call["number"]
    phase = next(each for each in reversed(trace.phases()) if each.calls and each.first <= number)
    since = counted(number - phase.first + 1, "call")
    same = [each["number"] for each in trace.calls if each["name"] == call["name"]]
    begins = f"{since} later than {'the first instruction' if phase.name == START else phase.name}"
    return f"{begins}, in the {_ordinal(same.index(number) + 1)} {call['name']} (by {call['caller']})"


def _plain(symbol: str) -> str:
    """A function's name without what the linker, libSystem's variants and Go's ABI add."""
    return symbol.removesuffix(".abi0").lstrip("_").partition("$")[0]


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"
