"""The settings of each route, ready to paste: a shelf comes in, lines for a shell or a workflow go out.

The page, the documentation and `publish` show the same lines; the tests run them. Values of the user's go through
the quoting of the language that the lines are in.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gobuild.core.goversion import RECORDS_CHECKED
from gobuild.publish.catalogue import Offer, Shelf
from gobuild.publish.paths import DOWNLOADS, MODULE, PROXY, stamp_of
from gobuild.publish.sumdb.note import Verifier

BIN = "~/.local/bin"
"""A folder on PATH; any other will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to a toolchain.

    Attributes:
        name: "gotoolchain", "copy", "path", "go.mod", "setup-go", "setup-go-plain" or "mise".
        title: for a heading.
        words: what to know before pasting.
        language: of the lines: "sh", "yaml" or "go.mod".
        lines: to paste.
    """

    name: str
    title: str
    words: str
    language: str
    lines: tuple[str, ...]


def routes(shelf: Shelf, stamp: str, *, database: Verifier | None = None) -> tuple[Route, ...]:
    """The routes to one release.

    Args:
        shelf: all that is offered.
        stamp: which release.
        database: the key of the checksum database, where the tree has one. Without it no go command takes a
            toolchain over HTTP (cmd/go/internal/modfetch/sumdb.go), and that route is left out.

    Raises:
        PublishError: the stamp cannot be published.
    """
    offers = shelf.releases[stamp]
    stamp_of(offers[0])
    base = shelf.base_url.rstrip("/")
    found = [_proxied(base, offers, database)] if database else []
    found += [_copied(offers, database), *(_path(base, offer) for offer in offers), _go_mod(offers[0])]
    if not base.startswith("file:"):  # these clients speak HTTP only
        found += [*_setup_go(base, offers[0]), _mise(base, offers[0])]
    return tuple(found)


def _linked(offers: Sequence[Offer], variables: str, before: str = "") -> tuple[str, ...]:
    """Fetches, holds what came against the digest in the lines (SHA256SUMS has it too), then runs and links it.

    The digest protects go commands older than `RECORDS_CHECKED`; who trusts the key in the lines may trust it as well.
    """
    stamp, zips = offers[0].stamp, [each for offer in offers for each in offer.archives if each.path.suffix == ".zip"]
    sums = " ".join(shlex.quote(f"{each.sha256}  {each.path.name}") for each in zips)
    local = "GOTOOLCHAIN=local go env"
    return _one_after_another(
        f"{before}name=v0.0.1-{stamp}.$({local} GOHOSTOS)-$({local} GOHOSTARCH)",
        f'(cd / && GOTOOLCHAIN=local {variables} go mod download "{MODULE}@$name")',
        f'(cd "$({local} GOMODCACHE)/cache/download/{MODULE}/@v" && printf \'%s\\n\' {sums} | grep -F "$name.zip" | '
        "$(command -v sha256sum || echo shasum -a 256) -c)",
        f"root=$(GOTOOLCHAIN={stamp} {variables} go env GOROOT)",
        f'"$root/bin/go" version | grep -F " {stamp} "',  # a go older than 1.21 passes GOTOOLCHAIN over
        f'mkdir -p {BIN} && ln -sf "$root/bin/go" {BIN}/{stamp}',
        f"GOTOOLCHAIN={stamp} go version",
    )


def _one_after_another(*lines: str) -> tuple[str, ...]:
    """Lines of which none runs after one that failed, pasted into a prompt too: nothing is unpacked unchecked."""
    return (*(f"{line} &&" for line in lines[:-1]), lines[-1])


def _proxied(base: str, offers: Sequence[Offer], database: Verifier) -> Route:
    return Route(
        name="gotoolchain",
        title="GOTOOLCHAIN, over the network",
        words=(
            f"Any go command from 1.21 on downloads it. From {RECORDS_CHECKED} on it checks it against this site's own "
            "checksum database; older ones believe any record that the database signed, another toolchain's too "
            "(CVE-2026-42501), so that these lines hold the download against its SHA-256 before anything of it is run. "
            "With an older go, take no other lines than these; SHA256SUMS has the same digest. The "
            "settings stand before one command only: set for good, they would send every other public module to that "
            "database too, which has none of them. So the download is linked to its name in a folder on PATH "
            f"({BIN} here), where the go command looks first; without the link it asks the database at every use."
        ),
        language="sh",
        lines=_linked(offers, f"GOPROXY={shlex.quote(f'{base}/{PROXY}')} GOSUMDB={shlex.quote(str(database))}"),
    )


def _copied(offers: Sequence[Offer], database: Verifier | None) -> Route:
    checked = f"GOSUMDB={shlex.quote(str(database))}" if database else f"GONOSUMDB={MODULE}"
    words = "From a copy of this site on the machine itself, in the folder of the copy. "
    words += (
        "It is checked as over the network."
        if database
        else "There is no checksum database: GONOSUMDB says so, which Go allows for a file:// proxy alone. The SHA-256 "
        "in these lines is all that is checked."
    )
    lines = _linked(offers, f'GOPROXY="$proxy" {checked}', f'proxy="file://$PWD/{PROXY}" && ')
    return Route(name="copy", title="GOTOOLCHAIN, from a copy", words=words, language="sh", lines=lines)


def _path(base: str, offer: Offer) -> Route:
    stamp, archive = offer.stamp, offer.one("toolchain")
    name, check = archive.path.name, "shasum -a 256 -c" if offer.target.goos == "darwin" else "sha256sum -c"
    return Route(
        name="path",
        title=f"An archive and a name on PATH, for {offer.target}",
        words=(
            "The go command takes a program of that name on PATH before it downloads anything. The folder must be new: "
            "a toolchain unpacked over another one is broken."
        ),
        language="sh",
        lines=_one_after_another(
            f"curl -fLO {shlex.quote(f'{base}/{DOWNLOADS}/{name}')}",
            f"echo '{archive.sha256}  {name}' | {check}",
            f"mkdir -p ~/sdk {BIN} && mkdir ~/sdk/{stamp}",
            f"tar -xzf {name} -C ~/sdk/{stamp} --strip-components 1",
            f"ln -sf ~/sdk/{stamp}/bin/go {BIN}/{stamp}",
            f"GOTOOLCHAIN={stamp} go version",
        ),
    )


def _go_mod(offer: Offer) -> Route:
    return Route(
        name="go.mod",
        title="A line in go.mod",
        words=(
            f"Only a go command older than {offer.version} follows it (from 1.21 on, where GOTOOLCHAIN is auto): one "
            "of the same release or a newer one stays what it is. Set GOTOOLCHAIN where it must be this one."
        ),
        language="go.mod",
        lines=(f"toolchain {offer.stamp}",),
    )


def _setup_go(base: str, offer: Offer) -> tuple[Route, Route]:
    def step(version: str, folder: str) -> tuple[str, ...]:
        return (
            "- uses: actions/setup-go@v7",
            "  with:",
            f"    go-version: {json.dumps(version)}",
            f"    go-download-base-url: {json.dumps(f'{base}/{folder}')}",
        )

    exact = Route(
        name="setup-go",
        title="GitHub Actions: this very toolchain",
        words="setup-go checks no digest of what it downloads.",
        language="yaml",
        lines=step(offer.stamp.removeprefix("go"), str(DOWNLOADS)),
    )
    newest = Route(
        name="setup-go-plain",
        title=f"GitHub Actions: the newest {offer.version.line} that is offered here",
        words=(
            "Under this address the toolchains are listed by upstream's numbers, so that 1.22, 1.22.x and a "
            "go-version-file find them; `go version` shows what came."
        ),
        language="yaml",
        lines=step(offer.version.line, f"{DOWNLOADS}/plain"),
    )
    return exact, newest


def _mise(base: str, offer: Offer) -> Route:
    downloads = f"{base}/{DOWNLOADS}"
    return Route(
        name="mise",
        title="mise",
        words="mise checks the digest that stands beside the archive. go@LINE takes the highest of that line.",
        language="sh",
        lines=(
            f"export MISE_GO_DOWNLOAD_MIRROR={shlex.quote(downloads)}",
            f"export MISE_GO_REPO={shlex.quote(f'{downloads}/versions.git')} MISE_USE_VERSIONS_HOST=0",
            f"mise use go@{offer.stamp.removeprefix('go')}",
        ),
    )
