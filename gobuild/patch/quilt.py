"""Reads a series that has no series.toml: quilt's, a folder of patches without any list, or one patch alone.

Every patch is for every version, a -p1 diff unless quilt's `series` says otherwise, and called as its file is. Quilt's
own words for a line are a file name, -pN and a comment behind # (quilt(1), "the series file"). What changes which
patches apply (guards) or turns one round (-R) is refused, never passed over. Without a list the patches come in the
order of their names' bytes, as `ls` has them in LC_ALL=C and `git format-patch` numbers them.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.patch.diff.mailbox import split_mailbox
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.unified import Diff
from gobuild.patch.safe_read import safe_read
from gobuild.patch.series import MANIFEST, Patch, Series, Unreadable
from gobuild.patch.workbench.message import decode_words

SERIES = "series"
SUFFIXES = (".patch", ".diff")

_COVER_LETTER = re.compile(r"(?:.*-)?0000-cover-letter\.patch")
"""What `git format-patch --cover-letter` writes besides the patches."""

_DIFF = re.compile(rb"^(?:diff --git |--- [^\n]*\n\+\+\+ )", re.MULTILINE)
"""How a diff begins."""

_STRIP = re.compile(r"-p(\d)")
_OLD_STRIPS = (0, 1)
"""Those that were no part of a digest in the first releases, and so are none today."""

_SUBJECT = re.compile(r"^(?:Subject|Description):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE | re.IGNORECASE)
_HEADER = re.compile(r"^(?:From [0-9a-f]{7,} |[A-Z][A-Za-z-]*:[ \t]|Index: |=+$|---$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A file of a series, and what names it."""

    where: str
    file: str
    strip: int = 1


def is_quilt(folder: Path) -> bool:
    """Whether a folder is a series whose patches no series.toml lists."""
    if (folder / MANIFEST).exists():
        try:
            return tomllib.loads((folder / MANIFEST).read_bytes().decode()).get("list") == "folder"
        except (ValueError, OSError):
            return False
    return (folder / SERIES).is_file() or bool(patch_files(folder))


def is_unlisted(folder: Path) -> bool:
    """Whether a series is the patches of a folder, and nothing lists them."""
    return is_quilt(folder) and not (folder / SERIES).is_file()


def patch_files(folder: Path) -> list[str]:
    """The names of a folder's patches, in the order in which they apply where nothing lists them."""
    if not folder.is_dir():
        return []
    names = (each.name for each in folder.iterdir() if each.suffix in SUFFIXES and not each.is_dir())
    return sorted((name for name in names if name[0] != "." and not _COVER_LETTER.fullmatch(name)), key=os.fsencode)


def load_quilt(folder: Path) -> Series:
    """Reads a series without a series.toml; `folder` may be one patch. What cannot be read is `Unreadable` in it.

    Raises:
        PatchError: there is no series, or its list cannot be used.
    """
    root = folder if folder.is_dir() else folder.parent
    patches: dict[str, Patch] = {}
    seen: dict[str, str] = {}
    for listed in _list(folder):
        for patch in _patches(root, listed):
            if patch.name in patches:
                message = f"{listed.where}the patch {patch.name!r} twice: also {seen[patch.name]}"
                raise PatchError(message, "each under its own name")
            patches[patch.name] = patch
            seen[patch.name] = _also(listed)
    return Series(folder=folder, patches=tuple(patches.values()))


def _also(listed: _Listed) -> str:
    """Where a patch stands, for a message about another of its name."""
    line = listed.where.rpartition(f"{SERIES} line ")[2].rstrip(": ")
    return f"at line {line}" if line.isdigit() else f"from {listed.file}"


def _list(folder: Path) -> Iterator[_Listed]:
    """The files of a series, in order."""
    if folder.is_file():
        yield _Listed(where=f"{folder.parent}: ", file=folder.name)
    elif (folder / SERIES).is_file():
        yield from _lines(folder)
    elif names := patch_files(folder):
        yield from (_Listed(where=f"{folder}: ", file=name) for name in names)
    else:
        why = "it has no series.toml, no `series` of quilt's and no *.patch" if folder.is_dir() else "no such folder"
        raise PatchError(
            f"there is no series at {folder}: {why}", "a folder of patches, or one patch; `--series none` is unpatched"
        )


def _lines(folder: Path) -> Iterator[_Listed]:
    """The files that quilt's list names."""
    try:
        text = safe_read(folder, SERIES).decode()
    except UnicodeDecodeError as error:
        raise PatchError(f"{folder / SERIES} is not UTF-8 (byte {error.start})", "one file name a line") from error
    found = False
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{folder / SERIES} line {number}: "
        try:
            words = _words(line)
        except PatchError as error:
            raise PatchError(f"{where}{error.reason}", error.hint) from error
        if words:
            found = True
            yield _Listed(where=where, file=words[0], strip=int(words[1]))
    if not found:
        raise PatchError(f"{folder / SERIES} names no patch", "one file name a line; `--series none` builds unpatched")


def _words(line: str) -> tuple[str, str] | None:
    """The file and the -p of a line, None where it names no patch."""
    if line.endswith("\r"):
        raise PatchError("has a CRLF line end", "line ends of one character: LF")
    words = re.sub(r"(^|\s)#.*", "", line).split()
    if not words:
        return None
    if words[0][0] in "+-":
        raise PatchError(f"{words[0]!r} is a guard, which is not supported", "a series.toml has `go` and `targets`")
    file, *options = words
    if unknown := [option for option in options if not _STRIP.fullmatch(option)]:
        raise PatchError(f"{unknown[0]!r} is not supported", "FILE, or FILE -p1, with -p0, -p2 and so on")
    if len(options) > 1:
        raise PatchError(f"{file} has {' and '.join(options)}", "one -p, such as FILE -p1")
    return file, options[0].removeprefix("-p") if options else "1"


def _patches(folder: Path, listed: _Listed) -> Iterator[Patch]:
    """The patches of a file."""
    content, said = b"", ""
    try:
        content, said = safe_read(folder, listed.file), f"{listed.file} "
        mails = split_mailbox(content)
    except PatchError as error:
        why = Unreadable(where=listed.where, reason=f"{said}{error.reason}", hint=error.hint, content=content)
        yield _patch(folder, listed, why)
        return
    # A mailbox may begin with a cover letter.
    mails = [mail for mail in mails if _DIFF.search(mail)] or [content]
    for number, mail in enumerate(mails, 1):
        position = number if len(mails) > 1 else 0
        yield _patch(folder, listed, _operation(listed, mail, position), position)


def _operation(listed: _Listed, content: bytes, mail: int) -> Diff | Unreadable:
    try:
        return parse_diff(content, strip=listed.strip)
    except PatchError as error:
        reason = f"{listed.file}{f', patch {mail} in it,' if mail else ''} {error.reason}"
        return Unreadable(where=listed.where, reason=reason, hint=error.hint, content=content)


def _patch(folder: Path, listed: _Listed, operation: Diff | Unreadable, mail: int = 0) -> Patch:
    if isinstance(operation, Diff):
        prose = operation.description
    else:
        prose = re.split(r"^(?:diff |--- )", operation.content.decode(errors="replace"), maxsplit=1, flags=re.M)[0]
    return Patch(
        folder=folder,
        name=_name(listed.file) + (f"-{mail}" if mail else ""),
        go=">=1",
        reason=_reason(prose),
        file=listed.file,
        placing="" if listed.strip in _OLD_STRIPS else f"strip={listed.strip}",
        mail=mail,
        entry=False,
        operation=operation,
    )


def _name(file: str) -> str:
    """A patch's name from its file's: "0001-Fix_it.patch" is 0001-fix-it; where that leaves nothing, from a digest."""
    stem = re.sub(r"\.(?:patch|diff)$", "", file.rpartition("/")[2])
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name or f"patch-{hashlib.sha256(stem.encode(errors='surrogateescape')).hexdigest()[:6]}"


def _reason(prose: str) -> str:
    """The subject of a prose (git's, or DEP-3's Description), or its first line."""
    if match := _SUBJECT.search(prose):
        # A mail's subject goes on in lines that begin with a space; so does the long text below DEP-3's first line.
        mail = match[0].lower().startswith("subject")
        folded = " ".join((match[1] if mail else match[1].split("\n")[0]).split())
        decoded = decode_words(folded) if mail else folded
        if said := re.sub(r"^\[PATCH[^\]]*\]", "", decoded if decoded.isprintable() else folded).strip():
            return said
    lines = (line.strip() for line in prose.split("\n"))
    return next((line for line in lines if line and not _HEADER.match(line)), "from a quilt series")
