"""What should be built and is not published; a build is known by its stamp, which a new patch changes as well."""

import json
from collections.abc import Iterable

from gobuild.core.errors import FetchError
from gobuild.core.goversion import Target
from gobuild.pipeline.session import Session, prepare_each
from gobuild.release.mirror import open_mirror

INDEX = "dl/index.json"


def missing_builds(
    session: Session, lines: Iterable[str], targets: Iterable[str], *, force: bool = False
) -> list[dict[str, str]]:
    """The builds that a published tree (the setting base_url) lacks, or all of them if `force`.

    Each is "go", the release; "target"; "dashed", the target for a file name; "stamp". A tree that has nothing yet is
    no error, one that does not answer is.
    """
    published = set() if force else _published(session.settings.base_url)
    builds = []
    for plan in (prepared.plan for _, prepared in prepare_each(session, lines, targets)):
        if (plan.stamp, plan.target) not in published:
            release, target = str(plan.release.version), plan.target
            builds.append({"go": release, "target": str(target), "dashed": target.dashed, "stamp": plan.stamp})
    return builds


def _published(base_url: str) -> set[tuple[str, Target]]:
    """What a tree's download index lists."""
    listed = open_mirror(base_url).read_if_present(INDEX)
    if listed is None:
        return set()
    try:
        return {
            (str(entry["version"]), Target(goos=file["os"], goarch=file["arch"]))
            for entry in json.loads(listed)
            for file in entry["files"]
            if file["kind"] == "archive"
        }
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{base_url}/{INDEX} is no index of Go's downloads", "another --base-url") from error
