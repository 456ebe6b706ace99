"""The receiving side: a published tree and its publisher's key come in, a report goes out, from the signature down.

    key -> SHA256SUMS' signature -> SHA256SUMS -> every file -> manifests, bill of materials, provenance
        -> the module's h1 in the checksum database -> the tap: every file in it, to the byte
        -> the indexes that clients act on

What a signature does not cover is compared with what it does cover. Nothing below a signature that fails is looked
at. It cannot tell whether a newer release is being kept back: for that there is no signed clock here.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gobuild.core.errors import ChecksumMismatch, ConfigError, FetchError, GobuildError, VerifyError
from gobuild.core.model import Check, Report, Verdict
from gobuild.core.process import Runner
from gobuild.publish.builds import STAMP
from gobuild.publish.site import ABOUT
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.supply import attestations
from gobuild.publish.supply.signing import Trust
from gobuild.release import indexes, papers, tap
from gobuild.release.papers import Release
from gobuild.release.place import Place, place, read, there
from gobuild.release.trust import trust

__all__ = ["require", "verify_release"]

Note = Callable[[str], None]


def verify_release(
    where: str,
    *,
    key: Path | None,
    sumdb: str = "",
    stamps: Iterable[str] = (),
    signed_only: bool = False,
    run: Runner,
    note: Note,
) -> Report:
    """Checks a published tree.

    Args:
        where: its folder or URL.
        key: the publisher's public key, of minisign's or OpenPGP's kind.
        sumdb: the checksum database's key, "NAME+HASH+KEY"; its tree head is not checked without it.
        stamps: the releases to check; by default all that the tree says it has.
        signed_only: whether to hold no formula and no index against what this gobuild would write: one that publishes
            to the tree next writes them anew, and another gobuild may have written these.
        run: starts git and gpg.
        note: told what is under way.

    Returns:
        Every check, in order.

    Raises:
        ConfigError: no key, or one that cannot be used; no such tree; a stamp that is none.
        FetchError: the tree does not answer.
    """
    trusted, tree = trust(key, run), place(where)
    verifier = Verifier.parse(sumdb) if sumdb else None
    asked = tuple(dict.fromkeys(stamps))
    for stamp in asked:
        if not STAMP.fullmatch(stamp):
            raise ConfigError(f"{stamp!a} is no stamp of a release", "--stamp go1.22.10-acme1.p3f9c2a1")
    checks: list[Check] = []
    signed: list[tap.Signed] = []
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        taps = tap.clone(tree, Path(scratch), run)
        database = papers.database(tree, verifier)
        checks += database.checks
        for stamp in _in_order(tree, asked) if asked else _listed(tree):
            checks += _release(tree, stamp, trusted, note, Path(scratch), database, signed)
        if signed_only:
            why = "--signed-only: not compared with what this gobuild would write"
            checks += [*taps.checks, Check(subject="tap, indexes", name="text", verdict=Verdict.SKIPPED, seen=why)]
        elif signed:
            checks += tap.check(taps, signed, tree, every=not asked)
    builds = [found for each in signed for found in each.builds]
    if not signed_only:
        checks += indexes.check(tree, builds, every=not asked)
    return Report(checks=tuple(checks))


def require(report: Report) -> None:
    """Lets a report pass only if something was checked and nothing failed.

    Raises:
        ChecksumMismatch: a signature or a digest is wrong.
        VerifyError: anything else is.
    """
    if report.ok:
        return
    failed = report.failed
    words = "; ".join(f"{check.subject}: {check.name}: {check.seen}" for check in failed[:3])
    hint = "do not use these files; ask who published them"
    if any(check.name in ("signature", "digest") for check in failed):
        raise ChecksumMismatch(f"{len(failed)} checks failed: {words}", hint)
    raise VerifyError(f"{len(failed)} checks failed: {words}" if failed else "there was nothing to check", hint)


def _in_order(tree: Place, asked: tuple[str, ...]) -> list[str]:
    """The same stamps as the tree orders them, as far as it says so."""
    try:
        listed = _listed(tree)
    except FetchError:
        listed = ()
    return sorted(asked, key=lambda stamp: listed.index(stamp) if stamp in listed else len(listed))


def _listed(tree: Place) -> tuple[str, ...]:
    """The stamps that the tree says it has; that is not signed, and may leave some out.

    Raises:
        FetchError: it says none, or what is no stamp: the publisher's fault, or whoever changed the tree.
    """
    try:
        stamps = tuple(str(stamp) for stamp in json.loads(read(tree, ABOUT))["stamps"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FetchError(f"{ABOUT} is not that of a published tree", "--stamp with the release to check") from error
    if not stamps:
        raise FetchError(f"{ABOUT} names no release", "--stamp with the release to check")
    for stamp in stamps:
        if not STAMP.fullmatch(stamp):
            raise FetchError(f"{ABOUT} names {stamp[:80]!a}, which is no stamp of a release", "ask who published it")
    return tuple(dict.fromkeys(stamps))


def _release(
    tree: Place,
    stamp: str,
    trusted: Trust,
    note: Note,
    scratch: Path,
    database: papers.Hashes,
    releases: list[tap.Signed],
) -> Iterator[Check]:
    """The checks of one release; it joins the others, once it is known to be the publisher's."""
    note(stamp)
    signed: dict[str, bytes] = {}
    for name in attestations.SIGNED:
        check, content = _signature(tree, stamp, name, trusted)
        yield check
        if content is not None:
            signed[name] = content
    if attestations.SUMS not in signed:
        return  # nothing that follows could be trusted
    try:
        release = Release(stamp=stamp, sums=attestations.parse_sums(signed[attestations.SUMS]), signed=signed)
    except GobuildError as error:
        yield Check(subject=f"{stamp}/{attestations.SUMS}", name="form", verdict=Verdict.FAILED, seen=error.reason)
        return
    found, read_them = papers.builds(tree, release)
    if found:
        releases.append(tap.Signed(release=release, builds=found))
    yield from read_them
    yield from papers.check(tree, release, found, scratch, database, note)
    yield from indexes.digests(tree, release, found)


def _signature(tree: Place, stamp: str, name: str, trusted: Trust) -> tuple[Check, bytes | None]:
    """Checks one signature; hands out the bytes it is over, once they are trusted."""
    path = f"releases/{stamp}/{name}"
    content, signature = there(tree, path), there(tree, f"{path}{trusted.ending}")

    def said(verdict: Verdict, seen: str) -> Check:
        return Check(subject=f"{stamp}/{name}", name="signature", verdict=verdict, seen=seen)

    if content is None or signature is None:
        return said(Verdict.FAILED, f"there is no {name if content is None else name + trusted.ending}"), None
    try:
        who = trusted.check(content, signature, attestations.trusted_comment(stamp, name))
    except ChecksumMismatch as error:
        return said(Verdict.FAILED, error.reason), None
    return said(Verdict.OK, who), content
