"""What is told of a release beside its archives, in releases/STAMP/: manifests, attestations, digests, signatures.

They are made when a build joins the release, and stay as they are from then on.
"""

import json
import re
from pathlib import Path

from gobuild.core import files
from gobuild.core.errors import VerifyError
from gobuild.publish.builds import Build
from gobuild.publish.proxy import parse_info
from gobuild.publish.supply import provenance, sbom, vex
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
    """Writes all of one release, the builds of a stamp, anew. `name` is the distribution's, `tree` the staged tree."""
    stamp = release[0].stamp
    place = release_folder(tree, stamp)
    place.mkdir(parents=True, exist_ok=True)
    for build in release:
        files.write(place / build.manifest_name, build.text)
    time = parse_info(release[0], release[0].archive("module", ".info").path.read_bytes())
    bill = sbom.bill_of_materials(name, release, time=time, packages=sbom.installed_packages())
    files.write(place / SBOM, json.dumps(bill, indent=2, ensure_ascii=False) + "\n")
    builder = base_url if base_url.startswith("https://") else BUILDER
    files.write(place / PROVENANCE, provenance.provenance_lines(release, builder))
    digests = {archive.path.name: archive.sha256 for build in release for archive in build.archives}
    exploitability = {
        vex.OPENVEX: vex.openvex(name, release, time=time),
        vex.CYCLONEDX: vex.cyclonedx(release, time=time, bill=bill["serialNumber"]),
    }
    for each, document in exploitability.items():
        (place / each).unlink(missing_ok=True)
        if document:
            files.write(place / each, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    told = [each for each, document in exploitability.items() if document]
    listed = [place / each for each in (*(build.manifest_name for build in release), SBOM, PROVENANCE, *told)]
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
        VerifyError: a line that sha256sum would not have written of a plain name, or a name twice.
    """
    found: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if not match or match[2] in found:
            raise VerifyError(f"{SUMS} has the line {line[:80]!a}", "the file as it was published")
        found[match[2]] = match[1]
    return found


def read_sums(tree: Path, stamp: str) -> dict[str, str]:
    """The digests of a release in the tree, by name; none where it has no list of them."""
    sums = release_folder(tree, stamp) / SUMS
    return parse_sums(sums.read_bytes()) if sums.is_file() else {}


def bottles_of(tree: Path, stamp: str) -> list[Path]:
    """The Homebrew bottles of a release, by the names that Homebrew demands."""
    ours = re.compile(rf".*-{re.escape(stamp.removeprefix('go'))}\.[a-z0-9_]+\.bottle\.tar\.gz")
    return sorted(path for path in (tree / BOTTLES).glob("*") if ours.fullmatch(path.name))


def lists_all_bottles(tree: Path, stamp: str) -> bool:
    """Whether the digests of a release name all of its bottles."""
    listed = read_sums(tree, stamp)
    return bool(listed) and all(path.name in listed for path in bottles_of(tree, stamp))


def signature_of(tree: Path, stamp: str, name: str) -> str:
    """The file name of the signature of one of a release's files, "" where it has none."""
    names = (f"{name}{ending}" for ending in SIGNATURES)
    return next((each for each in names if (release_folder(tree, stamp) / each).is_file()), "")


def is_signed(tree: Path, stamp: str) -> bool:
    """Whether a release in the tree has a signature."""
    return bool(signature_of(tree, stamp, SUMS))
