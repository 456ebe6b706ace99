"""One [[patch]] table of a series.toml: checked key by key, with the file's line in every error."""

import difflib
import re
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
from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.add_command import AddCommand
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.safe_read import safe_read
from gobuild.patch.series import MANIFEST, NAME, Operation, Patch, Unreadable

TEXTS = ("name", "go", "kind", "reason", "until", "file", "test", "add-command", "dir")
KEYS: Mapping[str, type] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(("optional", "direct"), bool),
    **dict.fromkeys(("targets", "profiles", "fixes"), list),
    "remove-hook": dict,
    "strip": int,
}
AS_THEY_ARE = ("name", "go", "reason", "until", "file", "test", "optional", "direct")
"""The keys that a `Patch` has as they stand in the file."""
PLACING = ("strip", "dir")
"""The keys that say how the names in a diff are meant."""

REQUIRED = ("name", "go", "kind", "reason")
KINDS: Mapping[str, tuple[str, ...]] = {"diff": ("file",), "edit": ("remove-hook", "add-command")}
"""The kinds of patch, and the keys of which each needs one."""

COMMANDS = ("gowrap",)
"""The programs below templates/ that can be added to a toolchain."""

HOOK_LISTS = ("once", "init", "functions", "frameworks")
HOOK_KEYS: Mapping[str, type] = {**dict.fromkeys(("what", "dir"), str), **dict.fromkeys(HOOK_LISTS, list)}

ABOVE = ("extends", "without", "list", "build")
"""The keys at the top of the file, above the first [[patch]]."""

_WORDS = {
    str: "a text, not empty",
    list: "a list of texts, not empty",
    dict: "a table",
    bool: "true or false",
    int: "a number from 0 to 9",
}
_VULNERABILITY = re.compile(r"GO-\d{4}-\d{4,}|CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3}", re.ASCII)
_GO_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One [[patch]] table, being checked: which one of the whole file's text, from 0."""

    folder: Path
    text: str
    number: int
    keys: Mapping[str, Any]

    def patch(self) -> Patch:
        """The patch that the table describes; one whose file cannot be read is `Unreadable`."""
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
            placing=" ".join(f"{key}={keys[key]}" for key in PLACING if key in keys),
            operation=self._operation(),
            **{key: keys[key] for key in AS_THEY_ARE if key in keys},
        )

    def _operation(self) -> Operation:
        if "file" in self.keys:
            return self._diff(self.keys["file"])
        if "remove-hook" in self.keys:
            return self._hook(self.keys["remove-hook"])
        name = self.keys["add-command"]
        if name not in COMMANDS:
            raise self.error("add-command", f"no program {name!r}", "one of " + ", ".join(COMMANDS))
        sources = sorted((resources.folder("templates") / name).glob("*.go"))
        return AddCommand(name=name, sources=tuple((path.name, path.read_bytes()) for path in sources))

    def _diff(self, name: str) -> Diff | Unreadable:
        folder = PurePosixPath(self.keys.get("dir", "."))
        if folder.is_absolute() or ".." in folder.parts or "\\" in str(folder):
            raise self.error("dir", f"dir = {self.keys['dir']!r}", 'a folder below GOROOT, such as "src"')
        content, said = b"", ""
        try:
            content, said = safe_read(self.folder, name), f"{name} "
            return parse_diff(content, strip=self.keys.get("strip"), folder=self.keys.get("dir", ""))
        except PatchError as error:
            where, reason = self._where("file"), f"{said}{error.reason}"
            return Unreadable(where=where, reason=reason, hint=error.hint, content=content)

    @contextmanager
    def errors_at(self, key: str) -> Iterator[None]:
        """Says of an error at which line and in which patch."""
        try:
            yield
        except (PatchError, ConfigError) as error:
            raise self.error(key, error.reason, error.hint) from error

    def error(self, key: str, message: str, hint: str) -> PatchError:
        """The error, with the manifest's line and the patch's name in front."""
        return PatchError(f"{self._where(key)}{message}", hint)

    def _where(self, key: str) -> str:
        name = self.keys.get("name", f"number {self.number + 1}")
        return f"{self.folder / MANIFEST} line {self.line(key)}, patch {name!r}: "

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
            if key in ABOVE:
                raise self.error(key, f"{key} stands in a patch", "at the top of the file, above the first [[patch]]")
            if key not in kinds:
                near = difflib.get_close_matches(key, kinds, 1)
                hint = f"did you mean {near[0]!r}?" if near else "one of " + ", ".join(kinds)
                raise self.error(key, f"unknown key {key!r}", hint)
            words = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
            number = type(value) is int and 0 <= value <= 9
            wrong = not isinstance(value, kinds[key]) or (kinds[key] is list and not words) or value == ""
            if wrong or (kinds[key] is int and not number):
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
        if kind != "diff" and (key := next((key for key in PLACING if key in self.keys), "")):
            raise self.error(key, f"kind = {kind!r} does not go with the key {key!r}", "look at patches/README.md")

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
