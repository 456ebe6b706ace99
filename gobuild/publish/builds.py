"""Finished builds by their manifests, from dist/ or a tree; what gobuild would not have written is refused.

A manifest is somebody's text, and may be made to do harm. So all of it is checked before anything is done, and a text
that would not be seen as it stands is refused. Titles and reasons may say anything else: whoever renders them escapes.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gobuild.core.errors import ConfigError, PublishError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import SCHEMA, Manifest, archive_names, load_json, shown, structure
from gobuild.core.model import UNSAID, Artifact, Report, State
from gobuild.vulns.facts import ID, MODULES
from gobuild.vulns.status import Exposure

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A finished build, one stamp for one target: its manifest, the bytes of that, and its files where they stand."""

    manifest: Manifest
    text: bytes
    archives: tuple[Artifact, ...]

    @property
    def stamp(self) -> str:
        """What the toolchain calls itself: "go1.22.10-acme1.p3f9c2a1"."""
        return self.manifest.stamp

    @property
    def version(self) -> GoVersion:
        """The Go release it was made from."""
        return self.manifest.release

    @property
    def target(self) -> Target:
        """What it runs on."""
        return self.manifest.build.target

    @property
    def key(self) -> tuple[str, str]:
        """What there may be one of: a stamp for a target."""
        return self.stamp, str(self.target)

    @property
    def manifest_name(self) -> str:
        """The manifest's file name."""
        return f"{self.stamp}.{self.target.dashed}{ENDING}"

    def archive(self, kind: str, suffix: str = "") -> Artifact:
        """The archive of a kind; of "module", the .zip, or the file that ends in `suffix`."""
        suffix = suffix or (".zip" if kind == "module" else "")
        (found,) = (each for each in self.archives if each.kind == kind and each.path.name.endswith(suffix))
        return found


def require_reasons(builds: Iterable[Build]) -> None:
    """Refuses to hand out a patch of which nobody has said why it is there.

    Raises:
        PublishError: there is one; all are named.
    """
    for build in builds:
        if names := [each.name for each in build.manifest.patches if each.reason.startswith(UNSAID)]:
            raise PublishError(
                f"{build.stamp}: nobody has said why it has {', '.join(names)}: the reason begins with {UNSAID}",
                "its reason in series.toml, and build again: users read it",
            )


def find_builds(folder: Path) -> Iterator[Build]:
    """The builds that stand in a folder such as dist/, by their manifests.

    Raises:
        PublishError: a manifest cannot be used.
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", "--from with the folder of finished builds: dist")
    for path in sorted(folder.glob(f"*{ENDING}")):
        yield read_build(path, archives=folder)


def read_build(path: Path, *, archives: Path) -> Build:
    """Reads an outer manifest, whose archives stand in a folder.

    Raises:
        PublishError: it is none of gobuild's, or says what no manifest of gobuild's says.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise PublishError(
            f"the manifest {shown(path.name)} cannot be read: {error.strerror}", f"{path.parent} as gobuild wrote it"
        ) from error
    return parse_build(text, path.name, archives=archives)


def parse_build(text: bytes, name: str, *, archives: Path) -> Build:
    """As `read_build`, of bytes. `name` is the manifest's file name."""
    try:
        if len(text) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
        document = load_json(text)
        for each in _texts(document):
            if len(each) > LONGEST or _UNSEEN.search(each):
                raise ValueError(f"a text in it is too long, or has characters that nobody sees: {shown(each)}")
        manifest = structure(document, Manifest)
        if wrong := next(_oddities(manifest), ""):
            raise ValueError(wrong)
        build = Build(manifest=manifest, text=text, archives=tuple(_archives(manifest, archives)))
        if name != build.manifest_name:
            raise ValueError(f"it is of {build.manifest_name}")
        return build
    except (ValueError, RecursionError) as error:
        raise PublishError(
            f"the manifest {shown(name)} cannot be used: {error}", "the manifest as gobuild wrote it: build again"
        ) from error


def _oddities(manifest: Manifest) -> Iterator[str]:
    """Whatever has the form of a manifest, and gobuild would not have written."""
    if manifest.schema != SCHEMA:
        yield f"it has schema {manifest.schema}, and this gobuild knows {SCHEMA}"
    stamp, release, source = manifest.stamp, manifest.release, manifest.source
    if not STAMP.fullmatch(stamp) or (stamp != release.tag and not stamp.startswith(f"{release.tag}-")):
        yield f"the stamp {shown(stamp)} is none of Go {release}"
    digests = {"source": source.digest, "source's tree": source.tree, "bootstrap": manifest.bootstrap.digest}
    for key, value in digests.items():
        if not _DIGEST.fullmatch(value):
            yield f"the digest of the {key} is {shown(value)}"
    yield from _odd_patches(manifest)
    unexplained = any(each.allowed and not each.reason for each in manifest.checks)
    if unexplained or not Report(checks=manifest.checks).ok:
        yield "it does not say that the toolchain passed its checks"
    for artifact in manifest.artifacts:
        if not 0 < artifact.size < BIGGEST:
            yield f"an archive has {artifact.size} bytes"
        if not _SHA256.fullmatch(artifact.sha256):
            yield f"{shown(artifact.sha256)} is no SHA-256"


def _odd_patches(manifest: Manifest) -> Iterator[str]:
    """The same of its patches, and of the vulnerabilities that they fix or leave."""
    for patch in manifest.patches:
        if not _NAME.fullmatch(patch.name):
            yield f"{shown(patch.name)} is no patch's name"
        if patch.state in (State.CONFLICT, State.UNREADABLE):
            yield f"the patch {patch.name} is in the state {patch.state}"
        for digest in (patch.sha256, patch.tested):
            if digest and not _SHA256.fullmatch(digest):
                yield f"a digest of the patch {patch.name} is {shown(digest)}"
    fixing = {patch.name for patch in manifest.patches if patch.fixes}
    for each in manifest.vulnerabilities.known if manifest.vulnerabilities else ():
        if not ID.fullmatch(each.id):
            yield f"{shown(each.id)} is no vulnerability's id"
        if each.state not in set(Exposure) or not {*each.modules} <= {*MODULES}:
            yield f"{each.id} is in the state {shown(each.state)}, in {shown(', '.join(each.modules))}"
        if each.patch and each.patch not in fixing:
            yield f"{each.id} is fixed by {shown(each.patch)}, which is no patch that says so"


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


def _archives(manifest: Manifest, folder: Path) -> Iterator[Artifact]:
    """The archives, which must be exactly those of a build of this stamp and target: so no name is the manifest's."""
    wanted = archive_names(manifest.stamp, manifest.build.target)
    listed = {artifact.file: artifact for artifact in manifest.artifacts}
    if listed.keys() != wanted.keys() or len(listed) != len(manifest.artifacts):
        odd = sorted(listed.keys() ^ wanted.keys())
        raise ValueError(f"its archives are not those of such a build: {shown(', '.join(odd))}")
    for name, kind in wanted.items():
        if listed[name].kind != kind:
            raise ValueError(f"{name} is called a {shown(listed[name].kind)}")
        yield Artifact(path=folder / name, kind=kind, sha256=listed[name].sha256, size=listed[name].size)
