"""Manifests come in, from anywhere; offers go out, in which every name is one that gobuild itself would have given.

A manifest is somebody's text: it may be damaged, or made to do harm. So it is read as a whole before anything is
done: shapes, names, digests and numbers are checked against what gobuild writes, and a text that would not be seen
as it stands (control characters, bidirectional overrides) is refused. Titles and reasons may say anything else:
whoever renders them escapes them. It does not look into archives.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gobuild.core.errors import ConfigError, PublishError
from gobuild.core.model import GoVersion, Severity, State, Target, Verdict
from gobuild.publish.shelf import Archive, Offer

LARGEST = 8 << 20
"""Bytes of a manifest; the largest so far has 50 kB."""

LONGEST = 20_000
"""Characters of one text in it; the longest so far has 302."""

BIGGEST = 1 << 36
"""Bytes of one archive; Go's largest so far has 72 MB."""

ENDING = ".gobuild.json"

STAMP = re.compile(r"go[0-9][0-9a-z.]{0,30}(-[a-z0-9]+(\.[a-z0-9]+){0,8})?")
"""What `gobuild.core.settings.SUFFIX` lets a toolchain call itself, and no longer than a file name may be."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}([0-9a-f]{24})?|h1:[A-Za-z0-9+/]{43}=")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What a reader would not see, or would see elsewhere than it stands (Unicode TR36: bidirectional overrides)."""

_SHAPE: dict[str, Any] = {
    "schema": int,
    "stamp": str,
    "gobuild": str,
    "release": str,
    "source": {"kind": str, "tree": str, "origin": str, "location": str, "digest": str},
    "patches": [{"name": str, "state": str, "reason": str, "evidence": str, "files": [str], "sha256": str}],
    "profile": {"name": str, "note": str, "cgo_enabled": str | None},
    "bootstrap": {"version": str, "origin": str, "digest": str},
    "build": {"target": str, "host": str, "environment": dict},
    "checks": [{"subject": str, "name": str, "verdict": str, "seen": str, "expected": str}],
    "artifacts": [{"file": str, "kind": str, "sha256": str, "size": int}],
    "run": {"seconds": dict},
}
"""What this module, the pages and the supply chain read; other keys may be there."""

_MAY: dict[str, Any] = {"checks": [{"severity": str, "reason": str}], "signing": dict}
"""Likewise, but of keys that stand there only where a policy decided, or somebody signed the programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An offer and the manifest that told of it.

    Attributes:
        offer: the build; its archives stand where `archives` said.
        text: the manifest's bytes, as they were read.
    """

    offer: Offer
    text: bytes

    @property
    def key(self) -> tuple[str, str]:
        """What there may be one of: a stamp for a target."""
        return self.offer.stamp, str(self.offer.target)

    @property
    def manifest(self) -> str:
        """The manifest's file name."""
        return manifest_name(self.offer)


def manifest_name(offer: Offer) -> str:
    """The file name of an offer's manifest."""
    return f"{offer.stamp}.{offer.target.dashed}{ENDING}"


def names(stamp: str, target: Target) -> dict[str, str]:
    """The files of a build and their kinds, as Go's distpack names them (src/cmd/distpack/pack.go)."""
    module = f"v0.0.1-{stamp}.{target.dashed}"
    return {
        f"{stamp}.{target.dashed}.tar.gz": "toolchain",
        f"{stamp}.src.tar.gz": "source",
        f"{module}.zip": "module",
        f"{module}.mod": "module",
        f"{module}.info": "module",
    }


def find(folder: Path) -> Iterator[Found]:
    """The builds that stand in a folder such as dist/, by their manifests.

    Raises:
        PublishError: a manifest cannot be used.
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", "--from with the folder of finished builds: dist")
    for path in sorted(folder.glob(f"*{ENDING}")):
        yield read(path, archives=folder)


def read(path: Path, *, archives: Path) -> Found:
    """Reads one outer manifest.

    Args:
        path: the manifest.
        archives: the folder of the files that it names.

    Raises:
        PublishError: it is none of gobuild's, or says what no manifest of gobuild's says.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise PublishError(
            f"the manifest {_shown(path.name)} cannot be read: {error.strerror}", f"{path.parent} as gobuild wrote it"
        ) from error
    return parse(text, path.name, archives=archives)


def parse(text: bytes, name: str, *, archives: Path) -> Found:
    """As `read`, of bytes. `name` is the manifest's file name."""
    try:
        if len(text) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
        document = json.loads(text.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
        _check(document)
        offer = Offer(document=document, archives=tuple(_archives(document, archives)))
        if name != manifest_name(offer):
            raise ValueError(f"it is of {manifest_name(offer)}")
    except (ValueError, RecursionError, ConfigError) as error:
        reason = error.reason if isinstance(error, ConfigError) else str(error) or "it is nested too deeply"
        raise PublishError(
            f"the manifest {_shown(name)} cannot be used: {reason}", "the manifest as gobuild wrote it: build again"
        ) from error
    return Found(offer=offer, text=text)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands there twice")
    return document


def _check(document: Any) -> None:
    """Raises ValueError or ConfigError for whatever gobuild would not have written."""
    for text in _texts(document):
        if len(text) > LONGEST or _UNSEEN.search(text):
            raise ValueError(f"a text in it is too long, or has characters that nobody sees: {_shown(text)}")
    _fits(document, _SHAPE, "it")
    _fits(document, _MAY, "it", optional=True)
    if document["schema"] != 1:
        raise ValueError(f"it has schema {document['schema']}, and this gobuild knows 1")
    stamp, release = document["stamp"], GoVersion.parse(document["release"])
    if not STAMP.fullmatch(stamp) or (stamp != release.tag and not stamp.startswith(f"{release.tag}-")):
        raise ValueError(f"the stamp {_shown(stamp)} is none of Go {release}")
    for key in ("target", "host"):
        Target.parse(document["build"][key])
    for key, value in (("source", document["source"]["digest"]), ("bootstrap", document["bootstrap"]["digest"])):
        if not _DIGEST.fullmatch(value):
            raise ValueError(f"the digest of the {key} is {_shown(value)}")
    if not _DIGEST.fullmatch(document["source"]["tree"]):
        raise ValueError("the source's tree hash is none")
    GoVersion.parse(document["bootstrap"]["version"])
    _check_patches(document["patches"])
    if not all(isinstance(value, str) for value in document.get("signing", {}).values()):
        raise ValueError("what it says of who signed is no text")
    bad = [check for check in document["checks"] if check["verdict"] not in ("OK", "SKIPPED") and not allowed(check)]
    if bad or not any(check["verdict"] == "OK" for check in document["checks"]):
        raise ValueError("it does not say that the toolchain passed its checks")
    _check_numbers(document)


def allowed(check: Mapping[str, Any]) -> bool:
    """Whether a check failed, and the policy of whoever built let that pass, with a reason."""
    loosened = check.get("severity", Severity.ERROR) in (Severity.WARN, Severity.OFF)
    return bool(check["verdict"] == Verdict.FAILED and loosened and check.get("reason"))


def _check_patches(patches: list[dict[str, Any]]) -> None:
    for patch in patches:
        if not _NAME.fullmatch(patch["name"]):
            raise ValueError(f"{_shown(patch['name'])} is no patch's name")
        if patch["state"] not in set(State) - {State.CONFLICT}:
            raise ValueError(f"the patch {patch['name']} is in the state {_shown(patch['state'])}")
        if patch["sha256"] and not _SHA256.fullmatch(patch["sha256"]):
            raise ValueError(f"the digest of the patch {patch['name']} is {_shown(patch['sha256'])}")


def _check_numbers(document: Mapping[str, Any]) -> None:
    for artifact in document["artifacts"]:
        if not 0 < artifact["size"] < BIGGEST:
            raise ValueError(f"an archive has {artifact['size']} bytes")
        if not _SHA256.fullmatch(artifact["sha256"]):
            raise ValueError(f"{_shown(artifact['sha256'])} is no SHA-256")
    for seconds in document["run"]["seconds"].values():
        if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or not 0 <= seconds < 1e8:
            raise ValueError("a stage took a time that no stage takes")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _fits(value: Any, shape: Any, at: str, *, optional: bool = False) -> None:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{at} is no object")
        for key, inner in shape.items():
            if key in value:
                _fits(value[key], inner, f"{at}.{key}", optional=optional)
            elif not optional:
                raise ValueError(f"{at} has no {key!r}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{at} is no list")
        for each in value:
            _fits(each, shape[0], f"{at}[]", optional=optional)
    elif not isinstance(value, shape) or isinstance(value, bool):
        raise ValueError(f"{at} is {_shown(str(value))}")


def _archives(document: Mapping[str, Any], folder: Path) -> Iterator[Archive]:
    """The archives, which must be exactly those of a build of this stamp and target: so no name is the manifest's."""
    wanted = names(document["stamp"], Target.parse(document["build"]["target"]))
    told = {artifact["file"]: artifact for artifact in document["artifacts"]}
    if told.keys() != wanted.keys() or len(told) != len(document["artifacts"]):
        odd = sorted(told.keys() ^ wanted.keys())
        raise ValueError(f"its archives are not those of such a build: {_shown(', '.join(odd))}")
    for name, kind in wanted.items():
        if told[name]["kind"] != kind:
            raise ValueError(f"{name} is called a {_shown(told[name]['kind'])}")
        yield Archive(path=folder / name, kind=kind, sha256=told[name]["sha256"], size=told[name]["size"])


def _shown(text: str) -> str:
    """A text of somebody's for a message: short, and with nothing in it that a terminal would act upon."""
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
