"""Every file that a signed list of digests names, and what manifests, bill of materials and provenance say of them.

It trusts the list, whose signature `gobuild.release` has checked, and nothing else.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from gobuild.core.errors import FetchError, GobuildError, VerifyError
from gobuild.core.model import Artifact, Check, Verdict
from gobuild.publish import proxy
from gobuild.publish.builds import BIGGEST, ENDING, Build, parse_build
from gobuild.publish.findings import failed, judged, passed, skipped
from gobuild.publish.homebrew.bottle import pins_toolchain
from gobuild.publish.homebrew.formula_spec import BOTTLE_ENDING
from gobuild.publish.paths import MODULE, module_version, path_in_tree, publishable_stamp
from gobuild.publish.sumdb import database as databases
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.supply import attestations, vex
from gobuild.release.mirror import Mirror

Note = Callable[[str], None]

NO_SUMDB = "no --sumdb"
"""Why a module's hash is compared with none, where nobody asked for that."""

_NOT_SIGNED = "not what SHA256SUMS says"
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, RecursionError)
"""What reading somebody's JSON may end in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease:
    """What is known of a release so far; each check adds what it found to be what was signed."""

    stamp: str
    files: dict[str, bytes] = field(default_factory=dict)  # SHA256SUMS, bill and provenance by their names
    sums: dict[str, str] = field(default_factory=dict)  # the SHA-256 of each file by its name, by SHA256SUMS
    builds: list[Build] = field(default_factory=list)
    # Whether the go.env of each toolchain says GOTOOLCHAIN=local, by the name of its archive
    pinned: dict[str, bool] = field(default_factory=dict)

    def statements(self) -> list[Mapping[str, Any]]:
        """The provenance's in-toto statements, or a ValueError where a line is no JSON."""
        return [json.loads(line) for line in self.files.get(attestations.PROVENANCE, b"").decode().splitlines()]

    @property
    def builder(self) -> str:
        """The address that the publisher had when the release was signed; "" where the provenance has none."""
        try:
            address = str(self.statements()[0]["predicate"]["runDetails"]["builder"]["id"])
        except _UNREADABLE:
            return ""
        return address.rstrip("/") if address.startswith("https://") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedHashes:
    """What a checksum database says of modules."""

    h1: Callable[[str], str | None] = lambda _: None  # the "h1:" of a version's zip, None where nothing is said
    absent: str  # why there is nothing to compare with, where there is nothing
    checks: tuple[Check, ...] = ()  # what was checked of the database itself


def check_database(mirror: Mirror, verifier: Verifier | None) -> LoggedHashes:
    """Checks the tree's checksum database: head, records, tiles and lookups."""
    if verifier is None:
        return LoggedHashes(absent=NO_SUMDB)
    folder, subject = databases.database_folder(verifier.name).as_posix(), f"sumdb/{verifier.name}"
    try:
        found = databases.check_database(lambda path: mirror.read_file(f"{folder}/{path}"), verifier)
    except (VerifyError, FetchError, ValueError) as error:
        reason = error.reason if isinstance(error, GobuildError) else str(error)
        return LoggedHashes(absent="its database failed", checks=(failed(subject, "tree head", reason),))
    seen = f"signed, over {len(found.log.records)} records; every tile and lookup agrees"
    check = passed(subject, "tree head", seen)
    return LoggedHashes(h1=found.h1, absent="it was never logged", checks=(check,))


def check_release(
    mirror: Mirror, release: SignedRelease, scratch: Path, logged: LoggedHashes, note: Note
) -> Iterator[Check]:
    """Checks what the tree has of a release, and that its manifests, bill and provenance say the same."""
    for name in filter(lambda each: each.endswith(ENDING), release.sums):
        yield from _check_manifest(mirror, release, name)
    for name in (attestations.SBOM, attestations.PROVENANCE):
        if name in release.files:
            right = hashlib.sha256(release.files[name]).hexdigest() == release.sums.get(name)
            yield judged(f"{release.stamp}/{name}", "digest", right, release.sums.get(name, ""), _NOT_SIGNED)
    if not release.builds:
        yield failed(f"{release.stamp}/{attestations.SUMS}", "manifests", "it names no manifest that can be used")
        return
    yield from _check_archives(mirror, release, scratch, logged, note)
    for name in filter(lambda each: each.endswith(BOTTLE_ENDING), release.sums):
        note(name)
        yield _check_digest(mirror, release, f"{attestations.BOTTLES}/{name}")
    yield _check_coverage(release)
    if attestations.PROVENANCE in release.files:
        yield _check_provenance(release)
    if attestations.SBOM in release.files:
        yield _check_bill(release)
        yield from _check_exploitability(mirror, release)


def _check_manifest(mirror: Mirror, release: SignedRelease, name: str) -> Iterator[Check]:
    subject = f"{release.stamp}/{name}"
    try:
        content = mirror.read_file(f"releases/{release.stamp}/{name}")
    except FetchError as error:
        yield failed(subject, "digest", error.reason)
        return
    right = hashlib.sha256(content).hexdigest() == release.sums[name]
    yield judged(subject, "digest", right, release.sums[name], _NOT_SIGNED)
    if not right:
        return
    try:
        found = parse_build(content, name, archives=Path())
        if publishable_stamp(found) != release.stamp:
            raise VerifyError(f"it is of {found.stamp}", "the tree as it was published")
    except GobuildError as error:
        yield failed(subject, "manifest", error.reason)
        return
    release.builds.append(found)
    yield passed(subject, "manifest", f"{found.target}, {len(found.manifest.checks)} checks in it")


def _check_archives(
    mirror: Mirror, release: SignedRelease, scratch: Path, logged: LoggedHashes, note: Note
) -> Iterator[Check]:
    archives: dict[str, tuple[Build, Artifact]] = {}
    for found in release.builds:
        for archive in found.archives:
            archives.setdefault(archive.path.name, (found, archive))
    for name, (found, archive) in archives.items():
        note(f"{name}, {archive.size} bytes")
        with tempfile.NamedTemporaryFile(dir=scratch) as kept:
            opened = archive.kind == "toolchain" or archive.path.suffix == ".zip"
            path = path_in_tree(found, archive).as_posix()
            check = _check_digest(mirror, release, path, archive, kept if opened else None)
            yield check
            if opened and check.verdict is Verdict.OK:
                kept.flush()
                yield from _check_opened(release, found, archive, Path(kept.name), logged)


def _check_digest(
    mirror: Mirror, release: SignedRelease, path: str, archive: Artifact | None = None, keep: IO[bytes] | None = None
) -> Check:
    """A file has the digest that SHA256SUMS says; an archive also the digest and size that its manifest says."""
    name = path.rpartition("/")[2]
    try:
        got, size = mirror.hash_file(path, min(archive.size + 1, BIGGEST) if archive else BIGGEST, keep)
    except FetchError as error:
        return failed(f"{release.stamp}/{name}", "digest", error.reason)
    right = got == release.sums.get(name) and (archive is None or (archive.sha256, archive.size) == (got, size))
    return judged(f"{release.stamp}/{name}", "digest", right, got, f"{got}, {size} bytes: not what was signed")


def _check_opened(
    release: SignedRelease, found: Build, archive: Artifact, path: Path, logged: LoggedHashes
) -> Iterator[Check]:
    """Looks into a toolchain for its go.env, of which the formulae speak; or hashes a module as the go command does."""
    if archive.kind == "toolchain":
        try:
            release.pinned[archive.path.name] = pins_toolchain(path)
        except GobuildError as error:
            yield failed(f"{release.stamp}/{archive.path.name}", "archive", error.reason)
        return
    version = module_version(found)
    subject, expected = f"{release.stamp}/{MODULE}@{version}", logged.h1(version)
    if expected is None:
        verdict = skipped if logged.absent == NO_SUMDB else failed
        yield verdict(subject, "h1", logged.absent)
        return
    try:
        h1 = proxy.zip_hash(path, version)
    except VerifyError as error:
        yield failed(subject, "h1", error.reason)
    else:
        yield passed(subject, "h1", h1) if h1 == expected else failed(subject, "h1", h1, expected)


def _check_coverage(release: SignedRelease) -> Check:
    """The signed list and the manifests speak of the same files."""
    named = {archive.path.name for found in release.builds for archive in found.archives}
    named |= {found.manifest_name for found in release.builds} | {attestations.SBOM, attestations.PROVENANCE}
    named |= {name for name in release.sums if name.endswith(BOTTLE_ENDING) or name in (vex.OPENVEX, vex.CYCLONEDX)}
    odd = sorted(named ^ release.sums.keys())
    wrong = f"not in both: {', '.join(odd)[:200]}"
    return judged(f"{release.stamp}/{attestations.SUMS}", "coverage", not odd, f"{len(named)} files", wrong)


def _check_provenance(release: SignedRelease) -> Check:
    """Each manifest has one statement, over the same archives."""
    subject, stated = f"{release.stamp}/{attestations.PROVENANCE}", {}
    try:
        for statement in release.statements():
            (manifest,) = statement["predicate"]["runDetails"]["byproducts"]
            stated[manifest["name"], manifest["digest"]["sha256"]] = {
                each["name"]: each["digest"]["sha256"] for each in statement["subject"]
            }
    except _UNREADABLE as error:
        return failed(subject, "subjects", f"it cannot be read: {type(error).__name__}")
    expected = {
        (each.manifest_name, release.sums[each.manifest_name]): {file.path.name: file.sha256 for file in each.archives}
        for each in release.builds
    }
    seen = f"{len(stated)} builds, over {sum(map(len, stated.values()))} files"
    return judged(subject, "subjects", stated == expected, seen, "not those of the manifests")


def _check_bill(release: SignedRelease) -> Check:
    """The bill's files and patches have the digests that the manifests say."""
    subject = f"{release.stamp}/{attestations.SBOM}"
    try:
        components = json.loads(release.files[attestations.SBOM])["components"]
        stated = {(each["name"], one["content"]) for each in components for one in each.get("hashes", ())}
    except _UNREADABLE as error:
        return failed(subject, "components", f"it cannot be read: {type(error).__name__}")
    expected = {(each.path.name, each.sha256) for found in release.builds for each in found.archives}
    patches = [patch for found in release.builds for patch in found.manifest.patches]
    expected |= {(each.name, each.sha256) for each in patches if each.sha256}
    missing = sorted(name for name, _ in expected - stated)
    wrong = f"without {', '.join(missing)[:200]}"
    return judged(subject, "components", not missing, f"{len(expected)} files and patches", wrong)


def _check_exploitability(mirror: Mirror, release: SignedRelease) -> Iterator[Check]:
    """The VEX documents claim of the archives what follows from the manifests, and no more."""
    subject = f"{release.stamp}/{attestations.SBOM}"
    try:
        bill = json.loads(release.files[attestations.SBOM])
        name, serial = str(bill["metadata"]["component"]["name"]), str(bill["serialNumber"])
    except _UNREADABLE as error:
        yield failed(subject, "claims", f"it cannot be read: {type(error).__name__}")
        return
    expected = {
        vex.OPENVEX: (vex.openvex_claims, vex.openvex(name, release.builds, time="")),
        vex.CYCLONEDX: (vex.cyclonedx_claims, vex.cyclonedx(release.builds, time="", bill=serial)),
    }
    for file, (claims, document) in expected.items():
        subject = f"{release.stamp}/{file}"
        if file not in release.sums:
            if document:  # a gobuild that writes none published it
                yield skipped(subject, "claims", "the release has none")
            continue
        try:
            content = mirror.read_file(f"releases/{release.stamp}/{file}")
            found = claims(json.loads(content))
        except (FetchError, *_UNREADABLE) as error:
            reason = error.reason if isinstance(error, FetchError) else f"it cannot be read: {type(error).__name__}"
            yield failed(subject, "claims", reason)
            continue
        right = hashlib.sha256(content).hexdigest() == release.sums[file]
        yield judged(subject, "digest", right, release.sums[file], _NOT_SIGNED)
        odd = len(found ^ (claims(document) if document else set()))
        wrong = f"{odd} of its claims, or of those that it should make, are not in both"
        yield judged(subject, "claims", not odd, f"{len(found)}, as the manifests have it", wrong)
