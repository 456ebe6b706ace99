"""The settings of each route, ready to paste: a shelf comes in, lines for a shell or a workflow go out.

The page, the documentation and `publish` show the same lines; the tests run them. Values of the user's go through
the quoting of the language that the lines are in.
"""

import json
import shlex
from dataclasses import dataclass

from gobuild.publish.note import Verifier
from gobuild.publish.places import DOWNLOADS, MODULE, PROXY, stamp_of
from gobuild.publish.shelf import Offer, Shelf

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
    found = [_proxied(base, stamp, database)] if database else []
    found += [_copied(stamp, database), *(_path(base, offer) for offer in offers), _go_mod(offers[0])]
    if not base.startswith("file:"):  # these clients speak HTTP only
        found += [*_setup_go(base, offers[0]), _mise(base, offers[0])]
    return tuple(found)


def _linked(stamp: str, variables: str) -> tuple[str, ...]:
    """Fetches by one command, then links the toolchain to its name on PATH."""
    return _one_after_another(
        f"root=$(GOTOOLCHAIN={stamp} {variables} go env GOROOT)",
        f'mkdir -p {BIN} && ln -sf "$root/bin/go" {BIN}/{stamp}',
        f"GOTOOLCHAIN={stamp} go version",
    )


def _one_after_another(*lines: str) -> tuple[str, ...]:
    """Lines of which none runs after one that failed, pasted into a prompt too: nothing is unpacked unchecked."""
    return (*(f"{line} &&" for line in lines[:-1]), lines[-1])


def _proxied(base: str, stamp: str, database: Verifier) -> Route:
    return Route(
        name="gotoolchain",
        title="GOTOOLCHAIN, over the network",
        words=(
            "Any go command from 1.21 on downloads it, and checks it against this site's own checksum database. The "
            "settings stand before one command only: set for good, they would send every other public module to that "
            "database too, which has none of them. So the download is linked to its name in a folder on PATH "
            f"({BIN} here), where the go command looks first; without the link it asks the database at every use."
        ),
        language="sh",
        lines=_linked(stamp, f"GOPROXY={shlex.quote(f'{base}/{PROXY}')} GOSUMDB={shlex.quote(str(database))}"),
    )


def _copied(stamp: str, database: Verifier | None) -> Route:
    checked = f"GOSUMDB={shlex.quote(str(database))}" if database else f"GONOSUMDB={MODULE}"
    words = "From a copy of this site on the machine itself, in the folder of the copy. "
    words += (
        "It is checked as over the network."
        if database
        else "Nothing is checked: GONOSUMDB says so, and Go allows it for a file:// proxy alone."
    )
    variables = f'GOPROXY="file://$PWD/{PROXY}" {checked}'
    return Route(
        name="copy", title="GOTOOLCHAIN, from a copy", words=words, language="sh", lines=_linked(stamp, variables)
    )


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
