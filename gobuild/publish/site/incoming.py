"""What stands in a tree before anybody adds to it: judged first, since the key that signs next signs all that is there.

A tree comes back from a web server, and whoever may write there may have put something into it. So every file must be
one that a key has signed which the publisher trusts, or is named. Nothing here is signed, and git is not started.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, ConfigError, PublishError, VerifyError
from gobuild.publish.builds import ENDING, Build, read_build
from gobuild.publish.homebrew.tap import Tap
from gobuild.publish.paths import check_archive, module_version, path_in_tree
from gobuild.publish.sumdb import database
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.sumdb.tlog import Head
from gobuild.publish.supply import attestations, vex
from gobuild.publish.supply.signing import ReleaseSigner, Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSigning:
    """Who signs next, and what the tree may have beside what that one has signed."""

    signer: ReleaseSigner | None = None  # None: nothing will be signed
    resign: bool = False  # whether to sign all other releases anew as well: a new key takes an old one's place
    signed_by: tuple[Trust, ...] = ()  # whose signatures count as well
    named: tuple[str, ...] = ()  # the stamps that may be signed, or logged, though nobody has signed them yet


UNSIGNED = SiteSigning()
_HINT = "find out who put it there; nothing was signed"


def refuse_strange_files(tree: Path) -> None:
    """Refuses what gobuild puts into no tree.

    Raises:
        PublishError: there is a link, which may lead elsewhere, or a device.
        VerifyError: a tap has what would make git run or read something else.
    """
    for folder, folders, names in os.walk(tree):
        for path in (Path(folder) / name for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise PublishError(f"{path.relative_to(tree)} in the tree is no plain file or folder", _HINT)
    for path in sorted(tree.glob("homebrew-*.git")):
        Tap(folder=path, work=None).refuse_unsafe(published=True)


def refuse_fork(tree: Path, others: Iterable[Path]) -> None:
    """Refuses to go on from a tree whose checksum database another generation has continued: the log would fork.

    A go command that has seen the longer log calls the shorter one's continuation misbehaviour, for ever.
    """
    for other in others:
        for name in database.database_names(other):
            longer, here = _records(other, name), _records(tree, name)
            if longer > here:
                raise PublishError(
                    f"generation {other.name} has {longer} records in the checksum database {name}, and the one that is"
                    f" served has {here}: going on from here would fork the log, and every go command that saw the"
                    " longer one would refuse this one for ever",
                    f"point the link at generation {other.name} again: ln -sfn {other.parent.name}/{other.name} SITE",
                )


def _records(tree: Path, name: str) -> int:
    """How many records a database has, by its head; its signature is checked by whoever goes on with it."""
    try:
        text = (tree / database.database_folder(name) / "latest").read_text(encoding="utf-8")
        return Head.parse(text.partition("\n\n")[0] + "\n").size
    except (OSError, UnicodeDecodeError, VerifyError):
        return -1


def verified_builds(tree: Path, signing: SiteSigning, log: Verifier | None) -> tuple[Build, ...]:
    """What a tree offers, once all of it is what somebody trusted has signed, or is named.

    The bottles of releases that are named are removed: they are made anew. `log` is the key of the checksum database
    that will vouch for what is there, which is a signature, too.

    Raises:
        PublishError, ChecksumMismatch, VerifyError, ConfigError: something is neither; it is named.
    """
    signer, named = signing.signer, signing.named
    _check_releases(tree, (signer.trust(), *signing.signed_by) if signer else (), named)
    builds = _offered(tree)
    if signer:
        for build in builds:
            _check_archives(tree, build, named=build.stamp in named)
    elif log:
        _check_logged(tree, builds, log, named)
    return builds


def _offered(tree: Path) -> tuple[Build, ...]:
    """What a tree offers; its archives were hashed when they came, and must have kept their sizes."""
    builds = []
    for path in sorted(tree.glob(f"releases/*/*{ENDING}")):
        if not path.name.startswith(f"{path.parent.name}."):
            raise PublishError(f"{path.name} stands in the folder of {path.parent.name}", "put it where it was")
        builds.append(place_in(tree, read_build(path, archives=tree)))
    for archive in (each for build in builds for each in build.archives):
        if not archive.path.is_file() or archive.path.stat().st_size != archive.size:
            raise PublishError(
                f"the tree offers {archive.path.name}, and does not have it whole",
                "put the file back, or an older generation of the tree",
            )
    return tuple(builds)


def place_in(tree: Path, build: Build) -> Build:
    """The same build by the paths that its archives have in a tree."""
    archives = tuple(replace(each, path=tree / path_in_tree(build, each)) for each in build.archives)
    return replace(build, archives=archives)


def _check_releases(tree: Path, trusted: Sequence[Trust], named: Collection[str]) -> None:
    """Holds every release and bottle of a tree against its signed list; without anybody to trust, against its list."""
    there = {path.parent for path in tree.glob(f"releases/*/*{ENDING}")}
    if missing := sorted(set(named) - {folder.name for folder in there}):
        raise ConfigError(f"there is no release {missing[0]} in the tree", "--sign-unsigned with a stamp that is there")
    unsigned = sorted(folder.name for folder in there if not attestations.is_signed(tree, folder.name))
    if trusted and (strange := [stamp for stamp in unsigned if stamp not in named]):
        raise PublishError(
            f"the tree has {', '.join(strange)}, which nobody signed: whoever can write there may have put it there",
            " ".join(f"--sign-unsigned {stamp}" for stamp in strange)
            + " to sign as it stands what you know to be yours",
        )
    listed: dict[str, str] = {}
    for folder in sorted(there):
        if folder.name in named and folder.name in unsigned:
            for path in attestations.bottles_of(tree, folder.name):
                path.unlink()
        else:
            for name in attestations.SIGNED if trusted else ():
                _check_signature(folder, name, trusted)
            sums = attestations.read_sums(tree, folder.name)
            _check_manifests(folder, sums)
            listed |= sums
    for path in sorted((tree / attestations.BOTTLES).glob("*")):
        _check_digest(path, listed)


def _check_signature(folder: Path, name: str, trusted: Sequence[Trust]) -> None:
    """Makes sure that a file's signature is that of somebody trusted; the first of them tells what is wrong."""
    path, reasons = folder / name, []
    for trust in trusted:
        signature = path.with_name(f"{name}{trust.ending}")
        try:
            if not path.is_file() or not signature.is_file():
                raise ChecksumMismatch(f"there is no {(signature if path.is_file() else path).name}")
            trust.check(path.read_bytes(), signature.read_bytes(), attestations.trusted_comment(folder.name, name))
            return
        except ChecksumMismatch as error:
            reasons.append(error.reason)
    raise ChecksumMismatch(
        f"{folder.name}/{name} in the tree: {reasons[0]}",
        f"{_HINT}; --signed-by with the public key, if it is signed with an older key of yours",
    )


def _check_manifests(folder: Path, sums: Mapping[str, str]) -> None:
    for path in sorted((*folder.glob(f"*{ENDING}"), *folder.glob(vex.OPENVEX), *folder.glob(vex.CYCLONEDX))):
        _check_digest(path, sums)
    for name in sorted(sums):
        if name.endswith((ENDING, vex.OPENVEX, vex.CYCLONEDX)) and not (folder / name).is_file():
            raise PublishError(
                f"the tree has no {name}, which {folder.name}/{attestations.SUMS} names", "put the file back"
            )


def _check_digest(path: Path, sums: Mapping[str, str]) -> None:
    if path.name not in sums:
        raise PublishError(f"{path.name} is in the tree, and no list of digests that counts names it", _HINT)
    if files.sha256(path) != sums[path.name]:
        raise ChecksumMismatch(f"{path.name} in the tree is not what {attestations.SUMS} says", _HINT)


def _check_archives(tree: Path, build: Build, *, named: bool) -> None:
    """Holds archives against the signed list; what is named, against its manifest, which the user takes for theirs."""
    listed = {} if named else attestations.read_sums(tree, build.stamp)
    for archive in build.archives:
        if named:
            check_archive(archive)
        elif listed.get(archive.path.name) != archive.sha256:
            raise PublishError(f"{archive.path.name} has another digest in {build.stamp}/{attestations.SUMS}", _HINT)
        else:
            _check_digest(archive.path, listed)


def _check_logged(tree: Path, builds: Iterable[Build], log: Verifier, named: Collection[str]) -> None:
    """Lets a checksum database vouch only for what it knows already or what is named: where no signature says more."""
    known = database.existing_database(tree, log).versions
    for build in builds:
        if build.stamp not in named and module_version(build) not in known:
            raise PublishError(
                f"{build.stamp} for {build.target} stands in the tree, neither signed nor logged: whoever can write"
                " there may have put it there",
                f"--sign-unsigned {build.stamp}, if you know it to be yours; or --sign-key, if it is signed",
            )
