"""What a person sees of a result."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gobuild.core import resources
from gobuild.core.console import Console, amount, clock, counted
from gobuild.core.errors import first_few
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Check, Outcome, Report, State, Verdict
from gobuild.core.printable import printable

if TYPE_CHECKING:  # a task imports what it runs when it runs
    from gobuild.acceptance import Acceptance
    from gobuild.audit.identify import Identity
    from gobuild.patch import Matrix, PatchRow
    from gobuild.patch.workbench.export import Export
    from gobuild.pipeline.delivery import Built
    from gobuild.pipeline.plan import Plan
    from gobuild.publish.site import Published
    from gobuild.vulns.status import Assessment, VulnerabilityStatus

CELLS = {
    "applied": ("applied", "it fits, and would be applied"),
    "nothing to do": ("nothing", "nothing to do: what it removes is not there"),
    "already upstream": ("upstream", "already upstream: the source has exactly what it would write"),
    "conflict": ("conflict", "it does not fit: a build would stop"),
    "unreadable": ("unreadable", "its file cannot be read: a build would not begin"),
    "not for this version": ("—", "not for this version: no variant of it is"),
}
"""For each state, what a cell of the matrix says, and what that means."""


def plan(console: Console, plan: Plan, forecast: list[tuple[str, str]], known: list[str], then: str) -> None:
    """The plan, a row a stage; by which builder, whether the store has it, and what is `known` of the release."""
    console.table(f"{plan.stamp} for {plan.target}", ("stage", "what"), plan.rows())
    lines = [f"{name:<8} {what}" for name, what in forecast]
    console.verdict(f"{plan.stamp} for {plan.target} can be built", *lines, *known, then=then)


def counts(report: Report) -> str:
    """The checks in numbers."""
    failed = f"{len(report.failed) + len(report.allowed)} failed"
    passed, skipped = (
        sum(each.verdict is verdict for each in report.checks) for verdict in (Verdict.OK, Verdict.SKIPPED)
    )
    allowed = f", {len(report.allowed)} of them allowed by the policy" if report.allowed else ""
    return f"{counted(passed, 'check')} passed, {skipped} skipped, {failed}{allowed}"


def report(console: Console, report: Report) -> None:
    """What failed, a row a file; with details also what passed or was skipped, a row a check."""
    from gobuild.verify.report import printable_report

    groups: dict[tuple[str, ...], list[Check]] = {}
    for check in printable_report(report).checks:
        if not console.details and check.verdict is not Verdict.FAILED:
            continue
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
    if rows:
        console.table("checks", ("check", "verdict", "where", "seen"), rows)
    if report.allowed:
        console.warn(f"{len(report.allowed)} failed, and the policy allows it")


def built(console: Console, built: Built) -> None:
    """What a run made; with details also all patches, checks and files, and where the time went."""
    patched, toolchain, files = built.toolchain.source, built.toolchain, built.artifacts
    if console.details:
        rows = [(outcome.name, str(outcome.state), outcome.evidence) for outcome in patched.outcomes]
        console.table("patches", ("patch", "state", "evidence"), rows)
    report(console, built.report)
    if console.details:
        if not built.kept:
            _time(console, built)
        listed = [(artifact.path.name, amount(artifact.size), artifact.sha256) for artifact in files]
        console.table(f"in {files[0].path.parent}", ("file", "size", "sha256"), listed)
    states = Counter(str(outcome.state) for outcome in patched.outcomes)
    paths = {artifact.kind: (_short(artifact.path), amount(artifact.size)) for artifact in files}
    archive = paths["toolchain"][0]
    lines = [
        f"patches: {', '.join(f'{count} {state}' for state, count in states.items()) or 'none'}",
        f"{counts(built.report)}; {toolchain.profile.says}",
        *exposure(built.vulnerabilities),
        *(f"{path}  {size}" for path, size in (paths["toolchain"], paths["manifest"])),
    ]
    if built.kept:
        by = f"built {built.kept} by {toolchain.builder}"
        lines.insert(0, f"{by}, and taken from the store, every digest checked; --fresh builds it again")
    if not console.details:
        lines.append("--details shows every patch, check and file")
    then = ["gobuild publish --to site --base-url https://…"]
    if toolchain.target == toolchain.host:
        then.insert(0, f"mkdir -p ~/sdk && tar -C ~/sdk -xzf {archive} && ~/sdk/go/bin/go version")
    how = "from the store" if built.kept else f"built by {toolchain.builder} in {clock(built.clock.total)}"
    console.verdict(f"{patched.stamp} for {toolchain.target}, {how}", *lines, then="\n".join(then))


def _short(path: Path) -> Path:
    """A path as it can be typed here."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def shares(seconds: Iterable[float]) -> list[str]:
    """The part of each in all of them, in percent with a decimal; together they are 100.0 %, also as rounded."""
    ends = list(accumulate(seconds))
    marks = [round(1000 * end / ends[-1]) if ends[-1] else 0 for end in ends]
    return [f"{(mark - before) / 10:.1f} %" for before, mark in pairwise([0, *marks])]


def _time(console: Console, built: Built) -> None:
    from gobuild.pipeline.timing import peak_memory

    spent = built.clock
    stages = zip(spent.stages.items(), shares(spent.stages.values()), strict=True)
    rows = [(name, clock(seconds), share) for (name, seconds), share in stages]
    console.table("time", ("stage", "wall", "share"), [*rows, ("all", clock(spent.total), "100.0 %")])
    inside = ", ".join(f"{name} {clock(seconds)}" for name, seconds in spent.programs.items())
    console.say(
        f"of that in programs: {inside} (distpack runs beside verify); everything around {', '.join(spent.programs)}: "
        f"{spent.around / spent.total:.1%} of {clock(spent.total)}; "
        f"peak memory of this process {peak_memory() >> 20} MiB"
    )


def as_json(report: Report, of: str) -> None:
    """The report for machines, on standard output."""
    from gobuild.verify.report import printable_report, render_json

    print(render_json(printable_report(report), printable(of)), end="")


def each(console: Console, report: Report) -> None:
    """What failed, and with details all, a row a check: each is of another file. A table for each release."""
    shown = [each for each in report.checks if console.details or each.verdict is Verdict.FAILED]
    for release in dict.fromkeys(check.subject.partition("/")[0] for check in shown):
        rows = [
            (name, check.name, check.verdict, check.seen + (f"; expected {check.expected}" if check.expected else ""))
            for check in shown
            for top, _, name in [check.subject.partition("/")]
            if top == release
        ]
        console.table(release, ("file", "check", "verdict", "seen"), rows)


def published(console: Console, made: Published) -> None:
    """What a tree offers now, and what is new in it."""
    new = {(offer.stamp, offer.target) for offer in made.added}
    if console.details or new:
        rows = [
            (offer.stamp, str(offer.target), "new" if (offer.stamp, offer.target) in new else "was there")
            for offer in made.catalogue.builds
            if console.details or (offer.stamp, offer.target) in new
        ]
        console.table(f"published in {made.site}", ("release", "target", "change"), rows)
    for stamp in made.unsigned:
        console.warn(f"{stamp} is not signed: users cannot verify who published it (--sign-key, --gpg-user)")
    count, url = len(made.catalogue.builds), made.catalogue.base_url
    changed = "" if new else "; the files around them were written anew" if made.changed else "; nothing changed"
    console.verdict(
        f"{len(new)} of {counted(count, 'build')} new{changed}{'' if made.unsigned else '; every release is signed'}",
        str(made.site),
        f"serve it as {url}",
        then=f"gobuild verify-release {url} --key minisign.pub",
    )


def matrix(console: Console, matrix: Matrix) -> None:
    """Patches by versions; what the words mean; and the evidence of all that did not simply apply."""
    rows = [
        (
            f"{row.patch.name} (optional)" if row.patch.optional else row.patch.name,
            *(CELLS[outcome.state][0] for outcome in row.outcomes),
        )
        for row in matrix.rows
    ]
    stock = Path(matrix.series).resolve() == resources.folder("patches").resolve()
    series = "stock" if stock else matrix.series
    title = f"{series} for {matrix.target}, profile {matrix.profile}"
    console.table(title, ("patch", *map(str, matrix.versions)), rows)
    there = {outcome.state for row in matrix.rows for outcome in row.outcomes if outcome.state is not State.APPLIED}
    if there:
        console.say("; ".join(f"{cell}: {meaning}" for state, (cell, meaning) in CELLS.items() if state in there))
    if matrix.left_out:
        console.say(f"for other targets or profiles: {', '.join(matrix.left_out)}")
    if matrix.without:
        console.say(f"left out of the stock series: {', '.join(matrix.without)}")
    for note in matrix.notes:
        console.say(note, style="dim")
    for unreadable in matrix.unreadable:
        console.say(f"{unreadable.name}: {unreadable.evidence}", style="red")
    for row in matrix.rows:
        for versions, outcome in _notable(matrix, row):
            names = ", ".join(map(str, versions))
            bad = outcome.state is State.CONFLICT
            console.say(f"{row.patch.name} on {names}: {outcome.evidence}", style="red" if bad else "")
    if not matrix.conflicts:
        many = len(matrix.versions)
        on = f"each of {many} versions of Go" if many > 1 else f"Go {matrix.versions[0]}"
        console.verdict(
            f"no conflict: {counted(len(matrix.rows), 'patch', 'patches')} on {on}",
            then=f"gobuild build --series {series}",
        )


def _notable(matrix: Matrix, row: PatchRow) -> list[tuple[list[GoVersion], Outcome]]:
    """The outcomes of a row that want a word: those that did not apply, or not where the diff said.

    Outcomes of one state and like words (but for their numbers) are told once, with the newest version's evidence.
    """
    groups: dict[tuple[State, str], tuple[list[GoVersion], Outcome]] = {}
    for version, outcome in zip(matrix.versions, row.outcomes, strict=True):
        if outcome.state is State.UNREADABLE:
            continue  # the same on every version
        if outcome.state is State.APPLIED and " moved)" not in outcome.evidence and "VERSION" not in outcome.files:
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
    if found.known_by:
        console.verdict(found.says)
    else:
        console.warn(found.says)


def acceptance(console: Console, found: Acceptance) -> None:
    """What tests say of patches: a row each."""
    rows = [
        (
            ", ".join(row.patches),
            row.test or "—",
            row.verdict.value,
            row.detail,
            clock(row.seconds) if row.seconds else "",
        )
        for row in found.rows
    ]
    console.table(f"patches tested on Go {found.version}", ("patch", "test", "verdict", "more", "time"), rows)


def exported(console: Console, found: Export, *, add: bool) -> None:
    """What was written to a series."""
    console.say(f"{len(found.unchanged)} unchanged: {', '.join(found.unchanged) or 'none'}")
    for name in found.texts:
        console.say(f"wrote {found.series.folder / name}", style="green")
    for note in found.notes:
        console.warn(note)
    if found.entries and add:
        console.say(f"added to the series: {len(found.entries)}")
    elif found.entries:
        console.warn("the series does not list these yet (--add does it, at its end):")
        for each in found.entries:
            console.say(f"\n{each.rstrip()}")


def exposure(found: Assessment) -> list[str]:
    """How many known vulnerabilities a release has, and that its line gets no fixes: a line each."""
    from gobuild.vulns.support import support_of

    version = found.subject.version
    support = support_of(version)
    return [f"{found.line}; gobuild vulns --go {version}", *([str(support)] if support and support.ended else [])]


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
