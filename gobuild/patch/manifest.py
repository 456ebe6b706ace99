"""A series: the patches of a folder, as its series.toml lists them.

In: a folder. Out: a `Series`, with every file it names read and checked, before any work begins. Which patches a
version gets is data: PEP 440 specifiers, targets and profiles. No source is looked at here.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gobuild.errors import ConfigError, PatchError
from gobuild.model import PROFILES, GoVersion, Target
from gobuild.patch.diff import Diff
from gobuild.patch.hook import RemoveHook
from gobuild.patch.unified import read

MANIFEST = "series.toml"

KEYS: Mapping[str, type] = {
    "name": str,
    "go": str,
    "kind": str,
    "reason": str,
    "until": str,
    "file": str,
    "targets": list,
    "profiles": list,
    "remove-hook": dict,
}
REQUIRED = ("name", "go", "kind", "reason")
KINDS: Mapping[str, str] = {"diff": "file", "edit": "remove-hook"}
"""The kinds of patch, and the key that each needs."""

HOOK_KEYS: Mapping[str, type] = {
    "what": str,
    "once": list,
    "init": list,
    "functions": list,
    "frameworks": list,
    "dir": str,
}

_WORDS = {"str": "a text", "list": "a list of texts", "dict": "a table"}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_GO_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch of a series.

    Attributes:
        name: variants of one patch share it.
        go: the versions it is for, a PEP 440 specifier: ">=1.21,<1.24".
        targets: what it is for; empty: everything.
        profiles: the names of the profiles it is for; empty: all.
        reason: why it exists.
        until: when it may go.
        file: the .patch file's name; empty for an edit.
        operation: what it does to a tree.
    """

    name: str
    go: str
    targets: tuple[Target, ...]
    profiles: tuple[str, ...]
    reason: str
    until: str
    file: str
    operation: Diff | RemoveHook

    @property
    def sha256(self) -> str:
        """The digest of what it does, 64 hex digits; reasons may be reworded without changing it."""
        return hashlib.sha256(self.operation.content).hexdigest()

    @property
    def description(self) -> str:
        """The prose in front of its diff."""
        return self.operation.description if isinstance(self.operation, Diff) else ""

    def fits(self, version: GoVersion, target: Target, profile: str) -> bool:
        """Whether it is for this version, target and profile."""
        return (
            SpecifierSet(self.go).contains(version.pep440, prereleases=True)
            and (not self.targets or target in self.targets)
            and (not self.profiles or profile in self.profiles)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The patches of a folder, in their order.

    Attributes:
        folder: where they are from.
        patches: all of them, every variant.
    """

    folder: Path
    patches: tuple[Patch, ...]

    def select(self, version: GoVersion, target: Target, profile: str) -> tuple[Patch, ...]:
        """The patches for a build, in order.

        Raises:
            PatchError: two variants of one patch are for this build.
        """
        chosen: dict[str, Patch] = {}
        for patch in self.patches:
            if not patch.fits(version, target, profile):
                continue
            if other := chosen.get(patch.name):
                raise PatchError(
                    f"{self.folder / MANIFEST} has two patches {patch.name!r} for {version} {target}: "
                    f"go = {other.go!r} and go = {patch.go!r}",
                    "variants of one patch may not overlap: narrow one of them, or give it another name",
                )
            chosen[patch.name] = patch
        return tuple(chosen.values())


def load(folder: Path) -> Series:
    """Reads a series; the stock one is in `gobuild.resources.folder("patches")`.

    Raises:
        PatchError: the manifest, or a file it names, cannot be used. It names the file, the line and the key.
    """
    manifest = folder / MANIFEST
    try:
        text = manifest.read_bytes().decode()
        content = tomllib.loads(text)
    except OSError as error:
        raise PatchError(
            f"there is no series at {folder}: {MANIFEST}: {error.strerror}",
            "a folder with a series.toml; `--series none` builds unpatched",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PatchError(
            f"{manifest} is no TOML: {error}", "https://toml.io; patches/README.md has an example"
        ) from error
    for key in content:
        if key != "patch":
            raise PatchError(f"{manifest}: unknown key {key!r}", "every patch is a table of its own: [[patch]]")
    entries = content.get("patch", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise PatchError(f"{manifest} names no patch", "every patch is a table of its own: [[patch]]")
    patches = [_Entry(folder=folder, text=text, number=at, keys=entry).patch() for at, entry in enumerate(entries)]
    for at, patch in enumerate(patches):
        for other in patches[:at]:
            if (patch.name, patch.go, patch.targets, patch.profiles) == (
                other.name,
                other.go,
                other.targets,
                other.profiles,
            ):
                raise PatchError(
                    f"{manifest} has the patch {patch.name!r} twice, both for go {patch.go!r}",
                    "take one out, or make them variants for different versions or targets",
                )
    return Series(folder=folder, patches=tuple(patches))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One [[patch]] table, being checked."""

    folder: Path
    text: str
    number: int
    keys: Mapping[str, Any]

    def patch(self) -> Patch:
        self._known(self.keys, KEYS, REQUIRED)
        if not _NAME.fullmatch(self.keys["name"]):
            raise self.error("name", f"{self.keys['name']!r} is no name for a patch", "lower-case words with hyphens")
        kind = self.keys["kind"]
        if kind not in KINDS:
            raise self.error("kind", f"no kind {kind!r}", "one of " + ", ".join(KINDS))
        for other, needs in KINDS.items():
            if (needs in self.keys) != (other == kind):
                missing = "needs" if other == kind else "does not go with"
                raise self.error(needs, f"kind = {kind!r} {missing} the key {needs!r}", "look at patches/README.md")
        return Patch(
            name=self.keys["name"],
            go=self._specifier(),
            targets=tuple(self._targets()),
            profiles=self._profiles(),
            reason=self.keys["reason"],
            until=self.keys.get("until", ""),
            file=self.keys.get("file", ""),
            operation=self._diff(self.keys["file"]) if kind == "diff" else self._hook(self.keys["remove-hook"]),
        )

    def error(self, key: str, message: str, hint: str) -> PatchError:
        """The error, with the manifest's line and the patch's name in front."""
        lines = self.text.split("\n")
        starts = [at for at, line in enumerate(lines) if re.match(r"\s*\[\[\s*patch\s*\]\]", line)]
        line = starts[self.number] if self.number < len(starts) else 0
        for at in range(line + 1, len(lines)):
            if at in starts:
                break
            if re.match(rf"\s*(?:\[patch\.)?\"?{re.escape(key)}\"?\s*[=\]]", lines[at]):
                line = at
                break
        name = self.keys.get("name", f"number {self.number + 1}")
        return PatchError(f"{self.folder / MANIFEST} line {line + 1}, patch {name!r}: {message}", hint)

    def _known(self, keys: Mapping[str, Any], kinds: Mapping[str, type], required: Iterable[str]) -> None:
        for key, value in keys.items():
            if key not in kinds:
                near = difflib.get_close_matches(key, kinds, 1)
                hint = f"did you mean {near[0]!r}?" if near else "one of " + ", ".join(kinds)
                raise self.error(key, f"unknown key {key!r}", hint)
            words = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
            if not isinstance(value, kinds[key]) or (kinds[key] is list and not words) or value == "":
                wanted = _WORDS[kinds[key].__name__]
                raise self.error(key, f"{key} = {value!r}", f"{wanted}, not empty")
        for key in required:
            if key not in keys:
                raise self.error("", f"the key {key!r} is missing", "look at patches/README.md")

    def _specifier(self) -> str:
        go: str = self.keys["go"]
        try:
            SpecifierSet(go)
        except InvalidSpecifier as error:
            hint = 'a PEP 440 specifier such as ">=1.21,<1.24"'
            raise self.error("go", f"go = {go!r} is no version specifier", hint) from error
        return go

    def _targets(self) -> Iterable[Target]:
        for target in self.keys.get("targets", []):
            try:
                yield Target.parse(target)
            except ConfigError as error:
                raise self.error("targets", error.reason, error.hint) from error

    def _profiles(self) -> tuple[str, ...]:
        for profile in self.keys.get("profiles", []):
            if profile not in PROFILES:
                raise self.error("profiles", f"no profile {profile!r}", "one of " + ", ".join(PROFILES))
        return tuple(self.keys.get("profiles", []))

    def _diff(self, name: str) -> Diff:
        place = PurePosixPath(name)
        path = self.folder / name
        hint = "a file in the series' own folder"
        if place.is_absolute() or ".." in place.parts or "\\" in name:
            raise self.error("file", f"the file {name!r} is outside of the series", hint)
        try:
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise self.error("file", f"the file {name!r} leads outside of the series", hint)
            content = path.read_bytes()
        except OSError as error:
            raise self.error("file", f"the file {name!r} cannot be read: {error.strerror}", hint) from error
        try:
            return read(content)
        except PatchError as error:
            raise self.error("file", f"{name} {error.reason}", error.hint) from error

    def _hook(self, table: Mapping[str, Any]) -> RemoveHook:
        self._known(table, HOOK_KEYS, HOOK_KEYS)
        for key in ("once", "init", "functions"):
            names = table[key]
            if not names or not all(_GO_NAME.fullmatch(name) for name in names):
                raise self.error(key, f"{key} = {names!r}", "one or more names, as Go writes them")
        folder = PurePosixPath(table["dir"])
        if folder.is_absolute() or ".." in folder.parts or folder.parts[:1] != ("src",):
            raise self.error("dir", f"dir = {table['dir']!r}", 'a folder below GOROOT\'s src, such as "src/runtime"')
        lists = {key: tuple(table[key]) for key, kind in HOOK_KEYS.items() if kind is list}
        return RemoveHook(what=table["what"], dir=str(folder), **lists)
