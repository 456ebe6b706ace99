"""New entries for a series, and a new patch to begin with.

series.toml is added to, at its end, and never rewritten: comments and order are its author's.
"""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import UNSAID
from gobuild.patch import quilt
from gobuild.patch.diff.file_diff import blob_name
from gobuild.patch.diff.render import ABBREVIATION
from gobuild.patch.manifest import load_or_new
from gobuild.patch.series import MANIFEST, NAME
from gobuild.patch.workbench import message
from gobuild.patch.workbench.message import AUTHOR, PatchMessage

_HEAD = "# A patch series for gobuild; its patches/README.md explains the keys.\n"
_ALONE = '# With the line `extends = "stock"` here, the stock patches come first.\n'
_EXTENDS = 'extends = "stock"  # the stock patches come first; without this line there are none of them\n'


def entry(name: str, *, made_on: GoVersion | None, file: str, reason: str) -> str:
    """An entry of series.toml, for `made_on`, to which the patch applies, and what follows it in its line of Go."""
    go, why = ">=1.21", ""  # all that gobuild builds
    if made_on:
        line = f"{made_on.major}.{made_on.minor + 1}"
        go = f"=={made_on}" if made_on.stage else f">={made_on},<{line}"
        why = f"  # made on {made_on}; widen it as far as patches.status finds it to apply"
    return (
        f"[[patch]]\nname = {_text(name)}\ngo = {_text(go)}{why}\n"
        f'kind = "diff"\nfile = {_text(file)}\nreason = {_text(reason)}\n'
    )


def add_entries(folder: Path, entries: Sequence[str], *, extends: bool = False) -> Path:
    """Adds entries at the end of series.toml, or of a quilt series; makes a series.toml where there is neither.

    `extends` is whether the stock patches come first in a series.toml that is made.
    """
    if is_listed(folder):
        listing = folder / quilt.SERIES
        files.write(listing, _closed(listing.read_text(encoding="utf-8")) + "".join(f"{line}\n" for line in entries))
        return listing
    manifest = folder / MANIFEST
    new = not manifest.exists()
    before = _HEAD + (_EXTENDS if extends else _ALONE) if new else manifest.read_bytes().decode()
    text = _closed(before) + "".join(f"\n{each}" for each in entries)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PatchError(f"{manifest} cannot be added to: {error}", "add the entry by hand") from error
    files.write(manifest, text)
    if new and not (folder / ".gitattributes").exists():
        files.write(folder / ".gitattributes", "*.patch -text\n")
    return manifest


def is_listed(folder: Path) -> bool:
    """Whether quilt's list says what a folder's patches are: no series.toml does."""
    return quilt.is_quilt(folder) and (folder / quilt.SERIES).is_file()


def new_patch(
    folder: Path, name: str, *, version: GoVersion | None = None, extends: bool = True, author: tuple[str, str] = AUTHOR
) -> tuple[Path, Path]:
    """Begins a patch: a file in the series, whose folder is made where it is missing, and its entry; gives both paths.

    A series may hold no patch that changes nothing, so this one adds a note to the tree: a real patch, which can be
    imported, changed as a commit, and exported.

    Raises:
        ConfigError: the name is none, or is taken.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a patch", "lower-case words with hyphens, such as bigger-stacks")
    taken = {patch.name for patch in load_or_new(folder).patches}
    file = f"{name}.patch"
    if name in taken or (folder / file).exists() or (folder / file).is_symlink():
        raise ConfigError(f"the series {folder} has a patch {name!r} already", "another name; or patches.import")
    reason = f"{UNSAID}: why {name} exists"
    line = file if is_listed(folder) else entry(name, made_on=version, file=file, reason=reason)
    unlisted = quilt.is_unlisted(folder)
    files.write(folder / file, _skeleton(name, author))
    if unlisted:
        return folder / file, folder / file  # its name alone says where it comes
    try:
        return folder / file, add_entries(folder, [line], extends=extends)
    except BaseException:
        (folder / file).unlink()
        raise


def placeholder(name: str) -> tuple[str, bytes]:
    """The file, and its content, that a new patch adds until it changes something: an export leaves it out then."""
    text = f"This file stands in for the patch {name}: change the tree; when there is more, it goes by itself.\n"
    return f"misc/gobuild/{name}.txt", text.encode()


def _skeleton(name: str, author: tuple[str, str]) -> bytes:
    """A patch that adds a note of one line. The blob's name is git's own for that text."""
    path, content = placeholder(name)
    note = content.decode()
    said = PatchMessage(
        author=author[0],
        email=author[1],
        subject=f"{name}: what it does",
        body="Why it has to be done, for who will carry it to the next Go.",
    )
    stat = f" {path} | 1 +\n 1 file changed, 1 insertion(+)\n"
    blob = blob_name(content)[:ABBREVIATION]
    diff = (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 000000000000..{blob}\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{note}"
    )
    return (message.patch_heading(said, stat) + diff).encode()


def _closed(text: str) -> str:
    """A text whose last line has its line end."""
    return text if text.endswith("\n") or not text else text + "\n"


def _text(value: str) -> str:
    """A TOML string: JSON's form is one, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
