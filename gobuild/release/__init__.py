"""The receiving side: a published tree is checked with its publisher's key, from the signature down.

    key -> SHA256SUMS' signature -> SHA256SUMS -> every file -> manifests, bill of materials, provenance
        -> the module's h1 in the checksum database -> the tap: every file in it, to the byte
        -> the indexes that clients act on

What a signature does not cover is compared with what it does cover. Nothing below a signature that fails is looked
at. It cannot tell whether a newer release is being kept back: for that there is no signed clock here.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from gobuild.core.errors import ChecksumMismatch, ConfigError, FetchError, GobuildError, VerifyError
from gobuild.core.model import Check, Report
from gobuild.core.process import Runner
from gobuild.publish.builds import STAMP
from gobuild.publish.findings import failed, passed, skipped
from gobuild.publish.site import ABOUT
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.supply import attestations, minisign
from gobuild.publish.supply.signing import GnupgTrust, MinisignTrust, Trust
from gobuild.release import indexes, signed_release, tap
from gobuild.release.mirror import Mirror, open_mirror
from gobuild.release.signed_release import Note, SignedRelease

__all__ = ["load_trust", "require_pass", "verify_release"]


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
    """Checks a published tree in a folder or behind a URL.

    The key is the publisher's, of minisign's or OpenPGP's kind; `sumdb` is the checksum database's, "NAME+HASH+KEY",
    without which its tree head is not checked. Without stamps all releases are checked that the tree says it has.
    `signed_only` holds no formula and no index against what this gobuild would write: whoever publishes to the tree
    next writes them anew, and another gobuild may have written these.

    Raises:
        ConfigError: no key, or one that cannot be used; no such tree; a stamp that is none.
        FetchError: the tree does not answer.
    """
    trusted, mirror = load_trust(key, run), open_mirror(where)
    verifier = Verifier.parse(sumdb) if sumdb else None
    asked = tuple(dict.fromkeys(stamps))
    for stamp in asked:
        if not STAMP.fullmatch(stamp):
            raise ConfigError(f"{stamp!a} is no stamp of a release", "--stamp go1.22.10-acme1.p3f9c2a1")
    with tempfile.TemporaryDirectory(prefix="gobuild-") as folder:
        scratch = Path(folder)
        taps, tap_checks = tap.open_taps(mirror, scratch, run)
        logged = signed_release.check_database(mirror, verifier)
        checks, releases = list(logged.checks), list[SignedRelease]()
        for stamp in _in_order(mirror, asked) if asked else _listed(mirror):
            note(stamp)
            release = SignedRelease(stamp=stamp)
            checks += _check_signatures(mirror, release, trusted)
            if attestations.SUMS in release.files:  # else nothing that follows could be trusted
                checks += signed_release.check_release(mirror, release, scratch, logged, note)
                checks += indexes.check_digest_files(mirror, release)
            if release.builds:
                releases.append(release)
        if signed_only:
            why = "--signed-only: not compared with what this gobuild would write"
            checks += [*tap_checks, skipped("tap, indexes", "text", why)]
        elif releases:
            checks += tap_checks
            checks += tap.check_taps(taps, releases, mirror, every=not asked)
            checks += indexes.check_indexes(mirror, releases, every=not asked)
    return Report(checks=tuple(checks))


def require_pass(report: Report) -> None:
    """Raises ChecksumMismatch for a wrong signature or digest, VerifyError for anything else, and for no check."""
    if report.ok:
        return
    words = "; ".join(f"{check.subject}: {check.name}: {check.seen}" for check in report.failed[:3])
    hint = "do not use these files; ask who published them"
    message = f"{len(report.failed)} checks failed: {words}" if words else "there was nothing to check"
    if any(check.name in ("signature", "digest") for check in report.failed):
        raise ChecksumMismatch(message, hint)
    raise VerifyError(message, hint)


def load_trust(key: Path | None, run: Runner) -> Trust:
    """Reads a public key of minisign's or OpenPGP's kind.

    Raises:
        ConfigError: there is none, or it is of no kind that gobuild knows: without a key nothing can be trusted.
    """
    if key is None:
        raise ConfigError(
            "nothing is verified without the publisher's public key",
            "--key minisign.pub, from somewhere else than the tree itself",
        )
    try:
        text = key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the public key {key} cannot be read", "a file such as minisign.pub") from error
    armored = "-----BEGIN PGP PUBLIC KEY BLOCK-----" in text
    return GnupgTrust(armored=text, run=run) if armored else MinisignTrust(key=minisign.public_key(text))


def _in_order(mirror: Mirror, asked: tuple[str, ...]) -> list[str]:
    """The same stamps as the tree orders them, as far as it says so."""
    try:
        listed = _listed(mirror)
    except FetchError:
        listed = ()
    return sorted(asked, key=lambda stamp: listed.index(stamp) if stamp in listed else len(listed))


def _listed(mirror: Mirror) -> tuple[str, ...]:
    """The stamps that the tree says it has; that is not signed, and may leave some out.

    Raises:
        FetchError: it says none, or what is no stamp: the publisher's fault, or whoever changed the tree.
    """
    try:
        stamps = tuple(str(stamp) for stamp in json.loads(mirror.read_file(ABOUT))["stamps"])
    except (ValueError, KeyError, TypeError, RecursionError):
        stamps = ()
    if not stamps:
        raise FetchError(f"{ABOUT} names no release of a published tree", "--stamp with the release to check")
    for stamp in stamps:
        if not STAMP.fullmatch(stamp):
            raise FetchError(f"{ABOUT} names {stamp[:80]!a}, which is no stamp of a release", "ask who published it")
    return tuple(dict.fromkeys(stamps))


def _check_signatures(mirror: Mirror, release: SignedRelease, trusted: Trust) -> Iterator[Check]:
    """Checks the signatures of one release; what is signed rightly, and the digests in it, are the release's then."""
    for name in attestations.SIGNED:
        subject, path = f"{release.stamp}/{name}", f"releases/{release.stamp}/{name}"
        content, signature = mirror.read_if_present(path), mirror.read_if_present(f"{path}{trusted.ending}")
        if content is None or signature is None:
            missing = name if content is None else name + trusted.ending
            yield failed(subject, "signature", f"there is no {missing}")
            continue
        try:
            signed_by = trusted.check(content, signature, attestations.trusted_comment(release.stamp, name))
        except ChecksumMismatch as error:
            yield failed(subject, "signature", error.reason)
        else:
            yield passed(subject, "signature", signed_by)
            release.files[name] = content
    if attestations.SUMS in release.files:
        try:
            release.sums.update(attestations.parse_sums(release.files[attestations.SUMS]))
        except GobuildError as error:
            del release.files[attestations.SUMS]
            yield failed(f"{release.stamp}/{attestations.SUMS}", "form", error.reason)
