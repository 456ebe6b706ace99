"""Everything together: a toolchain's folder or single programs come in, a report of every check goes out.

Every executable is inspected, the probes are compiled, other tools are asked, and a policy has the last word.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.binary import buildinfo, elf, macho
from gobuild.binary.buildinfo import BuildInfo
from gobuild.binary.view import Malformed, opened
from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.model import Check, Report, Target, Verdict
from gobuild.core.process import Runner
from gobuild.verify import expect, policy, tree
from gobuild.verify.checks import Inspected, inspect
from gobuild.verify.expect import Expectation
from gobuild.verify.inputs import Input
from gobuild.verify.policy import Policy
from gobuild.verify.probe import SUBJECT, Job, probe
from gobuild.verify.tools import second_opinions
from gobuild.verify.tree import Tree

NOT_ASKED = "not asked for: nothing of what is judged is run; --probe compiles and runs programs with its go command"


def silent(_text: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to verify, whatever it is.

    Attributes:
        host: what this machine is.
        run: starts the go command, the probes and other tools.
        scratch: a folder to work in.
        note: told what is being done.
        policy: somebody's own rules.
        roots: certificates (DER) trusted besides Apple's.
        paths: folders whose paths must not be in a file.
    """

    host: Target
    run: Runner
    scratch: Path
    note: Callable[[str], None] = silent
    policy: Policy = policy.NONE
    roots: tuple[bytes, ...] = ()
    paths: tuple[str, ...] = ()


def report(found: Input, way: Way, *, target: Target | None = None, no_probe: str = "", built: bool = False) -> Report:
    """Makes every check; the probes come last, for they run what was checked.

    Args:
        found: what there is to verify.
        way: how.
        target: what single programs must run on; by default, what they look like.
        no_probe: why no probe is compiled; empty where one is.
        built: whether this machine has just built the toolchain. The probes of any other are compiled and run only
            where no check failed: a policy that allows a failure does not change that.
    """
    way.scratch.mkdir(parents=True, exist_ok=True)
    checks, inspected = list(found.checks), list[Inspected]()
    try:
        if found.tree:
            expected = _expected(found.tree, way)
            inspected += _executables(found.tree, way, expected)
            checks += _tree(found.tree, expected)
        for path in found.programs:
            inspected.append(program(path, target, subject=str(path.relative_to(found.folder)), roots=way.roots))
        checks += (check for each in inspected for check in each.checks)
        failed = sum(check.verdict is Verdict.FAILED for check in checks)
        if found.tree and not no_probe and (built or not failed):
            probed = _probes(found.tree, way, expected)
            inspected += probed
            checks += (check for each in probed for check in each.checks)
        elif found.tree:
            reason = no_probe or f"{failed} failed checks: what failed is not run"
            checks.append(Check(subject=SUBJECT, name="compile", verdict=Verdict.SKIPPED, seen=reason))
        return _finished(checks, inspected, way)
    finally:
        files.remove(way.scratch / "probe")


def single(path: Path, target: Target | None, way: Way) -> Report:
    """Makes every check of one executable.

    Raises:
        ConfigError: it is none.
    """
    way.scratch.mkdir(parents=True, exist_ok=True)
    if tree.identify(path) is None and target is None and not tree.executable(path):
        raise ConfigError(
            f"{path} is no executable and no archive", "a GOROOT, a toolchain's archive, or an executable"
        )
    # What the user names may be a link, such as brew makes; among a toolchain's own files a link is refused.
    inspected = program(path.resolve(), target, subject=path.name, roots=way.roots)
    return _finished(inspected.checks, [inspected], way)


def _finished(checks: Iterable[Check], inspected: list[Inspected], way: Way) -> Report:
    """Adds what a policy demands and other tools think; then the policy judges."""
    demanded = (check for each in inspected for check in way.policy.demands(each))
    path = os.environ.get("PATH", os.defpath)
    opinions = second_opinions(inspected, path=path, scratch=way.scratch, run=way.run)
    return Report(checks=way.policy.judge((*checks, *demanded, *opinions)))


def _expected(shipped: Tree, way: Way) -> Expectation:
    """What the toolchain's own binaries must be like."""
    expected = expect.expectation(
        expect.release_of(shipped.stamp), shipped.target, stamp=shipped.stamp, uuid=shipped.uuid
    )
    wanted, built_in = tree.experiments(shipped.root)
    # cmd/go records it where it is another than the one built in.
    told = {"GOEXPERIMENT": wanted} if wanted not in ("", built_in) else {}
    return replace(
        expected,
        settings={**expected.settings, **told},
        experiment=wanted or built_in,
        stripped="-s" in shipped.ldflags.split(),
        paths=way.paths,
        roots=way.roots,
    )


def _executables(shipped: Tree, way: Way, expected: Expectation) -> list[Inspected]:
    found = list(tree.executables(shipped))
    way.note(f"{len(found)} executables for {shipped.target}")
    return [inspect(each.path, subject=each.subject, program=each.program, expected=expected) for each in found]


def _probes(shipped: Tree, way: Way, expected: Expectation) -> list[Inspected]:
    job = Job(goroot=shipped.root.absolute(), host=way.host, expected=expected, cgo=shipped.cgo, scratch=way.scratch)
    way.note("probe programs, compiled by the new toolchain")
    return list(probe(job, run=way.run))


def _tree(shipped: Tree, expected: Expectation) -> list[Check]:
    """The checks of the tree as a whole: VERSION, what an archive holds besides, and which tools there are."""
    version = tree.version(shipped.root)
    stamp = Inspected(path=shipped.root / "VERSION", subject="VERSION")
    wrong = [] if version == shipped.stamp else [version or "none"]
    stamp.judge("version", wrong, seen=version, expected=shipped.stamp)

    contents = Inspected(path=shipped.root, subject="bin, pkg, src, test")
    if shipped.packed:
        contents.judge(
            "contents",
            tree.strays(shipped),
            seen="nothing that distpack would not have packed",
            expected="go, gofmt, pkg/include and the tools; in src and test executables as test data and .syso only",
        )
    tools = Inspected(path=shipped.tools, subject=f"pkg/tool/{shipped.target.underscored}")
    present = tree.tools(shipped)
    if expected.tools:
        missing = [f"no {name}" for name in sorted(expected.tools - present)]
        seen = f"all {len(expected.tools)}, and {len(present - expected.tools)} more"
        tools.judge("tools", missing, seen=seen, expected=", ".join(sorted(expected.tools)))
    else:
        tools.skip("tools", f"{len(present)} tools; no list known for {shipped.stamp}")
    return [*stamp.checks, *contents.checks, *tools.checks]


def no_probe(shipped: Tree, host: Target) -> str:
    """Why no probe can be compiled; empty where one can."""
    runs_on = tree.identify(shipped.root / "bin" / "go")
    if runs_on != host:
        return f"its go command runs on {runs_on or 'no machine of ours'}, and this is {host}"
    return "" if (shipped.root / "src" / "runtime").is_dir() else "the standard library's source is not there"


def program(path: Path, target: Target | None, *, subject: str, roots: tuple[bytes, ...] = ()) -> Inspected:
    """The checks of one executable, held to what it says of itself."""
    seems = target or tree.identify(path) or tree.resembled(path)
    try:
        info = build_information(path, seems)
    except OSError:
        info = None  # it cannot be read, as `inspect` will say
    mode = info.settings.get("-buildmode", "") if info else ""
    if mode in expect.LIBRARIES:
        refused = Inspected(path=path, subject=subject)
        refused.judge("format", [f"a library, by -buildmode={mode}"], seen="", expected="a program")
        return refused
    stamp, main = (info.version, info.path) if info else ("", "")
    expected = replace(expect.expectation(expect.release_of(stamp), seems, stamp=stamp), roots=roots)
    if not main.startswith("cmd/"):
        expected = expect.of_any(expected)
        if info and info.settings.get("-race") == "true":
            expected = expect.of_race(expected)
    return inspect(path, subject=subject, program=main, expected=expected)


def build_information(path: Path, target: Target | None = None) -> BuildInfo | None:
    """What an executable says of itself: the toolchain that built it, its main package, its settings.

    Args:
        path: a thin executable for darwin or linux, a toolchain's or any program's.
        target: what it is read as; by default, what it looks like.

    Returns:
        None where it is no such executable, is damaged, or has no build information of Go's.

    Raises:
        OSError: it cannot be read.
    """
    seems = target or tree.identify(path)
    if seems is None:
        return None
    try:
        with opened(path) as view:
            if seems.goos == "darwin":
                section = macho.read_macho(view).section("__go_buildinfo")
                place = section.place if section else None
            else:
                place = elf.read_elf(view).places.get(".go.buildinfo")
            return buildinfo.read_buildinfo(view, place) if place else None
    except Malformed:
        return None


def toolchain(shipped: Tree) -> Input:
    """A toolchain that was just built, as something to verify: only what ships."""
    return Input(folder=shipped.root, tree=shipped, programs=())
