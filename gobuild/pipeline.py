"""The page: resolve, fetch, patch, build, verify, package, publish, in that order.

A `Session` comes in, a `Built` goes out. Each stage is one call that turns one frozen type into the next; this
module alone knows them all, times them, and cleans up behind the one that failed.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gobuild import fetch, files, package, patch, publish, resign, verify
from gobuild.build import make
from gobuild.errors import the_systems_no_is_ours
from gobuild.measure import Clock
from gobuild.model import (
    TARGETS,
    Artifact,
    PatchedSource,
    Report,
    Toolchain,
)
from gobuild.package import manifest
from gobuild.plan import LOCK, Plan
from gobuild.resign import Signing
from gobuild.run import none_left
from gobuild.session import Prepared, Session, prepare
from gobuild.settings import Settings

ROOM = 1600 << 20
"""Bytes a build needs in its work folder: measured 1.22.10, a tree of 0.5 GB and make.bash's cache of 1 GB."""


DIST_ROOM = 400 << 20
"""Bytes that a delivery needs in dist/: measured for 1.22.10, 160 MB, and as much again while the old ones stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a run made.

    Attributes:
        toolchain: the toolchain in its folder.
        report: its checks, all passed.
        artifacts: what stands in dist/.
        clock: where the time went.
    """

    toolchain: Toolchain
    report: Report
    artifacts: tuple[Artifact, ...]
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A release built once more, as upstream builds it.

    Attributes:
        toolchain: the toolchain in its folder.
        archive: the archive that distpack made of it, still inside GOROOT.
    """

    toolchain: Toolchain
    archive: Path


def build(session: Session) -> Built:
    """The main job, from a version to dist/.

    Returns:
        What was made.

    Raises:
        GobuildError: a stage failed. What stood in dist/ before is as it was; a half-made tree is gone, make.bash's
            log stays. A toolchain that failed its checks stays in the work folder to be looked at.
    """
    clock = Clock(session.console)
    with the_systems_no_is_ours("building"):
        with clock.stage("resolve"):
            signing = resign.choose(session.settings, run=session.run)
            prepared = prepare(session)
        plan = prepared.plan
        files.usable(plan.dist, DIST_ROOM, "the archives")
        files.usable(plan.job, ROOM, f"building {plan.stamp}")
        with files.alone(plan.lock, f"building {plan.stamp} for {plan.target} in {plan.job}"):
            with half_made_goes(plan):
                toolchain, tree = _make(session, prepared, clock)
            manifest.keep(toolchain, tree, plan.state)
            return _finish(session, plan, toolchain, tree, clock, signing)


def rebuild(session: Session) -> Rebuilt:
    """Builds and packs a release in the work folder as upstream does: no patch, no stamp, no setting of ours.

    Nothing goes to dist/, and `repackage` does not find it: a source of somebody's own may call itself as upstream's
    here, to be compared, and nowhere else.

    Raises:
        GobuildError: as `build` does.
    """
    as_upstream = replace(session.settings, profile="upstream", series="none", extra="", suffix="")
    session, clock = replace(session, settings=as_upstream), Clock(session.console)
    with the_systems_no_is_ours("building"):
        with clock.stage("resolve"):
            prepared = prepare(session, delivered=False)
        plan = prepared.plan
        files.usable(plan.job, ROOM, f"building {plan.stamp}")
        with files.alone(plan.lock, f"building {plan.stamp} for {plan.target} in {plan.job}"):
            with half_made_goes(plan):
                toolchain, _ = _make(session, prepared, clock)
                with clock.stage("package") as at:
                    at.note("distpack")
                    packed = package.distpack(toolchain, scratch=plan.scratch, run=session.run)
            files.remove(plan.scratch)
    kinds = package.names(plan.stamp, plan.target.dashed)
    return Rebuilt(toolchain=toolchain, archive=next(path for path in packed if kinds[path.name] == "toolchain"))


def repackage(session: Session) -> Built:
    """Verifies and packages a toolchain that `build` has finished, without building it again.

    Raises:
        PackageError: there is none.
        GobuildError: as `build` does.
    """
    clock = Clock(session.console)
    with the_systems_no_is_ours("packaging"):
        with clock.stage("resolve"):
            signing = resign.choose(session.settings, run=session.run)
            plan = prepare(session).plan
        with files.alone(plan.lock, f"at work in {plan.job}"):
            toolchain, tree = manifest.recall(plan.state)
            return _finish(session, plan, toolchain, tree, clock, signing)


def _make(session: Session, prepared: Prepared, clock: Clock) -> tuple[Toolchain, str]:
    """fetch, patch, build. Returns the toolchain, and the hash of its source before it was patched."""
    plan, run, console = prepared.plan, session.run, session.console
    with clock.stage("fetch") as at:
        # First the bootstrap toolchain: one that will not do is refused before anything is laid out.
        at.note(f"a bootstrap toolchain for {plan.host}")
        bootstrap = fetch.bootstrap(
            session.settings, plan.release, host=plan.host, reached=prepared.reached, run=run, console=console
        )
        at.note(f"the source of {plan.release.version.tag}, from {plan.release.origin}")
        source = prepared.reached.source(plan.release, plan.tree)
        fetch.require(bootstrap, source)
        tree = files.dirhash(source.root)
    with clock.stage("patch") as at:
        patched = patch.patch(source, prepared.patches, stamp=plan.stamp, absent=prepared.absent)
        _stamp_manifest(patched, plan, tree)
        for outcome in patched.outcomes:
            at.note(f"{outcome.name}: {outcome.state}, {outcome.evidence}")
    with clock.stage("build") as at:
        toolchain = make(
            patched,
            plan.target,
            host=plan.host,
            profile=plan.profile,
            bootstrap=bootstrap,
            log=plan.log,
            scratch=plan.scratch,
            run=clock.timed("make.bash", run),
            note=at.note,
        )
    return toolchain, tree


def _finish(session: Session, plan: Plan, toolchain: Toolchain, tree: str, clock: Clock, signing: Signing) -> Built:
    """verify, package, sign where that was asked for, publish."""
    try:
        report, packed = _verify_and_pack(session, plan, toolchain, clock)
        report, packed, signed = _sign(session, plan, signing, report, packed, clock)
        kinds = package.names(plan.stamp, plan.target.dashed)
        with clock.stage("publish"), package.delivery(plan.dist, session.console.say) as delivery:
            archives = tuple(delivery.add(path, kinds[path.name]) for path in packed)
            document = manifest.outer(toolchain, report, archives, tree=tree, run=clock.measured(), signing=signed)
            others = manifest.others(plan.manifest, plan.stamp)
            manifest.agree(document, others)
            text = _formula(session.settings, plan, toolchain, [document, *others])
            formula = delivery.write(plan.dist / plan.formula, text, "formula")
            # The manifest comes last: where it stands, everything it names stands too.
            written = delivery.write(plan.manifest, manifest.text(document), "manifest")
    finally:
        files.remove(plan.scratch)
    return Built(toolchain=toolchain, report=report, artifacts=(*archives, formula, written), clock=clock)


def _verify_and_pack(
    session: Session, plan: Plan, toolchain: Toolchain, clock: Clock
) -> tuple[Report, tuple[Path, ...]]:
    """distpack, one thread for most of its time, runs beside verify; dist/ waits for both."""
    timed, policy = clock.timed("distpack", session.run), verify.load_policy(session.settings.policy)
    with ThreadPoolExecutor(1) as beside, none_left():
        packing = beside.submit(package.distpack, toolchain, scratch=plan.scratch, run=timed)
        with clock.stage("verify") as at:
            report = verify.verify(toolchain, run=session.run, scratch=plan.scratch, note=at.note, policy=policy)
            verify.require(report)
        with clock.stage("package") as at:
            at.note("distpack")
            return report, packing.result()


def _sign(
    session: Session, plan: Plan, signing: Signing, report: Report, packed: tuple[Path, ...], clock: Clock
) -> tuple[Report, tuple[Path, ...], Mapping[str, str]]:
    """Signs the programs in the archives and verifies the result; without a signer everything stays as it is."""
    if signing.signer is None:
        return report, packed, {}
    with clock.stage("sign") as at:
        done = resign.resign(
            packed,
            signing,
            target=plan.target,
            prefix=session.settings.name,
            scratch=plan.scratch / "signed",
            run=session.run,
            note=at.note,
            policy=verify.load_policy(session.settings.policy),
        )
    return resign.with_probes(done.report, report), done.archives, done.told


def _formula(settings: Settings, plan: Plan, toolchain: Toolchain, documents: list[dict[str, Any]]) -> str:
    """One formula for all targets of this stamp that stand in dist/."""
    return publish.formula(
        settings.name,
        plan.release.version,
        plan.stamp,
        publish.downloads(documents, settings.base_url or plan.dist.as_uri()),
        pinned="GOTOOLCHAIN=local" in (toolchain.goroot / "go.env").read_text(encoding="utf-8"),
    )


def _stamp_manifest(patched: PatchedSource, plan: Plan, tree: str) -> None:
    """Puts gobuild.json into the tree. Without a suffix nothing in a toolchain is ours, and so neither is this."""
    if patched.stamp != plan.release.version.tag:
        document = manifest.inner(patched, plan.profile, tree=tree)
        files.write(plan.tree / manifest.NAME, manifest.text(document))


@contextmanager
def half_made_goes(plan: Plan) -> Iterator[None]:
    """Starts from an empty job folder, and leaves no half-made tree if the block fails or is interrupted."""
    # ".part": what a killed run was making.
    for path in (plan.state, plan.tree, plan.scratch, plan.log, *plan.job.glob(".*.part")):
        files.remove(path)
    try:
        yield
    except BaseException:
        for path in (plan.tree, plan.scratch):
            files.remove(path)
        raise


def clean(work: Path) -> list[Path]:
    """Removes the builds in a work folder; whatever else lies there stays.

    Returns:
        What was removed.

    Raises:
        Busy: somebody builds there. What stood before it in the alphabet is removed by then.
    """
    removed = []
    # A build of ours is named as one, and holds the lock that we put there.
    for lock in sorted(work.absolute().glob(f"go*/{LOCK}")):
        if any(lock.parent.name.endswith(f".{target.dashed}") for target in TARGETS):
            with files.alone(lock, f"at work in {lock.parent}"):
                files.remove(lock.parent)
            removed.append(lock.parent)
    return removed
