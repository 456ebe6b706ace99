"""A served tree that is always whole: each change is a new generation beside the old one, and one rename serves it.

    site                -> .site-generations/7      a symbolic link, all that a server is told of
    .site-generations/  6/ 7/                       whole trees; what did not change is one file in both (hard links)

So a reader sees the old tree or the new one, whatever ends the change half-way: kill, power, a full disk. What was
half made is removed by the next change. It knows nothing of what stands in a tree.
"""

import contextlib
import errno
import filecmp
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError

KEPT = 2
"""Older generations that stay beside the served one: for a reader who is in one."""

_FOLDER, _FILE = 0o755, 0o644
"""The modes of all that is published."""

SERVED = "served"
"""The file beside the generations with the highest number that was ever served."""


@dataclass(slots=True, kw_only=True)
class Generation:
    """A tree on its way to be served."""

    tree: Path  # where it is made; it begins as the served one
    others: tuple[Path, ...] = ()  # the other generations that are kept, oldest first
    changed: bool = False  # whether it came to be served; False where it was the same as the one before


def generations_folder(site: Path) -> Path:
    """The folder of a site's generations."""
    return site.with_name(f".{site.name}-generations")


def served_generation(site: Path) -> Path | None:
    """The generation that is served, None where nothing is yet.

    Raises:
        ConfigError: something else stands there, and is left alone.
    """
    if site.name in ("", ".."):
        raise ConfigError(f"{site} cannot be a link to a tree", "--to with a folder's name at its end")
    above = next(each for each in site.parents if each.exists())
    if not above.is_dir():
        raise ConfigError(f"{above} is a file, and nothing can stand below it", "another --to")
    if site.is_symlink():
        # Its own text, not what it resolves to: a link to somewhere else is not ours to move.
        text = os.readlink(site)
        folder, _, number = text.rpartition("/")
        if folder != generations_folder(site).name or not number.isdecimal():
            raise ConfigError(f"{site} is a symbolic link to {text}, which gobuild has not made", "another --to")
        if not (site.parent / text).is_dir():
            raise ConfigError(f"{site} points to {text}, which is gone", f"put it back, or remove {site}")
        return site.parent / text
    if site.is_dir() and not any(site.iterdir()):
        return None
    if site.exists():
        raise ConfigError(
            f"{site} is there already, and is no tree that gobuild publishes to",
            f"another --to; or, if it is a copy of a published tree: mkdir {generations_folder(site)}, move it to "
            f"{generations_folder(site)}/1, and ln -s {generations_folder(site).name}/1 {site}",
        )
    return None


@contextmanager
def next_generation(site: Path, *, waiting: Callable[[str], None]) -> Iterator[Generation]:
    """Makes the next generation, and serves it when the block ends well and something is different.

    Its files are shared with the generation before: replace them, never write into them. `waiting` is told when another
    gobuild publishes there just now, which is waited for.

    Raises:
        ConfigError: something else stands at `site`.
        OSError: the tree that was served is served still.
    """
    place = generations_folder(site)
    served_generation(site)  # refused before anything is made
    with contextlib.ExitStack() as held:
        _lock(held, site, waiting)
        _set_mode(place, _FOLDER)
        before = served_generation(site)
        _clean(site, before)
        whole = _numbered(place)
        number = max((int(path.name) for path in whole), default=0) + 1
        others = tuple(path for path in whole if path != before)
        made = Generation(tree=place / f"{number}.part", others=others)
        try:
            if before:
                _link_tree(before, made.tree)
            else:
                made.tree.mkdir()
            yield made
            _set_modes(made.tree)
            made.changed = before is None or not _same_tree(before, made.tree)
            if made.changed:
                _sync_new(made.tree)
                _serve(site, made, place / str(number))
                files.write(place / SERVED, f"{number}\n")
        finally:
            files.remove(place / f"{number}.part")
            if served_generation(site) is None:
                _remove_empty(place)
        _prune(site, before)


def _lock(held: contextlib.ExitStack, site: Path, waiting: Callable[[str], None]) -> None:
    """Holds the lock of a site's generations until the stack ends."""
    path = generations_folder(site) / files.LOCK
    while True:
        # Who held it before may have been refused, and has taken the folder away: `_remove_empty`.
        with contextlib.suppress(FileNotFoundError):
            held.enter_context(files.exclusive_lock(path, f"publishing to {site}", waiting=waiting))
            return


def _remove_empty(place: Path) -> None:
    """Takes the folder of the generations away again, where a first change was refused and there is nothing in it."""
    if [path.name for path in place.iterdir()] == [files.LOCK]:
        (place / files.LOCK).unlink()
        with contextlib.suppress(OSError):  # another gobuild has just come
            place.rmdir()


def _link_tree(old: Path, new: Path) -> None:
    """Makes a tree with the same files: the very same where the file system has hard links, else copies."""
    new.mkdir()
    for entry in os.scandir(old):
        to = new / entry.name
        if entry.is_dir(follow_symlinks=False):
            _link_tree(Path(entry.path), to)
            continue
        try:
            os.link(entry.path, to, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS):
                raise
            shutil.copy2(entry.path, to, follow_symlinks=False)


def _set_modes(tree: Path) -> None:
    """Lets every web server read a tree, whatever umask it was made under; so also what older generations share."""
    for folder, _, names in os.walk(tree):
        _set_mode(Path(folder), _FOLDER)
        for name in names:
            _set_mode(Path(folder) / name, _FILE)


def _set_mode(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _same_tree(one: Path, other: Path) -> bool:
    """Whether two trees have the same names with the same modes and content; files that are one file are not read."""
    mine, theirs = ({path.relative_to(tree) for path in (tree, *tree.rglob("*"))} for tree in (one, other))
    return mine == theirs and all(_same_entry(one / name, other / name) for name in mine)


def _same_entry(one: Path, other: Path) -> bool:
    here, there = one.stat(), other.stat()
    if here.st_mode != there.st_mode:
        return False
    return one.is_dir() or os.path.samestat(here, there) or filecmp.cmp(one, other, shallow=False)


def _numbered(place: Path) -> list[Path]:
    """The whole generations, oldest first."""
    return sorted((path for path in place.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def _clean(site: Path, before: Path | None) -> None:
    """Removes what a killed run has left: parts, generations that never came to be served, links not yet renamed.

    One that was served is kept, wherever the link points to now: its readers have seen it.
    """
    place = generations_folder(site)
    record, last = place / SERVED, int(before.name) if before else 0
    if record.exists():
        last = max(last, int(record.read_text(encoding="ascii")))
    for path in place.iterdir():
        # The record's own part is as `files.write` names it.
        part = re.fullmatch(r"\d+\.part|\.served\.[0-9a-f]{8}\.part", path.name)
        if part or (path.name.isdecimal() and int(path.name) > last):
            files.remove(path)
    link = re.compile(rf"\.{re.escape(site.name)}\.[0-9a-f]{{8}}\.part")  # as `_serve` names it
    for path in site.parent.iterdir():
        if link.fullmatch(path.name) and path.is_symlink():
            path.unlink()


def _sync_new(tree: Path) -> None:
    """Sees that all of a new tree is on the disk before anybody is shown it: after a power cut, too."""
    for folder, _, names in os.walk(tree):
        for path in (Path(folder) / name for name in names):
            if path.stat().st_nlink == 1:  # the others stand in an older generation as well
                _sync(path)
        _sync(Path(folder))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _serve(site: Path, made: Generation, whole: Path) -> None:
    """Gives the tree its number, and lets the link point to it: one rename, which is the moment of the change."""
    made.tree.rename(whole)
    made.tree = whole
    _sync(whole.parent)
    link = site.with_name(f".{site.name}.{secrets.token_hex(4)}.part")
    link.symlink_to(f"{whole.parent.name}/{whole.name}")
    try:
        if site.is_dir() and not site.is_symlink():
            site.rmdir()  # the empty folder that a user has made; a rename cannot replace it by a link
        link.rename(site)
    finally:
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
    _sync(site.parent)


def _prune(site: Path, before: Path | None) -> None:
    """Removes all but the served one, the one before it, and so many that are no older than these."""
    now = served_generation(site)
    for path in _numbered(generations_folder(site)):
        if now and path not in (now, before) and int(path.name) < int(now.name) - KEPT:
            files.remove(path)
