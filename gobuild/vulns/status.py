"""What a database says of one toolchain or program: each vulnerability of its release, and whether that is open.

Whether a release is affected at all is decided as golang.org/x/vuln's internal/vulncheck does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from gobuild.core.goversion import GoVersion
from gobuild.core.manifest import unstructure
from gobuild.core.model import Check, Outcome, Report, State, Verdict
from gobuild.vulns.database import VulnerabilityDatabase, own_table
from gobuild.vulns.facts import AffectedModule, Vulnerability, VulnerablePackage, parse_time
from gobuild.vulns.ranges import semver, span_of

WRITERS = ("cmd/asm", "cmd/cgo", "cmd/compile", "cmd/link")
"""The tools that write a program's code: what they do wrong is in the program, which has none of their packages."""

IN_THE_SOURCE = (State.APPLIED, State.ALREADY_UPSTREAM)
"""What became of a patch whose change stands in the source."""


class Exposure(StrEnum):
    """Whether a vulnerability of a release is open in what was made of it."""

    AFFECTS = "affects"
    FIXED = "fixed by patch"
    NOT_THIS_TARGET = "not for this target"
    NOT_SHIPPED = "not in what ships"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is asked about."""

    name: str
    version: GoVersion
    goos: str
    goarch: str
    fixes: Mapping[str, tuple[str, ...]]  # of each patch that is in it, the ids and aliases that it says it fixes
    packages: frozenset[str] | None = None  # of a program, the packages that are linked in; None: all may be

    @property
    def target(self) -> str:
        """GOOS/GOARCH."""
        return f"{self.goos}/{self.goarch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityStatus:
    """One vulnerability of a release."""

    report: Vulnerability
    exposure: Exposure
    reason: str  # why it is not open
    modules: tuple[str, ...]
    packages: tuple[VulnerablePackage, ...]
    introduced: str  # semantic versions: of the span that holds the release
    fixed: str  # "" where no release has a fix yet
    patch: str = ""  # which fixed it

    @property
    def state(self) -> str:
        """In words."""
        return f"{self.exposure} {self.patch}" if self.patch else str(self.exposure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All vulnerabilities of a release, in the order of their ids."""

    subject: Subject
    database: VulnerabilityDatabase
    statuses: tuple[VulnerabilityStatus, ...]
    # Open by gobuild's own table, and not by this database, which lacks them or has them otherwise
    disputed: tuple[str, ...]
    unknown: tuple[tuple[str, str], ...]  # a patch, and what it says it fixes that no report is of
    # The newest patch release of the line that the database tells of, where it is newer, and how many it has
    newer: tuple[str, int] | None = None

    def of(self, exposure: Exposure) -> tuple[VulnerabilityStatus, ...]:
        """Those of one exposure."""
        return tuple(each for each in self.statuses if each.exposure is exposure)

    @property
    def open(self) -> tuple[str, ...]:
        """The ids of those that affect it, and of those that only gobuild's own table says do."""
        return (*(each.report.id for each in self.of(Exposure.AFFECTS)), *self.disputed)

    @property
    def summary(self) -> str:
        """How many, and how many of them are open, in a few words."""
        count = len(self.statuses)
        words = f"{count or 'no'} known vulnerabilit{'y' if count == 1 else 'ies'}"
        counts = {each: len(self.of(each)) for each in Exposure}
        said = [
            f"{counts[Exposure.FIXED]} fixed by patches",
            f"{counts[Exposure.NOT_THIS_TARGET]} not for {self.subject.target}",
            f"{counts[Exposure.NOT_SHIPPED]} not in what ships",
        ]
        return ", ".join([words, *(each for each in said if not each.startswith("0 "))])

    @property
    def line(self) -> str:
        """The summary, by which database, and what a newer patch release of the line has."""
        newer = f"; {self.newer[0]} has {self.newer[1]}" if self.newer else ""
        young = "" if self.statuses or self.database.knows(self.subject.version) else ", which tells of no Go this new"
        return f"{self.summary}, by {self.database.source} of {self.database.day}{young}{newer}"


def fixes_of(outcomes: tuple[Outcome, ...]) -> dict[str, tuple[str, ...]]:
    """What the patches say they fix whose change stands in the source."""
    return {each.name: each.fixes for each in outcomes if each.state in IN_THE_SOURCE and each.fixes}


def assess(database: VulnerabilityDatabase, subject: Subject) -> Assessment:
    """What a database says of a subject.

    gobuild's own table is asked besides: what is open by it and not by the database is told, unless the database says
    that it was withdrawn, or changed later than the table was made.
    """
    statuses = _statuses(database, subject)
    listed = {each.report.id for each in statuses if each.exposure in (Exposure.AFFECTS, Exposure.FIXED)}
    own, told = own_table(), database.reports
    disputed = [
        each.report.id
        for each in (() if database is own else _statuses(own, subject))
        if each.exposure is Exposure.AFFECTS and each.report.id not in listed and not _later(told, each.report.id)
    ]
    known = {name for each in database.reports.values() for name in (each.id, *each.aliases)}
    unknown = [(patch, name) for patch, names in subject.fixes.items() for name in names if name not in known]
    return Assessment(
        subject=subject,
        database=database,
        statuses=statuses,
        disputed=tuple(disputed),
        unknown=tuple(unknown),
        newer=_newer(database, subject),
    )


def _newer(database: VulnerabilityDatabase, subject: Subject) -> tuple[str, int] | None:
    line = [each for each in database.versions if each.startswith(f"{subject.version.line}.") and "-" not in each]
    newest = max((GoVersion.parse(each) for each in line), default=subject.version)
    if newest <= subject.version:
        return None
    return str(newest), len(_statuses(database, replace(subject, version=newest)))


def _later(reports: Mapping[str, Vulnerability], name: str) -> bool:
    """Whether a database has newer word of a report than gobuild's own table."""
    there = reports.get(name)
    if there is None:
        return False
    return not there.holds or parse_time(there.modified) > parse_time(own_table().date)


def _statuses(database: VulnerabilityDatabase, subject: Subject) -> tuple[VulnerabilityStatus, ...]:
    version = semver(subject.version)
    found = []
    for report in database.reports.values():
        if not report.holds:
            continue  # withdrawn: govulncheck passes over it, too
        spans = [(each, span) for each in report.affected if (span := span_of(version, each.spans))]
        if spans:
            found.append(_status(report, subject, [each for each, _ in spans], *spans[0][1]))
    return tuple(found)


def _status(
    report: Vulnerability, subject: Subject, affected: list[AffectedModule], introduced: str, fixed: str
) -> VulnerabilityStatus:
    names = {report.id, *report.aliases}
    patch = next((patch for patch, fixes in subject.fixes.items() if names & set(fixes)), "")
    packages = tuple(package for each in affected for package in each.packages)
    whole = any(not each.packages for each in affected)  # nothing is said of packages: all of the module
    here = [each for each in packages if each.concerns(subject.goos, subject.goarch)]
    linked = [each for each in here if _linked(each.path, subject.packages)]
    if patch:
        exposure, reason = Exposure.FIXED, f"the patch {patch} says so"
    elif not here and not whole:
        exposure = Exposure.NOT_THIS_TARGET
        reason = f"only on {', '.join(dict.fromkeys(each.platforms for each in packages))}"
    elif not linked and not whole:
        exposure = Exposure.NOT_SHIPPED
        reason = f"the program has nothing of {', '.join(dict.fromkeys(each.path for each in here))}"
    else:
        exposure, reason = Exposure.AFFECTS, ""
    return VulnerabilityStatus(
        report=report,
        exposure=exposure,
        reason=reason,
        patch=patch,
        modules=tuple(dict.fromkeys(each.module for each in affected)),
        packages=packages,
        introduced=introduced,
        fixed=fixed,
    )


def _linked(path: str, packages: frozenset[str] | None) -> bool:
    """Whether a package of Go's may be in a program that has these packages.

    An internal package moves from release to release, and a report names it as it is called in one of them: it counts
    as linked where anything is of the folder that it is internal to.
    """
    if packages is None or path in packages or path in WRITERS:
        return True
    around, internal, _ = f"{path}/".rpartition("internal/")
    return bool(internal) and any(f"{each}/".startswith(around) for each in packages)


def as_report(found: Assessment) -> Report:
    """The same as checks, for reports: what is open has failed, what is not for here is skipped."""
    return Report(checks=tuple(_checks(found)))


def _checks(found: Assessment) -> Iterator[Check]:
    verdicts = {Exposure.AFFECTS: Verdict.FAILED, Exposure.FIXED: Verdict.OK}
    subject = f"Go {found.subject.version}"
    for each in found.statuses:
        where = ", ".join(dict.fromkeys(package.path for package in each.packages)) or ", ".join(each.modules)
        yield Check(
            subject=found.subject.name,
            name=each.report.id,
            verdict=verdicts.get(each.exposure, Verdict.SKIPPED),
            seen=f"{subject} has it in {where} ({', '.join(each.report.aliases) or 'no alias'})"
            + (f": {each.reason}" if each.reason else ""),
            expected=f"Go {each.fixed}" if each.fixed and each.exposure is Exposure.AFFECTS else "",
        )
    for name in found.disputed:
        yield Check(
            subject=found.subject.name,
            name=name,
            verdict=Verdict.FAILED,
            seen=f"open by gobuild's own table of {own_table().day}, and not by {found.database.source}",
        )


def as_document(found: Assessment) -> dict[str, object]:
    """The same for machines."""
    return {
        "subject": found.subject.name,
        "go": str(found.subject.version),
        "target": found.subject.target,
        "database": {"source": found.database.source, "date": found.database.date},
        "counts": {str(each): len(found.of(each)) for each in Exposure},
        "disputed": list(found.disputed),
        "vulnerabilities": [
            {
                "id": each.report.id,
                "aliases": list(each.report.aliases),
                "state": str(each.exposure),
                "patch": each.patch,
                "reason": each.reason,
                "modules": list(each.modules),
                "packages": unstructure(each.packages),
                "introduced": each.introduced,
                "fixed": each.fixed,
                "links": [{"kind": kind, "url": url} for kind, url in each.report.links],
            }
            for each in found.statuses
        ],
    }
