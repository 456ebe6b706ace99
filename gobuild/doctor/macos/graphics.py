"""The Mac's graphics accelerators before a go command runs, and while one hangs: a topic over `ioreg`.

A GPU driver that never comes to rest makes whoever asks IOKit for it wait; and a go command that has an accelerator
open is not upstream's. Kept are the figures of the accelerators, and of the processes that use them the hanging one.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import cattrs

from gobuild.core.process import Runner
from gobuild.doctor.macos import asking
from gobuild.doctor.macos.asking import ask, found, skipped, why_skipped, words
from gobuild.doctor.macos.ioreg import Accelerator, changes, number_of, read, shown
from gobuild.doctor.model import Finding, Grade, Job

_PLAIN = cattrs.Converter(detailed_validation=False)

WORDS = ("/usr/sbin/ioreg", "-r", "-l", "-w", "0", "-c", "IOAccelerator")
BEFORE = "accelerators-before.json"
"""Where `begin` leaves its snapshot, in the scratch folder."""


def begin(job: Job, *, run: Runner) -> dict[str, Any]:
    """Takes a snapshot before any go runs, and leaves it in the scratch folder: a topic of its own, the first."""
    if not asking.here():
        return {}
    (job.scratch / BEFORE).write_text(json.dumps(_snapshot(job, run=run)), encoding="utf-8")
    return {}


def silent(part: Mapping[str, Any]) -> Iterator[Finding]:  # noqa: ARG001  (a topic's signature)
    """Says nothing: what `begin` saw is told by `diagnose`, in its place behind the other topics."""
    yield from ()


def collect(job: Job, *, run: Runner) -> dict[str, Any]:  # noqa: ARG001  (a topic's signature)
    """Hands on what `begin` saw; runs nothing."""
    return _before(job) if asking.here() else dict(asking.NOT_HERE)


def during(pid: int, job: Job, *, run: Runner) -> dict[str, Any]:
    """The snapshot that `begin` took, and one of now, while process `pid` hangs."""
    return {"pid": pid, "before": _before(job), "during": _snapshot(job, run=run, pid=pid)}


def _before(job: Job) -> dict[str, Any]:
    try:
        found = json.loads((job.scratch / BEFORE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, dict) else {"skipped": "no snapshot was taken before go ran"}


def _snapshot(job: Job, *, run: Runner, pid: int = 0) -> dict[str, Any]:
    """The accelerators as plain data; of who has them open only the number, and whether `pid` has."""
    said = ask(WORDS, job=job, run=run, seconds=4)
    if "text" not in said:
        return said
    try:
        nodes = read(said["text"].encode())
    except ValueError as error:
        return {"skipped": f"ioreg: {error}"}
    own = f"pid {pid},"
    return {
        "nodes": [asdict(each) | {"clients": [name for name in each.clients if name.startswith(own)]} for each in nodes]
    }


def _nodes(part: object) -> tuple[Accelerator, ...]:
    """The accelerators of a snapshot in the evidence; none where they have not the right form."""
    listed = part.get("nodes") if isinstance(part, Mapping) else None
    try:
        return _PLAIN.structure(listed or [], tuple[Accelerator, ...])[:50]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says what state each accelerator is in."""
    yield from skipped("accelerators", part)
    nodes = _nodes(part)
    if not nodes and not why_skipped(part):
        yield found("accelerators", Grade.SKIPPED, words(part)[:200] or "ioreg knows no accelerator")
    for each in nodes:
        seen = f"{each.kind} {each.model}: busy {shown(each.busy)}, power state {shown(each.power)}"
        seen += f" of {shown(each.power_max)}, probe score {shown(each.score)}"
        yield found(
            f"accelerator {each.name}",
            Grade.WARN if each.busy else Grade.OK,
            seen,
            "its driver is still being started: what asks IOKit for it waits so long. Wait, or restart the Mac"
            if each.busy
            else "",
        )


def of_a_hang(part: Mapping[str, Any], captured: object) -> Iterator[Finding]:
    """Says what the accelerators did while a process hung, and whether it had one open."""
    before, now = part.get("before"), part.get("during")
    for reason in (why_skipped(each) for each in (before, now) if part.get("during") is not None):
        if reason:
            yield found("hang: accelerators", Grade.SKIPPED, reason)
            return
    if now is None:
        return
    nodes = _nodes(now)
    pid = number_of(captured.get("pid")) if isinstance(captured, Mapping) else None
    users = [each.name for each in nodes if each.clients or (pid and each.statistics.get("fLastSubmissionPID") == pid)]
    if users:
        yield found(
            "hang: GPU",
            Grade.FAIL,
            f"the process that hung had {', '.join(users)} open, or was the last to give it work",
            "upstream Go uses no GPU: gobuild verify GO names what this one links",
        )
    different = [f"{each.node}: {each.what} {each.before} -> {each.after}" for each in changes(_nodes(before), nodes)]
    seen = "; ".join(different[:30]) or "no difference to before"
    yield found("hang: accelerators", Grade.OK, seen)
