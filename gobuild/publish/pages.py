"""The pages for people: a shelf comes in, index.html and releases/STAMP/index.html go out.

No page loads anything: style and script stand in it, and its policy (CSP) forbids all else, by their digests. Every
value of a manifest is escaped by the template; links are relative, so that a tree can be read from anywhere.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from markupsafe import Markup

from gobuild.core import files, resources
from gobuild.core.console import amount
from gobuild.core.model import Outcome, State
from gobuild.core.render import render
from gobuild.publish.builds import manifest_name
from gobuild.publish.catalogue import Offer, Shelf
from gobuild.publish.paths import place_of
from gobuild.publish.supply import attestations

_KINDS = {"toolchain": "the toolchain for {}", "source": "its source, as patched", "module": "GOTOOLCHAIN's module, {}"}


class Way(Protocol):
    """A way to install, as the pages show it."""

    @property
    def title(self) -> str:
        """A heading."""

    @property
    def words(self) -> str:
        """When to use it, a sentence or two."""

    @property
    def lines(self) -> Sequence[str]:
        """What to paste."""


Ways = Callable[[Shelf, str, Path], Sequence[Way]]
"""The ways to install one release of a shelf, by its stamp; the staged tree has what the routes made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A way that needs nothing but a shell."""

    title: str
    words: str
    lines: tuple[str, ...]


def by_hand(shelf: Shelf, stamp: str, _tree: Path) -> tuple[Plain, ...]:
    """The archive itself: fetch, check, unpack into a new place."""
    offer = shelf.releases[stamp][0]
    archive = offer.one("toolchain")
    return (
        Plain(
            title="The archive",
            words=f"For {offer.target}; the other archives likewise. Unpack it to a new folder, never over an old Go.",
            lines=(
                f"curl -fLO {shelf.base_url}/dl/{archive.path.name}",
                f"echo '{archive.sha256}  {archive.path.name}' | shasum -a 256 -c",
                f'mkdir -p "$HOME/sdk/{stamp}"',
                f'tar -xzf {archive.path.name} -C "$HOME/sdk/{stamp}" --strip-components 1',
                f'"$HOME/sdk/{stamp}/bin/go" version',
            ),
        ),
    )


def write(shelf: Shelf, tree: Path, *, ways: Ways = by_hand) -> None:
    """Writes all pages anew.

    Args:
        shelf: what is offered.
        tree: the staged tree.
        ways: the ways to install.
    """
    files.write(tree / "index.html", index(shelf, tree, ways=ways))
    for stamp in shelf.releases:
        files.write(attestations.folder(tree, stamp) / "index.html", release(shelf, stamp, tree, ways=ways))


def index(shelf: Shelf, tree: Path, *, ways: Ways = by_hand) -> str:
    """The page of all releases."""
    rows = [
        {
            "stamp": stamp,
            "go": str(offers[0].version),
            "targets": [str(offer.target) for offer in offers],
            "patches": [patch.name for patch, _ in _patches(offers) if patch.state is State.APPLIED],
            "signature": _signature(tree, stamp, attestations.SUMS),
        }
        for stamp, offers in shelf.releases.items()
    ]
    links = [{"href": href, "text": href, "words": words} for href, words in _LINKS if (tree / href).exists()]
    newest = next(iter(shelf.releases))
    return page("index.html.j2", name=shelf.name, releases=rows, links=links, ways=ways(shelf, newest, tree))


_LINKS = (
    ("dl/index.json", "all releases in the schema of go.dev/dl/?mode=json&include=all"),
    ("dl/index.html", "the same, under the address that actions/setup-go asks"),
)


def release(shelf: Shelf, stamp: str, tree: Path, *, ways: Ways = by_hand) -> str:
    """The page of one release."""
    offers = shelf.releases[stamp]
    patches = _patches(offers)
    newer = [offer.manifest.source.newer for offer in offers]
    signatures = {each: _signature(tree, stamp, each) for each in attestations.SIGNED}
    return page(
        "release.html.j2",
        name=shelf.name,
        stamp=stamp,
        go=str(offers[0].version),
        targets=[str(offer.target) for offer in offers],
        newer=next((str(each) for each in newer if each), ""),
        downloads=_downloads(offers),
        ways=ways(shelf, stamp, tree),
        papers=_papers(offers, signatures),
        signed=bool(signatures[attestations.SUMS]),
        verify_lines=_verify_lines(shelf, stamp, signatures[attestations.SUMS]),
        patches=[(patch, ", ".join(targets)) for patch, targets in patches],
        patches_applied=len({patch.name for patch, _ in patches if patch.state is State.APPLIED}),
        differs=_differs(offers),
        verified=[_verified(offer) for offer in offers],
        made=[_made(offer) for offer in offers],
    )


def page(template: str, **values: Any) -> str:
    """Renders a page under a policy that lets only its own style and script in, by their digests (CSP 3)."""
    script = Markup("\n" + (resources.folder("templates") / "copy.js").read_text(encoding="utf-8"))  # noqa: S704  (ours)
    plain = render(template, html=True, script=script, policy="", **values)
    style = re.search(r"<style>(.*?)</style>", plain, re.DOTALL)
    policy = (
        f"default-src 'none'; style-src {_digest(style[1] if style else '')}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return render(template, html=True, script=script, policy=policy, **values)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _signature(tree: Path, stamp: str, name: str) -> str:
    """The file name of a paper's signature, "" where it has none."""
    names = (f"{name}{ending}" for ending in (".minisig", ".asc"))
    return next((each for each in names if (attestations.folder(tree, stamp) / each).is_file()), "")


def _downloads(offers: Iterable[Offer]) -> list[dict[str, str]]:
    rows = {
        archive.path.name: {
            "name": archive.path.name,
            "kind": archive.kind,
            "href": f"../../{place_of(offer, archive)}",
            "what": _KINDS[archive.kind].format(offer.target),
            "size": amount(archive.size),
            "sha256": archive.sha256,
        }
        for offer in offers
        for archive in offer.archives
    }
    order = list(_KINDS)
    return sorted(rows.values(), key=lambda row: order.index(row["kind"]))


def _papers(offers: Iterable[Offer], signatures: Mapping[str, str]) -> list[dict[str, str]]:
    said = {
        attestations.SUMS: "the digests of every file of this release",
        attestations.SBOM: "what it is made of: a CycloneDX bill of materials",
        attestations.PROVENANCE: "how it was made: in-toto statements with SLSA provenance",
    }
    papers = [{"name": name, "words": words, "signature": signatures[name]} for name, words in said.items()]
    told = {manifest_name(offer): f"the manifest of the build for {offer.target}" for offer in offers}
    return papers + [{"name": name, "words": words, "signature": ""} for name, words in told.items()]


def _verify_lines(shelf: Shelf, stamp: str, signature: str) -> list[str]:
    place = f"{shelf.base_url}/releases/{stamp}"
    if not signature:
        return [f"curl -fLO {place}/{attestations.SUMS}", f"shasum -a 256 --ignore-missing -c {attestations.SUMS}"]
    checks = {
        ".minisig": f"minisign -Vm {attestations.SUMS} -p minisign.pub",
        ".asc": f"gpg --verify {signature} {attestations.SUMS}",
    }
    key = "minisign.pub" if signature.endswith(".minisig") else "publisher.asc"
    return [
        f"curl -fLO {place}/{attestations.SUMS} -fLO {place}/{signature}",
        checks[Path(signature).suffix],
        f"shasum -a 256 --ignore-missing -c {attestations.SUMS}",
        f"gobuild verify-release {shelf.base_url} --stamp {stamp} --key {key}",
    ]


def _patches(offers: Iterable[Offer]) -> list[tuple[Outcome, list[str]]]:
    """Each patch with what became of it, and the targets on which just that did."""
    rows: dict[Outcome, list[str]] = {}
    for offer in offers:
        for patch in offer.manifest.patches:
            rows.setdefault(patch, []).append(str(offer.target))
    return list(rows.items())


def _differs(offers: Sequence[Offer]) -> list[str]:
    changed: dict[str, dict[str, None]] = {}
    for patch, _ in _patches(offers):
        for file in patch.files if patch.state is State.APPLIED else ():
            changed.setdefault(file, {})[patch.name] = None
    lines = [f"{file}: {', '.join(names)}" for file, names in sorted(changed.items())]
    profiles = {(offer.manifest.profile.name, offer.manifest.profile.says) for offer in offers}
    return lines + [f"Profile {name}: {note}." for name, note in sorted(profiles)]


def _verified(offer: Offer) -> dict[str, Any]:
    """The checks of one target, one row a check, however many files passed it; what did not pass, with its reason."""
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for check in offer.manifest.checks:
        verdict = "FAILED, allowed" if check.allowed else str(check.verdict)
        seen = f"{check.seen} (allowed: {check.reason})" if check.allowed else check.seen
        groups.setdefault((check.name, verdict, "" if verdict == "OK" else seen), []).append((check.subject, seen))
    rows = [
        {
            "name": name,
            "verdict": verdict,
            "where": checks[0][0] if len(checks) == 1 else f"{len(checks)} files",
            "seen": checks[0][1],
        }
        for (name, verdict, _), checks in groups.items()
    ]
    counts = Counter(str(check.verdict) for check in offer.manifest.checks)
    summary = f"{counts['OK']} checks passed"
    if counts["FAILED"]:
        summary += f", {counts['FAILED']} failed and were allowed by a policy, each with its reason"
    if counts["SKIPPED"]:
        summary += f", {counts['SKIPPED']} skipped, each with its reason"
    return {"name": str(offer.target), "checks": rows, "summary": summary}


def _made(offer: Offer) -> str:
    told, source, bootstrap = offer.manifest, offer.manifest.source, offer.manifest.bootstrap
    return (
        f"{offer.target}: gobuild {told.gobuild} on {told.build.host}, from {source.location} "
        f"({source.origin}, {source.digest}), bootstrapped by Go {bootstrap.version} "
        f"({bootstrap.origin}); {_signing(told.signing)}"
    )


def _signing(told: Mapping[str, str]) -> str:
    """Who signed the programs: what the manifest says of it, in its own words."""
    if not told:
        return "its programs are as Go's linker made them, signed by nobody"
    more = ", ".join(f"{key} {value}" for key, value in told.items() if key != "by")
    return f"its programs signed by {told.get('by', 'somebody')}" + (f" ({more})" if more else "")
