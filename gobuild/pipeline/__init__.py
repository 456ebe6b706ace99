"""The page: resolve, reuse, fetch, patch, build, verify, package, sign, publish, in that order.

Each stage turns one frozen type into the next and knows no other; this package alone knows them all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gobuild import package
from gobuild.codesign.signers import Signing, choose_signer
from gobuild.core import files
from gobuild.core.errors import os_errors_as_ours
from gobuild.core.goversion import TARGETS
from gobuild.core.manifest import archive_names
from gobuild.core.model import Toolchain
from gobuild.package import manifest
from gobuild.pipeline.compilation import Compiled, build_toolchain, fetch_source, patch_source
from gobuild.pipeline.delivery import Built, publish, sign, verify_and_package
from gobuild.pipeline.plan import Plan
from gobuild.pipeline.session import Run, Session, prepare
from gobuild.pipeline.timing import Clock
from gobuild.pipeline.toolchain_cache import reuse, store
from gobuild.store import open_store

ROOM = 1600 << 20
"""Bytes a build needs in its work folder: measured 1.22.10, a tree of 0.5 GB and make.bash's cache of 1 GB."""

DIST_ROOM = 400 << 20
"""Bytes that a delivery needs in dist/: measured for 1.22.10, 160 MB, and as much again while the old ones stand."""

PLACES = "--work, --cache and --dist"


@os_errors_as_ours(PLACES)
def build(session: Session) -> Built:
    """The main job, from a version to dist/.

    Where a stage fails, dist/ is as it was; a half-made tree is gone, make.bash's log stays, and so does a toolchain
    that failed its checks.
    """
    run, signing = resolve(session)
    plan = run.plan
    files.ensure_writable(plan.dist, DIST_ROOM, "the archives")
    with alone(plan):
        toolchain = reuse(run)
        if not toolchain:
            with cleanup_on_failure(plan, ROOM * len(plan.trees)):
                fetched = fetch_source(run)
                patched = patch_source(run, fetched)
                compiled = build_toolchain(run, patched)
            manifest.write_toolchain(compiled.toolchain, compiled.tree, plan.state)
            toolchain = verify_and_package(run, compiled)
            store(run, toolchain)
        signed = sign(run, toolchain, signing)
        return publish(run, signed)


@os_errors_as_ours(PLACES)
def repackage(session: Session) -> Built:
    """Verifies and packages a toolchain that `build` has finished, without building it again."""
    run, signing = resolve(session)
    with alone(run.plan):
        made, tree = manifest.read_toolchain(run.plan.state)
        toolchain = verify_and_package(run, Compiled(toolchain=made, tree=tree))
        signed = sign(run, toolchain, signing)
        return publish(run, signed)


@os_errors_as_ours(PLACES)
def rebuild(session: Session) -> tuple[Toolchain, Path]:
    """Builds and packs a release in the work folder as upstream does; returns also its archive, still inside GOROOT.

    Nothing goes to dist/, and `repackage` does not find it: a source of somebody's own may call itself as upstream's
    here, to be compared, and nowhere else.
    """
    plain = replace(session.settings, series="none", extends="", without="", extra="", suffix="")
    as_upstream = replace(plain, profile="upstream", builder="make.bash")
    run, _ = resolve(replace(session, settings=as_upstream), delivered=False)
    plan = run.plan
    with alone(plan), cleanup_on_failure(plan, ROOM):
        fetched = fetch_source(run)
        patched = patch_source(run, fetched)
        toolchain = build_toolchain(run, patched).toolchain
        with run.clock.stage("package") as at:
            at.note("distpack")
            packed = package.distpack(toolchain, scratch=plan.scratch, run=session.run)
    kinds = archive_names(plan.stamp, plan.target)
    return toolchain, next(path for path in packed if kinds[path.name] == "toolchain")


def resolve(session: Session, *, delivered: bool = True) -> tuple[Run, Signing]:
    """What will be built, and who signs it; what is not delivered is not signed. Nothing is changed."""
    clock, store = Clock(session.console), open_store(session.settings, session.console.warn)
    with clock.stage("resolve"):
        signing = choose_signer(session.settings, run=session.run) if delivered else Signing(signer=None, roots=())
        prepared = prepare(session, delivered=delivered)
    return Run(session=session, prepared=prepared, clock=clock, store=store), signing


@contextmanager
def alone(plan: Plan) -> Iterator[None]:
    """Nobody else works in this job's folder; its temporary files are gone, however the block ends."""
    with files.exclusive_lock(plan.lock, f"building {plan.stamp} for {plan.target} in {plan.job}"):
        try:
            yield
        finally:
            files.remove(plan.scratch)


@contextmanager
def cleanup_on_failure(plan: Plan, need: int) -> Iterator[None]:
    """Starts from an empty job folder, and leaves no half-made tree if the block fails or is interrupted.

    What stands there makes room for the bytes that the block needs, but where even that is too little, it stays.
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
    """Removes the builds in a work folder, up to one that somebody is at (`Busy`); whatever else lies there stays."""
    removed = []
    # A build of ours is named as one, and holds the lock that we put there.
    for lock in sorted(work.absolute().glob(f"go*/{files.LOCK}")):
        if any(lock.parent.name.endswith(f".{target.dashed}") for target in TARGETS):
            with files.exclusive_lock(lock, f"at work in {lock.parent}"):
                files.remove(lock.parent)
            removed.append(lock.parent)
    return removed
