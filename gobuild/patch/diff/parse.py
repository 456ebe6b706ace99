"""Reads a .patch file: a unified diff, as `git format-patch` or `diff -u` writes it, through `unidiff`.

Refused here, before anything is done: renames, copies, modes, links, submodules, binary files, names that leave the
source, and hunks that hold more lines than they say.
"""

import re
from collections.abc import Sequence

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as RawHunk
from unidiff.patch import PatchedFile, PatchSet

from gobuild.core.errors import PatchError
from gobuild.patch.diff.file_names import file_names
from gobuild.patch.diff.hunk import Hunk
from gobuild.patch.diff.unified import NOWHERE, Diff, FileDiff

REFUSED = {
    "rename ": "renames a file",
    "copy ": "copies a file",
    "similarity index": "renames or copies a file",
    "old mode": "changes a file's mode",
    "new mode": "changes a file's mode",
}
"""Lines of git's extended header (git-diff(1), "generating patch text with -p") that ask for more than lines."""

_NO_RENAMES = "make it by git format-patch --no-renames, which deletes the one and adds the other"

MODES = {"100644": False, "100755": True}
"""The modes a file may have, and whether it can be run. All others are links and submodules."""

_BLOBS = re.compile(r"index ([0-9a-f]{7,40})\.\.([0-9a-f]{7,40})(?: |$)")
_STARTS = re.compile(r"^(?:diff --git |--- [^\n]*\n\+\+\+ )", re.MULTILINE)


def parse_diff(content: bytes, *, strip: int | None = None, folder: str = "") -> Diff:
    """Reads a .patch file.

    `strip` is patch(1)'s -p; None takes a/ and b/ alone, and /dev/null alone for a file that is not there. `folder`
    is put in front of all paths, as git apply's --directory.

    Raises:
        PatchError: it is no unified diff, or asks for something that is refused. Its reason goes on from the .patch
            file's name, and tells the line where one is at fault.
    """
    if not content:
        raise PatchError("is empty", "make it by git format-patch")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise PatchError(f"is not UTF-8 (byte {error.start})", "make the diff as text, by git format-patch") from error
    start = _STARTS.search(text)
    if not start:
        raise PatchError("holds no unified diff", "make it by git format-patch, or by diff -u with a/ and b/ in front")
    prose, body = text[: start.start()], text[start.start() :]
    if body.split("\n", 1)[0].endswith("\r"):
        raise PatchError("has CRLF line ends in the diff itself", "keep .patch files as they are in git: *.patch -text")
    if not body.endswith("\n"):
        # The end of a line may be lost with it, and nothing else would show that.
        line = text.count("\n") + 1
        raise PatchError(f"line {line} has no newline: the file may be cut off", "make it again by git format-patch")
    numbered = "\n" * prose.count("\n") + body  # so that unidiff counts lines as the .patch file has them
    lines = numbered.split("\n")
    try:
        raw = PatchSet.from_string(numbered)
    except UnidiffParseError as error:
        raise _broken(error, lines) from error
    files = []
    for entry in raw:
        try:
            files.append(_file_diff(entry, lines, strip, folder))
        except PatchError as error:
            raise PatchError(f"line {entry.diff_line_no or 1}: {error.reason}", error.hint) from error
    return Diff(prose=prose, files=tuple(files), content=content, strip=strip, folder=folder)


def _broken(error: UnidiffParseError, lines: Sequence[str]) -> PatchError:
    """What is wrong with a diff that cannot be read, with the line of a hunk that lost a blank."""
    said = str(error).strip()
    lost = said.removeprefix("Hunk diff line expected: ").rstrip("\n")
    if lost != said and lost in lines:
        return PatchError(
            f"line {lines.index(lost) + 1} is no line of a diff: {lost!r}: has it lost the blank in front?",
            "a line of context begins with a blank: make it again by git format-patch",
        )
    return PatchError(f"is no whole unified diff: {said}", "make it again by git format-patch")


def _file_diff(raw: PatchedFile, lines: Sequence[str], strip: int | None, folder: str) -> FileDiff:
    info = [line.rstrip("\n") for line in raw.patch_info or ()]
    named = next((name for name in (raw.target_file, raw.source_file) if name != NOWHERE), NOWHERE)
    _require_plain(raw, info, named)
    old, new = (f"{folder}/{name}" if folder and name else name for name in file_names(raw, strip))
    path = new or old
    if not path:
        raise PatchError("changes a file that has no name", "make it again by git format-patch")
    if old and new and old != new:
        if old.endswith(f"/{new}") or new.endswith(f"/{old}"):
            raise PatchError(f"names one file {old} and {new}", "git diff, or diff -ur a b with two folders")
        raise PatchError(f"renames {old} to {new}", _NO_RENAMES)
    hunks = tuple(_hunk(entry, number, path, lines) for number, entry in enumerate(raw, 1))
    for hunk in hunks:
        bare = hunk.old_line > 1 and not hunk.leading and not hunk.trailing
        if old and new and (bare or not (hunk.old and hunk.new)):
            # Without context there is nothing that could be checked: any line, or any twin, would do.
            raise PatchError(
                f"{path}: hunk {hunk.number} ({hunk.header}) has no context",
                "make the diff with context (-U3); of a file that is new or goes, the other side is /dev/null",
            )
    if old and new and not hunks:
        raise PatchError(f"changes nothing in {path}", "take that file out of the diff")
    executable = None if old else MODES.get(raw.target_mode or "")
    blobs = next(((match[1], match[2]) for line in info if (match := _BLOBS.match(line))), ("", ""))
    return FileDiff(path=path, hunks=hunks, creates=not old, deletes=not new, executable=executable, blobs=blobs)


def _require_plain(raw: PatchedFile, info: Sequence[str], named: str) -> None:
    """Refuses what git's extended header asks for beyond lines of a plain file."""
    asked = [does for start, does in REFUSED.items() if any(line.startswith(start) for line in info)]
    if raw.is_binary_file:
        asked.append("changes a binary file")
    if asked:
        renames = asked[0].startswith(("renames", "copies"))
        hint = _NO_RENAMES if renames else "a patch may change, add and delete text files, nothing else"
        raise PatchError(f"{asked[0]}: {named}", hint)
    if strange := {raw.source_mode or "", raw.target_mode or ""} - {"", *MODES}:
        raise PatchError(f"makes {named} a file of mode {min(strange)}", "no links and no submodules: plain files only")


def _hunk(raw: RawHunk, number: int, path: str, lines: Sequence[str]) -> Hunk:
    entries: list[tuple[str, bytes]] = []
    last = 0
    for line in raw:
        if line.line_type in ("+", "-", " "):
            entries.append((line.line_type, line.value.encode()))
            last = line.diff_line_no or 0
        elif line.line_type == "\\" and entries:
            kind, value = entries[-1]
            entries[-1] = (kind, value.removesuffix(b"\n"))
    old = tuple(value for kind, value in entries if kind != "+")
    new = tuple(value for kind, value in entries if kind != "-")
    header = (
        f"@@ -{raw.source_start},{raw.source_length} +{raw.target_start},{raw.target_length} @@ {raw.section_header}"
    ).strip()
    where = f"{path}: hunk {number} ({header})"
    # unidiff stops at the stated count and takes what follows for prose: lines would be lost without a word.
    after = lines[last] if last < len(lines) else ""
    if after.startswith(("+", "-", " ")) and not after.startswith(("--- ", "-- ")) and after != "--":
        raise PatchError(
            f"{where} goes on at line {last + 1}, behind what its header counts",
            "make the diff again by git format-patch; a hunk edited by hand needs its counts corrected",
        )
    if old == new:
        raise PatchError(f"{where} changes nothing", "take that hunk out of the diff")
    return Hunk(
        header=header,
        heading=(raw.section_header or "").strip().encode(),
        number=number,
        old_line=raw.source_start,
        new_line=raw.target_start,
        old=old,
        new=new,
        marks="".join(kind for kind, _ in entries),
    )
