"""What clients act on before they look at any digest of ours: the indexes of a tree, held against the signed files.

The builds of releases whose papers were right come in. From them, and nothing else, each index is written once more
as `gobuild.publish` writes it, and the tree's must say the same: dl/ in go.dev's schema, under both its names and under
plain/; the newest version; the tags that mise reads; the proxy's list; and the .sha256 beside each archive. What only
people read (the pages) is not looked at.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from gobuild.core.errors import FetchError, GobuildError
from gobuild.core.model import Check, Verdict
from gobuild.publish import download_index
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue, newest_first
from gobuild.publish.paths import DOWNLOADS, VERSIONS, module_version, path_in_tree
from gobuild.release.papers import Release
from gobuild.release.place import Place, read


def digests(tree: Place, release: Release, builds: Sequence[Build]) -> Iterator[Check]:
    """The digest beside each archive, which mise and asdf trust, is the signed one."""
    names = {path_in_tree(each, one): one for each in builds for one in each.archives if one.kind != "module"}
    for path, archive in sorted(names.items()):
        name = f"{path.as_posix()}.sha256"
        signed = release.sums.get(archive.path.name, "")
        yield _said(f"{release.stamp}/{name}", "digest", _content(tree, name), partial(_same, right=signed))


def check(tree: Place, builds: Sequence[Build], *, every: bool) -> Iterator[Check]:
    """The indexes of a whole tree.

    Args:
        tree: where they stand.
        builds: those of the releases that were checked, in the tree's own order.
        every: whether these are all releases that the tree says it has: then an index must have nothing else. Else
            what it has of these releases is looked at, and of others it may say anything.
    """
    if not builds:
        return
    stamps = tuple(dict.fromkeys(found.stamp for found in builds))
    offers = newest_first(builds, before=stamps)
    shelf = Catalogue(name="", base_url="", builds=offers)
    entries = [download_index.index_entry(offers) for offers in shelf.releases.values()]
    for folder, right in ((DOWNLOADS, entries), (download_index.PLAIN, download_index.plain_index(entries, shelf))):
        for name in ("index.json", "index.html"):
            path = (folder / name).as_posix()
            yield _said(path, "index", _content(tree, path), _listing(right, set(shelf.releases), every=every))
    told = {
        (VERSIONS / "list").as_posix(): [module_version(offer) for offer in shelf.builds],
        (download_index.TAGS / "info" / "refs").as_posix(): download_index.tag_refs(shelf.releases),
    }
    for path, lines in told.items():
        yield _said(path, "index", _content(tree, path), _lines(lines, set(shelf.releases), every=every))
    newest = next((offers[0] for offers in shelf.releases.values() if offers[0].version.stable), None)
    if every and newest:
        info = (VERSIONS / newest.archive("module", ".info").path.name).as_posix()
        path = (DOWNLOADS / "VERSION").as_posix()
        try:
            right_text = download_index.version_text(newest, read(tree, info))
        except GobuildError as error:
            yield _said(path, "index", error.reason, lambda _: "")
        else:
            yield _said(path, "index", _content(tree, path), partial(_same, right=right_text))


def _content(tree: Place, path: str) -> bytes | str:
    """A file's bytes, or why they cannot be had."""
    try:
        return read(tree, path)
    except FetchError as error:
        return error.reason


def _said(subject: str, name: str, content: bytes | str, wrong: Callable[[str], str]) -> Check:
    """`wrong` says what is wrong with a text, "" for nothing."""
    seen = content if isinstance(content, str) else wrong(content.decode(errors="replace"))
    verdict = Verdict.FAILED if seen else Verdict.OK
    return Check(subject=subject, name=name, verdict=verdict, seen=seen or "what was signed, and nothing else")


def _same(text: str, right: str) -> str:
    return "" if text.strip() == right.strip() else f"it says {text[:100]!a}, which was not signed"


def _listing(right: Sequence[download_index.Entry], stamps: set[str], *, every: bool) -> Callable[[str], str]:
    """Compares an index in go.dev's schema with what the signed files make of it."""

    def wrong(text: str) -> str:
        try:
            told = json.loads(text)
            if every:
                return "" if told == right else _first_odd(_files(told), _files(right))
            mine = [each for each in _files(told) if _of(each, stamps)]
            return "" if _sorted(mine) == _sorted(_chosen(right, mine)) else _first_odd(mine, _files(right))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return f"it cannot be read: {type(error).__name__}"

    return wrong


def _files(entries: Sequence[download_index.Entry]) -> list[download_index.Entry]:
    """Each file with the version and the word "stable" under which it is listed."""
    return [
        {"under": entry["version"], "stable": entry["stable"]} | dict(file)
        for entry in entries
        for file in entry["files"]
    ]


def _of(file: Mapping[str, object], stamps: set[str]) -> bool:
    """Whether a listed file is one of these releases, by any of the names it is listed with."""
    name = PurePosixPath(str(file["filename"])).name
    said = {str(file["under"]), str(file["version"])}
    return bool(said & stamps) or any(name.startswith(f"{stamp}.") for stamp in stamps)


def _chosen(right: Sequence[download_index.Entry], mine: Sequence[download_index.Entry]) -> list[download_index.Entry]:
    """What must be listed of some releases where others are listed too.

    Of dl/ that is everything. In plain/ a newer stamp of the same Go may stand in a file's place: there it is what is
    listed.
    """
    files = _files(right)
    if all(file["under"] == file["version"] for file in files):
        return files
    return [file for file in files if file in mine]


def _sorted(files: Sequence[download_index.Entry]) -> list[str]:
    return sorted(json.dumps(file, sort_keys=True) for file in files)


def _first_odd(told: Sequence[download_index.Entry], right: Sequence[download_index.Entry]) -> str:
    odd = next((file for file in told if file not in right), None)
    if odd:
        return f"it lists {json.dumps(odd)[:300]}, which was not signed"
    missing = next((file for file in right if file not in told), None)
    if missing:
        return f"it does not list {missing['filename']} under {missing['under']}"
    return "its order, or something beside its files, is not what the signed files make of it"


def _lines(right: Sequence[str], stamps: set[str], *, every: bool) -> Callable[[str], str]:
    """Compares a list, one entry a line."""

    def wrong(text: str) -> str:
        told = text.splitlines()
        mine = told if every else [line for line in told if any(stamp in line for stamp in stamps)]
        if odd := sorted(set(mine) - set(right)):
            return f"it lists {odd[0][:200]!a}, which was not signed"
        if missing := sorted(set(right) - set(mine)):
            return f"it does not list {missing[0]}"
        return "" if len(mine) == len(set(mine)) else "it lists something twice"

    return wrong
