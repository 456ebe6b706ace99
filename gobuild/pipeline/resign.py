"""Signing what is packed: the programs in finished archives are signed, and the archives verified again.

distpack has run: its archives are taken apart and put together again entry by entry, so that nothing but the programs
changes; then verify sees the result as whoever downloads it will.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gobuild import package, verify
from gobuild.codesign import signers
from gobuild.codesign.signers import Signer
from gobuild.core.goversion import Target
from gobuild.core.model import Report, Verdict
from gobuild.core.process import Runner
from gobuild.core.settings import Settings
from gobuild.verify.policy import NONE, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How a build is signed."""

    signer: Signer | None  # None where the linker's own signatures stay
    roots: tuple[bytes, ...]  # certificates (DER) that a signature may lead to, besides Apple's


@dataclass(frozen=True, slots=True, kw_only=True)
class Resigned:
    """Archives with signed programs."""

    archives: tuple[Path, ...]  # all that came in, in their order; those with programs in them stand elsewhere now
    report: Report  # the checks of the toolchain's archive
    told: Mapping[str, str]  # what the manifest says of the signing


def choose_signer(settings: Settings, *, run: Runner) -> Signing:
    """Finds out who signs, and opens what is needed for it, before any work begins."""
    path = os.environ.get("PATH", os.defpath)
    signer = signers.choose_signer(settings, host=Target.host(), run=run, environ=os.environ, path=path)
    trusted = verify.load_roots(Path(settings.trust).expanduser()) if settings.trust else ()
    return Signing(signer=signer, roots=(*trusted, *(signer.roots if signer else ())))


def resign(
    archives: tuple[Path, ...],
    signing: Signing,
    *,
    target: Target,
    prefix: str,
    scratch: Path,
    run: Runner,
    note: Callable[[str], None],
    policy: Policy = NONE,
) -> Resigned:
    """Signs the programs in a toolchain's archive and its GOTOOLCHAIN module, and verifies both.

    The archives that distpack made stay as they are; the new ones stand in `scratch`. The programs' identifiers begin
    with `prefix`.
    """
    assert signing.signer is not None  # noqa: S101  (the pipeline has looked)
    (toolchain,) = (path for path in archives if path.name.endswith(f".{target.dashed}.tar.gz"))
    programs = package.unpack_executables(toolchain, target, scratch / "programs")
    told = signers.sign_programs(programs, signing.signer, prefix=prefix, scratch=scratch, note=note)
    made, reports = [], {}
    for path in archives:
        if not path.name.endswith((f".{target.dashed}.tar.gz", f".{target.dashed}.zip")):
            made.append(path)
            continue
        note(path.name)
        made.append(scratch / path.name)
        package.replace_entries(path, programs, made[-1])
        note(f"verify {path.name}")
        reports[path] = verify.verify_path(
            made[-1], run=run, scratch=scratch / "verify", target=target, policy=policy, roots=signing.roots
        )
        verify.require(reports[path])
    return Resigned(archives=tuple(made), report=reports[toolchain], told=told)


def with_probes(signed: Report, built: Report) -> Report:
    """The signed archive's checks, and what only the tree that was built could show: its programs' probes.

    The probes ran in the tree, once: of the archive, nothing is run.
    """
    seen = {each.subject for each in signed.checks if each.verdict is not Verdict.SKIPPED}
    more = tuple(each for each in built.checks if each.subject not in seen)
    added = {each.subject for each in more}
    return Report(checks=(*(each for each in signed.checks if each.subject not in added), *more))
