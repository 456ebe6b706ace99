"""Signing what distpack packed: the programs in the archives are signed, and the archives verified again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gobuild import package, verify
from gobuild.codesign import signers
from gobuild.codesign.signers import Signing
from gobuild.core.goversion import Target
from gobuild.core.model import Report, Verdict
from gobuild.core.process import Runner
from gobuild.verify.policy import NONE, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Resigned:
    """All archives in their order, the checks of the toolchain's, and what the manifest says of the signing."""

    archives: tuple[Path, ...]
    report: Report
    told: Mapping[str, str]


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

    The archives stay as they are; what is made of them, entry by entry, stands in `scratch`. The programs' identifiers
    begin with `prefix`.

    Raises:
        SignError: a program could not be signed.
        VerifyError: the result does not hold.
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
    """The signed archive's checks, and those of the probes, which ran in the tree that was built and nowhere else."""
    seen = {each.subject for each in signed.checks if each.verdict is not Verdict.SKIPPED}
    more = tuple(each for each in built.checks if each.subject not in seen)
    added = {each.subject for each in more}
    return Report(checks=(*(each for each in signed.checks if each.subject not in added), *more))
