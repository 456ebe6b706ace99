"""What a person sees of a result."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gobuild.core.console import Console, amount, clock
from gobuild.core.errors import first_few
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Check, Outcome, Report, State, Verdict
from gobuild.core.printable import printable

if TYPE_CHECKING:  # a task imports what it runs when it runs
    from gobuild.audit.identify import Identity
    from gobuild.patch import Matrix, PatchRow
    from gobuild.pipeline.delivery import Built
    from gobuild.pipeline.plan import Plan
    from gobuild.publish.site import Published
    from gobuild.vulns.status import Assessment, VulnerabilityStatus

CELLS = {
    "applied": ("applied", "it fits, and would be applied"),
    "nothing to do": ("nothing", "nothing to do: what it removes is not there"),
    "already upstream": ("upstream", "already upstream: the source has exactly what it would write"),
    "conflict": ("conflict", "it does not fit: a build would stop"),
    "not for this version": ("—", "not for this version: no variant of it is"),
}
"""For each state, what a cell of the matrix says, and what that means."""


def plan(console: Console, plan: Plan) -> None:
    """The plan, a row a stage."""
    console.table(f"{plan.stamp} for {plan.target}", ("stage", "what"), plan.rows())


def report(console: Console, report: Report) -> None:
    """The report: what passed or was skipped in one row a check, however many files; what failed in a row a file."""
    from gobuild.verify.report import printable_report

    groups: dict[tuple[str, ...], list[Check]] = {}
    for check in printable_report(report).checks:
        apart = {Verdict.OK: "", Verdict.SKIPPED: check.seen, Verdict.FAILED: check.subject}[check.verdict]
        groups.setdefault((check.name, check.verdict, apart, check.reason), []).append(check)
    rows = []
    for (name, verdict, _, reason), checks in groups.items():
        first = checks[0]
        where = first.subject if len(checks) == 1 else f"{len(checks)} files"
        seen = f"{first.seen}; expected {first.expected}" if first.expected else first.seen
        if reason:
            allowed = f"allowed by policy ({first.severity})" if first.allowed else "policy"
            seen += f"\n{allowed}: {reason}"
        rows.append((name, verdict, where, seen))
    console.table("checks", ("check", "verdict", "where", "seen"), rows)
    if report.allowed:
        console.warn(f"{len(report.allowed)} failed, and the policy allows it")


def built(console: Console, built: Built) -> None:
    """All that a run did: patches, checks, time, and what stands in dist/."""
    patched = built.toolchain.source
    rows = [(outcome.name, str(outcome.state), outcome.evidence) for outcome in patched.outcomes]
    console.table("patches", ("patch", "state", "evidence"), rows)
    report(console, built.report)
    if not built.kept:
        _time(console, built)
    files = [(artifact.path.name, amount(artifact.size), artifact.sha256) for artifact in built.artifacts]
    console.table(f"in {built.artifacts[0].path.parent}", ("file", "size", "sha256"), files)
    exposure(console, built.vulnerabilities)
    console.say(f"{patched.stamp} for {built.toolchain.target}: {built.toolchain.profile.says}.", style="bold")
    if built.kept:
        console.say(
            f"built {built.kept} by {built.toolchain.builder}, and taken from the store, every digest checked; "
            "--fresh builds it again"
        )


def _time(console: Console, built: Built) -> None:
    from gobuild.pipeline.timing import peak_memory

    spent = built.clock
    rows = [(name, clock(seconds), f"{seconds / spent.total:.1%}") for name, seconds in spent.stages.items()]
    rows += [
        (f"  {name} alone", clock(seconds), f"{seconds / spent.total:.1%}") for name, seconds in spent.programs.items()
    ]
    console.table("time", ("stage", "wall", "share"), rows)
    console.say(
        f"everything around {', '.join(spent.programs)}: {spent.around / spent.total:.1%} of {clock(spent.total)}; "
        f"peak memory of this process {peak_memory() >> 20} MiB"
    )


def as_json(report: Report, of: str) -> None:
    """The report for machines, on standard output."""
    from gobuild.verify.report import printable_report, render_json

    print(render_json(printable_report(report), printable(of)), end="")


def each(console: Console, report: Report) -> None:
    """The report, a row a check: each is of another file, with a digest of its own. A table for each release."""
    releases = dict.fromkeys(check.subject.partition("/")[0] for check in report.checks)
    for release in releases:
        rows = [
            (name, check.name, check.verdict, check.seen + (f"; expected {check.expected}" if check.expected else ""))
            for check in report.checks
            for top, _, name in [check.subject.partition("/")]
            if top == release
        ]
        console.table(release, ("file", "check", "verdict", "seen"), rows)


def published(console: Console, made: Published) -> None:
    """What a tree offers now, and what is new in it."""
    new = {(offer.stamp, offer.target) for offer in made.added}
    rows = [
        (offer.stamp, str(offer.target), "new" if (offer.stamp, offer.target) in new else "as before")
        for offer in made.catalogue.builds
    ]
    console.table(f"on offer in {made.site}", ("release", "target", ""), rows)
    if not made.changed:
        console.say("nothing changed")
    for stamp in made.unsigned:
        console.warn(f"{stamp} is not signed: nobody who receives it can tell whose it is (--sign-key, --gpg-user)")
    console.say(f"serve {made.site} as {made.catalogue.base_url}")


def matrix(console: Console, matrix: Matrix) -> None:
    """Patches by versions; what the words mean; and the evidence of all that did not simply apply."""
    rows = [
        (
            f"{row.patch.name} (optional)" if row.patch.optional else row.patch.name,
            *(CELLS[outcome.state][0] for outcome in row.outcomes),
        )
        for row in matrix.rows
    ]
    title = f"{matrix.series} for {matrix.target}, profile {matrix.profile}"
    console.table(title, ("patch", *map(str, matrix.versions)), rows)
    there = {outcome.state for row in matrix.rows for outcome in row.outcomes}
    console.say("; ".join(f"{cell}: {meaning}" for state, (cell, meaning) in CELLS.items() if state in there))
    if matrix.left_out:
        console.say(f"for other targets or profiles: {', '.join(matrix.left_out)}")
    for row in matrix.rows:
        for versions, outcome in _notable(matrix, row):
            names = ", ".join(map(str, versions))
            bad = outcome.state is State.CONFLICT
            console.say(f"{row.patch.name} on {names}: {outcome.evidence}", style="red" if bad else "")


def _notable(matrix: Matrix, row: PatchRow) -> list[tuple[list[GoVersion], Outcome]]:
    """The outcomes of a row that want a word: those that did not apply, or not where the diff said.

    Outcomes of one state and like words (but for their numbers) are told once, with the newest version's evidence.
    """
    groups: dict[tuple[State, str], tuple[list[GoVersion], Outcome]] = {}
    for version, outcome in zip(matrix.versions, row.outcomes, strict=True):
        if outcome.state is State.APPLIED and " moved)" not in outcome.evidence:
            continue
        alike = "" if outcome.state is State.NOTHING_TO_DO else re.sub(re.escape(str(version)), "", outcome.evidence)
        versions = [*groups.get((outcome.state, alike), ([], outcome))[0], version]
        groups[outcome.state, alike] = (versions, outcome)
    return list(groups.values())


def identity(console: Console, found: Identity) -> None:
    """Which Go something is, and with which patches."""
    rows = [("of", found.subject), ("toolchain", found.stamp)]
    rows += [("program", found.program)] if found.program else []
    rows += [("release", found.release or "none"), ("suffix", found.suffix or "none")]
    rows += [("digest", found.digest)] if found.digest else []
    console.table("identity", ("", ""), rows)
    if found.patches:
        told = [(each.name, each.state or "not recorded", each.evidence or each.reason) for each in found.patches]
        console.table("patches", ("patch", "state", "evidence, or reason"), told)
    elif found.patches is not None:
        console.say("no patches")
    console.say(found.says, style="" if found.known_by else "yellow")


def exposure(console: Console, found: Assessment) -> None:
    """How many known vulnerabilities a release has, and whether its line gets fixes: a line each."""
    from gobuild.vulns.support import support_of

    version = found.subject.version
    console.say(f"{found.line}; gobuild vulns --go {version}", style="yellow" if found.open else "")
    if (support := support_of(version)) and support.ended:
        console.warn(str(support))


def vulnerabilities(console: Console, found: Assessment, told: str = "") -> None:
    """The known vulnerabilities of a release, a row each, and how many are open; `told` says how its patches are known.

    A row without symbols is of all that its packages have.
    """
    from gobuild.vulns.database import own_table
    from gobuild.vulns.support import support_of

    subject = found.subject
    rows = [
        (
            each.report.id,
            "\n".join(each.report.aliases),
            each.state + (f": {each.reason}" if each.reason and not each.patch else ""),
            "\n".join(_packages(each)),
            f"{each.introduced} to {each.fixed or 'now'}",
            "\n".join(each.report.fixes),
        )
        for each in found.statuses
    ]
    if rows:
        columns = ("id", "aliases", "state", "package: symbols", "from, to before", "fix")
        console.table(f"{subject.name} ({subject.target})", columns, rows)
    console.say(f"{subject.name}: {found.line}", style="bold")
    for line in (told, support_of(subject.version)):
        if line:
            console.say(str(line))
    for patch, name in found.unknown:
        console.warn(f"the patch {patch} says that it fixes {name}, and the database has no such report")
    if found.disputed:
        names = ", ".join(first_few(found.disputed, 12))
        console.warn(f"open by gobuild's own table of {own_table().day}, and not by this database: {names}")


def _packages(status: VulnerabilityStatus) -> list[str]:
    if not status.packages:
        return list(status.modules)
    return [
        f"{each.path}{': ' if each.symbols else ''}{', '.join(first_few(each.symbols, 3))}" for each in status.packages
    ]


def document(document: Mapping[str, Any]) -> None:
    """Anything for machines, on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def matrix_page(matrix: Matrix) -> str:
    """The same as a web page that loads nothing."""
    from gobuild.core.render import render

    return render("status.html.j2", html=True, document=matrix.to_json(), cells=CELLS)
