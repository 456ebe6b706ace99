"""What clients act on before they look at any digest of ours: the indexes of a tree, held against the signed files.

From the builds of releases that were checked each index is made once more as `gobuild.publish` makes it, and the
tree's must say the same. What only people read (the pages) is not looked at.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from gobuild.core.errors import GobuildError
from gobuild.core.model import Check
from gobuild.publish import download_index
from gobuild.publish.catalogue import Catalogue, newest_first
from gobuild.publish.findings import judged
from gobuild.publish.paths import DOWNLOADS, VERSIONS, module_version, path_in_tree
from gobuild.release.mirror import Mirror
from gobuild.release.signed_release import SignedRelease


def check_digest_files(mirror: Mirror, release: SignedRelease) -> Iterator[Check]:
    """The digest beside each archive, which mise and asdf trust, is the signed one."""
    paths = {path_in_tree(build, each) for build in release.builds for each in build.archives if each.kind != "module"}
    for path in sorted(paths):
        right = partial(_compare_text, right=release.sums.get(path.name, ""))
        name = f"{path.as_posix()}.sha256"
        yield _check_file(mirror, name, right, subject=f"{release.stamp}/{name}", check="digest")


def check_indexes(mirror: Mirror, releases: Sequence[SignedRelease], *, every: bool) -> Iterator[Check]:
    """Checks the indexes of a tree against releases in the tree's own order.

    Where these are all that the tree says it has (`every`), an index must have nothing else. Else what it has of these
    is looked at, and of others it may say anything.
    """
    stamps = [release.stamp for release in releases]
    builds = newest_first((build for each in releases for build in each.builds), before=stamps)
    catalogue = Catalogue(name="", base_url="", builds=builds)
    entries = [download_index.index_entry(each) for each in catalogue.releases.values()]
    for folder, right in ((DOWNLOADS, entries), (download_index.PLAIN, download_index.plain_index(entries, catalogue))):
        for name in ("index.json", "index.html"):
            yield _check_file(mirror, folder / name, partial(_compare_listing, right=right, stamps=stamps, every=every))
    versions = [module_version(build) for build in builds]
    for path, lines in (
        (VERSIONS / "list", versions),
        (download_index.TAGS / "info" / "refs", download_index.tag_refs(catalogue.releases)),
    ):
        yield _check_file(mirror, path, partial(_compare_lines, right=lines, stamps=stamps, every=every))
    newest = next((each[0] for each in catalogue.releases.values() if each[0].version.stable), None)
    if every and newest:
        info = (VERSIONS / newest.archive("module", ".info").path.name).as_posix()

        def right_version(text: str) -> str:
            return _compare_text(text, download_index.version_text(newest, mirror.read_file(info)))

        yield _check_file(mirror, DOWNLOADS / "VERSION", right_version)


def _check_file(
    mirror: Mirror, path: Path | str, compare: Callable[[str], str], *, subject: str = "", check: str = "index"
) -> Check:
    """Checks a file; `compare` says what is wrong with its text, "" for nothing."""
    name = Path(path).as_posix()
    try:
        wrong = compare(mirror.read_file(name).decode(errors="replace"))
    except GobuildError as error:
        wrong = error.reason
    return judged(subject or name, check, not wrong, "what was signed, and nothing else", wrong)


def _compare_text(text: str, right: str) -> str:
    return "" if text.strip() == right.strip() else f"it says {text[:100]!a}, which was not signed"


def _compare_listing(text: str, *, right: Sequence[download_index.Entry], stamps: Collection[str], every: bool) -> str:
    """Compares an index in go.dev's schema with what the signed files make of it."""
    try:
        stated = json.loads(text)
        if stated == right:
            return ""
        listed, expected = _listed_files(stated), _listed_files(right)
        if not every:
            listed = [file for file in listed if _is_of(file, stamps)]
            if any(file["under"] != file["version"] for file in expected):
                # In plain/ a newer stamp of the same Go may stand in a file's place.
                expected = [file for file in expected if file in listed]
            if sorted(map(_as_key, listed)) == sorted(map(_as_key, expected)):
                return ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"it cannot be read: {type(error).__name__}"
    if odd := next((file for file in listed if file not in expected), None):
        return f"it lists {json.dumps(odd)[:300]}, which was not signed"
    if missing := next((file for file in expected if file not in listed), None):
        return f"it does not list {missing['filename']} under {missing['under']}"
    return "its order, or something beside its files, is not what the signed files make of it"


def _listed_files(entries: Sequence[download_index.Entry]) -> list[download_index.Entry]:
    """Each file with the version and the word "stable" under which it is listed."""
    return [
        {"under": entry["version"], "stable": entry["stable"]} | dict(file)
        for entry in entries
        for file in entry["files"]
    ]


def _is_of(file: Mapping[str, object], stamps: Collection[str]) -> bool:
    """Whether a listed file is of one of these releases, by any of the names it is listed with."""
    name = PurePosixPath(str(file["filename"])).name
    versions = (str(file["under"]), str(file["version"]))
    return any(stamp in versions or name.startswith(f"{stamp}.") for stamp in stamps)


def _as_key(file: download_index.Entry) -> str:
    return json.dumps(file, sort_keys=True)


def _compare_lines(text: str, *, right: Sequence[str], stamps: Collection[str], every: bool) -> str:
    """Compares a list, one entry a line."""
    lines = text.splitlines()
    mine = lines if every else [line for line in lines if any(stamp in line for stamp in stamps)]
    if odd := sorted(set(mine) - set(right)):
        return f"it lists {odd[0][:200]!a}, which was not signed"
    if missing := sorted(set(right) - set(mine)):
        return f"it does not list {missing[0]}"
    return "" if len(mine) == len(set(mine)) else "it lists something twice"
