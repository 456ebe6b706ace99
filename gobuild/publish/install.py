"""How to install a release, ready to paste: a title, what to know, and lines for a shell, a workflow or a Brewfile.

The texts stand in install.toml; the tests run their lines. Values of the user's go through the quoting of the language
that the lines are in.
"""

import json
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gobuild.core.goversion import RECORDS_CHECKED
from gobuild.publish import homebrew
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.paths import DOWNLOADS, MODULE, PROXY, publishable_stamp
from gobuild.publish.sumdb.note import Verifier

BIN = "~/.local/bin"
"""A folder on PATH; any other will do."""

_WAYS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """One way to install a toolchain: its name in install.toml, a heading, what to know, and lines to paste."""

    name: str
    title: str
    words: str
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
    version, downloads = builds[0].version, f"{base}/{DOWNLOADS}"
    zips = [each for build in builds for each in build.archives if each.path.suffix == ".zip"]
    values = {
        "stamp": publishable_stamp(builds[0]),
        "version": stamp.removeprefix("go"),
        "release": str(version),
        "line": version.line,
        "bin": BIN,
        "module": MODULE,
        "records_checked": RECORDS_CHECKED,
        "proxy": shlex.quote(f"{base}/{PROXY}"),
        "sumdb": shlex.quote(str(database)),
        "sums": " ".join(shlex.quote(f"{each.sha256}  {each.path.name}") for each in zips),
        "downloads": shlex.quote(downloads),
        "versions": shlex.quote(f"{downloads}/versions.git"),
        "downloads_yaml": json.dumps(downloads),
        "plain_yaml": json.dumps(f"{downloads}/plain"),
    }
    brew = _homebrew(catalogue, stamp, tree)
    found = [_filled(name, values | brew) for name in ("homebrew", "brewfile") if brew]
    found += [_filled(name, values) for name in (("gotoolchain", "copy") if database else ("copy-unchecked",))]
    for build in builds:
        archive = build.archive("toolchain")
        of_target = {
            "target": str(build.target),
            "archive": archive.path.name,
            "archive_url": shlex.quote(f"{downloads}/{archive.path.name}"),
            "sha256": archive.sha256,
            "checks": "shasum -a 256 -c" if build.target.goos == "darwin" else "sha256sum -c",
        }
        found.append(_filled("path", values | of_target))
    found.append(_filled("go.mod", values))
    if not base.startswith("file:"):  # these clients speak HTTP only
        found += [_filled(name, values) for name in ("setup-go", "setup-go-plain", "mise")]
    return tuple(found)


def _homebrew(catalogue: Catalogue, stamp: str, tree: Path) -> dict[str, str]:
    """What the lines for Homebrew need; {} where the formula of the release's line installs another one."""
    formula = homebrew.formula_name(catalogue.name, catalogue.releases[stamp][0].version)
    folder = homebrew.tap_folder(catalogue.name)
    there = tree / folder
    text = homebrew.open_tap(there).read_file(homebrew.formula_path(formula)) if there.is_dir() else None
    if homebrew.version_in(text) != stamp.removeprefix("go"):
        return {}
    return {"tap": homebrew.tap_name(catalogue.name), "formula": formula, "tap_url": f"{catalogue.base_url}/{folder}"}


def _filled(name: str, values: Mapping[str, str]) -> Instructions:
    way = _WAYS[name]
    if "lines" not in way:
        inner = {key: way.get(key, "").format_map(values) for key in ("before", "settings")}
        way, values = _WAYS["linked"] | way, {**values, **inner}
    title, words, *lines = (text.format_map(values) for text in (way["title"], way["words"], *way["lines"]))
    if way.get("chained"):
        lines[:-1] = [f"{line} &&" for line in lines[:-1]]
    return Instructions(name=name, title=title, words=words, lines=tuple(lines))
