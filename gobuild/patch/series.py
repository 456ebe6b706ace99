"""What a series is: patches in their order, and which of them a build gets. Data alone; nothing is read here."""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet

from gobuild.core.errors import ConfigError, PatchError, first_few
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Outcome, State
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.add_command import AddCommand
from gobuild.patch.edits.remove_hook import RemoveHook
from gobuild.patch.tree import Tree, TreeChange

MANIFEST = "series.toml"

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""A patch's name: lower-case words with hyphens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """What is known of a patch that cannot be read: why, and what to do about it. It applies to nothing."""

    where: str  # what names it: "FOLDER/series line 3"
    reason: str
    hint: str
    content: bytes = b""

    def apply(self, _tree: Tree) -> TreeChange:
        """Raises PatchError, always."""
        raise PatchError(self.reason, self.hint)


Operation = Diff | RemoveHook | AddCommand | Unreadable
"""What a patch does to a tree: `apply` notes its changes there, and `content` is what the patch's digest is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch of a series, with the keys of series.toml (patches/README.md).

    Attributes:
        folder: the series' folder that it is from; `file` and `test`, where it has them, are relative to it.
        name: variants of one patch share it.
        go: the versions it is for, a PEP 440 specifier: ">=1.21,<1.24".
        targets, profiles: what it is for; empty: all.
        fixes: the vulnerabilities that it fixes, by their ids in Go's database or by an alias, such as a CVE's number.
        direct: whether it may touch the compiler, the assembler or the linker and be built directly all the same: its
            author has compared both builders (`--builder both`).
        placing: how the names in its diff are meant, where its entry says it: "strip=2 dir=src"; part of the digest.
        mail: which of the mails in its file it is, from 1; 0 where it is the whole file.
        entry: whether it has an entry in a series.toml, where its `go` could be narrowed.
    """

    folder: Path
    name: str
    go: str
    targets: tuple[Target, ...] = ()
    profiles: tuple[str, ...] = ()
    reason: str
    until: str = ""
    file: str = ""
    test: str = ""
    fixes: tuple[str, ...] = ()
    optional: bool = False
    direct: bool = False
    placing: str = ""
    mail: int = 0
    entry: bool = True
    operation: Operation

    @property
    def sha256(self) -> str:
        """The digest of what it does, 64 hex digits; reasons and tests may change without changing it."""
        placing = f"\0{self.placing}" if self.placing else ""
        return hashlib.sha256(self.operation.content + placing.encode()).hexdigest()

    @property
    def kind(self) -> str:
        """As the manifest says it: "diff" or "edit"."""
        return "diff" if isinstance(self.operation, Diff | Unreadable) else "edit"

    @property
    def description(self) -> str:
        """The prose in front of its diff."""
        return self.operation.description if isinstance(self.operation, Diff) else ""

    def for_version(self, version: GoVersion) -> bool:
        """Whether it is for this version, release candidates included."""
        return SpecifierSet(self.go).contains(version.pep440, prereleases=True)

    def for_build(self, target: Target, profile: str) -> bool:
        """Whether it is for this target and profile."""
        return (not self.targets or target in self.targets) and (not self.profiles or profile in self.profiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The patches of a folder in their order, every variant; stock patches that it extends are of another folder.

    Attributes:
        extends: "stock", where the stock patches come first.
        without: the stock patches that are left out of these.
        environment: variables that the builder is given besides its own.
        direct: whether the direct builder makes the same as make.bash with this environment: both were compared.
    """

    folder: Path
    patches: tuple[Patch, ...]
    extends: str = ""
    without: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    direct: bool = False

    def require_readable(self) -> None:
        """Raises a PatchError that names every patch that cannot be read; the one there is, in its own words."""
        bad = [patch.operation for patch in self.patches if isinstance(patch.operation, Unreadable)]
        if len(bad) == 1:
            raise PatchError(f"{bad[0].where}{bad[0].reason}", bad[0].hint)
        if bad:
            lines = first_few(f"{each.where}{each.reason}" for each in bad)
            raise PatchError(
                "\n  ".join([f"{len(bad)} patches of the series {self.folder} cannot be read:", *lines]),
                "gobuild patches.status shows all of them; gobuild patches.adopt makes a series of what git can read",
            )

    def select(self, version: GoVersion, target: Target, profile: str, extra: Sequence[str] = ()) -> tuple[Patch, ...]:
        """The patches for a build, in order, one variant each; of the optional ones those that `extra` names."""
        self.require_optional(extra)
        chosen = self.candidates(version, target, profile)
        names = {patch.name for patch in chosen}
        for name in extra:
            if name not in names:
                raise PatchError(
                    f"the patch {name!r} is not for {version} {target}, profile {profile}",
                    f"it is for {self.versions(name)}; leave it out of --extra, or build one of those",
                )
        return tuple(patch for patch in chosen if not patch.optional or patch.name in extra)

    def candidates(self, version: GoVersion, target: Target, profile: str) -> tuple[Patch, ...]:
        """The patches that fit a build, the optional ones too, in order; two variants of one patch are refused."""
        chosen: dict[str, Patch] = {}
        for patch in self.patches:
            if not (patch.for_version(version) and patch.for_build(target, profile)):
                continue
            if other := chosen.get(patch.name):
                raise PatchError(
                    f"{self.folder} has two patches {patch.name!r} for {version} {target}: "
                    f"go = {other.go!r} and go = {patch.go!r}",
                    "variants of one patch may not overlap: narrow one of them, or give it another name",
                )
            chosen[patch.name] = patch
        return tuple(chosen.values())

    def absent(self, version: GoVersion) -> tuple[Outcome, ...]:
        """The patches, optional ones left out, that have no variant for this version.

        Whatever the target and the profile: this goes into the manifest in the source archive, which serves all
        targets of one stamp, so it may not depend on more than the stamp does.
        """
        there = {patch.name for patch in self.patches if patch.for_version(version)}
        last = {patch.name: patch for patch in self.patches if not patch.optional}
        return tuple(self.not_for(patch) for patch in last.values() if patch.name not in there)

    def not_for(self, patch: Patch) -> Outcome:
        """What is said of a patch that has no variant for the version asked for."""
        until = f"; may go: {patch.until}" if patch.until else ""
        return Outcome(
            name=patch.name,
            reason=patch.reason,
            state=State.NOT_FOR_THIS_VERSION,
            evidence=f"no variant is for this version: it is for {self.versions(patch.name)}{until}",
            sha256="",
        )

    def versions(self, name: str) -> str:
        """Which versions, and where it matters which targets and profiles, a patch is for, in words."""
        said = []
        for patch in self.patches:
            if patch.name == name:
                where = ", ".join((*map(str, patch.targets), *patch.profiles))
                said.append(f"{patch.go} ({where})" if where else patch.go)
        return " or ".join(dict.fromkeys(said))

    def require_optional(self, extra: Sequence[str]) -> None:
        """Refuses a name that is unknown, or that of a patch in every build."""
        optional = list(dict.fromkeys(patch.name for patch in self.patches if patch.optional))
        for name in extra:
            if name in optional:
                continue
            if any(patch.name == name for patch in self.patches):
                raise ConfigError(f"the patch {name!r} is no optional one: every build has it", "without it in --extra")
            near = difflib.get_close_matches(name, optional, 1)
            hint = "this series has no optional patch"
            if near:
                hint = f"did you mean {near[0]!r}, which is for {self.versions(near[0])}?"
            elif optional:
                hint = "one of " + ", ".join(f"{each} (for {self.versions(each)})" for each in optional)
            raise ConfigError(f"no optional patch {name!r} in the series {self.folder}", hint)
