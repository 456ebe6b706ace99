"""go.dev's release index, kept in the cache for the runs without a network.

The form is golang.org/x/website/internal/dl's: a list of releases, each with a list of files. What is not of that
form, or of no use here, is passed over: a mirror may list more than Go.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import ConfigError, FetchError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Release, ReleaseFile
from gobuild.fetch import http

QUERY = "?mode=json&include=all"
NAME = "index.json"

_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS = ("source", "archive")


def fetch_index(url: str, *, origin: str, cache: Path) -> tuple[Release, ...]:
    """Asks the index at a URL that ends in a slash, and keeps its answer in the cache."""
    answer = http.fetch_document(url + QUERY)
    try:
        entries = json.loads(answer)
    except ValueError:
        page = answer.lstrip()[:1] == b"<"
        what = "a web page (a network that asks you to sign in first?)" if page else "no JSON"
        hint = "in a browser: sign in, then again; or another --index-url" if page else "another --index-url"
        raise FetchError(f"{http.redact_url(url)}: {what} instead of the index", hint) from None
    releases = tuple(_releases(entries, origin))
    if not releases:
        raise FetchError(
            f"{http.redact_url(url)}: this is not go.dev's index, or an empty one",
            "another --index-url, or --source wheel",
        )
    asked = datetime.now(UTC).isoformat(timespec="seconds")
    document = {"url": http.redact_url(url), "asked": asked, "releases": entries}
    files.write(cache / NAME, json.dumps(document, indent=1) + "\n")
    return releases


def cached_index(url: str, *, origin: str, cache: Path) -> tuple[Release, ...]:
    """What the index said when it was last asked; nothing if it never was, or another one was."""
    try:
        document = json.loads((cache / NAME).read_bytes())
        return tuple(_releases(document["releases"], origin)) if document["url"] == http.redact_url(url) else ()
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _releases(entries: Any, origin: str) -> Iterator[Release]:
    for entry in entries if isinstance(entries, list) else ():
        try:
            version = GoVersion.parse(entry["version"])
            parsed = tuple(_file(file) for file in entry["files"] if file["kind"] in _KINDS)
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError):
            continue
        yield Release(version=version, origin=origin, files=parsed)


def _file(entry: Any) -> ReleaseFile:
    """One file. Its name becomes a path in the cache, and so it must be one plain word."""
    if not _FILENAME.fullmatch(entry["filename"]) or not _SHA256.fullmatch(entry["sha256"]):
        raise ValueError
    return ReleaseFile(
        filename=entry["filename"],
        kind=entry["kind"],
        goos=str(entry.get("os", "")),
        goarch=str(entry.get("arch", "")),
        sha256=entry["sha256"],
        size=max(0, int(entry.get("size", 0))),
    )
