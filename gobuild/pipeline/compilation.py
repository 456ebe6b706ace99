"""fetch, patch and build, by whichever builder will do.

make.bash is the authority. The direct builder makes the same bytes in less than half the time where upstream's
toolchain of the same release is to be had; where it is not used, one line says why.
"""

from dataclasses import dataclass
from pathlib import Path

from gobuild import fetch, patch
from gobuild.build import direct, make
from gobuild.core import archives, files
from gobuild.core.console import Stage
from gobuild.core.errors import ConfigError, ToolMissing, UnsafeArchive
from gobuild.core.manifest import NAME, to_json
from gobuild.core.model import Bootstrap, PatchedSource, Source, Toolchain
from gobuild.package.manifest import inner_manifest
from gobuild.pipeline.session import Run
from gobuild.store import entry_key

PACKAGES = "packages.tar"
"""The file of a "tools" entry in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Source laid out, and Go to build it with."""

    sources: tuple[Source, ...]  # one, or with `--builder both` one for each builder
    tree: str  # the dirhash of the source
    bootstrap: Bootstrap  # what make.bash starts from
    # Upstream's toolchain of the same release, for the direct builder; None where make.bash is to build
    upstream: Bootstrap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched(Fetched):
    """As `Fetched`, once the series is applied."""

    patched: tuple[PatchedSource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A toolchain in the work folder."""

    toolchain: Toolchain
    tree: str  # the dirhash of its source before it was patched
    twin: Toolchain | None = None  # the same, by the other builder; None unless both were asked for


def fetch_source(run: Run) -> Fetched:
    """Lays out the source, and finds a toolchain that can build it: first that one, for it may be refused."""
    note_rosetta(run)
    plan = run.plan
    with run.clock.stage("fetch") as at:
        upstream = _upstream(run, at)
        bootstrap = upstream
        if run.session.settings.builder == "both" or bootstrap is None:
            at.note(f"a bootstrap toolchain for {plan.host}")
            bootstrap = fetch.bootstrap(
                run.session.settings,
                plan.release,
                host=plan.host,
                reached=run.prepared.reached,
                run=run.session.run,
                console=run.session.console,
            )
        at.note(f"the source of {plan.release.version.tag}, from {plan.release.origin}")
        sources = tuple(run.prepared.reached.source(plan.release, root) for root in plan.trees)
        fetch.require_bootstrap(bootstrap, sources[0])
        tree = files.dirhash(sources[0].root)
    return Fetched(sources=sources, tree=tree, bootstrap=bootstrap, upstream=upstream)


def patch_source(run: Run, fetched: Fetched) -> Patched:
    """Applies the series, and puts gobuild.json into the tree."""
    with run.clock.stage("patch") as at:
        patched = tuple(_patch(run, source, fetched.tree) for source in fetched.sources)
        for note in run.plan.notes:
            run.session.console.say(note)
        for outcome in patched[0].outcomes:
            at.note(f"{outcome.name}: {outcome.state}, {outcome.evidence}")
        upstream = fetched.upstream
        if upstream:
            compared = run.session.settings.builder == "both"
            marked = [each.name for each in run.prepared.patches if each.direct or compared]
            if reason := direct.why_not_direct(patched[0], marked, upstream.goroot):
                _without_direct(run, reason)
                upstream = None
    return Patched(
        sources=fetched.sources, tree=fetched.tree, bootstrap=fetched.bootstrap, upstream=upstream, patched=patched
    )


def build_toolchain(run: Run, patched: Patched) -> Compiled:
    """Builds by make.bash, directly, or both ways."""
    with run.clock.stage("build") as at:
        directly = _directly(run, patched.patched[-1], patched.upstream, at) if patched.upstream else None
        if directly and run.session.settings.builder != "both":
            return Compiled(toolchain=directly, tree=patched.tree)
        made = _by_make(run, patched.patched[0], patched.bootstrap, at)
        return Compiled(toolchain=made, tree=patched.tree, twin=directly)


def note_rosetta(run: Run) -> None:
    """Says it where an x86-64 Python on Apple Silicon makes this machine look like another."""
    if str(run.plan.host) != "darwin/amd64":
        return
    words = ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"]
    try:
        said = run.session.run(words, env={}, cwd=Path("/"), check=False)
    except ToolMissing:
        return
    if said.output.strip() == "1":
        run.session.console.warn(
            "this Python is x86-64 and Rosetta translates it: the host is taken for darwin/amd64, and all runs"
            " slower than by an arm64 Python"
        )


def _upstream(run: Run, at: Stage) -> Bootstrap | None:
    """Upstream's toolchain for the direct builder; None where make.bash is to build."""
    settings, plan = run.session.settings, run.plan
    if settings.builder == "make.bash":
        return None
    reason = plan.why_make
    if not reason:
        at.note(f"upstream's Go {plan.release.version} for {plan.host}")
        found = fetch.same_release_toolchain(
            settings, plan.release, host=plan.host, reached=run.prepared.reached, run=run.session.run,
            console=run.session.console,
        )  # fmt: skip
        if found:
            return found
        reason = f"upstream's Go {plan.release.version} for {plan.host} is not to be had"
    _without_direct(run, reason)
    return None


def _without_direct(run: Run, reason: str) -> None:
    """Goes on with make.bash, and says why; a `ConfigError` where the direct builder was asked for by name."""
    if run.session.settings.builder != "auto":
        raise ConfigError(f"this cannot be built directly: {reason}", "--builder make.bash")
    run.session.console.say(f"built by make.bash: {reason}")


def _patch(run: Run, source: Source, tree: str) -> PatchedSource:
    """Without a suffix nothing in a toolchain is ours, and so neither is gobuild.json."""
    plan, of = run.plan, run.prepared
    patched = patch.patch(source, of.patches, stamp=plan.stamp, absent=of.absent, series=of.series)
    if patched.stamp != plan.release.version.tag:
        inner = inner_manifest(patched, plan.profile, tree=tree)
        files.write(source.root / NAME, to_json(inner))
    return patched


def _by_make(run: Run, patched: PatchedSource, bootstrap: Bootstrap, at: Stage) -> Toolchain:
    plan = run.plan
    return make(
        patched,
        plan.target,
        host=plan.host,
        profile=plan.profile,
        bootstrap=bootstrap,
        log=plan.log,
        scratch=plan.scratch,
        run=run.clock.timed("make.bash", run.session.run),
        note=at.note,
    )


def _directly(run: Run, patched: PatchedSource, upstream: Bootstrap, at: Stage) -> Toolchain:
    plan = run.plan
    return direct.build_directly(
        patched,
        plan.target,
        host=plan.host,
        profile=plan.profile,
        upstream=upstream,
        tools=_tools(run, patched, upstream, at),
        log=plan.log,
        scratch=plan.scratch / "direct",
        run=run.clock.timed("direct", run.session.run),
        note=at.note,
    )


def _tools(run: Run, patched: PatchedSource, upstream: Bootstrap, at: Stage) -> Path:
    """The host's tools, linked anew; the packages they are made of come from the store, or go there."""
    plan, cache = run.plan, run.plan.scratch / "packages"
    over = {
        name: files.sha256(path) if path.exists() else ""
        for name in direct.overlay(patched)
        for path in (patched.source.root / name,)
    }
    given = {"environment": patched.environment} if patched.environment else {}
    of = entry_key(recipe=direct.VERSION, host=str(plan.host), upstream=upstream.digest, overlay=over, **given)
    # Jobs of one release at once: the first compiles them, the others wait and take them from the store.
    lock = run.session.settings.cache.absolute() / f".tools-{of[:16]}.lock"
    with files.exclusive_lock(lock, f"building {plan.host}'s tools of Go {upstream.version}", waiting=at.note):
        kept = stored_packages(run, of, cache)
        direct.build_tools(
            patched,
            upstream,
            host=plan.host,
            into=plan.tools,
            cache=cache,
            log=plan.log,
            scratch=plan.scratch / "direct",
            run=run.clock.timed("direct tools", run.session.run),
            note=at.note,
        )
        if not kept:
            facts = {"go": str(upstream.version), "host": str(plan.host), "overlay": sorted(over)}
            packed = plan.scratch / PACKAGES
            archives.pack(cache, packed)
            run.store.put("tools", of, {PACKAGES: packed}, facts)
            files.remove(packed)
    files.remove(cache)
    return plan.tools


def stored_packages(run: Run, of: str, cache: Path) -> bool:
    """Puts the packages that the store has in place; tells whether it has any that can be used."""
    came = cache.with_name("stored")
    kept = run.store.get("tools", of, came)
    if not kept or PACKAGES not in kept.files:
        return False
    try:
        archives.unpack(came / PACKAGES, cache, limit=kept.files[PACKAGES].size)
    except UnsafeArchive as error:
        run.store.say(f"the store's tools {of[:12]} cannot be used: {error.reason}")
        return False
    finally:
        files.remove(came)
    return True
