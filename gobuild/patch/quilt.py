"""Reads a plain quilt series: a folder with a file `series`, one patch a line, and -p1 diffs for every version.

Quilt's own words for a line are a file name, -pN and a comment behind # (quilt(1), "the series file"). What changes
which patches apply (guards) or turns one round (-R) is refused, never passed over.
"""

import re
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.unified import Diff
from gobuild.patch.safe_read import safe_read
from gobuild.patch.series import MANIFEST, Patch, Series

SERIES = "series"
STRIPS = {"-p0": 0, "-p1": 1}
"""How many leading folders of a diff's paths go. With more, it could not be seen where a file belongs."""

_SUBJECT = re.compile(r"^(?:Subject|Description):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE | re.IGNORECASE)
_HEADER = re.compile(r"^(?:From [0-9a-f]{7,} |[A-Z][A-Za-z-]*:[ \t]|Index: |=+$|---$)")


def is_quilt(folder: Path) -> bool:
    """Whether a folder has quilt's file, and no series.toml, which would come first."""
    return not (folder / MANIFEST).exists() and (folder / SERIES).is_file()


def load_quilt(folder: Path) -> Series:
    """Reads a quilt series; an error tells the line of the file `series`."""
    try:
        text = safe_read(folder, SERIES).decode()
    except UnicodeDecodeError as error:
        raise PatchError(f"{folder / SERIES} is not UTF-8 (byte {error.start})", "one file name a line") from error
    patches: list[Patch] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        try:
            patch = _patch(folder, line)
            if not patch:
                continue
            if other := lines.get(patch.name):
                raise PatchError(f"the patch {patch.name!r} twice: also at line {other}", "each under its own name")
        except PatchError as error:
            raise PatchError(f"{folder / SERIES} line {number}: {error.reason}", error.hint) from error
        patches.append(patch)
        lines[patch.name] = number
    if not patches:
        raise PatchError(f"{folder / SERIES} names no patch", "one file name a line; `--series none` builds unpatched")
    return Series(folder=folder, patches=tuple(patches))


def _patch(folder: Path, line: str) -> Patch | None:
    """The patch of a line, None where it names none."""
    if line.endswith("\r"):
        raise PatchError("has a CRLF line end", "line ends of one character: LF")
    words = re.sub(r"(^|\s)#.*", "", line).split()
    if not words:
        return None
    if words[0][0] in "+-":
        raise PatchError(f"{words[0]!r} is a guard, which is not supported", "a series.toml has `go` and `targets`")
    file, *options = words
    if unknown := [option for option in options if option not in STRIPS]:
        raise PatchError(f"{unknown[0]!r} is not supported", "FILE, FILE -p1 or FILE -p0")
    if len(options) > 1:
        raise PatchError(f"{file} has {' and '.join(options)}", "FILE, FILE -p1 or FILE -p0")
    content = safe_read(folder, file)
    try:
        diff = parse_diff(content, strip=STRIPS[options[0]] if options else 1)
    except PatchError as error:
        raise PatchError(f"{file} {error.reason}", error.hint) from error
    return Patch(folder=folder, name=_name(file), go=">=1", reason=_reason(diff), file=file, operation=diff)


def _name(file: str) -> str:
    """A patch's name from its file's: "0001-Fix_it.patch" is 0001-fix-it."""
    stem = re.sub(r"\.(?:patch|diff)$", "", file.rpartition("/")[2])
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    if not name:
        raise PatchError(f"{file!r} gives no name for a patch", "a file name with letters or digits")
    return name


def _reason(diff: Diff) -> str:
    """The subject of its prose (git's, or DEP-3's Description), or the prose's first line."""
    if match := _SUBJECT.search(diff.description):
        # A mail's subject goes on in lines that begin with a space; so does the long text below DEP-3's first line.
        folded = match[1] if match[0].startswith("Subject") else match[1].split("\n")[0]
        if said := re.sub(r"^\[PATCH[^\]]*\]", "", " ".join(folded.split())).strip():
            return said
    lines = (line.strip() for line in diff.description.split("\n"))
    return next((line for line in lines if line and not _HEADER.match(line)), "from a quilt series")
