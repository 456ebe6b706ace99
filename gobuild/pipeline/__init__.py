"""The page: resolve, fetch, patch, build, verify, package, publish, in that order.

A `Session` comes in, a `Built` goes out. Each stage is one call that turns one frozen type into the next; this
module alone knows them all, times them, and cleans up behind the one that failed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gobuild import build as builders
from gobuild import fetch, package, publish, verify
from gobuild.core import files
from gobuild.core.errors import VerifyError, os_errors_as_ours
from gobuild.core.model import TARGETS, Artifact, Report, Toolchain
from gobuild.core.process import Threads, kill_children_on_failure
from gobuild.core.settings import Settings
from gobuild.package import manifest
from gobuild.pipeline import resign, reuse
from gobuild.pipeline.compilation import Compilation, Compiled
from gobuild.pipeline.plan import Plan
from gobuild.pipeline.resign import Signing
from gobuild.pipeline.reuse import VerifiedToolchain
from gobuild.pipeline.session import Session, prepare
from gobuild.pipeline.timing import Clock

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
        kept: since when the store has had it; empty where it was built just now.
    """

    toolchain: Toolchain
    report: Report
    artifacts: tuple[Artifact, ...]
    clock: Clock
    kept: str = ""


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
    clock, store = Clock(session.console), fetch.store(session.settings, session.console.warn)
    with os_errors_as_ours("building"):
        with clock.stage("resolve"):
            signing = resign.choose(session.settings, run=session.run)
            prepared = prepare(session)
        plan = prepared.plan
        files.ensure_writable(plan.dist, DIST_ROOM, "the archives")
        with (
            files.exclusive_lock(plan.lock, f"building {plan.stamp} for {plan.target} in {plan.job}"),
            cleanup_scratch(plan),
        ):
            reuse.refuse_another(store, prepared, session.settings)
            if not session.settings.fresh:
                with clock.stage("store"):
                    kept = reuse.recall(store, prepared, session.settings, plan.scratch / "kept")
                if kept:
                    return _deliver(session, plan, kept, clock, signing)
            with cleanup_on_failure(plan, ROOM * len(plan.trees)):
                made = Compilation(session=session, prepared=prepared, clock=clock, store=store).make()
            manifest.keep(made.toolchain, made.tree, plan.state)
            done = _finish(session, plan, made, clock)
            with clock.stage("store"):
                reuse.put(store, prepared, session.settings, done)
            return _deliver(session, plan, done, clock, signing)


def rebuild(session: Session) -> Rebuilt:
    """Builds and packs a release in the work folder as upstream does: no patch, no stamp, no setting of ours.

    Nothing goes to dist/, and `repackage` does not find it: a source of somebody's own may call itself as upstream's
    here, to be compared, and nowhere else.

    Raises:
        GobuildError: as `build` does.
    """
    as_upstream = replace(session.settings, profile="upstream", series="none", extra="", suffix="", builder="make.bash")
    session, clock = replace(session, settings=as_upstream), Clock(session.console)
    store = fetch.store(session.settings, session.console.warn)
    with os_errors_as_ours("building"):
        with clock.stage("resolve"):
            prepared = prepare(session, delivered=False)
        plan = prepared.plan
        with files.exclusive_lock(plan.lock, f"building {plan.stamp} for {plan.target} in {plan.job}"):
            with cleanup_on_failure(plan, ROOM):
                toolchain = Compilation(session=session, prepared=prepared, clock=clock, store=store).make().toolchain
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
    with os_errors_as_ours("packaging"):
        with clock.stage("resolve"):
            signing = resign.choose(session.settings, run=session.run)
            plan = prepare(session).plan
        with files.exclusive_lock(plan.lock, f"at work in {plan.job}"), cleanup_scratch(plan):
            toolchain, tree = manifest.recall(plan.state)
            done = _finish(session, plan, Compiled(toolchain=toolchain, tree=tree), clock)
            return _deliver(session, plan, done, clock, signing)


def _finish(session: Session, plan: Plan, made: Compiled, clock: Clock) -> VerifiedToolchain:
    """Verify and package. distpack, one thread for most of its time, runs beside verify."""
    timed, policy = clock.timed("distpack", session.run, alone=False), verify.load_policy(session.settings.policy)
    with Threads(2) as beside, kill_children_on_failure():
        packing = beside.submit(package.distpack, made.toolchain, scratch=plan.scratch, run=timed)
        if made.twin:
            scratch = plan.scratch / "twin"
            again = beside.submit(package.distpack, made.twin, scratch=scratch, run=session.run)
        with clock.stage("verify") as at:
            report = verify.verify(made.toolchain, run=session.run, scratch=plan.scratch, note=at.note, policy=policy)
            verify.require(report)
        with clock.stage("package") as at:
            at.note("distpack")
            packed = packing.result()
            if made.twin:
                _require_same(made.toolchain, made.twin, packed, again.result())
                session.console.say(f"both builders made the same bytes, of every file and of {len(packed)} archives")
                files.remove(plan.job / "direct")
    return VerifiedToolchain(
        toolchain=made.toolchain,
        tree=made.tree,
        report=report,
        packed=packed,
        pinned="GOTOOLCHAIN=local" in (made.toolchain.goroot / "go.env").read_text(encoding="utf-8"),
        run=clock.measured(),
    )


def _require_same(one: Toolchain, twin: Toolchain, packed: tuple[Path, ...], again: tuple[Path, ...]) -> None:
    """Makes sure that both builders made the same bytes, of files and of archives.

    Raises:
        VerifyError: they did not.
    """
    wrong = builders.differences(one, twin) or tuple(
        ours.name for ours, theirs in zip(packed, again, strict=True) if files.sha256(ours) != files.sha256(theirs)
    )
    if wrong:
        raise VerifyError(
            f"the two builders differ in {len(wrong)} files: {', '.join(wrong[:5])}",
            f"--builder make.bash; both trees are kept, {one.goroot} and {twin.goroot}",
        )


def _deliver(session: Session, plan: Plan, done: VerifiedToolchain, clock: Clock, signing: Signing) -> Built:
    """Sign where that was asked for, and publish to dist/, all at once."""
    report, packed, signed = _sign(session, plan, signing, done.report, done.packed, clock)
    kinds = package.names(plan.stamp, plan.target.dashed)
    with clock.stage("publish"), package.delivery(plan.dist, session.console.say) as delivery:
        archives = tuple(delivery.add(path, kinds[path.name]) for path in packed)
        document = manifest.outer(done.toolchain, report, archives, tree=done.tree, run=done.run, signing=signed)
        others = manifest.others(plan.manifest, plan.stamp)
        manifest.agree(document, others)
        formula = delivery.write(
            plan.dist / plan.formula, _formula(session.settings, plan, done, [document, *others]), "formula"
        )
        # The manifest comes last: where it stands, everything it names stands too.
        written = delivery.write(plan.manifest, manifest.text(document), "manifest")
    delivered = (*archives, formula, written)
    return Built(toolchain=done.toolchain, report=report, artifacts=delivered, clock=clock, kept=done.kept)


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


def _formula(settings: Settings, plan: Plan, done: VerifiedToolchain, documents: list[dict[str, Any]]) -> str:
    """One formula for all targets of this stamp that stand in dist/."""
    return publish.formula(
        settings.name,
        plan.release.version,
        plan.stamp,
        publish.downloads(documents, settings.base_url or plan.dist.as_uri()),
        pinned=done.pinned,
    )


@contextmanager
def cleanup_scratch(plan: Plan) -> Iterator[None]:
    """Leaves nothing in the folder for temporary files, however the block ends."""
    try:
        yield
    finally:
        files.remove(plan.scratch)


@contextmanager
def cleanup_on_failure(plan: Plan, need: int) -> Iterator[None]:
    """Starts from an empty job folder, and leaves no half-made tree if the block fails or is interrupted.

    Args:
        plan: whose job folder.
        need: how many bytes the block makes there. What stands there goes first and makes room for them, but where
            even that is too little, it stays.

    Raises:
        DiskFull: they would not fit.
    """
    # ".part": what a killed run was making.
    trees = (plan.tree, plan.job / "direct", plan.tools, plan.scratch)
    old = (plan.state, *trees, plan.log, *plan.job.glob(".*.part"))
    files.ensure_writable(plan.job, need - sum(map(files.size, old)), f"building {plan.stamp}")
    for path in old:
        files.remove(path)
    try:
        yield
    except BaseException:
        for path in trees:
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
    for lock in sorted(work.absolute().glob(f"go*/{files.LOCK}")):
        if any(lock.parent.name.endswith(f".{target.dashed}") for target in TARGETS):
            with files.exclusive_lock(lock, f"at work in {lock.parent}"):
                files.remove(lock.parent)
            removed.append(lock.parent)
    return removed
