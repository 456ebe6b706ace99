"""The names in a diff as paths below GOROOT; nothing that could point elsewhere."""

import re

from unidiff.patch import PatchedFile

from gobuild.core.errors import PatchError
from gobuild.patch.diff.unified import NOWHERE

_EPOCH = re.compile(r"(?:1970-01-01|1969-12-31) ")


def file_names(raw: PatchedFile, strip: int | None) -> tuple[str, str]:
    """The file's path before and after; "" where it is not there then."""
    if strip is None:
        return _path(raw.source_file, "a/"), _path(raw.target_file, "b/")
    times = (raw.source_timestamp, raw.target_timestamp)
    sides = [
        # diff -N names a file that is not there all the same, with a time that says so (GNU diff, "Dates").
        NOWHERE if _EPOCH.match(time or "") else name
        for name, time in zip((raw.source_file, raw.target_file), times, strict=True)
    ]
    old, new = (_path(name, "", strip) for name in sides)
    return (new if old == f"{new}.orig" else old), new


def _path(name: str, side: str, strip: int = 0) -> str:
    """A name in a diff as a path below GOROOT, or "" for /dev/null; nothing that could point elsewhere."""
    if name == NOWHERE:
        return ""
    path = name.removeprefix(side) if side else name.split("/", strip)[-1]
    parts = path.split("/")
    hint = "paths below GOROOT, with a/ and b/ in front, as git format-patch writes them"
    short = path == name if side else name.count("/") < strip
    if short or name.startswith(('"', "/")) or re.search(r"[\x00-\x1f\x7f]", name):
        raise PatchError(f"names the file {name!r}, which does not read {side or 'FOLDER/' * strip}PATH", hint)
    if "" in parts or "." in parts or ".." in parts or "\\" in path or ":" in parts[0]:
        raise PatchError(f"names a file outside of the source: {name!r}", hint)
    if any(part.casefold().rstrip(". ") == ".git" for part in parts):
        raise PatchError(f"names a file of git's own: {name!r}", "a patch may not touch .git")
    return path
