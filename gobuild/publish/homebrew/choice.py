"""Which formula is of which release.

A formula for each line of Go, NAME@1.22, keg-only; and NAME for the newest release. The newest line has both: beside
NAME at 1.27 brew's audit wants the alias NAME@1.27 *or* a formula of that name (formula_auditor.rb, audit_file), and
only with the formula does who asked for 1.27 stay with it when 1.28 is there. Release candidates are in no formula,
since Homebrew takes 1.28rc1 for newer than 1.28.0.

A formula has one version for all platforms. So it moves on only to a release that is there for each platform it
serves: whoever installed it elsewhere would have it refused by `depends_on` at the next upgrade. It never goes back.

What is newer is the catalogue's to say, for the tap as for every page and index. Of two of the same Go, Homebrew is
told by the formula's `version_scheme` (`update`).
"""

from collections.abc import Callable, Mapping, Sequence

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.publish.catalogue import Catalogue, age
from gobuild.publish.homebrew.formula import formula_name, formula_path
from gobuild.publish.homebrew.formula_spec import FormulaSpec, parse_formula
from gobuild.publish.homebrew.tap import Tap

Note = Callable[[str], None]


def formula_now(tap: Tap, formula: str) -> FormulaSpec | None:
    """What a formula of a tap installs now, None where there is none; one that gobuild did not write is refused."""
    path = formula_path(formula)
    text = tap.read_file(path)
    try:
        return parse_formula(text) if text is not None else None
    except ConfigError as error:
        raise ConfigError(f"the tap's {path} stays: {error.reason}", "another --name, or move it away") from error


def formulae_by_release(catalogue: Catalogue, tap: Tap, *, drop: frozenset[Target], note: Note) -> dict[str, list[str]]:
    """The formulae of each release, oldest release first; a stamp that no formula is of is not there.

    Platforms in `drop` may be left behind. It notes which releases are passed over, and which formulae stay.
    """
    releases = {stamp: each for stamp, each in reversed(catalogue.releases.items()) if each[0].version.stable}
    ordered, before = list(releases), tap.stamps()
    candidates: dict[str, list[str]] = {}
    for stamp in ordered:
        candidates.setdefault(formula_name(catalogue.name, releases[stamp][0].version), []).append(stamp)
    if ordered:
        candidates[catalogue.name] = ordered
    chosen: dict[str, list[str]] = {stamp: [] for stamp in ordered}
    for formula, stamps in candidates.items():
        now = formula_now(tap, formula)
        newer = [each for each in stamps if not (now and _older(each, f"go{now.version}", ordered, before))]
        targets = {each: frozenset(build.target for build in releases[each]) for each in newer}
        if stamp := _newest_for_all(formula, targets, now, drop, note):
            chosen[stamp].append(formula)
    found = {stamp: formulae for stamp, formulae in chosen.items() if formulae}
    for stamp in found:
        older = [each for each in ordered[: ordered.index(stamp)] if each not in found]
        passed = [each for each in older if releases[each][0].version == releases[stamp][0].version]
        if passed:
            note(
                f"no formula is of {', '.join(passed)}: {stamp} is newer. Of two that differ in the digest alone the"
                " later published is; where they come at once, nobody can tell: give the suffix a revision that grows,"
                " acme.1.{id}, acme.2.{id}"
            )
    return found


def _older(stamp: str, now: str, ordered: Sequence[str], before: Sequence[str]) -> bool:
    """Whether a release is older than the one that a formula is of, which need not be on offer any more."""
    if now in ordered:
        return ordered.index(stamp) < ordered.index(now)
    return age(stamp, before) < age(now, before)


def _newest_for_all(
    formula: str, offered: Mapping[str, frozenset[Target]], now: FormulaSpec | None, drop: frozenset[Target], note: Note
) -> str:
    """Goes from release to release, as if each had been published by itself; "" where the formula stays as it is."""
    version, served = (now.version, now.targets) if now else ("", frozenset())
    chosen, held = "", list[str]()
    for stamp, targets in offered.items():
        if lost := sorted(map(str, served - targets - drop)):
            held.append(f"{stamp} is not there for {', '.join(lost)}")
        else:
            chosen, version, served, held = stamp, stamp.removeprefix("go"), targets, []
    if version and (held or not chosen):
        note(f"{formula} stays at {version}: {'; '.join(held) or 'what is offered is older'}")
    return chosen
