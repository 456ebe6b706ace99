"""Which release of an origin's catalog a request means."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace

from gobuild.core.errors import ConfigError, ResolveError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Catalog, Release

FIRST = GoVersion(major=1, minor=21, stage="rc", serial=1)
"""The first Go that can be built: it has distpack and go.env."""

WORDS = ("stable", "oldstable")
"""Requests that are no number: the newest release of the newest line, and of the one before it."""

_FOREIGN = re.compile(r"[vV]?(?:go)?(\d+\.\d+)(?:\.(\d+|[xX*]))?(?:[-.]?(rc|beta)[-.]?(\d+))?")


def resolve(request: str, catalog: Catalog, *, known: Iterable[GoVersion] = ()) -> Release:
    """Chooses the release that a request means; its `newer` tells of a known one of its line that the catalog lacks.

    Args:
        request: "1.22" (the newest patch release of the line), "1.22.10", "go1.22.10", "1.28rc1", "stable" (the
            newest release of the newest line) or "oldstable" (of the second newest line).
        catalog: what the origin has.
        known: versions that exist, whether or not the origin has them.

    Raises:
        ConfigError: the request is neither a word nor a version.
        ResolveError: the catalog has no such release.
    """
    word = request.strip().removeprefix("go")
    found = _by_word(word, catalog) if word in WORDS else _by_version(_parse(request), catalog)
    had = max(release.version for release in catalog.releases if release.version.line == found.version.line)
    newer = [version for version in known if version.stable and version.line == had.line and version > had]
    return replace(found, newer=max(newer, default=None))


def _parse(request: str) -> GoVersion:
    try:
        return GoVersion.parse(request)
    except ConfigError as error:
        near = _meant(request) or "".join(difflib.get_close_matches(request, WORDS, 1))
        hint = f"did you mean {near!r}?" if near else "1.22, 1.22.10, 1.28rc1, stable or oldstable"
        raise ConfigError(error.reason, hint) from None


def _meant(request: str) -> str:
    """What somebody meant who writes versions as semver, npm or git do: v1.22.10, 1.22.x, 1.22.0-rc.1; or ""."""
    match = _FOREIGN.fullmatch(request.strip())
    if not match:
        return ""
    line, patch, stage, serial = match.groups()
    if stage:
        # Only from 1.21 on has a line's first release a third number; its candidates have none at all.
        return f"{line}{stage}{serial}" if patch in (None, "0") else ""
    return f"{line}.{patch}" if patch and patch.isdigit() else line


def _by_word(word: str, catalog: Catalog) -> Release:
    newest = _newest(catalog)
    if len(newest) <= WORDS.index(word):
        near = newest or sorted(catalog.releases, key=lambda release: release.version, reverse=True)
        raise ResolveError(f"{catalog.origin} has no {word} release", _offer(near))
    return newest[WORDS.index(word)]


def _by_version(wanted: GoVersion, catalog: Catalog) -> Release:
    newest = _newest(catalog)
    line = [release for release in catalog.releases if release.version.line == wanted.line]
    if wanted.patch is None and wanted.stable:
        found = [release for release in newest if release in line]
    else:
        found = [release for release in line if release.version == wanted]
    if found:
        return found[0]
    others = [release for release in newest if release not in line]
    near = sorted([*line, *others], key=lambda release: _apart(release.version, wanted))
    if wanted < FIRST:
        fit = [release for release in near if release.version >= FIRST]
        raise ResolveError(f"{catalog.origin} has no Go {wanted}", f"{FIRST.line} or later; {_offer(fit)}")
    raise ResolveError(f"{catalog.origin} has no Go {wanted}", _offer(near))


def _newest(catalog: Catalog) -> list[Release]:
    """The newest stable release of each line, the newest line first."""
    lines: dict[str, Release] = {}
    for release in sorted(catalog.releases, key=lambda release: release.version):
        if release.version.stable:
            lines[release.version.line] = release
    return sorted(lines.values(), key=lambda release: release.version, reverse=True)


def _apart(one: GoVersion, two: GoVersion) -> tuple[int, int, int]:
    lines = (one.major - two.major) * 1000 + one.minor - two.minor
    return abs(lines), abs((one.patch or 0) - (two.patch or 0)), abs(one.serial - two.serial)


def _offer(near: list[Release]) -> str:
    names = ", ".join(str(release.version) for release in near[:4])
    return f"the nearest it has: {names}" if names else "another --source: this one has no release at all"
