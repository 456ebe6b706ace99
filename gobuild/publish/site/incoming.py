"""What stands in a tree before anybody adds to it: judged first, since the key that signs next signs all that is there.

A tree comes back from a web server, and whoever may write there may have put something into it. So every release must
carry a signature of a key that the publisher trusts, every file must be the one that was signed, and what is not
signed goes on only by its name. Nothing here is signed, and git is not started.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, ConfigError, PublishError, VerifyError
from gobuild.publish.builds import ENDING
from gobuild.publish.catalogue import Offer
from gobuild.publish.homebrew.tap import Tap
from gobuild.publish.paths import module_version
from gobuild.publish.sumdb import database
from gobuild.publish.sumdb.note import Verifier
from gobuild.publish.sumdb.tlog import Head
from gobuild.publish.supply import attestations
from gobuild.publish.supply.signing import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a tree may have beside what is signed by the key that signs next.

    Attributes:
        signed_by: whose signatures count as well.
        named: the stamps that may be signed, or logged, though nobody has signed them yet.
        logs: whether a checksum database will vouch for what is there: that is a signature, too.
    """

    signed_by: tuple[Trust, ...] = ()
    named: tuple[str, ...] = ()
    logs: bool = False


NOTHING_MORE = Rules()

_HINT = "find out who put it there; nothing was signed"


def plain(tree: Path) -> None:
    """Refuses what gobuild puts into no tree: links that lead elsewhere, devices, and what git would obey in a tap.

    Raises:
        PublishError: there is a link, or something that is no file.
        VerifyError: a tap has what would make git run or read something else.
    """
    for folder, folders, names in os.walk(tree):
        for path in (Path(folder) / name for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise PublishError(f"{path.relative_to(tree)} in the tree is no plain file or folder", _HINT)
    for path in sorted(tree.glob("homebrew-*.git")):
        Tap(folder=path, work=None).judge(whole=True)


def releases(tree: Path, trusted: Sequence[Trust], named: Collection[str]) -> None:
    """Holds every release and bottle of a tree against its signed list; without anybody to trust, against its list.

    Args:
        tree: the tree, in which the bottles of releases that are `named` are removed: they are made anew.
        trusted: whose signatures count; the first is the one who signs next. Nobody: nothing will be signed.
        named: the stamps that may be signed though they are not.

    Raises:
        ConfigError: there is no such release.
        PublishError, ChecksumMismatch: a release is not signed, or a file is not what was signed; it is named.
    """
    there = {path.parent for path in tree.glob(f"releases/*/*{ENDING}")}
    if missing := sorted(set(named) - {folder.name for folder in there}):
        raise ConfigError(f"there is no release {missing[0]} in the tree", "--sign-unsigned with a stamp that is there")
    unsigned = sorted(folder.name for folder in there if not attestations.signed(tree, folder.name))
    if trusted and (strange := [stamp for stamp in unsigned if stamp not in named]):
        raise PublishError(
            f"the tree has {', '.join(strange)}, which nobody signed: whoever can write there may have put it there",
            " ".join(f"--sign-unsigned {stamp}" for stamp in strange)
            + " to sign as it stands what you know to be yours",
        )
    listed: dict[str, str] = {}
    for folder in sorted(there):
        if folder.name in named and folder.name in unsigned:
            for path in attestations.bottles(tree, folder.name):
                path.unlink()
        else:
            sums = _signed(folder, trusted)
            _manifests(folder, sums)
            listed |= sums
    for path in sorted((tree / attestations.BOTTLES).glob("*")):
        _is(path, listed)


def _signed(folder: Path, trusted: Sequence[Trust]) -> Mapping[str, str]:
    """The digests of a release, once the signatures of all its papers are those of somebody trusted."""
    for name in attestations.SIGNED if trusted else ():
        errors = []
        for trust in trusted:
            try:
                _signature(folder, name, trust)
                break
            except ChecksumMismatch as error:
                errors.append(error)
        else:
            raise ChecksumMismatch(
                f"{folder.name}/{name} in the tree: {errors[0].reason}",
                f"{_HINT}; --signed-by with the public key, if it is signed with an older key of yours",
            )
    sums = folder / attestations.SUMS
    return attestations.sums(sums.read_bytes()) if sums.is_file() else {}


def _signature(folder: Path, name: str, trust: Trust) -> None:
    path, signature = folder / name, folder / f"{name}{trust.ending}"
    if not path.is_file() or not signature.is_file():
        raise ChecksumMismatch(f"there is no {(signature if path.is_file() else path).name}", _HINT)
    trust.check(path.read_bytes(), signature.read_bytes(), attestations.comment(folder.name, name))


def _manifests(folder: Path, sums: Mapping[str, str]) -> None:
    for path in sorted(folder.glob(f"*{ENDING}")):
        _is(path, sums)
    for name in sorted(sums):
        if name.endswith(ENDING) and not (folder / name).is_file():
            raise PublishError(
                f"the tree has no {name}, which {folder.name}/{attestations.SUMS} names", "put the file back"
            )


def _is(path: Path, sums: Mapping[str, str]) -> None:
    if path.name not in sums:
        raise PublishError(f"{path.name} is in the tree, and no list of digests that counts names it", _HINT)
    if files.sha256(path) != sums[path.name]:
        raise ChecksumMismatch(f"{path.name} in the tree is not what {attestations.SUMS} says", _HINT)


def archives(tree: Path, offers: Iterable[Offer]) -> None:
    """Holds the archives of releases against their lists, and their manifests to their folders.

    Raises:
        PublishError, ChecksumMismatch: one is not what was listed.
    """
    for offer in offers:
        sums = attestations.folder(tree, offer.stamp) / attestations.SUMS
        listed = attestations.sums(sums.read_bytes()) if sums.is_file() else {}
        for archive in offer.archives:
            if listed.get(archive.path.name) != archive.sha256:
                raise PublishError(
                    f"{archive.path.name} has another digest in {offer.stamp}/{attestations.SUMS}", _HINT
                )
            _is(archive.path, listed)


def logged(tree: Path, offers: Iterable[Offer], verifier: Verifier, named: Collection[str]) -> None:
    """Lets a checksum database vouch only for what it knows already or what is named: where no signature says more.

    Raises:
        PublishError: a release of the tree is in no log yet.
    """
    known = database.existing(tree, verifier).versions
    for offer in offers:
        if offer.stamp not in named and module_version(offer) not in known:
            raise PublishError(
                f"{offer.stamp} for {offer.target} stands in the tree, neither signed nor logged: whoever can write"
                " there may have put it there",
                f"--sign-unsigned {offer.stamp}, if you know it to be yours; or --sign-key, if it is signed",
            )


def newest(tree: Path, others: Iterable[Path]) -> None:
    """Refuses to go on from a tree whose checksum database another generation has continued: the log would fork.

    A go command that has seen the longer log calls the shorter one's continuation misbehaviour, for ever.

    Raises:
        PublishError: there is such a generation.
    """
    for other in others:
        for name in database.names(other):
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
        text = (tree / database.folder_of(name) / "latest").read_text(encoding="utf-8")
        return Head.parse(text.partition("\n\n")[0] + "\n").size
    except (OSError, UnicodeDecodeError, VerifyError):
        return -1
