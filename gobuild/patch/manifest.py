"""Reads a series: from its folder's series.toml, or as `gobuild.patch.quilt` reads it where there is none.

Every file that a series names is read and checked.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gobuild.core import resources
from gobuild.core.errors import ConfigError, PatchError
from gobuild.patch import quilt
from gobuild.patch.build_environment import require_harmless
from gobuild.patch.entry import ABOVE, Entry
from gobuild.patch.series import MANIFEST, Patch, Series

BUILD: Mapping[str, type] = {"environment": dict, "direct": bool}
"""The keys of the table [build]."""


def load_or_new(folder: Path) -> Series:
    """The series of a folder; one without patches, where it has none yet."""
    there = (folder / MANIFEST).exists() or quilt.is_quilt(folder)
    return load_folder(folder) if there else Series(folder=folder, patches=())


def load_folder(folder: Path, *, extends: str = "", without: Sequence[str] = (), strict: bool = True) -> Series:
    """Reads a series; the stock one is in `gobuild.core.resources.folder("patches")`.

    `extends` and `without` are what the user says besides what the series says. Unless `strict`, patches that cannot be
    read are there as `Unreadable`.

    Raises:
        PatchError: the manifest, or a file it names, cannot be used. It names the file, the line and the key.
        ConfigError: it is to be without patches that it does not have.
    """
    own = _load_manifest(folder) if (folder / MANIFEST).exists() else quilt.load_quilt(folder)
    series = _with_stock(own, own.extends or extends, tuple(dict.fromkeys((*own.without, *without))))
    if strict:
        series.require_readable()
    return series


def load_stock(without: Sequence[str] = ()) -> Series:
    """The stock series, without some of its patches."""
    stock = load_folder(resources.folder("patches"))
    names = [patch.name for patch in stock.patches]
    for name in without:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else "one of " + ", ".join(dict.fromkeys(names))
            raise ConfigError(f"the stock series has no patch {name!r} that could be left out", hint)
    kept = tuple(patch for patch in stock.patches if patch.name not in without)
    return replace(stock, patches=kept, without=tuple(without))


def _with_stock(own: Series, extends: str, without: tuple[str, ...]) -> Series:
    """A series behind the stock patches, where it extends them: those of its own names and those left out are not."""
    if not extends:
        if without:
            message = f"{own.folder} is to be without {', '.join(without)}, and does not extend the stock series"
            raise ConfigError(message, '--extends stock, or extends = "stock" in series.toml')
        return own
    stock, names = load_stock(without), {patch.name for patch in own.patches}
    base = (patch for patch in stock.patches if patch.name not in names)
    return replace(own, patches=(*base, *own.patches), extends=extends, without=without)


def _load_manifest(folder: Path) -> Series:
    """What a series.toml says."""
    manifest = folder / MANIFEST
    try:
        text = manifest.read_bytes().decode()
        content = tomllib.loads(text)
    except OSError as error:
        raise PatchError(f"{manifest} cannot be read: {error.strerror}", "a file that you may read") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PatchError(f"{manifest} is no TOML: {error}", "patches/README.md has an example") from error
    _require_known(manifest, text, content)
    build = content.get("build", {})
    found = Series(
        folder=folder,
        patches=_patches(folder, text, content),
        extends=content.get("extends", ""),
        without=tuple(content.get("without", ())),
        environment=dict(sorted(build.get("environment", {}).items())),
        direct=build.get("direct", False),
    )
    if not found.direct:
        return found
    return replace(found, patches=tuple(replace(patch, direct=True) for patch in found.patches))


def _patches(folder: Path, text: str, content: Mapping[str, Any]) -> tuple[Patch, ...]:
    """The patches of the entries, or of the folder."""
    entries = content.get("patch", [])
    tables = isinstance(entries, list) and all(isinstance(each, dict) for each in entries)
    if "list" in content and tables and not entries:
        return quilt.load_quilt(folder).patches
    if not tables or not (entries or "extends" in content) or "list" in content:
        wrong = 'has both list = "folder" and [[patch]]' if "list" in content else "names no patch"
        hint = 'every patch is a table of its own: [[patch]]; or list = "folder", for quilt\'s list or all *.patch'
        raise PatchError(f"{folder / MANIFEST} {wrong}", hint)
    read = [Entry(folder=folder, text=text, number=at, keys=entry) for at, entry in enumerate(entries)]
    own = [entry.patch() for entry in read]
    for at, entry in enumerate(read):
        for other, earlier in enumerate(read[:at]):
            _require_compatible(entry, own[at], earlier, own[other])
    return tuple(own)


def _require_known(manifest: Path, text: str, content: Mapping[str, Any]) -> None:
    """Refuses what may not stand above the patches of a series.toml."""

    def error(key: str, message: str, hint: str) -> PatchError:
        return PatchError(f"{manifest} line {_line_of(text, key)}: {message}", hint)

    for key in content:
        if key not in (*ABOVE, "patch"):
            hint = 'every patch is a table of its own: [[patch]]; above them, extends = "stock" keeps the stock ones'
            raise error(key, f"unknown key {key!r}", hint)
    for key, value in (("extends", "stock"), ("list", "folder")):
        if content.get(key, value) != value:
            raise error(key, f"{key} = {content[key]!r}", f'{key} = "{value}"')
    if "extends" in content and resources.folder("patches").resolve() == manifest.parent.resolve():
        raise PatchError(f"{manifest}: the stock series cannot extend itself", "without the key extends")
    without = content.get("without", [])
    if not isinstance(without, list) or not all(isinstance(name, str) for name in without):
        raise error("without", f"without = {without!r}", 'a list of stock patches: without = ["goenv-local"]')
    build = content.get("build", {})
    if not isinstance(build, dict):
        raise error("build", f"build = {build!r}", "a table: [build]")
    for key, value in build.items():
        if not isinstance(value, BUILD.get(key, type(None))):
            raise error(key, f"[build] has {key} = {value!r}", 'environment = { NAME = "value" }, or direct = true')
    for name, value in build.get("environment", {}).items():
        try:
            require_harmless(name, value)
        except PatchError as refused:
            raise error(name, refused.reason, refused.hint) from refused


def _line_of(text: str, key: str) -> int:
    """The line, from 1, of a key or table above the patches; of one in an inline table, where it is named first."""
    for pattern in (rf"^\s*(?:\[+\s*)?(?:\w+\.)*\"?{re.escape(key)}\b", re.escape(key)):
        if found := re.search(pattern, text, re.MULTILINE):
            return text.count("\n", 0, found.end()) + 1
    return 1


def _require_compatible(entry: Entry, patch: Patch, earlier: Entry, other: Patch) -> None:
    """Refuses two patches that cannot stand in one series."""
    if patch.name != other.name:
        return
    if (patch.go, patch.targets, patch.profiles) == (other.go, other.targets, other.profiles):
        raise entry.error(
            "name",
            f"has the patch {patch.name!r} twice, both for go {patch.go!r}: also at line {earlier.line('name')}",
            "take one out, or make them variants for different versions or targets",
        )
    if patch.optional != other.optional:
        raise entry.error(
            "optional" if "optional" in entry.keys else "name",
            f"one variant is optional, and the one at line {earlier.line('name')} is not",
            "optional = true in all variants of a patch, or in none",
        )
