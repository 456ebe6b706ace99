"""Which formula is of which release: a shelf and the tap as it is come in, stamps and formulae's names go out.

A formula for each line of Go, NAME@1.22, keg-only; and NAME for the newest release. The newest line has both: beside
NAME at 1.27 brew's audit wants the alias NAME@1.27 *or* a formula of that name (formula_auditor.rb, audit_file), and
only with the formula does who asked for 1.27 stay with it when 1.28 is there. Release candidates are in no formula,
since Homebrew takes 1.28rc1 for newer than 1.28.0.

A formula has one version for all platforms. So it moves on only to a release that is there for each platform it
serves: whoever installed it elsewhere would have it refused by `depends_on` at the next upgrade. It never goes back.

What is newer is the shelf's to say, for the tap as for every page and index. Where Homebrew would have it the other way
round, the formula's `version_scheme` grows (`update`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gobuild.core.model import TARGETS, Target
from gobuild.publish.catalogue import Catalogue, age
from gobuild.publish.homebrew.formula import OURS, formula_name
from gobuild.publish.homebrew.read import Formula, Unreadable, parse
from gobuild.publish.homebrew.tap import Tap

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serves:
    """What a formula installs.

    Attributes:
        version: without "go": "1.22.10-acme1.p3f9c2a1".
        targets: where.
    """

    version: str
    targets: frozenset[Target]


def serves(formula: Formula) -> Serves | None:
    """What a formula installs; None where it says no version, or it cannot be read."""
    try:
        version = formula.text("version")
        open_to = frozenset(target for target in TARGETS if not formula.on(target).refused)
    except Unreadable:
        return None
    return Serves(version=version, targets=open_to) if version else None


def by_release(
    shelf: Catalogue, there: Tap | None = None, *, drop: frozenset[Target] = frozenset(), note: Note = lambda _: None
) -> dict[str, list[str]]:
    """Which formulae are of which release, oldest release first; a stamp that no formula is of is not there.

    Args:
        shelf: what is offered.
        there: the tap as it is; None for none yet.
        drop: platforms that formulae may leave behind.
        note: told which releases are passed over, and which formulae stay at an older one.
    """
    releases = shelf.releases
    ordered = [stamp for stamp, offers in releases.items() if offers[0].version.stable][::-1]
    before = there.stamps() if there else []
    scopes: dict[str, list[str]] = {}
    for stamp in ordered:
        scopes.setdefault(formula_name(shelf.name, releases[stamp][0].version), []).append(stamp)
    if ordered:
        scopes[shelf.name] = ordered
    chosen: dict[str, list[str]] = {stamp: [] for stamp in ordered}
    for formula, stamps in scopes.items():
        now = _now(formula, there) if there else None
        newer = [each for each in stamps if not (now and _older(each, f"go{now.version}", ordered, before))]
        stamp = _newest(formula, {each: _offered(shelf, each) for each in newer}, now, drop, note)
        if stamp:
            chosen[stamp].append(formula)
    found = {stamp: formulae for stamp, formulae in chosen.items() if formulae}
    for stamp in found:
        _passed_over(shelf, stamp, [each for each in ordered[: ordered.index(stamp)] if each not in found], note)
    return found


def _now(formula: str, there: Tap) -> Serves | None:
    """What a formula of ours installs now."""
    text = there.read(f"Formula/{formula}.rb") or ""
    try:
        return serves(parse(text)) if OURS in text else None
    except Unreadable:
        return None  # it is written anew


def _offered(shelf: Catalogue, stamp: str) -> Serves:
    targets = frozenset(offer.target for offer in shelf.releases[stamp])
    return Serves(version=stamp.removeprefix("go"), targets=targets)


def _older(stamp: str, now: str, ordered: Sequence[str], before: Sequence[str]) -> bool:
    """Whether a release is older than the one that a formula is of, which need not be on offer any more."""
    if now in ordered:
        return ordered.index(stamp) < ordered.index(now)
    return age(stamp, before) < age(now, before)


def _newest(
    formula: str, offered: Mapping[str, Serves], now: Serves | None, drop: frozenset[Target], note: Note
) -> str:
    """Goes from release to release, as if each had been published by itself; "" where the formula stays as it is."""
    chosen, held = "", list[str]()
    for stamp, release in offered.items():
        lost = sorted(map(str, (now.targets if now else frozenset()) - release.targets - drop))
        if lost:
            held.append(f"{stamp} is not there for {', '.join(lost)}")
        else:
            chosen, now, held = stamp, release, []
    if now and (held or not chosen):
        why = "; ".join(held) or "what is offered is older"
        note(f"{formula} stays at {now.version}: {why}")
    return chosen


def _passed_over(shelf: Catalogue, stamp: str, older: list[str], note: Note) -> None:
    release = shelf.releases[stamp][0].version
    passed = [each for each in older if shelf.releases[each][0].version == release]
    if passed:
        note(
            f"no formula is of {', '.join(passed)}: {stamp} is newer. Of two that differ in the digest alone the later"
            " published is; where they come at once, nobody can tell: give the suffix a revision that grows,"
            " acme.1.{id}, acme.2.{id}"
        )
