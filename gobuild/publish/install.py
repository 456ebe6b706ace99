"""How to install a release, ready to paste: a title, what to know, and lines for a shell, a workflow or a Brewfile.

The pages and the documentation show the same lines; the tests run them. Values of the user's go through the quoting
of the language that the lines are in.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuild.core.goversion import RECORDS_CHECKED
from gobuild.publish import homebrew
from gobuild.publish.builds import Build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import DOWNLOADS, MODULE, PROXY, publishable_stamp
from gobuild.publish.sumdb.note import Verifier

BIN = "~/.local/bin"
"""A folder on PATH; any other will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """One way to install a toolchain.

    Attributes:
        name: "homebrew", "brewfile", "gotoolchain", "copy", "path", "go.mod", "setup-go", "setup-go-plain" or "mise".
        title: for a heading.
        words: what to know before pasting.
        language: of the lines: "sh", "yaml", "ruby" or "go.mod".
        lines: to paste.
    """

    name: str
    title: str
    words: str
    language: str
    lines: tuple[str, ...]


def install_instructions(
    catalogue: Catalogue, stamp: str, tree: Path, *, database: Verifier | None = None
) -> tuple[Instructions, ...]:
    """All ways to install one release, in the order in which most people want them.

    Args:
        catalogue: all that is offered.
        stamp: which release.
        tree: the staged tree, whose tap may have another release of the same line.
        database: the key of the checksum database, where the tree has one. Without it no go command takes a
            toolchain over HTTP (cmd/go/internal/modfetch/sumdb.go), and that way is left out.

    Raises:
        PublishError: the stamp cannot be published.
    """
    builds, base = catalogue.releases[stamp], catalogue.base_url.rstrip("/")
    publishable_stamp(builds[0])
    found = [*_homebrew(catalogue, stamp, tree)]
    found += [_proxied(base, builds, database)] if database else []
    found += [_copied(builds, database), *(_path(base, build) for build in builds), _go_mod(builds[0])]
    if not base.startswith("file:"):  # these clients speak HTTP only
        found += [*_setup_go(base, builds[0]), _mise(base, builds[0])]
    return tuple(found)


def _homebrew(catalogue: Catalogue, stamp: str, tree: Path) -> Iterator[Instructions]:
    version = catalogue.releases[stamp][0].version
    tap, formula = homebrew.tap_name(catalogue.name), homebrew.formula_name(catalogue.name, version)
    there = tree / homebrew.tap_folder(catalogue.name)
    text = homebrew.open_tap(there).read_file(homebrew.formula_path(formula)) if there.is_dir() else None
    if homebrew.version_in(text) != stamp.removeprefix("go"):
        return  # the formula of its line installs another one
    url = f"{catalogue.base_url}/{homebrew.tap_folder(catalogue.name)}"
    yield Instructions(
        name="homebrew",
        title="Homebrew",
        words="The tap has an address of its own, so it is tapped by its URL, once. Homebrew 6 and 7 load somebody"
        " else's tap only where it is trusted, and know this one by its URL: trust it first.",
        language="sh",
        lines=(f"brew trust {url}", f"brew tap {tap} {url}", f"brew install {tap}/{formula}"),
    )
    yield Instructions(
        name="brewfile",
        title="Homebrew, in a Brewfile",
        words="For `brew bundle`.",
        language="ruby",
        lines=(f'tap "{tap}", "{url}", trusted: true', f'brew "{tap}/{formula}"'),
    )


def _linked(builds: Sequence[Build], variables: str, before: str = "") -> tuple[str, ...]:
    """Fetches, holds what came against the digest in the lines (SHA256SUMS has it too), then runs and links it.

    The digest protects go commands older than `RECORDS_CHECKED`; who trusts the key in the lines may trust it as well.
    """
    stamp, zips = builds[0].stamp, [each for build in builds for each in build.archives if each.path.suffix == ".zip"]
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


def _proxied(base: str, builds: Sequence[Build], database: Verifier) -> Instructions:
    return Instructions(
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
        lines=_linked(builds, f"GOPROXY={shlex.quote(f'{base}/{PROXY}')} GOSUMDB={shlex.quote(str(database))}"),
    )


def _copied(builds: Sequence[Build], database: Verifier | None) -> Instructions:
    checked = f"GOSUMDB={shlex.quote(str(database))}" if database else f"GONOSUMDB={MODULE}"
    words = "From a copy of this site on the machine itself, in the folder of the copy. "
    words += (
        "It is checked as over the network."
        if database
        else "There is no checksum database: GONOSUMDB says so, which Go allows for a file:// proxy alone. The SHA-256 "
        "in these lines is all that is checked."
    )
    lines = _linked(builds, f'GOPROXY="$proxy" {checked}', f'proxy="file://$PWD/{PROXY}" && ')
    return Instructions(name="copy", title="GOTOOLCHAIN, from a copy", words=words, language="sh", lines=lines)


def _path(base: str, build: Build) -> Instructions:
    stamp, archive = build.stamp, build.archive("toolchain")
    name, check = archive.path.name, "shasum -a 256 -c" if build.target.goos == "darwin" else "sha256sum -c"
    return Instructions(
        name="path",
        title=f"An archive and a name on PATH, for {build.target}",
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


def _go_mod(build: Build) -> Instructions:
    return Instructions(
        name="go.mod",
        title="A line in go.mod",
        words=(
            f"Only a go command older than {build.version} follows it (from 1.21 on, where GOTOOLCHAIN is auto): one "
            "of the same release or a newer one stays what it is. Set GOTOOLCHAIN where it must be this one."
        ),
        language="go.mod",
        lines=(f"toolchain {build.stamp}",),
    )


def _setup_go(base: str, build: Build) -> tuple[Instructions, Instructions]:
    def step(version: str, folder: str) -> tuple[str, ...]:
        return (
            "- uses: actions/setup-go@v7",
            "  with:",
            f"    go-version: {json.dumps(version)}",
            f"    go-download-base-url: {json.dumps(f'{base}/{folder}')}",
        )

    exact = Instructions(
        name="setup-go",
        title="GitHub Actions: this very toolchain",
        words="setup-go checks no digest of what it downloads.",
        language="yaml",
        lines=step(build.stamp.removeprefix("go"), str(DOWNLOADS)),
    )
    newest = Instructions(
        name="setup-go-plain",
        title=f"GitHub Actions: the newest {build.version.line} that is offered here",
        words=(
            "Under this address the toolchains are listed by upstream's numbers, so that 1.22, 1.22.x and a "
            "go-version-file find them; `go version` shows what came."
        ),
        language="yaml",
        lines=step(build.version.line, f"{DOWNLOADS}/plain"),
    )
    return exact, newest


def _mise(base: str, build: Build) -> Instructions:
    downloads = f"{base}/{DOWNLOADS}"
    return Instructions(
        name="mise",
        title="mise",
        words="mise checks the digest that stands beside the archive. go@LINE takes the highest of that line.",
        language="sh",
        lines=(
            f"export MISE_GO_DOWNLOAD_MIRROR={shlex.quote(downloads)}",
            f"export MISE_GO_REPO={shlex.quote(f'{downloads}/versions.git')} MISE_USE_VERSIONS_HOST=0",
            f"mise use go@{build.stamp.removeprefix('go')}",
        ),
    )
