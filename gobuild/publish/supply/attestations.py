"""What is told of a release beside its archives, in releases/STAMP/: manifests, attestations, digests, signatures.

They are made when a build joins the release, and stay as they are from then on.
"""

import json
import re
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import PublishError, VerifyError
from gobuild.publish.builds import Build
from gobuild.publish.supply import provenance, sbom
from gobuild.publish.supply.signing import ReleaseSigner

SUMS = "SHA256SUMS"
SBOM = "sbom.cdx.json"
PROVENANCE = "provenance.intoto.jsonl"
SIGNED = (SUMS, SBOM, PROVENANCE)
SIGNATURES = (".minisig", ".asc")
BOTTLES = "bottles"
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._@-]{0,200})")

BUILDER = "urn:gobuild:builder"
"""Who built, where the publisher has no address of their own."""


def release_folder(tree: Path, stamp: str) -> Path:
    """A release's folder in the tree."""
    return tree / "releases" / stamp


def trusted_comment(stamp: str, name: str) -> str:
    """What a signature says besides the bytes: a signed file cannot be passed off as another release's."""
    return f"release:{stamp}\tfile:{name}"


def write_attestations(
    tree: Path, name: str, release: tuple[Build, ...], *, base_url: str, signer: ReleaseSigner | None
) -> None:
    """Writes all of one release anew.

    Args:
        tree: the staged tree; the archives stand in its dl/.
        name: the distribution's name.
        release: all builds of one stamp.
        base_url: where the tree will be served.
        signer: who signs; None leaves the release unsigned.
    """
    stamp = release[0].stamp
    place = release_folder(tree, stamp)
    place.mkdir(parents=True, exist_ok=True)
    for build in release:
        files.write(place / build.manifest_name, build.text)
    bill = sbom.bill_of_materials(name, release, time=release_time(release[0]), packages=sbom.installed_packages())
    files.write(place / SBOM, json.dumps(bill, indent=2, ensure_ascii=False) + "\n")
    builder = base_url if base_url.startswith("https://") else BUILDER
    files.write(place / PROVENANCE, provenance.json_lines(provenance.statement(build, builder) for build in release))
    digests = {archive.path.name: archive.sha256 for build in release for archive in build.archives}
    listed = [place / each for each in (*(build.manifest_name for build in release), SBOM, PROVENANCE)]
    digests |= {path.name: files.sha256(path) for path in (*listed, *bottles_of(tree, stamp))}
    files.write(place / SUMS, "".join(f"{digests[each]}  {each}\n" for each in sorted(digests)))
    for each in SIGNED:
        for old in SIGNATURES:
            (place / f"{each}{old}").unlink(missing_ok=True)
        if signer:
            files.write(place / f"{each}{signer.ending}", signer.sign(place / each, trusted_comment(stamp, each)))


def parse_sums(content: bytes) -> dict[str, str]:
    """The digests of SHA256SUMS, by name.

    Raises:
        VerifyError: a line that sha256sum would not have written of a plain name, or a name that stands there twice.
    """
    found: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if not match or match[2] in found:
            raise VerifyError(f"{SUMS} has the line {line[:80]!a}", "the file as it was published")
        found[match[2]] = match[1]
    return found


def bottles_of(tree: Path, stamp: str) -> list[Path]:
    """The Homebrew bottles of a release, by the names that Homebrew demands."""
    ours = re.compile(rf".*-{re.escape(stamp.removeprefix('go'))}\.[a-z0-9_]+\.bottle\.tar\.gz")
    return sorted(path for path in (tree / BOTTLES).glob("*") if ours.fullmatch(path.name))


def lists_all_bottles(tree: Path, stamp: str) -> bool:
    """Whether the digests of a release name all of its bottles."""
    listed = release_folder(tree, stamp) / SUMS
    return (
        listed.is_file() and {path.name for path in bottles_of(tree, stamp)} <= parse_sums(listed.read_bytes()).keys()
    )


def signature_of(tree: Path, stamp: str, name: str) -> str:
    """The file name of the signature of one of a release's files, "" where it has none."""
    names = (f"{name}{ending}" for ending in SIGNATURES)
    return next((each for each in names if (release_folder(tree, stamp) / each).is_file()), "")


def is_signed(tree: Path, stamp: str) -> bool:
    """Whether a release in the tree has a signature."""
    return bool(signature_of(tree, stamp, SUMS))


def release_time(build: Build) -> str:
    """The release's own time: that of its module, which is upstream's in VERSION and every archive entry's.

    Raises:
        PublishError: the module's .info has none.
    """
    path = build.archive("module", ".info").path
    try:
        time = str(json.loads(path.read_text(encoding="utf-8"))["Time"])
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(f"{path.name} says no time", "build again") from error
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time):
        raise PublishError(f"{path.name} says the time {time[:40]!a}", "build again")
    return time
