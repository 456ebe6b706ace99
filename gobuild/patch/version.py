"""The stamp: the version a patched toolchain gives itself, and the VERSION file that carries it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version as installed

from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Profile
from gobuild.patch.series import Patch
from gobuild.patch.tree import Tree

EARLIEST = "1980-01-01T00:00:00Z"
"""The time for a source that has none (a git checkout, somebody's folder): the earliest a zip entry can hold.

Without a time line distpack takes the year 1, which the module's zip cannot write and a tar only as 1970
(cmd/distpack, readVERSION; archive/zip, timeToMsDosTime). The hour of the build would make every build another one.
"""

_STAMP = re.compile(r"go\d+\.\d+(\.\d+)?((rc|beta)\d+)?(-[a-z0-9]+(\.[a-z0-9]+)*)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def stamp(
    version: GoVersion,
    *,
    suffix: str,
    identity: str,
    patches: Sequence[Patch],
    profile: Profile,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The name of a patched toolchain: "go1.22.10-gobuild.p3f9c2a1", or "go1.22.10".

    It changes whenever the patches do, since VERSION is the build cache's key (cmd/go, work.(*Builder).toolID): two
    compilers of one name would hand each other their objects. The digest has a "p" in front of it because a semantic
    version's identifier of digits alone must not begin with 0 (semver.org, item 9), and 7 hex digits may be that.

    In `suffix`, which follows the hyphen, "{id}" becomes the digest; `identity` is the `Catalog`'s, and
    `environment` what the series gives the builder.
    """
    if not suffix:
        return version.tag
    # What stands in the toolchain's own manifest is in here too: no two archives of one name may differ.
    ours = [[patch.name, patch.sha256, patch.reason, *([patch.fixes] if patch.fixes else [])] for patch in patches]
    facts = [identity, ours, asdict(profile), installed("gobuild"), *([dict(environment)] if environment else [])]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return f"{version.tag}-{suffix.replace('{id}', 'p' + digest[:7])}"


def write_version(tree: Tree, stamp: str) -> None:
    """Notes the new VERSION: the stamp, and the time that upstream's has; cmd/dist and distpack allow nothing else."""
    if not _STAMP.fullmatch(stamp):
        raise PatchError(f"{stamp!r} cannot be a toolchain's version", "such as go1.22.10-acme1.p3f9c2a1")
    there = (tree.read_file("VERSION") or b"").decode(errors="replace").partition("\n")[2]
    time = [EARLIEST, *re.findall(r"^time\b[ \t]*(.*?)\s*$", there, re.MULTILINE)][-1]
    if not _TIME.fullmatch(time):
        raise PatchError(f"VERSION has the time {time!r}, which is none", "such as 2024-11-27T20:27:20Z")
    tree.write_file("VERSION", f"{stamp}\ntime {time}\n".encode())
