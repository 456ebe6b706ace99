"""A process that hangs on macOS: looked at by sample, spindump and dtrace before the doctor ends it, and explained.

`capture` is called while the process hangs, `collect` hands on what was captured, `diagnose` joins it. sample needs no
root for a process of one's own; spindump and dtrace do, and run only when the user asked for captures.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gobuild.core.process import Runner
from gobuild.doctor.macos import asking, dtraced, graphics, sampled, spindumped
from gobuild.doctor.macos.answer import Answer, answer, strangers
from gobuild.doctor.macos.asking import ask, below, clean, found, skipped, why_skipped, words
from gobuild.doctor.macos.stacks import Stacks
from gobuild.doctor.model import Finding, Grade, Job

SAMPLE, SPINDUMP, DTRACE, PS = "/usr/bin/sample", "/usr/sbin/spindump", "/usr/sbin/dtrace", "/bin/ps"

TRANSLATED = 0x00020000
"""P_TRANSLATED, of xnu's sys/proc.h: the process runs under Rosetta."""

READERS = {"sample": sampled.read, "spindump": spindumped.read, "dtrace": dtraced.read}

NEEDS_ROOT = {"skipped": "needs root: sudo gobuild doctor --capture"}
NOT_ASKED = {"skipped": "only with --capture"}
FIRST = {"skipped": "only the first hang is looked at so: it takes up to a minute"}


def capture(pid: int, job: Job, *, run: Runner) -> dict[str, Any]:
    """Looks at a process that hangs, which goes on as it was.

    Args:
        pid: the process.
        job: `capture` says whether spindump and dtrace are wanted; files are written below `scratch` alone.
        run: starts the tools.

    Returns:
        What each tool said; the graphics accelerators as they are now, beside what `graphics.begin` saw.
    """
    deeper = NEEDS_ROOT if os.geteuid() else None
    if not job.capture:
        deeper = NOT_ASKED
    elif any(each.get("system") == "darwin" for each in job.captured):
        deeper = FIRST
    return {
        "system": "darwin",
        "pid": pid,
        "flags": ask([PS, "-o", "flags=", "-p", str(pid)], job=job, run=run, seconds=1),
        "sample": _sample(pid, job, run=run),
        "spindump": deeper or _spindump(pid, job, run=run),
        "dtrace": deeper or _dtrace(pid, job, run=run),
        "accelerators": graphics.during(pid, job, run=run) if job.capture else NOT_ASKED,
    }


def _sample(pid: int, job: Job, *, run: Runner) -> dict[str, Any]:
    """sample, into a file of ours: without -file it leaves its report in /tmp."""
    report = job.scratch / f"sample-{pid}.txt"
    said = ask([SAMPLE, str(pid), "1", "-mayDie", "-file", report], job=job, run=run, seconds=20 if job.capture else 4)
    return _report(report, said)


def _spindump(pid: int, job: Job, *, run: Runner) -> dict[str, Any]:
    """spindump, cut down to the one process: the others are nobody's business."""
    report = job.scratch / f"spindump-{pid}.txt"
    said = ask([SPINDUMP, str(pid), "1", "10", "-o", report], job=job, run=run, seconds=40)
    read = _report(report, said, limit=64 * asking.LIMIT)
    if "text" in read and report.is_file():
        read["text"] = spindumped.section(read["text"], pid)[: asking.LIMIT]
        report.unlink()
    return read


def _report(report: Path, said: dict[str, Any], *, limit: int = asking.LIMIT) -> dict[str, Any]:
    """What a tool wrote to its file; what it said instead, where it wrote none."""
    try:
        with report.open(encoding="utf-8", errors="replace") as file:
            text = file.read(limit)
    except OSError:
        return said
    return {"code": said.get("code", 0), "text": clean(text) if limit == asking.LIMIT else text}


def _dtrace(pid: int, job: Job, *, run: Runner) -> dict[str, Any]:
    """dtrace, with our script; -Z lets it run where SIP leaves some of the probes out."""
    program = job.scratch / "hang.d"
    program.write_text(dtraced.script(), encoding="utf-8")
    argv: list[str | Path] = [DTRACE, "-Z", "-q", "-s", program, "-p", str(pid)]
    return ask(argv, job=job, run=run, seconds=dtraced.SECONDS + 10)


def collect(job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (a topic's signature)
    """Hands on what `capture` saw, each with the structured answer for whoever reads the JSON; runs nothing."""
    if not asking.here():
        return dict(asking.NOT_HERE)
    captures = [each for each in job.captured if each.get("system") == "darwin"]
    return {"captures": [{**each, "answer": asdict(said) if (said := _answer(each)) else None} for each in captures]}


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says of each captured hang where it hangs, and of what was not captured why."""
    yield from skipped("hang", part)
    if why_skipped(part):
        return
    captures = part.get("captures")
    captures = captures if isinstance(captures, list) else []
    if not captures:
        yield found("hang", Grade.OK, "no go command hung while the doctor looked")
    for each in captures[:20]:
        yield from _one(each)


def _one(captured: object) -> Iterator[Finding]:
    tools, traced = _read(captured), dtraced.whole(words(captured, "dtrace"))
    if joined := _answer(captured):
        under = captured.get("environment") if isinstance(captured, Mapping) else None
        where = f"under {under[:100]}: " if isinstance(under, str) else ""
        yield found("hang", Grade.FAIL, where + joined.sentence, joined.advice)
    for name in READERS:
        said = words(captured, name)
        reason = why_skipped(below(captured, name)) or (dtraced.refusal(said) if name == "dtrace" else "")
        if not reason and not any(each.tool == name and each.threads for each in tools):
            reason = (said.strip().splitlines() or ["it said nothing"])[-1][:300]
        if reason and not (name == "dtrace" and traced):
            yield found(f"hang: {name}", Grade.SKIPPED, reason)
    yield from _translated(captured, tools)
    if loaded := strangers(tools):
        advice = "gobuild verify GO names what go itself links; the rest came by DYLD_INSERT_LIBRARIES, or by a tool"
        yield found("hang: libraries", Grade.WARN, f"loaded, and not by upstream Go: {'; '.join(loaded[:10])}", advice)
    yield from graphics.of_a_hang(below(captured, "accelerators"), captured)


def _read(captured: object) -> list[Stacks]:
    return [reading(words(captured, name)) for name, reading in READERS.items() if words(captured, name)]


def _answer(captured: object) -> Answer | None:
    return answer(_read(captured), traced=dtraced.whole(words(captured, "dtrace")))


def _translated(captured: object, tools: list[Stacks]) -> Iterator[Finding]:
    """Whether Rosetta translates the process: ps's flags say so, and sample's code type."""
    flags = words(captured, "flags").strip()
    try:
        by_flags = bool(int(flags[:16], 16) & TRANSLATED)
    except ValueError:
        by_flags = False
    if by_flags or any("Translated" in each.code for each in tools):
        yield found(
            "hang: Rosetta",
            Grade.WARN,
            "the process that hung was translated by Rosetta",
            "use a darwin/arm64 toolchain on this Mac",
        )
