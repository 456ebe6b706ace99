"""Reads a series from its folder's series.toml, or from quilt's `series`: every file it names is read and checked."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gobuild.core import resources
from gobuild.core.errors import ConfigError, PatchError
from gobuild.core.goversion import Target
from gobuild.core.model import PROFILES
from gobuild.patch import quilt
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.edits.add_command import AddCommand
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.safe_read import safe_read
from gobuild.patch.series import MANIFEST, NAME, Operation, Patch, Series

TEXTS = ("name", "go", "kind", "reason", "until", "file", "test", "add-command")
KEYS: Mapping[str, type] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(("optional", "direct"), bool),
    **dict.fromkeys(("targets", "profiles", "fixes"), list),
    "remove-hook": dict,
}
AS_THEY_ARE = ("name", "go", "reason", "until", "file", "test", "optional", "direct")
"""The keys that a `Patch` has as they stand in the file."""
REQUIRED = ("name", "go", "kind", "reason")
KINDS: Mapping[str, tuple[str, ...]] = {"diff": ("file",), "edit": ("remove-hook", "add-command")}
"""The kinds of patch, and the keys of which each needs one."""

COMMANDS = ("gowrap",)
"""The programs below templates/ that can be added to a toolchain."""

HOOK_LISTS = ("once", "init", "functions", "frameworks")
HOOK_KEYS: Mapping[str, type] = {**dict.fromkeys(("what", "dir"), str), **dict.fromkeys(HOOK_LISTS, list)}

TOP = ("extends", "patch")
"""The keys at the top of the file."""

_WORDS = {str: "a text, not empty", list: "a list of texts, not empty", dict: "a table", bool: "true or false"}
_VULNERABILITY = re.compile(r"GO-\d{4}-\d{4,}|CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3}", re.ASCII)
_GO_NAME = re.compile(r"[^\W\d]\w*")


def load_or_new(folder: Path) -> Series:
    """The series of a folder; one without patches, where it has none yet."""
    there = (folder / MANIFEST).exists() or quilt.is_quilt(folder)
    return load_folder(folder) if there else Series(folder=folder, patches=())


def load_folder(folder: Path) -> Series:
    """Reads a series; the stock one is in `gobuild.core.resources.folder("patches")`.

    Raises:
        PatchError: the manifest, or a file it names, cannot be used. It names the file, the line and the key.
    """
    manifest = folder / MANIFEST
    if quilt.is_quilt(folder):
        return quilt.load_quilt(folder)
    try:
        text = manifest.read_bytes().decode()
        content = tomllib.loads(text)
    except OSError as error:
        raise PatchError(
            f"there is no series at {folder}: {MANIFEST}: {error.strerror}",
            "a folder with a series.toml, or with quilt's series; `--series none` builds unpatched",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PatchError(f"{manifest} is no TOML: {error}", "patches/README.md has an example") from error
    base = _extended(manifest, text, content)
    entries = content.get("patch", [])
    if not isinstance(entries, list) or not (entries or base) or not all(isinstance(each, dict) for each in entries):
        raise PatchError(f"{manifest} names no patch", "every patch is a table of its own: [[patch]]")
    tables = [_Entry(folder=folder, text=text, number=at, keys=entry) for at, entry in enumerate(entries)]
    own = [entry.patch() for entry in tables]
    for at, entry in enumerate(tables):
        for other, earlier in enumerate(tables[:at]):
            _require_compatible(entry, own[at], earlier, own[other])
    names = {patch.name for patch in own}
    return Series(folder=folder, patches=(*(patch for patch in base if patch.name not in names), *own))


def _extended(manifest: Path, text: str, content: Mapping[str, Any]) -> tuple[Patch, ...]:
    """The patches of the series that this one extends; also refuses what may not stand at the top of the file."""
    for key in content:
        if key not in TOP:
            raise PatchError(
                f"{manifest} line {_line_of(text, key)}: unknown key {key!r}",
                'every patch is a table of its own: [[patch]]; above them, extends = "stock" keeps the stock ones',
            )
    if "extends" not in content:
        return ()
    if content["extends"] != "stock":
        line = _line_of(text, "extends")
        raise PatchError(f"{manifest} line {line}: extends = {content['extends']!r}", 'extends = "stock"')
    stock = resources.folder("patches")
    if stock.resolve() == manifest.parent.resolve():
        raise PatchError(f"{manifest}: the stock series cannot extend itself", "without the key extends")
    return load_folder(stock).patches


def _line_of(text: str, key: str) -> int:
    """The line, from 1, of a key or table at the top of the file."""
    found = re.search(rf"^\s*(?:\[+\s*)?\"?{re.escape(key)}\b", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def _require_compatible(entry: "_Entry", patch: Patch, earlier: "_Entry", other: Patch) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One [[patch]] table, being checked."""

    folder: Path
    text: str
    number: int
    keys: Mapping[str, Any]

    def patch(self) -> Patch:
        keys = self.keys
        self._require_keys(keys, KEYS, REQUIRED)
        if not NAME.fullmatch(keys["name"]):
            raise self.error("name", f"{keys['name']!r} is no name for a patch", "lower-case words with hyphens")
        self._require_kind(keys["kind"])
        try:
            SpecifierSet(keys["go"])
        except InvalidSpecifier as error:
            hint = 'a PEP 440 specifier such as ">=1.21,<1.24"'
            raise self.error("go", f"go = {keys['go']!r} is no version specifier", hint) from error
        with self.errors_at("targets"):
            targets = tuple(Target.parse(target) for target in keys.get("targets", []))
        for profile in keys.get("profiles", []):
            if profile not in PROFILES:
                raise self.error("profiles", f"no profile {profile!r}", "one of " + ", ".join(PROFILES))
        for name in keys.get("fixes", []):
            if not _VULNERABILITY.fullmatch(name):
                hint = "ids of https://vuln.go.dev or their aliases: GO-2025-3563, CVE-2025-22871"
                raise self.error("fixes", f"{name!r} is no vulnerability's id", hint)
        if test := keys.get("test", ""):
            with self.errors_at("test"):
                safe_read(self.folder, test)
            if not test.endswith("_test.go"):
                raise self.error("test", f"the file {test!r} is no Go test", "a name that ends in _test.go")
        return Patch(
            folder=self.folder,
            targets=targets,
            profiles=tuple(keys.get("profiles", [])),
            fixes=tuple(dict.fromkeys(keys.get("fixes", []))),
            operation=self._operation(),
            **{key: keys[key] for key in AS_THEY_ARE if key in keys},
        )

    def _operation(self) -> Operation:
        if "file" in self.keys:
            name = self.keys["file"]
            with self.errors_at("file"):
                content = safe_read(self.folder, name)
            with self.errors_at("file", f"{name} "):
                return parse_diff(content)
        if "remove-hook" in self.keys:
            return self._hook(self.keys["remove-hook"])
        name = self.keys["add-command"]
        if name not in COMMANDS:
            raise self.error("add-command", f"no program {name!r}", "one of " + ", ".join(COMMANDS))
        sources = sorted((resources.folder("templates") / name).glob("*.go"))
        return AddCommand(name=name, sources=tuple((path.name, path.read_bytes()) for path in sources))

    @contextmanager
    def errors_at(self, key: str, prefix: str = "") -> Iterator[None]:
        """Says of an error at which line and in which patch."""
        try:
            yield
        except (PatchError, ConfigError) as error:
            raise self.error(key, f"{prefix}{error.reason}", error.hint) from error

    def error(self, key: str, message: str, hint: str) -> PatchError:
        """The error, with the manifest's line and the patch's name in front."""
        name = self.keys.get("name", f"number {self.number + 1}")
        return PatchError(f"{self.folder / MANIFEST} line {self.line(key)}, patch {name!r}: {message}", hint)

    def line(self, key: str) -> int:
        """The line, from 1, where a key of this table stands; the table's own where the key does not."""
        table, first = -1, 1
        for at, line in enumerate(self.text.split("\n"), 1):
            if re.match(r"\s*\[\[\s*patch\s*\]\]", line):
                table += 1
                first = at if table == self.number else first
            elif table == self.number and re.match(rf"\s*(?:\[patch\.)?\"?{re.escape(key)}\"?\s*[=\]]", line):
                return at
        return first

    def _require_keys(self, keys: Mapping[str, Any], kinds: Mapping[str, type], required: Iterable[str]) -> None:
        for key, value in keys.items():
            if key == "extends":
                raise self.error(key, "extends stands in a patch", "at the top of the file, above the first [[patch]]")
            if key not in kinds:
                near = difflib.get_close_matches(key, kinds, 1)
                hint = f"did you mean {near[0]!r}?" if near else "one of " + ", ".join(kinds)
                raise self.error(key, f"unknown key {key!r}", hint)
            words = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
            if not isinstance(value, kinds[key]) or (kinds[key] is list and not words) or value == "":
                raise self.error(key, f"{key} = {value!r}", _WORDS[kinds[key]])
        for key in required:
            if key not in keys:
                raise self.error("", f"the key {key!r} is missing", "look at patches/README.md")

    def _require_kind(self, kind: str) -> None:
        if kind not in KINDS:
            raise self.error("kind", f"no kind {kind!r}", "one of " + ", ".join(KINDS))
        for other, needs in KINDS.items():
            there = [key for key in needs if key in self.keys]
            if len(there) != (other == kind):
                missing = "needs" if other == kind else "does not go with"
                key = (there or needs)[0]
                raise self.error(key, f"kind = {kind!r} {missing} the key {key!r}", "look at patches/README.md")

    def _hook(self, table: Mapping[str, Any]) -> RemoveHook:
        self._require_keys(table, HOOK_KEYS, HOOK_KEYS)
        for key in ("once", "init", "functions"):
            names = table[key]
            if not names or not all(_GO_NAME.fullmatch(name) for name in names):
                raise self.error(key, f"{key} = {names!r}", "one or more names, as Go writes them")
        folder = PurePosixPath(table["dir"])
        if folder.is_absolute() or ".." in folder.parts or folder.parts[:1] != ("src",):
            raise self.error("dir", f"dir = {table['dir']!r}", 'a folder below GOROOT\'s src, such as "src/runtime"')
        return RemoveHook(what=table["what"], dir=str(folder), **{key: tuple(table[key]) for key in HOOK_LISTS})
