"""The known vulnerabilities of what is built.

By gobuild's own table, or the cache's copy of vuln.go.dev where that is newer: no server is asked.
"""

from collections.abc import Mapping

from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import KnownVulnerabilities, VulnerabilityRecord
from gobuild.core.model import PatchedSource
from gobuild.core.settings import Settings
from gobuild.pipeline.session import Prepared
from gobuild.vulns.mirror import newest_known
from gobuild.vulns.status import Assessment, Subject, assess, fixes_of


def assess_planned(prepared: Prepared) -> Assessment:
    """Those of what would be built, if its patches apply."""
    fixes = {each.name: each.fixes for each in prepared.patches if each.fixes}
    return _assess(prepared.settings, prepared.plan.release.version, prepared.plan.target, fixes)


def assess_patched(settings: Settings, patched: PatchedSource, target: Target) -> Assessment:
    """Those of what was built."""
    return _assess(settings, patched.source.release.version, target, fixes_of(patched.outcomes))


def _assess(settings: Settings, version: GoVersion, target: Target, fixes: Mapping[str, tuple[str, ...]]) -> Assessment:
    subject = Subject(name=f"Go {version}", version=version, goos=target.goos, goarch=target.goarch, fixes=fixes)
    return assess(newest_known(settings.cache), subject)


def record(found: Assessment) -> KnownVulnerabilities:
    """The same for the manifest."""
    return KnownVulnerabilities(
        database=found.database.source,
        date=found.database.date,
        known=tuple(
            VulnerabilityRecord(
                id=each.report.id,
                aliases=each.report.aliases,
                state=str(each.exposure),
                patch=each.patch,
                reason=each.reason,
                modules=each.modules,
            )
            for each in found.statuses
        ),
    )
