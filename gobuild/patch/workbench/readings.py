"""What a patch can mean: its text as it stands or mended, its paths below each folder that they may be relative to.

A reading counts only where it fits strictly; where two fit that do not do the same, neither counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gobuild.core.errors import PatchError
from gobuild.patch.diff.file_diff import FileDiff
from gobuild.patch.diff.file_names import NOWHERE
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.unified import Diff
from gobuild.patch.tree import Tree, TreeChange
from gobuild.patch.workbench.incoming import Incoming
from gobuild.patch.workbench.mend import mend

ROOTS = ((None, "src"), (0, ""), (0, "src"), (1, ""), (1, "src"), (2, ""), (2, "src"), (3, ""))
"""What paths may be relative to: patch(1)'s -p, None for a/ and b/, and git apply's --directory."""

_NAMES = re.compile(rb"^--- ([^\t\n\r]+)[^\n]*\n\+\+\+ ([^\t\n\r]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A patch as one diff, and in what that differs from the file that came, a few words each."""

    diff: Diff
    forms: tuple[str, ...]


def read_incoming(one: Incoming, tree: Tree) -> tuple[Reading, TreeChange | None]:
    """The one reading that fits a tree strictly, with what it does; or else the likeliest, without.

    Raises:
        PatchError: it cannot be read, not even mended; or two readings fit.
    """
    one.require_readable()
    refusals: list[PatchError] = []
    for content, forms in _texts(one.content):
        found: list[tuple[Reading, TreeChange | None]] = []
        for strip, folder in ((one.strip, ""), *ROOTS):
            plain = (strip, folder) == (one.strip, "")
            if not plain and ((found and (strip, folder) == (1, "")) or not _plausible(content, strip, folder, tree)):
                continue  # -p1 is what a/ and b/ say as well
            said = forms if plain else (*forms, _root(strip, folder))
            try:
                diff = parse_diff(content, strip=strip, folder=folder)
            except PatchError as error:
                refusals.append(error)
                continue
            reading = Reading(diff=diff, forms=(*one.forms, *said))
            change = _strict(reading, tree)
            if plain and change:
                if not _misplaced(diff, tree):
                    return reading, change
                change = None
            found.append((reading, change))
        fitting = [(reading, change) for reading, change in found if change]
        if any(_means(reading) != _means(fitting[0][0]) for reading, _ in fitting):
            places = " or ".join(dict.fromkeys(reading.diff.files[0].path for reading, _ in fitting))
            raise PatchError(f"may mean {places}: both fit", "paths below GOROOT, with a/ and b/ in front")
        if fitting:
            return fitting[0]
        if found:
            return found[0 if _plausible(content, one.strip, "", tree) else -1]
    raise refusals[0]


def _means(reading: Reading) -> list[FileDiff]:
    """What a reading does to each file, by whichever names it was read."""
    return [replace(file, strip=None) for file in reading.diff.files]


def _root(strip: int | None, folder: str) -> str:
    """How paths were read, in the words of patch(1) and git apply."""
    return " ".join([f"-p{strip}"] * (strip is not None) + [f"below {folder}/"] * bool(folder))


def _texts(content: bytes) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """The text as it stands, and as it is mended."""
    yield content, ()
    try:
        text, forms = mend(content.decode())
    except UnicodeDecodeError:
        return
    if forms:
        yield text.encode(), forms


def _strict(reading: Reading, tree: Tree) -> TreeChange | None:
    """What a reading does to a tree, which stays as it was; None where it does not fit."""
    try:
        with tree.trial(keep=False):
            return reading.diff.apply(tree)
    except PatchError:
        return None


def _misplaced(diff: Diff, tree: Tree) -> bool:
    """Whether it adds files to folders that are there only below src: what adds alone fits anywhere."""
    folders = {file.path.rpartition("/")[0] for file in diff.files if file.creates}
    return any(not _has_home(tree, each) and _has_home(tree, f"src/{each}", "src") for each in folders if each)


def _plausible(content: bytes, strip: int | None, folder: str, tree: Tree) -> bool:
    """Whether all names of a diff, with a root of theirs, are of files that are there, or new ones beside others."""
    pairs = [(old.decode(errors="replace"), new.decode(errors="replace")) for old, new in _NAMES.findall(content)]
    for old, new in pairs:
        name = new if old == NOWHERE else old
        if ".." in name.split("/"):
            return False  # what is stripped is no way out, and no way in
        if strip is None and not name.startswith(("a/", "b/")):
            return False
        parts = [part for part in (folder, *name.split("/")[1 if strip is None else strip :]) if part]
        path = "/".join(parts)
        there = _has_home(tree, path.rpartition("/")[0], folder) if old == NOWHERE else tree.has_file(path)
        if not there:
            return False
    return bool(pairs)


def _has_home(tree: Tree, folder: str, root: str = "") -> bool:
    """Whether a folder is there that a new file may go to, or the one that it would be made in, below the root."""
    above = folder.rpartition("/")[0]
    return folder != root and (_is_folder(tree, folder) or (above != root and _is_folder(tree, above)))


def _is_folder(tree: Tree, path: str) -> bool:
    try:
        return bool(path) and (bool(tree.list_files(path)) or (tree.root / path).is_dir())
    except PatchError:
        return False
