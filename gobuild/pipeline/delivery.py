"""verify, package, sign and publish: a compiled toolchain becomes what stands in dist/."""

from dataclasses import dataclass, replace
from pathlib import Path

from gobuild import package, verify
from gobuild.build import differing_files
from gobuild.codesign.signers import Signing
from gobuild.core import files
from gobuild.core.errors import VerifyError
from gobuild.core.manifest import archive_names, to_json
from gobuild.core.model import Artifact, Report, Toolchain
from gobuild.core.process import Threads, kill_children_on_failure
from gobuild.package import manifest
from gobuild.pipeline import vulnerabilities
from gobuild.pipeline.compilation import Compiled
from gobuild.pipeline.resign import resign, with_probes
from gobuild.pipeline.session import Run
from gobuild.pipeline.timing import Clock
from gobuild.pipeline.toolchain_cache import VerifiedToolchain
from gobuild.publish import downloads, formula
from gobuild.vulns.status import Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a run made; `kept` says since when the store has had it, and is empty where it was built just now."""

    toolchain: Toolchain
    report: Report
    artifacts: tuple[Artifact, ...]
    clock: Clock
    vulnerabilities: Assessment
    kept: str = ""


def verify_and_package(run: Run, compiled: Compiled) -> VerifiedToolchain:
    """Checks every executable while distpack, which uses one thread for most of its time, packs them."""
    session, plan, toolchain = run.session, run.plan, compiled.toolchain
    timed, policy = run.clock.timed("distpack", session.run, alone=False), verify.load_policy(session.settings.policy)
    with Threads(2) as beside, kill_children_on_failure():
        packing = beside.submit(package.distpack, toolchain, scratch=plan.scratch, run=timed)
        if compiled.twin:
            scratch = plan.scratch / "twin"
            again = beside.submit(package.distpack, compiled.twin, scratch=scratch, run=session.run)
        with run.clock.stage("verify") as at:
            report = verify.verify(toolchain, run=session.run, scratch=plan.scratch, note=at.note, policy=policy)
            verify.require(report)
        with run.clock.stage("package") as at:
            at.note("distpack")
            packed = packing.result()
            if compiled.twin:
                _require_same(toolchain, compiled.twin, packed, again.result())
                session.console.say(f"both builders made the same bytes, of every file and of {len(packed)} archives")
                files.remove(plan.job / "direct")
    return VerifiedToolchain(
        toolchain=toolchain,
        tree=compiled.tree,
        report=report,
        packed=packed,
        pinned="GOTOOLCHAIN=local" in (toolchain.goroot / "go.env").read_text(encoding="utf-8"),
        run=run.clock.measured(),
    )


def _require_same(one: Toolchain, twin: Toolchain, packed: tuple[Path, ...], again: tuple[Path, ...]) -> None:
    """Makes sure that both builders made the same bytes, of files and of archives."""
    wrong = differing_files(one, twin) or tuple(
        ours.name for ours, theirs in zip(packed, again, strict=True) if files.sha256(ours) != files.sha256(theirs)
    )
    if wrong:
        raise VerifyError(
            f"the two builders differ in {len(wrong)} files: {', '.join(wrong[:5])}",
            f"--builder make.bash; both trees are kept, {one.goroot} and {twin.goroot}",
        )


def sign(run: Run, toolchain: VerifiedToolchain, signing: Signing) -> VerifiedToolchain:
    """Signs the programs in the archives and verifies the result; without a signer everything stays as it is."""
    if signing.signer is None:
        return toolchain
    with run.clock.stage("sign") as at:
        done = resign(
            toolchain.packed,
            signing,
            target=run.plan.target,
            prefix=run.session.settings.name,
            scratch=run.plan.scratch / "signed",
            run=run.session.run,
            note=at.note,
            policy=verify.load_policy(run.session.settings.policy),
        )
    report = with_probes(done.report, toolchain.report)
    return replace(toolchain, report=report, packed=done.archives, signature=done.told)


def publish(run: Run, done: VerifiedToolchain) -> Built:
    """Puts the archives, the manifest and the formula into dist/, all at once."""
    plan, settings = run.plan, run.session.settings
    kinds = archive_names(plan.stamp, plan.target)
    with run.clock.stage("publish"), package.delivery(plan.dist, run.session.console.say) as delivery:
        archives = tuple(delivery.add(path, kinds[path.name]) for path in done.packed)
        found = vulnerabilities.assess_patched(settings, done.toolchain.source, plan.target)
        document = manifest.outer_manifest(
            done.toolchain,
            done.report,
            archives,
            tree=done.tree,
            run=done.run,
            signing=done.signature,
            vulnerabilities=vulnerabilities.record(found),
        )
        others = manifest.other_targets(plan.manifest, plan.stamp)
        manifest.require_same_archives(document, others)
        # One formula for all targets of this stamp that stand in dist/.
        text = formula(
            settings.name,
            plan.release.version,
            plan.stamp,
            downloads([document, *others], settings.base_url or plan.dist.as_uri()),
            pinned=done.pinned,
        )
        tap = delivery.add_text(plan.dist / plan.formula, text, "formula")
        # The manifest comes last: where it stands, everything it names stands too.
        written = delivery.add_text(plan.manifest, to_json(document), "manifest")
    delivered = (*archives, tap, written)
    return Built(
        toolchain=done.toolchain,
        report=done.report,
        artifacts=delivered,
        clock=run.clock,
        vulnerabilities=found,
        kept=done.kept,
    )
