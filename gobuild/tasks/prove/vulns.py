"""The task `vulns`: the known vulnerabilities of a release with its patches, of a toolchain, a program or a site."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, FetchError, VulnerabilityError, first_few
from gobuild.core.goversion import GoVersion
from gobuild.core.settings import Settings
from gobuild.tasks import show
from gobuild.tasks.words import file_to_write, settings_of, with_settings

if TYPE_CHECKING:
    from gobuild.vulns.database import VulnerabilityDatabase
    from gobuild.vulns.status import Assessment, Subject

POLICIES = ("any", "unpatched")

PAGES = "https://pkg.go.dev/vuln/"
"""Where each vulnerability has a page, by its id."""


@with_settings(help={"go": "which Go: 1.22.10, 1.28rc1, or the newest that gobuild knows of 1.22, stable, oldstable"})
def vulns(
    context: Context,
    *,
    path: Annotated[str, "a toolchain, a program that it built, a published site or dist/, instead of a release"] = "",
    target: Annotated[str, "what it runs on, any GOOS/GOARCH of Go's; of a path, by default what it is for"] = "",
    db: Annotated[str, "another database: a report, a folder or ZIP of them, or an address: https://vuln.go.dev"] = "",
    json: Annotated[bool, "print all of it as JSON"] = False,
    sarif: Annotated[str, "write what is open as SARIF to this file"] = "",
    fail_on: Annotated[str, "any: fail on any that concerns the target; unpatched: only on those no patch fixes"] = "",
    **words: object,
) -> None:
    """Lists the known vulnerabilities of a Go release or program.

    Patches that say what they fix are taken into account.

    Example: gobuild vulns --go 1.22.10 --target linux/amd64
    """
    from gobuild.vulns.status import as_document, assess

    if fail_on and fail_on not in POLICIES:
        raise ConfigError(f"no policy {fail_on!r}", "--fail-on any, or --fail-on unpatched")
    if words.get("go") and path:
        raise ConfigError("--go and --path were both given", "one of them: a release, or what was made of one")
    settings, to = settings_of(context, words), file_to_write(sarif, "--sarif")
    database = _database(db, settings)
    asked = list(_of_path(Path(path), target, settings) if path else _of_release(target, settings))
    found = [assess(database, subject) for subject, _ in asked]
    failed = [name for each in found for name in _against(each, fail_on)]
    if to:
        files.write(to, _sarif(found, VulnerabilityError.exit_code if failed else 0))
    if json:
        show.document({"schema": 1, "subjects": [as_document(each) for each in found]})
    else:
        for each, (_, told) in zip(found, asked, strict=True):
            show.vulnerabilities(Console(), each, told)
    if failed:
        raise VulnerabilityError(
            f"{len(failed)} known vulnerabilities, and --fail-on {fail_on} allows none: {', '.join(first_few(failed))}",
            "a newer --go, or patches whose entries in series.toml say fixes = [...]",
        )


def _against(found: "Assessment", policy: str) -> list[str]:
    from gobuild.vulns.status import Exposure

    fixed = [each.report.id for each in found.of(Exposure.FIXED)] if policy == "any" else []
    return sorted((*found.open, *fixed)) if policy else []


def _sarif(found: "list[Assessment]", code: int) -> str:
    from gobuild.core.model import Report
    from gobuild.core.printable import printable
    from gobuild.verify.report import printable_report
    from gobuild.verify.report.sarif import render_sarif
    from gobuild.vulns.status import as_report

    checks = tuple(check for each in found for check in as_report(each).checks)
    of = printable(", ".join(each.subject.name for each in found))
    return render_sarif(printable_report(Report(checks=checks)), of, task="vulns", code=code, rules_at=PAGES)


def _database(word: str, settings: Settings) -> "VulnerabilityDatabase":
    from gobuild.vulns import mirror
    from gobuild.vulns.database import open_database

    if not word:
        return mirror.newest_known(settings.cache)
    if not word.startswith(("https://", "http://")):
        return open_database(Path(word.removeprefix("file://")).expanduser())
    from gobuild.fetch import http

    name = http.redact_url(word)
    if not settings.offline:
        return mirror.refresh(word, settings.cache, http.fetch_document, source=name)
    if kept := mirror.cached_database(word, settings.cache, source=name):
        return kept
    raise FetchError(f"the cache has no copy of {name}", "without --offline, or without --db: gobuild's own table")


def _of_path(path: Path, target: str, settings: Settings) -> "list[tuple[Subject, str]]":
    from gobuild.audit.exposure import of_path
    from gobuild.patch import load_series

    series = [load_series(name) for name in dict.fromkeys((settings.series, "stock"))]
    platform = _platform(target) if target else None
    return list(of_path(path.expanduser(), target=platform, dist=settings.dist, series=series))


def _of_release(target: str, settings: Settings) -> "list[tuple[Subject, str]]":
    from gobuild.core.goversion import TARGETS, Target
    from gobuild.patch import load_series
    from gobuild.vulns.status import Subject

    version, (goos, goarch) = _version(settings), _platform(target or settings.target)
    # What programs run on may be more than what a toolchain is built for, whose patches are in it all the same.
    named = Target(goos=goos, goarch=goarch)
    built_for = named if named in TARGETS else settings.for_target
    patches = load_series(settings.series).select(version, built_for, settings.profile, settings.extras)
    # They are taken to apply: a build stops where one does not.
    fixes = {each.name: each.fixes for each in patches if each.fixes}
    return [(Subject(name=f"Go {version}", version=version, goos=goos, goarch=goarch, fixes=fixes), "")]


def _version(settings: Settings) -> GoVersion:
    """The release that is meant: one told in full is taken as it is, anything else is the newest known. Asks nobody."""
    from gobuild.resolve import WORDS, resolve

    word = settings.go.strip().removeprefix("go")
    if word not in WORDS:
        version = GoVersion.parse(word)
        if version.patch is not None or version.stage:
            return version
    from gobuild import fetch
    from gobuild.core.model import Catalog, Release
    from gobuild.fetch import index

    listed = index.cached_index(settings.index_url, origin="go.dev", cache=settings.cache)
    known = {*fetch.known_versions(), *(each.version for each in listed)}
    releases = tuple(Release(version=each, origin="gobuild") for each in known)
    return resolve(word, Catalog(origin="gobuild's own table", releases=releases)).version


def _platform(word: str) -> tuple[str, str]:
    from gobuild.vulns.facts import GOARCH, GOOS

    goos, _, goarch = word.partition("/")
    if goos not in GOOS or goarch not in GOARCH:
        raise ConfigError(f"no target {word!r}", "a GOOS and a GOARCH of Go's, such as linux/amd64 or windows/arm64")
    return goos, goarch
