"""The names in a diff as paths below GOROOT; nothing that could point elsewhere."""

import itertools
import re

from gobuild.core.errors import PatchError

NOWHERE = "/dev/null"
"""What a diff names in place of a file that is not there."""

_SIDE = re.compile(r"[abciow]/")
"""git's prefixes; with diff.mnemonicPrefix they say commit, index, object or work tree."""
_TOP = re.compile(r"(?:src|test|api|doc|lib|misc)/|(?:VERSION|go\.env)$")
"""What Go's source has at its top."""
_MOST_BLANKS = 16
"""In how many ways a line with two names is taken apart, where both folders are not of one length."""
_LONGEST, _LONGEST_PART = 1024, 255
"""Of a path below GOROOT, with room for folders in front; and of a name, what Linux and macOS can hold (NAME_MAX)."""
_EPOCH = re.compile(r"(?:1970-01-01|1969-12-31) ")
_ESCAPE = re.compile(rb"\\(?:([abtnvfr\"\\])|([0-3][0-7]{2}))")
_LETTERS = dict(zip(b'abtnvfr"\\', b'\a\b\t\n\v\f\r"\\', strict=True))
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def side_path(entry: bytes, strip: int | None, folder: str) -> str:
    """The path that an entry behind "---" or "+++" names; "" where it is that of no file."""
    quoted = _QUOTED.match(entry)
    name = quoted[0] if quoted else entry.partition(b"\t")[0]
    time = entry[len(name) :].strip()
    # diff -N names a file that is not there all the same, with a time that says so (GNU diff, "Dates").
    nothing = strip is not None and _EPOCH.match(time.decode(errors="replace"))
    return "" if nothing or name == NOWHERE.encode() else path_of(name, strip, folder)


def head_path(head: bytes, strip: int | None, folder: str) -> str:
    """The one path that a line "diff --git" names twice; "" where it names two, or cannot be taken apart."""
    quoted = _QUOTED.findall(head)
    if len(quoted) == 2:
        pairs = [(b'"%s"' % quoted[0], b'"%s"' % quoted[1])]
    else:
        middle = len(head) // 2
        pairs = [(head[:middle], head[middle + 1 :])] if head[middle : middle + 1] == b" " else []
        blanks = itertools.islice(re.finditer(b" ", head), _MOST_BLANKS)
        pairs += [(head[: found.start()], head[found.end() :]) for found in blanks]
    for pair in pairs:
        try:
            one, two = (path_of(name, strip, folder) for name in pair)
        except PatchError:
            continue
        if one == two:
            return one
    return ""


def path_of(entry: bytes, strip: int | None, folder: str = "") -> str:
    """A name in a diff, quoted as git quotes it or plain, as a path below GOROOT.

    Raises:
        PatchError: it has not as many folders as are to be taken off, or could point elsewhere.
    """
    quoted = _QUOTED.fullmatch(entry)
    raw = _ESCAPE.sub(_unescaped, quoted[1]) if quoted else entry
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise PatchError(f"names a file that is not UTF-8: {raw!r}", "a name in UTF-8") from error
    short = not _SIDE.match(name) if strip is None else name.count("/") < strip
    if short or name.startswith(('"', "/")) or re.search(r"[\x00-\x1f\x7f]", name):
        form = "a/PATH" if strip is None else f"{'FOLDER/' * strip}PATH"
        raise PatchError(f"names the file {name!r}, which does not read {form}", fitting_strip(name))
    path = name.split("/", 1 if strip is None else strip)[-1]
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or "\\" in path or ":" in parts[0]:
        raise PatchError(f"names a file outside of the source: {name!r}", "paths below GOROOT, and nothing else")
    if len(path) > _LONGEST or any(len(part.encode()) > _LONGEST_PART for part in parts):
        raise PatchError(f"names a file by {len(path)} characters", "a name that a file system can hold")
    if any(part.casefold().rstrip(". ") == ".git" for part in parts):
        raise PatchError(f"names a file of git's own: {name!r}", "a patch may not touch .git")
    return f"{folder}/{path}" if folder else path


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes([_LETTERS[found[1][0]] if found[1] else int(found[2], 8)])


def fitting_strip(name: str) -> str:
    """Which -p would fit a name that is not as it should be."""
    parts = name.split("/")
    fits = next((count for count in range(len(parts)) if _TOP.match("/".join(parts[count:]))), None)
    if fits is None:
        return "paths below GOROOT, with a/ and b/ in front, as git format-patch writes them"
    return f"-p{fits} would fit: strip = {fits} in a series.toml, or -p{fits} in quilt's series"
