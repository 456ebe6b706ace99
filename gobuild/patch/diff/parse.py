"""Reads a .patch file: a diff as `git format-patch` or `diff -u` writes it, to be applied strictly.

Refused here, before anything is done: links, submodules, binary files without their content, names that leave the
source, hunks without context, and those that hold other lines than they say.
"""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from gobuild.core.errors import PatchError
from gobuild.patch.diff.conflict import ADOPT
from gobuild.patch.diff.file_diff import EMPTY, FileDiff
from gobuild.patch.diff.file_names import fitting_strip, head_path, path_of, side_path
from gobuild.patch.diff.mailbox import split_mailbox
from gobuild.patch.diff.reader import AGAIN, RawFile, first_file, read_files
from gobuild.patch.diff.unified import Diff

MODES = {"100644": False, "100755": True}
"""The modes a file may have, and whether it can be run. All others are links and submodules."""

MOST_LINES = 1_000_000

_BLOBS = re.compile(r"([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})(?: (\d+))?")
_ENCODED = re.compile(r"^Content-Transfer-Encoding:\s*(quoted-printable|base64)", re.MULTILINE | re.IGNORECASE)


def parse_diff(content: bytes, *, strip: int | None = None, folder: str = "") -> Diff:
    """Reads a .patch file.

    `strip` is patch(1)'s -p; None takes a/ and b/ alone, or git's other letters, and /dev/null alone for a file that is
    not there. `folder` is put in front of all paths, as git apply's --directory.

    Raises:
        PatchError: it is no diff, or asks for something that is refused. Its reason goes on from the .patch file's
            name, and tells the line where one is at fault.
    """
    if not content:
        raise PatchError("is empty", "make it by git format-patch")
    if content.count(b"\n") > MOST_LINES:
        raise PatchError(f"has more than {MOST_LINES:,} lines", "make several patches of it")
    lines = content.split(b"\n")
    whole = not lines[-1]
    if whole:
        del lines[-1]
    first = first_file(lines)
    prose = _prose(lines[:first])
    if first == len(lines):
        raise PatchError("holds no unified diff", _no_diff(prose))
    if lines[first].endswith(b"\r"):
        raise PatchError(
            f"line {first + 1}: has CRLF line ends in the diff itself",
            "keep .patch files as they are in git: *.patch -text",
        )
    notes: list[str] = []
    raws = list(read_files(lines, notes))
    if not whole:
        _require_end(lines, raws[-1], notes)
    mails = list(itertools.accumulate(mail.count(b"\n") for mail in split_mailbox(content)[:-1]))
    files: list[FileDiff] = []
    for raw in raws:
        names = _names(raw, strip, folder)
        with _at_line(raw.line):
            file = _file_diff(raw, names, part=bisect.bisect_left(mails, raw.line), strip=strip)
        if file.changes:
            files.append(file)
        else:
            notes.append(f"line {raw.line}: changes nothing in {file.path}")
    if not files:
        raise PatchError(f"changes nothing: {'; '.join(notes[:3])}", "take it out of the series")
    _require_order(files)
    return Diff(prose=prose, files=tuple(files), content=content, strip=strip, folder=folder, notes=tuple(notes))


def _prose(lines: Sequence[bytes]) -> str:
    """What stands in front of the first file's part, every byte."""
    whole = b"".join(line + b"\n" for line in lines)
    try:
        return whole.decode()
    except UnicodeDecodeError as error:
        line = whole.count(b"\n", 0, error.start) + 1
        raise PatchError(f"line {line} is not UTF-8 (byte {error.start})", "write its prose in UTF-8") from error


def _no_diff(prose: str) -> str:
    if encoded := _ENCODED.search(prose):
        return f"it is a mail in {encoded[1]}, which git decodes: {ADOPT}"
    return "make it by git format-patch, or by diff -u with a/ and b/ in front"


def _require_end(lines: Sequence[bytes], last: RawFile, notes: list[str]) -> None:
    """Refuses a last line without a newline that says something: more may be lost than the newline."""
    if last.end == len(lines) and not lines[-1].startswith(b"\\ ") and lines[-1].strip():
        raise PatchError(f"line {len(lines)} has no newline: the file may be cut off", AGAIN)
    notes.append(f"line {len(lines)} has no newline, behind all that the hunks count")


def _file_diff(raw: RawFile, names: tuple[str, str, str], part: int, strip: int | None) -> FileDiff:
    says = {key: value.decode(errors="replace") for key, value in raw.extended.items()}
    old, new, source = names
    path = new or old
    if not path:
        raise PatchError("changes a file that has no name", AGAIN)
    if raw.left_out:
        raise PatchError(f"{path} is a binary file, whose content is not in the patch", "git format-patch --binary")
    blobs = _BLOBS.fullmatch(says.get("index", ""))
    modes = {says[key] for key in says if key.endswith("mode")} | {blobs[3] if blobs else None}
    if strange := modes - {None, *MODES}:
        raise PatchError(
            f"makes {path} a file of mode {min(map(str, strange))}", "no links and no submodules: plain files only"
        )
    creates, deletes = not old or "new file mode" in says, not new or "deleted file mode" in says
    if creates and deletes:
        raise PatchError(f"says of {path} that it is new and that it goes", AGAIN)
    if source and (creates or deletes):
        raise PatchError(f"says of {path} that it is new or goes, and that it is another file's", AGAIN)
    mode = says.get("new file mode", says.get("new mode", ""))
    file = FileDiff(
        path=path,
        hunks=tuple(hunk for hunk in raw.hunks if hunk.old != hunk.new),
        creates=creates,
        deletes=deletes,
        source=source,
        copies="copy from" in says,
        other=old if old and new and old != new and not source else "",
        executable=MODES.get(mode),
        was_executable=MODES.get(says.get("old mode", "")),
        binary=raw.binary,
        blobs=(blobs[1], blobs[2]) if blobs else ("", ""),
        strip=strip,
        line=raw.line,
        part=part,
    )
    _require_content(file, raw)
    _require_usable(file)
    return file


@contextmanager
def _at_line(line: int) -> Iterator[None]:
    """Says of an error at which line."""
    try:
        yield
    except PatchError as error:
        raise PatchError(f"line {line}: {error.reason}", error.hint) from error


def _names(raw: RawFile, strip: int | None, folder: str) -> tuple[str, str, str]:
    """The names before and after, "" where the file is not there then; and that which a rename or copy begins with.

    Two names below folders of different depth both stay: which of them is there, a source tells (patch(1)).
    """
    old = new = head = head_path(raw.head, strip, folder) if raw.head is not None else ""
    if raw.names:
        with _at_line(raw.names_line):
            old = side_path(raw.names[0], strip, folder)
        with _at_line(raw.names_line + 1):
            new = side_path(raw.names[1], strip, folder)
    with _at_line(raw.line):
        for does in ("rename", "copy"):
            sides = [raw.extended.get(f"{does} {word}") for word in ("from", "to")]
            if sides == [None, None]:
                continue
            # These names have no a/ and b/ in front (git's apply.c, gitdiff_renamesrc).
            was, now = (path_of(side, max((strip or 0) - 1, 0), folder) if side else "" for side in sides)
            if not was or not now or was == now or (raw.names and (old, new) != (was, now)):
                raise PatchError(f"{does} from {was or 'no file'} to {now or 'none'}, and other names as well", AGAIN)
            return was, now, was
        return (*_one_file(old, new, head), "")


def _one_file(old: str, new: str, head: str) -> tuple[str, str]:
    """The names of a file that keeps its own."""
    if head and {old, new} - {head, ""}:
        raise PatchError(f"names {head} in its first line, and {new or old} below", AGAIN)
    if not old or not new or old == new:
        return old, new
    short, long = sorted((old, new), key=len)
    if long in (f"{short}.orig", f"{short}.old", f"{short}~"):
        return short, short
    if not long.endswith(f"/{short}"):
        raise PatchError(f"names two files, {old} and {new}, and does not call it a rename", fitting_strip(old))
    return old, new


def _require_content(file: FileDiff, raw: RawFile) -> None:
    """Refuses a file whose content changes by its index line, and of which the diff does not say how."""
    before, after = file.blobs
    if file.binary and (len(before) != len(EMPTY) or len(after) != len(EMPTY)):
        raise PatchError(
            f"{file.path} is a binary file, and its index line does not have the whole names of its contents",
            "git format-patch --binary --full-index",
        )
    same = EMPTY.startswith(after) if file.creates else before == after or file.deletes
    if not raw.hunks and not raw.binary and not same:
        raise PatchError(f"has no hunks for {file.path}, whose content changes by its index line", AGAIN)


def _require_usable(file: FileDiff) -> None:
    """Refuses hunks that could not be checked against a source."""
    if file.creates and (len(file.hunks) > 1 or any(hunk.old for hunk in file.hunks)):
        raise PatchError(f"says that {file.path} is new, and changes lines of it", AGAIN)
    if file.deletes and any(hunk.new for hunk in file.hunks):
        raise PatchError(f"says that {file.path} goes, and leaves lines of it", AGAIN)
    for hunk in () if file.creates or file.deletes else file.hunks:
        if not hunk.leading and not hunk.trailing and hunk.old_line > bool(hunk.old):
            # Without context there is nothing that could be checked: any line, or any twin, would do.
            hint = f"diff with context (-U3); of a file that is new or goes, the other side is /dev/null; {ADOPT}"
            raise PatchError(f"{file.path}: hunk {hunk.number} ({hunk.header}) has no context", hint)


def _require_order(files: Iterable[FileDiff]) -> None:
    """Refuses a file that is renamed and changed under its old name too: in which order, nothing tells."""
    for _, part in itertools.groupby(files, key=lambda file: file.part):
        together = list(part)
        plain = {file.path: file for file in together if not file.source and not file.creates}
        for file in together:
            if file.source and not file.copies and (other := plain.get(file.source)):
                raise PatchError(
                    f"line {file.line}: renames {file.source}, which line {other.line} changes as well",
                    f"make two patches of it, one for each diff; {ADOPT}",
                )
