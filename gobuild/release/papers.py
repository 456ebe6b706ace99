"""A signed list of digests comes in; every file it names, and what those files say of one another, is checked.

It trusts the list, which `gobuild.release` has checked, and nothing else.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gobuild.core.errors import FetchError, GobuildError, VerifyError
from gobuild.core.model import Check, Verdict
from gobuild.publish import proxy
from gobuild.publish.builds import BIGGEST, ENDING, Build, parse_build
from gobuild.publish.homebrew import bottle
from gobuild.publish.paths import MODULE, module_version, path_in_tree, publishable_stamp
from gobuild.publish.sumdb import database as databases
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.supply import attestations
from gobuild.release.place import Place, digest, read

BOTTLE = bottle.ENDING

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release by its signed papers.

    Attributes:
        stamp: which.
        sums: the SHA-256 of each file by its name.
        signed: the papers with a signature that was right.
        pinned: whether the go.env of each toolchain says GOTOOLCHAIN=local, by the archive's name; `check` fills it
            in for those that are what was signed.
    """

    stamp: str
    sums: Mapping[str, str]
    signed: Mapping[str, bytes]
    pinned: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """What a checksum database says of modules.

    Attributes:
        says: from a module's version to the "h1:" of its zip, None where nothing is said.
        absent: why there is nothing to compare with, where there is nothing.
        checks: what was checked of the database itself.
    """

    says: Callable[[str], str | None]
    absent: str
    checks: tuple[Check, ...]


def database(tree: Place, verifier: Verifier | None) -> Hashes:
    """The tree's checksum database, checked whole: head, records, tiles and lookups."""
    if verifier is None:
        return Hashes(says=lambda _version: None, absent="no --sumdb", checks=())

    def said(verdict: Verdict, seen: str) -> Check:
        return Check(subject=f"sumdb/{verifier.name}", name="tree head", verdict=verdict, seen=seen)

    folder = databases.database_folder(verifier.name).as_posix()
    try:
        found = databases.check_database(lambda path: read(tree, f"{folder}/{path}"), verifier)
    except (VerifyError, FetchError, ValueError) as error:
        reason = error.reason if isinstance(error, GobuildError) else str(error)
        return Hashes(says=lambda _version: None, absent="its database failed", checks=(said(Verdict.FAILED, reason),))

    def h1(version: str) -> str | None:
        hashes = found.hashes(version)
        return hashes[0] if hashes else None

    seen = f"signed, over {len(found.log.records)} records; every tile and lookup agrees"
    return Hashes(says=h1, absent="it was never logged", checks=(said(Verdict.OK, seen),))


def builds(tree: Place, release: Release) -> tuple[list[Build], list[Check]]:
    """The builds that the signed digests vouch for, by their manifests."""
    found, checks = [], []
    for name in (each for each in release.sums if each.endswith(ENDING)):
        made, said = _manifest(tree, release, name)
        found += [made] if made else []
        checks += said
    return found, checks


def check(
    tree: Place, release: Release, builds: list[Build], scratch: Path, hashes: Hashes, note: Note
) -> Iterator[Check]:
    """Everything that the signed digests and the signed papers say, against what the tree has."""
    for name in (attestations.SBOM, attestations.PROVENANCE):
        content = release.signed.get(name)
        if content is not None:
            right = hashlib.sha256(content).hexdigest() == release.sums.get(name)
            yield _said(release, name, "digest", right, release.sums.get(name, ""), "not what SHA256SUMS says")
    if not builds:
        yield _said(release, attestations.SUMS, "manifests", False, "", "it names no manifest that can be used")
        return
    yield from _archives(tree, release, builds, scratch, hashes, note)
    yield from _bottles(tree, release, note)
    yield _covered(release, builds)
    if attestations.PROVENANCE in release.signed:
        yield _provenance(release, builds)
    if attestations.SBOM in release.signed:
        yield _bill(release, builds)


def _said(release: Release, name: str, what: str, right: bool, seen: str, wrong: str) -> Check:
    verdict = Verdict.OK if right else Verdict.FAILED
    return Check(subject=f"{release.stamp}/{name}", name=what, verdict=verdict, seen=seen if right else wrong)


def _manifest(tree: Place, release: Release, name: str) -> tuple[Build | None, list[Check]]:
    try:
        content = read(tree, f"releases/{release.stamp}/{name}")
    except FetchError as error:
        return None, [_said(release, name, "digest", False, "", error.reason)]
    right = hashlib.sha256(content).hexdigest() == release.sums[name]
    checks = [_said(release, name, "digest", right, release.sums[name], "not what SHA256SUMS says")]
    if not right:
        return None, checks
    try:
        found = parse_build(content, name, archives=Path())
        if publishable_stamp(found) != release.stamp:
            raise VerifyError(f"it is of {found.stamp}", "the tree as it was published")
    except GobuildError as error:
        return None, [*checks, _said(release, name, "manifest", False, "", error.reason)]
    passed = len(found.manifest.checks)
    return found, [*checks, _said(release, name, "manifest", True, f"{found.target}, {passed} checks in it", "")]


def _archives(
    tree: Place, release: Release, builds: list[Build], scratch: Path, hashes: Hashes, note: Note
) -> Iterator[Check]:
    seen: set[str] = set()
    for found in builds:
        for archive in found.archives:
            name = archive.path.name
            if name in seen:
                continue
            seen.add(name)
            note(f"{name}, {archive.size} bytes")
            read_again = archive.kind == "toolchain" or archive.path.suffix == ".zip"
            with tempfile.NamedTemporaryFile(dir=scratch) as kept:
                keep = kept if read_again else None
                try:
                    path = path_in_tree(found, archive).as_posix()
                    got, size = digest(tree, path, min(archive.size + 1, BIGGEST), keep)
                except GobuildError as error:
                    yield _said(release, name, "digest", False, "", error.reason)
                    continue
                right = got == archive.sha256 == release.sums.get(name) and size == archive.size
                yield _said(release, name, "digest", right, got, f"{got}, {size} bytes: not what was signed")
                if keep and right:
                    kept.flush()
                    if archive.kind == "toolchain":
                        yield from _pinned(release, name, Path(kept.name))
                    else:
                        yield _h1(release, found, Path(kept.name), hashes)


def _pinned(release: Release, name: str, path: Path) -> Iterator[Check]:
    """What the formulae say of a toolchain's go.env."""
    try:
        release.pinned[name] = bottle.pinned(path)
    except GobuildError as error:
        yield _said(release, name, "archive", False, "", error.reason)


def _bottles(tree: Place, release: Release, note: Note) -> Iterator[Check]:
    for name, expected in release.sums.items():
        if name.endswith(BOTTLE):
            note(name)
            try:
                got, _ = digest(tree, f"{attestations.BOTTLES}/{name}", BIGGEST)
            except FetchError as error:
                yield _said(release, name, "digest", False, "", error.reason)
                continue
            yield _said(release, name, "digest", got == expected, got, f"{got}: not what was signed")


def _h1(release: Release, found: Build, path: Path, hashes: Hashes) -> Check:
    """The module's hash as the go command computes it, against what the checksum database tells the go command."""
    version = module_version(found)
    subject = f"{release.stamp}/{MODULE}@{version}"
    logged = hashes.says(version)
    if logged is None:
        verdict = Verdict.SKIPPED if hashes.absent == "no --sumdb" else Verdict.FAILED
        return Check(subject=subject, name="h1", verdict=verdict, seen=hashes.absent)
    try:
        computed = proxy.zip_hash(path, version)
    except VerifyError as error:
        return Check(subject=subject, name="h1", verdict=Verdict.FAILED, seen=error.reason)
    verdict = Verdict.OK if computed == logged else Verdict.FAILED
    return Check(subject=subject, name="h1", verdict=verdict, seen=computed, expected="" if verdict == "OK" else logged)


def _covered(release: Release, builds: list[Build]) -> Check:
    """The signed list and the manifests speak of the same files."""
    told = {archive.path.name for found in builds for archive in found.archives}
    told |= {found.manifest_name for found in builds} | {attestations.SBOM, attestations.PROVENANCE}
    told |= {name for name in release.sums if name.endswith(BOTTLE)}
    odd = sorted(told ^ release.sums.keys())
    return _said(
        release, attestations.SUMS, "coverage", not odd, f"{len(told)} files", f"not in both: {', '.join(odd)[:200]}"
    )


def _provenance(release: Release, builds: list[Build]) -> Check:
    """Each manifest has one statement, over the same archives."""
    try:
        lines = release.signed[attestations.PROVENANCE].decode().splitlines()
        told = {}
        for statement in map(json.loads, lines):
            subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
            (manifest,) = statement["predicate"]["runDetails"]["byproducts"]
            told[manifest["name"], manifest["digest"]["sha256"]] = subjects
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _said(
            release, attestations.PROVENANCE, "subjects", False, "", f"it cannot be read: {type(error).__name__}"
        )
    expected = {
        (found.manifest_name, release.sums[found.manifest_name]): {
            each.path.name: each.sha256 for each in found.archives
        }
        for found in builds
    }
    words = f"{len(told)} builds, over {sum(map(len, told.values()))} files"
    return _said(release, attestations.PROVENANCE, "subjects", told == expected, words, "not those of the manifests")


def _bill(release: Release, builds: list[Build]) -> Check:
    """The bill's files and patches have the digests that the manifests say."""
    try:
        document = json.loads(release.signed[attestations.SBOM])
        told = {(each["name"], one["content"]) for each in document["components"] for one in each.get("hashes", ())}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _said(release, attestations.SBOM, "components", False, "", f"it cannot be read: {type(error).__name__}")
    expected = {(each.path.name, each.sha256) for found in builds for each in found.archives}
    expected |= {(each.name, each.sha256) for found in builds for each in found.manifest.patches if each.sha256}
    missing = sorted(name for name, _ in expected - told)
    words = f"{len(expected)} files and patches"
    return _said(release, attestations.SBOM, "components", not missing, words, f"without {', '.join(missing)[:200]}")
