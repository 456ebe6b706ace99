"""What a person sees of a result."""

import dataclasses
import json

from gobuild.console import Console, amount, clock
from gobuild.measure import peak_memory
from gobuild.model import Check, Report, Verdict
from gobuild.pipeline import Built
from gobuild.plan import Plan


def plan(console: Console, plan: Plan) -> None:
    """The plan, a row a stage."""
    console.table(f"{plan.stamp} for {plan.target}", ("stage", "what"), plan.rows())


def report(console: Console, report: Report) -> None:
    """The report: what passed or was skipped in one row a check, however many files; what failed in a row a file."""
    groups: dict[tuple[str, ...], list[Check]] = {}
    for check in report.checks:
        apart = {Verdict.OK: "", Verdict.SKIPPED: check.seen, Verdict.FAILED: check.subject}[check.verdict]
        groups.setdefault((check.name, check.verdict, apart), []).append(check)
    rows = []
    for (name, verdict, _), checks in groups.items():
        first = checks[0]
        where = first.subject if len(checks) == 1 else f"{len(checks)} files"
        rows.append(
            (name, verdict, where, f"{first.seen}; expected {first.expected}" if first.expected else first.seen)
        )
    console.table("checks", ("check", "verdict", "where", "seen"), rows)


def built(console: Console, built: Built) -> None:
    """All that a run did: patches, checks, time, and what stands in dist/."""
    patched = built.toolchain.source
    rows = [(outcome.name, str(outcome.state), outcome.evidence) for outcome in patched.outcomes]
    console.table("patches", ("patch", "state", "evidence"), rows)
    report(console, built.report)
    _time(console, built)
    files = [(artifact.path.name, amount(artifact.size), artifact.sha256) for artifact in built.artifacts]
    console.table(f"in {built.artifacts[0].path.parent}", ("file", "size", "sha256"), files)
    console.say(f"{patched.stamp} for {built.toolchain.target}: {built.toolchain.profile.says}.", style="bold")


def _time(console: Console, built: Built) -> None:
    spent = built.clock
    rows = [(name, clock(seconds), f"{seconds / spent.total:.1%}") for name, seconds in spent.stages.items()]
    rows += [
        (f"  {name} alone", clock(seconds), f"{seconds / spent.total:.1%}") for name, seconds in spent.programs.items()
    ]
    console.table("time", ("stage", "wall", "share"), rows)
    console.say(
        f"everything around {' and '.join(spent.programs)}: {spent.around / spent.total:.1%} of {clock(spent.total)}; "
        f"peak memory of this process {peak_memory() >> 20} MiB"
    )


def as_json(report: Report) -> None:
    """The report for machines, on standard output."""
    print(json.dumps({"ok": report.ok, "checks": [dataclasses.asdict(check) for check in report.checks]}, indent=2))
