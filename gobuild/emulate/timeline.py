"""What can be made of a trace (`trace` says what stands in it): text, a page with a timeline, and a comparison of two.

Everything here works on the lines of JSON that a run has written; no engine is needed.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.printable import printable
from gobuild.core.render import render

KINDS = (".txt", ".jsonl", ".html")
COLUMNS = 240
"""Slices of the timeline, each so many calls long."""

ROWS = 5000
"""Calls that the page lists; the lines of JSON have them all."""

START = "before the runtime"
INITS = "package initialisation"
MARKS = frozenset({"runtime.osinit", "runtime.schedinit", "runtime.main", "main.main", "first finalizer"})
"""Phases that stand for themselves; the others are functions that initialise a package."""

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a run: its name, the Go function or what it stands for, and the calls made in it, of all threads."""

    name: str
    instructions: int
    calls: tuple[Event, ...]

    @property
    def first(self) -> int:
        """The number of its first call; 0 where it has none."""
        return int(self.calls[0]["number"]) if self.calls else 0

    @property
    def anchor(self) -> str:
        """What names it on the page: calls are counted by process."""
        return f"phase-{self.calls[0]['pid']}-{self.first}" if self.calls else ""

    @property
    def groups(self) -> dict[str, int]:
        """How many calls of each group, the largest first."""
        return dict(Counter(call["group"] for call in self.calls).most_common())


@dataclass(frozen=True, slots=True)
class Trace:
    """The events of a run: one process after the other, each in its order."""

    events: tuple[Event, ...]

    @property
    def own(self) -> tuple[Event, ...]:
        """Those of the first process, which is the program itself."""
        return tuple(each for each in self.events if each["pid"] == self.events[0]["pid"])

    @property
    def program(self) -> str:
        """What was run, with its arguments."""
        start = next((each for each in self.events if each["event"] == "start"), None)
        return " ".join([start["program"], *start["arguments"]]) if start else "nothing"

    @property
    def calls(self) -> tuple[Event, ...]:
        """The calls."""
        return tuple(each for each in self.events if each["event"] == "call")

    @property
    def end(self) -> Event | None:
        """How it ended; None where it was ended from outside."""
        return next((each for each in reversed(self.own) if each["event"] == "end"), None)

    def phases(self) -> list[Phase]:
        """The parts of the start: Go's runtime, the initialisation of the packages (as one), main.main and so on.

        Another process, or another program in the same one, begins with a part of its own.
        """
        found: list[tuple[str, int, list[Event]]] = [(START, 0, [])]
        for before, each in pairwise(({}, *self.events)):
            another = before and before["pid"] != each["pid"]
            if before and (another or each["event"] == "start"):
                found.append((f"process {each['pid']} {each.get('program', '')}".rstrip(), 0, []))
            if each["event"] == "call":
                found[-1][2].append(each)
            elif each["event"] == "phase":
                name = each["name"] if each["name"] in MARKS else INITS
                if name != found[-1][0]:
                    found.append((name, each["instructions"], []))
        return [Phase(name=name, instructions=at, calls=tuple(calls)) for name, at, calls in found]

    def inits(self) -> list[Phase]:
        """What each package's initialisation in the program itself calls, those that call something."""
        found: dict[str, tuple[int, list[Event]]] = {}
        for each in self.own:
            if each["event"] == "phase" and each["name"] not in MARKS:
                found[each["name"]] = (each["instructions"], [])
            elif each["event"] == "call":
                inside = next((name for name in each["stack"] if name in found), None)
                if inside:
                    found[inside][1].append(each)
        return [Phase(name=name, instructions=at, calls=tuple(calls)) for name, (at, calls) in found.items() if calls]


def load_trace(path: Path) -> Trace:
    """Reads the lines of JSON; a last line that was cut short, as where a run was ended, is left out."""
    events = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            _ = event["event"], int(event["pid"])
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) > 1:
                break
            hint = "a file that gobuild emulate --trace FILE.jsonl has written"
            raise ConfigError(f"{path} is no trace: line {number}", hint) from error
        events.append(event)
    return Trace(tuple(sorted(events, key=lambda each: int(each["pid"]))))  # processes write when they come to it


def trace_kind(path: Path) -> str:
    """The kind of trace that a file's name asks for; ConfigError for another."""
    if path.suffix not in KINDS or path.name == path.suffix:
        raise ConfigError(f"{path} is no name for a trace", "a file that ends in " + ", ".join(KINDS))
    return path.suffix


def write_trace(source: Path, to: Path) -> None:
    """Makes what a file's name asks for of a run's lines of JSON."""
    kind = trace_kind(to)
    if kind == ".jsonl":
        files.write(to, source.read_text(encoding="utf-8"))
    else:
        trace = load_trace(source)
        files.write(to, render_text(trace) if kind == ".txt" else render_page(trace))


def call_text(call: Event) -> str:
    """A call as C writes it, with its result."""
    listed = ", ".join(_value(value) for value in call["arguments"].values())
    result = "" if call["result"] is None else f" = {_value(call['result'])}"
    return f"{call['name']}({listed}){result}{' ' * bool(call['errno'])}{call['errno']}"


def _value(value: Any) -> str:
    if isinstance(value, str) and not value.startswith(("0x", "O_", "PROT_", "MAP_")):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if isinstance(value, list) else str(value)


def render_text(trace: Trace) -> str:
    """A line for each event."""
    return "".join(f"{printable(_line(each))}\n" for each in trace.events)


def _line(event: Event) -> str:
    who = f"{event['pid']}.{event.get('thread', 1)}"
    if event["event"] == "call":
        return f"{event['number']:6} {event['instructions']:10} {who} {call_text(event)}  <- {event['caller']}"
    if event["event"] == "phase":
        return f"{'':6} {event['instructions']:10} {who} -- {event['name']}"
    if event["event"] == "start":
        return f"{event['pid']} starts {' '.join([event['program'], *event['arguments']])}"
    why = f": {event['kind']}: {event['detail']}" if event["kind"] else ""
    where = f" in {' < '.join(event['stack'])}" if event["stack"] else ""
    return f"{event['pid']} ends with {event['code']}{why}{where}"


def render_page(trace: Trace) -> str:
    """A page that needs no other file."""
    calls, phases = trace.calls, trace.phases()
    groups = Counter(call["group"] for call in calls)
    step = max(-(-len(calls) // COLUMNS), 1)
    lanes = []
    for group, count in groups.most_common():
        slices = [sum(call["group"] == group for call in calls[at : at + step]) for at in range(0, len(calls), step)]
        functions = Counter(call["name"] for call in calls if call["group"] == group)
        failed = sum(bool(call["errno"]) for call in calls if call["group"] == group)
        lanes.append(
            {"group": group, "count": count, "slices": slices, "functions": functions.most_common(), "failed": failed}
        )
    return render(
        "trace.html.j2",
        html=True,
        program=trace.program,
        end=trace.end,
        calls=len(calls),
        threads=len({(call["pid"], call["thread"]) for call in calls}),
        instructions=max((each.get("instructions", 0) for each in trace.events), default=0),
        seconds=(max(call["at"] for call in calls) - calls[0]["at"]) / 1e9 if calls else 0.0,
        functions=len({call["name"] for call in calls}),
        step=step,
        columns=-(-len(calls) // step),
        colours=[lane["group"] for lane in lanes],
        lanes=lanes,
        phases=[each for each in phases if each.calls or each.name != START],
        inits=trace.inits(),
        rows=ROWS,
        shown=_listed(phases),
        call_text=call_text,
    )


def _listed(phases: Iterable[Phase]) -> list[tuple[Phase, tuple[Event, ...]]]:
    left, found = ROWS, []
    for phase in phases:
        if phase.calls and left > 0:
            found.append((phase, phase.calls[:left]))
            left -= len(phase.calls)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A kind of call that one run makes more often than the other: how it is told, by whom, and how often in each."""

    call: str
    caller: str
    before: int
    after: int


def compare_traces(before: Trace, after: Trace) -> tuple[list[Difference], str]:
    """What one run does that the other does not, and in a sentence where they part first; empty where they never do.

    Calls are alike that have one name, caller, texts, errno and phase: addresses, times and lengths differ from run to
    run.
    """
    counts = [Counter(map(_alike, trace.calls)) for trace in (before, after)]
    differences = [
        Difference(call=key[0], caller=key[1], before=counts[0][key], after=counts[1][key])
        for key in dict.fromkeys([*counts[0], *counts[1]])
        if counts[0][key] != counts[1][key]
    ]
    return differences, _parting(before, after)


def _alike(call: Event) -> tuple[str, str]:
    texts = [json.dumps(value, ensure_ascii=False) for value in call["arguments"].values() if _is_text(value)]
    return f"{call['name']}({', '.join(texts)}){' ' * bool(call['errno'])}{call['errno']}", call["caller"]


def _is_text(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and not value.startswith("0x"))


def _parting(before: Trace, after: Trace) -> str:
    phase = START
    marks = {each.anchor: each.name for each in before.phases() if each.calls}
    pairs = zip(before.calls, after.calls, strict=False)
    for left, right in pairs:
        phase = marks.get(f"phase-{left['pid']}-{left['number']}", phase)
        if _alike(left) != _alike(right):
            return f"they part at call {left['number']}, in {phase}: {call_text(left)} and {call_text(right)}"
    lengths = len(before.calls), len(after.calls)
    if lengths[0] != lengths[1]:
        return f"one goes on where the other ends, after {min(lengths)} calls"
    return ""
