"""Unpatched sources of one or many versions, and the state of a series on them.

Sources stay unpacked in the cache (`sources/`), so that a second look takes seconds; a folder of the user's is copied
aside for the time it is looked at. Nothing is written into any of them.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gobuild import fetch, patch
from gobuild.core import files
from gobuild.core.errors import ConfigError, ResolveError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Catalog, Release
from gobuild.pipeline.session import Session, reached_origin
from gobuild.resolve import FIRST, resolve

ALL = "all"
"""The request for the newest release of every line that gobuild builds."""

ROOM = 200 << 20
"""Bytes that one unpacked source needs; measured: 1.22.10 has 130 MB."""

_MARK = "files"
"""The file beside an unpacked source that holds its fingerprint."""


def series_status(session: Session) -> patch.Matrix:
    """The state of every patch of the settings' series on every version asked for; a conflict is no error here."""
    settings = session.settings
    series = patch.series_of(settings, strict=False)
    series.require_optional(settings.extras)
    with session.console.stage("status"), unpacked_sources(session) as trees:
        return patch.status(series, trees, target=settings.for_target, profile=settings.profile, extra=settings.extras)


def releases(request: str, catalog: Catalog) -> tuple[Release, ...]:
    """The releases that a request for several means, oldest first.

    It is what `resolve` takes, several with commas between them; "1.21..1.27" for the newest release of each of these
    lines; or "all".
    """
    words = [word for item in request.split(",") for word in _lines(item.strip(), catalog)]
    found = [resolve(word, catalog, known=fetch.known_versions()) for word in words]
    return tuple(sorted({release.version: release for release in found}.values(), key=lambda each: each.version))


def _lines(item: str, catalog: Catalog) -> list[str]:
    """The lines of a range, or the word itself."""
    if item == ALL:
        stable = {each.version.line: each.version for each in catalog.releases if each.version.stable}
        lines = [line for line, version in stable.items() if version >= FIRST]
        if not lines:
            raise ResolveError(f"{catalog.origin} has no release from Go {FIRST.line} on", "the version, by --go")
        return lines
    first, dots, last = item.partition("..")
    if not dots:
        return [item]
    one, two = GoVersion.parse(first), GoVersion.parse(last)
    if str(one) != one.line or str(two) != two.line or one.major != two.major or one > two:
        raise ConfigError(f"{item!r} is no range of Go's lines", "two lines, the older one first: 1.21..1.27")
    return [f"{one.major}.{minor}" for minor in range(one.minor, two.minor + 1)]


@contextmanager
def unpacked_sources(session: Session) -> Iterator[Mapping[GoVersion, Path]]:
    """The folder of each version asked for. They are the cache's: whoever wants to change one copies it."""
    settings, reached = session.settings, reached_origin(session)
    try:
        wanted = releases(settings.go, reached.catalog)
    except ResolveError as error:
        raise reached.explain(error) from None
    if announcement := _announcement(reached, wanted):
        session.console.warn(announcement)
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        found = {}
        for release in wanted:
            name = _cache_name(release, reached.catalog.identity)
            place = settings.cache.absolute() / "sources" / name if name else Path(scratch) / release.version.tag
            found[release.version] = _source(session, reached, release, place)
        yield found


def _announcement(reached: fetch.SelectedOrigin, wanted: tuple[Release, ...]) -> str:
    """The line that tells of a second choice, for all of them together."""
    lines = [line for release in wanted if (line := reached.announce(release))]
    if len(lines) < 2:
        return "".join(lines)
    rest = (f"{each.version}" + (f" ({each.newer} is newer)" if each.newer else "") for each in wanted[1:])
    return f"{lines[0]}; likewise {', '.join(rest)}"


def _cache_name(release: Release, identity: str) -> str:
    """What a source is called in the cache, by what tells it from others of its version; "" for what is not kept."""
    if identity.startswith("h1:"):
        return ""  # a folder that somebody edits: each edit would leave a copy behind
    digests = (file.sha256 for file in release.files if file.kind == "source")
    return f"{release.version.tag}.{(identity or next(digests, 'archive')).replace(':', '-')[:20]}"


def _source(session: Session, reached: fetch.SelectedOrigin, release: Release, place: Path) -> Path:
    """An unpacked source in the cache, fetched where it is not there or was changed."""
    console, doing = session.console, f"unpacking the source of {release.version.tag}"
    with files.exclusive_lock(place.with_name(f".{place.name}.lock"), doing, waiting=console.aside):
        if not _intact(place):
            if place.exists():
                console.warn(f"the source in {place} was changed: it is unpacked again")
            files.require_room(place, ROOM, doing)
            console.aside(doing)
            with files.atomic_write(place) as temporary:
                reached.source(release, temporary / "go")
                files.write(temporary / _MARK, _fingerprint(temporary / "go"))
    return place / "go"


def _intact(place: Path) -> bool:
    try:
        return (place / _MARK).read_bytes() == _fingerprint(place / "go").encode()
    except OSError:
        return False


def _fingerprint(root: Path) -> str:
    """A digest of every file's name, size and time: an edit shows in it, and it costs no reading."""
    lines = []
    for folder, _, names in os.walk(root):
        for name in names:
            facts = Path(folder, name).lstat()
            path = f"{folder}/{name}".removeprefix(str(root))
            lines.append(f"{path} {facts.st_mode} {facts.st_size} {facts.st_mtime_ns}\n")
    return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()
