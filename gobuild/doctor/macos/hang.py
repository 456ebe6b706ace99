"""A process that hangs on macOS: looked at by sample, spindump and dtrace before the doctor ends it, and explained.

sample needs no root for a process of one's own; spindump and dtrace do, and run only when the user asked for captures.
"""

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gobuild.core.render import render
from gobuild.doctor.macos import ioreg, stacks
from gobuild.doctor.macos.answer import Answer, find_hang, foreign_libraries
from gobuild.doctor.macos.stacks import Stacks
from gobuild.doctor.macos.tools import LIMIT, ask, clean, last_line, output_of, why_skipped
from gobuild.doctor.model import MACOS, Case, Finding

SAMPLE, SPINDUMP, DTRACE, PS = "/usr/bin/sample", "/usr/sbin/spindump", "/usr/sbin/dtrace", "/bin/ps"

TRANSLATED = 0x00020000
"""P_TRANSLATED, of xnu's sys/proc.h: the process runs under Rosetta."""

READERS = {"sample": stacks.read_sample, "spindump": stacks.read_spindump, "dtrace": stacks.read_dtrace}

NEEDS_ROOT = {"skipped": "needs root: sudo gobuild doctor --capture"}
NOT_ASKED = {"skipped": "only with --capture"}
FIRST = {"skipped": "only the first hang is looked at so: it takes up to a minute"}


def capture(pid: int, case: Case) -> dict[str, Any]:
    """Looks at a process that hangs, which goes on as it was: what each tool said, and the accelerators as they are."""
    deeper = NEEDS_ROOT if os.geteuid() else None
    if not case.capture:
        deeper = NOT_ASKED
    elif any(each.get("system") == "darwin" for each in case.captured):
        deeper = FIRST
    before = case.evidence.get(ioreg.TOPIC, {"skipped": "no snapshot was taken before go ran"})
    # Only the one process of spindump's: the others are nobody's business.
    mine = functools.partial(stacks.cut_spindump, pid=pid)
    return {
        "system": "darwin",
        "pid": pid,
        "flags": ask([PS, "-o", "flags=", "-p", str(pid)], case=case, seconds=1),
        "sample": _report([SAMPLE, str(pid), "1", "-mayDie", "-file"], case=case, seconds=20 if case.capture else 4),
        "spindump": deeper or _report([SPINDUMP, str(pid), "1", "10", "-o"], case=case, seconds=40, cut=mine),
        "dtrace": deeper or _dtrace(pid, case),
        "accelerators": {"before": before, "during": ioreg.snapshot(case, pid=pid)} if case.capture else NOT_ASKED,
    }


def _report(
    argv: Sequence[str | Path], *, case: Case, seconds: float, cut: Callable[[str], str] = str
) -> dict[str, Any]:
    """Asks a tool that writes into the file that is named last: without one sample leaves its report in /tmp."""
    report = case.scratch / "report.txt"
    said = ask([*argv, report], case=case, seconds=seconds)
    if not report.is_file():
        return said
    with report.open(encoding="utf-8", errors="replace") as file:
        text = file.read(64 * LIMIT)  # spindump's has all processes
    report.unlink()
    return said | {"text": clean(cut(text))}


def _dtrace(pid: int, case: Case) -> dict[str, Any]:
    """dtrace, with our script; -Z lets it run where SIP leaves some of the probes out."""
    program = case.scratch / "hang.d"
    program.write_text(render("hang.d"), encoding="utf-8")
    return ask([DTRACE, "-Z", "-q", "-s", program, "-p", str(pid)], case=case, seconds=stacks.SECONDS + 10)


def collect(case: Case) -> dict[str, Any]:
    """Hands on what `capture` saw, each with the structured answer for whoever reads the JSON."""
    captures = [each for each in case.captured if each.get("system") == "darwin"]
    return {"captures": [{**each, "answer": _answer_document(each)} for each in captures]}


def _answer_document(captured: Mapping[str, Any]) -> dict[str, Any] | None:
    said = find_answer(captured)
    return asdict(said) | {"sentence": said.sentence, "advice": said.advice} if said else None


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says of each captured hang where it hangs, and of what was not captured why."""
    if not part["captures"]:
        yield MACOS.ok("hang", "no go command hung while the doctor looked")
    for each in part["captures"][:20]:
        yield from _one(each)


def _one(captured: Mapping[str, Any]) -> Iterator[Finding]:
    tools = _read_stacks(captured)
    if joined := find_answer(captured):
        where = f"under {captured['environment']}: " if "environment" in captured else ""
        yield MACOS.fail("hang", where + joined.sentence, joined.advice)
    for name in READERS:
        said = output_of(captured, name)
        reason = why_skipped(captured, name) or next(
            (why for words, why in stacks.REFUSALS.items() if words in said), ""
        )
        saw_threads = any(each.tool == name and each.threads for each in tools)
        saw_none = name == "dtrace" and stacks.dtrace_told_all(said)
        if not saw_none and (reason or not saw_threads):
            yield MACOS.skipped(f"hang: {name}", reason or last_line(said))
    flags = re.match(r"\s*([0-9a-fA-F]{1,16})\s*$", output_of(captured, "flags"))
    if (flags and int(flags[1], 16) & TRANSLATED) or any("Translated" in each.code for each in tools):
        seen, advice = "the process that hung was translated by Rosetta", "use a darwin/arm64 toolchain on this Mac"
        yield MACOS.warn("hang: Rosetta", seen, advice)
    if loaded := foreign_libraries(tools):
        advice = "gobuild verify GO names what go itself links; the rest came by DYLD_INSERT_LIBRARIES, or by a tool"
        yield MACOS.warn("hang: libraries", f"loaded, and not by upstream Go: {'; '.join(loaded[:10])}", advice)
    if "during" in captured["accelerators"]:
        yield from ioreg.diagnose_hang(**captured["accelerators"], pid=captured["pid"])


def _read_stacks(captured: Mapping[str, Any]) -> list[Stacks]:
    return [reader(said) for name, reader in READERS.items() if (said := output_of(captured, name))]


def find_answer(captured: Mapping[str, Any]) -> Answer | None:
    """Where it hangs, by all that was captured of one process; None where no tool saw a thread."""
    return find_hang(_read_stacks(captured), traced=stacks.dtrace_told_all(output_of(captured, "dtrace")))
