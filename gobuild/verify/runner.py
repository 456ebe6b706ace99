"""All checks of what there is to verify: its executables, the probes, other tools' opinions; a policy judges last."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.core.model import Check, Problem, Report, Verdict
from gobuild.core.process import Runner
from gobuild.verify import expect, policy, tree
from gobuild.verify.checks import CheckId, FileReport
from gobuild.verify.expect import Expectation
from gobuild.verify.external_tools import second_opinions
from gobuild.verify.golang import inspect_file, inspect_program
from gobuild.verify.inputs import VerifyInput
from gobuild.verify.policy import Policy
from gobuild.verify.probe import SUBJECT, ProbeJob, run_probes
from gobuild.verify.starts import check_build, check_starts
from gobuild.verify.tree import Goroot

NOT_ASKED = (
    "not asked for: nothing of what is judged has your rights; --probe has its go command compile and run programs"
)


def silent(_text: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How to verify, whatever it is."""

    host: Target
    run: Runner  # starts the go command, the probes and other tools
    scratch: Path  # a folder to work in; what is put there is removed again
    note: Callable[[str], None] = silent  # told what is being done
    policy: Policy = policy.NONE
    roots: tuple[bytes, ...] = ()  # certificates (DER) trusted besides Apple's
    deep: bool = False  # whether the emulated toolchain builds a program
    paths: tuple[str, ...] = ()  # folders whose paths must not be in a file


def run_checks(
    found: VerifyInput, options: VerifyOptions, *, target: Target | None = None, no_probe: str = "", built: bool = False
) -> Report:
    """Makes every check; the probes come last, for they run what was checked.

    Single programs must run on `target`; by default, on what they look like. `no_probe` is why no probe is compiled.
    Unless this machine has just `built` the toolchain, the probes are compiled and run only where no check failed: a
    policy that allows a failure does not change that.
    """
    options.scratch.mkdir(parents=True, exist_ok=True)
    checks, inspected = list(found.checks), list[FileReport]()
    goroot = found.tree
    try:
        if goroot:
            expected = _expectation(goroot, options)
            executables = list(tree.executables(goroot))
            options.note(f"{len(executables)} executables for {goroot.target}")
            inspected += (
                inspect_file(path, subject=subject, program=program, expected=expected)
                for path, subject, program in executables
            )
            checks += _goroot_checks(goroot, expected)
        inspected += (
            # What the user names may be a link, such as brew makes; among a toolchain's own files a link is refused.
            inspect_program(path.resolve(), target, subject=str(path.relative_to(found.folder)), roots=options.roots)
            for path in found.programs
        )
        checks += (check for each in inspected for check in each.checks)
        failed = sum(check.verdict is Verdict.FAILED for check in checks)
        if goroot and not no_probe and (built or not failed):
            options.note("probe programs, compiled by the new toolchain")
            root, host, scratch = goroot.root.absolute(), options.host, options.scratch
            job = ProbeJob(goroot=root, host=host, expected=expected, cgo=goroot.cgo, scratch=scratch)
            probed = list(run_probes(job, run=options.run))
            inspected += probed
            checks += (check for each in probed for check in each.checks)
        elif goroot:
            reason = no_probe or f"{failed} failed checks: what failed is not run"
            checks += FileReport(subject=SUBJECT).skip(CheckId.COMPILE, reason).checks
        if goroot and not failed:
            checks += check_starts(goroot, expected, inspected, options.scratch)
            if options.deep:
                options.note("a program, built by the emulated toolchain")
                checks += check_build(goroot, options.scratch, run=options.run, own=not no_probe)
        checks += (check for each in inspected for check in options.policy.demands(each))
        path = os.environ.get("PATH", os.defpath)
        checks += second_opinions(inspected, path=path, scratch=options.scratch, run=options.run)
        return Report(checks=options.policy.judge(checks))
    finally:
        files.remove(options.scratch / "probe")


def why_no_probe(goroot: Goroot, host: Target) -> str:
    """Why no probe can be compiled; empty where one can."""
    runs_on = tree.identify(goroot.root / "bin" / "go")
    if runs_on != host:
        return f"its go command runs on {runs_on or 'no machine of ours'}, and this is {host}"
    return "" if (goroot.root / "src" / "runtime").is_dir() else "the standard library's source is not there"


def _expectation(goroot: Goroot, options: VerifyOptions) -> Expectation:
    """What the toolchain's own binaries must be like."""
    release = expect.release_of(goroot.stamp)
    expected = expect.expectation(release, goroot.target, stamp=goroot.stamp, patches=goroot.patches)
    wanted, built_in = tree.experiments(goroot.root)
    # cmd/go records it where it is another than the one built in.
    recorded = {"GOEXPERIMENT": wanted} if wanted not in ("", built_in) else {}
    return replace(
        expected,
        settings={**expected.settings, **recorded},
        experiment=wanted or built_in,
        stripped="-s" in goroot.ldflags.split() and expect.strips(release, goroot.target),
        paths=options.paths,
        roots=options.roots,
    )


def _goroot_checks(goroot: Goroot, expected: Expectation) -> list[Check]:
    """VERSION, what an archive holds besides, and which tools there are."""
    version = tree.version(goroot.root)
    wrong = [] if version == goroot.stamp else [Problem("wrong-version", version or "none")]
    stamp = FileReport(subject="VERSION").judge(CheckId.VERSION, wrong, seen=version, expected=goroot.stamp)
    contents = FileReport(subject="bin, pkg, src, test")
    if goroot.packed:
        contents.judge(
            CheckId.CONTENTS,
            [Problem("stray-file", name) for name in tree.strays(goroot)],
            seen="nothing that distpack would not have packed",
            expected="go, gofmt, pkg/include and the tools; in src and test executables as test data and .syso only",
        )
    tools = FileReport(subject=f"pkg/tool/{goroot.target.underscored}")
    present, wanted = {path.name for path in tree.walk(goroot.tools)} - tree.dropped(goroot), expected.facts.tools
    if wanted:
        missing = [Problem("missing-tool", f"no {name}") for name in sorted(wanted - present)]
        seen = f"all {len(wanted)}, and {len(present - wanted)} more"
        tools.judge(CheckId.TOOLS, missing, seen=seen, expected=", ".join(sorted(wanted)))
    else:
        tools.skip(CheckId.TOOLS, f"{len(present)} tools; no list known for {goroot.stamp}")
    return [*stamp.checks, *contents.checks, *tools.checks]
