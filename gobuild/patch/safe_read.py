"""Reads a file that a series names, and nothing from outside of the series' folder."""

from pathlib import Path, PurePosixPath

from gobuild.core.errors import PatchError

MOST_BYTES = 64 << 20
"""Of one file; the largest patches of Go that anybody keeps have half a megabyte."""

_HINT = "a file in the series' own folder"


def safe_read(folder: Path, name: str) -> bytes:
    """Reads a file of a series' own folder, by its name relative to it, with slashes.

    Raises:
        PatchError: it lies outside, or a link leads there; or it cannot be read.
    """
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name:
        raise PatchError(f"the file {name!r} is outside of the series", _HINT)
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise PatchError(f"the file {name!r} leads outside of the series", _HINT)
        if (size := path.stat().st_size) > MOST_BYTES:
            raise PatchError(f"the file {name!r} has {size >> 20} MB", f"at most {MOST_BYTES >> 20} MB a patch")
        return path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise PatchError(f"the file {name!r} cannot be read: {reason}", _HINT) from error
